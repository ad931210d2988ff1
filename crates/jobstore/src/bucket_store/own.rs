//! Buckets that are made and removed with their store: how one is made, and which store it is of.

use std::collections::BTreeMap;
use std::slice;

use super::{BucketPlace, BucketStoreError, Own, Root, marking};
use crate::at_once::both;
use crate::ledger::{OpenError, Removal};
use crate::locator::RecordsIn;
use crate::nonce::nonce;
use crate::records::Put;
use crate::runs::{self, New, There};

/// How often it is begun anew, while others remove what is there.
const TRIES: usize = 3;

impl BucketPlace {
    /// Makes what belongs to an `aws:` store alone, for a run that has its records there. Gives the name of their sequence,
    /// and whether that is new.
    fn make_own(
        &self,
        own: &Own,
        kind: RecordsIn,
        tags: &BTreeMap<String, String>,
    ) -> Result<(String, bool), BucketStoreError> {
        let server = |error| self.server(error);
        if let Some(name) = self.bucket.name().strip_suffix("--toil") {
            let old = self.bucket.sibling(&format!("{name}--files"));
            // Most often neither is there. Of one that is somebody else's it is not told whether it is there.
            let old = old.exists();
            if !matches!(old, Ok(false)) && !self.exists()? && old.map_err(server)? {
                return Err(BucketStoreError::MadeByToil { store: self.name.clone() });
            }
        }
        if kind == RecordsIn::SimpleDb {
            let wrong = |reason| BucketStoreError::NoSimpleDb { store: self.name.clone(), reason };
            own.domain.check_region().map_err(wrong)?;
        }
        self.bucket.make(Some(&own.region)).map_err(server)?;
        // Before a run can be found: no leader that takes over asks whether they are there.
        let (furnished, marked) = both(|| self.bucket.furnish(tags), || self.mark(kind));
        furnished.map_err(server)?;
        let marked = marked?;
        if kind == RecordsIn::SimpleDb {
            own.domain.make().map_err(|error| BucketStoreError::NoSimpleDb {
                store: self.name.clone(),
                reason: format!("{error}; leave --awsRecords out where SimpleDB is not to be had (AWS offers it to no new accounts)"),
            })?;
        }
        Ok(marked)
    }

    /// Makes a bucket of our own, and begins to make the only run that it will have. What is left of one that is gone is
    /// removed first. Also says whether the sequence was begun here.
    pub(super) fn begin_own(&self, own: &Own) -> Result<(Root, New, bool), BucketStoreError> {
        let open = |reason| self.open(reason);
        for _ in 0..TRIES {
            let (generation, is_new) = self.make_own(own, self.records, &self.tags)?;
            let root = self.root_in(self.records, Some(generation))?;
            let there = match is_new && root.kind == RecordsIn::S3 {
                true => There::Nothing,
                false => self.look(&root).map_err(open)?,
            };
            let removal = |there| self.removal_of(&root, there).map_err(|error| open(error.into()));
            match &there {
                There::Nothing => {
                    let new = runs::begin_first(&root.records);
                    return Ok((root, new, is_new));
                }
                There::Gone(gone) => _ = self.empty_own(&root, &gone.run, true)?,
                // Of a success nobody may have heard.
                There::Run(pointer) => match removal(&there)? {
                    Some(Removal { outputs: None, by }) => {
                        runs::forget(&*root.records, pointer, Some(by))
                            .map_err(|error| open(error.into()))?;
                        self.empty_own(&root, &pointer.run, true)?;
                    }
                    _ => return Err(open(OpenError::Exists)),
                },
            }
        }
        Err(self.open(OpenError::Cleaning))
    }

    /// Says where the records will be, unless another run's are elsewhere. Gives the name of their sequence, and whether
    /// that is new.
    fn mark(&self, kind: RecordsIn) -> Result<(String, bool), BucketStoreError> {
        let (marker, generation) = (self.marker(), nonce());
        let text = marking(kind, &generation);
        let server = |error| self.server(error);
        for _ in 0..TRIES {
            if self.bucket.put_if_absent(&marker, text.as_bytes()).map_err(server)? == Put::Stored {
                return Ok((generation, true));
            }
            match self.marked()? {
                Some((there, generation)) if there == kind => return Ok((generation, false)),
                // It has gone meanwhile.
                None => {}
                // A store of the other kind, or what is left of one.
                Some(_) => match self.records() {
                    Ok(_) => return Err(self.open(OpenError::Exists)),
                    Err(BucketStoreError::Open { reason: OpenError::Missing, .. }) => {
                        self.bucket.delete(slice::from_ref(&marker)).map_err(server)?;
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        Err(self.open(OpenError::Cleaning))
    }

    /// The name of another sequence of a bucket of our own that has a run.
    pub(super) fn another_run(&self, root: &Root) -> Result<Option<String>, BucketStoreError> {
        let open = |reason| self.open(reason);
        let sequences = self.records_in(root.kind, None, false)?;
        for name in runs::generations(&*sequences).map_err(|error| open(error.into()))? {
            if root.generation.as_ref() != Some(&name) {
                let other = self.root_in(root.kind, Some(name.clone()))?;
                if matches!(self.look(&other).map_err(open)?, There::Run(_)) {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }
}
