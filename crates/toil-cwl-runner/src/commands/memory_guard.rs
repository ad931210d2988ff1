//! Ends a worker that is stuck at the memory limit of its pod.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};

use moil_job::failure::{Failure, FailureKind};
use moil_worker::stuck::{self, Verdict, Watch};

use crate::log::Log;

/// A thread that looks from time to time, until this is dropped. There is none where memory has no limit.
pub(super) struct MemoryGuard {
    limit: Arc<OnceLock<u64>>,
    _stop: Option<Sender<()>>,
}

impl MemoryGuard {
    /// `end` is called once, when it is stuck.
    pub(super) fn start(end: impl FnOnce() + Send + 'static, log: Log) -> Self {
        let limit = Arc::new(OnceLock::new());
        if stuck::sample().is_none() {
            return Self { limit, _stop: None };
        }
        let (stop, stopped) = channel();
        let told = Arc::clone(&limit);
        let look = move || {
            let mut watch = Watch::default();
            while stopped.recv_timeout(stuck::INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(sample) = stuck::sample() else { continue };
                match watch.look(&sample) {
                    Verdict::Well => {}
                    Verdict::MayBeStuck => log.warning(format_args!(
                        "the memory of this pod ({} MiB) is full, and none of it can be given back: the tool may be stuck",
                        sample.limit >> 20
                    )),
                    Verdict::Stuck => {
                        _ = told.set(sample.limit);
                        return end();
                    }
                }
            }
        };
        // Without it only the kernel ends what wants too much.
        _ = std::thread::Builder::new().name("memory".to_owned()).spawn(look);
        Self { limit, _stop: Some(stop) }
    }

    /// Why the attempt was ended, if it was for this.
    pub(super) fn failure(&self) -> Option<Failure> {
        let limit = self.limit.get()?;
        Some(
            Failure::new(
                FailureKind::OutOfMemory,
                format!(
                    "the tool was stuck at the memory limit of its pod, {} MiB, for minutes",
                    limit >> 20
                ),
            )
            .with_advice(
                "ask for more with ramMin of ResourceRequirement, or let retries have more: --doubleMem",
            ),
        )
    }
}
