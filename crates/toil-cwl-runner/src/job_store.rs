//! The job store of a run: opened before anything runs, kept or removed at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moil_cwl::value::Value;
use moil_engine::export::undo;
use moil_engine::memo::Memo;
use moil_job::contents::Contents;
use moil_job::exchange::Exchange;
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};
use moil_jobstore::bucket_store::{BucketPlace, BucketStore, BucketStoreError};
use moil_jobstore::content::file::FileContents;
use moil_jobstore::content::s3::imports::Imports;
use moil_jobstore::exchange::{Bring, StoreExchange};
use moil_jobstore::file_store::{FileStore, FileStoreError, Workers};
use moil_jobstore::heartbeat::{self, Heartbeat, Sign};
use moil_jobstore::ledger::{Ledger, OpenError, Replay};
use moil_jobstore::names::{self, Term};
use moil_jobstore::records::Records;
use moil_jobstore::s3::S3;
use moil_jobstore::who::Who;

use crate::aws;
use crate::log::Log;
use crate::settings::{BatchSystem, Clean, HandOver, Locator, Restart, Settings};

/// How often a leader gives a sign of life.
const BEAT: Duration = Duration::from_secs(10);

/// An open job store: this process leads its run.
pub struct JobStore {
    kind: Arc<Kind>,
    exchange: Arc<dyn Exchange>,
    who: Who,
    /// As people know it.
    name: String,
    /// What earlier leaders recorded.
    replay: Replay,
    /// Made now, and nothing has happened yet: if nothing will, it was never there.
    unused: bool,
}

impl Drop for JobStore {
    fn drop(&mut self) {
        if self.unused {
            // What stays is empty, and `moil clean` removes it.
            let _ = self.kind.remove(None);
        }
    }
}

/// Where the run is kept.
enum Kind {
    File(FileStore),
    Bucket(BucketStore),
}

impl Kind {
    fn ledger(&self) -> &Ledger {
        match self {
            Self::File(store) => store.ledger(),
            Self::Bucket(store) => store.ledger(),
        }
    }

    /// Workers on other machines share the directory of a store, and nothing but the bucket of one in S3.
    fn exchange(&self) -> Arc<dyn Exchange> {
        let bring: Option<Box<Bring>> = match self {
            Self::File(_) => None,
            Self::Bucket(store) => {
                let imports = Imports::new(store.contents());
                Some(Box::new(move |inputs| {
                    imports.bring(inputs).map_err(|error| {
                        Failure::new(
                            FailureKind::System,
                            "an input cannot be brought to where workers find it",
                        )
                        .with_cause(error)
                    })
                }))
            }
        };
        let ledger = self.ledger();
        Arc::new(StoreExchange::new(Arc::clone(ledger.records()), ledger.term().clone(), bring))
    }

    fn remove(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        match self {
            Self::File(store) => store.remove(outputs),
            Self::Bucket(store) => store.remove(outputs),
        }
    }
}

impl Store for Kind {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, group: &[Record]) -> Result<(), StoreError> {
        self.ledger().append(group)
    }
}

/// What became of opening a job store.
pub enum Opened {
    /// None was asked for.
    None,
    /// This process leads its run.
    Run(Box<JobStore>),
    /// Its run was a success, and only its removal was not finished, which it is now: this is the output object.
    Finished(Value),
}

impl JobStore {
    /// Opens the job store that is asked for.
    ///
    /// # Errors
    /// There is one already, or none to go on with; it cannot be read or written.
    pub fn open(settings: &Settings, s3: &S3, log: &Log) -> Result<Opened, Failure> {
        let who = Who::here();
        match &settings.store.locator {
            Locator::Memory => Ok(Opened::None),
            Locator::File(path) => open_file(settings, path, who, log),
            Locator::Bucket(locator) => match aws::place(settings, locator, s3) {
                Some(place) => open_bucket(settings, &place, locator.to_string(), who, log),
                None => Ok(Opened::None),
            },
        }
    }

    fn opened(kind: Kind, who: Who, name: String, replay: Replay, log: &Log) -> Opened {
        if let Some(lost) = &replay.lost {
            log.warning(lost);
        }
        let unused = replay.entries.is_empty();
        let exchange = kind.exchange();
        let store = Self { kind: Arc::new(kind), exchange, who, name, replay, unused };
        store.undo_export();
        Opened::Run(Box::new(store))
    }

    /// What the last export took away is wanted here again.
    fn undo_export(&self) {
        let mut cut = true;
        for entry in self.replay.entries.iter().rev() {
            match &entry.record {
                Record::Exported { .. } => cut = false,
                Record::ExportPlanned { moves, .. } => {
                    undo::undo(moves, cut);
                    return;
                }
                _ => {}
            }
        }
    }

    /// From here on it is kept, whatever happens.
    pub fn begin(&mut self) {
        self.unused = false;
    }

    /// What was recorded by earlier leaders, for the leader of now.
    pub fn memo(&self) -> Memo {
        let mut last: Option<(Arc<Term>, Arc<str>)> = None;
        Memo::of(self.replay.entries.iter().map(|entry| {
            // Leaders write many records in a row: each term is written out once.
            let (_, text) = match last.take() {
                Some((term, text)) if term == entry.term => last.insert((term, text)),
                _ => last.insert((Arc::clone(&entry.term), entry.term.to_string().into())),
            };
            (Arc::clone(text), entry.record.clone())
        }))
    }

    /// Whether results are in doubt, since the machine was started anew after they were made.
    pub fn is_in_doubt(&self) -> bool {
        self.replay.entries.iter().any(|entry| match &entry.record {
            Record::TookOver { boot, host, .. } => *host == self.who.host && *boot != self.who.boot,
            _ => false,
        })
    }

    /// The secret for the keys of jobs, and for placeholders of secrets: those in recorded results must mean the same to
    /// every leader.
    pub fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        for (byte, digits) in secret.iter_mut().zip(self.kind.ledger().info().key.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(digits)
                .ok()
                .and_then(|text| u8::from_str_radix(text, 16).ok())
                .unwrap_or(0);
        }
        secret
    }

    /// The directory below which all is that attempts of this run made, if it is kept in one.
    pub fn directory(&self) -> Option<&Path> {
        match &*self.kind {
            Kind::File(store) => Some(store.directory()),
            Kind::Bucket(_) => None,
        }
    }

    /// What the locations of all that attempts of this run made begin with, if it is kept in a bucket.
    pub fn files_in_bucket(&self) -> Option<String> {
        match &*self.kind {
            Kind::File(_) => None,
            Kind::Bucket(store) => Some(store.files()),
        }
    }

    /// Keeps what attempts of this leader make.
    pub fn contents(&self) -> Arc<dyn Contents> {
        match &*self.kind {
            Kind::File(store) => Arc::new(FileContents::new(store.directory())),
            Kind::Bucket(store) => Arc::new(store.contents()),
        }
    }

    /// Where attempts of this leader may work, if no other place was asked for: what they leave need not be moved.
    pub fn work_directory(&self) -> Option<PathBuf> {
        Some(self.directory()?.join("work").join(self.kind.ledger().term().to_string()))
    }

    /// As people and other processes name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run, by its random number.
    pub fn run(&self) -> &str {
        &self.kind.ledger().info().run
    }

    /// Where workers in other processes get their attempts and leave results.
    pub fn exchange(&self) -> Arc<dyn Exchange> {
        Arc::clone(&self.exchange)
    }

    /// Keeps what the workers of this leader must know.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn keep_settings(&self, settings: &[u8]) -> Result<(), Failure> {
        let ledger = self.kind.ledger();
        ledger.records().put_if_absent(&names::settings(ledger.term()), settings).map(drop).map_err(|error| {
            Failure::new(FailureKind::System, "the job store refused the settings of the workers")
                .with_cause(error)
        })
    }

    /// The journal.
    pub fn journal(&self) -> Arc<dyn Store> {
        Arc::clone(&self.kind) as _
    }

    /// Gives signs of life until the returned value is dropped. `kill` is called when somebody asks for the end.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn beat(&self, log: &Log, kill: impl Fn() + Send + 'static) -> Result<Heartbeat, Failure> {
        let log = log.clone();
        let records = Arc::clone(self.kind.ledger().records());
        Heartbeat::start(records, self.kind.ledger().term(), self.who.clone(), BEAT, move |sign| match sign {
            Sign::Kill { by } => {
                log.warning(format_args!("the end of the run was asked for by {by}"));
                kill();
            }
            Sign::Failed(error) => log.warning(format_args!("no sign of life can be given: {error}")),
        })
        .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))
    }

    /// Records what is about to be done or was done outside.
    ///
    /// # Errors
    /// Another leader has taken over, or the store cannot be written: it must not be done.
    pub fn record(&self, record: Record) -> Result<(), Failure> {
        self.kind.append(&[record]).map_err(|error| match error {
            StoreError::Fenced { leader } => fenced(&leader),
            error @ StoreError::Failed { .. } => {
                Failure::new(FailureKind::System, "the job store refused a record").with_cause(error)
            }
        })
    }

    /// Removes the store or keeps it, as `--clean` says, and tells how to go on after a failure. `outputs` is the
    /// output object of a success.
    ///
    /// # Errors
    /// It cannot be written or removed.
    pub fn close(self, settings: &Settings, outputs: Option<&Value>, log: &Log) -> Result<(), Failure> {
        let success = outputs.is_some();
        self.record(Record::RunFinished { success })?;
        let removes = match settings.store.clean {
            Clean::Always => true,
            Clean::Never => false,
            Clean::OnSuccess => success,
            Clean::OnError => !success,
        };
        if removes && settings.files.hand_over != HandOver::Leave {
            return self.kind.remove(outputs.cloned()).map_err(|error| match error {
                StoreError::Fenced { leader } => fenced(&leader),
                error @ StoreError::Failed { .. } => {
                    let name = &self.name;
                    Failure::new(FailureKind::System, format!("cannot remove the job store {name}"))
                        .with_cause(error)
                        .with_advice(format!("remove it with: moil clean {name}"))
                }
            });
        }
        if !success {
            log.warning(format_args!(
                "what is done is kept in {}: correct what failed and give the same command with --restart",
                self.name
            ));
        }
        Ok(())
    }
}

/// The failure of a leader that is none any more.
pub fn fenced(leader: &str) -> Failure {
    Failure::new(FailureKind::System, format!("another leader ({leader}) has taken over this run"))
        .with_advice("this one has stopped; nothing of the run was changed by it since")
}

fn open_file(settings: &Settings, path: &Path, who: Who, log: &Log) -> Result<Opened, Failure> {
    let name = path.display().to_string();
    let restart = settings.store.restart;
    if restart != Restart::No {
        let records = match FileStore::records(path, workers(settings)) {
            Ok(records) => Some(records),
            Err(FileStoreError::Open { .. }) => None,
            Err(error) => return Err(file_failure(error)),
        };
        if let Some(records) = records {
            wait_for_leader(&*records, &who, &name, log);
        }
        let mut taken = FileStore::restart(path, workers(settings), &who);
        // Whoever removed it did not get to the end.
        if matches!(&taken, Err(FileStoreError::Open { reason: OpenError::Cleaning, .. })) {
            let outputs = FileStore::outputs_of_removed(path).map_err(file_failure)?;
            FileStore::clean(path, &who).map_err(file_failure)?;
            if let Some(outputs) = outputs {
                return Ok(Opened::Finished(outputs));
            }
            taken = Err(FileStoreError::Open { path: path.to_owned(), reason: OpenError::Missing });
        }
        match taken {
            Err(FileStoreError::Open { reason: OpenError::Missing, .. }) if restart == Restart::Auto => {}
            taken => {
                let (store, replay) = taken.map_err(file_failure)?;
                return Ok(JobStore::opened(Kind::File(store), who, name, replay, log));
            }
        }
    }
    let store = FileStore::create(path, workers(settings), &who).map_err(file_failure)?;
    Ok(JobStore::opened(Kind::File(store), who, name, Replay::default(), log))
}

fn open_bucket(
    settings: &Settings,
    place: &BucketPlace,
    name: String,
    who: Who,
    log: &Log,
) -> Result<Opened, Failure> {
    let restart = settings.store.restart;
    if restart != Restart::No {
        match place.records() {
            Ok(records) => wait_for_leader(&*records, &who, &name, log),
            Err(BucketStoreError::Open { .. }) => {}
            Err(error) => return Err(bucket_failure(error)),
        }
        let mut taken = BucketStore::restart(place.clone(), &who);
        if matches!(&taken, Err(BucketStoreError::Open { reason: OpenError::Cleaning, .. })) {
            let outputs = BucketStore::outputs_of_removed(place).map_err(bucket_failure)?;
            place.clean(&who).map_err(bucket_failure)?;
            if let Some(outputs) = outputs {
                return Ok(Opened::Finished(outputs));
            }
            taken = Err(BucketStoreError::Open { store: name.clone(), reason: OpenError::Missing });
        }
        match taken {
            Err(BucketStoreError::Open { reason: OpenError::Missing, .. }) if restart == Restart::Auto => {}
            taken => {
                let (store, replay) = taken.map_err(bucket_failure)?;
                return Ok(JobStore::opened(Kind::Bucket(store), who, name, replay, log));
            }
        }
    }
    let tags = aws::tags(settings)?;
    let store =
        BucketStore::create(place.clone(), settings.store.records, &tags, &who).map_err(bucket_failure)?;
    Ok(JobStore::opened(Kind::Bucket(store), who, name, Replay::default(), log))
}

/// A leader that still gives signs of life is waited for, not pushed aside.
fn wait_for_leader(records: &dyn Records, who: &Who, store: &str, log: &Log) {
    // Whoever takes over says what is wrong.
    let Ok(Some((term, name))) = Ledger::last_leader(records) else { return };
    let mut told = false;
    loop {
        let Ok(Some(beat)) = heartbeat::last_beat(records, &term) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if beat.patience(who, now) == 0 {
            return;
        }
        if !std::mem::replace(&mut told, true) {
            log.warning(format_args!(
                "waiting for {name}, which leads this run and is alive; to end it: moil kill {store}"
            ));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

pub(crate) fn file_failure(error: FileStoreError) -> Failure {
    let kind = match &error {
        FileStoreError::System { .. } => FailureKind::System,
        _ => FailureKind::BadInput,
    };
    let missing = matches!(&error, FileStoreError::Open { reason: OpenError::Missing, .. });
    advised(Failure::new(kind, error.to_string()), missing)
}

pub(crate) fn bucket_failure(error: BucketStoreError) -> Failure {
    let kind = match &error {
        BucketStoreError::Server { .. } => FailureKind::System,
        _ => FailureKind::BadInput,
    };
    let missing = matches!(&error, BucketStoreError::Open { reason: OpenError::Missing, .. });
    advised(Failure::new(kind, error.to_string()), missing)
}

fn advised(failure: Failure, missing: bool) -> Failure {
    if !missing {
        return failure;
    }
    failure.with_advice("leave --restart out, or say --restart=auto, which starts afresh where there is none")
}

/// Where attempts are carried out, for what must survive a power cut.
fn workers(settings: &Settings) -> Workers {
    match settings.batch {
        BatchSystem::SingleMachine => Workers::Here,
        BatchSystem::Processes | BatchSystem::Kubernetes => Workers::Elsewhere,
    }
}
