//! Input files that somebody changes while they are used: results may then mix old and new.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use moil_cwl::location;
use moil_cwl::value::{Value, ValueMap};

/// How many are named.
const NAMES: usize = 5;

/// The files of an input object as they were when the run began.
pub struct WatchedInputs {
    seen: Vec<(PathBuf, Seen)>,
}

/// What tells one state of a file from another.
type Seen = (u64, i64, i64);

fn seen(metadata: &Metadata) -> Seen {
    (metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

impl WatchedInputs {
    /// Looks at the local files of an input object; not at what is in directories.
    pub fn new(inputs: &ValueMap) -> Self {
        let mut found = Vec::new();
        for value in inputs.values() {
            value.visit_files(&mut |item| {
                if let Value::File(file) = item
                    && let Some(path) = file.location.as_deref().and_then(location::file_path)
                    && let Ok(metadata) = fs::metadata(&path)
                {
                    found.push((PathBuf::from(path), seen(&metadata)));
                }
            });
        }
        Self { seen: found }
    }

    /// A sentence about those that are not what they were.
    pub fn changed(&self) -> Option<String> {
        let is_changed = |(path, before): &&(PathBuf, Seen)| {
            !fs::metadata(path).is_ok_and(|metadata| seen(&metadata) == *before)
        };
        let changed: Vec<_> = self.seen.iter().filter(is_changed).collect();
        let names: Vec<_> = changed.iter().take(NAMES).map(|(path, _)| path.display().to_string()).collect();
        let more = changed.len().saturating_sub(NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!changed.is_empty()).then(|| {
            format!(
                "changed or removed during the run: {}{more}; the results may mix old and new content",
                names.join(", ")
            )
        })
    }
}
