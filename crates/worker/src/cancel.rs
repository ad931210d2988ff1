//! Cancelling an attempt, whatever it is doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moil_job::failure::{Failure, FailureKind};

use crate::spawner::Killer;

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
    killer: Option<Killer>,
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
        if let Some(killer) = &target.killer {
            killer.kill(grace);
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
    pub(crate) fn attach(&self, killer: Killer) {
        let mut target = self.target();
        if self.is_cancelled() {
            killer.kill(target.grace);
        }
        target.killer = Some(killer);
    }

    /// The process has ended.
    pub(crate) fn detach(&self) {
        self.target().killer = None;
    }

    fn target(&self) -> MutexGuard<'_, Target> {
        self.inner.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
