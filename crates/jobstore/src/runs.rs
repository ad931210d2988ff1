//! Runs at one place, one after the other, where nothing can be renamed: a bucket, a prefix, a domain.
//!
//! Each run's records have names that begin with the run's own number, so that a straggler of a run that was removed
//! never meets those of the next. Which run is there is said by a sequence of its own, appended like a journal; of a
//! place that was cleaned, its last record stays.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ledger::{self, Info, Ledger, OpenError};
use crate::records::{Put, Records, RecordsError};
use crate::who::Who;

/// The sequence that says which run is there.
const RUNS: &str = "runs/";

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

/// Makes a new run at a place that has none. What is left of one that was being removed is removed first.
///
/// # Errors
/// [`OpenError::Exists`] where there is one; whatever the records say.
pub fn create(root: &Arc<dyn Records>, who: &Who) -> Result<Ledger, OpenError> {
    let free = loop {
        match last(&**root)? {
            (number, Some(Turn::Run(run))) => {
                if !ledger::finish_cleaning(&*scoped(root, &run))? {
                    return Err(OpenError::Exists);
                }
                say(&**root, number + 1, &Turn::Gone(run))?;
            }
            (number, _) => break number + 1,
        }
    };
    // The run is whole before anybody can find it.
    let info = Info::new(who);
    let run = info.run.clone();
    let records = scoped(root, &run);
    let ledger = Ledger::create(Arc::clone(&records), info, who)?;
    if say(&**root, free, &Turn::Run(run))? {
        return Ok(ledger);
    }
    records.delete(&records.list("", None)?)?;
    Err(OpenError::Exists)
}

/// The records of the run that is there.
///
/// # Errors
/// [`OpenError::Missing`] where there is none.
pub fn current(root: &Arc<dyn Records>) -> Result<Arc<dyn Records>, OpenError> {
    match last(&**root)? {
        (_, Some(Turn::Run(run))) => Ok(scoped(root, &run)),
        _ => Err(OpenError::Missing),
    }
}

/// The records of a run, whether it is there or not.
pub fn records(root: &Arc<dyn Records>, run: &str) -> Arc<dyn Records> {
    scoped(root, run)
}

/// The number of the run that is there.
///
/// # Errors
/// [`OpenError::Missing`] where there is none.
pub fn current_id(root: &dyn Records) -> Result<String, OpenError> {
    match last(root)? {
        (_, Some(Turn::Run(run))) => Ok(run),
        _ => Err(OpenError::Missing),
    }
}

/// What the names of a run's records begin with.
pub fn prefix(run: &str) -> String {
    format!("run-{run}/")
}

/// Removes the run that is there, whoever led it, and however far its removal has come.
///
/// # Errors
/// There is none, or it cannot be removed.
pub fn clean(root: &Arc<dyn Records>, who: &Who) -> Result<(), OpenError> {
    let (_, Some(Turn::Run(run))) = last(&**root)? else { return Err(OpenError::Missing) };
    match ledger::clean(&*scoped(root, &run), who) {
        Ok(()) => Ok(forget(&**root, &run)?),
        Err(error) => Err(error),
    }
}

/// Says that a run is removed, after [`Ledger::clean`].
///
/// # Errors
/// It cannot be said.
pub fn forget(root: &dyn Records, run: &str) -> Result<(), RecordsError> {
    let (number, turn) = last(root)?;
    if turn != Some(Turn::Run(run.to_owned())) {
        return Ok(());
    }
    say(root, number + 1, &Turn::Gone(run.to_owned()))?;
    // Numbers are never used again, so that only what was said before this can be deleted.
    let said = root.list(RUNS, None)?;
    root.delete(&said.into_iter().filter(|name| *name <= turn_name(number)).collect::<Vec<_>>())
}

fn turn_name(number: u64) -> String {
    format!("{RUNS}{number:020}")
}

/// The last record of the sequence, with its number; 0 where there is none.
fn last(root: &dyn Records) -> Result<(u64, Option<Turn>), RecordsError> {
    let names = root.list(RUNS, None)?;
    let Some(name) = names.last() else { return Ok((0, None)) };
    let damaged = |reason: &str| RecordsError::Damaged {
        name: name.clone(),
        reason: reason.to_owned(),
        advice: "delete everything at this place, and start afresh".to_owned(),
    };
    let number = name[RUNS.len()..].parse().map_err(|_| damaged("it has no number"))?;
    // Between the two answers it may have been deleted: then there is a later one.
    let Some(bytes) = root.get(name)? else { return last(root) };
    serde_json::from_slice(&bytes)
        .map(|turn| (number, Some(turn)))
        .map_err(|error| damaged(&error.to_string()))
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
