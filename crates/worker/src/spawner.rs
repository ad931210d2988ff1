//! Starts the processes of tools.
//!
//! One small helper process, forked before the leader grows, makes supervisors: still smaller processes, each of
//! which starts one tool at a time, takes in its orphans and kills what it leaves. So starting a tool costs the
//! same however large the leader is. Whoever runs an attempt talks to a supervisor over a socket of its own; one
//! that is free serves the next attempt. When the leader dies, however it dies, its sockets close, and everything
//! is killed and ends.
//!
//! | module | holds |
//! |---|---|
//! | `connection` | the leader's end of the way to one supervisor |
//! | `protocol` | what goes over it |
//! | `server` | the helper process |
//! | `supervisor` | the process above a tool |
//! | `tool` | the forked process until it becomes the tool |
//! | `isolation` | what a process in a container does before that |
//! | `descendants` | killing what is left |
//! | `sys` | system calls |

mod connection;
mod descendants;
mod isolation;
mod protocol;
mod server;
mod supervisor;
mod sys;
mod tool;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connection::Connection;
use moil_container::direct::Isolation;

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
    /// Whether standard input comes through a pipe, so that the process cannot see how long it is.
    pub through_pipe: bool,
    /// Where standard output goes: made, or emptied if there.
    pub stdout: PathBuf,
    /// Where standard error goes; the same path as [`Self::stdout`] joins the two.
    pub stderr: PathBuf,
    /// Limits, such as that of open files.
    pub limits: Vec<Limit>,
    /// What it sees in place of this machine's files; `None` for those. [`Self::cwd`] and the streams are paths of this
    /// machine all the same.
    pub isolation: Option<Isolation>,
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
    /// Namespaces and mounts.
    Isolation,
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
            Self::Isolation => "cannot make a container",
            Self::Program => "cannot start the program",
        })
    }
}

/// The way to the spawner process. Clones share it; it ends, with all that it runs, when the last one is gone.
#[derive(Clone)]
pub struct Spawner {
    link: Arc<Link>,
}

/// A process that was started. If it is dropped before it has told the end, the process is killed.
pub struct Running {
    id: u64,
    link: Arc<Link>,
    connection: Arc<Connection>,
    ended: Cell<bool>,
}

/// Ends a process from another thread.
#[derive(Clone)]
pub struct Killer {
    id: u64,
    connection: Arc<Connection>,
}

/// The leader's side.
struct Link {
    /// Where supervisors are asked for.
    requests: UnixStream,
    /// Supervisors without a tool; `None` once everything is to end.
    idle: Mutex<Option<Vec<Arc<Connection>>>>,
    next: AtomicU64,
    process: libc::pid_t,
    /// Whether the process was waited for.
    reaped: Mutex<bool>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spawner {
    /// Forks the spawner process. Meant for the first lines of `main`: the process stays as small as
    /// this one is now, and holds none of what is opened later.
    ///
    /// # Errors
    /// Those of `socketpair` and `fork`.
    pub fn start() -> io::Result<Self> {
        let (requests, theirs) = UnixStream::pair()?;
        // No handler may run in the child before it has replaced them.
        let blocked = sys::block_signals();
        let process = sys::fork();
        if process == 0 {
            server::serve(theirs.as_raw_fd());
        }
        let failed = (process < 0).then(io::Error::last_os_error);
        sys::set_blocked(&blocked);
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(Self {
            link: Arc::new(Link {
                requests,
                idle: Mutex::new(Some(Vec::new())),
                next: AtomicU64::new(1),
                process,
                reaped: Mutex::new(false),
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
        let connection = loop {
            let (connection, is_new) = self.link.connection()?;
            match connection.send(&request) {
                Ok(()) => break connection,
                // One that waited for work may have been killed meanwhile.
                Err(_) if !is_new => {}
                Err(_) => return Err(Error::Lost),
            }
        };
        Ok(Running { id, link: Arc::clone(&self.link), connection, ended: Cell::new(false) })
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
    /// A supervisor that is free, and whether it was made just now.
    fn connection(&self) -> Result<(Arc<Connection>, bool), Error> {
        if let Some(free) = locked(&self.idle).as_mut().ok_or(Error::Lost)?.pop() {
            return Ok((free, false));
        }
        let request = |error| Error::Start { stage: Stage::Request, error };
        let (ours, theirs) = UnixStream::pair().map_err(request)?;
        if !sys::send_descriptor(self.requests.as_raw_fd(), theirs.as_raw_fd()) {
            return Err(Error::Lost);
        }
        Ok((Arc::new(Connection::new(ours)), true))
    }

    fn shut_down(&self) {
        *locked(&self.idle) = None;
        let mut reaped = locked(&self.reaped);
        if !*reaped {
            // The socket may be closed already: the spawner is gone then.
            let _ = self.requests.shutdown(std::net::Shutdown::Both);
            wait_for_process(self.process);
            *reaped = true;
        }
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
        if self.ended.get() {
            return Some(Err(Error::Lost));
        }
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let end = self.connection.receive(deadline)?;
        self.ended.set(true);
        if !matches!(end, Err(Error::Lost))
            && let Some(idle) = locked(&self.link.idle).as_mut()
        {
            idle.push(Arc::clone(&self.connection));
        }
        Some(end)
    }

    /// What ends it from another thread.
    pub fn killer(&self) -> Killer {
        Killer { id: self.id, connection: Arc::clone(&self.connection) }
    }

    /// Sends SIGTERM to the tool's process group and, after `grace`, SIGKILL to all its descendants.
    /// With a grace of zero they are killed at once. [`wait`](Self::wait) tells when they are gone.
    pub fn kill(&self, grace: Duration) {
        self.connection.kill(self.id, grace);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended.get() {
            self.connection.close();
        }
    }
}

impl Killer {
    /// As [`Running::kill`]; does nothing once the process has ended.
    pub fn kill(&self, grace: Duration) {
        self.connection.kill(self.id, grace);
    }
}

/// The user and group of this process.
pub(crate) fn ids() -> (u32, u32) {
    sys::ids()
}

/// Waits until a child has ended.
#[expect(unsafe_code, reason = "the child is not one that std knows")]
fn wait_for_process(pid: libc::pid_t) {
    // SAFETY: takes numbers and a null pointer only.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}
