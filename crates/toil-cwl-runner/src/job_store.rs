//! The job store of a run: opened before anything runs, kept or removed at the end.

mod ended;
mod taken;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moil_cwl::value::Value;
use moil_engine::export::undo;
use moil_engine::memo::Memo;
use moil_job::contents::Contents;
use moil_job::exchange::Exchange;
use moil_job::failure::{Failure, FailureKind};
use moil_job::moved::Moved;
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};
use moil_jobstore::at_once::both;
use moil_jobstore::content::imports::Seen;
use moil_jobstore::exchange::StoreExchange;
use moil_jobstore::file_store::Workers;
use moil_jobstore::heartbeat::{self, Heartbeat, Sign};
use moil_jobstore::ledger::{Info, Ledger, OpenError, Replay};
use moil_jobstore::locator::Locator;
use moil_jobstore::names::{self, Term};
use moil_jobstore::place::{Kept, Place, PlaceError};
use moil_jobstore::records::Records;
use moil_jobstore::remote::elsewhere::Elsewhere;
use moil_jobstore::who::Who;

use self::taken::{refused, removed};
use crate::aws::Buckets;
use crate::definition::Definition;
use crate::log::Log;
use crate::settings::{BatchSystem, Clean, HandOver, Restart, Settings};

pub use ended::Ended;
pub use taken::Still;

/// How often a leader gives a sign of life.
const BEAT: Duration = Duration::from_secs(10);

/// An open job store: this process leads its run.
pub struct JobStore {
    kept: Arc<Kept>,
    exchange: Arc<StoreExchange>,
    /// The inputs that earlier leaders brought to the store.
    elsewhere: Arc<Elsewhere>,
    who: Who,
    /// As people know it.
    name: String,
    /// What earlier leaders recorded.
    replay: Replay,
    /// Made now, and nothing has happened yet: if nothing will, it was never there.
    unused: bool,
    /// Its signs of life, once it is announced.
    heartbeat: Option<Heartbeat>,
}

impl Drop for JobStore {
    fn drop(&mut self) {
        if self.unused || self.kept.is_coming() {
            // What stays is empty, and `moil clean` removes it.
            let _ = self.kept.remove(None);
        }
    }
}

/// What became of opening a job store.
pub enum Opened {
    /// None was asked for.
    None,
    /// This process leads its run.
    Run(Box<JobStore>),
    /// Its run was a success, and only its removal was not finished.
    Finished(Box<Ended>),
}

impl JobStore {
    /// Opens the job store that is asked for.
    ///
    /// # Errors
    /// There is one already, or none to go on with; it cannot be read or written.
    pub fn open(settings: &Settings, buckets: &Buckets, log: &Log) -> Result<Opened, Failure> {
        let Some(place) = place(settings, buckets)? else { return Ok(Opened::None) };
        open(settings, place, name(settings), log)
    }

    /// Opens the job store that is asked for if it is there; with `--restart=auto` it need not be.
    ///
    /// # Errors
    /// As [`JobStore::open`].
    pub fn open_existing(
        settings: &Settings,
        buckets: &Buckets,
        log: &Log,
    ) -> Result<Option<Opened>, Failure> {
        let Some(place) = place(settings, buckets)? else { return Ok(None) };
        if settings.store.restart == Restart::Auto && place.records().is_err_and(|error| is_missing(&error)) {
            return Ok(None);
        }
        Self::open(settings, buckets, log).map(Some)
    }

    fn opened(settings: &Settings, kept: Kept, who: Who, name: String, replay: Replay, log: &Log) -> Opened {
        if let Some(lost) = &replay.lost {
            log.warning(lost);
        }
        let unused = replay.entries.is_empty();
        let imported = replay.entries.iter().filter_map(|entry| match &entry.record {
            Record::InputsImported { files } => Some(files),
            _ => None,
        });
        let elsewhere = Arc::new(Elsewhere::imported(imported.flatten()));
        let exchange = Arc::new(kept.exchange(seen_by_workers(settings), &elsewhere));
        let store =
            Self { kept: Arc::new(kept), exchange, elsewhere, who, name, replay, unused, heartbeat: None };
        store.undo_export();
        Opened::Run(Box::new(store))
    }

    /// What the last export moved, and whether it was cut short.
    fn last_export(&self) -> Option<(&[Moved], bool)> {
        let mut cut = true;
        for entry in self.replay.entries.iter().rev() {
            match &entry.record {
                Record::Exported { .. } => cut = false,
                Record::ExportPlanned { moves, .. } => return Some((moves, cut)),
                _ => {}
            }
        }
        None
    }

    /// What the last export took away is wanted here again.
    fn undo_export(&self) {
        if let Some((moves, cut)) = self.last_export() {
            undo::undo(moves, cut);
        }
    }

    /// What was taken away since by an export that was under way.
    pub fn undo_cut_export(&self) {
        if let Some((moves, true)) = self.last_export() {
            undo::undo(moves, true);
        }
    }

    /// What the last leader was to move to the output directory.
    pub fn planned(&self) -> &[Moved] {
        self.last_export().map_or(&[], |(moves, _)| moves)
    }

    /// What the last leader exported, if it came to the end of it.
    pub fn exported(&self) -> &[Moved] {
        self.last_export().filter(|(_, cut)| !cut).map_or(&[], |(moves, _)| moves)
    }

    /// From here on it is kept, whatever happens.
    pub fn begin(&mut self) {
        self.unused = false;
    }

    /// Where the inputs are that earlier leaders brought to the store, if they are gone from their places.
    pub fn elsewhere(&self) -> Arc<Elsewhere> {
        Arc::clone(&self.elsewhere)
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
        secret_of(self.kept.ledger().info())
    }

    /// The directory below which all is that attempts of this run made, if it is kept in one.
    pub fn directory(&self) -> Option<&Path> {
        self.kept.directory()
    }

    /// What the locations of all that attempts of this run made begin with, if it is kept in a bucket.
    pub fn files_in_bucket(&self) -> Option<String> {
        self.kept.files_in_bucket()
    }

    /// Keeps what attempts of this leader make.
    pub fn contents(&self) -> Arc<dyn Contents> {
        self.kept.contents()
    }

    /// Where attempts of this leader may work, if no other place was asked for: what they leave need not be moved.
    pub fn work_directory(&self) -> Option<PathBuf> {
        Some(self.directory()?.join("work").join(self.kept.ledger().term().to_string()))
    }

    /// As people and other processes name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run, by its random number.
    pub fn run(&self) -> &str {
        &self.kept.ledger().info().run
    }

    /// The term of its leader, as it is displayed.
    pub fn term(&self) -> String {
        self.kept.ledger().term().to_string()
    }

    /// Whether workers need not look for the run in the job store.
    pub fn is_found_by_number(&self) -> bool {
        self.kept.run_in_bucket().is_some()
    }

    /// The words of the command `worker` that say which run it is, for this one's workers.
    pub fn worker_words(&self) -> Vec<&str> {
        let run = self.kept.run_in_bucket();
        std::iter::once("worker").chain(run.iter().flat_map(|run| ["--run", *run])).collect()
    }

    /// Where workers in other processes get their attempts and leave results.
    pub fn exchange(&self) -> Arc<dyn Exchange> {
        Arc::clone(&self.exchange) as _
    }

    /// Keeps the definition of the run as this leader has it. That of another leader has another name, whoever comes last.
    ///
    /// # Errors
    /// It cannot be stored.
    fn define(&self, definition: &Definition) -> Result<(), Failure> {
        self.kept.ledger().define(&definition.write()).map_err(|error| {
            Failure::new(FailureKind::System, "the job store refused the definition of the run")
                .with_cause(error)
        })
    }

    /// The definition of the run as the last leader had it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn definition(&self) -> Result<Option<Definition>, Failure> {
        definition_of(&**self.kept.ledger().records(), &self.replay)
    }

    /// Keeps what the workers of this leader must know.
    ///
    /// # Errors
    /// It cannot be stored.
    fn keep_settings(&self, settings: &[u8]) -> Result<(), Failure> {
        let ledger = self.kept.ledger();
        ledger.records().put_if_absent(&names::settings(ledger.term()), settings).map_err(|error| {
            Failure::new(FailureKind::System, "the job store refused the settings of the workers")
                .with_cause(error)
        })?;
        // Nobody else writes those of this term.
        self.exchange.knows_settings(&String::from_utf8_lossy(settings));
        Ok(())
    }

    /// The journal.
    pub fn journal(&self) -> Arc<dyn Store> {
        Arc::clone(&self.kept) as _
    }

    /// Keeps what others must know of the run, and the settings of its workers if there are any, and begins to give signs
    /// of life, until this is closed or dropped. `kill` is called when somebody asks for the end.
    ///
    /// # Errors
    /// Something cannot be stored, or there is no thread to be had.
    pub fn announce(
        &mut self,
        definition: &Definition,
        workers: Option<&[u8]>,
        log: &Log,
        kill: impl Fn() + Send + 'static,
    ) -> Result<(), Failure> {
        // Each waits for the store, or goes with what makes the run.
        let keep = || workers.map_or(Ok(()), |workers| self.keep_settings(workers));
        let define = || both(keep, || self.define(definition));
        let ((kept, defined), heartbeat) = both(define, || self.beat(log, kill));
        self.heartbeat = Some(heartbeat?);
        kept.and(defined)?;
        self.kept.establish(workers.is_none()).map_err(|error| place_failure(&error))
    }

    /// Gives signs of life until the returned value is dropped. `kill` is called when somebody asks for the end.
    ///
    /// # Errors
    /// There is no thread to be had.
    fn beat(&self, log: &Log, kill: impl Fn() + Send + 'static) -> Result<Heartbeat, Failure> {
        let log = log.clone();
        let records = Arc::clone(self.kept.ledger().records());
        Heartbeat::start(records, self.kept.ledger().term(), self.who.clone(), BEAT, move |sign| match sign {
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
        self.record_all(&[record])
    }

    /// Records all of it, or nothing. Only what was recorded while the run was there counts: so that is asked afterwards.
    fn record_all(&self, records: &[Record]) -> Result<(), Failure> {
        self.append(records)?;
        self.kept
            .check_current()
            .map_err(|error| if self.kept.is_removed() { removed(&self.name) } else { refused(error) })
    }

    fn append(&self, records: &[Record]) -> Result<(), Failure> {
        self.kept.append(records).map_err(|error| {
            let failure = refused(error);
            if failure.advice.is_some() {
                return failure;
            }
            if self.kept.is_removed() {
                removed(&self.name)
            } else {
                failure.with_advice(self.how_to_go_on())
            }
        })
    }

    fn how_to_go_on(&self) -> String {
        let name = &self.name;
        format!(
            "what is done is kept in {name}: correct what failed and give the same command with --restart"
        )
    }

    /// Records a success, with the output object if it was exported, and that the store is to be removed if it is. Only
    /// then it is told: whoever is fenced has none.
    ///
    /// # Errors
    /// As [`JobStore::record`].
    pub fn succeeded(&self, settings: &Settings, outputs: &Value) -> Result<(), Failure> {
        let leaves = settings.files.hand_over == HandOver::Leave;
        let exported = (!leaves).then(|| Record::Exported { outputs: outputs.clone() });
        let records = exported.into_iter().chain(self.end(settings, Some(outputs)));
        self.append(&records.collect::<Vec<_>>())?;
        // What cannot be found out is no reason to deny what is recorded.
        if self.kept.check_current().is_err() && self.kept.is_removed() {
            return Err(removed(&self.name));
        }
        Ok(())
    }

    /// Records the end of a run that failed.
    fn record_end(&self, settings: &Settings) -> Result<(), StoreError> {
        self.kept.append(&self.end(settings, None).collect::<Vec<_>>())?;
        self.kept.check_current()
    }

    /// What is recorded at the end of a run. `outputs` is the output object of a success.
    fn end(&self, settings: &Settings, outputs: Option<&Value>) -> impl Iterator<Item = Record> {
        let retirement = removes(settings, outputs.is_some()).then(|| self.kept.retirement(outputs.cloned()));
        [Record::RunFinished { success: outputs.is_some() }].into_iter().chain(retirement.flatten())
    }

    /// Removes the store or keeps it, as `--clean` says, and tells how to go on after a failure. `outputs` is the
    /// output object of a success, which is recorded and told.
    ///
    /// # Errors
    /// It cannot be written or removed.
    pub fn close(mut self, settings: &Settings, outputs: Option<&Value>, log: &Log) -> Result<(), Failure> {
        let success = outputs.is_some();
        // It cannot be recorded most often for the reason for which the run failed, which was told.
        // If it was a success that could not be told, that is recorded, and told by whoever goes on.
        if !success {
            if self.kept.ledger().retired().is_some() {
                log.warning(self.how_to_go_on());
                return Ok(());
            }
            if let Err(refusal) = self.record_end(settings) {
                let taken = self.taken(&refusal);
                if taken.is_none() {
                    log.warning(self.how_to_go_on());
                }
                return taken.map_or(Ok(()), Err);
            }
        }
        if removes(settings, success) {
            // A sign of life that came later would stay.
            let beats = self.heartbeat.take().map(Heartbeat::leave).is_some();
            let removed = self.kept.remove(outputs.cloned());
            if beats && removed.is_err() {
                let ledger = self.kept.ledger();
                // If this fails, others wait a little longer than they need.
                let _ = heartbeat::take_away(&**ledger.records(), ledger.term());
            }
            let name = &self.name;
            return match removed {
                // It is theirs now; what this run had to say is said.
                Err(StoreError::Fenced { leader }) => {
                    log.warning(format_args!("another leader ({leader}) has taken over {name}, so it stays"));
                    Ok(())
                }
                Err(StoreError::Failed { .. }) if self.kept.is_removed() => Ok(()),
                removed => removed.map_err(|error| {
                    Failure::new(FailureKind::System, format!("cannot remove the job store {name}"))
                        .with_cause(error)
                        .with_advice(format!("remove it with: moil clean {name}"))
                }),
            };
        }
        if !success {
            log.warning(self.how_to_go_on());
        }
        Ok(())
    }
}

/// Whether the store is removed at the end of its run.
fn removes(settings: &Settings, success: bool) -> bool {
    let wanted = match settings.store.clean {
        Clean::Always => true,
        Clean::Never => false,
        Clean::OnSuccess => success,
        Clean::OnError => !success,
    };
    wanted && settings.files.hand_over != HandOver::Leave
}

/// The secret for the keys of jobs of a run.
pub(crate) fn secret_of(info: &Info) -> [u8; 32] {
    let mut secret = [0; 32];
    for (byte, digits) in secret.iter_mut().zip(info.key.as_bytes().chunks(2)) {
        *byte =
            std::str::from_utf8(digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    }
    secret
}

/// The definition of a run as its last leader had it.
///
/// # Errors
/// It cannot be read.
pub(crate) fn definition_of(records: &dyn Records, replay: &Replay) -> Result<Option<Definition>, Failure> {
    let bytes = Ledger::definition(records, replay).map_err(|error| {
        Failure::new(FailureKind::System, "the definition of the run in the job store cannot be read")
            .with_cause(error)
    })?;
    bytes.map(|bytes| Definition::read(&bytes)).transpose()
}

/// The job store that is asked for, as people and other processes name it; empty if none is.
pub(crate) fn name(settings: &Settings) -> String {
    match &settings.store.locator {
        Some(Locator::File(path)) => path.display().to_string(),
        other => other.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// The place of the job store that is asked for, if one is.
///
/// # Errors
/// It cannot be reached by this program.
pub(crate) fn place(settings: &Settings, buckets: &Buckets) -> Result<Option<Place>, Failure> {
    match &settings.store.locator {
        None => Ok(None),
        Some(Locator::File(path)) => Ok(Some(Place::File { path: path.clone(), workers: workers(settings) })),
        Some(locator) => buckets.place(settings, locator),
    }
}

/// What workers elsewhere see of this machine, where that is not all.
fn seen_by_workers(settings: &Settings) -> Option<Box<Seen>> {
    let pods = settings.kubernetes.clone();
    (settings.batch == BatchSystem::Kubernetes)
        .then(|| Box::new(move |path: &Path| pods.shares(path, false)) as Box<Seen>)
}

/// Whether there is no store.
fn is_missing(error: &PlaceError) -> bool {
    error.reason() == Some(&OpenError::Missing)
}

fn open(settings: &Settings, place: Place, name: String, log: &Log) -> Result<Opened, Failure> {
    let (who, restart) = (Who::here(), settings.store.restart);
    let found = (restart != Restart::No).then(|| place.records());
    let begins = restart == Restart::Auto && matches!(&found, Some(Err(error)) if is_missing(error));
    if let Some(found) = found.filter(|_| !begins) {
        match found {
            Ok(records) => wait_for_leader(&*records, &who, &name, log),
            Err(error) if error.reason().is_some_and(|reason| !matches!(reason, OpenError::Records(_))) => {}
            Err(error) => return Err(place_failure(&error)),
        }
        let mut taken = place.restart(&who);
        // Whoever removed it did not get to the end.
        if matches!(taken.as_ref().map_err(PlaceError::reason), Err(Some(OpenError::Cleaning))) {
            let outputs = match place.outputs_of_removed() {
                // Whoever removes it has come to the end since.
                Err(error) if is_missing(&error) => None,
                outputs => outputs.map_err(|error| place_failure(&error))?,
            };
            if let Some(outputs) = outputs {
                return Ok(Opened::Finished(Box::new(Ended { outputs, place, who })));
            }
            match place.clean(&who) {
                Err(error) if is_missing(&error) => {}
                cleaned => cleaned.map_err(|error| place_failure(&error))?,
            }
            taken = place.restart(&who);
        }
        match taken {
            Err(error) if is_missing(&error) && restart == Restart::Auto => {}
            taken => {
                let (kept, replay) = taken.map_err(|error| place_failure(&error))?;
                return Ok(JobStore::opened(settings, kept, who, name, replay, log));
            }
        }
    }
    let kept = place.create(&who).map_err(|error| place_failure(&error))?;
    Ok(JobStore::opened(settings, kept, who, name, Replay::default(), log))
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

pub(crate) fn place_failure(error: &PlaceError) -> Failure {
    let kind = if error.is_system() { FailureKind::System } else { FailureKind::BadInput };
    let failure = Failure::new(kind, error.to_string());
    match error.reason() {
        Some(OpenError::Missing) => failure.with_advice(
            "leave --restart out, or say --restart=auto, which starts afresh where there is none",
        ),
        _ => failure,
    }
}

/// Where attempts are carried out, for what must survive a power cut.
fn workers(settings: &Settings) -> Workers {
    match settings.batch {
        BatchSystem::SingleMachine => Workers::Here,
        BatchSystem::Processes | BatchSystem::Kubernetes => Workers::Elsewhere,
    }
}
