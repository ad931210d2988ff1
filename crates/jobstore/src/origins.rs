//! Where files come from, for memo keys.

mod directories;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::location;
use moil_job::identity::{Local, Origin, Origins};
use moil_job::spec::{AttemptId, JobId};

use crate::remote::Remote;
use directories::Directories;

/// Where all lies that attempts made: each in a directory, or below a prefix, that nobody else uses.
#[derive(Clone, Debug, Default)]
pub struct Made {
    directories: Vec<PathBuf>,
    /// What the locations begin with of what lies elsewhere.
    prefixes: Vec<String>,
}

impl Made {
    /// What lies below these directories (absolute, without links), and what has a location that begins with one of the
    /// prefixes, each of which ends in `/`.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>, prefixes: Vec<String>) -> Self {
        Self { directories, prefixes }
    }

    /// Adds what has locations that begin so.
    pub fn add(&mut self, prefix: &str) {
        match location::file_path(prefix) {
            Some(path) => self.directories.push(path.into()),
            None => self.prefixes.push(prefix.to_owned()),
        }
    }

    /// Whether an attempt made what lies at a location.
    #[must_use]
    pub fn has(&self, location: &str) -> bool {
        self.below(location).is_some()
    }

    /// Where it lies below that.
    fn below(&self, location: &str) -> Option<PathBuf> {
        match location::file_path(location) {
            Some(path) => {
                let path = PathBuf::from(path);
                let found = self.directories.iter().find_map(|made| path.strip_prefix(made).ok());
                found.map(Path::to_owned)
            }
            None => self.prefixes.iter().find_map(|prefix| location.strip_prefix(prefix)).map(PathBuf::from),
        }
    }
}

/// Tells files that attempts of a run made from those that were there.
pub struct FileOrigins {
    made: Made,
    remote: Arc<Remote>,
    directories: Directories,
}

impl FileOrigins {
    /// Origins in a run whose attempts made all that.
    pub fn new(made: Made, remote: Arc<Remote>) -> Self {
        Self { made, remote, directories: Directories::default() }
    }
}

impl Origins for FileOrigins {
    fn origin(&self, location: &str, checksum: Option<&str>) -> Result<Origin, String> {
        match (self.made.below(location), checksum) {
            (Some(_), Some(checksum)) => return Ok(Origin::Content(checksum.into())),
            (Some(below), None) => return Ok(by_place(&below)),
            (None, _) => {}
        }
        match location::file_path(location) {
            Some(path) => match self.remote.elsewhere().was(Path::new(&path)) {
                Some(was) => Ok(Origin::Local(was)),
                None => look(Path::new(&path), &self.directories)
                    .map(Origin::Local)
                    .map_err(|error| error.to_string()),
            },
            None => {
                let validator = self.remote.validator(location).map_err(|error| error.to_string())?;
                Ok(Origin::Remote { validator })
            }
        }
    }
}

/// What an attempt made, by where it is: no two attempts use one directory.
fn by_place(below: &Path) -> Origin {
    let name = below.to_string_lossy();
    Origin::Attempt { attempt: AttemptId { job: JobId(Arc::from("")), number: 0 }, path: name.into_owned() }
}

/// What the disk says of a file or directory.
pub(crate) fn local(path: &Path) -> io::Result<Local> {
    look(path, &Directories::default())
}

fn look(path: &Path, directories: &Directories) -> io::Result<Local> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return directories.digest(path).map(Local::Directory);
    }
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Ok(Local::File {
        size: metadata.len(),
        modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed: Some(nanoseconds(metadata.ctime(), metadata.ctime_nsec())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(path: &Path) -> String {
        location::file_uri(path.to_str().expect("UTF-8"))
    }

    fn made(directories: Vec<PathBuf>, prefixes: &[&str]) -> FileOrigins {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        FileOrigins::new(Made::new(directories, prefixes), Arc::default())
    }

    #[test]
    fn a_changed_file_has_another_origin_wherever_it_lies_in_a_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let origin = |path: &Path, checksum| {
            let origins = made(vec![dir.path().join("store")], &[]);
            origins.origin(&uri(path), checksum).expect("an origin")
        };
        fs::create_dir_all(dir.path().join("d/e")).expect("it is made");
        let file = dir.path().join("d/e/x");
        fs::write(&file, "one").expect("it is written");
        for path in [&file, &dir.path().join("d")] {
            let before = origin(path, Some("sha1$1"));
            assert_eq!(origin(path, Some("sha1$2")), before);
            fs::write(&file, format!("{before:?}")).expect("it is written");
            assert_ne!(origin(path, Some("sha1$1")), before);
        }
    }

    #[test]
    fn what_the_run_made_is_known_by_its_content_or_else_by_its_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let origins = made(vec![dir.path().join("store")], &[]);
        let a = uri(&dir.path().join("store/work/a/out/x"));
        let b = uri(&dir.path().join("store/work/b/out/x"));
        let origin = |location: &str, checksum| origins.origin(location, checksum).expect("an origin");
        assert_eq!(origin(&a, Some("sha1$1")), origin(&b, Some("sha1$1")));
        assert_ne!(origin(&a, Some("sha1$1")), origin(&a, Some("sha1$2")));
        assert_ne!(origin(&a, None), origin(&b, None));
    }

    #[test]
    fn what_is_gone_or_elsewhere_has_none_that_is_known() {
        let origins = made(Vec::new(), &[]);
        assert!(origins.origin("file:///no/such", None).expect_err("gone").contains("No such file"));
        let remote = origins.origin("https://example.org/x", None);
        assert_eq!(remote, Ok(Origin::Remote { validator: None }));
        let in_bucket = made(Vec::new(), &["s3://b/run-1/files/"]);
        let origin = in_bucket.origin("s3://b/run-1/files/1/a/x", Some("sha1$1"));
        assert_eq!(origin, Ok(Origin::Content("sha1$1".into())));
    }
}
