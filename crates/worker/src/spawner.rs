//! Starts the processes of tools.
//!
//! One small helper process, forked before the leader grows, starts them all: so starting costs the
//! same however large the leader is. Above each tool stands a still smaller supervisor, which takes
//! in orphans and kills what the tool leaves. When the leader dies, however it dies, its socket
//! closes, and the helper kills everything and ends.
//!
//! | module | holds |
//! |---|---|
//! | `protocol` | what leader and spawner say to each other |
//! | `server` | the helper process |
//! | `supervisor` | the process above each tool |
//! | `tool` | the forked process until it becomes the tool |
//! | `descendants` | killing what is left |
//! | `sys` | system calls |

mod descendants;
mod protocol;
mod server;
mod supervisor;
mod sys;
mod tool;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{REPORT_BYTES, REPORT_WORDS, report, stage};

/// A process to start.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The program, looked for in `PATH` of [`Self::environment`] unless it has a slash, and its arguments.
    pub argv: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// Where standard input comes from; `None` for nothing.
    pub stdin: Option<PathBuf>,
    /// Where standard output goes: made, or emptied if there.
    pub stdout: PathBuf,
    /// Where standard error goes; the same path as [`Self::stdout`] joins the two.
    pub stderr: PathBuf,
    /// Limits, such as that of open files.
    pub limits: Vec<Limit>,
}

/// A limit of a process (`setrlimit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_…` as the system numbers it.
    pub resource: u64,
    /// The limit that the process may raise; `u64::MAX` for none.
    pub soft: u64,
    /// The limit of that.
    pub hard: u64,
}

/// How a process ended: it and all its descendants are gone.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// From start to end.
    pub wall: Duration,
    /// User and system time with all descendants.
    pub cpu: Duration,
    /// The largest resident set of any of its processes, in bytes.
    pub peak_memory: u64,
}

/// Why a process did not run, or nothing is known of its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("{stage}: {error}")]
    Start {
        /// What failed.
        stage: Stage,
        /// The system's words.
        error: io::Error,
    },
    /// The spawner or the supervisor was killed.
    #[error("the process that watches over tools was killed")]
    Lost,
}

/// What failed when a process could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The command line or environment cannot be handed over: empty, or with a NUL byte.
    Request,
    /// Making the process.
    Fork,
    /// Changing to the working directory.
    WorkingDirectory,
    /// Opening standard input.
    Stdin,
    /// Opening standard output.
    Stdout,
    /// Opening standard error.
    Stderr,
    /// Setting limits.
    Limits,
    /// Starting the program.
    Program,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request => "cannot hand over the command",
            Self::Fork => "cannot make a process",
            Self::WorkingDirectory => "cannot change to the working directory",
            Self::Stdin => "cannot open standard input",
            Self::Stdout => "cannot open the file for standard output",
            Self::Stderr => "cannot open the file for standard error",
            Self::Limits => "cannot set limits",
            Self::Program => "cannot start the program",
        })
    }
}

/// The way to the spawner process. Clones share it; it ends, with all that it runs, when the last one is gone.
#[derive(Clone)]
pub struct Spawner {
    link: Arc<Link>,
}

/// A process that was started.
pub struct Running {
    id: u64,
    link: Arc<Link>,
    end: Receiver<Result<Exit, Error>>,
}

/// Ends a process from another thread.
#[derive(Clone)]
pub struct Killer {
    id: u64,
    link: Arc<Link>,
}

/// The leader's side of the sockets.
struct Link {
    requests: Mutex<UnixStream>,
    /// The same socket, for closing it without waiting for the lock.
    closer: UnixStream,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
    process: libc::pid_t,
}

/// Who waits for which process.
#[derive(Default)]
struct Waiting {
    gone: bool,
    by_id: HashMap<u64, Sender<Result<Exit, Error>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spawner {
    /// Forks the spawner process. Meant for the first lines of `main`: the process stays as small as
    /// this one is now, and holds none of what is opened later.
    ///
    /// # Errors
    /// Those of `socketpair`, `fork` and of starting a thread.
    pub fn start() -> io::Result<Self> {
        let (requests, their_requests) = UnixStream::pair()?;
        let closer = requests.try_clone()?;
        let (reports, their_reports) = packet_pair()?;
        // No handler may run in the child before it has replaced them.
        let blocked = sys::block_signals();
        let process = sys::fork();
        if process == 0 {
            server::serve(their_requests.as_raw_fd(), their_reports.as_raw_fd());
        }
        let failed = (process < 0).then(io::Error::last_os_error);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let reader = Arc::clone(&waiting);
        // The thread keeps the signals blocked: they are for others to take.
        let thread = match failed {
            Some(error) => Err(error),
            None => std::thread::Builder::new()
                .name("spawner".to_owned())
                .stack_size(64 * 1024)
                .spawn(move || read_reports(reports, &reader)),
        };
        sys::set_blocked(&blocked);
        thread?;
        Ok(Self {
            link: Arc::new(Link {
                requests: Mutex::new(requests),
                closer,
                waiting,
                next: AtomicU64::new(1),
                process,
            }),
        })
    }

    /// Starts a process. What fails in it is told by [`Running::wait`].
    ///
    /// # Errors
    /// [`Error::Start`] where the command cannot be handed over, [`Error::Lost`] without a spawner.
    pub fn spawn(&self, command: &Command) -> Result<Running, Error> {
        let id = self.link.next.fetch_add(1, Ordering::Relaxed);
        let request = protocol::start_request(id, command)
            .map_err(|error| Error::Start { stage: Stage::Request, error })?;
        let (sender, end) = channel();
        {
            let mut waiting = locked(&self.link.waiting);
            if waiting.gone {
                return Err(Error::Lost);
            }
            waiting.by_id.insert(id, sender);
        }
        if locked(&self.link.requests).write_all(&request).is_err() {
            locked(&self.link.waiting).by_id.remove(&id);
            return Err(Error::Lost);
        }
        Ok(Running { id, link: Arc::clone(&self.link), end })
    }

    /// Kills everything that was started and ends the spawner. Returns when nothing is left.
    pub fn shut_down(&self) {
        self.link.shut_down();
    }

    /// The spawner's process id.
    pub fn process_id(&self) -> i32 {
        self.link.process
    }
}

impl Link {
    fn shut_down(&self) {
        {
            let mut waiting = locked(&self.waiting);
            if std::mem::replace(&mut waiting.gone, true) && waiting.by_id.is_empty() {
                return;
            }
        }
        // The socket may be closed already: the spawner is gone then.
        let _ = self.closer.shutdown(std::net::Shutdown::Both);
        wait_for_process(self.process);
    }

    fn kill(&self, id: u64, grace: Duration) {
        let milliseconds = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // If the spawner is gone, so is the process.
        let _ = locked(&self.requests).write_all(&protocol::kill_request(id, milliseconds));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Running {
    /// Waits for the end; `None` when the time is over first. Once it has told the end, it knows no more.
    pub fn wait(&self, timeout: Option<Duration>) -> Option<Result<Exit, Error>> {
        match timeout {
            None => Some(self.end.recv().unwrap_or(Err(Error::Lost))),
            Some(timeout) => match self.end.recv_timeout(timeout) {
                Ok(end) => Some(end),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Err(Error::Lost)),
            },
        }
    }

    /// What ends it from another thread.
    pub fn killer(&self) -> Killer {
        Killer { id: self.id, link: Arc::clone(&self.link) }
    }

    /// Sends SIGTERM to the tool's process group and, after `grace`, SIGKILL to all its descendants.
    /// With a grace of zero they are killed at once. [`wait`](Self::wait) tells when they are gone.
    pub fn kill(&self, grace: Duration) {
        self.link.kill(self.id, grace);
    }
}

impl Killer {
    /// As [`Running::kill`].
    pub fn kill(&self, grace: Duration) {
        self.link.kill(self.id, grace);
    }
}

/// A connected pair of sockets that keep packets whole, however many processes write to one end.
#[expect(unsafe_code, reason = "std has no packet sockets")]
fn packet_pair() -> io::Result<(UnixStream, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the array has room for two descriptors.
    if unsafe {
        libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr())
    } != 0
    {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptors are new and nobody else's. `UnixStream` only reads from its own.
    unsafe { Ok((UnixStream::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))) }
}

/// Waits until a child has ended.
#[expect(unsafe_code, reason = "the child is not one that std knows")]
fn wait_for_process(pid: libc::pid_t) {
    // SAFETY: takes numbers and a null pointer only.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Hands reports to those who wait, until the spawner and all supervisors are gone.
fn read_reports(mut reports: UnixStream, waiting: &Mutex<Waiting>) {
    let mut failed: HashMap<u64, Error> = HashMap::new();
    let mut packet = [0u8; REPORT_BYTES];
    loop {
        match reports.read(&mut packet) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        let words = protocol::report_words(&packet);
        let id = words[report::ID];
        let end = match words[report::KIND] {
            report::FAILED => {
                let error = start_error(&words);
                // The supervisor's report follows, unless there is no supervisor yet.
                if !matches!(error, Error::Start { stage: Stage::Fork, .. }) {
                    failed.insert(id, error);
                    continue;
                }
                Err(error)
            }
            report::ENDED => failed.remove(&id).map_or_else(|| Ok(exit(&words)), Err),
            _ => Err(failed.remove(&id).unwrap_or(Error::Lost)),
        };
        if let Some(sender) = locked(waiting).by_id.remove(&id) {
            // Whoever does not wait any more does not want to know.
            let _ = sender.send(end);
        }
    }
    let mut waiting = locked(waiting);
    waiting.gone = true;
    // Dropping the senders tells every waiter.
    waiting.by_id.clear();
}

fn exit(words: &[u64; REPORT_WORDS]) -> Exit {
    Exit {
        status: ExitStatus::from_raw(words[report::STATUS] as i32),
        wall: Duration::from_nanos(words[report::WALL]),
        cpu: Duration::from_micros(words[report::CPU]),
        peak_memory: words[report::RSS].saturating_mul(1024),
    }
}

fn start_error(words: &[u64; REPORT_WORDS]) -> Error {
    let stage = match words[report::WALL] {
        stage::FORK => Stage::Fork,
        stage::CWD => Stage::WorkingDirectory,
        stage::STDIN => Stage::Stdin,
        stage::STDOUT => Stage::Stdout,
        stage::STDERR => Stage::Stderr,
        stage::LIMIT => Stage::Limits,
        _ => Stage::Program,
    };
    Error::Start { stage, error: io::Error::from_raw_os_error(words[report::STATUS] as i32) }
}
