//! Removing a store in a bucket, and nothing of anybody else.

use std::sync::Arc;

use super::{BucketPlace, BucketStoreError, word};
use crate::ledger::{self, OpenError};
use crate::locator::RecordsIn;
use crate::names;
use crate::records::{Records, RecordsError};
use crate::runs::{self, Pointer};
use crate::s3::Error;
use crate::s3::object::DELETED_AT_ONCE;
use crate::who::Who;

impl BucketPlace {
    /// Removes the run that is there, whoever led it, and the bucket if it is the store's own.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn clean(&self, who: &Who) -> Result<(), BucketStoreError> {
        let Some((kind, root)) = self.root()? else {
            // What is left of one whose domain is gone already.
            if self.marked()? == Some(RecordsIn::SimpleDb) {
                return self.remove_whole(RecordsIn::SimpleDb);
            }
            return Err(self.open(OpenError::Missing));
        };
        let pointer = match self.find(&root) {
            // What is there by now is not of this store.
            Err(OpenError::Missing) if self.is_empty_own()? => {
                return self.bucket.remove().map(drop).map_err(|error| self.server(error));
            }
            found => found.map_err(|reason| self.open(reason))?,
        };
        match ledger::retire(&*runs::records(&root, &pointer.run), who) {
            // Of one that is not there all is removed but what says that it was.
            Ok(()) | Err(OpenError::Missing) => self.remove_run(kind, &root, &pointer),
            Err(reason) => Err(self.open(reason)),
        }
    }

    /// Whether all is removed but the bucket.
    fn is_empty_own(&self) -> Result<bool, BucketStoreError> {
        let is_empty = || Ok(self.own.is_some() && self.bucket.list("", None)?.is_empty());
        is_empty().map_err(|error| self.server(error))
    }

    /// Removes a run whose removal is recorded, and nothing of anybody else. In a bucket that stays, a small record says
    /// that the run is gone.
    pub(super) fn remove_run(
        &self,
        kind: RecordsIn,
        root: &Arc<dyn Records>,
        pointer: &Pointer,
    ) -> Result<(), BucketStoreError> {
        self.remove_objects(&pointer.run).map_err(|error| self.server(error))?;
        match (&self.own, kind) {
            (None, _) => runs::forget(&**root, pointer).map_err(|error| self.open(OpenError::Records(error))),
            (Some(_), RecordsIn::S3) => self.remove_rest(root, pointer),
            (Some(_), RecordsIn::SimpleDb) => match self.current(root)? {
                Some(run) if run != pointer.run => Ok(()),
                _ => self.remove_whole(kind),
            },
        }
    }

    /// Removes the objects of a run. What it says of itself goes before the journal, and of that the last group, which says
    /// that all goes, with the last request: until then it can be told what this is.
    fn remove_objects(&self, run: &str) -> Result<(), Error> {
        let prefix = format!("{}{}", self.prefix, runs::prefix(run));
        // First: one that is finished in the meantime is in the list.
        self.bucket.sweep_uploads(&prefix)?;
        let listed = self.bucket.list(&prefix, None)?;
        let journal = format!("{prefix}{}", names::JOURNAL);
        let (journal, others): (Vec<_>, Vec<_>) =
            listed.into_iter().map(|entry| entry.key).partition(|key| key.starts_with(&journal));
        self.bucket.delete(&others)?;
        let (first, last) = journal.split_at(journal.len().saturating_sub(DELETED_AT_ONCE));
        self.bucket.delete(first)?;
        self.bucket.delete(last)
    }

    /// Removes what is left of a run that was being removed, to make room for another.
    pub(super) fn remove_left(&self, root: &Arc<dyn Records>, run: &str) -> Result<(), OpenError> {
        self.remove_objects(run).map_err(|error| RecordsError::Failed {
            operation: "remove",
            name: error.target,
            reason: error.reason,
        })?;
        // What is in a domain. In the bucket nothing is left.
        ledger::finish_cleaning(&*runs::records(root, run))?;
        Ok(())
    }

    /// The number of the run that can be found.
    fn current(&self, root: &Arc<dyn Records>) -> Result<Option<String>, BucketStoreError> {
        match runs::find(&**root) {
            Ok(found) => Ok(Some(found.run)),
            Err(OpenError::Missing) => Ok(None),
            Err(reason) => Err(self.open(reason)),
        }
    }

    /// Removes what is left of a store of our own when its run is gone, and the bucket. Somebody else may have removed all
    /// that before, and made a new store: whoever makes one stores something of its run before it can be found.
    fn remove_rest(&self, root: &Arc<dyn Records>, pointer: &Pointer) -> Result<(), BucketStoreError> {
        let server = |error| self.server(error);
        let (runs, ours) =
            (format!("{}{}", self.prefix, runs::PREFIX), self.prefix.clone() + &runs::prefix(&pointer.run));
        let entries = self.bucket.list(&self.prefix, None).map_err(server)?;
        let (marker, length) = (self.marker(), word(RecordsIn::S3).len() as u64);
        if entries.iter().any(|entry| entry.key == marker && entry.size != length) {
            return Ok(());
        }
        let keys: Vec<String> = entries.into_iter().map(|entry| entry.key).collect();
        // It may be left of one that never was found as well: then it goes, as long as ours is what is found.
        let has_more = keys.iter().any(|key| key.starts_with(&runs) && !key.starts_with(&ours));
        if has_more && self.current(root)?.as_ref() != Some(&pointer.run) {
            return Ok(());
        }
        self.bucket.delete(&keys).map_err(server)?;
        match self.bucket.remove() {
            Err(error) if error.reason.contains("BucketNotEmpty") => {
                let entries = self.bucket.list(&self.prefix, None).map_err(server)?;
                let keys: Vec<String> = entries.into_iter().map(|entry| entry.key).collect();
                // What a straggler of this run has stored since goes as well. Else it is a new store, which stays.
                if keys.iter().any(|key| !key.starts_with(&ours)) {
                    return Ok(());
                }
                self.bucket.delete(&keys).and_then(|()| self.bucket.remove()).map(drop).map_err(server)
            }
            removed => removed.map(drop).map_err(server),
        }
    }

    /// Removes all that is the store's own. The marker goes with the bucket, after the domain: until then it is known
    /// that there is one.
    fn remove_whole(&self, kind: RecordsIn) -> Result<(), BucketStoreError> {
        let whole = || {
            if let Some(own) = &self.own
                && kind == RecordsIn::SimpleDb
            {
                own.domain.remove()?;
            }
            let keys: Vec<String> =
                self.bucket.list(&self.prefix, None)?.into_iter().map(|entry| entry.key).collect();
            self.bucket.delete(&keys)?;
            self.bucket.remove().map(drop)
        };
        whole().map_err(|error| self.server(error))
    }
}
