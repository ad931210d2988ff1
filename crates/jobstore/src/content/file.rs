//! Contents in the directory of a job store: `files/ATTEMPT-RANDOM/NAME`, read-only; of inputs that were brought there,
//! `files/imports-RANDOM/NAME`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use moil_cwl::location;
use moil_job::contents::{Contents, ContentsError};
use moil_job::spec::AttemptId;

use super::imports::Import;
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

    /// A path that nothing has yet, for something that lies at another one.
    fn free(&self, slug: &str, path: &Path) -> io::Result<PathBuf> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let files = self.root.join("files");
        fs::create_dir_all(&files)?;
        let to = tempfile::Builder::new()
            .prefix(&format!("{slug}-"))
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&files)?;
        Ok(to.keep().join(name))
    }

    fn bring(&self, attempt: &AttemptId, path: &Path) -> io::Result<PathBuf> {
        let to = self.free(&slug(attempt), path)?;
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

impl Import for FileContents {
    fn import(&self, path: &Path) -> Result<String, ContentsError> {
        let failed = |error: &dyn std::fmt::Display| ContentsError {
            operation: format!("bring the input {} to {}", path.display(), self.root.display()),
            reason: error.to_string(),
        };
        let brought = self.free("imports", path).and_then(|to| {
            copy_contents(path, &to)?;
            protect(&to)?;
            Ok(to)
        });
        let brought = brought.map_err(|error| failed(&error))?;
        brought.to_str().map(location::file_uri).ok_or_else(|| failed(&"its name is not UTF-8"))
    }

    fn import_directory(&self, path: &Path) -> Result<String, ContentsError> {
        self.import(path)
    }
}

/// Copies a file, or a directory with all that is in it, and not links: workers may not see what these lead to.
fn copy_contents(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::metadata(from)?.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy_contents(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
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
    fn inputs_that_workers_do_not_see_are_copied_once_and_followed() {
        use crate::content::imports::Imports;
        use moil_cwl::value::{Directory, File, Value};
        use std::sync::Arc;

        let dir = tempfile::tempdir().expect("a directory");
        let (root, shared) = (dir.path().join("store"), dir.path().join("shared"));
        for path in [&root, &shared, &dir.path().join("d/e")] {
            fs::create_dir_all(path).expect("it is made");
        }
        fs::write(dir.path().join("x"), "x").expect("it is written");
        fs::write(dir.path().join("d/e/y"), "y").expect("it is written");
        std::os::unix::fs::symlink(dir.path().join("x"), dir.path().join("d/l")).expect("it is linked");
        fs::write(shared.join("s"), "s").expect("it is written");
        let uri = |path: &Path| Some(location::file_uri(path.to_str().expect("UTF-8")).into());
        let file = |path: &Path| Value::File(Arc::new(File { location: uri(path), ..File::default() }));
        let inputs = Value::list(vec![
            file(&dir.path().join("x")),
            file(&dir.path().join("x")),
            file(&shared.join("s")),
            Value::Directory(Arc::new(Directory {
                location: uri(&dir.path().join("d")),
                ..Directory::default()
            })),
            file(&dir.path().join("d/e/y")),
        ]);
        let seen = {
            let shared = shared.clone();
            move |path: &Path| path.starts_with(&shared)
        };
        let imports = Imports::new(FileContents::new(&root), Box::new(seen), Arc::default(), Arc::default());
        let brought = imports.bring(&inputs).expect("they are brought");
        assert_eq!(imports.bring(&inputs).expect("again"), brought, "each once");
        let paths: Vec<PathBuf> = brought
            .as_list()
            .expect("a list")
            .iter()
            .map(|item| match item {
                Value::File(file) => file.location.clone(),
                Value::Directory(directory) => directory.location.clone(),
                _ => None,
            })
            .map(|location| location::file_path(&location.expect("a location")).expect("a file").into())
            .collect();
        assert_eq!((&paths[0], &paths[2]), (&paths[1], &shared.join("s")));
        assert!(paths[0].starts_with(&root) && !writable(&paths[0]));
        assert_eq!(fs::read_to_string(paths[3].join("l")).expect("it is there"), "x");
        assert!(fs::symlink_metadata(paths[3].join("l")).expect("it is there").is_file());
        assert_eq!(paths[4], paths[3].join("e/y"));
        assert!(dir.path().join("x").exists() && writable(&dir.path().join("x")), "they stay as they were");
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let error =
            FileContents::new(dir.path()).keep(&attempt(), Path::new("/no/such")).expect_err("an error");
        assert!(error.to_string().starts_with("cannot keep the output /no/such in "), "{error}");
    }
}
