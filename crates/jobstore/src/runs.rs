//! Runs at one place, one after the other, where nothing can be renamed: a bucket, a prefix, a domain.
//!
//! Each run's records have names that begin with the run's own number, so that a straggler of a run that was removed
//! never meets those of the next. Which run is there is said by a sequence of its own:
//!
//! ```text
//! runs/N        which run is there, with its first records; or that it is gone
//! run-UUID/…    all other records of a run
//! ```
//!
//! **A run is made by one request**, which stores `runs/N` if there is none: what the run says of itself, the first group
//! of its journal, and, if they are small, its definition, the settings of its workers and a first sign of life. Before it there is nothing, after it
//! a whole run that can be found. Until then all that is stored of it is held ([`held`]).
//!
//! **A run is there while `runs/N` says so.** Who removes one records that in its journal, so that nobody leads it any
//! more; then replaces what `runs/N` says by [`Gone`]; and only then removes the rest, in any order. So
//!
//! - who reads `runs/N` after he has appended, and finds his run, has led when he appended: until then no number of the
//!   journal had become free again. Who was followed, and slept while all was removed, finds that it is gone.
//! - a run whose removal was interrupted anywhere is known by what `runs/N` says, and not by what is left of it. It is
//!   said before whatever may be missing, and so nobody takes what is left of a run for one.
//! - what is left of a run that is gone is the end of its removal only if that very group is there which records it, the last
//!   to go. What stragglers left may be there for ever, and says nothing.
//! - to say it twice says the same. A request that is repeated or late can only meet another run at that number if the
//!   whole sequence was removed and begun anew. In a bucket of our own, where that is the rule, each sequence has a name
//!   of its own ([`generation`]).
//!
//! **Numbers.** The first one is never free again; those after it become so when a later run is removed. So whoever finds
//! no sequence and stores number 1 has the place; who stores a later one, having slept, may be behind others by then: he
//! looks whether his own is the last. In a bucket of our own there is no other number than 1: who finds that a run is gone there removes
//! what is left, and begins the next sequence.
//!
//! | who | meets | and |
//! |---|---|---|
//! | one who starts | another who starts | one of them has the number |
//! | | a run | is refused, unless its removal is recorded: that he finishes. If it was a success of which nobody may have heard, that is told before it is gone (`--restart`) |
//! | | a run that is gone | removes what is left of it |
//! | a leader | one who follows | the next append fails, or the look after it |
//! | one who removes | one who leads or follows | one of them has the next number of the journal |
//! | | one who removes as well | both say and remove the same |
//! | one who died after any request | anyone | there is no run; or a whole one; or one whose removal is recorded; or one that is gone |

mod generation;
mod held;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ledger::{self, GroupId, Info, Ledger, OpenError, Removal};
use crate::records::{Put, Records, RecordsError};
use crate::who::Who;
pub use generation::{generations, of_generation};
use held::Held;

/// The sequence that says which run is there.
pub const SEQUENCES: &str = "runs/";

/// What the names of the records of runs begin with.
pub const PREFIX: &str = "run-";

/// How often a record is tried.
const TRIES: usize = 3;

/// One record of the sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Turn {
    /// This run is there.
    Run(First),
    /// This run was there, and is removed, or half removed.
    Gone(Gone),
}

/// What is stored of a run first, and at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct First {
    run: String,
    /// By their names.
    records: BTreeMap<String, String>,
}

/// A run that was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The run's number.
    pub run: String,
    /// The group of its journal that records its removal, and is the last of it to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<GroupId>,
}

/// Where the sequence says that a run is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The run's number.
    pub run: String,
    /// The place in the sequence.
    number: u64,
    /// What was said before, and is still there.
    earlier: Vec<String>,
}

/// What the sequence says.
pub enum There {
    /// Nothing.
    Nothing,
    /// There is a run.
    Run(Pointer),
    /// There was one. Something of it may be left.
    Gone(Gone),
}

/// A run that is about to be made.
pub struct New {
    root: Arc<dyn Records>,
    records: Arc<Held>,
    pointer: Pointer,
}

/// Makes a new run at a place that has none. What is left of one that was being removed is removed first.
///
/// # Errors
/// [`OpenError::Exists`] where there is one; whatever the records say.
pub fn create(root: &Arc<dyn Records>, who: &Who) -> Result<Ledger, OpenError> {
    let new = begin(root, &|run| Ok(ledger::finish_cleaning(&*records(root, run)).map(drop)?))?;
    let ledger = new.lead(who)?;
    new.store(&|name, bytes| root.put_if_absent(name, bytes))?;
    Ok(ledger)
}

/// Begins to make a new run at a place that has none, as [`create`] does. Nothing is stored of it yet. `remove` removes
/// what is left of one, by its number.
///
/// # Errors
/// As [`create`], and those of `remove`.
pub fn begin(
    root: &Arc<dyn Records>,
    remove: &dyn Fn(&str) -> Result<(), OpenError>,
) -> Result<New, OpenError> {
    let Last { number, turn, names } = last(&**root)?;
    match turn {
        None => return Ok(New::at(root, 1, Vec::new())),
        Some(Turn::Gone(gone)) => remove(&gone.run)?,
        Some(Turn::Run(First { run, .. })) => {
            let pointer = Pointer { run, number, earlier: Vec::new() };
            let records = pointer.records(root);
            match ledger::removal(&*records)? {
                Some(Removal { outputs: None, by }) => forget(&**root, &pointer, Some(by))?,
                // Of a success nobody may have heard.
                _ => return Err(OpenError::Exists),
            }
            remove(&pointer.run)?;
        }
    }
    Ok(New::at(root, number + 1, names))
}

/// As [`begin`], at a place that is known to have nothing.
pub fn begin_first(root: &Arc<dyn Records>) -> New {
    New::at(root, 1, Vec::new())
}

impl New {
    fn at(root: &Arc<dyn Records>, number: u64, earlier: Vec<String>) -> Self {
        let run = crate::nonce::nonce();
        let records = Arc::new(Held::coming(Arc::clone(root), &run, number));
        Self { root: Arc::clone(root), records, pointer: Pointer { run, number, earlier } }
    }

    /// Whether no run was ever made at this place.
    pub fn is_first(&self) -> bool {
        self.pointer.earlier.is_empty()
    }

    /// Where it will be found.
    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Becomes its leader. What that stores is held, with all that is stored through its records.
    ///
    /// # Errors
    /// Whatever the records say.
    pub fn lead(&self, who: &Who) -> Result<Ledger, OpenError> {
        let info = Info { run: self.pointer.run.clone(), ..Info::new(who) };
        Ledger::create(Arc::clone(&self.records) as _, info, who)
    }

    /// Stores what is held, at once: then it is there. `put` stores a record of the place under a name that nothing has.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if somebody else was faster; whatever the records say: then it is there or not.
    pub fn store(
        &self,
        put: &(dyn Fn(&str, &[u8]) -> Result<Put, RecordsError> + Sync),
    ) -> Result<(), OpenError> {
        let name = turn_name(self.pointer.number);
        if !self.records.store(&|bytes| say(&*self.root, &name, bytes, put))? {
            return Err(OpenError::Exists);
        }
        if self.is_first() {
            return Ok(());
        }
        // With a later one behind it, this number is never looked at again, and can be taken away.
        if self.root.list(SEQUENCES, None)?.last() != Some(&name) {
            self.withdraw()?;
            return Err(OpenError::Exists);
        }
        Ok(())
    }

    /// Removes it, which nobody can have gone on with.
    ///
    /// # Errors
    /// What the records say.
    pub fn withdraw(&self) -> Result<(), RecordsError> {
        if let Some(Turn::Run(first)) = said(&*self.root, self.pointer.number)?
            && first.run == self.pointer.run
        {
            self.root.delete(&[turn_name(self.pointer.number)])?;
        }
        self.root.delete(&self.root.list(&prefix(&self.pointer.run), None)?)
    }
}

impl Pointer {
    /// The records of the run.
    pub fn records(&self, root: &Arc<dyn Records>) -> Arc<dyn Records> {
        Arc::new(Held::there(Arc::clone(root), &self.run, Some(self.number)))
    }

    /// What is said of earlier runs, and can be removed with this one: all but the first number, which is never free again.
    pub fn removable(&self) -> impl Iterator<Item = &String> {
        self.earlier.iter().filter(|name| **name != turn_name(1))
    }
}

/// The records of the run that is there.
///
/// # Errors
/// [`OpenError::Missing`] where there is none.
pub fn current(root: &Arc<dyn Records>) -> Result<Arc<dyn Records>, OpenError> {
    Ok(find(&**root)?.records(root))
}

/// The records of a run by its number alone, whether it is there or not: all but those that it was made with.
pub fn records(root: &Arc<dyn Records>, run: &str) -> Arc<dyn Records> {
    Arc::new(Held::there(Arc::clone(root), run, None))
}

/// The run that is there.
///
/// # Errors
/// [`OpenError::Missing`] where there is none.
pub fn find(root: &dyn Records) -> Result<Pointer, OpenError> {
    match look(root)? {
        There::Run(pointer) => Ok(pointer),
        _ => Err(OpenError::Missing),
    }
}

/// What is there.
///
/// # Errors
/// It cannot be read.
pub fn look(root: &dyn Records) -> Result<There, RecordsError> {
    let Last { number, turn, mut names } = last(root)?;
    Ok(match turn {
        None => There::Nothing,
        Some(Turn::Gone(gone)) => There::Gone(gone),
        Some(Turn::Run(First { run, .. })) => {
            names.pop();
            There::Run(Pointer { run, number, earlier: names })
        }
    })
}

/// What the names of a run's records begin with.
pub fn prefix(run: &str) -> String {
    format!("{PREFIX}{run}/")
}

/// Removes the run that is there, whoever led it, and however far its removal has come.
///
/// # Errors
/// There is none, or it cannot be removed.
pub fn clean(root: &Arc<dyn Records>, who: &Who) -> Result<(), OpenError> {
    let pointer = find(&**root)?;
    let records = pointer.records(root);
    ledger::retire(&*records, who)?;
    let removal = ledger::removal(&*records)?;
    forget(&**root, &pointer, removal.map(|removal| removal.by))?;
    ledger::finish_cleaning(&*records)?;
    Ok(())
}

/// Says that a run is gone, whose removal is recorded, unless the number is another run's by now.
///
/// # Errors
/// It cannot be said.
pub fn forget(root: &dyn Records, pointer: &Pointer, by: Option<GroupId>) -> Result<(), RecordsError> {
    match said(root, pointer.number)? {
        Some(Turn::Run(first)) if first.run == pointer.run => say_gone(root, pointer, by),
        _ => Ok(()),
    }
}

/// As [`forget`], by one who has just seen that it is there.
///
/// # Errors
/// It cannot be said.
pub fn say_gone(root: &dyn Records, pointer: &Pointer, by: Option<GroupId>) -> Result<(), RecordsError> {
    let turn = Turn::Gone(Gone { run: pointer.run.clone(), by });
    root.replace(&turn_name(pointer.number), &serde_json::to_vec(&turn).unwrap_or_default())
}

fn turn_name(number: u64) -> String {
    format!("{SEQUENCES}{number:020}")
}

/// How far the sequence has come.
struct Last {
    /// The number of its last record; 0 where there is none.
    number: u64,
    /// What that says.
    turn: Option<Turn>,
    /// The names of all that are there.
    names: Vec<String>,
}

fn last(root: &dyn Records) -> Result<Last, RecordsError> {
    let names = root.list(SEQUENCES, None)?;
    let Some(name) = names.last() else { return Ok(Last { number: 0, turn: None, names }) };
    let number = name[SEQUENCES.len()..].parse().map_err(|_| damaged(name, "it has no number"))?;
    // Between the two answers it may have been deleted.
    let Some(turn) = said(root, number)? else { return last(root) };
    Ok(Last { number, turn: Some(turn), names })
}

/// What a number says.
fn said(root: &dyn Records, number: u64) -> Result<Option<Turn>, RecordsError> {
    let name = turn_name(number);
    let Some(bytes) = root.get(&name)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(&name, &error.to_string()))
}

fn damaged(name: &str, reason: &str) -> RecordsError {
    RecordsError::Damaged {
        name: name.to_owned(),
        reason: reason.to_owned(),
        advice: "delete everything at this place, and start afresh".to_owned(),
    }
}

/// Stores a record of the sequence. Says whether this is what has the number now.
fn say(
    root: &dyn Records,
    name: &str,
    bytes: &[u8],
    put: &(dyn Fn(&str, &[u8]) -> Result<Put, RecordsError> + Sync),
) -> Result<bool, RecordsError> {
    let mut answer = put(name, bytes);
    for _ in 1..TRIES {
        match &answer {
            Ok(_) => break,
            Err(_) => answer = put(name, bytes),
        }
    }
    match answer? {
        Put::Stored => Ok(true),
        Put::Exists => Ok(root.get(name)?.as_deref() == Some(bytes)),
    }
}
