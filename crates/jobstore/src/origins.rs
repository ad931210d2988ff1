//! Where files come from, for memo keys.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::location;
use moil_job::identity::{Local, Origin, Origins};
use moil_job::spec::{AttemptId, JobId};

use crate::remote::Remote;

/// How deep directories may be nested.
const DEPTH_LIMIT: usize = 200;

/// Tells files that attempts of a run made from those that were there.
pub struct FileOrigins {
    made: Vec<PathBuf>,
    /// What the locations of what attempts made in a bucket begin with.
    in_bucket: Option<String>,
    remote: Arc<Remote>,
}

impl FileOrigins {
    /// What lies below one of `made` was made by attempts of the run: each in a directory that nobody else uses.
    /// So was what has a location that begins with `in_bucket`.
    pub fn new(made: Vec<PathBuf>, in_bucket: Option<String>, remote: Arc<Remote>) -> Self {
        Self { made, in_bucket, remote }
    }

    /// Where a path lies below what attempts made.
    fn below<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        self.made.iter().find_map(|made| path.strip_prefix(made).ok())
    }
}

impl Origins for FileOrigins {
    fn origin(&self, location: &str, checksum: Option<&str>) -> Result<Origin, String> {
        let in_bucket = self.in_bucket.as_deref().and_then(|prefix| location.strip_prefix(prefix));
        match (in_bucket, checksum) {
            (Some(_), Some(checksum)) => return Ok(Origin::Content(checksum.into())),
            (Some(below), None) => return Ok(by_place(Path::new(below))),
            (None, _) => {}
        }
        let Some(path) = location::file_path(location).map(PathBuf::from) else {
            let validator = self.remote.validator(location).map_err(|error| error.to_string())?;
            return Ok(Origin::Remote { validator });
        };
        match (self.below(&path), checksum) {
            (Some(_), Some(checksum)) => Ok(Origin::Content(checksum.into())),
            (Some(below), None) => Ok(by_place(below)),
            (None, _) => local(&path, 0).map(Origin::Local).map_err(|error| error.to_string()),
        }
    }
}

/// What an attempt made, by where it is: no two attempts use one directory.
fn by_place(below: &Path) -> Origin {
    let name = below.to_string_lossy();
    Origin::Attempt { attempt: AttemptId { job: JobId(Arc::from("")), number: 0 }, path: name.into_owned() }
}

fn local(path: &Path, depth: usize) -> io::Result<Local> {
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other("its directories are nested too deeply"));
    }
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        return Ok(Local::File {
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: Some(nanoseconds(metadata.ctime(), metadata.ctime_nsec())),
        });
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push((name, local(&entry.path(), depth + 1)?));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Local::Directory(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(path: &Path) -> String {
        location::file_uri(path.to_str().expect("UTF-8"))
    }

    #[test]
    fn a_changed_file_has_another_origin_wherever_it_lies_in_a_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let origins = FileOrigins::new(vec![dir.path().join("store")], None, Arc::default());
        fs::create_dir_all(dir.path().join("d/e")).expect("it is made");
        let file = dir.path().join("d/e/x");
        fs::write(&file, "one").expect("it is written");
        for path in [&file, &dir.path().join("d")] {
            let before = origins.origin(&uri(path), Some("sha1$1")).expect("an origin");
            assert_eq!(origins.origin(&uri(path), Some("sha1$2")).expect("an origin"), before);
            fs::write(&file, format!("{before:?}")).expect("it is written");
            assert_ne!(origins.origin(&uri(path), Some("sha1$1")).expect("an origin"), before);
        }
    }

    #[test]
    fn what_the_run_made_is_known_by_its_content_or_else_by_its_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let origins = FileOrigins::new(vec![dir.path().join("store")], None, Arc::default());
        let a = uri(&dir.path().join("store/work/a/out/x"));
        let b = uri(&dir.path().join("store/work/b/out/x"));
        let origin = |location: &str, checksum| origins.origin(location, checksum).expect("an origin");
        assert_eq!(origin(&a, Some("sha1$1")), origin(&b, Some("sha1$1")));
        assert_ne!(origin(&a, Some("sha1$1")), origin(&a, Some("sha1$2")));
        assert_ne!(origin(&a, None), origin(&b, None));
    }

    #[test]
    fn what_is_gone_or_elsewhere_has_none_that_is_known() {
        let origins = FileOrigins::new(Vec::new(), None, Arc::default());
        assert!(origins.origin("file:///no/such", None).expect_err("gone").contains("No such file"));
        let remote = origins.origin("https://example.org/x", None);
        assert_eq!(remote, Ok(Origin::Remote { validator: None }));
        let made = FileOrigins::new(Vec::new(), Some("s3://b/run-1/files/".to_owned()), Arc::default());
        let origin = made.origin("s3://b/run-1/files/1/a/x", Some("sha1$1"));
        assert_eq!(origin, Ok(Origin::Content("sha1$1".into())));
    }
}
