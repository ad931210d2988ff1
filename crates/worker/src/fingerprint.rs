//! Whether a file, or a directory with all that is in it, is still what it was: by sizes and times of modification.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Directories nested deeper than this have none.
const DEEPEST: usize = 200;

/// What tells one state of a file or directory from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    digest: u64,
    /// The bytes of all files.
    pub bytes: u64,
}

impl Fingerprint {
    /// That of what is at a path now. `None` where something is neither a file nor a directory: what a link leads to may
    /// change by itself.
    ///
    /// # Errors
    /// The system's.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let mut found = Self { digest: 0, bytes: 0 };
        let is_plain = found.add(path, &fs::symlink_metadata(path)?, 0)?;
        Ok(is_plain.then_some(found))
    }

    fn add(&mut self, path: &Path, metadata: &Metadata, depth: usize) -> io::Result<bool> {
        let mut hash = DefaultHasher::new();
        if metadata.is_file() {
            (metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hash);
            self.bytes += metadata.len();
        } else if !metadata.is_dir() || depth > DEEPEST {
            return Ok(false);
        }
        if depth > 0 {
            path.hash(&mut hash);
        }
        // A sum: directories are read in any order.
        self.digest = self.digest.wrapping_add(hash.finish());
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                if !self.add(&entry.path(), &entry.metadata()?, depth + 1)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_and_links_are_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("d");
        fs::create_dir_all(tree.join("e")).unwrap();
        fs::write(tree.join("e/f"), "12345").unwrap();
        let of = || Fingerprint::of(&tree).unwrap();
        let first = of().unwrap();
        assert_eq!((of(), first.bytes), (Some(first), 5));
        fs::write(tree.join("e/g"), "").unwrap();
        assert_ne!(of(), Some(first));
        fs::remove_file(tree.join("e/g")).unwrap();
        assert_eq!(of(), Some(first));
        fs::rename(tree.join("e/f"), tree.join("f")).unwrap();
        assert_ne!(of(), Some(first));
        std::os::unix::fs::symlink("f", tree.join("l")).unwrap();
        assert_eq!(of(), None);
        assert!(Fingerprint::of(&dir.path().join("none")).is_err());
    }
}
