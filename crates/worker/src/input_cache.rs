//! Inputs that workers of one owner on one machine fetch once, however many processes and runs want them.
//!
//! ```text
//! FOLDER/entries/KEY/data   a file, or a directory with all that is in it: read-only
//! FOLDER/entries/KEY/note   what it was when it came (`note`); its time is that of the last use
//! FOLDER/partial/KEY        what is on its way; the name of a whole entry is there only when all of it is
//! FOLDER/locks/KEY          held by who brings it; gone when it is there
//! ```
//!
//! A key is a hash of what is known to tell the content from any other ([`Identity`]); what nothing certain is known of is
//! not kept. Of many who want one content one fetches it, and the others wait (`lock`). An attempt gets hard links where
//! what it starts cannot write through them, else copies; so an entry that is removed harms nobody who has it, and what
//! has links beside its own is in use. Before an entry is used all of it is looked at, and one that is not what it was is
//! fetched anew. Making room (`room`) removes what was not used for the longest time.
//!
//! Nothing depends on it: where it cannot be used, inputs are fetched as without it.

mod folder;
mod lock;
mod note;
mod room;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moil_cwl::files::Entry;
use sha2::{Digest as _, Sha256};

use crate::cancel::Cancel;
use crate::downloads::{Download, Identity};
use lock::Lock;
use note::{Note, Placed};

/// How a cache is to be.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// A directory that is there; what is below it is made where it is missing.
    pub base: PathBuf,
    /// The names of the directories from there to the cache: they must be this user's alone.
    pub below: Vec<String>,
    /// The most bytes that it may keep; `None` for a quarter of the room that there is without it.
    pub limit: Option<u64>,
    /// Whether attempts get links to what is kept: nothing that they start can write to a file that is read-only.
    pub links: bool,
    /// How long another process may bring nothing of what it fetches until one fetches it oneself.
    pub patience: Duration,
}

/// Fetches what another [`Download`] fetches, through a cache.
pub struct Cached {
    download: Arc<dyn Download>,
    config: CacheConfig,
    folder: PathBuf,
    /// It could not be used, which was told.
    off: AtomicBool,
    warn: Box<dyn Fn(String) + Send + Sync>,
}

/// Why the cache does not help.
enum Fault {
    /// It cannot be used.
    Cache(String),
    /// It is not the place for this.
    Unfit,
    /// What is wanted cannot be had from anywhere.
    Fetch(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Cache(error.to_string())
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// Writes something to a free path; `false` if it is not to be had in this way.
type Fetch<'a> = dyn Fn(&Path) -> Result<bool> + 'a;

impl Cached {
    /// `warn` is told, once, why the cache is not used if it cannot be, and of each entry that was damaged.
    #[must_use]
    pub fn new(
        download: Arc<dyn Download>,
        config: CacheConfig,
        warn: Box<dyn Fn(String) + Send + Sync>,
    ) -> Self {
        let folder = config.below.iter().fold(config.base.clone(), |path, name| path.join(name));
        Self { download, config, folder, off: AtomicBool::new(false), warn }
    }

    /// Brings what has this identity to a path that is free.
    fn bring(
        &self,
        identity: &Identity,
        location: &str,
        to: &Path,
        cancel: &Cancel,
        fetch: &Fetch<'_>,
    ) -> Result<bool> {
        if identity.size.is_some_and(|size| self.config.limit.is_some_and(|limit| size > limit)) {
            return Err(Fault::Unfit);
        }
        let key = key(&identity.name);
        folder::open(&self.config.base, &self.config.below)?;
        if let Placed::Whole = self.take(&key, to)? {
            return Ok(true);
        }
        let work = self.folder.join("partial").join(&key);
        let mut alone = Lock::take(&self.lock_path(&key), &work, self.config.patience, cancel)?;
        match self.take(&key, to)? {
            Placed::Whole => return Ok(true),
            Placed::Missing => {}
            Placed::Damaged => {
                let folder = self.folder.display();
                (self.warn)(format!("the copy of {location} in {folder} was damaged: it is fetched anew"));
                room::remove(&self.folder, &key)?;
            }
        }
        let fetched = self.add(identity, &key, &work, to, cancel, fetch);
        if !matches!(fetched, Ok(true)) || !self.folder.join("entries").join(&key).exists() {
            alone.mark();
        }
        // What another needs on the way to it is nobody's.
        room::clear(&work)?;
        fetched
    }

    /// Fetches it, keeps it, and brings it to the path; the caller has its lock.
    fn add(
        &self,
        identity: &Identity,
        key: &str,
        work: &Path,
        to: &Path,
        cancel: &Cancel,
        fetch: &Fetch<'_>,
    ) -> Result<bool> {
        let mut again = true;
        let (data, note) = loop {
            room::clear(work)?;
            folder::make(work)?;
            let data = work.join("data");
            if !fetch(&data)? {
                return Ok(false);
            }
            let note = Note::of(&data)?;
            match note.as_ref().and_then(|note| differs(note, identity)) {
                None => break (data, note),
                Some(_) if again => again = false,
                Some(how) => return Err(Fault::Fetch(format!("what came is damaged: {how}"))),
            }
        };
        let _room = Lock::take(&self.lock_path(room::LOCK), work, self.config.patience, cancel)?;
        let fits = |note: &Note| room::make(&self.folder, note.bytes(), self.config.limit);
        match note {
            Some(note) if fits(&note)? => {
                note.protect(&data)?;
                note.write(&work.join("note"))?;
                fs::rename(work, self.folder.join("entries").join(key))?;
                match self.take(key, to)? {
                    Placed::Whole => Ok(true),
                    // Somebody needed the room, or does not leave it alone.
                    Placed::Missing | Placed::Damaged => Err(Fault::Unfit),
                }
            }
            _ => fs::rename(&data, to).map(|()| true).map_err(|_| Fault::Unfit),
        }
    }

    /// Brings what is kept to a path that is free, if it is there and whole.
    fn take(&self, key: &str, to: &Path) -> Result<Placed> {
        let entry = self.folder.join("entries").join(key);
        let placed = note::place(&entry, to, self.config.links);
        if !matches!(placed, Ok(Placed::Whole)) {
            room::clear(to)?;
        }
        Ok(placed?)
    }

    fn lock_path(&self, key: &str) -> PathBuf {
        self.folder.join("locks").join(key)
    }

    /// What came of it; `None` where it is to be fetched without the cache.
    fn through(
        &self,
        location: &str,
        as_directory: bool,
        to: &Path,
        cancel: &Cancel,
        fetch: impl Fn(&Identity, &Path) -> std::result::Result<bool, String>,
    ) -> Option<std::result::Result<bool, String>> {
        if self.off.load(Ordering::Relaxed) {
            return None;
        }
        let identity = self.download.identify(location, as_directory)?;
        let fetch = |path: &Path| {
            fetch(&identity, path).map_err(|reason| {
                // Elsewhere there may be room.
                let is_full = crate::machine::is_full(&self.folder);
                if is_full && !cancel.is_cancelled() { Fault::Cache(reason) } else { Fault::Fetch(reason) }
            })
        };
        match self.bring(&identity, location, to, cancel, &fetch) {
            Ok(came) => Some(Ok(came)),
            Err(Fault::Fetch(reason)) => Some(Err(reason)),
            Err(Fault::Unfit) => None,
            Err(Fault::Cache(reason)) => {
                if !self.off.swap(true, Ordering::Relaxed) {
                    let folder = self.folder.display();
                    (self.warn)(format!("inputs are not shared in {folder}, which cannot be used: {reason}"));
                }
                None
            }
        }
    }
}

impl Download for Cached {
    fn download(&self, location: &str, to: &Path, cancel: &Cancel) -> std::result::Result<(), String> {
        let fetch = |identity: &Identity, path: &Path| {
            self.download.download_version(location, identity, path, cancel)
        };
        match self.through(location, false, to, cancel, fetch) {
            // Another version was there than that which was looked at.
            None | Some(Ok(false)) => self.download.download(location, to, cancel),
            Some(came) => came.map(drop),
        }
    }

    fn download_directory(
        &self,
        location: &str,
        to: &Path,
        cancel: &Cancel,
    ) -> std::result::Result<bool, String> {
        let fetch = |_: &Identity, path: &Path| self.download.download_directory(location, path, cancel);
        let came = self.through(location, true, to, cancel, fetch);
        came.unwrap_or_else(|| self.download.download_directory(location, to, cancel))
    }

    fn is_elsewhere(&self, location: &str) -> bool {
        self.download.is_elsewhere(location)
    }

    fn list(&self, location: &str) -> std::result::Result<Option<Vec<Entry>>, String> {
        self.download.list(location)
    }

    fn identify(&self, location: &str, as_directory: bool) -> Option<Identity> {
        self.download.identify(location, as_directory)
    }
}

/// Whether what this process starts may write to files that are read-only: it has the right to, which containers take
/// away, and tools without one keep.
#[must_use]
pub fn may_write_anything() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let rights = rights.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // CAP_DAC_OVERRIDE; where nothing is known, the worst.
    rights.is_none_or(|rights| rights & 0b10 != 0)
}

fn key(name: &str) -> String {
    hex(&Sha256::digest(name.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How what came differs from what is known of it.
fn differs(note: &Note, identity: &Identity) -> Option<String> {
    if let Some(size) = identity.size.filter(|size| *size != note.bytes()) {
        return Some(format!("it has {} of {size} bytes", note.bytes()));
    }
    let (came, known) = (note.digest()?, identity.sha256.as_deref()?);
    (came != known).then(|| format!("its SHA-256 is {came}, and not {known}"))
}

#[cfg(test)]
mod tests;
