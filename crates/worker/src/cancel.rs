//! Cancelling an attempt, whatever it is doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moil_job::failure::{Failure, FailureKind};

use crate::spawner::Killer;

/// Tells whether what runs does not heed SIGTERM: it is then killed without delay. May take its time.
pub(crate) type Deaf = Arc<dyn Fn() -> bool + Send + Sync>;

/// Ends what runs now.
#[derive(Clone)]
pub(crate) struct Ending {
    pub(crate) killer: Killer,
    /// `None` where nothing is known of it.
    pub(crate) deaf: Option<Deaf>,
}

impl Ending {
    /// Sends SIGTERM, and SIGKILL after `grace` or once it is known that SIGTERM does nothing.
    pub(crate) fn end(&self, grace: Duration) {
        self.killer.kill(grace);
        if let Some(deaf) = self.deaf.clone().filter(|_| !grace.is_zero()) {
            let killer = self.killer.clone();
            // Without a thread it gets its grace.
            let _ = std::thread::Builder::new().spawn(move || {
                if deaf() {
                    killer.kill(Duration::ZERO);
                }
            });
        }
    }
}

/// A switch that ends an attempt. Clones share it.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    target: Mutex<Target>,
}

#[derive(Default)]
struct Target {
    /// What runs now.
    ending: Option<Ending>,
    /// The grace that [`Cancel::cancel`] was given.
    grace: Duration,
}

impl Cancel {
    /// A switch that is not thrown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the attempt: a tool that runs gets SIGTERM, and SIGKILL after `grace`.
    pub fn cancel(&self, grace: Duration) {
        let mut target = self.target();
        self.inner.cancelled.store(true, Ordering::SeqCst);
        target.grace = grace;
        if let Some(ending) = &target.ending {
            ending.end(grace);
        }
    }

    /// Whether it was thrown.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// To be called between steps.
    ///
    /// # Errors
    /// The failure of a cancelled attempt.
    pub fn check(&self) -> Result<(), Box<Failure>> {
        if self.is_cancelled() { Err(Box::new(Self::failure())) } else { Ok(()) }
    }

    /// The failure of a cancelled attempt.
    pub fn failure() -> Failure {
        Failure::new(FailureKind::Cancelled, "the job was cancelled")
    }

    /// Lets the switch end a process, at once if it was thrown already.
    pub(crate) fn attach(&self, ending: Ending) {
        let mut target = self.target();
        if self.is_cancelled() {
            ending.end(target.grace);
        }
        target.ending = Some(ending);
    }

    /// The process has ended.
    pub(crate) fn detach(&self) {
        self.target().ending = None;
    }

    fn target(&self) -> MutexGuard<'_, Target> {
        self.inner.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawner::{Command, Spawner};

    #[test]
    fn what_does_not_heed_sigterm_has_no_grace() {
        let spawner = Spawner::start().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo > up; sleep 1000; sleep 1000";
        let command = Command {
            argv: ["/bin/sh", "-c", script].map(Into::into).into(),
            cwd: dir.path().into(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            stdout: "/dev/null".into(),
            stderr: "/dev/null".into(),
            ..Command::default()
        };
        let running = spawner.spawn(&command).unwrap();
        while !dir.path().join("up").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let cancel = Cancel::new();
        cancel.attach(Ending { killer: running.killer(), deaf: Some(Arc::new(|| true)) });
        cancel.cancel(Duration::from_secs(100_000));
        // Else it would take all of its grace.
        assert!(running.wait(None).unwrap().is_ok());
    }
}
