//! SIGINT, SIGTERM and SIGHUP: one thread waits for them and tells the run.
//!
//! They are blocked in all other threads, so that no system call is cut short
//! and no handler has to be written. The spawner lets its tools have them as usual.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

type Handler = Box<dyn Fn(i32) + Send>;

/// Who is told about signals.
#[derive(Clone, Default)]
pub struct Signals {
    handler: Arc<Mutex<Option<Handler>>>,
}

/// The signals are blocked, and nobody waits for them yet.
pub struct Blocked(libc::sigset_t);

impl Blocked {
    /// Blocks the signals in this thread and all that it starts from now on. Must be called before
    /// there are other threads: a signal goes to any thread that has not blocked it.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        block().map(Self)
    }

    /// Starts the thread that waits for them.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(self) -> io::Result<Signals> {
        let signals = Signals::default();
        let handler = Arc::clone(&signals.handler);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            loop {
                let Some(signal) = wait(&self.0) else { continue };
                match &*handler.lock().unwrap_or_else(PoisonError::into_inner) {
                    Some(handler) => handler(signal),
                    // Nothing runs yet, or nothing any more.
                    None => quit(signal),
                }
            }
        })?;
        Ok(signals)
    }
}

impl Signals {
    /// Calls `handler` for every signal from now on, until the guard is dropped.
    pub fn handle(&self, handler: impl Fn(i32) + Send + 'static) -> Guard {
        *self.handler.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(handler));
        Guard { signals: self.clone() }
    }
}

/// Ends the handling of signals by a run.
pub struct Guard {
    signals: Signals,
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.signals.handler.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[expect(unsafe_code, reason = "sigset_t has no safe interface in std")]
fn block() -> io::Result<libc::sigset_t> {
    // SAFETY: the set is initialised by sigemptyset before anything reads it, and lives on this stack; so does
    // the action, which is valid as zeros and only written.
    let (set, error) = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        // Under `nohup` a terminal that goes away is no reason to end. A blocked signal arrives even so.
        let mut hang_up: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut hang_up);
        if hang_up.sa_sigaction != libc::SIG_IGN {
            libc::sigaddset(&mut set, libc::SIGHUP);
        }
        (set, libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))
    };
    if error == 0 { Ok(set) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[expect(unsafe_code, reason = "sigwait has no safe interface in std")]
fn wait(set: &libc::sigset_t) -> Option<i32> {
    let mut signal = 0;
    // SAFETY: both pointers are to live values of the right types.
    let error = unsafe { libc::sigwait(set, &mut signal) };
    (error == 0).then_some(signal)
}

#[expect(clippy::exit, reason = "a signal before or after the run ends the program as the signal would")]
fn quit(signal: i32) -> ! {
    std::process::exit(128 + signal)
}
