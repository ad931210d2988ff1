//! Records of one process: what tests of the ledger run on.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Put, Records, RecordsError, check_name, check_prefix};

/// Keeps records until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    all: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryRecords {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records for MemoryRecords {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        check_name(name)?;
        Ok(match self.lock().entry(name.to_owned()) {
            Entry::Occupied(_) => Put::Exists,
            Entry::Vacant(place) => {
                place.insert(bytes.to_vec());
                Put::Stored
            }
        })
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        check_name(name)?;
        self.lock().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        check_name(name)?;
        Ok(self.lock().get(name).cloned())
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        check_prefix(prefix)?;
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let all = self.lock();
        let names = all.range::<str, _>((start, Bound::Unbounded)).map(|(name, _)| name);
        Ok(names.take_while(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        names.iter().try_for_each(|name| check_name(name))?;
        let mut all = self.lock();
        for name in names {
            all.remove(name);
        }
        Ok(())
    }
}
