//! How safely a store must be written, by where it lies and who works for it.

use std::fs;
use std::path::Path;

use super::Workers;
use crate::records::file::Durability;

/// File systems of one machine: what a process wrote is seen by all others, and stays when it is killed. Others keep
/// what they could not store yet to themselves, and say so only if they are asked.
const LOCAL: &[&str] =
    &["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs", "tmpfs", "overlay"];

/// How safely the records at a path are to be written.
pub(super) fn wanted(path: &Path, workers: Workers) -> Durability {
    let is_local = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        kind(&mounts, &path).is_some_and(|kind| LOCAL.contains(&kind))
    };
    if workers == Workers::Here && is_local() { Durability::Process } else { Durability::Power }
}

/// The kind of the file system at a path, from the system's list of mounts (proc(5)).
fn kind<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mut best = None;
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else { continue };
        let point = unescaped(point);
        // Of two mounts at one place the later one hides the other.
        if path.starts_with(&point) && best.as_ref().is_none_or(|(length, _)| point.len() >= *length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

/// A mount point as it is: blanks, tabs, line ends and backslashes are written as `\` and three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_and_latest_mount_counts() {
        let mounts = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /tmp rw - tmpfs tmpfs rw
31 22 0:44 / /data rw shared:2 master:1 - xfs /dev/b rw
32 31 0:45 / /data rw - nfs4 server:/x rw
33 22 0:46 / /my\\040disk rw - fuse.sshfs x rw
34 22 0:47 / /proc rw - proc proc rw
";
        for (path, expected) in [
            ("/home/x", "ext4"),
            ("/tmp/x", "tmpfs"),
            ("/tmpx", "ext4"),
            ("/data/store", "nfs4"),
            ("/my disk/store", "fuse.sshfs"),
        ] {
            assert_eq!(kind(mounts, Path::new(path)), Some(expected), "{path}");
        }
        assert_eq!(kind("", Path::new("/")), None);
    }

    #[test]
    fn a_store_is_written_through_unless_all_ends_with_the_machine() {
        let here = tempfile::tempdir().expect("a directory");
        assert_eq!(wanted(here.path(), Workers::Elsewhere), Durability::Power);
        assert_eq!(wanted(Path::new("/proc/self"), Workers::Here), Durability::Power);
    }
}
