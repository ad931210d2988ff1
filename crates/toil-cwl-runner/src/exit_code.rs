//! What the program answers to its caller.

/// One exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// The run succeeded; the output object is on stdout.
    pub const SUCCESS: Self = Self(0);
    /// Anything that went wrong and has no code of its own: a failed job, a bad document.
    pub const FAILURE: Self = Self(1);
    /// The command line or the input object cannot be understood.
    pub const USAGE: Self = Self(2);
    /// The document needs something that this program does not support. `cwltest` knows this code.
    pub const UNSUPPORTED: Self = Self(33);
    /// A worker cannot use the job store. Its leader knows this code.
    pub const NO_STORE: Self = Self(moil_job::exchange::NO_STORE);
    /// Ended by SIGHUP: the terminal went away.
    pub const HUNG_UP: Self = Self(129);
    /// Ended by SIGINT, such as Ctrl-C.
    pub const INTERRUPTED: Self = Self(130);
    /// Ended by SIGTERM.
    pub const TERMINATED: Self = Self(143);
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.0)
    }
}

/// One row of the table of exit codes.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The code.
    pub code: ExitCode,
    /// When it is given.
    pub meaning: &'static str,
}

/// All exit codes. A tool's own exit code is never handed on.
pub const TABLE: &[Row] = &[
    Row { code: ExitCode::SUCCESS, meaning: "The run succeeded. The output object is on stdout." },
    Row {
        code: ExitCode::FAILURE,
        meaning: "A job failed, a document is wrong, a job store is missing or exists already, or anything else \
                  went wrong. stdout is empty.",
    },
    Row {
        code: ExitCode::USAGE,
        meaning: "The command line cannot be understood, or inputs of the workflow are missing.",
    },
    Row { code: ExitCode::UNSUPPORTED, meaning: "The document needs something that is not supported." },
    Row { code: ExitCode::NO_STORE, meaning: "Of `moil worker` alone: it cannot use the job store." },
    Row { code: ExitCode::HUNG_UP, meaning: "Ended by SIGHUP: the terminal went away (not under nohup)." },
    Row { code: ExitCode::INTERRUPTED, meaning: "Ended by SIGINT (Ctrl-C)." },
    Row { code: ExitCode::TERMINATED, meaning: "Ended by SIGTERM." },
];
