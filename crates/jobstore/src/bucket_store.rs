//! The job stores `aws:REGION:NAME` and `s3://BUCKET/PREFIX`: records and contents below a prefix of a bucket.
//!
//! ```text
//! PREFIX/runs/…               which run is there
//! PREFIX/run-UUID/moil.json   what the store is
//!                /journal/…   the ledger
//!                /files/TERM/ATTEMPT-RANDOM/…   what attempts left
//! ```
//!
//! Nothing in a bucket can be renamed: everything has the run's own number in its name, so that whoever still works
//! for a run that was removed never meets the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use moil_cwl::value::Value;
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

use crate::content::s3::S3Contents;
use crate::ledger::{self, Ledger, OpenError, Replay};
use crate::locator::Locator;
use crate::names::{self, Term};
use crate::records::Records;
use crate::records::s3::S3Records;
use crate::runs;
use crate::s3::{Bucket, Error, S3};
use crate::who::Who;

/// Where below a bucket of our own everything lies.
const OWN_PREFIX: &str = "moil/";

/// Why a bucket is not the store that is wanted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BucketStoreError {
    /// The ledger's reason.
    #[error("{}", open_words(store, reason))]
    Open {
        /// The store.
        store: String,
        /// Why.
        reason: OpenError,
    },
    /// It was made by a Toil before 9.1, with SimpleDB.
    #[error(
        "the job store {store} was made by Toil 9.0 or earlier: finish it with that Toil, or choose another name"
    )]
    MadeByToil {
        /// The store.
        store: String,
    },
    /// The server refused, or could not be reached.
    #[error("the job store {store}: {error}")]
    Server {
        /// The store.
        store: String,
        /// What it says.
        error: Error,
    },
}

fn open_words(store: &str, reason: &OpenError) -> String {
    match reason {
        OpenError::Exists => format!(
            "the job store {store} already exists: continue that run with --restart, or remove it with `moil clean` to start afresh"
        ),
        OpenError::Missing => {
            format!("the job store {store} does not exist, so there is nothing to restart")
        }
        OpenError::Cleaning => {
            format!("the job store {store} is being removed: `moil clean` finishes that")
        }
        other => format!("the job store {store}: {other}"),
    }
}

/// Where a store lies, whether it is there or not.
#[derive(Clone)]
pub struct BucketPlace {
    bucket: Bucket,
    prefix: String,
    /// The region in which the bucket is made and removed with the store; `None` where it is somebody else's.
    own: Option<String>,
    /// For messages.
    name: String,
}

impl BucketPlace {
    /// The place that a locator names; `None` where it names none in a bucket.
    pub fn of(locator: &Locator, s3: &S3) -> Option<Self> {
        let name = locator.to_string();
        match locator {
            Locator::File(_) => None,
            Locator::Aws { region, name: own } => Some(Self {
                bucket: s3.bucket(&Locator::bucket(own)),
                prefix: OWN_PREFIX.to_owned(),
                own: Some(region.clone()),
                name,
            }),
            Locator::S3 { bucket, prefix } => {
                let prefix = if prefix.is_empty() { OWN_PREFIX.to_owned() } else { format!("{prefix}/") };
                Some(Self { bucket: s3.bucket(bucket), prefix, own: None, name })
            }
        }
    }

    /// The records that say which run is there.
    pub fn root(&self) -> Arc<dyn Records> {
        Arc::new(S3Records::new(self.bucket.clone(), &self.prefix))
    }

    /// The records of the run that is there, for those who look, work or ask for its end, but do not lead.
    ///
    /// # Errors
    /// There is none, or the server cannot be asked.
    pub fn records(&self) -> Result<Arc<dyn Records>, BucketStoreError> {
        if !self.exists()? {
            return Err(self.open(OpenError::Missing));
        }
        runs::current(&self.root()).map_err(|reason| self.open(reason))
    }

    /// Removes the run that is there, whoever led it, and the bucket if it is the store's own.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn clean(&self, who: &Who) -> Result<(), BucketStoreError> {
        if !self.exists()? {
            return Err(self.open(OpenError::Missing));
        }
        let root = self.root();
        let run = runs::current_id(&*root).map_err(|reason| self.open(reason))?;
        let records = runs::current(&root).map_err(|reason| self.open(reason))?;
        ledger::retire(&*records, who).map_err(|reason| self.open(reason))?;
        self.remove_run(&run)
    }

    /// The run that is there, for a worker: its records, and what keeps files of attempts of a term.
    ///
    /// # Errors
    /// There is none, or the server cannot be asked.
    pub fn for_worker(&self, term: &Term) -> Result<(Arc<dyn Records>, S3Contents), BucketStoreError> {
        let records = self.records()?;
        let run = runs::current_id(&*self.root()).map_err(|reason| self.open(reason))?;
        Ok((records, self.contents(&run, term)))
    }

    fn contents(&self, run: &str, term: &Term) -> S3Contents {
        S3Contents::new(
            self.bucket.clone(),
            format!("{}{}", self.prefix, runs::prefix(run)),
            &term.to_string(),
        )
    }

    fn exists(&self) -> Result<bool, BucketStoreError> {
        self.bucket.exists().map_err(|error| self.server(error))
    }

    /// Removes a run whose removal is recorded, and nothing of anybody else. The journal goes last: until then it can be
    /// told what this is. In a bucket that stays, a small record says that the run is gone.
    fn remove_run(&self, run: &str) -> Result<(), BucketStoreError> {
        let objects = || {
            let prefix = format!("{}{}", self.prefix, runs::prefix(run));
            self.bucket.sweep_uploads(&prefix)?;
            let entries = self.bucket.list(&prefix, None)?;
            let journal = format!("{prefix}{}", names::JOURNAL);
            let (journal, others): (Vec<_>, Vec<_>) =
                entries.into_iter().map(|entry| entry.key).partition(|key| key.starts_with(&journal));
            self.bucket.delete(&others)?;
            self.bucket.delete(&journal)
        };
        objects().map_err(|error| self.server(error))?;
        if self.own.is_none() {
            return runs::forget(&*self.root(), run).map_err(|error| self.open(OpenError::Records(error)));
        }
        let whole = || {
            let keys: Vec<String> =
                self.bucket.list(&self.prefix, None)?.into_iter().map(|entry| entry.key).collect();
            self.bucket.delete(&keys)?;
            self.bucket.remove().map(drop)
        };
        whole().map_err(|error| self.server(error))
    }

    fn open(&self, reason: OpenError) -> BucketStoreError {
        BucketStoreError::Open { store: self.name.clone(), reason }
    }

    fn server(&self, error: Error) -> BucketStoreError {
        BucketStoreError::Server { store: self.name.clone(), error }
    }
}

/// A run in a bucket that this process leads.
pub struct BucketStore {
    place: BucketPlace,
    ledger: Ledger,
}

impl BucketStore {
    /// Makes a store where there is none, and the bucket if it is the store's own, with these tags.
    ///
    /// # Errors
    /// There is one; the server refuses, or ignores conditions.
    pub fn create(
        place: BucketPlace,
        tags: &BTreeMap<String, String>,
        who: &Who,
    ) -> Result<Self, BucketStoreError> {
        if let Some(region) = &place.own {
            if let Some(name) = place.bucket.name().strip_suffix("--toil") {
                let old = place.bucket.sibling(&format!("{name}--files"));
                if !place.exists()? && old.exists().map_err(|error| place.server(error))? {
                    return Err(BucketStoreError::MadeByToil { store: place.name });
                }
            }
            place.bucket.create(Some(region), tags).map_err(|error| place.server(error))?;
        }
        let probe = format!("{}probe-", place.prefix);
        place.bucket.check_conditional_writes(&probe).map_err(|error| place.server(error))?;
        let ledger = runs::create(&place.root(), who).map_err(|reason| place.open(reason))?;
        Ok(Self { place, ledger })
    }

    /// Takes over the run that is there, and says what its journal says. Its leader until now is fenced.
    ///
    /// # Errors
    /// There is none, or it is not to be led any more.
    pub fn restart(place: BucketPlace, who: &Who) -> Result<(Self, Replay), BucketStoreError> {
        let records = place.records()?;
        let (ledger, replay) = Ledger::take_over(records, who).map_err(|reason| place.open(reason))?;
        Ok((Self { place, ledger }, replay))
    }

    /// The output object of a run that was a success, and whose removal was interrupted.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn outputs_of_removed(place: &BucketPlace) -> Result<Option<Value>, BucketStoreError> {
        let records = place.records()?;
        ledger::outputs_of_cleaned(&*records).map_err(|error| place.open(OpenError::Records(error)))
    }

    /// Removes this store, if no other leader has taken it over.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: nothing is removed. [`StoreError::Failed`]: `moil clean` goes on from there.
    pub fn remove(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        self.ledger.retire(outputs)?;
        self.place.remove_run(&self.ledger.info().run).map_err(|error| StoreError::Failed {
            operation: "removing the job store".to_owned(),
            reason: error.to_string(),
        })
    }

    /// The run's journal, and who leads it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Keeps what the attempts of this leader leave, and brings what those of all leaders left.
    pub fn contents(&self) -> S3Contents {
        self.place.contents(&self.ledger.info().run, self.ledger.term())
    }

    /// What the locations of all that attempts of this run made begin with.
    pub fn files(&self) -> String {
        let prefix = format!("{}{}files/", self.place.prefix, runs::prefix(&self.ledger.info().run));
        crate::content::s3::location(&self.place.bucket, &prefix)
    }
}

impl Store for BucketStore {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, group: &[Record]) -> Result<(), StoreError> {
        self.ledger.append(group)
    }
}
