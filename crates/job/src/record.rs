//! Records of the journal: append only, numbered, written before what they announce is done.

use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::result::JobResult;
use crate::spec::AttemptId;

/// One record. Nothing happens outside (start, export, delete, success) before its record is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A leader took over; the record's number is its epoch.
    TookOver {
        /// Host and process, for messages.
        leader: String,
    },
    /// An attempt is about to be submitted.
    AttemptStarted {
        /// Which one.
        attempt: AttemptId,
        /// The key of its job.
        key: Option<Key>,
    },
    /// A job is finished: the attempt whose result counts, and the result.
    JobFinished {
        /// Whose result it is.
        attempt: AttemptId,
        /// What it left.
        result: JobResult,
    },
    /// The outputs are about to be exported.
    ExportPlanned,
    /// The run is over.
    RunFinished {
        /// Whether it succeeded.
        success: bool,
    },
}
