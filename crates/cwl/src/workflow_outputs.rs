//! The output object of a workflow (CWL v1.2 Workflow §"WorkflowOutputParameter").

use std::sync::Arc;

use crate::conform;
use crate::error::Error;
use crate::merge::merge;
use crate::process::Workflow;
use crate::types::Type;
use crate::value::{Value, ValueMap};

/// The outputs of a workflow: for each, the values of its links merged and picked from. `sources` holds, for
/// each output in order, one value per link. Files stay as they are, secondary files and formats included.
///
/// # Errors
/// [`Error::Invalid`] where `pickValue` cannot pick, or a value has a wrong type.
pub fn workflow_outputs(workflow: &Workflow, sources: &[Vec<Value>]) -> Result<Value, Error> {
    let mut outputs = ValueMap::with_capacity(workflow.common.outputs.len());
    for (index, output) in workflow.common.outputs.iter().enumerate() {
        let values = sources.get(index).map_or(&[][..], Vec::as_slice);
        let value = merge(&output.source, values, &output.name)?;
        // An output of type Any takes what its source gives, null included: nobody can say otherwise in a document.
        if !(value.is_null() && output.type_.alternatives().contains(&Type::Any)) {
            conform::check(&value, &output.type_, &output.name)
                .map_err(|mismatch| Error::invalid(&output.place, format!("output {mismatch}")))?;
        }
        outputs.insert(Arc::clone(&output.name), value);
    }
    Ok(Value::map(outputs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::{LinkMerge, Output, PickValue};
    use crate::preparing_fixture::{array, common, json, optional, output, source, value};

    fn picking(type_: Type, links: usize, merge: Option<LinkMerge>, pick: Option<PickValue>) -> Output {
        let mut output = output("o", type_);
        output.source = source(links);
        output.source.link_merge = merge;
        output.source.pick_value = pick;
        output
    }

    #[test]
    fn links_become_outputs() {
        use LinkMerge::Flattened;
        use PickValue::{AllNonNull, FirstNonNull, TheOnlyNonNull};
        let strings = || array(Type::String);
        let cases = [
            (picking(Type::String, 1, None, None), r#"["x"]"#, Ok(r#"{"o":"x"}"#)),
            (picking(strings(), 1, None, Some(AllNonNull)), r#"[["x", null]]"#, Ok(r#"{"o":["x"]}"#)),
            (
                picking(strings(), 2, Some(Flattened), Some(AllNonNull)),
                r#"[["x", null], [null]]"#,
                Ok(r#"{"o":["x"]}"#),
            ),
            (picking(Type::String, 2, None, Some(FirstNonNull)), r#"[null, "y"]"#, Ok(r#"{"o":"y"}"#)),
            (picking(Type::Any, 1, None, None), "[null]", Ok(r#"{"o":null}"#)),
            (picking(optional(Type::String), 0, None, None), "[]", Ok(r#"{"o":null}"#)),
            (
                picking(Type::String, 2, None, Some(TheOnlyNonNull)),
                r#"["x", "y"]"#,
                Err("only one source of `o`"),
            ),
            (
                picking(Type::String, 2, None, Some(AllNonNull)),
                r#"["x", "y"]"#,
                Err("output o is an array of 2, but must be string"),
            ),
            (picking(Type::String, 1, None, None), "[null]", Err("output o is null, but must be string")),
            (picking(array(Type::File), 1, None, None), r#"[["x"]]"#, Err("output o[0] is a string")),
        ];
        for (output, links, expected) in cases {
            let workflow = Workflow { common: common(Vec::new(), vec![output]), steps: Vec::new() };
            let links = value(links).as_list().expect(links).to_vec();
            match (workflow_outputs(&workflow, &[links]), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(json(&found), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}
