//! Call caches (`--cachedir`): in a directory, or below a prefix of a bucket.
//!
//! ```text
//! secret              for the keys, which tell nothing without it
//! entries/KEY/NUMBER  a result, and what its files look like
//! ```
//!
//! Files lie on a [`Shelf`]. An entry is a record, written once when all its files are there: what nobody has finished is
//! not found. Nothing is ever changed: where an entry is damaged, the next one gets the next number. So a run that uses
//! files of the cache keeps them, whatever others do.

#[cfg(feature = "aws")]
pub mod bucket;
pub mod directory;

use std::sync::Arc;

use moil_cwl::value::{Directory, File as FileValue, Value};
use moil_job::cache::{CacheError, CallCache};
use moil_job::result::JobResult;
use serde::{Deserialize, Serialize};

use crate::nonce::nonce;
use crate::origins::Made;
use crate::records::{Put, Records, RecordsError};

/// How the locations of files begin in an entry: so a cache can be moved.
const INSIDE: &str = "cache:///";

/// Where a cache has its files: in units, one for each entry.
trait Shelf: Send + Sync {
    /// What all locations of files of the cache begin with; it ends in `/`.
    fn root(&self) -> &str;

    /// Copies a file or directory of a run into a unit. Gives its location.
    fn bring(
        &self,
        unit: &str,
        number: usize,
        location: &str,
        is_directory: bool,
    ) -> Result<String, CacheError>;

    /// All that is in a unit, in order; nothing if there is none.
    fn look(&self, unit: &str) -> Result<Vec<Kept>, String>;

    /// Removes a unit that is no use.
    fn remove(&self, unit: &str);
}

/// A call cache.
pub struct Cache {
    shelf: Box<dyn Shelf>,
    records: Box<dyn Records>,
    secret: [u8; 32],
    /// What is copied; all other files are somebody's and stay where they are.
    made: Made,
    copied: Box<Copied>,
}

/// Is told of a file or directory that lies at a second location as well.
pub type Copied = dyn Fn(&str, &str) + Send + Sync;

/// What is recorded of a result.
#[derive(Serialize, Deserialize)]
struct Entry {
    result: JobResult,
    /// The unit of its files, if it has any.
    directory: Option<String>,
    files: Vec<Kept>,
}

/// A file of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Kept {
    /// In the entry's unit.
    path: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    /// With size in bytes and time of change in nanoseconds since 1970.
    File {
        size: u64,
        modified: i64,
    },
    Directory,
    Link(String),
    /// With size in bytes.
    Object {
        size: u64,
        etag: String,
    },
}

impl Cache {
    fn new(shelf: Box<dyn Shelf>, records: Box<dyn Records>, mut made: Made) -> Result<Self, RecordsError> {
        let secret = secret(&*records)?;
        made.add(shelf.root());
        Ok(Self { shelf, records, secret, made, copied: Box::new(|_, _| {}) })
    }

    /// The same, which tells where it has copied what.
    #[must_use]
    pub fn telling(self, copied: Box<Copied>) -> Self {
        Self { copied, ..self }
    }

    /// The secret for its keys.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// What attempts of the run made, its own files included.
    pub fn made(&self) -> &Made {
        &self.made
    }

    /// What the locations of all its files begin with.
    pub fn root(&self) -> &str {
        self.shelf.root()
    }

    /// The numbers that entries of a key have, in order.
    fn numbers(&self, key: &str) -> Result<Vec<u32>, RecordsError> {
        let prefix = format!("entries/{key}/");
        let names = self.records.list(&prefix, None)?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect())
    }

    fn read(&self, key: &str, number: u32) -> Result<Option<JobResult>, CacheError> {
        let cannot = |reason: String| failed(format!("read the entry {key}"), reason);
        let bytes = match self.records.get(&name(key, number)) {
            Ok(Some(bytes)) => bytes,
            Ok(None) | Err(RecordsError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(cannot(error.to_string())),
        };
        let Ok(Entry { result, directory, files }) = serde_json::from_slice(&bytes) else { return Ok(None) };
        if let Some(unit) = &directory
            && self.shelf.look(unit).map_err(cannot)? != files
        {
            return Ok(None);
        }
        let root = self.shelf.root();
        let outputs = relocated(&result.outputs, &mut |location| {
            Ok(location.strip_prefix(INSIDE).map(|inside| format!("{root}{inside}")))
        })?;
        Ok(Some(JobResult { outputs, ..result }))
    }

    /// Copies what was made into a unit. Gives the outputs with their new locations.
    fn copy_in(&self, outputs: &Value, unit: &str) -> Result<Value, CacheError> {
        let mut found: Vec<(&str, bool)> = Vec::new();
        let mut locations: Vec<(Arc<str>, bool)> = Vec::new();
        outputs.visit_files(&mut |item| {
            let is_directory = matches!(item, Value::Directory(_));
            let location = location_of(item).filter(|location| self.made.has(location));
            locations.extend(location.map(|location| (Arc::clone(location), is_directory)));
        });
        // By their parts: what lies in a directory comes right after it.
        locations.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
        for (location, is_directory) in &locations {
            if found.last().is_none_or(|(outer, _)| inside(location, outer).is_none()) {
                found.push((location, *is_directory));
            }
        }
        let mut brought: Vec<(&str, String)> = Vec::new();
        for (number, (location, is_directory)) in found.into_iter().enumerate() {
            let new = self.shelf.bring(unit, number, location, is_directory)?;
            (self.copied)(location, &new);
            let new = new.strip_prefix(self.shelf.root()).unwrap_or(&new);
            brought.push((location, format!("{INSIDE}{new}")));
        }
        relocated(outputs, &mut |location| {
            let mut brought = brought.iter();
            Ok(brought.find_map(|(outer, new)| Some(format!("{new}{}", inside(location, outer)?))))
        })
    }
}

/// What follows the location of a directory in that of something in it: nothing, or a `/` and more.
fn inside<'a>(location: &'a str, outer: &str) -> Option<&'a str> {
    let rest = location.strip_prefix(outer.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest.trim_end_matches('/'))
}

impl CallCache for Cache {
    fn find(&self, key: &str) -> Result<Option<JobResult>, CacheError> {
        let numbers =
            self.numbers(key).map_err(|error| failed(format!("look for {key}"), error.to_string()))?;
        match numbers.last() {
            Some(number) => self.read(key, *number),
            None => Ok(None),
        }
    }

    fn store(&self, key: &str, result: &JobResult) -> Result<(), CacheError> {
        let cannot =
            |error: &dyn std::fmt::Display| failed(format!("keep the entry {key}"), error.to_string());
        let numbers = self.numbers(key).map_err(|error| cannot(&error))?;
        let unit = nonce();
        let stored = self.copy_in(&result.outputs, &unit).and_then(|outputs| {
            let files = self.shelf.look(&unit).map_err(|error| cannot(&error))?;
            let entry = Entry {
                result: JobResult { outputs, ..result.clone() },
                directory: (!files.is_empty()).then(|| unit.clone()),
                files,
            };
            let bytes = serde_json::to_vec(&entry).map_err(|error| cannot(&error))?;
            let next = numbers.last().map_or(1, |last| last.saturating_add(1));
            self.records.put_if_absent(&name(key, next), &bytes).map_err(|error| cannot(&error))
        });
        // Somebody else was faster; or nothing came of it.
        if !matches!(stored, Ok(Put::Stored)) {
            self.shelf.remove(&unit);
        }
        stored.map(drop)
    }

    fn has(&self, location: &str) -> bool {
        location.starts_with(self.shelf.root())
    }
}

fn name(key: &str, number: u32) -> String {
    format!("entries/{key}/{number:010}")
}

fn failed(operation: String, reason: String) -> CacheError {
    CacheError { operation, reason }
}

/// The secret of a cache, made once.
fn secret(records: &dyn Records) -> Result<[u8; 32], RecordsError> {
    let bad = |reason: String| RecordsError::Damaged {
        name: "secret".to_owned(),
        reason,
        advice: "remove the cache".to_owned(),
    };
    let mut bytes = records.get("secret")?;
    if bytes.is_none() {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| bad(error.to_string()))?;
        records.put_if_absent("secret", &random)?;
        // Somebody else may have been faster.
        bytes = records.get("secret")?;
    }
    let bytes = bytes.ok_or_else(|| bad("it is gone".to_owned()))?;
    bytes.try_into().map_err(|_| bad("it has another length".to_owned()))
}

fn location_of(item: &Value) -> Option<&Arc<str>> {
    match item {
        Value::File(file) => file.location.as_ref(),
        Value::Directory(directory) => directory.location.as_ref(),
        _ => None,
    }
}

/// A value with other locations, where there are others.
fn relocated(
    value: &Value,
    new: &mut dyn FnMut(&str) -> Result<Option<String>, CacheError>,
) -> Result<Value, CacheError> {
    value.try_map_files(&mut |item| {
        let Some(location) = location_of(&item) else { return Ok(item) };
        let Some(location) = new(location)? else { return Ok(item) };
        let location = Some(Arc::from(location));
        Ok(match item {
            Value::File(file) => Value::File(Arc::new(FileValue { location, ..(*file).clone() })),
            Value::Directory(directory) => {
                Value::Directory(Arc::new(Directory { location, ..(*directory).clone() }))
            }
            other => other,
        })
    })
}

#[cfg(test)]
mod tests;
