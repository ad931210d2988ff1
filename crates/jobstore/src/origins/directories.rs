//! What is in local directories, looked through once in a run however many jobs have them.
//!
//! Whether one is still what it was is asked of its directories alone, not of its files: that shows what came and went.
//! Of a file that is written into meanwhile the jobs of this run are recorded with what it was at first. No later run
//! sees that again, so nothing that was made with other content is taken for it. What a tool changes in place is never
//! one of these: of what was there before the run it gets a copy.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::nonce::hex;

/// How deep directories may be nested.
const DEPTH_LIMIT: usize = 200;

/// How many directories are remembered.
const REMEMBERED: usize = 256;

/// The directories that were looked through.
#[derive(Default)]
pub(super) struct Directories(Mutex<HashMap<PathBuf, Arc<Mutex<Option<Looked>>>>>);

/// What was found in a directory.
struct Looked {
    digest: Arc<str>,
    /// It, and all directories in it, as they were before they were read.
    directories: Vec<(PathBuf, State)>,
}

/// Device, inode, and times of modification and change.
type State = (u64, u64, [i64; 4]);

fn state(metadata: &Metadata) -> State {
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    (metadata.dev(), metadata.ino(), times)
}

impl Directories {
    /// A digest of all that is in a directory: names, and of files size and times. Whoever asks for the same in the
    /// meantime waits.
    pub(super) fn digest(&self, path: &Path) -> io::Result<Arc<str>> {
        let place = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED && !known.contains_key(path) {
                known.clear();
            }
            Arc::clone(known.entry(path.to_owned()).or_default())
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(looked) = &*place
            && looked.is_current()
        {
            return Ok(Arc::clone(&looked.digest));
        }
        let mut directories = Vec::new();
        let digest: Arc<str> = hex(&look(path, 0, &mut directories)?).into();
        *place = Some(Looked { digest: Arc::clone(&digest), directories });
        Ok(digest)
    }
}

impl Looked {
    fn is_current(&self) -> bool {
        let is_same = |(path, before): &(PathBuf, State)| {
            fs::metadata(path).is_ok_and(|metadata| metadata.is_dir() && state(&metadata) == *before)
        };
        self.directories.iter().all(is_same)
    }
}

fn look(path: &Path, depth: usize, directories: &mut Vec<(PathBuf, State)>) -> io::Result<Vec<u8>> {
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other("its directories are nested too deeply"));
    }
    directories.push((path.to_owned(), state(&fs::metadata(path)?)));
    let mut names: Vec<_> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    // Disks give them in any order.
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        let path = path.join(&name);
        let metadata = fs::metadata(&path)?;
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        if metadata.is_dir() {
            hash.update(b"directory");
            hash.update(look(&path, depth + 1, directories)?);
        } else {
            hash.update(b"file");
            hash.update(metadata.len().to_le_bytes());
            state(&metadata).2.iter().for_each(|part| hash.update(part.to_le_bytes()));
        }
    }
    Ok(hash.finalize().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_looked_through_once_until_something_comes_or_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("d");
        fs::create_dir_all(root.join("e/f")).expect("it is made");
        fs::write(root.join("e/f/x"), "one").expect("it is written");
        let directories = Directories::default();
        let digest = || directories.digest(&root).expect("a digest");
        let first = digest();
        // Shows that the files were not asked.
        fs::write(root.join("e/f/x"), "longer").expect("it is written");
        assert_eq!(digest(), first);
        assert_ne!(*Directories::default().digest(&root).expect("a digest"), *first, "another run sees it");
        let changes: [&dyn Fn() -> io::Result<()>; 4] = [
            &|| fs::write(root.join("e/f/y"), ""),
            &|| fs::remove_file(root.join("e/f/y")),
            &|| fs::rename(root.join("e/f"), root.join("e/g")),
            &|| fs::create_dir(root.join("empty")),
        ];
        let mut before = vec![first];
        for (number, change) in changes.iter().enumerate() {
            change().expect("it is changed");
            let after = digest();
            assert!(!before.contains(&after), "change {number}");
            assert_eq!(digest(), after);
            before.push(after);
        }
        fs::remove_dir_all(&root).expect("it is removed");
        assert!(directories.digest(&root).is_err(), "what is gone has none");
    }

    #[test]
    fn names_and_places_are_told_apart() {
        let digest = |paths: &[&str]| {
            let dir = tempfile::tempdir().expect("a directory");
            for path in paths {
                let path = dir.path().join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("it is made");
                fs::create_dir(path).expect("it is made");
            }
            Directories::default().digest(dir.path()).expect("a digest")
        };
        assert_eq!(digest(&["a", "b"]), digest(&["b", "a"]));
        assert_ne!(digest(&["a/b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["ab"]), digest(&["a/b"]));
    }

    #[test]
    fn many_directories_are_not_remembered_for_ever() {
        let dir = tempfile::tempdir().expect("a directory");
        let directories = Directories::default();
        for number in 0..REMEMBERED * 2 {
            let path = dir.path().join(number.to_string());
            fs::create_dir(&path).expect("it is made");
            directories.digest(&path).expect("a digest");
        }
        assert!(directories.0.lock().expect("not poisoned").len() <= REMEMBERED);
    }
}
