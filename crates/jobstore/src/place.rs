//! The place of a job store, and the store that is there, whatever kind it is of.

pub mod trial;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::value::Value;
use moil_job::contents::Contents;
use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

#[cfg(feature = "aws")]
use crate::bucket_store::{BucketPlace, BucketStore, BucketStoreError};
use crate::content::file::FileContents;
use crate::content::imports::{Imports, Seen};
use crate::exchange::StoreExchange;
use crate::file_store::{FileStore, FileStoreError, Workers};
use crate::ledger::{Ledger, OpenError, Replay};
use crate::names::Term;
use crate::records::Records;
use crate::records::file::FileRecords;
use crate::remote::elsewhere::Elsewhere;
use crate::who::Who;

/// Where a store is or will be.
pub enum Place {
    /// A directory.
    File {
        /// Its path, absolute.
        path: PathBuf,
        /// Where attempts are carried out.
        workers: Workers,
    },
    /// A bucket, or a part of one.
    #[cfg(feature = "aws")]
    Bucket(BucketPlace),
}

/// Why there is not the store that is wanted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlaceError {
    /// In a directory.
    #[error(transparent)]
    File(#[from] FileStoreError),
    /// In a bucket.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    Bucket(#[from] BucketStoreError),
}

impl PlaceError {
    /// The ledger's reason, if it is one of these.
    pub fn reason(&self) -> Option<&OpenError> {
        match self {
            Self::File(FileStoreError::Open { reason, .. }) => Some(reason),
            #[cfg(feature = "aws")]
            Self::Bucket(BucketStoreError::Open { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    /// Whether a system or a server refused, rather than that something else was asked for than is there.
    pub fn is_system(&self) -> bool {
        match self {
            Self::File(error) => matches!(error, FileStoreError::System { .. }),
            #[cfg(feature = "aws")]
            Self::Bucket(error) => matches!(error, BucketStoreError::Server { .. }),
        }
    }
}

/// What a worker needs of a store.
pub struct ForWorker {
    /// The run's records.
    pub records: Arc<dyn Records>,
    /// Keeps what its attempts leave.
    pub contents: Arc<dyn Contents>,
    /// The store's directory, if it is in one.
    pub directory: Option<PathBuf>,
    /// What the locations of all that attempts of the run made begin with, if it is in a bucket.
    pub files_in_bucket: Option<String>,
}

impl Place {
    /// The records of the run that is there, for those who look, work or ask for its end, but do not lead.
    ///
    /// # Errors
    /// There is none, or it cannot be reached.
    pub fn records(&self) -> Result<Arc<dyn Records>, PlaceError> {
        Ok(match self {
            Self::File { path, workers } => FileStore::records(path, *workers)?,
            #[cfg(feature = "aws")]
            Self::Bucket(place) => place.records()?,
        })
    }

    /// What a worker needs of the run that is there; files of attempts of a term are kept. `run`, as
    /// [`Kept::run_in_bucket`] told, saves looking for it.
    ///
    /// # Errors
    /// As [`Place::records`].
    pub fn for_worker(&self, run: Option<&str>, term: &Term) -> Result<ForWorker, PlaceError> {
        #[cfg(not(feature = "aws"))]
        let _ = (run, term);
        match self {
            Self::File { path, .. } => {
                let (records, directory) = FileStore::for_worker(path)?;
                let contents = Arc::new(FileContents::new(&directory));
                Ok(ForWorker { records, contents, directory: Some(directory), files_in_bucket: None })
            }
            #[cfg(feature = "aws")]
            Self::Bucket(place) => {
                let (records, contents) = place.for_worker(run, term)?;
                let files_in_bucket = Some(contents.files());
                Ok(ForWorker { records, contents: Arc::new(contents), directory: None, files_in_bucket })
            }
        }
    }

    /// Makes a store where there is none; [`Kept::establish`] follows.
    ///
    /// # Errors
    /// There is one, or it cannot be made.
    pub fn create(&self, who: &Who) -> Result<Kept, PlaceError> {
        Ok(match self {
            Self::File { path, workers } => Kept::File(FileStore::create(path, *workers, who)?),
            #[cfg(feature = "aws")]
            Self::Bucket(place) => Kept::Bucket(BucketStore::create(place.clone(), who)?),
        })
    }

    /// Takes over the run that is there, and says what its journal says.
    ///
    /// # Errors
    /// There is none, or it is not to be led any more.
    pub fn restart(&self, who: &Who) -> Result<(Kept, Replay), PlaceError> {
        Ok(match self {
            Self::File { path, workers } => {
                let (store, replay) = FileStore::restart(path, *workers, who)?;
                (Kept::File(store), replay)
            }
            #[cfg(feature = "aws")]
            Self::Bucket(place) => {
                let (store, replay) = BucketStore::restart(place.clone(), who)?;
                (Kept::Bucket(store), replay)
            }
        })
    }

    /// The output object of a run that was a success, and whose removal was interrupted.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn outputs_of_removed(&self) -> Result<Option<Value>, PlaceError> {
        Ok(match self {
            Self::File { path, .. } => FileStore::outputs_of_removed(path)?,
            #[cfg(feature = "aws")]
            Self::Bucket(place) => BucketStore::outputs_of_removed(place)?,
        })
    }

    /// Removes the run that is there, whoever led it.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn clean(&self, who: &Who) -> Result<(), PlaceError> {
        match self {
            Self::File { path, .. } => FileStore::clean(path, who)?,
            #[cfg(feature = "aws")]
            Self::Bucket(place) => place.clean(who)?,
        }
        Ok(())
    }
}

/// A store whose run this process leads.
pub enum Kept {
    /// In a directory.
    File(FileStore),
    /// In a bucket.
    #[cfg(feature = "aws")]
    Bucket(BucketStore),
}

impl Kept {
    /// The run's journal, and who leads it.
    pub fn ledger(&self) -> &Ledger {
        match self {
            Self::File(store) => store.ledger(),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => store.ledger(),
        }
    }

    /// Stores what was to be stored of a new run until now; in a bucket at once, and only then the run is there. `alone`:
    /// no other process will work for it.
    ///
    /// # Errors
    /// There is one by now, or it cannot be stored.
    pub fn establish(&self, alone: bool) -> Result<(), PlaceError> {
        #[cfg(not(feature = "aws"))]
        let _ = alone;
        match self {
            Self::File(_) => Ok(()),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => Ok(store.establish(alone)?),
        }
    }

    /// Whether nothing is stored of the run before [`Kept::establish`].
    pub fn is_coming(&self) -> bool {
        match self {
            Self::File(_) => false,
            #[cfg(feature = "aws")]
            Self::Bucket(store) => store.is_coming(),
        }
    }

    /// What is recorded with the end of a run that is to be removed. In a directory that is recorded by itself.
    pub fn retirement(&self, outputs: Option<Value>) -> Option<Record> {
        #[cfg(not(feature = "aws"))]
        let _ = outputs;
        match self {
            Self::File(_) => None,
            #[cfg(feature = "aws")]
            Self::Bucket(store) => Some(store.ledger().retirement(outputs)),
        }
    }

    /// Whether this run is the one that is there: where nothing can be renamed, another may have taken its place.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if it is not, or if that cannot be found out.
    pub fn check_current(&self) -> Result<(), StoreError> {
        match self {
            Self::File(_) => Ok(()),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => store.check_current(),
        }
    }

    /// Whether it is known that somebody has removed this run.
    pub fn is_removed(&self) -> bool {
        match self {
            Self::File(store) => FileRecords::is_gone_from(store.directory()),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => store.is_removed().unwrap_or(false),
        }
    }

    /// Removes this store, if no other leader has taken it over.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: nothing is removed. [`StoreError::Failed`]: `moil clean` goes on from there.
    pub fn remove(&self, outputs: Option<Value>) -> Result<(), StoreError> {
        match self {
            Self::File(store) => store.remove(outputs),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => store.remove(outputs),
        }
    }

    /// The directory below which all is that attempts of this run made, if it is kept in one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::File(store) => Some(store.directory()),
            #[cfg(feature = "aws")]
            Self::Bucket(_) => None,
        }
    }

    /// What the locations of all that attempts of this run made begin with, if it is kept in a bucket.
    pub fn files_in_bucket(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            #[cfg(feature = "aws")]
            Self::Bucket(store) => Some(store.files()),
        }
    }

    /// The number of this run, if its records are objects of a bucket.
    pub fn run_in_bucket(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            #[cfg(feature = "aws")]
            Self::Bucket(store) => store.records_are_objects().then(|| store.ledger().info().run.as_str()),
        }
    }

    /// Keeps what attempts of this leader make.
    pub fn contents(&self) -> Arc<dyn Contents> {
        match self {
            Self::File(store) => Arc::new(FileContents::new(store.directory())),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => Arc::new(store.contents()),
        }
    }

    /// Where workers in other processes get their attempts and leave results. They have nothing but the bucket of a store
    /// in S3. Of a store in a directory they see that, and what else is `seen` of this machine (`None`: all).
    /// What is in `elsewhere` was brought by earlier leaders.
    pub fn exchange(&self, seen: Option<Box<Seen>>, elsewhere: &Arc<Elsewhere>) -> StoreExchange {
        let told = Arc::default();
        let (known, telling) = (Arc::clone(elsewhere), Arc::clone(&told));
        let bring = match self {
            Self::File(store) => seen.map(|seen| {
                let directory = store.directory().to_owned();
                let contents = FileContents::new(&directory);
                let seen = Box::new(move |path: &Path| path.starts_with(&directory) || seen(path));
                Imports::new(contents, seen, known, telling).bringing()
            }),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => {
                Some(Imports::new(store.contents(), Box::new(|_| false), known, telling).bringing())
            }
        };
        let ledger = self.ledger();
        let exchange =
            StoreExchange::new(Arc::clone(ledger.records()), ledger.term().clone(), bring).telling(told);
        if self.run_in_bucket().is_some() { exchange.in_one() } else { exchange }
    }
}

impl Store for Kept {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, group: &[Record]) -> Result<(), StoreError> {
        self.ledger().append(group)
    }
}
