//! The leader's end of the way to one supervisor.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::protocol::{self, REPORT_BYTES, REPORT_WORDS, report, stage};
use super::{Error, Exit, Stage, sys};

/// A socket to a supervisor, which runs one process at a time.
pub(super) struct Connection {
    socket: UnixStream,
    /// Requests are written whole.
    writing: Mutex<()>,
}

impl Connection {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket, writing: Mutex::new(()) }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Where the supervisor is gone.
    pub(super) fn send(&self, request: &[u8]) -> io::Result<()> {
        let _whole = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.socket).write_all(request)
    }

    /// Ends process number `id`, if it is the one that runs.
    pub(super) fn kill(&self, id: u64, grace: Duration) {
        let milliseconds = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // If the supervisor is gone, so is the process.
        let _ = self.send(&protocol::kill_request(id, milliseconds));
    }

    /// Ends the supervisor, and what it runs.
    pub(super) fn close(&self) {
        // It may be gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// The end of the process that runs; `None` when the time is over first.
    pub(super) fn receive(&self, deadline: Option<Instant>) -> Option<Result<Exit, Error>> {
        let mut failed = None;
        loop {
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                let nanoseconds = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
                let [ready, _] = sys::poll([self.socket.as_raw_fd(), -1], Some(nanoseconds));
                // A report of a failure is followed by that of the end at once: it is waited for.
                if !ready && failed.is_none() {
                    if Instant::now() < deadline {
                        continue;
                    }
                    return None;
                }
            }
            let mut bytes = [0u8; REPORT_BYTES];
            if (&self.socket).read_exact(&mut bytes).is_err() {
                return Some(Err(failed.unwrap_or(Error::Lost)));
            }
            let words = protocol::report_words(&bytes);
            if words[report::KIND] == report::FAILED {
                failed = Some(start_error(&words));
            } else {
                return Some(failed.map_or_else(|| Ok(exit(&words)), Err));
            }
        }
    }
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
        stage::ISOLATION => Stage::Isolation,
        _ => Stage::Program,
    };
    Error::Start { stage, error: io::Error::from_raw_os_error(words[report::STATUS] as i32) }
}
