//! Output files get their size and checksum; from then on they are known by location alone.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use moil_cwl::value::{Directory, File, Value};
use moil_job::failure::{Failure, FailureKind};

use crate::cancel::Cancel;
use crate::files;
use crate::measure::Measures;
use crate::system::{self, Result};

/// Directories nested deeper than this are refused.
const DEEPEST: usize = 1_000;

/// The output object with sizes and (where they are computed) checksums, without paths; and how many bytes
/// the output files have, those of directories included. What lies below `made` is measured whatever the
/// object says of it; of other files (inputs that were passed on) what is known already is kept.
///
/// # Errors
/// Where a file cannot be read, or is neither file nor directory.
pub fn publish(
    outputs: &Value,
    made: &Path,
    measures: &Measures<'_>,
    cancel: &Cancel,
) -> Result<(Value, u64)> {
    let mut publisher = Publisher { made, measures, cancel, seen: HashSet::new(), bytes: 0 };
    let outputs = outputs.try_map_files(&mut |value| publisher.publish(value))?;
    Ok((outputs, publisher.bytes))
}

struct Publisher<'a> {
    made: &'a Path,
    measures: &'a Measures<'a>,
    cancel: &'a Cancel,
    /// Locations: one file may stand in several places of the output object.
    seen: HashSet<Arc<str>>,
    bytes: u64,
}

impl Publisher<'_> {
    fn publish(&mut self, value: Value) -> Result<Value> {
        Ok(match value {
            Value::File(file) => self.file(&file)?,
            Value::Directory(directory) => {
                // What is in a listing was met already.
                if directory.listing.is_none()
                    && let Some(location) = &directory.location
                    && let Ok(path) = files::path_of(location)
                    && self.seen.insert(Arc::clone(location))
                {
                    self.bytes += self.directory_bytes(&path, 0)?;
                }
                Value::Directory(Arc::new(Directory { path: None, ..(*directory).clone() }))
            }
            other => other,
        })
    }

    fn file(&mut self, file: &File) -> Result<Value> {
        let mut published = File { path: None, ..file.clone() };
        if let Some(location) = &file.location
            && let Ok(path) = files::path_of(location)
            && (path.starts_with(self.made)
                || file.size.is_none()
                || (self.measures.checksums && file.checksum.is_none()))
        {
            let (checksum, size) = self.measures.measure(location)?;
            if self.seen.insert(Arc::clone(location)) {
                self.bytes += size;
            }
            published.checksum = checksum;
            published.size = Some(size);
        }
        Ok(Value::File(Arc::new(published)))
    }

    /// The bytes of the files in a directory; links count as what they are, not as what they lead to.
    fn directory_bytes(&self, directory: &Path, depth: usize) -> Result<u64> {
        self.cancel.check()?;
        let failed = |error: io::Error| system::failure("list the output directory", directory, &error);
        if depth > DEEPEST {
            let message = format!("the output {} is nested too deeply", directory.display());
            return Err(Box::new(Failure::new(FailureKind::BadOutput, message)));
        }
        let mut bytes = 0;
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                bytes += self.directory_bytes(&entry.path(), depth + 1)?;
            } else if kind.is_file() {
                bytes += entry.metadata().map_err(failed)?.len();
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path) -> Value {
        let location = files::location_of(path).unwrap();
        Value::File(Arc::new(File {
            location: Some(location.into()),
            path: Some("/somewhere".into()),
            ..File::default()
        }))
    }

    fn publish_all(value: &Value, checksums: bool, cancel: &Cancel) -> Result<(Value, u64)> {
        publish(value, Path::new("/"), &Measures::new(checksums, cancel), cancel)
    }

    fn published(value: &Value, checksums: bool) -> (Arc<File>, u64) {
        match publish_all(value, checksums, &Cancel::new()).unwrap() {
            (Value::File(file), bytes) => (file, bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_with_any_name_get_checksum_and_size() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", "with space", "a#b", "100%", "%41", "new\nline", "\"'", "🕺", "a:b?c=d&e"] {
            let path = dir.path().join(name);
            fs::write(&path, "hello world\n").unwrap();
            let (file, bytes) = published(&file(&path), true);
            assert_eq!(
                file.checksum.as_deref(),
                Some("sha1$22596363b3de40b06f981fb85d82312e8c0ed511"),
                "{name}"
            );
            assert_eq!((file.size, bytes, &file.path), (Some(12), 12, &None));
        }
    }

    #[test]
    fn files_larger_than_the_buffer_are_hashed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zeros");
        fs::write(&path, vec![0; 3_000_000]).unwrap();
        let (file, _) = published(&file(&path), true);
        assert_eq!(file.checksum.as_deref(), Some("sha1$99dd4258004987bdf38392947383dddad35176f4"));
    }

    #[test]
    fn without_checksums_only_the_size_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "abc").unwrap();
        let (file, _) = published(&file(&path), false);
        assert_eq!((file.checksum.as_deref(), file.size), (None, Some(3)));
    }

    #[test]
    fn a_file_that_stands_twice_counts_once_and_directories_count_deeply() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "abc").unwrap();
        let (_, bytes) =
            publish_all(&Value::list(vec![file(&path), file(&path)]), true, &Cancel::new()).unwrap();
        assert_eq!(bytes, 3);
        fs::create_dir_all(dir.path().join("d/e")).unwrap();
        fs::write(dir.path().join("d/e/f"), "12345").unwrap();
        let directory = Directory {
            location: files::location_of(&dir.path().join("d")).map(Into::into),
            ..Directory::default()
        };
        let (_, bytes) = publish_all(&Value::Directory(Arc::new(directory)), true, &Cancel::new()).unwrap();
        assert_eq!(bytes, 5);
    }

    #[test]
    fn pipes_and_missing_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        let failure = publish_all(&file(&pipe), true, &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadOutput);
        let failure = publish_all(&file(&dir.path().join("missing")), true, &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::System);
    }

    #[test]
    fn a_cancelled_attempt_stops_hashing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "abc").unwrap();
        let cancel = Cancel::new();
        cancel.cancel(std::time::Duration::ZERO);
        assert_eq!(publish_all(&file(&path), true, &cancel).unwrap_err().kind, FailureKind::Cancelled);
    }
}
