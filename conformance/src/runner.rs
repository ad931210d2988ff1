//! How a CWL runner is called, and what it answered.

use std::path::PathBuf;
use std::time::Duration;

/// One call of a runner.
#[derive(Clone, Debug)]
pub struct Request {
    /// The words after the program's name.
    pub args: Vec<String>,
    /// The current directory.
    pub cwd: PathBuf,
    /// When to give up.
    pub timeout: Duration,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal,
    /// Not within the time given.
    TimedOut,
    /// It could not be started, for the reason given.
    NotStarted(String),
}

/// What a call gave.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub exit: Exit,
    /// Everything written to stdout.
    pub stdout: Vec<u8>,
    /// Everything written to stderr.
    pub stderr: Vec<u8>,
    /// Wall time.
    pub wall: Duration,
}

/// A CWL runner: a program, or moil in this process.
pub trait Runner: Sync {
    /// Runs one call to its end.
    fn run(&self, request: &Request) -> Answer;

    /// What it says of its version.
    fn version(&self) -> String;
}
