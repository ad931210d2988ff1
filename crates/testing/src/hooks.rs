//! What was asked of a server, and the faults that it is to show.
//!
//! A fault is for those calls that a closure picks, and among these for a range of occurrences:
//!
//! ```
//! # use moil_testing::hooks::{Fault, Hooks};
//! # let hooks = Hooks::default();
//! // The second journal record is stored, but its writer never learns of it.
//! hooks.inject(1..2, |call| call.is("PutObject") && call.target.contains("/journal/"), Fault::LoseAnswer);
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How long a test waits for a call to reach a [`Gate`] before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request as the server understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The operation's name in the service's API, such as `PutObject`.
    pub operation: String,
    /// What it is about: `bucket/key` or `bucket`; `domain/item` or `domain`; empty for neither.
    pub target: String,
}

impl Call {
    /// Whether it is this operation.
    #[must_use]
    pub fn is(&self, operation: &str) -> bool {
        self.operation == operation
    }
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It takes effect, but the connection is closed instead of answering.
    LoseAnswer,
    /// It is answered with this status and error code, without effect.
    Refuse {
        /// HTTP status.
        status: u16,
        /// The code in the answer's body.
        code: &'static str,
    },
    /// It takes effect later.
    Delay(Duration),
    /// It waits at the gate before it takes effect.
    PauseBefore(Gate),
    /// It takes effect, and its answer waits at the gate.
    PauseAfter(Gate),
    /// The connection is closed once so many bytes of its body are read; without effect.
    CutRequest(usize),
    /// It takes effect; the connection is closed once so many bytes of the answer's body are sent.
    CutAnswer(usize),
}

impl Fault {
    /// S3: two conditional writes at the same time; to be tried again.
    pub const CONFLICT: Self = Self::Refuse { status: 409, code: "ConditionalRequestConflict" };
    /// S3: the condition does not hold.
    pub const PRECONDITION_FAILED: Self = Self::Refuse { status: 412, code: "PreconditionFailed" };
    /// Something went wrong on the other side.
    pub const INTERNAL_ERROR: Self = Self::Refuse { status: 500, code: "InternalError" };
    /// S3: too many requests.
    pub const SLOW_DOWN: Self = Self::Refuse { status: 503, code: "SlowDown" };
    /// SimpleDB: too many requests.
    pub const SERVICE_UNAVAILABLE: Self = Self::Refuse { status: 503, code: "ServiceUnavailable" };
    /// The session's credentials are no longer valid.
    pub const EXPIRED_TOKEN: Self = Self::Refuse { status: 400, code: "ExpiredToken" };
}

/// Where calls wait until the test lets them through.
#[derive(Clone, Debug)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    waiting: Mutex<u64>,
    arrived: Condvar,
    open: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        let open = watch::Sender::new(false);
        Self(Arc::new(GateState { waiting: Mutex::new(0), arrived: Condvar::new(), open }))
    }
}

impl Gate {
    /// Blocks until a call waits here (or has waited).
    ///
    /// # Panics
    /// If none comes within a minute.
    pub fn wait_for_call(&self) {
        let waiting = lock(&self.0.waiting);
        let (_guard, result) = self
            .0
            .arrived
            .wait_timeout_while(waiting, PATIENCE, |calls| *calls == 0)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "no call reached the gate within {PATIENCE:?}");
    }

    /// Lets all through that wait, and all that come later.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        *lock(&self.0.waiting) += 1;
        self.0.arrived.notify_all();
        // It fails only if the sender is gone, and we hold it.
        let _ = self.0.open.subscribe().wait_for(|open| *open).await;
    }
}

struct Rule {
    picks: Box<dyn Fn(&Call) -> bool + Send>,
    occurrences: Range<u64>,
    seen: u64,
    fault: Fault,
}

/// The calls of one server so far, and its faults to come.
#[derive(Default)]
pub struct Hooks {
    calls: Mutex<Vec<Call>>,
    rules: Mutex<Vec<Rule>>,
}

impl Hooks {
    /// Shows a fault to those calls that `picks` picks, but only to these occurrences among them (from 0).
    /// If faults of several rules are for one call, the one that was added first wins.
    pub fn inject(
        &self,
        occurrences: Range<u64>,
        picks: impl Fn(&Call) -> bool + Send + 'static,
        fault: Fault,
    ) {
        lock(&self.rules).push(Rule { picks: Box::new(picks), occurrences, seen: 0, fault });
    }

    /// Forgets all rules: from now on all goes well.
    pub fn heal(&self) {
        lock(&self.rules).clear();
    }

    /// All calls in the order in which they came.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// How often each operation was called.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for call in lock(&self.calls).iter() {
            *counts.entry(call.operation.clone()).or_default() += 1;
        }
        counts
    }

    /// How often this operation was called.
    #[must_use]
    pub fn count(&self, operation: &str) -> u64 {
        self.counts().get(operation).copied().unwrap_or(0)
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        lock(&self.calls).clear();
    }

    /// Notes a call and says what is to go wrong with it.
    pub(crate) fn note(&self, call: Call) -> Option<Fault> {
        let mut fault = None;
        for rule in lock(&self.rules).iter_mut().filter(|rule| (rule.picks)(&call)) {
            let here = rule.occurrences.contains(&rule.seen);
            rule.seen += 1;
            if here && fault.is_none() {
                fault = Some(rule.fault.clone());
            }
        }
        lock(&self.calls).push(call);
        fault
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str, target: &str) -> Call {
        Call { operation: operation.to_owned(), target: target.to_owned() }
    }

    #[test]
    fn a_rule_is_for_its_occurrences_only() {
        let hooks = Hooks::default();
        hooks.inject(1..3, |call| call.is("PutObject"), Fault::LoseAnswer);
        let mut shown = Vec::new();
        for _ in 0..4 {
            assert!(hooks.note(call("GetObject", "b/k")).is_none());
            shown.push(hooks.note(call("PutObject", "b/k")).is_some());
        }
        assert_eq!(shown, [false, true, true, false]);
        assert_eq!(hooks.count("PutObject"), 4);
        assert_eq!(hooks.counts().values().sum::<u64>(), 8);
        hooks.forget_calls();
        assert!(hooks.calls().is_empty());
    }

    #[test]
    fn the_first_rule_wins_and_all_count() {
        let hooks = Hooks::default();
        hooks.inject(0..1, |_| true, Fault::CONFLICT);
        hooks.inject(0..2, |_| true, Fault::SLOW_DOWN);
        let status = |fault: Option<Fault>| match fault {
            Some(Fault::Refuse { status, .. }) => status,
            _ => 200,
        };
        let statuses: Vec<_> = (0..3).map(|_| status(hooks.note(call("PutObject", "b/k")))).collect();
        assert_eq!(statuses, [409, 503, 200]);
    }
}
