//! Records as files below a directory, one file each, for many processes and machines that share it.
//!
//! A record is written under a name of its own, then given its real name by `link`, which of all callers on all
//! machines lets one succeed, on NFS as well. So a name that exists is whole. The answer to a `link` may be lost on
//! the way; the number of names that the written file has tells what became of it.
//!
//! The directory itself is never made here: once it is renamed or removed, everybody who still uses it fails, even if
//! another store takes its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Put, Records, RecordsError, check_name, check_prefix};
use crate::nonce::{hex, nonce};

/// Where records are written before they have their names. No record can have a name that begins with a dot.
const SCRATCH: &str = ".writing";

/// What stands at the beginning of every record, before its length and its hash.
const MAGIC: &str = "moil-record-1";

/// How old an unpublished record is when its writer is taken for dead. A writer that only slept fails, and nothing
/// else happens.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What a record survives when [`Records::put_if_absent`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the power supply. Costs some milliseconds for each record.
    Power,
    /// The end of the process that wrote it, as all files do. What was written in the last half minute before a power
    /// cut may be missing or damaged afterwards.
    Process,
}

/// Records below a directory.
#[derive(Debug)]
pub struct FileRecords {
    root: PathBuf,
    durability: Durability,
    writer: String,
    written: AtomicU64,
}

impl FileRecords {
    /// Makes an existing directory one that keeps records.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn create(root: &Path, durability: Durability) -> Result<Self, RecordsError> {
        let scratch = root.join(SCRATCH);
        fs::create_dir(&scratch).map_err(|error| failed("make", &scratch, &error))?;
        Ok(Self::new(root, durability))
    }

    /// Whether a directory is one that keeps records.
    pub fn is_at(root: &Path) -> bool {
        root.join(SCRATCH).is_dir()
    }

    /// Whether it is known that a directory is none that keeps records: it may also be out of reach.
    pub fn is_gone_from(root: &Path) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound};
        fs::metadata(root.join(SCRATCH)).is_err_and(|error| matches!(error.kind(), NotFound | NotADirectory))
    }

    /// The records of a directory, where [`FileRecords::create`] was called once. What writers that died left behind
    /// is removed.
    pub fn open(root: &Path, durability: Durability) -> Self {
        let records = Self::new(root, durability);
        // Whoever may only read cannot tidy up, and need not.
        let _ = records.sweep();
        records
    }

    fn new(root: &Path, durability: Durability) -> Self {
        let writer = format!("{}-{}", std::process::id(), nonce());
        Self { root: root.to_owned(), durability, writer, written: AtomicU64::new(0) }
    }

    fn path(&self, name: &str) -> Result<PathBuf, RecordsError> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    /// Writes a record under a name that nobody else uses.
    fn write(&self, bytes: &[u8]) -> Result<PathBuf, RecordsError> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(SCRATCH).join(format!("{}-{number}", self.writer));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(&sealed(bytes))?;
            if self.durability == Durability::Power {
                file.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|error: io::Error| {
            let _ = fs::remove_file(&path);
            failed("write", &path, &error)
        })?;
        Ok(path)
    }

    /// Does what needs the directory of `target`, and makes that directory if it is missing.
    fn in_directory<T>(&self, target: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let done = match act() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_directories(target)?;
                act()?
            }
            done => done?,
        };
        if self.durability == Durability::Power
            && let Some(directory) = target.parent()
        {
            sync_directory(directory)?;
        }
        Ok(done)
    }

    /// Makes the directories between the root and a record; never the root.
    fn make_directories(&self, target: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = target.ancestors().skip(1).take_while(|path| *path != self.root).collect();
        for directory in missing.into_iter().rev() {
            match fs::create_dir(directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Ok(()) if self.durability == Durability::Power => {
                    directory.parent().map_or(Ok(()), sync_directory)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes what writers that died left behind. Ages are told by the clock that dates the files.
    fn sweep(&self) -> io::Result<()> {
        let left: Vec<_> = fs::read_dir(self.root.join(SCRATCH))?.flatten().collect();
        if left.is_empty() {
            return Ok(());
        }
        let Ok(probe) = self.write(b"") else { return Ok(()) };
        let now = fs::metadata(&probe)?.modified()?;
        fs::remove_file(&probe)?;
        for entry in left {
            let age =
                entry.metadata().and_then(|about| about.modified()).map(|then| now.duration_since(then));
            if matches!(age, Ok(Ok(age)) if age > ABANDONED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn collect(
        &self,
        directory: &Path,
        above: &str,
        prefix: &str,
        names: &mut Vec<String>,
    ) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(|name| format!("{above}{name}")) else {
                continue;
            };
            if check_name(&name).is_err() {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let below = name + "/";
                if below.starts_with(prefix) || prefix.starts_with(&below) {
                    self.collect(&entry.path(), &below, prefix, names)?;
                }
            } else if kind.is_file() && name.starts_with(prefix) {
                names.push(name);
            }
        }
        Ok(())
    }
}

impl Records for FileRecords {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        let target = self.path(name)?;
        let written = self.write(bytes)?;
        let put = self.in_directory(&target, || match self.durability {
            // On a file system of one machine answers are not lost, and one step does for two.
            Durability::Process => rename_if_absent(&written, &target),
            Durability::Power => publish(&written, &target),
        });
        if self.durability == Durability::Power || !matches!(put, Ok(Put::Stored)) {
            let _ = fs::remove_file(&written);
        }
        put.map_err(|error| failed("store", &target, &error))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        let target = self.path(name)?;
        let written = self.write(bytes)?;
        self.in_directory(&target, || fs::rename(&written, &target)).map_err(|error| {
            let _ = fs::remove_file(&written);
            failed("store", &target, &error)
        })
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        let path = self.path(name)?;
        let bytes = match read(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            bytes => bytes.map_err(|error| failed("read", &path, &error))?,
        };
        match opened(bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(reason) => Err(RecordsError::Damaged {
                name: path.display().to_string(),
                reason,
                advice: "restore the file from a backup, or remove the job store and start afresh".to_owned(),
            }),
        }
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        check_prefix(prefix)?;
        let (directory, above) = match prefix.rsplit_once('/') {
            Some((directory, _)) => (self.root.join(directory), &prefix[..=directory.len()]),
            None => (self.root.clone(), ""),
        };
        let mut names = Vec::new();
        self.collect(&directory, above, prefix, &mut names)
            .map_err(|error| failed("list", &directory, &error))?;
        names.retain(|name| after.is_none_or(|after| name.as_str() > after));
        names.sort_unstable();
        Ok(names)
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        let paths = names.iter().map(|name| self.path(name)).collect::<Result<Vec<_>, _>>()?;
        for path in paths {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(failed("delete", &path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Gives a written file its real name, if that is free, and takes the other away.
fn rename_if_absent(written: &Path, target: &Path) -> io::Result<Put> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, written, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Put::Stored),
        Err(Errno::EXIST) => Ok(Put::Exists),
        Err(Errno::INVAL | Errno::NOSYS) => {
            let put = publish(written, target)?;
            let _ = fs::remove_file(written);
            Ok(put)
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives a written file its real name, if that is free.
fn publish(written: &Path, target: &Path) -> io::Result<Put> {
    let Err(error) = fs::hard_link(written, target) else { return Ok(Put::Stored) };
    // Opened anew, because NFS clients remember what they knew of a file that they have open.
    let names = File::open(written).and_then(|file| file.metadata()).map(|about| about.nlink());
    match names {
        Ok(2..) => Ok(Put::Stored),
        Ok(_) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Exists),
        _ => Err(error),
    }
}

/// Reads a file; NFS may say once that what it knew of the name is out of date.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => fs::read(path),
        read => read,
    }
}

/// Makes what was put into a directory survive a power cut, where the file system can do that.
fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// The bytes of a record with what shows later whether they are whole.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = format!("{MAGIC} {} {}\n", bytes.len(), hash(bytes)).into_bytes();
    sealed.extend_from_slice(bytes);
    sealed
}

/// The bytes of a record, or what is wrong with them.
fn opened(mut file: Vec<u8>) -> Result<Vec<u8>, String> {
    let end = file.iter().position(|byte| *byte == b'\n').ok_or("it is cut off")?;
    let head = str::from_utf8(&file[..end]).map_err(|_| "its first line is not moil's")?;
    let mut words = head.split(' ');
    if words.next() != Some(MAGIC) {
        return Err("its first line is not moil's".to_owned());
    }
    let (length, sum) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    file.drain(..=end);
    if length != file.len().to_string() {
        return Err(format!("it has {} bytes and should have {length}", file.len()));
    }
    if sum != hash(&file) {
        return Err("its bytes have been changed".to_owned());
    }
    Ok(file)
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn failed(operation: &'static str, path: &Path, error: &io::Error) -> RecordsError {
    let advice = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room, then continue with --restart",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "; the job store must be writable",
        ErrorKind::NotFound => "; the job store is gone: it was cleaned or removed",
        ErrorKind::Unsupported => "; job stores need a file system with hard links",
        _ => "",
    };
    // Hard links that a file system does not have are refused as something that is not permitted.
    let advice = match operation {
        "store" if error.raw_os_error() == Some(libc::EPERM) => {
            "; job stores need a file system with hard links"
        }
        _ => advice,
    };
    RecordsError::Failed { operation, name: path.display().to_string(), reason: format!("{error}{advice}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn fresh(durability: Durability) -> (tempfile::TempDir, FileRecords) {
        let directory = tempfile::tempdir().expect("a directory");
        let records = FileRecords::create(directory.path(), durability).expect("records");
        (directory, records)
    }

    #[test]
    fn a_link_whose_answer_is_lost_counts_by_the_number_of_names() {
        let (_directory, records) = fresh(Durability::Process);
        let written = records.write(b"mine").expect("written");
        let target = records.root.join("name");
        // As a repeated request finds it: the first one did the work, and only its answer was lost.
        fs::hard_link(&written, &target).expect("linked");
        assert_eq!(publish(&written, &target).expect("judged"), Put::Stored);
        let other = records.write(b"other").expect("written");
        assert_eq!(publish(&other, &target).expect("judged"), Put::Exists);
    }

    #[test]
    fn damage_is_told_and_never_returned() {
        let (_directory, records) = fresh(Durability::Power);
        records.put_if_absent("a/b", b"0123456789").expect("stored");
        let path = records.root.join("a/b");
        let whole = fs::read(&path).expect("read");
        let mut changed = whole.clone();
        *changed.last_mut().expect("bytes") ^= 1;
        let cases = [
            (Vec::new(), "it is cut off"),
            (whole[..20].to_vec(), "it is cut off"),
            (whole[..whole.len() - 1].to_vec(), "it has 9 bytes and should have 10"),
            (changed, "its bytes have been changed"),
            (b"hello\nworld".to_vec(), "its first line is not moil's"),
            (vec![0; 4096], "it is cut off"),
        ];
        for (bytes, words) in cases {
            fs::write(&path, bytes).expect("written");
            let Err(RecordsError::Damaged { name, reason, advice }) = records.get("a/b") else {
                panic!("{words}: not told")
            };
            assert_eq!((name, reason.as_str()), (path.display().to_string(), words));
            assert!(advice.contains("backup"));
        }
    }

    #[test]
    fn what_dead_writers_left_is_removed_and_what_is_being_written_is_not() {
        let (directory, records) = fresh(Durability::Process);
        let (dead, alive) =
            (records.write(b"dead").expect("written"), records.write(b"alive").expect("written"));
        let long_ago = SystemTime::now() - ABANDONED - Duration::from_secs(60);
        File::options().write(true).open(&dead).and_then(|file| file.set_modified(long_ago)).expect("dated");
        FileRecords::open(directory.path(), Durability::Process);
        assert!(!dead.exists() && alive.exists());
        // A writer that was only asleep is told; it can try again.
        let target = directory.path().join("name");
        assert!(publish(&dead, &target).is_err());
    }

    #[test]
    fn a_store_that_is_removed_or_renamed_is_never_made_again_by_who_still_uses_it() {
        let above = tempfile::tempdir().expect("a directory");
        let root = above.path().join("store");
        fs::create_dir(&root).expect("made");
        let records = FileRecords::create(&root, Durability::Process).expect("records");
        records.put_if_absent("journal/1", b"1").expect("stored");
        fs::rename(&root, above.path().join("deleted")).expect("renamed");
        for name in ["journal/2", "new", "other/1"] {
            let error = records.put_if_absent(name, b"2").expect_err("refused");
            assert!(error.to_string().contains("the job store is gone"), "{error}");
            assert!(records.replace(name, b"2").is_err());
        }
        assert!(!root.exists());
        assert_eq!(records.get("journal/1"), Ok(None));
    }

    #[test]
    fn what_is_out_of_reach_is_not_taken_for_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("kept")).expect("it is made");
        FileRecords::create(&at("kept"), Durability::Process).expect("it is made");
        std::os::unix::fs::symlink("loop", at("loop")).expect("it is linked");
        fs::write(at("file"), "").expect("it is written");
        let gone = ["kept", "loop", "file", "none"].map(|name| FileRecords::is_gone_from(&at(name)));
        assert_eq!(gone, [false, false, true, true]);
    }
}
