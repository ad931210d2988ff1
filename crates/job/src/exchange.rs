//! How attempts reach workers in other processes, and how what comes of them comes back.

use std::sync::Arc;

use crate::failure::Failure;
use crate::record::Imported;
use crate::result::Outcome;
use crate::spec::{Attempt, AttemptId};

/// The exit code of a worker that could not have its attempt, or the run, from the job store: that of sysexits.h for a
/// service that is not to be had.
pub const NO_STORE: u8 = 69;

/// What a worker is told of an attempt.
#[derive(Clone, Debug)]
pub struct Told {
    /// The word of the attempt.
    pub word: String,
    /// The attempt, as [`crate::wire`] writes it.
    pub attempt: String,
    /// Its tool in the same way; `None`: it is read from where the leader left it.
    pub tool: Option<Arc<str>>,
}

/// Where a leader leaves attempts for workers in other processes, and finds what came of them. Calls block.
pub trait Exchange: Send + Sync {
    /// Leaves an attempt where its worker finds it, with all files of its inputs where that can have them; not its
    /// secrets, which travel beside. Gives the word by which the worker asks for it (`moil worker --attempt WORD`).
    ///
    /// # Errors
    /// It cannot be written, or an input cannot be brought there.
    fn hand_over(&self, attempt: &Attempt) -> Result<String, Failure>;

    /// The same for a worker that is told the attempt itself: leaves all that it needs but what is told.
    ///
    /// # Errors
    /// As those of [`hand_over`](Self::hand_over).
    fn write(&self, attempt: &Attempt) -> Result<Told, Failure>;

    /// How workers of this leader work, if they are told that; else they read it.
    fn settings(&self) -> Option<String> {
        None
    }

    /// The inputs that were brought to where workers can have them since this was last called.
    fn imported(&self) -> Vec<Imported> {
        Vec::new()
    }

    /// The word of an attempt that the leader of a term has handed over.
    fn word(&self, term: &str, attempt: &AttemptId) -> String;

    /// What came of the attempt of a word. `None`: nothing yet, and if its worker is gone, nothing ever.
    ///
    /// # Errors
    /// It cannot be read.
    fn outcome(&self, word: &str, attempt: &AttemptId) -> Result<Option<Outcome>, Failure>;
}
