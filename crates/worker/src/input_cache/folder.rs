//! Directories that are this user's alone: others may be at work in those around them.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

/// What is in a cache.
const PARTS: [&str; 3] = ["entries", "locks", "partial"];

/// Makes the directories of a cache where they are missing: `below` names those from `base` to it. Nobody else may be able
/// to put another one in the place of any of them.
///
/// # Errors
/// What is wrong with one of them.
pub(super) fn open(base: &Path, below: &[String]) -> io::Result<()> {
    let around = fs::metadata(base)?;
    let (writable, sticky) = (around.mode() & 0o002 != 0, around.mode() & 0o1000 != 0);
    if writable && !sticky {
        return Err(io::Error::other(format!(
            "all users may rename what is in {} (let it have mode 1777)",
            base.display()
        )));
    }
    let ours = fs::metadata("/proc/self")?.uid();
    let mut path = base.to_owned();
    for name in below {
        path.push(name);
        own(&path, ours)?;
    }
    PARTS.iter().try_for_each(|part| own(&path.join(part), ours))
}

/// Makes a directory that nobody else may enter.
pub(super) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn own(path: &Path, ours: u32) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match make(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            fs::symlink_metadata(path)?
        }
        found => found?,
    };
    match fault(&found, ours) {
        None => Ok(()),
        Some(fault) => Err(io::Error::other(format!("{} {fault}", path.display()))),
    }
}

fn fault(found: &Metadata, ours: u32) -> Option<&'static str> {
    if !found.is_dir() {
        Some("is no directory, or a link")
    } else if found.uid() != ours {
        Some("belongs to another user")
    } else if found.mode() & 0o022 != 0 {
        Some("can be written to by other users")
    } else {
        None
    }
}
