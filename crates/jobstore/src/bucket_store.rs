//! The job stores `aws:REGION:NAME` and `s3://BUCKET/PREFIX`: records and contents below a prefix of a bucket.
//!
//! ```text
//! PREFIX/runs/…               which run is there
//! PREFIX/run-UUID/moil.json   what the store is
//!                /journal/…   the ledger
//!                /files/TERM/ATTEMPT-RANDOM/…   what attempts left
//! PREFIX/records             of aws: stores: where the records are, `s3` or `simpledb`
//! ```
//!
//! With SimpleDB, `runs/…` and all of a run but its files are items of a domain (`domain`) with the same names.
//!
//! Nothing in a bucket can be renamed: everything has the run's own number in its name, so that whoever still works
//! for a run that was removed never meets the next one.

mod domain;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;

use moil_cwl::value::Value;
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

use crate::content::s3::S3Contents;
use crate::ledger::{self, Ledger, OpenError, Replay};
use crate::locator::{Locator, RecordsIn};
use crate::names::{self, Term};
use crate::nonce::nonce;
use crate::records::s3::S3Records;
use crate::records::{Put, Records};
use crate::runs;
use crate::s3::{Bucket, Error, Kind, S3};
use crate::who::Who;
use domain::Domain;

/// Where below a bucket of our own everything lies.
const OWN_PREFIX: &str = "moil/";

/// Below the prefix: the object that says where the records are.
const MARKER: &str = "records";

/// What the marker says.
fn word(kind: RecordsIn) -> &'static str {
    match kind {
        RecordsIn::S3 => "s3",
        RecordsIn::SimpleDb => "simpledb",
    }
}

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
    /// SimpleDB is not there, or not for everybody.
    #[error("the job store {store} cannot have its records in SimpleDB: {reason}")]
    NoSimpleDb {
        /// The store.
        store: String,
        /// Why, and what to do.
        reason: String,
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
    /// What is made and removed with the store; `None` where the bucket is somebody else's.
    own: Option<Own>,
    /// For messages.
    name: String,
    /// Where a store that is made has its records.
    records: RecordsIn,
    /// The tags of a bucket that is made.
    tags: BTreeMap<String, String>,
}

/// What belongs to an `aws:` store alone.
#[derive(Clone)]
struct Own {
    region: String,
    domain: Domain,
}

impl BucketPlace {
    /// The place that a locator names; `None` where it names none in a bucket. `simpledb` is the URL of the server of
    /// SimpleDB, if it is not that of AWS.
    pub fn of(locator: &Locator, s3: &S3, simpledb: Option<&str>) -> Option<Self> {
        let (name, records, tags) = (locator.to_string(), RecordsIn::default(), BTreeMap::new());
        match locator {
            Locator::File(_) => None,
            Locator::Aws { region, name: own } => Some(Self {
                bucket: s3.bucket(&Locator::bucket(own)),
                prefix: OWN_PREFIX.to_owned(),
                own: Some(Own {
                    region: region.clone(),
                    domain: Domain::new(s3.clone(), simpledb, region, own),
                }),
                name,
                records,
                tags,
            }),
            Locator::S3 { bucket, prefix } => {
                let prefix = if prefix.is_empty() { OWN_PREFIX.to_owned() } else { format!("{prefix}/") };
                Some(Self { bucket: s3.bucket(bucket), prefix, own: None, name, records, tags })
            }
        }
    }

    /// The same place, where a store that is made has its records and tags so.
    #[must_use]
    pub fn to_make(self, records: RecordsIn, tags: BTreeMap<String, String>) -> Self {
        Self { records, tags, ..self }
    }

    /// The records that say which run is there, for a store that is there; `None` if there is none.
    fn root(&self) -> Result<Option<Arc<dyn Records>>, BucketStoreError> {
        if !self.exists()? {
            return Ok(None);
        }
        let kind = self.marked()?.unwrap_or_default();
        match &self.own {
            Some(own) if kind == RecordsIn::SimpleDb => {
                let there = own.domain.is_there().map_err(|error| self.server(error))?;
                if there { self.root_in(kind).map(Some) } else { Ok(None) }
            }
            _ => self.root_in(kind).map(Some),
        }
    }

    fn root_in(&self, kind: RecordsIn) -> Result<Arc<dyn Records>, BucketStoreError> {
        match (&self.own, kind) {
            (Some(own), RecordsIn::SimpleDb) => {
                own.domain.records(&self.bucket, &self.prefix).map_err(|error| self.server(error))
            }
            _ => Ok(Arc::new(S3Records::new(self.bucket.clone(), &self.prefix))),
        }
    }

    /// Where the store says that its records are; `None` if it does not say.
    fn marked(&self) -> Result<Option<RecordsIn>, BucketStoreError> {
        if self.own.is_none() {
            return Ok(None);
        }
        let text = match self.bucket.get(&self.marker()) {
            Err(error) if error.kind == Kind::NoBucket => None,
            text => text.map_err(|error| self.server(error))?,
        };
        let known = [RecordsIn::S3, RecordsIn::SimpleDb];
        Ok(text.and_then(|text| known.into_iter().find(|kind| word(*kind).as_bytes() == text)))
    }

    fn marker(&self) -> String {
        format!("{}{MARKER}", self.prefix)
    }

    /// The records of the run that is there, for those who look, work or ask for its end, but do not lead.
    ///
    /// # Errors
    /// There is none, or the server cannot be asked.
    pub fn records(&self) -> Result<Arc<dyn Records>, BucketStoreError> {
        let root = self.root()?.ok_or_else(|| self.open(OpenError::Missing))?;
        runs::current(&root).map_err(|reason| self.open(reason))
    }

    /// Removes the run that is there, whoever led it, and the bucket if it is the store's own.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn clean(&self, who: &Who) -> Result<(), BucketStoreError> {
        let Some(root) = self.root()? else {
            // What is left of one whose domain is gone already.
            if self.marked()? == Some(RecordsIn::SimpleDb) {
                return self.remove_whole();
            }
            return Err(self.open(OpenError::Missing));
        };
        let run = match runs::current_id(&*root) {
            Err(OpenError::Missing) if self.is_empty_own()? => return self.remove_whole(),
            run => run.map_err(|reason| self.open(reason))?,
        };
        let records = runs::current(&root).map_err(|reason| self.open(reason))?;
        ledger::retire(&*records, who).map_err(|reason| self.open(reason))?;
        self.remove_run(&root, &run)
    }

    /// Whether all is removed but the bucket.
    fn is_empty_own(&self) -> Result<bool, BucketStoreError> {
        let is_empty = || Ok(self.own.is_some() && self.bucket.list("", None)?.is_empty());
        is_empty().map_err(|error| self.server(error))
    }

    /// The run that is there, for a worker: its records, and what keeps files of attempts of a term. `run` is its number if
    /// its records are known to be objects: then nothing is asked of the server.
    ///
    /// # Errors
    /// There is none, or the server cannot be asked.
    pub fn for_worker(
        &self,
        run: Option<&str>,
        term: &Term,
    ) -> Result<(Arc<dyn Records>, S3Contents), BucketStoreError> {
        if let Some(run) = run {
            let root = self.root_in(RecordsIn::S3)?;
            return Ok((runs::records(&root, run), self.contents(run, term)));
        }
        let root = self.root()?.ok_or_else(|| self.open(OpenError::Missing))?;
        let run = runs::current_id(&*root).map_err(|reason| self.open(reason))?;
        let records = runs::current(&root).map_err(|reason| self.open(reason))?;
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
    fn remove_run(&self, root: &Arc<dyn Records>, run: &str) -> Result<(), BucketStoreError> {
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
            return runs::forget(&**root, run).map_err(|error| self.open(OpenError::Records(error)));
        }
        self.remove_whole()
    }

    /// Removes all that is the store's own. The marker goes with the bucket, after the domain: until then it is known
    /// that there is one.
    fn remove_whole(&self) -> Result<(), BucketStoreError> {
        let marked = self.marked()?;
        let whole = || {
            if let Some(own) = &self.own
                && marked == Some(RecordsIn::SimpleDb)
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

    /// Makes what belongs to an `aws:` store alone, for a run that has its records there.
    fn make_own(
        &self,
        own: &Own,
        kind: RecordsIn,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), BucketStoreError> {
        let server = |error| self.server(error);
        if let Some(name) = self.bucket.name().strip_suffix("--toil") {
            let old = self.bucket.sibling(&format!("{name}--files"));
            if !self.exists()? && old.exists().map_err(server)? {
                return Err(BucketStoreError::MadeByToil { store: self.name.clone() });
            }
        }
        if kind == RecordsIn::SimpleDb {
            let wrong = |reason| BucketStoreError::NoSimpleDb { store: self.name.clone(), reason };
            own.domain.check_region().map_err(wrong)?;
        }
        self.bucket.create(Some(&own.region), tags).map_err(server)?;
        self.mark(kind)?;
        if kind == RecordsIn::SimpleDb {
            own.domain.make().map_err(|error| BucketStoreError::NoSimpleDb {
                store: self.name.clone(),
                reason: format!("{error}; leave --awsRecords out where SimpleDB is not to be had (AWS offers it to no new accounts)"),
            })?;
        }
        Ok(())
    }

    /// Says where the records will be, unless another run's are elsewhere.
    fn mark(&self, kind: RecordsIn) -> Result<(), BucketStoreError> {
        let marker = self.marker();
        let server = |error| self.server(error);
        if self.bucket.put_if_absent(&marker, word(kind).as_bytes()).map_err(server)? == Put::Stored
            || self.marked()? == Some(kind)
        {
            return Ok(());
        }
        // A store of the other kind, or what is left of one.
        match self.records() {
            Ok(_) => Err(self.open(OpenError::Exists)),
            Err(BucketStoreError::Open { reason: OpenError::Missing, .. }) => {
                self.bucket.put(&marker, word(kind).as_bytes()).map_err(server)
            }
            Err(error) => Err(error),
        }
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
    kind: RecordsIn,
    root: Arc<dyn Records>,
    ledger: Ledger,
}

impl BucketStore {
    /// Makes a store where there is none, and the bucket if it is the store's own.
    ///
    /// # Errors
    /// There is one; the server refuses, or ignores conditions.
    pub fn create(place: BucketPlace, who: &Who) -> Result<Self, BucketStoreError> {
        let kind = place.records;
        if let Some(own) = &place.own {
            place.make_own(own, kind, &place.tags)?;
        }
        let root = place.root_in(kind)?;
        let probe = format!("{}probe-", place.prefix);
        let checked = match kind {
            RecordsIn::S3 => place.bucket.check_conditional_writes(&probe),
            RecordsIn::SimpleDb => check_conditional_writes(&*root),
        };
        checked.map_err(|error| place.server(error))?;
        let ledger = runs::create(&root, who).map_err(|reason| place.open(reason))?;
        Ok(Self { place, kind, root, ledger })
    }

    /// Takes over the run that is there, and says what its journal says. Its leader until now is fenced.
    ///
    /// # Errors
    /// There is none, or it is not to be led any more.
    pub fn restart(place: BucketPlace, who: &Who) -> Result<(Self, Replay), BucketStoreError> {
        let root = place.root()?.ok_or_else(|| place.open(OpenError::Missing))?;
        let kind = place.marked()?.unwrap_or_default();
        let records = runs::current(&root).map_err(|reason| place.open(reason))?;
        let (ledger, replay) = Ledger::take_over(records, who).map_err(|reason| place.open(reason))?;
        Ok((Self { place, kind, root, ledger }, replay))
    }

    /// The output object of a run that was a success, and whose removal was interrupted.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn outputs_of_removed(place: &BucketPlace) -> Result<Option<Value>, BucketStoreError> {
        let records = place.records()?;
        ledger::outputs_of_cleaned(&*records).map_err(|error| place.open(OpenError::Records(error)))
    }

    /// Whether this run is the one that is there. Somebody may have removed all of it by hand, and begun another: nothing
    /// of that is known to its journal, whose names are free again then.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if it is not, or if that cannot be found out.
    pub fn check_current(&self) -> Result<(), StoreError> {
        let reason = match self.is_removed() {
            Ok(false) => return Ok(()),
            Ok(true) => {
                "it was removed by somebody else while this run was at work; what is there now is another run's"
                    .to_owned()
            }
            Err(error) => error.to_string(),
        };
        let operation = format!("using the job store {}", self.place.name);
        Err(StoreError::Failed { operation, reason })
    }

    /// Whether this run is not the one that is there any more.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn is_removed(&self) -> Result<bool, OpenError> {
        match runs::current_id(&*self.root) {
            Ok(run) => Ok(run != self.ledger.info().run),
            Err(OpenError::Missing) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Removes this store, if no other leader has taken it over.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: nothing is removed. [`StoreError::Failed`]: `moil clean` goes on from there.
    pub fn remove(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        self.check_current()?;
        self.ledger.retire(outputs)?;
        self.place.remove_run(&self.root, &self.ledger.info().run).map_err(|error| StoreError::Failed {
            operation: "removing the job store".to_owned(),
            reason: error.to_string(),
        })
    }

    /// Whether each record is an object of the bucket.
    pub fn records_are_objects(&self) -> bool {
        self.kind == RecordsIn::S3
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
        self.contents().files()
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

/// Whether of two records of one name the first stays: some imitations of SimpleDB ignore conditions.
fn check_conditional_writes(records: &dyn Records) -> Result<(), Error> {
    let name = format!("probe-{}", nonce());
    let refused = |reason: String| Error::new("cannot use", "SimpleDB", Kind::Refused, reason);
    let failed = |error: crate::records::RecordsError| refused(error.to_string());
    let first = records.put_if_absent(&name, b"first").map_err(failed)?;
    let second = records.put_if_absent(&name, b"second").map_err(failed)?;
    let _ = records.delete(&[name]);
    match (first, second) {
        (Put::Stored, Put::Exists) => Ok(()),
        _ => Err(refused(
            "this server ignores conditions, so two leaders of one run could overwrite each other's records; please \
             leave --awsRecords out"
                .to_owned(),
        )),
    }
}
