//! Removing a store in a bucket, and nothing of anybody else.

use super::{BucketPlace, BucketStoreError, Root};
use crate::at_once::both;
use crate::ledger::{self, OpenError, Removal};
use crate::locator::RecordsIn;
use crate::names;
use crate::records::RecordsError;
use crate::runs::{self, Gone, Pointer, There};
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
                return self.remove_with_domain();
            }
            return if self.remove_unused(None)? { Ok(()) } else { Err(missing()) };
        };
        let open = |reason| self.open(reason);
        match self.look(&root).map_err(open)? {
            There::Nothing if self.remove_unused(None)? => Ok(()),
            There::Nothing => Err(missing()),
            There::Gone(gone) if self.own.is_some() => self.remove_own(&root, &gone.run, true),
            There::Gone(gone) => match self.remove_left(&gone.run).map_err(open)? {
                true => Ok(()),
                false => Err(missing()),
            },
            There::Run(pointer) => {
                let records = pointer.records(&root.records);
                ledger::retire(&*records, who).map_err(open)?;
                let removal = ledger::removal(&*records).map_err(|error| open(error.into()))?;
                let by = removal.map(|removal| removal.by);
                let say = || runs::forget(&*root.records, &pointer, by.clone());
                self.remove_run(&root, &pointer, &say, true)
            }
        }
    }

    /// The removal of a run, if it is recorded and has not come to its end.
    pub(super) fn removal_of(&self, root: &Root, there: &There) -> Result<Option<Removal>, RecordsError> {
        match there {
            There::Nothing | There::Gone(Gone { by: None, .. }) => Ok(None),
            There::Gone(Gone { run, by: Some(by) }) => {
                ledger::removal_by(&*runs::records(&root.records, run), by)
            }
            There::Run(pointer) => ledger::removal(&*pointer.records(&root.records)),
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
        let keys = earlier.chain(self.journal_last(&pointer.run, listed.map_err(server)?));
        self.bucket.delete(&keys.collect::<Vec<_>>()).map_err(server)
    }

    /// The keys of a run, with the end of its journal, which records its removal, as the last one: so that it is the last
    /// to go, as far as a server heeds their order.
    fn journal_last(&self, run: &str, mut keys: Vec<String>) -> Vec<String> {
        let journal = format!("{}{}", self.run_prefix(run), names::JOURNAL);
        keys.sort_by_key(|key| key.starts_with(&journal));
        keys
    }

    fn run_prefix(&self, run: &str) -> String {
        format!("{}{}", self.prefix, runs::prefix(run))
    }

    /// What the keys of all sequences in a bucket of our own begin with.
    fn sequences(&self) -> String {
        format!("{}{}", self.prefix, runs::SEQUENCES)
    }

    /// The same of one.
    fn sequence(&self, generation: &str) -> String {
        format!("{}{generation}/", self.sequences())
    }

    /// All keys that begin so. `sweeps`: first unfinished uploads are ended; one that is finished meanwhile is listed.
    fn list_whole(&self, prefix: &str, sweeps: bool) -> Result<Vec<String>, Error> {
        if sweeps {
            self.bucket.sweep_uploads(prefix)?;
        }
        Ok(self.bucket.list(prefix, None)?.into_iter().map(|entry| entry.key).collect())
    }

    /// Removes what is left of a run that is gone, to make room for another. Says whether there was anything.
    pub(super) fn remove_left(&self, run: &str) -> Result<bool, OpenError> {
        let prefix = self.run_prefix(run);
        let removed = self.list_whole(&prefix, false).and_then(|left| match left.is_empty() {
            true => Ok(false),
            false => self.list_whole(&prefix, true).and_then(|left| self.bucket.delete(&left)).map(|()| true),
        });
        let failed = |error: Error| RecordsError::Failed {
            operation: "remove",
            name: error.target,
            reason: error.reason,
        };
        Ok(removed.map_err(failed)?)
    }

    /// Removes a bucket of our own of which nothing is used: it has nothing but the marker, and its domain, if it has one, no
    /// run. With `generation` only if the marker has this name. Says whether there was one.
    pub(super) fn remove_unused(&self, generation: Option<&str>) -> Result<bool, BucketStoreError> {
        let server = |error| self.server(error);
        if self.own.is_none() || !self.exists()? {
            return Ok(false);
        }
        let keys = self.list_whole("", false).map_err(server)?;
        let marked = self.marked()?;
        if generation.is_some() && marked.as_ref().map(|(_, there)| there.as_str()) != generation {
            return Ok(false);
        }
        if keys.iter().any(|key| *key != self.marker()) {
            // A run without a marker is found, but not behind one that leads nowhere.
            let is_there = |sequence: &str| keys.iter().any(|key| key.starts_with(sequence));
            if let Some(generation) = generation
                && is_there(&self.sequences())
                && !is_there(&self.sequence(generation))
            {
                self.bucket.delete(&[self.marker()]).map_err(server)?;
            }
            return Ok(false);
        }
        if let Some((RecordsIn::SimpleDb, _)) = marked {
            let there = self.root()?.map(|root| self.look(&root)).transpose();
            return match there.map_err(|reason| self.open(reason))? {
                None | Some(There::Nothing) => self.remove_with_domain().map(|()| true),
                Some(_) => Ok(false),
            };
        }
        self.bucket.delete(&keys).and_then(|()| self.bucket.remove()).map_err(server)
    }

    /// Removes a store of our own whose run is gone. Somebody else may have done that before, and made a new store: that
    /// has a marker of its own, and a sequence.
    pub(super) fn remove_own(&self, root: &Root, run: &str, sweeps: bool) -> Result<(), BucketStoreError> {
        if !self.empty_own(root, run, sweeps)? {
            return Ok(());
        }
        let server = |error| self.server(error);
        match self.bucket.remove() {
            Err(error) if error.reason.contains("BucketNotEmpty") => {
                let keys = self.list_whole(&self.prefix, false).map_err(server)?;
                let ours = self.run_prefix(run);
                // What a straggler of this run has stored since goes as well. Else it is a new store, which stays.
                if keys.iter().any(|key| !key.starts_with(&ours)) {
                    return Ok(());
                }
                self.bucket.delete(&keys).and_then(|()| self.bucket.remove()).map(drop).map_err(server)
            }
            removed => removed.map(drop).map_err(server),
        }
    }

    /// The same, but for the bucket: another store may take it over. Says whether that was left to us.
    pub(super) fn empty_own(&self, root: &Root, run: &str, sweeps: bool) -> Result<bool, BucketStoreError> {
        let server = |error| self.server(error);
        let ours = self.run_prefix(run);
        if sweeps {
            self.bucket.sweep_uploads(&ours).map_err(server)?;
        }
        let keys = self.list_whole(&self.prefix, false).map_err(server)?;
        let sequences = self.sequences();
        let own_sequence = self.sequence(root.generation.as_deref().unwrap_or_default());
        let (run_keys, rest): (Vec<String>, Vec<String>) =
            keys.into_iter().partition(|key| key.starts_with(&ours));
        // The output object is in the last one, and goes with what says that a run was here.
        let mut run_keys = self.journal_last(run, run_keys);
        let last = run_keys.pop();
        self.bucket.delete(&run_keys).map_err(server)?;
        let (own, others): (Vec<String>, Vec<String>) =
            rest.into_iter().partition(|key| key.starts_with(&own_sequence));
        // One that only says that its run is gone was left by somebody who slept.
        let has_others =
            others.iter().any(|key| key.starts_with(&sequences)) && self.another_run(root)?.is_some();
        let marked = self.marked()?.map(|(_, generation)| generation);
        let is_others = match &marked {
            Some(_) => marked != root.generation,
            // A domain is known by its marker alone: somebody has removed it, and may be making the next store.
            None => has_others || root.kind == RecordsIn::SimpleDb,
        };
        if is_others {
            let ours: Vec<String> = last.into_iter().chain(own).collect();
            self.bucket.delete(&ours).map_err(server)?;
            return Ok(false);
        }
        if let Some(own) = self.own.as_ref().filter(|_| root.kind == RecordsIn::SimpleDb) {
            own.domain.remove().map_err(server)?;
        }
        // Where no other store is, what else is there was left by runs that are long gone.
        let marker = self.marker();
        let goes = |key: &String| if *key == marker { marked.is_some() } else { !has_others };
        let rest = last.into_iter().chain(own).chain(others.into_iter().filter(goes));
        self.bucket.delete(&rest.collect::<Vec<_>>()).map_err(server)?;
        Ok(true)
    }

    /// Removes all that is the store's own, with its domain. The marker goes with the bucket, after the domain: until then
    /// it is known that there is one.
    fn remove_with_domain(&self) -> Result<(), BucketStoreError> {
        let whole = || {
            if let Some(own) = &self.own {
                own.domain.remove()?;
            }
            let keys = self.list_whole(&self.prefix, false)?;
            self.bucket.delete(&keys)?;
            self.bucket.remove().map(drop)
        };
        whole().map_err(|error| self.server(error))
    }
}
