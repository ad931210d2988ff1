//! Inputs of other machines, fetched once per run however many jobs read them.

mod room;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moil_cwl::files::Entry;
use moil_cwl::location;
use moil_cwl::value::{Directory, File, Value};
use moil_job::failure::{Failure, FailureKind};

use crate::cancel::Cancel;
use crate::files::{location_of, path_of};
use crate::fingerprint::Fingerprint;
use crate::system::{self, Result};

/// How often one who waits for another's download looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// How deep directories may be nested.
const DEPTH_LIMIT: usize = 200;

/// Fetches a file from another machine.
pub trait Download: Send + Sync {
    /// Writes what is at `location` to the new file `to`, and verifies it as far as can be. Asks
    /// `cancel` now and then.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    fn download(&self, location: &str, to: &Path, cancel: &Cancel) -> std::result::Result<(), String>;

    /// Brings a directory with all that is in it to the free path `to`, where that is less work than to bring its files
    /// one by one. Says whether it did.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    fn download_directory(
        &self,
        _location: &str,
        _to: &Path,
        _cancel: &Cancel,
    ) -> std::result::Result<bool, String> {
        Ok(false)
    }

    /// What tells the content of a file, or of a directory that comes as a whole, from any other; `None` where nothing
    /// that is certain is known.
    fn identify(&self, _location: &str, _as_directory: bool) -> Option<Identity> {
        None
    }

    /// As [`download`](Self::download), if what is there is what was identified. Says whether it is.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    fn download_version(
        &self,
        location: &str,
        _identity: &Identity,
        to: &Path,
        cancel: &Cancel,
    ) -> std::result::Result<bool, String> {
        self.download(location, to, cancel).map(|()| true)
    }

    /// Whether a location of this machine, or something in it, is gone from there and is to be fetched.
    fn is_elsewhere(&self, _location: &str) -> bool {
        false
    }

    /// The entries of a directory of another machine; `None` where such cannot be listed.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    fn list(&self, _location: &str) -> std::result::Result<Option<Vec<Entry>>, String> {
        Ok(None)
    }
}

/// What is known of a content before it is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Two contents that differ have two names.
    pub name: String,
    /// The SHA-256 of a file in hexadecimal digits.
    pub sha256: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// What its server calls this version of it.
    pub version: Option<String>,
}

/// What was fetched in this run, and what was made here and brought elsewhere.
#[derive(Default)]
pub struct Downloads {
    /// By location.
    known: Mutex<HashMap<Arc<str>, Known>>,
    changed: Condvar,
    /// The most bytes that are kept of what was made here.
    limit: u64,
    kept: AtomicU64,
    /// Counts uses.
    clock: AtomicU64,
}

/// How it stands with a location.
enum Known {
    /// Somebody is fetching it.
    Coming,
    /// It is here.
    Here(Local),
    /// It is no directory that comes as a whole.
    Piecemeal,
}

/// The copy of something here.
#[derive(Clone)]
struct Local {
    path: PathBuf,
    /// What it was when it came, where that can be told.
    seen: Option<Fingerprint>,
    from: From,
    /// When it was used last, by the clock of uses.
    used: u64,
}

/// How a copy has come.
#[derive(Clone, Copy, PartialEq)]
enum From {
    /// It was fetched, to a directory of its own.
    Elsewhere,
    /// It was made here, and was brought to a directory of its own.
    Here,
    /// It is part of something else, or somebody else's.
    Others,
}

impl Local {
    fn new(path: PathBuf, from: From, used: u64) -> Self {
        let seen = Fingerprint::of(&path).ok().flatten();
        Self { path, seen, from, used }
    }

    /// Whether it is still what it was: a tool may have written into its input.
    fn is_whole(&self) -> bool {
        self.seen.is_none() || Fingerprint::of(&self.path).ok().flatten() == self.seen
    }
}

impl Downloads {
    /// With room for so many bytes of what is made here and brought elsewhere, so that the next jobs need not fetch it.
    #[must_use]
    pub fn with_room(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The local copy of a location, below `root`. Fetches it, or waits for somebody who is fetching it.
    ///
    /// # Errors
    /// [`FailureKind::BadInput`] where it cannot be fetched.
    pub fn get(
        &self,
        location: &Arc<str>,
        root: &Path,
        download: Option<&dyn Download>,
        cancel: &Cancel,
    ) -> Result<PathBuf> {
        let needed = || download.ok_or_else(|| "nothing is set up to fetch files from there".to_owned());
        let fetch = |to: &Path| needed()?.download(location, to, cancel).map(|()| true);
        let path = self.get_with(location, root, cancel, &fetch)?;
        path.ok_or_else(|| failed(location, "it is a directory".to_owned()))
    }

    /// The local copy of a directory, if it can come as a whole.
    fn get_directory(
        &self,
        location: &Arc<str>,
        root: &Path,
        download: Option<&dyn Download>,
        cancel: &Cancel,
    ) -> Result<Option<PathBuf>> {
        let fetch = |to: &Path| match download {
            Some(download) => download.download_directory(location, to, cancel),
            None => Ok(false),
        };
        Ok(self.get_with(location, root, cancel, &fetch)?.filter(|path| path.is_dir()))
    }

    /// The local copy of a location: there already, or fetched by one of all who want it, unless that says that it
    /// cannot be.
    fn get_with(
        &self,
        location: &Arc<str>,
        root: &Path,
        cancel: &Cancel,
        fetch: &dyn Fn(&Path) -> std::result::Result<bool, String>,
    ) -> Result<Option<PathBuf>> {
        if let Some(path) = self.inside(location) {
            return Ok(Some(path));
        }
        let mut known = self.known();
        let number = loop {
            cancel.check()?;
            match known.get_mut(location) {
                Some(Known::Here(local)) => {
                    local.used = self.now();
                    let local = local.clone();
                    drop(known);
                    // Looking takes time, and others need not wait for it.
                    if local.is_whole() {
                        return Ok(Some(local.path));
                    }
                    known = self.known();
                    if matches!(known.get(location), Some(Known::Here(there)) if there.path == local.path) {
                        known.remove(location);
                    }
                }
                Some(Known::Piecemeal) => return Ok(None),
                Some(Known::Coming) => {
                    known = self.changed.wait_timeout(known, LOOK).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    known.insert(Arc::clone(location), Known::Coming);
                    break known.len();
                }
            }
        };
        drop(known);
        let fetched = place(location, root, &number.to_string())
            .map_err(Fault::System)
            .and_then(|path| fetch(&path).map(|came| came.then_some(path)).map_err(Fault::Download));
        let local = fetched
            .as_ref()
            .map(|path| path.clone().map(|path| Local::new(path, From::Elsewhere, self.now())));
        let mut known = self.known();
        match local {
            Ok(Some(local)) => known.insert(Arc::clone(location), Known::Here(local)),
            Ok(None) => known.insert(Arc::clone(location), Known::Piecemeal),
            // Somebody else may have better luck.
            Err(_) => known.remove(location),
        };
        drop(known);
        self.changed.notify_all();
        cancel.check()?;
        fetched.map_err(|error| match error {
            Fault::Download(reason) => failed(location, reason),
            Fault::System(failure) => failure,
        })
    }

    /// What is at a location that lies in a directory which is here.
    fn inside(&self, location: &str) -> Option<PathBuf> {
        let mut parent = location.trim_end_matches('/');
        let (local, rest) = loop {
            parent = parent.rsplit_once('/')?.0;
            if parent.ends_with('/') {
                return None;
            }
            if let Some(Known::Here(local)) = self.known().get(parent) {
                break (local.clone(), &location[parent.len()..]);
            }
        };
        let path = rest
            .split('/')
            .filter(|name| !name.is_empty())
            .fold(local.path.clone(), |path, name| path.join(location::decode(name)));
        // A name that leads out of the directory names nothing in it.
        let is_inside = !rest.split('/').any(|name| location::decode(name).contains(['/', '\0']))
            && !rest.split('/').any(|name| matches!(&*location::decode(name), "." | ".."));
        (is_inside && path.exists()).then_some(path)
    }

    /// The local copies of the files and directories of a value that are here, each with its location.
    pub(crate) fn copies(&self, value: &Value) -> Vec<(PathBuf, Arc<str>)> {
        let mut copies = Vec::new();
        value.visit_files(&mut |item| {
            let location = match item {
                Value::File(file) => &file.location,
                Value::Directory(directory) => &directory.location,
                _ => return,
            };
            let Some(location) = location else { return };
            copies.extend(self.copy_of(location).map(|path| (path, Arc::clone(location))));
        });
        copies
    }

    /// What is at the first location, or at that path of this machine, is at the second one as well: nobody here has to
    /// fetch it from there.
    pub fn also(&self, location: &str, other: &str) {
        let path = path_of(location).ok().or_else(|| self.copy_of(location));
        if let Some(path) = path {
            self.known().insert(other.into(), Known::Here(Local::new(path, From::Others, self.now())));
        }
    }

    /// Takes over what was made here and is at a location elsewhere now, so that nobody here has to fetch it. Where there
    /// is no room, or where that cannot be relied on, it is removed.
    pub fn adopt(&self, location: &str, path: &Path, root: &Path) {
        if path.starts_with(root) {
            // It came from elsewhere itself, and goes on being what it was as well.
            self.known()
                .insert(location.into(), Known::Here(Local::new(path.to_owned(), From::Others, self.now())));
            return;
        }
        if !self.adopted(location, path, root).unwrap_or(false) {
            // It is in the way of nobody; the work directory goes at the end.
            _ = match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
                _ => fs::remove_file(path),
            };
        }
    }

    fn adopted(&self, location: &str, path: &Path, root: &Path) -> io::Result<bool> {
        let Some(seen) = Fingerprint::of(path)? else { return Ok(false) };
        let kept = self.kept.fetch_add(seen.bytes, Ordering::Relaxed) + seen.bytes;
        let moved = if kept > self.limit {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            let to = place(location, root, "made").map_err(|_| io::ErrorKind::Other)?;
            fs::rename(path, &to).map(|()| to)
        };
        match moved {
            Ok(to) => {
                // What a directory is called is part of its fingerprint.
                let local = Local::new(to, From::Here, self.now());
                self.known().insert(location.into(), Known::Here(local));
                Ok(true)
            }
            Err(_) => {
                self.kept.fetch_sub(seen.bytes, Ordering::Relaxed);
                Ok(false)
            }
        }
    }

    /// A value in which every File has a location of this machine.
    ///
    /// # Errors
    /// As [`get`](Self::get); a Directory of another machine.
    pub fn localise(
        &self,
        value: &Value,
        root: &Path,
        download: Option<&dyn Download>,
        cancel: &Cancel,
    ) -> Result<Value> {
        self.bring_directories(value, root, download, cancel)?;
        let is_away = |location: &str| is_away(location, download);
        value.try_map_files(&mut |item| match &item {
            Value::File(file) => match &file.location {
                Some(location) if is_away(location) => {
                    let path = self.get(location, root, download, cancel)?;
                    let location = location_of(&path).map(Arc::from);
                    let basename = file
                        .basename
                        .clone()
                        .or_else(|| Some(location::basename(location.as_deref()?).into()));
                    Ok(Value::File(Arc::new(File { location, basename, ..(**file).clone() })))
                }
                _ => Ok(item),
            },
            Value::Directory(directory) => match &directory.location {
                Some(location) if is_away(location) => {
                    if let Some(path) = self.here(location) {
                        let location = location_of(&path).map(Arc::from);
                        let basename = directory
                            .basename
                            .clone()
                            .or_else(|| Some(location::basename(location.as_deref()?).into()));
                        let local = Directory { location, basename, ..(**directory).clone() };
                        return Ok(Value::Directory(Arc::new(local)));
                    }
                    let listing = match &directory.listing {
                        // What is in it was brought already.
                        Some(listing) => Arc::clone(listing),
                        None => {
                            let listing = Value::list(self.listing(location, download, 0)?);
                            let local = self.localise(&listing, root, download, cancel)?;
                            Arc::new(local.as_list().unwrap_or_default().to_vec())
                        }
                    };
                    let basename = directory
                        .basename
                        .clone()
                        .or_else(|| Some(location::basename(location.trim_end_matches('/')).into()));
                    Ok(Value::Directory(Arc::new(Directory {
                        location: None,
                        basename,
                        listing: Some(listing),
                        ..(**directory).clone()
                    })))
                }
                _ => Ok(item),
            },
            _ => Ok(item),
        })
    }

    /// All that is in a directory of another machine.
    fn listing(&self, location: &str, download: Option<&dyn Download>, depth: usize) -> Result<Vec<Value>> {
        let failed = |reason: &str| {
            let message = format!("cannot fetch the input {location}: {reason}");
            Box::new(Failure::new(FailureKind::BadInput, message))
        };
        if depth > DEPTH_LIMIT {
            return Err(failed("its directories are nested too deeply"));
        }
        let entries = download
            .map_or(Ok(None), |download| download.list(location))
            .map_err(|reason| failed(&reason))?
            .ok_or_else(|| failed("directories of other machines cannot be listed"))?;
        entries
            .into_iter()
            .map(|entry| {
                let (location, basename) = (Some(Arc::from(entry.location)), Some(Arc::from(entry.name)));
                Ok(if entry.stat.is_directory {
                    let inner = self.listing(location.as_deref().unwrap_or_default(), download, depth + 1)?;
                    let listing = Some(Arc::new(inner));
                    Value::Directory(Arc::new(Directory {
                        location,
                        basename,
                        listing,
                        ..Directory::default()
                    }))
                } else {
                    let size = Some(entry.stat.size);
                    Value::File(Arc::new(File { location, basename, size, ..File::default() }))
                })
            })
            .collect()
    }

    /// Brings the directories of a value that can come as a whole; what is in them is here then.
    fn bring_directories(
        &self,
        value: &Value,
        root: &Path,
        download: Option<&dyn Download>,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut locations: Vec<Arc<str>> = Vec::new();
        value.visit_files(&mut |item| {
            if let Value::Directory(directory) = item {
                locations.extend(directory.location.clone().filter(|location| is_away(location, download)));
            }
        });
        // What lies in another comes after it.
        locations.sort();
        for location in &locations {
            self.get_directory(location, root, download, cancel)?;
        }
        Ok(())
    }

    /// A directory that is here as a whole.
    fn here(&self, location: &str) -> Option<PathBuf> {
        self.copy_of(location).filter(|path| path.is_dir())
    }

    /// The copy of what is at a location, if it is here or lies in a directory that is.
    fn copy_of(&self, location: &str) -> Option<PathBuf> {
        let path = match self.known().get(location) {
            Some(Known::Here(local)) => Some(local.path.clone()),
            _ => None,
        };
        path.or_else(|| self.inside(location))
    }

    /// The time of a use.
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a location has to be fetched.
fn is_away(location: &str, download: Option<&dyn Download>) -> bool {
    path_of(location).is_err() || download.is_some_and(|download| download.is_elsewhere(location))
}

enum Fault {
    Download(String),
    System(Box<Failure>),
}

fn failed(location: &str, reason: String) -> Box<Failure> {
    let message = format!("cannot fetch the input {location}");
    Box::new(Failure::new(FailureKind::BadInput, message).with_cause(reason))
}

/// A free path for what is at a location, under its own name. It is in a directory of its own: locations may end in the
/// same name.
fn place(location: &str, root: &Path, mark: &str) -> Result<PathBuf> {
    let directory = root.join(crate::attempt_dir::unique(mark));
    fs::create_dir_all(&directory)
        .map_err(|error| system::failure("make the directory", &directory, &error))?;
    let name = location::basename(location);
    let usable =
        !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".." && name.len() < 200;
    Ok(directory.join(if usable { &name } else { "file" }))
}

#[cfg(test)]
mod tests;
