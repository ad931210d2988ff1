//! The call cache: results of jobs that are kept beyond their runs (`--cachedir`).

use crate::result::JobResult;

/// Keeps copies of results under the keys of their jobs. Calls block; many runs on many machines may use one cache at
/// the same time.
pub trait CallCache: Send + Sync {
    /// The result that is kept under the hash of a key, with all its files whole and in their places. `None`: there is
    /// none, or what is there is damaged.
    ///
    /// # Errors
    /// The cache cannot be read.
    fn find(&self, key: &str) -> Result<Option<JobResult>, CacheError>;

    /// Keeps a copy of a result. Of several that are kept at the same time one is found afterwards.
    ///
    /// # Errors
    /// The cache cannot be written; nothing of this result is found in it then.
    fn store(&self, key: &str, result: &JobResult) -> Result<(), CacheError>;

    /// Whether a location is one of a file in the cache, which nobody may change.
    fn has(&self, location: &str) -> bool;
}

/// Why a cache could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache cannot {operation}: {reason}")]
pub struct CacheError {
    /// What was being done, with what: `keep /a/b`.
    pub operation: String,
    /// The underlying system's words.
    pub reason: String,
}
