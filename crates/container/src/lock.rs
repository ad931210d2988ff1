//! File locks (`flock`) between processes, for waiting with words.
//!
//! A lock is on a file of its own, which stays. The kernel frees it when its holder dies, however it dies. The
//! holder writes into it who it is, so that whoever waits can say for whom. It is asked for again and again
//! rather than waited for in the kernel: so waiting can be told of and ended.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::watch::{Event, TELL_EVERY, Watch};

/// The first pause between tries; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// It is a process of this machine, and it is stopped (SIGSTOP, a debugger).
    pub stopped: bool,
}

/// Why a lock could not be taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// The file cannot be made or opened.
    System(io::Error),
    /// The file system knows no locks.
    NoLocks,
    /// The watch says so.
    Cancelled,
}

/// A lock that nobody else has.
#[derive(Debug)]
pub(crate) struct Exclusive {
    file: File,
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // What a dead holder leaves in it is told of nobody: a lock's file is read only while somebody has it.
        let _ = self.file.set_len(0);
        // Not by closing it: a process that another thread forks at this moment has the file open, too.
        let _ = self.file.unlock();
    }
}

/// A lock that only others like this one have.
#[derive(Debug)]
pub(crate) struct Shared {
    file: File,
}

impl Shared {
    /// Notes that the lock was taken part in now, as the time of the lock's file.
    pub(crate) fn note_time(&self) {
        // In a store that cannot be written to nothing is pruned.
        let _ = self.file.set_modified(SystemTime::now());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Takes the lock, waiting as long as it takes; `what` is what its holders do, for `image`.
pub(crate) fn exclusive(
    path: &Path,
    image: &str,
    what: &str,
    watch: &dyn Watch,
) -> Result<Exclusive, LockError> {
    let file = open(path).map_err(LockError::System)?;
    wait(&file, path, image, what, watch, File::try_lock)?;
    Ok(take(file))
}

/// Tries until it has the lock, and tells for whom it waits.
fn wait(
    file: &File,
    path: &Path,
    image: &str,
    what: &str,
    watch: &dyn Watch,
    attempt: fn(&File) -> Result<(), TryLockError>,
) -> Result<(), LockError> {
    let began = Instant::now();
    let mut told: Option<Instant> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) if is_without_locks(&error) => return Err(LockError::NoLocks),
            Err(TryLockError::Error(error)) => return Err(LockError::System(error)),
        }
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            let holder = holder(path);
            watch.tell(&Event::Waiting {
                image,
                what,
                lock: path,
                holder: holder.as_ref(),
                waited: began.elapsed(),
            });
        }
        if watch.cancelled() {
            return Err(LockError::Cancelled);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Takes the lock if nobody has it.
pub(crate) fn try_exclusive(path: &Path) -> io::Result<Option<Exclusive>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(take(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Takes part in a lock, waiting for whoever has it alone: that is who removes images. `None` where the lock's file is not
/// there and cannot be made: whoever cannot write there cannot prune either. `None` also where the file system knows no
/// locks: nobody can prune there.
pub(crate) fn shared(path: &Path, image: &str, watch: &dyn Watch) -> Result<Option<Shared>, LockError> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if is_read_only(&error) => return Ok(None),
        Err(error) => return Err(LockError::System(error)),
    };
    match wait(&file, path, image, "images are removed", watch, File::try_lock_shared) {
        Ok(()) => Ok(Some(Shared { file })),
        Err(LockError::NoLocks) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that a file system knows no locks: some of clusters are mounted without.
fn is_without_locks(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOLCK | libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL))
}

/// Whether an error says that we may not write there.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Opens the lock's file, and makes it and its folder where they are missing. One that may only be read does, too.
fn open(path: &Path) -> io::Result<File> {
    let make = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            make()
        }
        // Which error it is depends on whether the folder or the file may not be written to.
        Err(error) if is_read_only(&error) => File::open(path).map_err(|_| error),
        other => other,
    }
}

fn take(mut file: File) -> Exclusive {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    // A lock without a name in it is as good; only messages are poorer.
    let _ = file.set_len(0);
    let _ = writeln!(file, "{} {} {since}", host_name(), std::process::id());
    Exclusive { file }
}

fn parse(text: &str) -> Option<Holder> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    Some(Holder {
        host: words.next()?.into(),
        pid: words.next()?.parse().ok()?,
        since: words.next()?.parse().ok()?,
        stopped: false,
    })
}

/// Who holds the lock, as far as its file tells. What a dead holder left is not believed.
fn holder(path: &Path) -> Option<Holder> {
    let mut holder = parse(&fs::read_to_string(path).ok()?)?;
    if holder.host == host_name() {
        let stat = fs::read_to_string(format!("/proc/{}/stat", holder.pid)).ok()?;
        // The name before the state may have brackets and spaces in it.
        holder.stopped = matches!(stat.rsplit_once(") ")?.1.chars().next(), Some('T' | 't'));
    }
    Some(holder)
}

/// The machine's name as it can stand in file names and lock files.
pub(crate) fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .take(40)
        .collect();
    if name.is_empty() { "host".into() } else { name }
}

/// A name for what this process makes and nobody else must touch: machine, process, number.
pub(crate) fn own_suffix() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}.{}", host_name(), std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether what carries this suffix belongs to a process that is gone. Of other machines nothing is known.
pub(crate) fn is_of_dead_process(suffix: &str) -> Option<bool> {
    let mut words = suffix.split('.');
    let (host, pid) = (words.next()?, words.next()?.parse::<u32>().ok()?);
    (host == host_name()).then(|| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Gives up after this many questions, and keeps what it was told.
    struct Impatient {
        left: Cell<u32>,
        told: RefCell<Vec<String>>,
    }

    impl Watch for Impatient {
        fn tell(&self, event: &Event<'_>) {
            self.told.borrow_mut().push(format!("{event:?}"));
        }

        fn cancelled(&self) -> bool {
            self.left.set(self.left.get().saturating_sub(1));
            self.left.get() == 0
        }
    }

    fn impatient(left: u32) -> Impatient {
        Impatient { left: Cell::new(left), told: RefCell::default() }
    }

    #[test]
    fn whoever_waits_says_for_whom_and_can_give_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/one");
        let watch = impatient(3);
        let first = exclusive(&path, "a", "a is pulled", &watch).unwrap();
        assert!(watch.told.borrow().is_empty());
        assert!(matches!(exclusive(&path, "a", "a is pulled", &watch), Err(LockError::Cancelled)));
        let told = watch.told.borrow();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!("pid: {}", std::process::id())), "{told:?}");
        assert!(try_exclusive(&path).unwrap().is_none());
        drop(first);
        assert!(try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn users_share_and_keep_out_whoever_wants_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let watch = impatient(3);
        let take_part = || shared(&path, "a", &watch);
        let (first, second) = (take_part().unwrap(), take_part().unwrap());
        assert!(first.is_some() && second.is_some());
        assert!(try_exclusive(&path).unwrap().is_none());
        drop(first);
        assert!(try_exclusive(&path).unwrap().is_none());
        drop(second);
        let alone = try_exclusive(&path).unwrap();
        assert!(alone.is_some());
        // Whoever removes images may be slow, or stopped.
        assert!(matches!(take_part(), Err(LockError::Cancelled)));
        let told = watch.told.borrow();
        assert!(told.len() == 1 && told[0].contains("images are removed"), "{told:?}");
        assert!(told[0].contains(&format!("pid: {}", std::process::id())), "{told:?}");
    }
}
