//! The job store of a run: opened before anything runs, kept or removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moil_cwl::value::Value;
use moil_engine::export::undo;
use moil_engine::memo::Memo;
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};
use moil_jobstore::heartbeat::{self, Heartbeat, Sign};
use moil_jobstore::ledger::{self, Info, Ledger, OpenError, Replay};
use moil_jobstore::records::Records;
use moil_jobstore::records::file::{Durability, FileRecords};
use moil_jobstore::who::Who;

use crate::log::Log;
use crate::settings::{Clean, HandOver, Locator, Restart, Settings};

/// How often a leader gives a sign of life.
const BEAT: Duration = Duration::from_secs(10);

/// What Toil's own file stores have, and moil's do not.
const OF_TOIL: [&str; 2] = ["shared", "stats"];

/// An open job store: this process leads its run.
pub struct JobStore {
    ledger: Arc<Ledger>,
    who: Who,
    path: PathBuf,
    /// What earlier leaders recorded.
    replay: Replay,
}

impl JobStore {
    /// Opens the job store that is asked for.
    ///
    /// # Errors
    /// There is one already, or none to go on with; it cannot be read or written.
    pub fn open(settings: &Settings, log: &Log) -> Result<Opened, Failure> {
        let Locator::File(path) = &settings.store.locator else { return Ok(Opened::None) };
        refuse_toils(path)?;
        let who = Who::here();
        let restart = settings.store.restart;
        if restart != Restart::No
            && let Some(opened) = Self::take_over(path, who.clone(), log)?
        {
            return Ok(opened);
        }
        match restart {
            Restart::Yes => Err(missing(path)),
            Restart::No | Restart::Auto => Self::create(path, who).map(|store| Opened::Run(Box::new(store))),
        }
    }

    fn create(path: &Path, who: Who) -> Result<Self, Failure> {
        let not_made = |error: std::io::Error| {
            Failure::new(FailureKind::System, format!("cannot make the job store {}", path.display()))
                .with_cause(error)
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(not_made)?;
        }
        match fs::create_dir(path) {
            // An empty directory is as good as a new one.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && is_empty(path) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists(path)),
            made => made.map_err(not_made)?,
        }
        let path = fs::canonicalize(path).map_err(not_made)?;
        let records =
            FileRecords::create(&path, Durability::Power).map_err(|error| not_opened(&path, error))?;
        let ledger = Ledger::create(Arc::new(records), Info::new(&who), &who)
            .map_err(|error| refused(&path, error))?;
        Ok(Self { ledger: Arc::new(ledger), who, path, replay: Replay::default() })
    }

    /// `None` where there is no store.
    fn take_over(path: &Path, who: Who, log: &Log) -> Result<Option<Opened>, Failure> {
        if !path.exists() || is_empty(path) {
            return Ok(None);
        }
        let path = fs::canonicalize(path).map_err(|error| not_opened(path, error))?;
        let records: Arc<dyn Records> = Arc::new(FileRecords::open(&path, Durability::Power));
        wait_for_leader(&*records, &who, &path, log)?;
        let (ledger, replay) = match Ledger::take_over(Arc::clone(&records), &who) {
            Ok(taken) => taken,
            Err(OpenError::Missing) => return Ok(None),
            // Whoever removed it did not get to the end.
            Err(OpenError::Cleaning) => {
                let outputs =
                    ledger::outputs_of_cleaned(&*records).map_err(|error| not_opened(&path, error))?;
                remove(&path, &*records)?;
                return Ok(outputs.map(Opened::Finished));
            }
            Err(error) => return Err(refused(&path, error)),
        };
        if let Some(lost) = &replay.lost {
            log.warning(lost);
        }
        let store = Self { ledger: Arc::new(ledger), who, path, replay };
        store.undo_export();
        Ok(Some(Opened::Run(Box::new(store))))
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
        for (byte, digits) in secret.iter_mut().zip(self.ledger.info().key.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(digits)
                .ok()
                .and_then(|text| u8::from_str_radix(text, 16).ok())
                .unwrap_or(0);
        }
        secret
    }

    /// The directory of the store: absolute, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where attempts of this leader may work, if no other place was asked for: what they leave need not be moved.
    pub fn work_directory(&self) -> PathBuf {
        self.path.join("work").join(self.ledger.term().to_string())
    }

    /// The journal.
    pub fn journal(&self) -> Arc<dyn Store> {
        Arc::new(Durable(Arc::clone(&self.ledger)))
    }

    /// Gives signs of life until the returned value is dropped. `kill` is called when somebody asks for the end.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn beat(&self, log: &Log, kill: impl Fn() + Send + 'static) -> Result<Heartbeat, Failure> {
        let log = log.clone();
        let records = Arc::clone(self.ledger.records());
        Heartbeat::start(records, self.ledger.term(), self.who.clone(), BEAT, move |sign| match sign {
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
        self.ledger.append(&[record]).map_err(|error| match error {
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
            let recorded = self.ledger.clean_after(outputs.cloned());
            recorded.map_err(|error| not_removed(&self.path, error))?;
            return remove(&self.path, &**self.ledger.records());
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

/// What became of opening a job store.
pub enum Opened {
    /// None was asked for.
    None,
    /// This process leads its run.
    Run(Box<JobStore>),
    /// Its run was a success, and only its removal was not finished, which it is now: this is the output object.
    Finished(Value),
}

/// Removes what is left of a store whose removal is recorded. What tells that goes last.
fn remove(path: &Path, records: &dyn Records) -> Result<(), Failure> {
    for directory in ["work", "files"] {
        moil_worker::scratch::remove(&path.join(directory));
    }
    ledger::finish_cleaning(records).map_err(|error| not_removed(path, error))?;
    let journal = path.join("journal");
    for entry in fs::read_dir(path).map_err(|error| not_removed(path, error))? {
        let entry = entry.map_err(|error| not_removed(path, error))?.path();
        if entry != journal {
            moil_worker::scratch::remove(&entry);
        }
    }
    // The last group says that this is a store that is being removed.
    let mut groups: Vec<PathBuf> = fs::read_dir(&journal)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| not_removed(path, error))?;
    groups.sort();
    groups
        .iter()
        .try_for_each(fs::remove_file)
        .and_then(|()| fs::remove_dir(&journal))
        .and_then(|()| fs::remove_dir(path))
        .map_err(|error| not_removed(path, error))
}

fn not_removed(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::System, format!("cannot remove the job store {}", path.display()))
        .with_cause(error)
        .with_advice(format!("remove it with: moil clean {}", path.display()))
}

/// A ledger as the leader sees it.
struct Durable(Arc<Ledger>);

impl Store for Durable {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, group: &[Record]) -> Result<(), StoreError> {
        self.0.append(group)
    }
}

/// The failure of a leader that is none any more.
pub fn fenced(leader: &str) -> Failure {
    Failure::new(FailureKind::System, format!("another leader ({leader}) has taken over this run"))
        .with_advice("this one has stopped; nothing of the run was changed by it since")
}

/// A leader that still gives signs of life is waited for, not pushed aside.
fn wait_for_leader(records: &dyn Records, who: &Who, path: &Path, log: &Log) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| not_opened(path, error);
    let replay = match Ledger::read(records, who) {
        Ok((_, replay)) => replay,
        // Whoever takes over says what is wrong.
        Err(_) => return Ok(()),
    };
    let Some((term, name)) = replay.last_leader() else { return Ok(()) };
    let mut told = false;
    loop {
        let beat = heartbeat::last_beat(records, term).map_err(|error| unreadable(&error))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if beat.is_none_or(|beat| beat.patience(who, now) == 0) {
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

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn refuse_toils(path: &Path) -> Result<(), Failure> {
    let of_toil = OF_TOIL.iter().all(|name| path.join(name).is_dir()) && !path.join("moil.json").exists();
    if !of_toil {
        return Ok(());
    }
    Err(Failure::new(FailureKind::BadInput, format!("the job store {} was made by Toil", path.display()))
        .with_advice("go on with it in that Toil, or choose another place with --jobStore"))
}

fn exists(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(FailureKind::BadInput, format!("the job store '{path}' already exists"))
        .with_advice(format!("go on with its run with --restart, or remove it with: moil clean {path}"))
}

fn missing(path: &Path) -> Failure {
    Failure::new(FailureKind::BadInput, format!("there is no job store '{}' to restart from", path.display()))
        .with_advice("leave --restart out, or say --restart=auto, which starts afresh where there is none")
}

fn not_opened(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::System, format!("cannot open the job store {}", path.display()))
        .with_cause(error)
}

fn refused(path: &Path, error: OpenError) -> Failure {
    match error {
        OpenError::Exists => exists(path),
        OpenError::Missing => missing(path),
        other => not_opened(path, other),
    }
}
