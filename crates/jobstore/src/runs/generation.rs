//! Sequences that share a place one after the other, where all of one is removed before the next begins: each has a name
//! of its own, so that a request of one that was removed never meets the next, whose numbers are the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::SEQUENCES;
use crate::records::{Put, Records, RecordsError};

/// The records of a place, with one of its sequences.
struct Generation {
    inner: Arc<dyn Records>,
    prefix: String,
}

/// The records of a place, with the sequence of this name.
pub fn of_generation(inner: Arc<dyn Records>, name: &str) -> Arc<dyn Records> {
    Arc::new(Generation { inner, prefix: format!("{SEQUENCES}{name}/") })
}

/// The names of the sequences that are there.
///
/// # Errors
/// What the records say.
pub fn generations(inner: &dyn Records) -> Result<BTreeSet<String>, RecordsError> {
    let names = inner.list(SEQUENCES, None)?;
    let name = |name: &String| Some(name.strip_prefix(SEQUENCES)?.split_once('/')?.0.to_owned());
    Ok(names.iter().filter_map(name).collect())
}

impl Generation {
    fn full(&self, name: &str) -> String {
        match name.strip_prefix(SEQUENCES) {
            Some(number) => format!("{}{number}", self.prefix),
            None => name.to_owned(),
        }
    }
}

impl Records for Generation {
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
        let own = |name: String| match name.strip_prefix(&self.prefix) {
            Some(number) => format!("{SEQUENCES}{number}"),
            None => name,
        };
        Ok(names.into_iter().map(own).collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        self.inner.delete(&names.iter().map(|name| self.full(name)).collect::<Vec<_>>())
    }
}
