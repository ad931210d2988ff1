//! The job store `file:PATH`: records and contents below one directory.
//!
//! ```text
//! PATH/run-RANDOM/moil.json      what the store is
//!                /journal/…      the ledger
//!                /results/…
//!                /work/…, /files/…   what attempts left
//!                /.reserve       room for the record that it is removed
//! PATH/deleted-RANDOM/           what is being removed
//! ```
//!
//! All that changes as a whole is changed by one `rename`: a new store gets its name when it has its directories, and
//! one that is removed loses its name first. So whoever still works with it fails from then on, even if another store
//! takes its place; and what is half made or half removed can be told from what is whole.

mod durability;

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::value::Value;
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

use crate::ledger::{self, Info, Ledger, OpenError, Replay};
use crate::names;
use crate::nonce::nonce;
use crate::records::Records;
use crate::records::file::{Durability, FileRecords};
use crate::who::Who;

/// Why a directory is not the store that is wanted. The words say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileStoreError {
    /// The ledger's reason.
    #[error("{}", open_words(path, reason))]
    Open {
        /// The store.
        path: PathBuf,
        /// Why.
        reason: OpenError,
    },
    /// It is a store of Toil.
    #[error(
        "the job store {path} was made by Toil and cannot be resumed here: finish it with Toil, or choose another place",
        path = path.display()
    )]
    MadeByToil {
        /// The directory.
        path: PathBuf,
    },
    /// It is a directory with something else in it.
    #[error(
        "{path} is no job store, and not empty: it has {found}; choose another place",
        path = path.display()
    )]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// Something that is there.
        found: String,
    },
    /// The system refused.
    #[error("cannot {operation} {path}: {reason}", path = path.display())]
    System {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
}

fn open_words(path: &Path, reason: &OpenError) -> String {
    let store = format!("the job store file:{}", path.display());
    match reason {
        OpenError::Exists => format!(
            "{store} already exists: continue that run with --restart, or remove it with `moil clean` to start afresh"
        ),
        OpenError::Missing => format!("{store} does not exist, so there is nothing to restart"),
        OpenError::Cleaning => format!("{store} is being removed: `moil clean` finishes that"),
        other => format!("{store}: {other}"),
    }
}

/// Where the attempts of a run are carried out: decides what of the store must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// On this machine. They end when it is switched off, and so do their output files that are not on the disk yet:
    /// there is no use in writing the journal more safely than these.
    Here,
    /// Elsewhere: they work on when this machine is switched off.
    Elsewhere,
}

/// A run in a directory that this process leads.
pub struct FileStore {
    path: PathBuf,
    run: PathBuf,
    ledger: Ledger,
}

impl FileStore {
    /// Makes a store where there is nothing, or an empty directory, or what is left of a store that was being removed.
    ///
    /// # Errors
    /// There is something else.
    pub fn create(path: &Path, workers: Workers, who: &Who) -> Result<Self, FileStoreError> {
        let run = loop {
            match find(path)? {
                Found::Run(run) => {
                    let records = FileRecords::open(&run, Durability::Process);
                    match Ledger::read(&records, who) {
                        // Its maker died before it was one, or is about to finish: one of them will be refused.
                        Err(OpenError::Missing) => break run,
                        Err(OpenError::Cleaning) => remove(path, &run)?,
                        Ok((_, replay)) if replay.is_cleaning() => remove(path, &run)?,
                        Ok(_) | Err(_) => return Err(open_error(path, OpenError::Exists)),
                    }
                }
                Found::Nothing { leftovers } => {
                    leftovers.iter().try_for_each(|left| remove_tree(left))?;
                    if let Some(run) = make(path)? {
                        break run;
                    }
                }
            }
        };
        let records = Arc::new(FileRecords::open(&run, durability::wanted(path, workers)));
        let ledger =
            Ledger::create(records, Info::new(who), who).map_err(|reason| open_error(path, reason))?;
        // What says that there is a store is worth the time.
        let _ = fs::File::open(run.join(names::INFO)).and_then(|file| file.sync_all());
        let _ = fs::File::open(&run).and_then(|directory| directory.sync_all());
        Ok(Self { path: path.to_owned(), run, ledger })
    }

    /// Takes over the run that is there, and says what its journal says. Its leader until now is fenced.
    ///
    /// # Errors
    /// There is none, it is not moil's, or not to be led any more.
    pub fn restart(path: &Path, workers: Workers, who: &Who) -> Result<(Self, Replay), FileStoreError> {
        let run = run_directory(path)?;
        let records = Arc::new(FileRecords::open(&run, durability::wanted(path, workers)));
        let (ledger, replay) = Ledger::take_over(records, who).map_err(|reason| open_error(path, reason))?;
        Ok((Self { path: path.to_owned(), run, ledger }, replay))
    }

    /// The records of the run that is there, for those who look, work or ask for its end, but do not lead.
    ///
    /// # Errors
    /// There is none, or it is not moil's.
    pub fn records(path: &Path, workers: Workers) -> Result<Arc<dyn Records>, FileStoreError> {
        let run = run_directory(path)?;
        Ok(Arc::new(FileRecords::open(&run, durability::wanted(path, workers))))
    }

    /// The run that is there, for a worker: its records, and its directory.
    ///
    /// # Errors
    /// There is none, or it is not moil's.
    pub fn for_worker(path: &Path) -> Result<(Arc<dyn Records>, PathBuf), FileStoreError> {
        let run = run_directory(path)?;
        let records = FileRecords::open(&run, durability::wanted(path, Workers::Elsewhere));
        Ok((Arc::new(records), run))
    }

    /// Removes the store that is there, whoever led it, even if it is damaged or half removed.
    ///
    /// # Errors
    /// There is none, it is not moil's, or it cannot be removed.
    pub fn clean(path: &Path, who: &Who) -> Result<(), FileStoreError> {
        match find(path)? {
            Found::Run(run) => {
                let records = FileRecords::open(&run, Durability::Process);
                let mut retired = ledger::retire(&records, who);
                // On a full disk, that makes room for a record.
                if matches!(retired, Err(OpenError::Records(_))) && fs::remove_file(run.join(RESERVE)).is_ok()
                {
                    retired = ledger::retire(&records, who);
                }
                match retired {
                    Ok(()) | Err(OpenError::Missing) => remove(path, &run),
                    Err(reason) => Err(open_error(path, reason)),
                }
            }
            Found::Nothing { leftovers } if leftovers.is_empty() => Err(open_error(path, OpenError::Missing)),
            Found::Nothing { .. } => remove_empty(path),
        }
    }

    /// The output object of a run that was a success, of whose store only a part is left, since its removal was
    /// interrupted.
    ///
    /// # Errors
    /// It is not moil's, or cannot be read.
    pub fn outputs_of_removed(path: &Path) -> Result<Option<Value>, FileStoreError> {
        let left = match find(path)? {
            Found::Run(run) => vec![run],
            Found::Nothing { leftovers } => leftovers,
        };
        for directory in left {
            let records = FileRecords::open(&directory, Durability::Process);
            let removal =
                ledger::removal(&records).map_err(|reason| open_error(path, OpenError::Records(reason)))?;
            if let Some(outputs) = removal.and_then(|removal| removal.outputs) {
                return Ok(Some(outputs));
            }
        }
        Ok(None)
    }

    /// Removes this store, if no other leader has taken it over. After a success the output object is kept until all
    /// else is removed.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: nothing is removed. [`StoreError::Failed`]: `moil clean` goes on from there.
    pub fn remove(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        self.ledger.retire(outputs)?;
        remove(&self.path, &self.run).map_err(|error| StoreError::Failed {
            operation: "removing the job store".to_owned(),
            reason: error.to_string(),
        })
    }

    /// The run's journal, and who leads it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The directory of the run, which nobody else will ever have: absolute, if the path was.
    pub fn directory(&self) -> &Path {
        &self.run
    }
}

impl Store for FileStore {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, group: &[Record]) -> Result<(), StoreError> {
        self.ledger.append(group)
    }
}

/// What a directory's name begins with, if it holds a run.
const RUN: &str = "run-";

/// What a directory's name begins with, if it held a run.
const DELETED: &str = "deleted-";

/// What a directory's name begins with, if it will be a run.
const NEW: &str = ".new-";

/// What file systems have in directories that are empty to people.
const IGNORED: &[&str] = &["lost+found", ".snapshot"];

/// A file of a run that is good for nothing but the room that it takes: so a store that has filled its disk can be removed.
const RESERVE: &str = ".reserve";

/// Its size in bytes: a record and a directory for it.
const RESERVED: usize = 16 << 10;

/// What is at a path.
enum Found {
    /// A run, perhaps not complete.
    Run(PathBuf),
    /// Nothing, an empty directory, or what is left of a run that was removed.
    Nothing { leftovers: Vec<PathBuf> },
}

fn find(path: &Path) -> Result<Found, FileStoreError> {
    let mut runs = Vec::new();
    let mut leftovers = Vec::new();
    let mut others = Vec::new();
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing { leftovers }),
        entries => entries.map_err(|error| system("read", path, &error))?,
    };
    for entry in entries {
        let name = entry.map_err(|error| system("read", path, &error))?.file_name();
        let full = path.join(&name);
        match name.to_string_lossy() {
            name if name.starts_with(RUN) && FileRecords::is_at(&full) => runs.push(full),
            // The others are what stragglers of a removed run made again.
            name if name.starts_with(DELETED) || name.starts_with(RUN) => leftovers.push(full),
            // NFS keeps the name of a file that somebody has open until that one has closed it.
            name if name.starts_with(".nfs") || name.starts_with(NEW) || IGNORED.contains(&&*name) => {}
            name => others.push(name.into_owned()),
        }
    }
    let is = |name: &str| others.iter().any(|other| other == name);
    if is("shared") && is("jobs") {
        return Err(FileStoreError::MadeByToil { path: path.to_owned() });
    }
    others.extend(runs.iter().skip(1).map(|run| run.display().to_string()));
    match (others.pop(), runs.pop()) {
        (Some(found), _) => Err(FileStoreError::NotAStore { path: path.to_owned(), found }),
        (None, Some(run)) => Ok(Found::Run(run)),
        (None, None) => Ok(Found::Nothing { leftovers }),
    }
}

fn run_directory(path: &Path) -> Result<PathBuf, FileStoreError> {
    match find(path)? {
        Found::Run(run) => Ok(run),
        Found::Nothing { leftovers } if leftovers.is_empty() => Err(open_error(path, OpenError::Missing)),
        Found::Nothing { .. } => Err(open_error(path, OpenError::Cleaning)),
    }
}

/// Makes the directory of a run, whole, at a path that has nothing. `None`: somebody else was faster, or as fast.
fn make(path: &Path) -> Result<Option<PathBuf>, FileStoreError> {
    let mark = nonce();
    let name = format!("{RUN}{mark}");
    let run = path.join(&name);
    if path.is_dir() {
        // It may be a mount point, or in a directory that we may not write to, and so cannot be replaced. Who can lock
        // it waits for others; who cannot may fail together with them, but never goes on together with them.
        let directory = fs::File::open(path).map_err(|error| system("read", path, &error))?;
        let _lock = directory.lock();
        if !matches!(find(path)?, Found::Nothing { .. }) {
            return Ok(None);
        }
        let new = path.join(format!("{NEW}{mark}"));
        furnish(&new)?;
        fs::rename(&new, &run).map_err(|error| system("make", &run, &error))?;
        return match find(path) {
            Ok(Found::Run(found)) if found == run => Ok(Some(run)),
            _ => {
                remove(path, &run)?;
                Ok(None)
            }
        };
    }
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|error| system("make", parent, &error))?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let new = parent.join(format!(".{file_name}{NEW}{mark}"));
    fs::create_dir(&new).map_err(|error| system("make", &new, &error))?;
    let furnished = furnish(&new.join(&name));
    let renamed = furnished.map(|()| fs::rename(&new, path));
    // The answer may have been lost.
    if matches!(renamed, Ok(Ok(()))) || run.is_dir() {
        return Ok(Some(run));
    }
    let _ = fs::remove_dir_all(&new);
    match renamed? {
        Err(error) if !matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
            Err(system("make", path, &error))
        }
        _ => Ok(None),
    }
}

/// Makes a directory with all that a run's has from the beginning.
fn furnish(run: &Path) -> Result<(), FileStoreError> {
    fs::create_dir(run).map_err(|error| system("make", run, &error))?;
    FileRecords::create(run, Durability::Process).map_err(|error| open_error(run, error.into()))?;
    let reserve = run.join(RESERVE);
    fs::write(&reserve, [b'.'; RESERVED]).map_err(|error| system("make", &reserve, &error))
}

/// Removes a run whose removal is recorded. Its name goes first.
fn remove(path: &Path, run: &Path) -> Result<(), FileStoreError> {
    let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let deleted = path.join(format!("{DELETED}{}", name.strip_prefix(RUN).unwrap_or(&name)));
    match fs::rename(run, &deleted) {
        // Somebody else does the same, or has done it.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(system("remove", run, &error)),
        _ => {}
    }
    remove_run(&deleted)?;
    remove_empty(path)
}

/// Removes what was the directory of a run. The journal's last group goes last: it says how the run ended.
fn remove_run(directory: &Path) -> Result<(), FileStoreError> {
    let journal = directory.join(names::JOURNAL);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path() != journal {
            remove_any(&entry.path())?;
        }
    }
    let mut groups: Vec<PathBuf> =
        fs::read_dir(&journal).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    groups.sort();
    groups.iter().try_for_each(|group| remove_any(group))?;
    remove_tree(directory)
}

fn remove_any(path: &Path) -> Result<(), FileStoreError> {
    if path.is_dir() && !path.is_symlink() {
        return remove_tree(path);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(system("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Removes a store's directory with what is left of others, unless something else has taken its place.
fn remove_empty(path: &Path) -> Result<(), FileStoreError> {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(DELETED) {
            remove_run(&entry.path())?;
        } else if name.starts_with(NEW) || (name.starts_with(RUN) && !FileRecords::is_at(&entry.path())) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
            ) =>
        {
            Err(system("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// Removes a directory and all in it, also what its owner may not change. Several may do so at the same time.
fn remove_tree(directory: &Path) -> Result<(), FileStoreError> {
    let mut removed = fs::remove_dir_all(directory);
    if matches!(&removed, Err(error) if error.kind() == ErrorKind::PermissionDenied) {
        open_up(directory);
        removed = fs::remove_dir_all(directory);
    }
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(system("remove", directory, &error)),
        _ => Ok(()),
    }
}

/// Lets the owner into directories that a tool has closed.
fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn open_error(path: &Path, reason: OpenError) -> FileStoreError {
    FileStoreError::Open { path: path.to_owned(), reason }
}

fn system(operation: &'static str, path: &Path, error: &io::Error) -> FileStoreError {
    FileStoreError::System { operation, path: path.to_owned(), reason: error.to_string() }
}
