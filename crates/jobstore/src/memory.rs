//! The store of a run that nothing has to survive: what a run without `--jobStore` uses.

use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

/// Keeps nothing: the leader's own state is all there is, and ends with it.
#[derive(Debug, Default)]
pub struct MemoryStore;

impl Store for MemoryStore {
    fn is_durable(&self) -> bool {
        false
    }

    fn append(&self, _group: &[Record]) -> Result<(), StoreError> {
        Ok(())
    }
}
