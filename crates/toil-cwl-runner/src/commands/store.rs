//! Job stores as those see them who do not lead a run.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use moil_engine::fold::recorded::{JobState, Recorded, RecordedJob};
use moil_job::failure::{Failure, FailureKind};
use moil_job::spec::JobId;
use moil_jobstore::heartbeat::{self, Beat};
use moil_jobstore::ledger::{Ledger, OpenError};
use moil_jobstore::records::Records;
use moil_jobstore::who::Who;

use crate::aws;
use crate::job_store::{self, place_failure};
use crate::settings::Settings;
use crate::suggest;

/// What is at the place of a job store.
pub(super) enum Found {
    /// A run.
    Run(Arc<dyn Records>),
    /// What is left of one that was being removed.
    Removing,
    /// Nothing.
    Missing,
}

/// Finds the records of the run in the job store.
///
/// # Errors
/// There is something else, or it cannot be reached.
pub(super) fn open_records(settings: &Settings) -> Result<Found, Failure> {
    let Some(place) = job_store::place(settings, &aws::buckets(settings)?)? else {
        return Ok(Found::Missing);
    };
    match place.records() {
        Ok(records) => Ok(Found::Run(records)),
        Err(error) => match error.reason() {
            Some(OpenError::Missing) => Ok(Found::Missing),
            Some(OpenError::Cleaning) => Ok(Found::Removing),
            _ => Err(place_failure(&error)),
        },
    }
}

/// The store as people name it.
pub(super) fn name(settings: &Settings) -> String {
    settings.store.locator.as_ref().map(ToString::to_string).unwrap_or_default()
}

pub(super) fn missing(settings: &Settings) -> Failure {
    Failure::new(FailureKind::BadInput, format!("the job store {} does not exist", name(settings)))
        .with_advice("a run that succeeds removes its job store, unless it has --clean never")
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How it stands with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its leader is at work.
    Running,
    /// It is over, and something failed.
    Failed,
    /// It was ended, or its leader is gone.
    Interrupted,
    /// It succeeded.
    Finished,
    /// Its store is being removed.
    Removing,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
            Self::Removing => "being removed",
        }
    }
}

/// A run, looked at.
pub(super) struct Seen {
    pub recorded: Recorded,
    pub state: State,
    /// The last sign of life of its leader, if that is at work.
    pub beat: Option<Beat>,
}

impl Seen {
    pub fn is_alive(&self) -> bool {
        self.beat.is_some()
    }

    /// The one job that a word means.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn job(&self, word: &str) -> Result<(&JobId, &RecordedJob), Failure> {
        match &*self.recorded.find(word) {
            [] => {
                let ids = self.recorded.jobs.keys().map(|id| &*id.0);
                let failure = Failure::new(FailureKind::BadInput, format!("the run has no job {word}"));
                Err(match suggest::nearest(word, ids) {
                    Some(near) => failure.with_advice(format!("did you mean {near}?")),
                    None => failure.with_advice("moil status STORE --perJob lists them"),
                })
            }
            [(id, job)] => Ok((*id, *job)),
            [first @ .., _] => {
                let ids: Vec<&str> = first.iter().take(5).map(|(id, _)| &*id.0).collect();
                let message = format!("several jobs are called {word}, such as {}", ids.join(", "));
                Err(Failure::new(FailureKind::BadInput, message).with_advice("name one of these"))
            }
        }
    }
}

/// Looks at a run.
///
/// # Errors
/// There is none, or it cannot be read.
pub(super) fn look(settings: &Settings) -> Result<Seen, Failure> {
    let removing = Seen { recorded: Recorded::default(), state: State::Removing, beat: None };
    let records = match open_records(settings)? {
        Found::Run(records) => records,
        Found::Removing => return Ok(removing),
        Found::Missing => return Err(missing(settings)),
    };
    let here = Who::here();
    let replay = match Ledger::read(&*records, &here) {
        Ok((_, replay)) => replay,
        Err(OpenError::Missing) => return Err(missing(settings)),
        Err(OpenError::Cleaning) => return Ok(removing),
        Err(error) => {
            let message = format!("cannot read the job store {}", name(settings));
            return Err(Failure::new(FailureKind::System, message).with_cause(error));
        }
    };
    let recorded = Recorded::of(replay.entries.iter().map(|entry| (entry.at, &entry.record)));
    let beat =
        replay.last_leader().and_then(|(term, _)| heartbeat::last_beat(&*records, term).ok().flatten());
    let beat = beat.filter(|beat| beat.patience(&here, now()) > 0);
    let failed = || {
        !recorded.failures.is_empty()
            || recorded.jobs.values().any(|job| recorded.state(job, false) == JobState::Failed)
    };
    let state = match recorded.end {
        // A success may not have been told: that it was one is more than that its store is to go.
        Some((true, _)) if recorded.is_cleaning => State::Finished,
        _ if recorded.is_cleaning => State::Removing,
        _ if beat.is_some() => State::Running,
        Some((true, _)) => State::Finished,
        Some((false, _)) if failed() => State::Failed,
        _ => State::Interrupted,
    };
    Ok(Seen { recorded, state, beat })
}

/// Removes the job store, whatever is left of it. Says whether there was anything.
///
/// # Errors
/// It is none, or it cannot be removed.
pub(super) fn remove(settings: &Settings) -> Result<bool, Failure> {
    let Some(place) = job_store::place(settings, &aws::buckets(settings)?)? else { return Ok(false) };
    match place.clean(&Who::here()) {
        Ok(()) => Ok(true),
        Err(error) if error.reason() == Some(&OpenError::Missing) => Ok(false),
        Err(error) => Err(place_failure(&error)),
    }
}
