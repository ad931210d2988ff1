//! Contents in the directory of a job store: `files/ATTEMPT-RANDOM/NAME`, read-only.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use moil_cwl::location;
use moil_job::contents::{Contents, ContentsError};
use moil_job::spec::AttemptId;

use super::slug;

/// Keeps outputs below a directory. What lies there already (attempts may work in it) stays where it is; what comes
/// from elsewhere is moved, or copied where it is on another file system.
///
/// Files become read-only: jobs are given them in place, and a tool that changed one would spoil results that others
/// rely on. Nothing is synced: after a power cut results are checked before they are used.
pub struct FileContents {
    root: PathBuf,
}

impl FileContents {
    /// Contents below `root`, an absolute path without links.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn bring(&self, attempt: &AttemptId, path: &Path) -> io::Result<PathBuf> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let files = self.root.join("files");
        fs::create_dir_all(&files)?;
        let to = tempfile::Builder::new()
            .prefix(&format!("{}-", slug(attempt)))
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&files)?
            .keep()
            .join(name);
        match fs::rename(path, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                copy(path, &to)?;
                remove(path)?;
            }
            renamed => renamed?,
        }
        Ok(to)
    }
}

impl Contents for FileContents {
    fn keep(&self, attempt: &AttemptId, path: &Path) -> Result<String, ContentsError> {
        let failed = |error: &dyn std::fmt::Display| ContentsError {
            operation: format!("keep the output {} in {}", path.display(), self.root.display()),
            reason: error.to_string(),
        };
        let kept = match path.starts_with(&self.root) {
            true => path.to_owned(),
            false => self.bring(attempt, path).map_err(|error| failed(&error))?,
        };
        protect(&kept).map_err(|error| failed(&error))?;
        kept.to_str().map(location::file_uri).ok_or_else(|| failed(&"its name is not UTF-8"))
    }

    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }
}

/// Makes a file, or all files in a directory, read-only. Directories stay as they are, so that they can be removed.
pub(crate) fn protect(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            protect(&entry?.path())?;
        }
    } else if metadata.is_file() {
        let mode = metadata.permissions().mode();
        if mode & 0o222 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(mode & !0o222))?;
        }
    }
    Ok(())
}

/// Copies a file, a link as a link, or a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)
    } else if metadata.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, metadata.permissions())
    } else {
        fs::copy(from, to).map(drop)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_job::spec::JobId;

    fn attempt() -> AttemptId {
        AttemptId { job: JobId("call[3]/align".into()), number: 2 }
    }

    fn kept(contents: &FileContents, path: &Path) -> PathBuf {
        let location = contents.keep(&attempt(), path).expect("it is kept");
        PathBuf::from(location::file_path(&location).expect("a file"))
    }

    fn writable(path: &Path) -> bool {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o222 != 0
    }

    #[test]
    fn what_is_in_the_store_stays_and_what_is_elsewhere_is_moved() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("store");
        let contents = FileContents::new(&root);
        fs::create_dir_all(root.join("work/a")).expect("it is made");
        fs::write(root.join("work/a/x #1"), "x").expect("it is written");
        let inside = kept(&contents, &root.join("work/a/x #1"));
        assert_eq!(inside, root.join("work/a/x #1"));
        assert!(!writable(&inside));
        fs::create_dir_all(dir.path().join("d/e")).expect("it is made");
        fs::write(dir.path().join("d/e/y"), "y").expect("it is written");
        std::os::unix::fs::symlink("e/y", dir.path().join("d/l")).expect("it is linked");
        let moved = kept(&contents, &dir.path().join("d"));
        assert!(moved.starts_with(root.join("files")) && !dir.path().join("d").exists());
        assert_eq!(fs::read_to_string(moved.join("l")).expect("it is there"), "y");
        assert!(!writable(&moved.join("e/y")));
    }

    #[test]
    fn two_of_one_name_do_not_meet() {
        let dir = tempfile::tempdir().expect("a directory");
        let contents = FileContents::new(dir.path().join("store"));
        let both = ["a", "b"].map(|text| {
            fs::write(dir.path().join("x"), text).expect("it is written");
            kept(&contents, &dir.path().join("x"))
        });
        assert_eq!(both.map(|path| fs::read_to_string(path).expect("it is there")), ["a", "b"]);
    }

    #[test]
    fn from_another_file_system_it_is_copied_with_its_mode() {
        let Ok(memory) = tempfile::tempdir_in("/dev/shm") else { return };
        let dir = tempfile::tempdir().expect("a directory");
        let path = memory.path().join("tool");
        fs::write(&path, "x").expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is changed");
        let moved = kept(&FileContents::new(dir.path()), &path);
        assert_eq!(fs::metadata(&moved).expect("it is there").permissions().mode() & 0o777, 0o555);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let error =
            FileContents::new(dir.path()).keep(&attempt(), Path::new("/no/such")).expect_err("an error");
        assert!(error.to_string().starts_with("cannot keep the output /no/such in "), "{error}");
    }
}
