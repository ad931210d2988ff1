//! The records of a run: those that it was made with, which lie in one record of the place, and all others, each by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{First, Turn, prefix, said};
use crate::exchange::LITTLE;
use crate::names::{self, INFO, JOURNAL};
use crate::records::{Put, Records, RecordsError};

/// What is larger is a record of its own, in bytes: all that goes along is brought to whoever looks for the run.
const SMALL: usize = LITTLE;

/// Stands in the place of a record that went along, and was deleted.
const DELETED: &[u8] = b"deleted";

/// What the names of records begin with that may go along, besides what says that there is a run. Workers that do not know
/// where the run is to be found are told of small settings.
const ALONG: [&str; 3] = ["definition/", "settings/", HEARTBEAT];

const HEARTBEAT: &str = "heartbeat/";

/// The records of one run, as if each were by itself.
pub(super) struct Held {
    root: Arc<dyn Records>,
    run: String,
    prefix: String,
    /// Where in the sequence it is; `None` where that is not known: then what went along is not found.
    number: Option<u64>,
    state: Mutex<State>,
}

enum State {
    /// Nothing is stored yet.
    Coming(BTreeMap<String, Vec<u8>>),
    /// It is there, with what is known of what went along: that never changes.
    There(Option<BTreeMap<String, String>>),
}

impl Held {
    /// Of a run that will have this number.
    pub(super) fn coming(root: Arc<dyn Records>, run: &str, number: u64) -> Self {
        Self::new(root, run, Some(number), State::Coming(BTreeMap::new()))
    }

    /// Of a run that is there.
    pub(super) fn there(root: Arc<dyn Records>, run: &str, number: Option<u64>) -> Self {
        Self::new(root, run, number, State::There(None))
    }

    fn new(root: Arc<dyn Records>, run: &str, number: Option<u64>, state: State) -> Self {
        Self { root, run: run.to_owned(), prefix: prefix(run), number, state: Mutex::new(state) }
    }

    /// Stores what is held: small records in one, by `say`, then the others. Says whether `say` did.
    pub(super) fn store(
        &self,
        say: &dyn Fn(&[u8]) -> Result<bool, RecordsError>,
    ) -> Result<bool, RecordsError> {
        // Who would store something meanwhile waits.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Coming(held) = &*state else { return Ok(true) };
        let mut records = BTreeMap::new();
        let mut others = Vec::new();
        for (name, bytes) in held {
            match std::str::from_utf8(bytes) {
                Ok(text) if goes_along(name) && bytes.len() <= SMALL => {
                    records.insert(name.clone(), text.to_owned());
                }
                _ => others.push((self.full(name), bytes.clone())),
            }
        }
        let first = Turn::Run(First { run: self.run.clone(), records: records.clone() });
        if !say(&serde_json::to_vec(&first).unwrap_or_default())? {
            return Ok(false);
        }
        *state = State::There(Some(records));
        drop(state);
        others.iter().try_for_each(|(name, bytes)| self.root.put_if_absent(name, bytes).map(drop))?;
        Ok(true)
    }

    /// One of the records that went along, if the run is there.
    fn along(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        let Some(number) = self.number else { return Ok(None) };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // These say whether there is a run, and whether somebody leads it: they are asked for each time.
        if let State::There(Some(records)) = &*state
            && name != INFO
            && !name.starts_with(HEARTBEAT)
        {
            return Ok(records.get(name).map(|text| text.clone().into_bytes()));
        }
        match said(&*self.root, number)? {
            Some(Turn::Run(first)) if first.run == self.run => {
                let found = first.records.get(name).map(|text| text.clone().into_bytes());
                *state = State::There(Some(first.records));
                Ok(found)
            }
            _ => Ok(None),
        }
    }

    /// Does something with what is held, if nothing is stored yet.
    fn if_coming<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> Option<T> {
        match &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Coming(held) => Some(act(held)),
            State::There(_) => None,
        }
    }

    /// Whether this record is known to have gone along.
    fn is_along(&self, name: &str) -> bool {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::There(Some(records)) => records.contains_key(name),
            _ => false,
        }
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Whether a record is one of those that say that there is a run: it never is by itself.
fn is_first(name: &str) -> bool {
    name == INFO || name == names::group(1)
}

fn goes_along(name: &str) -> bool {
    is_first(name) || ALONG.iter().any(|prefix| name.starts_with(prefix))
}

impl Records for Held {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        let held = self.if_coming(|held| match held.contains_key(name) {
            true => Put::Exists,
            false => {
                held.insert(name.to_owned(), bytes.to_owned());
                Put::Stored
            }
        });
        match held {
            Some(put) => Ok(put),
            None if is_first(name) => Ok(Put::Exists),
            None => self.root.put_if_absent(&self.full(name), bytes),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        match self.if_coming(|held| held.insert(name.to_owned(), bytes.to_owned())) {
            Some(_) => Ok(()),
            None => self.root.replace(&self.full(name), bytes),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        if let Some(held) = self.if_coming(|held| held.get(name).cloned()) {
            return Ok(held);
        }
        if is_first(name) {
            return self.along(name);
        }
        match self.root.get(&self.full(name))? {
            None if goes_along(name) => self.along(name),
            Some(bytes) if bytes == DELETED => Ok(None),
            found => Ok(found),
        }
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        let held = self.if_coming(|held| {
            let wanted = |name: &&String| name.starts_with(prefix) && Some(name.as_str()) > after;
            held.keys().filter(wanted).cloned().collect()
        });
        if let Some(held) = held {
            return Ok(held);
        }
        let after = after.map(|after| self.full(after));
        let names = self.root.list(&self.full(prefix), after.as_deref())?;
        let first = (prefix == JOURNAL && after.is_none() && self.number.is_some()).then(|| names::group(1));
        let names = names.iter().filter_map(|name| name.strip_prefix(&self.prefix).map(str::to_owned));
        Ok(first.into_iter().chain(names).collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        if self.if_coming(|held| names.iter().for_each(|name| drop(held.remove(name)))).is_some() {
            return Ok(());
        }
        let (along, own): (Vec<&String>, Vec<&String>) =
            names.iter().filter(|name| !is_first(name)).partition(|name| self.is_along(name));
        for name in along {
            // Of one that is removed nothing more is to be stored.
            if self.along(name)?.is_some() {
                self.root.replace(&self.full(name), DELETED)?;
            }
        }
        if own.is_empty() {
            return Ok(());
        }
        self.root.delete(&own.into_iter().map(|name| self.full(name)).collect::<Vec<_>>())
    }
}
