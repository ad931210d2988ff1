//! One run in a store: its journal, who leads it, and what belongs to it. Written once, over any [`Records`].
//!
//! The journal is one sequence of numbered groups of records. A group is appended by storing it under the next free
//! number, which one writer only can do. A leader takes over by storing a record of that at the next free number; the
//! leader before it then fails at that very number, finds the record, and knows that it leads no more. Nothing depends
//! on clocks. If the answer to a store is lost, the number is read again: the nonce says whose group is there.
//!
//! | module | holds |
//! |---|---|
//! | [`journal`] | reading the journal; what a power cut took |
//! | [`info`] | what a store says of itself: version, run |
//! | [`clean`] | removing all of it, in an order that survives being interrupted |

mod clean;
mod info;
mod journal;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use moil_cwl::value::Value;
use moil_job::record::Record;
use moil_job::store::StoreError;

pub use clean::{GroupId, Removal, clean, finish_cleaning, removal, removal_by, retire};
pub use info::{Info, VERSION};
pub use journal::{Entry, Lost, Replay};

use crate::names::{self, JOURNAL, Term};
use crate::nonce::nonce;
use crate::records::{Put, Records, RecordsError};
use crate::who::Who;
use journal::{Group, Slot};

/// How often a group is tried before the leader gives up. Kinds of records that can wait for a server to come back do
/// that themselves.
const TRIES: usize = 3;

/// Why a store cannot be made or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is one already.
    #[error("there is a job store already")]
    Exists,
    /// There is none.
    #[error("there is no job store")]
    Missing,
    /// It is about to be removed, or half removed.
    #[error("the job store is being removed; `moil clean` finishes that")]
    Cleaning,
    /// Another leader has taken over at the same time.
    #[error("another leader ({leader}) has just taken over this run")]
    Beaten {
        /// Who it is.
        leader: String,
    },
    /// It was made by a version that came later.
    #[error(
        "the job store has version {version}, made by {made_by}; this program knows versions up to {VERSION}: \
         use that program, or remove the job store and start afresh"
    )]
    TooNew {
        /// The store's version.
        version: u64,
        /// The program.
        made_by: String,
    },
    /// What is there cannot be read or written.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// A run that this process leads.
pub struct Ledger {
    records: Arc<dyn Records>,
    info: Info,
    term: Term,
    leader: String,
    nonce: String,
    /// The epochs of all leaders until now.
    epochs: Vec<u64>,
    state: Mutex<State>,
    /// The group in which this leader has recorded the removal of the run.
    retired: OnceLock<GroupId>,
}

/// How it stands with the leader.
enum State {
    /// It may append; its next group gets this number.
    Leads { next: u64 },
    /// Another has taken over.
    Fenced { by: String },
    /// A group may be stored or not. Only who takes over can know.
    Lost { reason: String },
}

impl Ledger {
    /// Makes a new run where there is none.
    ///
    /// # Errors
    /// [`OpenError::Exists`] where there is one; whatever the records say.
    pub fn create(records: Arc<dyn Records>, info: Info, who: &Who) -> Result<Self, OpenError> {
        info::store(&*records, &info)?;
        Self::begin(records, info, who)
    }

    /// Becomes the first leader of a run that this process has just made. Whoever has found it may have been faster.
    fn begin(records: Arc<dyn Records>, info: Info, who: &Who) -> Result<Self, OpenError> {
        let nonce = nonce();
        let group = took_over(who, &nonce, 1, None, None);
        let mut stored = put(&*records, 1, &group);
        for _ in 1..TRIES {
            if stored.is_ok() {
                break;
            }
            stored = put(&*records, 1, &group);
        }
        match stored? {
            None => Ok(Self::leading(records, info, who, nonce, vec![1])),
            Some(_) => Ok(Self::take_over(records, who)?.0),
        }
    }

    /// The leader whose epoch is the last of these.
    fn leading(records: Arc<dyn Records>, info: Info, who: &Who, nonce: String, epochs: Vec<u64>) -> Self {
        let number = epochs.last().copied().unwrap_or_default();
        Self {
            term: Term::new(number, &nonce),
            leader: who.name(),
            epochs,
            state: Mutex::new(State::Leads { next: number + 1 }),
            retired: OnceLock::new(),
            records,
            info,
            nonce,
        }
    }

    /// Takes over the run that is there: from now on its leader until now is fenced. Also says what the journal says
    /// up to here.
    ///
    /// # Errors
    /// There is no run, it is not to be led any more, or another has taken over at the same time.
    pub fn take_over(records: Arc<dyn Records>, who: &Who) -> Result<(Self, Replay), OpenError> {
        let info = info::load(&*records)?;
        let nonce = nonce();
        let mut slots = journal::read_all(&*records)?;
        let mut tries = 0;
        loop {
            let replay = journal::judge(&slots, &info.boot, &who.boot)?;
            if replay.is_cleaning() {
                return Err(OpenError::Cleaning);
            }
            let void_from = replay.lost.as_ref().map(|lost| lost.from);
            let group = took_over(who, &nonce, slots.len() as u64 + 1, void_from, None);
            if let Some(number) = take_number(&*records, &mut slots, &group, &mut tries)? {
                let epochs = journal::leaders(&slots).map(|(epoch, ..)| epoch).chain([number]).collect();
                return Ok((Self::leading(records, info, who, nonce, epochs), replay));
            }
        }
    }

    /// What is recorded of a run, for those who only look.
    ///
    /// # Errors
    /// There is no run, or it cannot be read.
    pub fn read(records: &dyn Records, who: &Who) -> Result<(Info, Replay), OpenError> {
        let info = info::load(records)?;
        let replay = journal::judge(&journal::read_all(records)?, &info.boot, &who.boot)?;
        Ok((info, replay))
    }

    /// Who leads a run now or led it last, with its name for people; found without reading the whole journal. `None` also
    /// where the run is over: who led it has no more to do than to say so, and to remove it.
    ///
    /// # Errors
    /// The journal's end cannot be read.
    pub fn last_leader(records: &dyn Records) -> Result<Option<(Term, String)>, RecordsError> {
        let names = records.list(JOURNAL, None)?;
        let Some(last) = names.iter().rev().find_map(|name| names::group_number(name)) else {
            return Ok(None);
        };
        let Some(group) = journal::read_group(records, last)? else { return Ok(None) };
        let group = group?;
        let is_end = |record: &Record| matches!(record, Record::RunFinished { .. } | Record::Cleaning { .. });
        if group.records.iter().any(is_end) {
            return Ok(None);
        }
        Ok(Some((Term::new(group.epoch, &group.nonce), group.leader)))
    }

    /// Appends a group of records, all or none, and returns when they are stored.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another leader has taken over, then and ever after. After
    /// [`StoreError::Failed`] the group may be stored or not, and nothing can be appended any more: whoever takes over
    /// finds out.
    pub fn append(&self, group: &[Record]) -> Result<(), StoreError> {
        if group.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match &*state {
            State::Leads { next } => *next,
            State::Fenced { by } => return Err(StoreError::Fenced { leader: by.clone() }),
            State::Lost { reason } => return Err(refused(reason)),
        };
        let group = Group {
            leader: self.leader.clone(),
            nonce: self.nonce.clone(),
            epoch: self.term.epoch,
            at: now(),
            records: group.to_vec(),
        };
        let mut outcome = Ok(None);
        for _ in 0..TRIES {
            outcome = put(&*self.records, next, &group);
            if outcome.is_ok() {
                break;
            }
        }
        match outcome {
            Ok(None) => {
                *state = State::Leads { next: next + 1 };
                if matches!(group.records.last(), Some(Record::Cleaning { .. })) {
                    _ = self.retired.set(GroupId { number: next, nonce: self.nonce.clone() });
                }
                Ok(())
            }
            Ok(Some(Ok(other))) => {
                *state = State::Fenced { by: other.leader.clone() };
                Err(StoreError::Fenced { leader: other.leader })
            }
            Ok(Some(Err(error))) | Err(error) => {
                let reason = error.to_string();
                *state = State::Lost { reason: reason.clone() };
                Err(refused(&reason))
            }
        }
    }

    /// Asks whether another leader has taken over. The answer may be out of date at once; only an append is sure.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if one has; [`StoreError::Failed`] if that cannot be found out.
    pub fn probe(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match &*state {
            State::Leads { next } => *next,
            State::Fenced { by } => return Err(StoreError::Fenced { leader: by.clone() }),
            State::Lost { reason } => return Err(refused(reason)),
        };
        match journal::read_group(&*self.records, next) {
            Ok(None) => Ok(()),
            Ok(Some(Ok(other))) => {
                *state = State::Fenced { by: other.leader.clone() };
                Err(StoreError::Fenced { leader: other.leader })
            }
            Ok(Some(Err(error))) | Err(error) => Err(refused(&error.to_string())),
        }
    }

    /// Whether what the store says of itself is still there. Whoever removes a run removes that before anything of the
    /// journal: as long as it is there, all that was appended has stood behind all else.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_there(&self) -> Result<bool, RecordsError> {
        Ok(self.records.get(names::INFO)?.is_some())
    }

    /// What the store says of itself.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// This leader's term.
    pub fn term(&self) -> &Term {
        &self.term
    }

    /// The records below the journal, for results, flags and whatever else belongs to the run.
    pub fn records(&self) -> &Arc<dyn Records> {
        &self.records
    }

    /// Keeps the definition of the run as its leader of this term has it.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn define(&self, definition: &[u8]) -> Result<(), RecordsError> {
        self.records.put_if_absent(&names::definition(&self.term), definition).map(drop)
    }

    /// The last definition that was kept in the terms of a journal.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn definition(records: &dyn Records, replay: &Replay) -> Result<Option<Vec<u8>>, RecordsError> {
        for entry in replay.entries.iter().rev() {
            if matches!(entry.record, Record::TookOver { .. })
                && let Some(definition) = records.get(&names::definition(&entry.term))?
            {
                return Ok(Some(definition));
            }
        }
        Ok(None)
    }

    /// The record that the store is about to be removed, so that nobody takes over what is half removed. It is the last
    /// of its group: nothing that comes later means anything. After a success the output object is kept as long as
    /// anything, so that it can be said again.
    pub fn retirement(&self, outputs: Option<Value>) -> Record {
        Record::Cleaning { epochs: self.epochs.clone(), outputs }
    }

    /// The group in which this leader has recorded that, if it has.
    pub fn retired(&self) -> Option<&GroupId> {
        self.retired.get()
    }

    /// Records it by itself, if it is not. The leader's heartbeat must have ended.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another leader has taken over: nothing may be removed then.
    pub fn retire(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        if self.retired().is_some() { Ok(()) } else { self.append(&[self.retirement(outputs)]) }
    }

    /// Records that, and removes the run.
    ///
    /// # Errors
    /// As [`Ledger::retire`]. After [`StoreError::Failed`] [`finish_cleaning`] goes on.
    pub fn clean(&self) -> Result<(), StoreError> {
        self.retire(None)?;
        finish_cleaning(&*self.records).map(drop).map_err(|error| refused(&error.to_string()))
    }
}

/// A group by which a leader takes over, and what it says at once.
fn took_over(who: &Who, nonce: &str, epoch: u64, void_from: Option<u64>, more: Option<Record>) -> Group {
    let first = Record::TookOver {
        leader: who.name(),
        host: who.host.clone(),
        boot: who.boot.clone(),
        nonce: nonce.to_owned(),
        void_from,
    };
    let records = [first].into_iter().chain(more).collect();
    Group { leader: who.name(), nonce: nonce.to_owned(), epoch, at: now(), records }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Tries to store a taking-over group behind all others. `None`: there is one more now, or it is worth trying again.
fn take_number(
    records: &dyn Records,
    slots: &mut Vec<Slot>,
    group: &Group,
    tries: &mut usize,
) -> Result<Option<u64>, OpenError> {
    let number = slots.len() as u64 + 1;
    match put(records, number, group) {
        Ok(None) => {
            // Who slept before this may have stored among what was removed meanwhile. What is removed has an end.
            return match records.list(JOURNAL, Some(&names::group(number)))?.last() {
                None => Ok(Some(number)),
                Some(_) => Err(OpenError::Cleaning),
            };
        }
        Ok(Some(there)) if journal::is_cleaning(&there) => slots.push(there),
        Ok(Some(Ok(other))) if matches!(other.records.first(), Some(Record::TookOver { .. })) => {
            return Err(OpenError::Beaten { leader: other.leader });
        }
        // The old leader was faster.
        Ok(Some(there)) => slots.push(there),
        Err(error) => {
            *tries += 1;
            if *tries == TRIES {
                return Err(error.into());
            }
        }
    }
    Ok(None)
}

/// Stores a group under a number. `None`: it is there; else what is there in its place.
fn put(records: &dyn Records, number: u64, group: &Group) -> Result<Option<Slot>, RecordsError> {
    let name = names::group(number);
    let bytes = serde_json::to_vec(group).map_err(|error| RecordsError::Failed {
        operation: "write",
        name: name.clone(),
        reason: error.to_string(),
    })?;
    let answer = records.put_if_absent(&name, &bytes);
    if answer == Ok(Put::Stored) {
        return Ok(None);
    }
    match (journal::read_group(records, number)?, answer) {
        (Some(Ok(there)), _) if there.nonce == group.nonce => Ok(None),
        (Some(there), _) => Ok(Some(there)),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(RecordsError::Failed {
            operation: "store",
            name,
            reason: "it is taken and not there: the job store is being removed".to_owned(),
        }),
    }
}

fn refused(reason: &str) -> StoreError {
    StoreError::Failed { operation: "writing to the job store".to_owned(), reason: reason.to_owned() }
}
