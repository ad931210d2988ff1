//! CWL as data: v1.2 is a table, the other versions are what differs from it.

use std::sync::OnceLock;

use moil_salad::schema::Schema;

use crate::process::Version;

/// The schema of a version, with cwltool's extensions.
pub fn of(version: Version) -> &'static Schema {
    static SCHEMAS: [OnceLock<Schema>; 4] = [const { OnceLock::new() }; 4];
    let (index, deltas): (usize, &[&str]) = match version {
        Version::V1_2 => (0, &[]),
        Version::V1_3Dev => (1, &[include_str!("schema/v1_3_dev.schema")]),
        Version::V1_1 => (2, &[include_str!("schema/v1_1.schema")]),
        Version::V1_0 => (3, &[include_str!("schema/v1_1.schema"), include_str!("schema/v1_0.schema")]),
    };
    SCHEMAS[index].get_or_init(|| {
        let texts = [include_str!("schema/v1_2.schema"), include_str!("schema/extensions.schema")];
        texts.iter().chain(deltas).fold(Schema::default(), |schema, text| {
            schema.extended(text).expect("the schemas in this folder are right: a test reads them all")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_schema() {
        for (version, has_operation) in
            [(Version::V1_0, false), (Version::V1_1, false), (Version::V1_2, true), (Version::V1_3Dev, true)]
        {
            let schema = of(version);
            assert!(schema.record("Workflow").is_some());
            assert_eq!(schema.record("Operation").is_some(), has_operation, "{version:?}");
        }
    }
}
