//! What one attempt leaves empty and the next one can use: the directory for temporary files and the logs.
//!
//! Some filesystems (ext4) look at every name that was freed lately before they make a new one, so that
//! making and removing three things for each of a thousand short jobs takes longer than the jobs.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::scratch;

/// What is spare in one thread. It lies where it was used last, and goes with the run's directory.
#[derive(Debug, Default)]
pub struct Spare {
    directory: RefCell<Option<PathBuf>>,
    files: RefCell<Vec<PathBuf>>,
}

/// One attempt has two logs.
const FILES: usize = 2;

impl Spare {
    /// Keeps a directory that is as good as new; removes any other, with what is in it.
    pub fn keep_directory(&self, path: &Path) {
        let mut kept = self.directory.borrow_mut();
        if kept.is_none() && is_empty_directory(path) {
            *kept = Some(path.to_owned());
        } else {
            scratch::remove(path);
        }
    }

    /// Keeps a file that is as good as new; removes any other.
    pub fn keep_file(&self, path: &Path) {
        let mut kept = self.files.borrow_mut();
        if kept.len() < FILES && is_empty_file(path) {
            kept.push(path.to_owned());
        } else {
            // What stays does no harm.
            let _ = fs::remove_file(path);
        }
    }

    /// Brings the spare directory to a place; `false` where there is none.
    pub fn take_directory(&self, to: &Path) -> bool {
        self.directory.borrow_mut().take().is_some_and(|from| fs::rename(from, to).is_ok())
    }

    /// Brings a spare file to a place, if there is one.
    pub fn take_file(&self, to: &Path) {
        if let Some(from) = self.files.borrow_mut().pop() {
            // Whoever wants the file makes it if it is not there.
            let _ = fs::rename(from, to);
        }
    }
}

fn is_empty_directory(path: &Path) -> bool {
    // A tool may have changed who can use it.
    let usual = fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.permissions().mode() & 0o7700 == 0o700);
    usual && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.len() == 0
            && metadata.nlink() == 1
            && metadata.permissions().mode() & 0o7700 == 0o600
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_good_as_new_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let spare = Spare::default();
        fs::create_dir_all(path("full/inner")).unwrap();
        fs::create_dir(path("closed")).unwrap();
        fs::set_permissions(path("closed"), fs::Permissions::from_mode(0o500)).unwrap();
        for name in ["full", "closed", "missing"] {
            spare.keep_directory(&path(name));
            assert!(!path(name).exists(), "{name}");
            assert!(!spare.take_directory(&path("new")), "{name}");
        }
        fs::create_dir(path("empty")).unwrap();
        spare.keep_directory(&path("empty"));
        assert!(spare.take_directory(&path("new")) && path("new").is_dir() && !path("empty").exists());
        assert!(!spare.take_directory(&path("other")));

        fs::write(path("told"), "x").unwrap();
        fs::write(path("one"), "").unwrap();
        fs::hard_link(path("one"), path("two")).unwrap();
        for name in ["told", "two", "missing"] {
            spare.keep_file(&path(name));
            spare.take_file(&path("log"));
            assert!(!path(name).exists() && !path("log").exists(), "{name}");
        }
        spare.keep_file(&path("one"));
        spare.take_file(&path("log"));
        assert!(path("log").is_file() && !path("one").exists());
    }
}
