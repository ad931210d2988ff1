//! The engine's own cache: layers (`blob`, an OCI layout) and finished images (`oci-tmp`). The engine takes no locks
//! around it and checks nothing in it, so the store does, while it holds the lock of the cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::seal;
use crate::sif;

/// How long nothing must have been written to an unfinished file before it is taken for a leftover. Engines that
/// know nothing of our lock may be at work here, too.
const LEFTOVER: Duration = Duration::from_secs(3600);

/// Removes what would fail every pull: an index that is no JSON, finished images that were cut off, and leftovers of
/// dead pulls. Reads little. Returns what was removed.
pub(crate) fn repair(cache: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    let index = cache.join("cache/blob/index.json");
    match fs::read(&index) {
        Ok(text) if !looks_like_json(&text) => remove(&index, &mut removed)?,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for path in files(&cache.join("cache/oci-tmp"))? {
        let unfinished = name(&path).starts_with("tmp_");
        if if unfinished { is_leftover(&path) } else { is_cut_off(&path) } {
            remove(&path, &mut removed)?;
        }
    }
    for path in files(&cache.join("cache/blob/blobs/sha256"))? {
        if name(&path).len() > 64 && is_leftover(&path) {
            remove(&path, &mut removed)?;
        }
    }
    Ok(removed)
}

/// Removes layers whose contents are not what their name says. Reads all of them, which may take minutes: for when a
/// pull has failed and nobody knows why. Before each it asks whether to go on.
pub(crate) fn remove_wrong_blobs(cache: &Path, go_on: &dyn Fn() -> bool) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for path in files(&cache.join("cache/blob/blobs/sha256"))? {
        if !go_on() {
            break;
        }
        if name(&path).len() == 64 && seal::digest(&path)? != name(&path) {
            remove(&path, &mut removed)?;
        }
    }
    Ok(removed)
}

/// Removes everything. Images in the store stay; the next pull fetches all layers anew.
pub(crate) fn clear(cache: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for folder in ["cache/blob/blobs/sha256", "cache/oci-tmp"] {
        for path in files(&cache.join(folder))? {
            bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            fs::remove_file(&path)?;
        }
    }
    match fs::remove_file(cache.join("cache/blob/index.json")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(bytes),
    }
}

/// The engine writes the index in place: whoever is killed in that instant leaves it empty or cut off.
fn looks_like_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.starts_with(b"{") && text.ends_with(b"}")
}

/// Other things than SIF files (directories, for one) are not ours to judge.
fn is_cut_off(path: &Path) -> bool {
    matches!(
        sif::check(path),
        Err(sif::SifError::CutOff { .. } | sif::SifError::NotSif | sif::SifError::NoRoot)
    )
}

fn is_leftover(path: &Path) -> bool {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFTOVER))
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The plain files of a folder; none where there is no folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn remove(path: &Path, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    fs::remove_file(path)?;
    removed.push(path.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn cache() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = folder.path().join("cache/blob/blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        fs::create_dir_all(folder.path().join("cache/oci-tmp")).unwrap();
        (folder, blobs)
    }

    fn age(path: &Path, seconds: u64) {
        let at = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    fn names(removed: &[PathBuf]) -> Vec<&str> {
        let mut names: Vec<&str> = removed.iter().map(|path| name(path)).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_cache_that_is_not_there_is_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert!(repair(folder.path()).unwrap().is_empty());
        assert!(remove_wrong_blobs(folder.path(), &|| true).unwrap().is_empty());
        assert_eq!(clear(folder.path()).unwrap(), 0);
    }

    #[test]
    fn an_index_that_is_no_json_is_removed() {
        for (text, expected) in [("", true), ("{\"manifests\": [", true), ("{}\n", false)] {
            let (folder, _) = cache();
            fs::write(folder.path().join("cache/blob/index.json"), text).unwrap();
            assert_eq!(names(&repair(folder.path()).unwrap()) == ["index.json"], expected, "{text}");
        }
    }

    #[test]
    fn old_unfinished_files_are_removed_and_fresh_ones_left() {
        let (folder, blobs) = cache();
        let images = folder.path().join("cache/oci-tmp");
        for path in [blobs.join(format!("{EMPTY}123")), images.join("tmp_1")] {
            fs::write(&path, "half").unwrap();
            age(&path, 7200);
        }
        for path in [blobs.join(format!("{EMPTY}456")), images.join("tmp_2"), blobs.join(EMPTY)] {
            fs::write(&path, "").unwrap();
        }
        assert_eq!(names(&repair(folder.path()).unwrap()), [&format!("{EMPTY}123"), "tmp_1"]);
    }

    #[test]
    fn a_finished_image_that_was_cut_off_is_removed() {
        let (folder, _) = cache();
        fs::write(folder.path().join("cache/oci-tmp/abc"), "no image").unwrap();
        assert_eq!(names(&repair(folder.path()).unwrap()), ["abc"]);
    }

    #[test]
    fn a_layer_with_other_contents_is_removed() {
        let (folder, blobs) = cache();
        fs::write(blobs.join(EMPTY), "").unwrap();
        let wrong = EMPTY.replace('e', "f");
        fs::write(blobs.join(&wrong), "").unwrap();
        assert_eq!(names(&remove_wrong_blobs(folder.path(), &|| true).unwrap()), [&wrong]);
    }
}
