//! A call cache in a directory (`--cachedir DIR`).
//!
//! ```text
//! DIR/moil-1/secret              for the keys, which tell nothing without it
//!           /entries/KEY/NUMBER  a result, and what its files look like
//!           /files/RANDOM/N/…    its files, read-only
//! ```
//!
//! An entry is a record, written once when all its files are there: what nobody has finished is not found. Nothing is
//! ever changed: where an entry is damaged, the next one gets the next number. So a run that uses files of the cache
//! keeps them, whatever others do.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::location;
use moil_cwl::value::{Directory, File as FileValue, Value};
use moil_job::cache::{CacheError, CallCache};
use moil_job::result::JobResult;
use serde::{Deserialize, Serialize};

use crate::content::file::{copy, protect};
use crate::nonce::nonce;
use crate::records::file::{Durability, FileRecords};
use crate::records::{Put, Records, RecordsError};

/// The part of a cache that is moil's; its number changes with what stands in it.
const HOME: &str = "moil-1";

/// How the locations of files begin in an entry: so a cache can be moved.
const INSIDE: &str = "cache:///";

/// A cache in a directory.
pub struct DirectoryCache {
    files: PathBuf,
    records: FileRecords,
    secret: [u8; 32],
    /// What lies below these is copied; all other files are somebody's and stay where they are.
    made: Vec<PathBuf>,
}

/// What is recorded of a result.
#[derive(Serialize, Deserialize)]
struct Entry {
    result: JobResult,
    /// The directory of its files, if it has any.
    directory: Option<String>,
    files: Vec<Kept>,
}

/// A file of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Kept {
    /// Below the entry's directory.
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
}

impl DirectoryCache {
    /// Opens the cache in a directory, or makes one. Outputs below `made`, absolute paths without links, are this
    /// run's own.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn open(directory: &Path, mut made: Vec<PathBuf>) -> Result<Self, CacheError> {
        let failed = |reason: String| failed(format!("be opened in {}", directory.display()), reason);
        let home = directory.join(HOME);
        let make = || {
            fs::create_dir_all(directory)?;
            // What others could read would tell them what the results are.
            fs::DirBuilder::new().recursive(true).mode(0o700).create(home.join("files"))?;
            fs::create_dir_all(home.join("entries"))?;
            fs::canonicalize(&home)
        };
        let home = make().map_err(|error| failed(error.to_string()))?;
        let records = match FileRecords::is_at(&home) {
            true => FileRecords::open(&home, Durability::Power),
            // Several may make it at the same time.
            false => FileRecords::create(&home, Durability::Power)
                .unwrap_or_else(|_| FileRecords::open(&home, Durability::Power)),
        };
        let secret = secret(&records, &home).map_err(|error| failed(error.to_string()))?;
        let files = home.join("files");
        made.push(files.clone());
        Ok(Self { files, records, secret, made })
    }

    /// The secret for its keys.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The directory below which all its files are: absolute, without links.
    pub fn files(&self) -> &Path {
        &self.files
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
        if let Some(directory) = &directory {
            let there = match look(&self.files.join(directory)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot(error.to_string()));
                }
                there => there.unwrap_or_default(),
            };
            if there != files {
                return Ok(None);
            }
        }
        let root = self.files.to_str().map(location::file_uri).ok_or_else(|| cannot(NOT_UTF8.to_owned()))?;
        let outputs = relocated(&result.outputs, &mut |location| {
            Ok(location.strip_prefix(INSIDE).map(|inside| format!("{root}/{inside}")))
        })?;
        Ok(Some(JobResult { outputs, ..result }))
    }

    /// Copies what was made into a directory of its own. Gives its name, and the outputs with their new locations.
    fn copy_in(&self, outputs: &Value, directory: &str) -> Result<Value, CacheError> {
        let mut paths = Vec::new();
        outputs.visit_files(&mut |item| paths.extend(location_of(item).and_then(|text| self.own(text))));
        paths.sort();
        paths.dedup();
        // What lies in a directory comes right after it.
        let mut outermost: Vec<PathBuf> = Vec::new();
        for path in paths {
            if !outermost.last().is_some_and(|last| path.starts_with(last)) {
                outermost.push(path);
            }
        }
        for (number, path) in outermost.iter().enumerate() {
            let cannot = |error: io::Error| failed(format!("keep {}", path.display()), error.to_string());
            let to = self.files.join(directory).join(number.to_string());
            fs::create_dir_all(&to).map_err(cannot)?;
            let to = to.join(path.file_name().unwrap_or_default());
            copy(path, &to).and_then(|()| protect(&to)).and_then(|()| sync(&to)).map_err(cannot)?;
        }
        relocated(outputs, &mut |location| {
            let Some(path) = self.own(location) else { return Ok(None) };
            let found = outermost.iter().position(|outer| path.starts_with(outer));
            let inside = found.and_then(|number| {
                let rest = path.strip_prefix(outermost[number].parent()?).ok()?.to_str()?;
                Some(format!("{INSIDE}{directory}/{number}/{}", location::encode_name(rest)))
            });
            inside.map(Some).ok_or_else(|| failed(format!("keep {location}"), NOT_UTF8.to_owned()))
        })
    }

    /// The path of a file that is copied.
    fn own(&self, location: &str) -> Option<PathBuf> {
        let path = PathBuf::from(location::file_path(location)?);
        self.made.iter().any(|made| path.starts_with(made)).then_some(path)
    }
}

impl CallCache for DirectoryCache {
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
        let directory = nonce();
        let path = self.files.join(&directory);
        let stored = self.copy_in(&result.outputs, &directory).and_then(|outputs| {
            let files = match look(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                files => Some(files.map_err(|error| cannot(&error))?),
            };
            let entry = Entry {
                result: JobResult { outputs, ..result.clone() },
                directory: files.is_some().then(|| directory.clone()),
                files: files.unwrap_or_default(),
            };
            let bytes = serde_json::to_vec(&entry).map_err(|error| cannot(&error))?;
            let next = numbers.last().map_or(1, |last| last.saturating_add(1));
            self.records.put_if_absent(&name(key, next), &bytes).map_err(|error| cannot(&error))
        });
        match stored {
            Ok(Put::Stored) => Ok(()),
            // Somebody else was faster; or nothing came of it.
            Ok(Put::Exists) => {
                let _ = fs::remove_dir_all(&path);
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    fn has(&self, location: &str) -> bool {
        location::file_path(location).is_some_and(|path| Path::new(&path).starts_with(&self.files))
    }
}

const NOT_UTF8: &str = "its name is not UTF-8";

fn name(key: &str, number: u32) -> String {
    format!("entries/{key}/{number:010}")
}

fn failed(operation: String, reason: String) -> CacheError {
    CacheError { operation, reason }
}

/// The secret of a cache, made once.
fn secret(records: &FileRecords, home: &Path) -> Result<[u8; 32], RecordsError> {
    let bad = |reason: String| RecordsError::Damaged {
        name: home.join("secret").display().to_string(),
        reason,
        advice: "remove the cache".to_owned(),
    };
    if records.get("secret")?.is_none() {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| bad(error.to_string()))?;
        records.put_if_absent("secret", &bytes)?;
        let _ = fs::set_permissions(home.join("secret"), fs::Permissions::from_mode(0o600));
    }
    let bytes = records.get("secret")?.ok_or_else(|| bad("it is gone".to_owned()))?;
    bytes.try_into().map_err(|_| bad("it has another length".to_owned()))
}

/// All that is in a directory, in order.
fn look(directory: &Path) -> io::Result<Vec<Kept>> {
    fn below(directory: &Path, above: &str, found: &mut Vec<Kept>) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = format!("{above}{}", entry.file_name().to_string_lossy());
            let metadata = fs::symlink_metadata(entry.path())?;
            let kind = if metadata.is_dir() {
                below(&entry.path(), &format!("{path}/"), found)?;
                Kind::Directory
            } else if metadata.is_symlink() {
                Kind::Link(fs::read_link(entry.path())?.to_string_lossy().into_owned())
            } else {
                let modified =
                    metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec());
                Kind::File { size: metadata.len(), modified }
            };
            found.push(Kept { path, kind });
        }
        Ok(())
    }
    let mut found = Vec::new();
    below(directory, "", &mut found)?;
    found.sort();
    Ok(found)
}

/// Brings a file, or all files in a directory, to the disk.
fn sync(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            sync(&entry?.path())?;
        }
    } else if metadata.is_symlink() {
        return Ok(());
    }
    File::open(path)?.sync_all()
}

fn location_of(item: &Value) -> Option<&str> {
    match item {
        Value::File(file) => file.location.as_deref(),
        Value::Directory(directory) => directory.location.as_deref(),
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
