//! Removing a store in a bucket, and nothing of anybody else.

use moil_cwl::value::Value;

use super::{BucketPlace, BucketStoreError, Root};
use crate::at_once::both;
use crate::ledger::{self, OpenError};
use crate::locator::RecordsIn;
use crate::records::RecordsError;
use crate::runs::{self, Pointer, There};
use crate::s3::Error;
use crate::who::Who;

impl BucketPlace {
    /// Removes the run that is there, whoever led it, and the bucket if it is the store's own.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn clean(&self, who: &Who) -> Result<(), BucketStoreError> {
        let missing = || self.open(OpenError::Missing);
        let Some(root) = self.root()? else {
            // What is left of one whose domain is gone already.
            if self.marked()?.is_some_and(|(kind, _)| kind == RecordsIn::SimpleDb) {
                return self.remove_whole(RecordsIn::SimpleDb);
            }
            return if self.remove_unused()? { Ok(()) } else { Err(missing()) };
        };
        let open = |reason| self.open(reason);
        match self.look(&root).map_err(open)? {
            There::Nothing if self.remove_unused()? => Ok(()),
            There::Nothing => Err(missing()),
            There::Gone(gone) => match (&self.own, self.is_left(&root, &gone.run)) {
                (_, Err(error)) => Err(open(error.into())),
                (None, Ok(true)) => self.remove_left(&root, &gone.run).map_err(open),
                (None, Ok(false)) => Err(missing()),
                (Some(_), _) => self.remove_own(&root, &gone.run, true),
            },
            There::Run(pointer) => {
                ledger::retire(&*pointer.records(&root.records), who).map_err(open)?;
                let outputs = self.outputs_of(&root, There::Run(pointer.clone())).map_err(open)?;
                let say = || runs::forget(&*root.records, &pointer, outputs.clone());
                self.remove_run(&root, &pointer, &say, true)
            }
        }
    }

    /// The output object of a run that was a success, and whose removal is recorded.
    pub(super) fn outputs_of(&self, root: &Root, there: There) -> Result<Option<Value>, OpenError> {
        match there {
            There::Nothing => Ok(None),
            There::Gone(gone) => Ok(gone.outputs),
            There::Run(pointer) => Ok(ledger::outputs_of_cleaned(&*pointer.records(&root.records))?),
        }
    }

    /// Removes a run whose removal is recorded, and nothing of anybody else. `say` says first that it is gone. In a bucket
    /// that stays, what it says stays.
    pub(super) fn remove_run(
        &self,
        root: &Root,
        pointer: &Pointer,
        say: &(dyn Fn() -> Result<(), RecordsError> + Sync),
        sweeps: bool,
    ) -> Result<(), BucketStoreError> {
        let server = |error| self.server(error);
        let said = |said: Result<(), RecordsError>| said.map_err(|error| self.open(error.into()));
        if self.own.is_some() {
            said(say())?;
            return self.remove_own(root, &pointer.run, sweeps);
        }
        let prefix = self.run_prefix(&pointer.run);
        let (is_said, listed) = both(say, || self.list_whole(&prefix, sweeps));
        said(is_said)?;
        let earlier = pointer.removable().map(|name| format!("{}{name}", self.prefix));
        let keys: Vec<String> = listed.map_err(server)?.into_iter().chain(earlier).collect();
        self.bucket.delete(&keys).map_err(server)
    }

    fn run_prefix(&self, run: &str) -> String {
        format!("{}{}", self.prefix, runs::prefix(run))
    }

    /// All keys that begin so. `sweeps`: first unfinished uploads are ended; one that is finished meanwhile is listed.
    fn list_whole(&self, prefix: &str, sweeps: bool) -> Result<Vec<String>, Error> {
        if sweeps {
            self.bucket.sweep_uploads(prefix)?;
        }
        Ok(self.bucket.list(prefix, None)?.into_iter().map(|entry| entry.key).collect())
    }

    /// Removes what is left of a run that is gone, to make room for another.
    pub(super) fn remove_left(&self, root: &Root, run: &str) -> Result<(), OpenError> {
        let prefix = self.run_prefix(run);
        let removed = self.list_whole(&prefix, false).and_then(|left| match left.is_empty() {
            true => Ok(()),
            false => self.list_whole(&prefix, true).and_then(|left| self.bucket.delete(&left)),
        });
        removed.map_err(|error| RecordsError::Failed {
            operation: "remove",
            name: error.target,
            reason: error.reason,
        })?;
        if root.kind == RecordsIn::SimpleDb {
            ledger::finish_cleaning(&*runs::records(&root.records, run))?;
        }
        Ok(())
    }

    /// Removes a bucket of our own of which nothing is used: it has nothing but the marker, and its domain, if it has one, no
    /// run. Says whether there was one.
    pub(super) fn remove_unused(&self) -> Result<bool, BucketStoreError> {
        let server = |error| self.server(error);
        if self.own.is_none() || !self.exists()? {
            return Ok(false);
        }
        let keys = self.list_whole("", false).map_err(server)?;
        if keys.iter().any(|key| *key != self.marker()) {
            return Ok(false);
        }
        if let Some((RecordsIn::SimpleDb, _)) = self.marked()? {
            let there = self.root()?.map(|root| self.look(&root)).transpose();
            return match there.map_err(|reason| self.open(reason))? {
                None | Some(There::Nothing) => self.remove_whole(RecordsIn::SimpleDb).map(|()| true),
                Some(_) => Ok(false),
            };
        }
        self.bucket.delete(&keys).and_then(|()| self.bucket.remove()).map_err(server)
    }

    /// Removes a store of our own whose run is gone. Somebody else may have done that before, and made a new store: that
    /// has a marker of its own.
    fn remove_own(&self, root: &Root, run: &str, sweeps: bool) -> Result<(), BucketStoreError> {
        let server = |error| self.server(error);
        let ours = self.run_prefix(run);
        if sweeps {
            self.bucket.sweep_uploads(&ours).map_err(server)?;
        }
        let keys = self.list_whole(&self.prefix, false).map_err(server)?;
        let (run_keys, rest): (Vec<String>, Vec<String>) =
            keys.into_iter().partition(|key| key.starts_with(&ours));
        self.bucket.delete(&run_keys).map_err(server)?;
        let is_ours = |generation: &String| root.generation.as_ref() == Some(generation);
        let sequences = format!("{}{}", self.prefix, runs::SEQUENCES);
        let own_sequence = format!("{sequences}{}/", root.generation.as_deref().unwrap_or_default());
        match self.marked()? {
            Some((_, generation)) if !is_ours(&generation) => return Ok(()),
            None if rest.iter().any(|key| key.starts_with(&sequences) && !key.starts_with(&own_sequence)) => {
                return Ok(());
            }
            _ => {}
        }
        if root.kind == RecordsIn::SimpleDb {
            return self.remove_whole(root.kind);
        }
        self.bucket.delete(&rest).map_err(server)?;
        match self.bucket.remove() {
            Err(error) if error.reason.contains("BucketNotEmpty") => {
                let keys = self.list_whole(&self.prefix, false).map_err(server)?;
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
            let keys = self.list_whole(&self.prefix, false)?;
            self.bucket.delete(&keys)?;
            self.bucket.remove().map(drop)
        };
        whole().map_err(|error| self.server(error))
    }
}
