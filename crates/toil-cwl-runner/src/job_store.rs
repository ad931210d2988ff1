//! The job store of a run: opened before anything runs, kept or removed at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moil_cwl::value::Value;
use moil_engine::export::undo;
use moil_engine::memo::Memo;
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};
use moil_jobstore::file_store::{FileStore, FileStoreError, Workers};
use moil_jobstore::heartbeat::{self, Heartbeat, Sign};
use moil_jobstore::ledger::{Ledger, OpenError, Replay};
use moil_jobstore::who::Who;

use crate::log::Log;
use crate::settings::{Clean, HandOver, Locator, Restart, Settings};

/// How often a leader gives a sign of life.
const BEAT: Duration = Duration::from_secs(10);

/// An open job store: this process leads its run.
pub struct JobStore {
    store: Arc<FileStore>,
    who: Who,
    /// As people know it.
    path: PathBuf,
    /// What earlier leaders recorded.
    replay: Replay,
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
    pub fn open(settings: &Settings, log: &Log) -> Result<Opened, Failure> {
        let Locator::File(path) = &settings.store.locator else { return Ok(Opened::None) };
        let who = Who::here();
        let restart = settings.store.restart;
        if restart != Restart::No {
            match Self::take_over(path, &who, log) {
                Err(FileStoreError::Open { reason: OpenError::Missing, .. }) if restart == Restart::Auto => {}
                opened => return opened.map_err(failure),
            }
        }
        let store = FileStore::create(path, Workers::Here, &who).map_err(failure)?;
        Ok(Self::run(store, who, path, Replay::default()))
    }

    fn run(store: FileStore, who: Who, path: &Path, replay: Replay) -> Opened {
        Opened::Run(Box::new(Self { store: Arc::new(store), who, path: path.to_owned(), replay }))
    }

    fn take_over(path: &Path, who: &Who, log: &Log) -> Result<Opened, FileStoreError> {
        wait_for_leader(path, who, log)?;
        let (store, replay) = match FileStore::restart(path, Workers::Here, who) {
            // Whoever removed it did not get to the end.
            Err(FileStoreError::Open { reason: OpenError::Cleaning, path: at }) => {
                let outputs = FileStore::outputs_of_removed(path)?;
                FileStore::clean(path, who)?;
                let missing = FileStoreError::Open { reason: OpenError::Missing, path: at };
                return outputs.map(Opened::Finished).ok_or(missing);
            }
            opened => opened?,
        };
        if let Some(lost) = &replay.lost {
            log.warning(lost);
        }
        let opened = Self::run(store, who.clone(), path, replay);
        if let Opened::Run(store) = &opened {
            store.undo_export();
        }
        Ok(opened)
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

    /// What was recorded by earlier leaders, for the leader of now.
    pub fn memo(&self) -> Memo {
        Memo::of(self.replay.entries.iter().map(|entry| entry.record.clone()))
    }

    /// Whether results are in doubt, since the machine was started anew after they were made.
    pub fn is_in_doubt(&self) -> bool {
        self.replay.entries.iter().any(|entry| match &entry.record {
            Record::TookOver { boot, host, .. } => *host == self.who.host && *boot != self.who.boot,
            _ => false,
        })
    }

    /// The secret for the keys of jobs.
    pub fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        for (byte, digits) in secret.iter_mut().zip(self.store.ledger().info().key.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(digits)
                .ok()
                .and_then(|text| u8::from_str_radix(text, 16).ok())
                .unwrap_or(0);
        }
        secret
    }

    /// The directory below which all is that attempts of this run made.
    pub fn path(&self) -> &Path {
        self.store.directory()
    }

    /// Where attempts of this leader may work, if no other place was asked for: what they leave need not be moved.
    pub fn work_directory(&self) -> PathBuf {
        self.path().join("work").join(self.store.ledger().term().to_string())
    }

    /// The journal.
    pub fn journal(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as _
    }

    /// Gives signs of life until the returned value is dropped. `kill` is called when somebody asks for the end.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn beat(&self, log: &Log, kill: impl Fn() + Send + 'static) -> Result<Heartbeat, Failure> {
        let log = log.clone();
        let records = Arc::clone(self.store.ledger().records());
        Heartbeat::start(
            records,
            self.store.ledger().term(),
            self.who.clone(),
            BEAT,
            move |sign| match sign {
                Sign::Kill { by } => {
                    log.warning(format_args!("the end of the run was asked for by {by}"));
                    kill();
                }
                Sign::Failed(error) => log.warning(format_args!("no sign of life can be given: {error}")),
            },
        )
        .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))
    }

    /// Records what is about to be done or was done outside.
    ///
    /// # Errors
    /// Another leader has taken over, or the store cannot be written: it must not be done.
    pub fn record(&self, record: Record) -> Result<(), Failure> {
        self.store.append(&[record]).map_err(|error| match error {
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
            return self.store.remove(outputs.cloned()).map_err(|error| match error {
                StoreError::Fenced { leader } => fenced(&leader),
                error @ StoreError::Failed { .. } => {
                    let path = self.path.display();
                    Failure::new(FailureKind::System, format!("cannot remove the job store {path}"))
                        .with_cause(error)
                        .with_advice(format!("remove it with: moil clean {path}"))
                }
            });
        }
        if !success {
            log.warning(format_args!(
                "what is done is kept in {}: correct what failed and give the same command with --restart",
                self.path.display()
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

/// A leader that still gives signs of life is waited for, not pushed aside.
fn wait_for_leader(path: &Path, who: &Who, log: &Log) -> Result<(), FileStoreError> {
    let records = match FileStore::records(path, Workers::Here) {
        Ok(records) => records,
        Err(FileStoreError::Open { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    // Whoever takes over says what is wrong.
    let Ok((_, replay)) = Ledger::read(&*records, who) else { return Ok(()) };
    let Some((term, name)) = replay.last_leader() else { return Ok(()) };
    let mut told = false;
    loop {
        let Ok(Some(beat)) = heartbeat::last_beat(&*records, term) else { return Ok(()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if beat.patience(who, now) == 0 {
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            log.warning(format_args!(
                "waiting for {name}, which leads this run and is alive; to end it: moil kill {}",
                path.display()
            ));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn failure(error: FileStoreError) -> Failure {
    let kind = match &error {
        FileStoreError::System { .. } => FailureKind::System,
        _ => FailureKind::BadInput,
    };
    let advice = match &error {
        FileStoreError::Open { reason: OpenError::Missing, .. } => {
            Some("leave --restart out, or say --restart=auto, which starts afresh where there is none")
        }
        _ => None,
    };
    let failure = Failure::new(kind, error.to_string());
    match advice {
        Some(advice) => failure.with_advice(advice),
        None => failure,
    }
}
