//! A run that is over, and of whose job store something is left.

use moil_cwl::value::Value;
use moil_job::failure::Failure;
use moil_jobstore::place::Place;
use moil_jobstore::who::Who;

use super::{is_missing, place_failure};

/// A run that was a success, and is to be removed.
pub struct Ended {
    /// The output object, which may not have been told.
    pub outputs: Value,
    pub(super) place: Place,
    pub(super) who: Who,
}

impl Ended {
    /// Removes what is left of it, once that is told.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> Result<(), Failure> {
        match self.place.clean(&self.who) {
            // Somebody else was faster.
            Err(error) if is_missing(&error) => Ok(()),
            removed => removed.map_err(|error| place_failure(&error)),
        }
    }
}
