//! Output files get their size and checksum; from then on they are known by location alone.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use moil_cwl::value::{Directory, File, Value};
use moil_job::failure::{Failure, FailureKind};
use sha1::{Digest as _, Sha1};

use crate::cancel::Cancel;
use crate::files;
use crate::system::{self, Result};

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 20;
/// Directories nested deeper than this are refused.
const DEEPEST: usize = 1_000;

/// The output object with sizes and (unless `checksums` is off) checksums, without paths; and how many bytes
/// the output files have, those of directories included. What lies below `made` is measured whatever the
/// object says of it; of other files (inputs that were passed on) what is known already is kept.
///
/// # Errors
/// Where a file cannot be read, or is neither file nor directory.
pub fn publish(outputs: &Value, made: &Path, checksums: bool, cancel: &Cancel) -> Result<(Value, u64)> {
    let mut publisher =
        Publisher { made, checksums, cancel, buffer: Vec::new(), seen: HashMap::new(), bytes: 0 };
    let outputs = outputs.try_map_files(&mut |value| publisher.publish(value))?;
    Ok((outputs, publisher.bytes))
}

struct Publisher<'a> {
    made: &'a Path,
    checksums: bool,
    cancel: &'a Cancel,
    buffer: Vec<u8>,
    /// By location: one file may stand in several places of the output object.
    seen: HashMap<Arc<str>, (Option<Arc<str>>, u64)>,
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
                    && !self.seen.contains_key(location)
                {
                    let bytes = self.directory_bytes(&path, 0)?;
                    self.seen.insert(Arc::clone(location), (None, bytes));
                    self.bytes += bytes;
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
                || (self.checksums && file.checksum.is_none()))
        {
            let (checksum, size) = match self.seen.get(location) {
                Some(known) => known.clone(),
                None => {
                    let known = self.measure(&path)?;
                    self.bytes += known.1;
                    self.seen.insert(Arc::clone(location), known.clone());
                    known
                }
            };
            published.checksum = checksum;
            published.size = Some(size);
        }
        Ok(Value::File(Arc::new(published)))
    }

    /// Checksum and size of a file.
    fn measure(&mut self, path: &Path) -> Result<(Option<Arc<str>>, u64)> {
        let failed = |error: io::Error| system::failure("read the output file", path, &error);
        let metadata = fs::metadata(path).map_err(failed)?;
        // Opening a pipe that nobody writes would wait for ever.
        if !metadata.is_file() {
            let message = format!("the output {} is not a regular file", path.display());
            return Err(Box::new(Failure::new(FailureKind::BadOutput, message)));
        }
        if !self.checksums {
            return Ok((None, metadata.len()));
        }
        let mut file = fs::File::open(path).map_err(failed)?;
        let wanted = usize::try_from(metadata.len()).unwrap_or(BUFFER).clamp(1, BUFFER);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let mut hash = Sha1::new();
        let mut size = 0;
        loop {
            self.cancel.check()?;
            match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hash.update(self.buffer.get(..count).unwrap_or_default());
                    size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok((Some(checksum(&hash.finalize()).into()), size))
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

/// `sha1$…`, as CWL writes checksums.
fn checksum(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(5 + 2 * digest.len());
    text.push_str("sha1$");
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
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

    fn published(value: &Value, checksums: bool) -> (Arc<File>, u64) {
        match publish(value, Path::new("/"), checksums, &Cancel::new()).unwrap() {
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
            publish(&Value::list(vec![file(&path), file(&path)]), Path::new("/"), true, &Cancel::new())
                .unwrap();
        assert_eq!(bytes, 3);
        fs::create_dir_all(dir.path().join("d/e")).unwrap();
        fs::write(dir.path().join("d/e/f"), "12345").unwrap();
        let directory = Directory {
            location: files::location_of(&dir.path().join("d")).map(Into::into),
            ..Directory::default()
        };
        let (_, bytes) =
            publish(&Value::Directory(Arc::new(directory)), Path::new("/"), true, &Cancel::new()).unwrap();
        assert_eq!(bytes, 5);
    }

    #[test]
    fn pipes_and_missing_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        let failure = publish(&file(&pipe), Path::new("/"), true, &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadOutput);
        let failure =
            publish(&file(&dir.path().join("missing")), Path::new("/"), true, &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::System);
    }

    #[test]
    fn a_cancelled_attempt_stops_hashing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "abc").unwrap();
        let cancel = Cancel::new();
        cancel.cancel(std::time::Duration::ZERO);
        assert_eq!(
            publish(&file(&path), Path::new("/"), true, &cancel).unwrap_err().kind,
            FailureKind::Cancelled
        );
    }
}
