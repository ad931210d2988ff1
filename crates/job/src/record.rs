//! Records of the journal: append only, numbered, written before what they announce is done.

use std::sync::Arc;

use moil_cwl::value::Value;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::moved::Moved;
use crate::result::JobResult;
use crate::spec::{AttemptId, JobId};

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
    /// The input object is complete, and its files are where jobs can have them.
    InputsImported {
        /// The object.
        inputs: Value,
    },
    /// An attempt is about to be submitted.
    AttemptStarted {
        /// Which one.
        attempt: AttemptId,
        /// The key of its job.
        key: Option<Key>,
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
