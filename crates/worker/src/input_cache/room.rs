//! How much a cache keeps: what was not used for the longest time goes first, and nothing that an attempt has links to.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::lock::Lock;
use super::note::Note;
use crate::attempt_dir;
use crate::machine;

/// An entry.
struct Kept {
    key: String,
    bytes: u64,
    used: SystemTime,
}

/// The name of the lock of whoever makes room: two at once would remove too much.
pub(super) const LOCK: &str = "room";

/// Makes room for an entry of so many bytes, which is on the disk already; `false` if there is not enough. Removes as well
/// what dead processes left.
pub(super) fn make(folder: &Path, bytes: u64, limit: Option<u64>) -> io::Result<bool> {
    sweep(folder)?;
    let mut kept = list(&folder.join("entries"))?;
    let mut total: u64 = kept.iter().map(|entry| entry.bytes).sum();
    let free = machine::free_space(folder).unwrap_or(u64::MAX);
    let limit = limit.unwrap_or_else(|| free.saturating_add(total).saturating_add(bytes) / 4);
    if bytes > limit {
        return Ok(false);
    }
    kept.sort_by_key(|entry| entry.used);
    for entry in kept {
        if total.saturating_add(bytes) <= limit {
            break;
        }
        let path = folder.join("entries").join(&entry.key);
        if Note::read(&path.join("note")).is_none_or(|note| note.is_unused(&path.join("data"))) {
            remove(folder, &entry.key)?;
            total -= entry.bytes;
        }
    }
    Ok(total.saturating_add(bytes) <= limit)
}

fn list(entries: &Path) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(entries)? {
        let entry = entry?;
        let Ok(key) = entry.file_name().into_string() else { continue };
        let note = entry.path().join("note");
        // What is removed meanwhile, or is damaged, was never used.
        let used = fs::symlink_metadata(&note).and_then(|note| note.modified());
        let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
        kept.push(Kept { key, bytes: bytes(&entry.path().join("data")), used });
    }
    Ok(kept)
}

/// Bytes of all files at a path; 0 where nothing is.
pub(super) fn bytes(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| bytes(&entry.path())).sum()
        }
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}

/// Removes an entry: first its name, so that nobody takes the half of it.
pub(super) fn remove(folder: &Path, key: &str) -> io::Result<()> {
    let aside = folder.join("partial").join(attempt_dir::unique(REMOVED));
    match fs::rename(folder.join("entries").join(key), &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.and_then(|()| clear(&aside)),
    }
}

/// How names of what is being removed begin.
const REMOVED: &str = "removed";

/// Removes what dead processes left on its way, and their locks.
fn sweep(folder: &Path) -> io::Result<()> {
    let names = |part: &str| -> io::Result<Vec<String>> {
        let entries = fs::read_dir(folder.join(part))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    };
    for name in names("partial")? {
        let path = folder.join("partial").join(&name);
        // Who removes something does not mind help.
        let alone = if name.starts_with(REMOVED) {
            None
        } else {
            let Some(lock) = Lock::try_take(&folder.join("locks").join(&name))? else { continue };
            Some(lock)
        };
        clear(&path)?;
        drop(alone);
    }
    for name in names("locks")?.iter().filter(|name| *name != LOCK) {
        if let Some(lock) = Lock::try_take(&folder.join("locks").join(name))? {
            lock.remove();
        }
    }
    Ok(())
}

/// Sees that nothing is at a path; no link is followed.
pub(super) fn clear(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
