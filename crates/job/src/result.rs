//! What comes of an attempt.

use std::time::Duration;

use moil_cwl::value::Value;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::update::Update;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The tool did its work.
    Done(JobResult),
    /// It did not, and [`Failure`] says why; whether it is tried again is the leader's decision.
    Failed(Box<Failure>),
}

/// What a successful attempt leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The output object; files have locations in the store or in the attempt's directory.
    pub outputs: Value,
    /// The tool's exit code: one of its success codes.
    pub exit_code: i32,
    /// What it took.
    pub usage: Usage,
    /// What it changed in place (InplaceUpdateRequirement), where that lies somewhere else now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<Update>,
    /// What its tool printed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LeftLog>,
}

/// What a tool printed, left in the store for the leader. It is not recorded: the leader takes it out of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftLog {
    /// What people call the job.
    pub job: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Where it is.
    pub location: String,
}

impl Outcome {
    /// Takes the logs out of it.
    pub fn take_logs(&mut self) -> Vec<LeftLog> {
        std::mem::take(match self {
            Self::Done(result) => &mut result.logs,
            Self::Failed(failure) => &mut failure.logs,
        })
    }
}

/// What an attempt took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// From the tool's start to its end.
    pub wall: Duration,
    /// User and system time of the tool and its children.
    pub cpu: Duration,
    /// The largest resident set of any one of its processes, in bytes.
    pub peak_memory: u64,
    /// Bytes in the output files.
    pub output_bytes: u64,
}
