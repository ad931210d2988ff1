//! Records of the journal: append only, numbered, written before what they announce is done.

use std::path::PathBuf;
use std::sync::Arc;

use moil_cwl::value::Value;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::identity::Local;
use crate::key::{Key, NoKey};
use crate::moved::Moved;
use crate::resources::Resources;
use crate::result::JobResult;
use crate::spec::{AttemptId, Called, JobId};

/// An input file or directory that was brought to a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Where it lay: absolute.
    pub path: PathBuf,
    /// The location that it has now.
    pub at: Arc<str>,
    /// What the disk said of it, so that it goes on being known as that.
    pub was: Option<Local>,
}

/// One record. Nothing happens outside (start, export, delete, success) before its record is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A leader took over; the number of the record's group is its epoch.
    TookOver {
        /// Host and process, for messages.
        leader: String,
        /// The host's name.
        host: String,
        /// Which start of that machine: what was not yet on its disk is in doubt when this has changed.
        boot: String,
        /// Nobody else has the same.
        nonce: String,
        /// The groups from this number to this record are void: a power cut took some of them.
        void_from: Option<u64>,
    },
    /// Inputs of this machine were brought to where workers elsewhere can have them. This may be recorded late, or never:
    /// then whoever goes on with the run brings them anew, from where they were.
    InputsImported {
        /// Which ones.
        files: Vec<Imported>,
    },
    /// A step with many elements has begun.
    StepStarted {
        /// Its name, with those of the workflows around it.
        step: Arc<str>,
        /// How many elements it has.
        elements: usize,
    },
    /// A step with many elements is over.
    StepFinished {
        /// Its name.
        step: Arc<str>,
    },
    /// A step, or the run as a whole, failed where no attempt did: an expression, an input, a job too large for the
    /// machine.
    Failed {
        /// In words: `step align`.
        what: String,
        /// Why.
        failure: Failure,
    },
    /// An attempt has its id, and waits for its turn.
    AttemptStarted {
        /// Which one.
        attempt: AttemptId,
        /// The key of its job, or why it has none. `None` where nothing is reused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Result<Key, NoKey>>,
        /// What people call the job and its step, where the job's id does not say it ([`JobId::called`]).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        called: Option<Called>,
        /// What it may use.
        granted: Resources,
        /// Why it runs although its result was recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<String>,
    },
    /// An attempt was handed to the executor. This may be recorded late, or never: people want to know it.
    AttemptSubmitted {
        /// Which one.
        attempt: AttemptId,
        /// When, in milliseconds since 1970.
        at: u64,
    },
    /// An attempt is at work somewhere else. This may be recorded late, or never: people want to know it.
    AttemptPlaced {
        /// Which one.
        attempt: AttemptId,
        /// Where: a pod and its node.
        place: Arc<str>,
    },
    /// An attempt failed.
    AttemptFailed {
        /// Which one.
        attempt: AttemptId,
        /// Why.
        failure: Failure,
        /// Seconds until the next attempt; `None` if there will be none.
        retry: Option<f64>,
    },
    /// The recorded result of an attempt counts for a job of this leader.
    JobReused {
        /// The job.
        job: JobId,
        /// Whose result it is.
        from: AttemptId,
    },
    /// An attempt is about to change files in place (InplaceUpdateRequirement): results with any of them are worth
    /// nothing to a later leader, whatever the attempt comes to.
    InPlace {
        /// The attempt.
        attempt: AttemptId,
        /// Where the files and directories lie.
        locations: Vec<Arc<str>>,
    },
    /// A job is finished: the attempt whose result counts, and the result.
    JobFinished {
        /// Whose result it is.
        attempt: AttemptId,
        /// What it left.
        result: JobResult,
    },
    /// What an expression gave that would give something else another time (`Date`, `Math.random`).
    Evaluated {
        /// The position in the plan that it was evaluated for.
        at: JobId,
        /// What was evaluated there.
        what: String,
        /// What it gave.
        value: Value,
    },
    /// The outputs are about to be exported.
    ExportPlanned {
        /// The output object, with the files as the jobs left them.
        outputs: Value,
        /// The directory or URL that they go to.
        to: String,
        /// What will be moved.
        moves: Vec<Moved>,
    },
    /// The outputs are where they were to go.
    Exported {
        /// The output object with the files there.
        outputs: Value,
    },
    /// The run is over.
    RunFinished {
        /// Whether it succeeded.
        success: bool,
    },
    /// The store is about to be removed. Nobody takes over after this record.
    Cleaning {
        /// The epochs of all leaders. Their records stay, so that one who has slept through it still meets them.
        epochs: Vec<u64>,
        /// The output object where the run was a success: whoever goes on with the run only has to say it again.
        outputs: Option<Value>,
    },
}
