//! Removing what nobody needs any more.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Removes a directory and all in it, also where the tool took its own permissions away. What
/// cannot be removed stays: it is scratch, and no reason for a job to fail.
pub fn remove(directory: &Path) {
    // Most often it is empty.
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        _ => return,
    }
    if fs::remove_dir_all(directory).is_err() {
        make_writable(directory, 0);
        let _ = fs::remove_dir_all(directory);
    }
}

/// Removes what lies in a directory, but for what is wanted or around it: files that a tool left and nobody asked
/// for would fill the disk until the end of the run.
pub fn remove_but(directory: &Path, wanted: &[PathBuf]) {
    let mut names: HashSet<&OsStr> = HashSet::new();
    for path in wanted {
        let Ok(inside) = path.strip_prefix(directory) else { continue };
        match inside.components().next() {
            Some(first) => names.insert(first.as_os_str()),
            // The directory itself.
            None => return,
        };
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if names.contains(&*entry.file_name()) {
            continue;
        }
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&path);
        } else {
            // What stays is scratch.
            let _ = fs::remove_file(path);
        }
    }
}

/// Deeper than this nothing is looked at: paths of the system end long before.
const DEEPEST: usize = 2_000;

/// Lets the owner into a directory and all below it.
pub(crate) fn make_writable(directory: &Path, depth: usize) {
    let Ok(metadata) = fs::symlink_metadata(directory) else { return };
    if !metadata.is_dir() || depth > DEEPEST {
        return;
    }
    let mode = metadata.permissions().mode();
    if mode & 0o700 != 0o700 {
        let _ = fs::set_permissions(directory, fs::Permissions::from_mode(mode | 0o700));
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path(), depth + 1);
        }
    }
}

/// Cuts a log to its last `most` bytes, with a first line that says so.
pub fn shorten_log(log: &Path, most: Option<u64>) -> io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    let Some(most) = most else { return Ok(()) };
    let mut file = match fs::OpenOptions::new().read(true).write(true).open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let size = file.metadata()?.len();
    if size <= most {
        return Ok(());
    }
    let mut read_at = size - most;
    let mut write_at = 0;
    let first = format!("[the first {read_at} bytes were cut off]\n");
    let mut kept = first.into_bytes();
    let mut buffer = vec![0; 1 << 20];
    // The reader is always a buffer ahead of the writer.
    loop {
        file.seek(SeekFrom::Start(read_at))?;
        // What was written meanwhile is not part of the log.
        let left = usize::try_from(size - read_at).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read(buffer.get_mut(..left).unwrap_or_default())?;
        file.seek(SeekFrom::Start(write_at))?;
        file.write_all(&kept)?;
        write_at += kept.len() as u64;
        if count == 0 {
            break;
        }
        read_at += count as u64;
        kept = buffer.get(..count).unwrap_or_default().to_vec();
    }
    file.set_len(write_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_without_permissions_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("tmp");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/file"), "x").unwrap();
        for inner in ["a/b", "a"] {
            fs::set_permissions(top.join(inner), fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove(&top);
        assert!(!top.exists());
        remove(&top);
    }

    #[test]
    fn what_nobody_wants_goes_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        for made in ["a/deep/er", "a-b", "a.c", "gone/deep", "whole/in"] {
            fs::create_dir_all(out.join(made)).unwrap();
        }
        for name in ["a/deep/er/x", "a/other", "a-b/y", "keep", "keep.log", "gone/deep/z", "whole/in/v"] {
            fs::write(out.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(out.join("keep"), out.join("link")).unwrap();
        let wanted = |names: &[&str]| names.iter().map(|name| out.join(name)).collect::<Vec<PathBuf>>();
        remove_but(&out, &wanted(&["a/deep/er/x", "keep", "whole"]));
        let mut left: Vec<String> =
            fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["a", "keep", "whole"]);
        for name in ["a/deep/er/x", "a/other", "whole/in/v"] {
            assert!(out.join(name).exists(), "{name}");
        }
        remove_but(&out, std::slice::from_ref(&out));
        assert!(out.join("keep").exists());
        remove_but(&out, &[]);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tmp")).unwrap();
        fs::create_dir_all(dir.path().join("keep/me")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("keep"), dir.path().join("tmp/link")).unwrap();
        remove(&dir.path().join("tmp"));
        assert!(dir.path().join("keep/me").exists());
    }

    #[test]
    fn logs_are_cut_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let check = |content: &str, most: Option<u64>, expected: &str| {
            fs::write(&log, content).unwrap();
            shorten_log(&log, most).unwrap();
            assert_eq!(fs::read_to_string(&log).unwrap(), expected);
        };
        check("abc", None, "abc");
        check("abc", Some(3), "abc");
        let long = "x".repeat(3 << 20) + "end";
        let cut = format!("[the first {} bytes were cut off]\n{}end", 1 << 20, "x".repeat(2 << 20));
        check(&long, Some((2 << 20) + 3), &cut);
        check("aaaaaaaaaabc", Some(2), "[the first 10 bytes were cut off]\nbc");
        shorten_log(&dir.path().join("missing"), Some(1)).unwrap();
    }
}
