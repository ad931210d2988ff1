//! The call cache of a run: results that are kept beyond it, under keys of its own.

use std::fmt;
use std::sync::Arc;

use moil_cwl::files::Files;
use moil_job::cache::CallCache;
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::JobResult;

use crate::keying::Keying;
use crate::memo;

/// A cache with what makes its keys.
#[derive(Clone)]
pub struct Cached {
    /// The cache.
    pub cache: Arc<dyn CallCache>,
    /// Makes keys with the secret of the cache.
    pub keys: Arc<Keying>,
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cached")
    }
}

impl Cached {
    /// The result of a job with that key, if it is there with all that it names.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn find(&self, key: &str, files: &dyn Files) -> Result<Option<JobResult>, Failure> {
        let Some(result) = self.cache.find(key).map_err(|error| failure(&error))? else { return Ok(None) };
        // What is not in the cache itself may be gone.
        let whole = memo::missing(&result.outputs, files)?.is_none();
        Ok(whole.then_some(result))
    }

    /// Keeps a result. Gives it as it is found there, so that what is made of it has the same key in every run: of a
    /// directory it is known only where it lies.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn keep(
        &self,
        key: &str,
        result: &JobResult,
        files: &dyn Files,
    ) -> Result<Option<JobResult>, Failure> {
        self.cache.store(key, result).map_err(|error| failure(&error))?;
        let found = self.find(key, files)?;
        Ok(found.map(|found| JobResult { usage: result.usage, ..found }))
    }
}

fn failure(error: &dyn fmt::Display) -> Failure {
    Failure::new(FailureKind::System, error.to_string())
}

/// A failure in one sentence: it stops nothing.
pub(crate) fn words(failure: &Failure) -> String {
    failure.message.clone()
}
