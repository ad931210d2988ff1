//! Who brings something holds its lock: a file that is gone when it is there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Fault, Result, room};
use crate::cancel::Cancel;

/// The longest pause between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(100);

/// A lock (`flock`) that is freed when its holder lets it go or dies.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
    /// What its holder tells those who wait for it stands in it.
    is_marked: bool,
}

/// Who held it was of no use to those who wait: they need not try one after the other.
const MARK: &[u8] = b"in vain";

impl Lock {
    /// Takes it; `work` is where its holder writes.
    ///
    /// # Errors
    /// [`Fault::Unfit`] if its holder was of no use, or has brought nothing for as long as `patience`; [`Fault::Fetch`] if it
    /// was cancelled.
    pub(super) fn take(path: &Path, work: &Path, patience: Duration, cancel: &Cancel) -> Result<Self> {
        let mut pause = Duration::from_millis(5);
        let (mut seen, mut since) = (None, Instant::now());
        let mut has_waited = false;
        loop {
            if let Some(mut lock) = Self::try_take(path)? {
                if has_waited && lock.is_marked {
                    return Err(Fault::Unfit);
                }
                lock.file.set_len(0)?;
                lock.is_marked = false;
                return Ok(lock);
            }
            has_waited = true;
            if cancel.is_cancelled() {
                return Err(Fault::Fetch("it was given up".to_owned()));
            }
            if since.elapsed() >= patience {
                let there = room::bytes(work);
                if seen == Some(there) || patience.is_zero() {
                    return Err(Fault::Unfit);
                }
                (seen, since) = (Some(there), Instant::now());
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// Takes it if nobody has it.
    pub(super) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Who had it before may have removed it since it was opened; then it keeps nobody off.
            let inode = file.metadata()?.ino();
            if fs::symlink_metadata(path).is_ok_and(|there| there.ino() == inode) {
                let mut said = Vec::new();
                file.read_to_end(&mut said)?;
                return Ok(Some(Self { path: path.to_owned(), file, is_marked: said == MARK }));
            }
        }
    }

    /// Tells those who wait for it that they do so in vain.
    pub(super) fn mark(&mut self) {
        // Without it they try one after the other.
        self.is_marked = self.file.write_all_at(MARK, 0).is_ok();
    }

    /// It is of no use to anybody any more.
    pub(super) fn remove(mut self) {
        self.is_marked = false;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.is_marked {
            // One that stays is removed by whoever makes room.
            let _ = fs::remove_file(&self.path);
        }
        // Not by closing it: a process that another thread forks at this moment has the file open, too.
        let _ = self.file.unlock();
    }
}
