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
mod removal;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;

use moil_cwl::value::Value;
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

use crate::at_once::both;
use crate::content::s3::S3Contents;
use crate::ledger::{self, Ledger, OpenError, Replay};
use crate::locator::{Locator, RecordsIn};
use crate::names::Term;
use crate::nonce::nonce;
use crate::records::s3::S3Records;
use crate::records::{Put, Records};
use crate::runs::{self, Pointer};
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

    /// The records that say which run is there, and where they are, for a store that is there; `None` if there is none.
    fn root(&self) -> Result<Option<(RecordsIn, Arc<dyn Records>)>, BucketStoreError> {
        if self.own.is_none() {
            // Who looks for the run learns whether the bucket is there.
            return Ok(Some((RecordsIn::S3, self.root_in(RecordsIn::S3)?)));
        }
        if !self.exists()? {
            return Ok(None);
        }
        let kind = self.marked()?.unwrap_or_default();
        if let Some(own) = &self.own
            && kind == RecordsIn::SimpleDb
            && !own.domain.is_there().map_err(|error| self.server(error))?
        {
            return Ok(None);
        }
        Ok(Some((kind, self.root_in(kind)?)))
    }

    /// The run that is there.
    fn find(&self, root: &Arc<dyn Records>) -> Result<Pointer, OpenError> {
        match runs::find(&**root) {
            Err(OpenError::Records(_)) if self.bucket.exists().is_ok_and(|there| !there) => {
                Err(OpenError::Missing)
            }
            found => found,
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
        let (_, root) = self.root()?.ok_or_else(|| self.open(OpenError::Missing))?;
        let pointer = self.find(&root).map_err(|reason| self.open(reason))?;
        Ok(runs::records(&root, &pointer.run))
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
        let (_, root) = self.root()?.ok_or_else(|| self.open(OpenError::Missing))?;
        let Pointer { run, .. } = self.find(&root).map_err(|reason| self.open(reason))?;
        Ok((runs::records(&root, &run), self.contents(&run, term)))
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

    /// Whether records are stored under a condition; `stored` is the name of one that is worth nothing if not.
    fn check_conditions(&self, kind: RecordsIn, root: &dyn Records, stored: &str) -> Result<(), Error> {
        match kind {
            RecordsIn::S3 => self.bucket.check_not_stored_again(&format!("{}{stored}", self.prefix)),
            RecordsIn::SimpleDb => check_not_stored_again(root, stored),
        }
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
        marked?;
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
    place: Box<BucketPlace>,
    kind: RecordsIn,
    root: Arc<dyn Records>,
    pointer: Pointer,
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
        let open = |reason| place.open(reason);
        let new = runs::begin(&root, who, &|run| place.remove_left(&root, run)).map_err(open)?;
        let stored = new.stored();
        let (checked, ledger) = both(|| place.check_conditions(kind, &*root, &stored), || new.lead(who));
        let led = checked.map_err(|error| place.server(error)).and_then(|()| ledger.map_err(open));
        let ledger = led.inspect_err(|_| drop(new.withdraw()))?;
        let pointer = new.announce().map_err(open)?;
        Ok(Self { place: Box::new(place), kind, root, pointer, ledger })
    }

    /// Takes over the run that is there, and says what its journal says. Its leader until now is fenced.
    ///
    /// # Errors
    /// There is none, or it is not to be led any more.
    pub fn restart(place: BucketPlace, who: &Who) -> Result<(Self, Replay), BucketStoreError> {
        let (kind, root) = place.root()?.ok_or_else(|| place.open(OpenError::Missing))?;
        let pointer = place.find(&root).map_err(|reason| place.open(reason))?;
        let records = runs::records(&root, &pointer.run);
        let (ledger, replay) = Ledger::take_over(records, who).map_err(|reason| place.open(reason))?;
        // Who slept before may have begun the journal of one that was removed anew.
        if !ledger.is_there().map_err(|error| place.open(OpenError::Records(error)))? {
            return Err(place.open(OpenError::Missing));
        }
        Ok((Self { place: Box::new(place), kind, root, pointer, ledger }, replay))
    }

    /// The output object of a run that was a success, and whose removal was interrupted.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn outputs_of_removed(place: &BucketPlace) -> Result<Option<Value>, BucketStoreError> {
        let records = place.records()?;
        ledger::outputs_of_cleaned(&*records).map_err(|error| place.open(OpenError::Records(error)))
    }

    /// Whether this run is there. Somebody may have removed all of it: nothing of that is known to its journal, whose names
    /// are free again then.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if it is not, or if that cannot be found out.
    pub fn check_current(&self) -> Result<(), StoreError> {
        let reason = match self.ledger.is_there() {
            Ok(true) => return Ok(()),
            Err(error) if !matches!(self.is_removed(), Ok(true)) => error.to_string(),
            _ => "it was removed by somebody else while this run was at work".to_owned(),
        };
        let operation = format!("using the job store {}", self.place.name);
        Err(StoreError::Failed { operation, reason })
    }

    /// Whether this run is not the one that can be found any more.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn is_removed(&self) -> Result<bool, OpenError> {
        match self.place.find(&self.root) {
            Ok(found) => Ok(found.run != self.pointer.run),
            Err(OpenError::Missing) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Removes this store, if no other leader has taken it over.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: nothing is removed. [`StoreError::Failed`]: `moil clean` goes on from there.
    pub fn remove(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        self.ledger.retire(outputs)?;
        self.place.remove_run(self.kind, &self.root, &self.pointer).map_err(|error| StoreError::Failed {
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
    records.put_if_absent(&name, b"first").map_err(|error| refused(error.to_string()))?;
    let checked = check_not_stored_again(records, &name);
    let _ = records.delete(&[name]);
    checked
}

/// Whether a record that is there stays.
fn check_not_stored_again(records: &dyn Records, name: &str) -> Result<(), Error> {
    match records.put_if_absent(name, b"second").map_err(|error| refused(error.to_string()))? {
        Put::Exists => Ok(()),
        Put::Stored => Err(refused(
            "this server ignores conditions, so two leaders of one run could overwrite each other's records; please \
             leave --awsRecords out"
                .to_owned(),
        )),
    }
}

fn refused(reason: String) -> Error {
    Error::new("cannot use", "SimpleDB", Kind::Refused, reason)
}
