//! Files that a tool changed in place (InplaceUpdateRequirement) where nothing can be: the new version lies somewhere else,
//! and whoever has the old location is to see that.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A file or directory that has a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The location of the old version.
    pub from: Arc<str>,
    /// The location of the new one.
    pub to: Arc<str>,
    /// Size in bytes, of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Checksum, of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Arc<str>>,
}

impl Update {
    /// Where the new version is of what is at a location; `None` where this is not about it.
    #[must_use]
    pub fn follow(&self, location: &str) -> Option<Arc<str>> {
        match location.strip_prefix(&*self.from)? {
            "" => Some(Arc::clone(&self.to)),
            inside if inside.starts_with('/') => Some(format!("{}{inside}", self.to).into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_an_updated_directory_follows_it_and_nothing_else_does() {
        let update =
            Update { from: "s3://b/1/d".into(), to: "s3://b/2/d".into(), size: None, checksum: None };
        let followed = |location| update.follow(location).map(|location| location.to_string());
        assert_eq!(followed("s3://b/1/d").as_deref(), Some("s3://b/2/d"));
        assert_eq!(followed("s3://b/1/d/e/x").as_deref(), Some("s3://b/2/d/e/x"));
        assert_eq!(followed("s3://b/1/d2"), None);
        assert_eq!(followed("s3://b/1"), None);
    }
}
