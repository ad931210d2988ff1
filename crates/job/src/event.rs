//! What happens in a run. Progress, messages, statistics and provenance are
//! folds over this one stream; the leader knows none of them.

use std::sync::Arc;

use moil_cwl::expression::ConsoleText;

use crate::failure::Failure;
use crate::resources::Resources;
use crate::result::Usage;
use crate::spec::AttemptId;

/// The next attempt at a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Seconds until then.
    pub wait: f64,
    /// Which one it is of those that failures of this kind allow, and how many they allow, if that is known.
    pub number: Option<(u32, u32)>,
    /// What it is granted, where that is more than before.
    pub more: Option<Resources>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A workflow (the main one or a nested one) begins.
    WorkflowStarted {
        /// Its name: empty for the main one.
        name: Arc<str>,
    },
    /// A workflow is complete.
    WorkflowFinished {
        /// Its name.
        name: Arc<str>,
        /// Whether it succeeded.
        success: bool,
    },
    /// A step has its inputs and begins.
    StepStarted {
        /// Its name, with those of the workflows around it: `call/align`.
        step: Arc<str>,
        /// How many elements it has; 1 if it is not scattered.
        elements: usize,
    },
    /// A step is complete.
    StepFinished {
        /// Its name.
        step: Arc<str>,
        /// How it ended.
        status: Status,
    },
    /// An attempt was handed to the executor.
    JobStarted {
        /// Which one.
        attempt: AttemptId,
        /// The job's name.
        name: Arc<str>,
        /// The step it belongs to.
        step: Arc<str>,
        /// What it was granted.
        granted: Resources,
    },
    /// An attempt is at work somewhere else.
    JobPlaced {
        /// Which one.
        attempt: AttemptId,
        /// The job's name.
        name: Arc<str>,
        /// Where: a pod and its node.
        place: Arc<str>,
    },
    /// A job is done: run, or taken from memory.
    JobFinished {
        /// The attempt that did it.
        attempt: AttemptId,
        /// The job's name.
        name: Arc<str>,
        /// The step it belongs to.
        step: Arc<str>,
        /// How it ended.
        status: Status,
        /// What it took, if it ran.
        usage: Option<Usage>,
    },
    /// An attempt failed.
    JobFailed {
        /// Which one.
        attempt: AttemptId,
        /// The job's name.
        name: Arc<str>,
        /// The step it belongs to.
        step: Arc<str>,
        /// Why.
        failure: Arc<Failure>,
        /// The next attempt; `None` if there will be none.
        retry: Option<Retry>,
    },
    /// A line of a tool's own output, while it runs.
    ToolOutput {
        /// The job's name.
        name: Arc<str>,
        /// The line.
        line: String,
    },
    /// What a job is doing before its tool runs, or what it waits for.
    Note {
        /// The job's name.
        name: Arc<str>,
        /// In a sentence.
        text: String,
    },
    /// An expression wrote to its console (`--js-console`).
    Console(ConsoleText),
    /// Something that people should know, and that stops nothing.
    Warning(String),
}

/// How a job or step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It did its work.
    Success,
    /// It failed for good.
    Failed,
    /// `when` said no.
    Skipped,
    /// Its result was taken from an earlier run.
    Reused,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    /// As cwltool writes it: `completed success`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Success => "completed success",
            Self::Failed => "completed permanentFail",
            Self::Skipped => "completed skipped",
            Self::Reused => "completed success (reused)",
            Self::Cancelled => "cancelled",
        }
    }
}
