//! What a leader is told whose run is another one's now, or gone.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use moil_job::failure::{Failure, FailureKind};
use moil_job::store::StoreError;
use moil_jobstore::place::Kept;

use super::JobStore;

/// How long a failure waits for what the store says of it: less than a server that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked at most.
const INTERVAL: Duration = Duration::from_secs(1);

impl JobStore {
    /// What is told of something that failed: that another leader has taken over, or that the store is gone, if that is
    /// so, since files of the run go away then. A store that does not answer in time is no reason to keep quiet.
    pub fn unless_taken(&self, failure: Failure) -> Failure {
        // What is not made yet is not there.
        if self.unused || self.kept.is_coming() {
            return failure;
        }
        let (kept, name) = (Arc::clone(&self.kept), self.name.clone());
        let (sender, answer) = channel();
        // Nobody listens once it is too late.
        let ask = move || _ = sender.send(whose(&kept, &name));
        let asked = thread::Builder::new().name("taken".to_owned()).spawn(ask);
        let taken = asked.ok().and_then(|_| answer.recv_timeout(PATIENCE).ok()).flatten();
        taken.unwrap_or(failure)
    }

    /// Asks again and again whether the run is still this leader's.
    pub fn still(&self) -> Still<'_> {
        Still { store: self, asked: Mutex::new(Instant::now()) }
    }

    /// Why the store has refused a record, if it was that the run is another leader's, or gone.
    pub fn taken(&self, refusal: &StoreError) -> Option<Failure> {
        match refusal {
            StoreError::Fenced { leader } => Some(fenced(leader)),
            StoreError::Failed { .. } => self.kept.is_removed().then(|| removed(&self.name)),
        }
    }
}

/// Whether a run is still its leader's, for who does one thing after the other outside of the store.
pub struct Still<'a> {
    store: &'a JobStore,
    asked: Mutex<Instant>,
}

impl Still<'_> {
    /// Asks, but not more than once a second: for less nobody takes a run over.
    ///
    /// # Errors
    /// The run is another leader's, or gone. What cannot be found out is none.
    pub fn ours(&self) -> Result<(), Failure> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.elapsed() < INTERVAL {
            return Ok(());
        }
        let taken = whose(&self.store.kept, &self.store.name);
        *asked = Instant::now();
        taken.map_or(Ok(()), Err)
    }
}

/// Why a run is not this leader's any more, as far as that can be found out.
fn whose(kept: &Kept, name: &str) -> Option<Failure> {
    match kept.ledger().probe() {
        Err(StoreError::Fenced { leader }) => Some(fenced(&leader)),
        _ => kept.is_removed().then(|| removed(name)),
    }
}

/// The failure of a leader whose run is gone.
pub(super) fn removed(name: &str) -> Failure {
    let message = format!("the job store {name} was removed by somebody else while this run was at work");
    Failure::new(FailureKind::System, message)
        .with_advice("another leader has finished the run, or somebody has given it up; this one has stopped")
}

/// What is told when nothing can be recorded.
pub(super) fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Fenced { leader } => fenced(&leader),
        error @ StoreError::Failed { .. } => {
            Failure::new(FailureKind::System, "the job store refused a record").with_cause(error)
        }
    }
}

/// The failure of a leader that is none any more.
pub(super) fn fenced(leader: &str) -> Failure {
    Failure::new(FailureKind::System, format!("another leader ({leader}) has taken over this run"))
        .with_advice("this one has stopped")
}
