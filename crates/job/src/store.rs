//! Job stores: where a run keeps its journal and the results of its attempts.

use crate::record::Record;

/// Where a run keeps what must survive it. Calls block and take groups.
pub trait Store: Send + Sync {
    /// Whether anything outlives the process. Where not, nothing is hashed or synced.
    fn is_durable(&self) -> bool;

    /// Appends a group of records to the journal, all or none, and returns when they are stored.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another leader has taken over: the caller must do nothing more.
    fn append(&self, group: &[Record]) -> Result<(), StoreError>;
}

/// Why a store refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another leader has taken over the run.
    #[error("another leader ({leader}) has taken over this run")]
    Fenced {
        /// Who it is.
        leader: String,
    },
    /// The store cannot be reached or written.
    #[error("{operation} failed: {reason}")]
    Failed {
        /// What was being done.
        operation: String,
        /// The underlying system's words.
        reason: String,
    },
}
