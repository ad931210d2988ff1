//! Files of this machine, as the pure functions see them.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use moil_cwl::error::Error;
use moil_cwl::files::{Entry, Files, Stat};
use moil_cwl::location;
use moil_cwl::value::Value;

/// Files by `file:` locations.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFiles;

/// The path of a location of this machine.
///
/// # Errors
/// [`Error::File`] for any other location.
pub fn path_of(location: &str) -> Result<PathBuf, Error> {
    location::file_path(location).map(PathBuf::from).ok_or_else(|| Error::File {
        location: location.to_owned(),
        reason: "not a file of this machine".to_owned(),
    })
}

/// The location of a path of this machine; `None` where it is not UTF-8, which CWL cannot name.
pub fn location_of(path: &Path) -> Option<String> {
    path.to_str().map(location::file_uri)
}

/// The paths of all files and directories of a value that are on this machine.
pub(crate) fn paths_of(value: &Value) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    value.visit_files(&mut |item| {
        let location = match item {
            Value::File(file) => &file.location,
            Value::Directory(directory) => &directory.location,
            _ => &None,
        };
        paths.extend(location.as_deref().and_then(|location| path_of(location).ok()));
    });
    paths
}

fn failed(location: &str, error: &io::Error) -> Error {
    Error::File { location: location.to_owned(), reason: error.to_string() }
}

impl Files for LocalFiles {
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error> {
        match fs::metadata(path_of(location)?) {
            Ok(metadata) => Ok(Some(stat(&metadata))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed(location, &error)),
        }
    }

    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        fs::File::open(path_of(location)?)
            .and_then(|file| file.take(limit).read_to_end(&mut content))
            .map_err(|error| failed(location, &error))?;
        Ok(content)
    }

    fn list(&self, location: &str) -> Result<Vec<Entry>, Error> {
        let path = path_of(location)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(&path).map_err(|error| failed(location, &error))? {
            let entry = entry.map_err(|error| failed(location, &error))?;
            let name = entry.file_name().into_string().map_err(|name| Error::File {
                location: location.to_owned(),
                reason: format!("the name {} in it is not UTF-8", name.display()),
            })?;
            // A link that leads nowhere is listed as an empty file.
            let stat = fs::metadata(entry.path())
                .map_or(Stat { is_directory: false, size: 0 }, |metadata| stat(&metadata));
            entries.push(Entry { location: location::child(location, &name), name, stat });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

fn stat(metadata: &fs::Metadata) -> Stat {
    let is_directory = metadata.is_dir();
    Stat { is_directory, size: if is_directory { 0 } else { metadata.len() } }
}

/// Whether an error only says that nothing is there.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_names_are_found_by_their_locations() {
        let dir = tempfile::tempdir().unwrap();
        let top = location_of(dir.path()).unwrap();
        for name in ["item #1.txt", "100%", "a\nb", "quo'te\"", "🕺", "c:d"] {
            fs::write(dir.path().join(name), name).unwrap();
            let location = location_of(&dir.path().join(name)).unwrap();
            assert!(location.is_ascii() && !location.contains([' ', '#', '\n', '"']), "{location}");
            let stat = LocalFiles.stat(&location).unwrap().unwrap();
            assert_eq!(stat, Stat { is_directory: false, size: name.len() as u64 });
            assert_eq!(LocalFiles.read_prefix(&location, 3).unwrap(), &name.as_bytes()[..3]);
        }
        let names: Vec<String> = LocalFiles.list(&top).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["100%", "a\nb", "c:d", "item #1.txt", "quo'te\"", "🕺"]);
        for entry in LocalFiles.list(&top).unwrap() {
            assert!(LocalFiles.stat(&entry.location).unwrap().is_some());
        }
    }

    #[test]
    fn what_is_not_there_is_no_error_but_other_machines_are() {
        assert_eq!(LocalFiles.stat("file:///no/such/file").unwrap(), None);
        assert_eq!(LocalFiles.stat("file:///dev/null/x").unwrap(), None);
        assert!(LocalFiles.stat("https://example.org/x").is_err());
        assert!(LocalFiles.read_prefix("file:///no/such/file", 1).is_err());
    }
}
