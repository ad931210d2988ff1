//! Jobs that wait or run, as the leader keeps them.

use std::sync::Arc;
use std::time::Instant;

use moil_job::key::NoKey;
use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::spec::{AttemptId, Called, Job};

use crate::plan::ElementRef;
use crate::retry::Tries;

/// A job that waits or runs.
pub(super) struct Entry {
    pub job: Arc<Job>,
    pub element: ElementRef,
    pub step: Arc<str>,
    /// Why the job has no key, where jobs have keys.
    pub no_key: Option<NoKey>,
    /// Why it runs although its result was recorded, until that is recorded.
    pub again: Option<String>,
    /// The hash of its key in the call cache, if its result is to be kept there.
    pub cache_key: Option<String>,
    pub tries: Tries,
    pub attempts: u32,
}

impl Entry {
    /// The attempt that was begun last.
    pub fn attempt(&self) -> AttemptId {
        AttemptId { job: self.job.id.clone(), number: self.attempts }
    }

    /// The record of the attempt that was begun last.
    pub fn record(&mut self, granted: Resources) -> Record {
        let called = Called { name: Arc::clone(&self.job.name), step: Arc::clone(&self.step) };
        Record::AttemptStarted {
            attempt: self.attempt(),
            key: self.job.key.clone().map(Ok).or_else(|| self.no_key.clone().map(Err)),
            called: Some(called).filter(|called| *called != self.job.id.called()),
            granted,
            again: self.again.take(),
        }
    }
}

/// A job that waits for its next try.
pub(super) struct Delayed {
    pub at: Instant,
    pub entry: Entry,
    pub resources: Resources,
}

/// Heaps give out the largest first: the soonest is the largest.
impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Delayed {}
