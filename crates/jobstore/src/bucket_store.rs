//! The job stores `aws:REGION:NAME` and `s3://BUCKET/PREFIX`: records and contents below a prefix of a bucket.
//!
//! ```text
//! PREFIX/runs/N               which run is there, with its first records
//! PREFIX/run-UUID/journal/…   the ledger
//!                /files/TERM/ATTEMPT-RANDOM/…   what attempts left
//! PREFIX/records             of aws: stores: where the records are, `s3` or `simpledb`, and the name of their sequence
//! PREFIX/runs/NAME/N         of aws: stores, whose bucket is made and removed with each
//! ```
//!
//! What is stored when, and why it is right, is with [`runs`].
//!
//! With SimpleDB, `runs/…` and all of a run but its files are items of a domain (`domain`) with the same names.
//!
//! Nothing in a bucket can be renamed: everything has the run's own number in its name, so that whoever still works
//! for a run that was removed never meets the next one.

mod domain;
mod own;
mod removal;
mod trial;
mod unfinished;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::value::Value;
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

use crate::at_once::both;
use crate::content::s3::S3Contents;
use crate::ledger::{Ledger, OpenError, Replay};
use crate::locator::{Locator, RecordsIn};
use crate::names::Term;
use crate::nonce::nonce;
use crate::records::s3::S3Records;
use crate::records::{Put, Records, RecordsError};
use crate::runs::{self, New, Pointer, There};
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

/// The marker's text.
fn marking(kind: RecordsIn, generation: &str) -> String {
    format!("{} {generation}", word(kind))
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

/// The records that say which run is there.
#[derive(Clone)]
struct Root {
    kind: RecordsIn,
    records: Arc<dyn Records>,
    /// The name of their sequence, in a bucket of our own.
    generation: Option<String>,
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
    fn root(&self) -> Result<Option<Root>, BucketStoreError> {
        let Some(own) = &self.own else {
            // Who looks for the run learns whether the bucket is there.
            return self.root_in(RecordsIn::S3, None).map(Some);
        };
        if !self.exists()? {
            return Ok(None);
        }
        let (kind, generation) = match self.marked()? {
            Some((kind, generation)) => (kind, Some(generation)),
            // Who slept while he removed the store before may have taken it away.
            None => (RecordsIn::S3, self.a_generation()?),
        };
        if kind == RecordsIn::SimpleDb && !own.domain.is_there().map_err(|error| self.server(error))? {
            return Ok(None);
        }
        match generation {
            Some(generation) => self.root_in(kind, Some(generation)).map(Some),
            None => Ok(None),
        }
    }

    /// The run that is there.
    fn find(&self, root: &Root) -> Result<Pointer, OpenError> {
        match self.look(root)? {
            There::Run(pointer) => Ok(pointer),
            // A bucket of our own goes with it.
            There::Gone(_) if self.own.is_some() => Err(OpenError::Cleaning),
            there if self.removal_of(root, &there)?.is_some() => Err(OpenError::Cleaning),
            _ => Err(OpenError::Missing),
        }
    }

    /// What is there.
    fn look(&self, root: &Root) -> Result<There, OpenError> {
        match runs::look(&*root.records) {
            Err(_) if self.bucket.exists().is_ok_and(|there| !there) => Ok(There::Nothing),
            found => Ok(found?),
        }
    }

    fn root_in(&self, kind: RecordsIn, generation: Option<String>) -> Result<Root, BucketStoreError> {
        let records = self.records_in(kind, generation.as_deref(), false)?;
        Ok(Root { kind, records, generation })
    }

    /// `checks`: whether each put finds out if the server honours conditions.
    fn records_in(
        &self,
        kind: RecordsIn,
        generation: Option<&str>,
        checks: bool,
    ) -> Result<Arc<dyn Records>, BucketStoreError> {
        let records: Arc<dyn Records> = match (&self.own, kind) {
            (Some(own), RecordsIn::SimpleDb) => {
                own.domain.records(&self.bucket, &self.prefix).map_err(|error| self.server(error))?
            }
            _ if checks => Arc::new(self.objects().checking()),
            _ => Arc::new(self.objects()),
        };
        Ok(match generation {
            Some(generation) => runs::of_generation(records, generation),
            None => records,
        })
    }

    fn objects(&self) -> S3Records {
        S3Records::new(self.bucket.clone(), &self.prefix)
    }

    /// The name of a sequence that is there, whatever the marker says.
    fn a_generation(&self) -> Result<Option<String>, BucketStoreError> {
        let open = |reason| self.open(reason);
        let names = runs::generations(&self.objects()).map_err(|error| open(error.into()))?;
        for name in names.iter().filter(|_| names.len() > 1) {
            let root = self.root_in(RecordsIn::S3, Some(name.clone()))?;
            // Others may only say that theirs is gone.
            if matches!(self.look(&root).map_err(open)?, There::Run(_)) {
                return Ok(Some(name.clone()));
            }
        }
        Ok(names.into_iter().next())
    }

    /// Where the store says that its records are, and the name of their sequence; `None` if it does not say.
    fn marked(&self) -> Result<Option<(RecordsIn, String)>, BucketStoreError> {
        if self.own.is_none() {
            return Ok(None);
        }
        let text = match self.bucket.get(&self.marker()) {
            Err(error) if error.kind == Kind::NoBucket => None,
            text => text.map_err(|error| self.server(error))?,
        };
        let text = text.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
        let Some((word, generation)) = text.split_once(' ') else { return Ok(None) };
        let known = [RecordsIn::S3, RecordsIn::SimpleDb];
        let kind = known.into_iter().find(|kind| self::word(*kind) == word);
        Ok(kind.map(|kind| (kind, generation.to_owned())))
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
        let pointer = self.find(&root).map_err(|reason| self.open(reason))?;
        Ok(pointer.records(&root.records))
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
            let root: Arc<dyn Records> = Arc::new(self.objects());
            return Ok((runs::records(&root, run), self.contents(run, term)));
        }
        let root = self.root()?.ok_or_else(|| self.open(OpenError::Missing))?;
        let pointer = self.find(&root).map_err(|reason| self.open(reason))?;
        Ok((pointer.records(&root.records), self.contents(&pointer.run, term)))
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
    root: Root,
    pointer: Pointer,
    ledger: Ledger,
    /// The run, as long as nothing is stored of it.
    coming: Mutex<Option<New>>,
    /// Whether nobody but this process has ever worked for the run.
    alone: AtomicBool,
    /// Whether others may have left unfinished uploads.
    unfinished: AtomicBool,
    /// Whether it has begun the sequence: another who came since may be about to make his run.
    is_new: bool,
}

impl BucketStore {
    /// Begins to make a store where there is none; the bucket is made if it is the store's own. Nothing is stored of the
    /// run before [`BucketStore::establish`].
    ///
    /// # Errors
    /// There is one; the server refuses.
    pub fn create(place: BucketPlace, who: &Who) -> Result<Self, BucketStoreError> {
        let (root, new, is_new) = match &place.own {
            Some(own) => place.begin_own(own)?,
            None => {
                let root = place.root_in(place.records, None)?;
                let new = runs::begin(&root.records, &|run| place.remove_left(run).map(drop));
                let new = new.map_err(|reason| place.open(reason))?;
                (root, new, false)
            }
        };
        let ledger = new.lead(who).map_err(|reason| place.open(reason))?;
        let pointer = new.pointer().clone();
        let (coming, alone, unfinished) =
            (Mutex::new(Some(new)), AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { place: Box::new(place), root, pointer, ledger, coming, alone, unfinished, is_new })
    }

    /// Stores at once all that was to be stored until now: from then on the run is there. `alone`: no other process will
    /// work for it. Does nothing if it is there.
    ///
    /// # Errors
    /// Somebody else was faster; the server refuses, or ignores conditions.
    pub fn establish(&self, alone: bool) -> Result<(), BucketStoreError> {
        let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(new) = &*coming else { return Ok(()) };
        // A server is known that has refused a second record of a name once.
        let checks = new.is_first();
        let kind = self.root.kind;
        let checking = self.place.records_in(kind, self.root.generation.as_deref(), checks)?;
        let put = |name: &str, bytes: &[u8]| match checking.put_if_absent(name, bytes)? {
            Put::Stored if checks && kind == RecordsIn::SimpleDb => {
                let checked = check_not_stored_again(&*checking, name);
                checked.inspect_err(|_| drop(checking.delete(&[name.to_owned()]))).map(|()| Put::Stored)
            }
            put => Ok(put),
        };
        new.store(&put).map_err(|reason| self.place.open(reason))?;
        // Who slept before may be behind a store that was made meanwhile; and the marker of one may have been taken away.
        if self.place.own.is_some() {
            let place = &self.place;
            let (marked, another) = both(|| place.marked(), || place.another_run(&self.root));
            let (marked, another) = (marked?, another?);
            let is_marked = match (marked, &self.root.generation) {
                (Some((_, there)), ours) => Some(&there) == ours.as_ref(),
                // It was taken away, and this is the only run.
                (None, Some(ours)) if another.is_none() => {
                    let put = place.bucket.put_if_absent(&place.marker(), marking(kind, ours).as_bytes());
                    put.map_err(|error| place.server(error))? == Put::Stored
                }
                (None, _) => false,
            };
            if !is_marked || another.is_some() {
                new.withdraw().map_err(|error| place.open(error.into()))?;
                if let Some(generation) = another.filter(|_| is_marked) {
                    let put = place.bucket.put(&place.marker(), marking(kind, &generation).as_bytes());
                    put.map_err(|error| place.server(error))?;
                }
                return Err(place.open(OpenError::Exists));
            }
        }
        *coming = None;
        self.alone.store(alone, Ordering::Relaxed);
        Ok(())
    }

    /// Whether nothing is stored of the run.
    pub fn is_coming(&self) -> bool {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes over the run that is there, and says what its journal says. Its leader until now is fenced.
    ///
    /// # Errors
    /// There is none, or it is not to be led any more.
    pub fn restart(place: BucketPlace, who: &Who) -> Result<(Self, Replay), BucketStoreError> {
        let root = place.root()?.ok_or_else(|| place.open(OpenError::Missing))?;
        let pointer = place.find(&root).map_err(|reason| place.open(reason))?;
        let records = pointer.records(&root.records);
        let (ledger, replay) = Ledger::take_over(records, who).map_err(|reason| place.open(reason))?;
        // Who slept before may have begun the journal of one that was removed anew.
        if !ledger.is_there().map_err(|error| place.open(OpenError::Records(error)))? {
            return Err(place.open(OpenError::Missing));
        }
        let (coming, alone, unfinished) = (Mutex::default(), AtomicBool::new(false), AtomicBool::new(true));
        let place = Box::new(place);
        Ok((Self { place, root, pointer, ledger, coming, alone, unfinished, is_new: false }, replay))
    }

    /// The output object of a run that was a success, and whose removal was interrupted.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn outputs_of_removed(place: &BucketPlace) -> Result<Option<Value>, BucketStoreError> {
        let root = place.root()?.ok_or_else(|| place.open(OpenError::Missing))?;
        let removal = place.look(&root).and_then(|there| Ok(place.removal_of(&root, &there)?));
        let removal = removal.map_err(|reason| place.open(reason))?;
        Ok(removal.and_then(|removal| removal.outputs))
    }

    /// Whether this run is there. Somebody may have removed all of it: nothing of that is known to its journal, whose names
    /// are free again then. What was appended before counts only if it is.
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
        match self.place.look(&self.root)? {
            There::Run(found) => Ok(found.run != self.pointer.run),
            _ => Ok(true),
        }
    }

    /// Removes this store, if no other leader has taken it over.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: nothing is removed. [`StoreError::Failed`]: `moil clean` goes on from there.
    pub fn remove(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        let failed = |error: BucketStoreError| StoreError::Failed {
            operation: "removing the job store".to_owned(),
            reason: error.to_string(),
        };
        if self.is_coming() {
            let generation = self.root.generation.as_deref();
            let removed = if self.is_new { self.place.remove_unused(generation).map(drop) } else { Ok(()) };
            return removed.map_err(failed);
        }
        // Who has recorded it with the end of the run has looked since.
        if self.ledger.retired().is_none() {
            self.ledger.retire(outputs.clone())?;
            self.check_current()?;
        }
        let are_others_done = self.alone.load(Ordering::Relaxed)
            || outputs.is_some() && !self.unfinished.load(Ordering::Relaxed);
        let sweeps = !are_others_done || self.place.bucket.may_have_unfinished();
        let (root, pointer) = (&self.root, &self.pointer);
        let say = || runs::say_gone(&*root.records, pointer, self.ledger.retired().cloned());
        self.place.remove_run(root, pointer, &say, sweeps).map_err(failed)
    }

    /// Whether each record is an object of the bucket.
    pub fn records_are_objects(&self) -> bool {
        self.root.kind == RecordsIn::S3
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
        let smallest = self.place.bucket.smallest_in_parts();
        if group.iter().any(|record| unfinished::may_be_left(record, smallest)) {
            self.unfinished.store(true, Ordering::Relaxed);
        }
        self.ledger.append(group)
    }
}

/// Whether of two records of one name the first stays: some imitations of SimpleDB ignore conditions.
fn check_conditional_writes(records: &dyn Records) -> Result<(), RecordsError> {
    let name = format!("probe-{}", nonce());
    records.put_if_absent(&name, b"first")?;
    let checked = check_not_stored_again(records, &name);
    let _ = records.delete(&[name]);
    checked
}

/// Whether a record that is there stays.
fn check_not_stored_again(records: &dyn Records, name: &str) -> Result<(), RecordsError> {
    match records.put_if_absent(name, b"second")? {
        Put::Exists => Ok(()),
        Put::Stored => Err(RecordsError::Failed {
            operation: "use",
            name: "SimpleDB".to_owned(),
            reason: "this server ignores conditions, so two leaders of one run could overwrite each other's records; \
                     please leave --awsRecords out"
                .to_owned(),
        }),
    }
}
