//! Runs at one place, one after the other, where nothing can be renamed: a bucket, a prefix, a domain.
//!
//! Each run's records have names that begin with the run's own number, so that a straggler of a run that was removed
//! never meets those of the next. Which run is there is said by a sequence of its own, appended like a journal; of a
//! place that was cleaned, its last record stays.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::at_once::both;
use crate::ledger::{self, Info, Ledger, OpenError};
use crate::names::INFO;
use crate::records::{Put, Records, RecordsError};
use crate::who::Who;

/// The sequence that says which run is there.
const RUNS: &str = "runs/";

/// What the names of the records of runs begin with.
pub const PREFIX: &str = "run-";

/// How often a record is tried.
const TRIES: usize = 3;

/// One record of the sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Turn {
    /// This run is there.
    Run(String),
    /// This run was there, and is removed.
    Gone(String),
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

/// A run that is made, and that nobody can find yet.
pub struct Unannounced {
    root: Arc<dyn Records>,
    records: Arc<dyn Records>,
    info: Info,
    pointer: Pointer,
}

/// Makes a new run at a place that has none. What is left of one that was being removed is removed first.
///
/// # Errors
/// [`OpenError::Exists`] where there is one; whatever the records say.
pub fn create(root: &Arc<dyn Records>, who: &Who) -> Result<Ledger, OpenError> {
    let new = begin(root, who, &|run| Ok(ledger::finish_cleaning(&*scoped(root, run)).map(drop)?))?;
    let ledger = new.lead(who)?;
    new.announce()?;
    Ok(ledger)
}

/// Begins to make a new run at a place that has none, as [`create`] does. `remove` removes what is left of one, by its
/// number.
///
/// # Errors
/// As [`create`], and those of `remove`.
pub fn begin(
    root: &Arc<dyn Records>,
    who: &Who,
    remove: &dyn Fn(&str) -> Result<(), OpenError>,
) -> Result<Unannounced, OpenError> {
    let (number, earlier) = loop {
        let Last { number, turn, names } = last(&**root)?;
        let Some(Turn::Run(run)) = turn else { break (number + 1, names) };
        let records = scoped(root, &run);
        if !ledger::is_retired(&*records)? && !ledger::is_left_over(&*records)? {
            return Err(OpenError::Exists);
        }
        remove(&run)?;
        say(&**root, number + 1, &Turn::Gone(run))?;
    };
    let info = Info::new(who);
    let records = scoped(root, &info.run);
    ledger::store_info(&*records, &info)?;
    let pointer = Pointer { run: info.run.clone(), number, earlier };
    Ok(Unannounced { root: Arc::clone(root), records, info, pointer })
}

impl Unannounced {
    /// The name, among all records of the place, of one that is stored already.
    pub fn stored(&self) -> String {
        format!("{}{INFO}", prefix(&self.pointer.run))
    }

    /// Becomes its leader.
    ///
    /// # Errors
    /// Whatever the records say.
    pub fn lead(&self, who: &Who) -> Result<Ledger, OpenError> {
        Ledger::begin(Arc::clone(&self.records), self.info.clone(), who)
    }

    /// Says that it is there. It must have its first leader: a run is whole before anybody can find it.
    ///
    /// Who slept before may find the number free again that another run had, which has come and gone: then later ones are
    /// there, or what was stored of this run has gone with all that was at the place. What was said stays then, and is in
    /// nobody's way: the number may be another run's by now.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if somebody else was faster; whatever the records say.
    pub fn announce(self) -> Result<Pointer, OpenError> {
        if say(&*self.root, self.pointer.number, &Turn::Run(self.pointer.run.clone()))? {
            let name = turn_name(self.pointer.number);
            let (later, info) = both(|| self.root.list(RUNS, Some(&name)), || self.records.get(INFO));
            if later?.is_empty() && info?.is_some() {
                return Ok(self.pointer);
            }
        }
        self.withdraw()?;
        Err(OpenError::Exists)
    }

    /// Removes it.
    ///
    /// # Errors
    /// What the records say: then something stays that nobody finds.
    pub fn withdraw(&self) -> Result<(), RecordsError> {
        self.records.delete(&self.records.list("", None)?)
    }
}

/// The records of the run that is there.
///
/// # Errors
/// [`OpenError::Missing`] where there is none.
pub fn current(root: &Arc<dyn Records>) -> Result<Arc<dyn Records>, OpenError> {
    Ok(scoped(root, &find(&**root)?.run))
}

/// The records of a run, whether it is there or not.
pub fn records(root: &Arc<dyn Records>, run: &str) -> Arc<dyn Records> {
    scoped(root, run)
}

/// The run that is there.
///
/// # Errors
/// [`OpenError::Missing`] where there is none.
pub fn find(root: &dyn Records) -> Result<Pointer, OpenError> {
    match last(root)? {
        Last { number, turn: Some(Turn::Run(run)), mut names } => {
            names.pop();
            Ok(Pointer { run, number, earlier: names })
        }
        _ => Err(OpenError::Missing),
    }
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
    ledger::clean(&*scoped(root, &pointer.run), who)?;
    Ok(forget(&**root, &pointer)?)
}

/// Says that a run is removed, after [`Ledger::clean`]. Where the sequence was removed, and another run has the place in
/// it, nothing is said.
///
/// # Errors
/// It cannot be said.
pub fn forget(root: &dyn Records, pointer: &Pointer) -> Result<(), RecordsError> {
    let Pointer { run, number, earlier } = pointer;
    let there = root.get(&turn_name(*number))?.and_then(|bytes| serde_json::from_slice::<Turn>(&bytes).ok());
    // If somebody has said it, they may have said more.
    if there != Some(Turn::Run(run.clone())) || !say(root, number + 1, &Turn::Gone(run.clone()))? {
        return Ok(());
    }
    // Numbers are never used again, so that only what was said before this can be deleted.
    root.delete(&earlier.iter().cloned().chain([turn_name(*number)]).collect::<Vec<_>>())
}

fn turn_name(number: u64) -> String {
    format!("{RUNS}{number:020}")
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
    let names = root.list(RUNS, None)?;
    let Some(name) = names.last() else { return Ok(Last { number: 0, turn: None, names }) };
    let damaged = |reason: &str| RecordsError::Damaged {
        name: name.clone(),
        reason: reason.to_owned(),
        advice: "delete everything at this place, and start afresh".to_owned(),
    };
    let number = name[RUNS.len()..].parse().map_err(|_| damaged("it has no number"))?;
    // Between the two answers it may have been deleted: then there is a later one.
    let Some(bytes) = root.get(name)? else { return last(root) };
    let turn = serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
    Ok(Last { number, turn: Some(turn), names })
}

/// Appends to the sequence. Says whether this is what has the number now.
fn say(root: &dyn Records, number: u64, turn: &Turn) -> Result<bool, RecordsError> {
    let (name, bytes) = (turn_name(number), serde_json::to_vec(turn).unwrap_or_default());
    let mut answer = root.put_if_absent(&name, &bytes);
    for _ in 1..TRIES {
        match &answer {
            Ok(_) => break,
            Err(_) => answer = root.put_if_absent(&name, &bytes),
        }
    }
    match answer? {
        Put::Stored => Ok(true),
        Put::Exists => Ok(root.get(&name)?.as_deref() == Some(&bytes)),
    }
}

fn scoped(root: &Arc<dyn Records>, run: &str) -> Arc<dyn Records> {
    Arc::new(Scoped { inner: Arc::clone(root), prefix: prefix(run) })
}

/// Those records of a place whose names begin with a prefix.
struct Scoped {
    inner: Arc<dyn Records>,
    prefix: String,
}

impl Scoped {
    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Records for Scoped {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        self.inner.put_if_absent(&self.full(name), bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        self.inner.replace(&self.full(name), bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        self.inner.get(&self.full(name))
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        let after = after.map(|after| self.full(after));
        let names = self.inner.list(&self.full(prefix), after.as_deref())?;
        Ok(names.into_iter().filter_map(|name| name.strip_prefix(&self.prefix).map(str::to_owned)).collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        self.inner.delete(&names.iter().map(|name| self.full(name)).collect::<Vec<_>>())
    }
}
