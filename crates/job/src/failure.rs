//! Why something failed, in facts. The binary makes the words for people;
//! the worker fills this in, the leader decides by it.

use serde::{Deserialize, Serialize};

use crate::result::LeftLog;

/// What kind of failure it is: decides about retries, budgets and the exit code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The tool ended with a code that is not one of its success codes.
    ToolFailed {
        /// The exit code; 128 + n where signal n ended it.
        exit_code: i32,
        /// The document lists the code under `temporaryFailCodes`.
        temporary: bool,
    },
    /// ToolTimeLimit or `--maxJobDuration` ran out.
    TimeLimit,
    /// The tool had more memory than it was granted.
    OutOfMemory,
    /// A disk was full.
    OutOfDisk,
    /// The outputs are not what the document promises.
    BadOutput,
    /// An input is missing or is not what the document asks for.
    BadInput,
    /// An expression failed.
    Expression,
    /// The document asks for something that moil does not do: exit code 33.
    Unsupported,
    /// The container image cannot be had.
    Image,
    /// The program of the tool is not there or cannot be started.
    CannotStart,
    /// The attempt was lost with the machine or process that ran it.
    Lost,
    /// What runs jobs does not take this one as it is, or somebody ended it there: trying again changes nothing.
    Refused,
    /// It was cancelled: by a signal, or because something else failed.
    Cancelled,
    /// The system refused something: a directory that cannot be made, a file that cannot be read.
    System,
    /// A defect of moil.
    Internal,
}

/// A failed operation: what failed, where, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What went wrong, in one sentence without a full stop.
    pub message: String,
    /// `file:line:column` of the line of the document that has to do with it.
    pub place: Option<String>,
    /// The command that was run, quoted for a shell.
    pub command: Option<String>,
    /// The last lines of the tool's standard error (or output, if that is where it went).
    pub last_lines: Vec<String>,
    /// Where the whole log is.
    pub log: Option<String>,
    /// The underlying system's words.
    pub cause: Option<String>,
    /// What to try.
    pub advice: Option<String>,
    /// What the tool printed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LeftLog>,
}

impl Failure {
    /// A failure of which nothing more is known than a sentence.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            place: None,
            command: None,
            last_lines: Vec::new(),
            log: None,
            cause: None,
            advice: None,
            logs: Vec::new(),
        }
    }

    /// Adds what to try.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds the underlying system's words.
    #[must_use]
    pub fn with_cause(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

/// An error of the pure functions, as the failure of the job that it stopped.
impl From<moil_cwl::error::Error> for Failure {
    fn from(error: moil_cwl::error::Error) -> Self {
        use moil_cwl::error::Error;
        match error {
            Error::Expression { place, expression, reason } => Self {
                place: Some(place.to_string()),
                advice: (reason.starts_with("it took more than") && reason.ends_with(" seconds"))
                    .then(|| "if it only needs more time, give it with --eval-timeout SECONDS".to_owned()),
                cause: Some(reason),
                ..Self::new(FailureKind::Expression, format!("cannot evaluate {expression}"))
            },
            Error::Invalid { place, message } => Self {
                place: place.map(|place| place.to_string()),
                ..Self::new(FailureKind::BadInput, message)
            },
            Error::MissingFiles(missing) => {
                let names: Vec<String> =
                    missing.iter().map(|file| format!("{} (input {})", file.location, file.input)).collect();
                Self::new(FailureKind::BadInput, format!("missing files: {}", names.join(", ")))
            }
            Error::File { location, reason } => {
                Self::new(FailureKind::System, format!("cannot read {location}")).with_cause(reason)
            }
            Error::Unsupported { place, what } => Self {
                place: place.map(|place| place.to_string()),
                ..Self::new(FailureKind::Unsupported, format!("{what} is not supported"))
            },
        }
    }
}
