//! Inputs of other machines, fetched once per run however many jobs read them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moil_cwl::files::Entry;
use moil_cwl::location;
use moil_cwl::value::{Directory, File, Value};
use moil_job::failure::{Failure, FailureKind};

use crate::cancel::Cancel;
use crate::files::{location_of, path_of};
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

    /// The entries of a directory of another machine; `None` where such cannot be listed.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    fn list(&self, _location: &str) -> std::result::Result<Option<Vec<Entry>>, String> {
        Ok(None)
    }
}

/// What was fetched in this run.
#[derive(Default)]
pub struct Downloads {
    /// By location; `None` while somebody is fetching it.
    known: Mutex<HashMap<Arc<str>, Option<PathBuf>>>,
    changed: Condvar,
}

impl Downloads {
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
        let failed = |reason: String| {
            Box::new(
                Failure::new(FailureKind::BadInput, format!("cannot fetch the input {location}"))
                    .with_cause(reason),
            )
        };
        let download =
            download.ok_or_else(|| failed("nothing is set up to fetch files from there".to_owned()))?;
        let mut known = self.known();
        let number = loop {
            cancel.check()?;
            match known.get(location) {
                Some(Some(path)) => return Ok(path.clone()),
                Some(None) => {
                    known = self.changed.wait_timeout(known, LOOK).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    known.insert(Arc::clone(location), None);
                    break known.len();
                }
            }
        };
        drop(known);
        // A place of its own: locations may end in the same name.
        let fetched =
            fetch(location, &root.join(crate::attempt_dir::unique(&number.to_string())), download, cancel);
        let mut known = self.known();
        match &fetched {
            Ok(path) => known.insert(Arc::clone(location), Some(path.clone())),
            // Somebody else may have better luck.
            Err(_) => known.remove(location),
        };
        drop(known);
        self.changed.notify_all();
        cancel.check()?;
        fetched.map_err(|error| match error {
            Fault::Download(reason) => failed(reason),
            Fault::System(failure) => failure,
        })
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
        value.try_map_files(&mut |item| match &item {
            Value::File(file) => match &file.location {
                Some(location) if path_of(location).is_err() => {
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
                Some(location) if path_of(location).is_err() => {
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

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, Option<PathBuf>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Fault {
    Download(String),
    System(Box<Failure>),
}

fn fetch(
    location: &str,
    directory: &Path,
    download: &dyn Download,
    cancel: &Cancel,
) -> std::result::Result<PathBuf, Fault> {
    fs::create_dir_all(directory)
        .map_err(|error| Fault::System(system::failure("make the directory", directory, &error)))?;
    let name = location::basename(location);
    let usable =
        !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".." && name.len() < 200;
    let path = directory.join(if usable { &name } else { "file" });
    download.download(location, &path, cancel).map_err(Fault::Download)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Counts what it fetches; fails for names that end in `gone`, once for those that end in `flaky`.
    #[derive(Default)]
    struct Web(AtomicU32);

    impl Download for Web {
        fn download(&self, location: &str, to: &Path, _cancel: &Cancel) -> std::result::Result<(), String> {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            if location.ends_with("gone") || location.ends_with("flaky") && count == 0 {
                return Err("404 Not Found".to_owned());
            }
            fs::write(to, location).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn each_location_is_fetched_once_however_many_want_it() {
        let dir = tempfile::tempdir().unwrap();
        let (web, downloads) = (Web::default(), Downloads::default());
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (web, downloads, root) = (&web, &downloads, dir.path());
                scope.spawn(move || {
                    let location: Arc<str> = format!("https://host{}/a%20b", thread % 2).into();
                    let path = downloads.get(&location, root, Some(web), &Cancel::new()).unwrap();
                    assert!(path.ends_with("a b"));
                    assert_eq!(fs::read_to_string(path).unwrap(), *location);
                });
            }
        });
        assert_eq!(web.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_failed_is_tried_again_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (web, downloads) = (Web::default(), Downloads::default());
        let get = |location: &str| downloads.get(&location.into(), dir.path(), Some(&web), &Cancel::new());
        let failure = get("https://host/flaky").unwrap_err();
        assert_eq!((failure.kind, failure.cause.as_deref()), (FailureKind::BadInput, Some("404 Not Found")));
        assert!(get("https://host/flaky").is_ok());
        assert!(get("https://host/gone").is_err());
        assert!(downloads.get(&"https://host/x".into(), dir.path(), None, &Cancel::new()).is_err());
    }

    #[test]
    fn files_become_local_and_directories_of_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (web, downloads) = (Web::default(), Downloads::default());
        let remote = Value::File(Arc::new(File {
            location: Some("https://host/reads.fq".into()),
            secondary_files: Arc::new(vec![Value::File(Arc::new(File {
                location: Some("s3://bucket/reads.idx".into()),
                ..File::default()
            }))]),
            ..File::default()
        }));
        let local = downloads.localise(&remote, dir.path(), Some(&web), &Cancel::new()).unwrap();
        let mut names = Vec::new();
        local.visit_files(&mut |item| match item {
            Value::File(file) => {
                assert!(path_of(file.location.as_deref().unwrap()).unwrap().is_file());
                names.push(file.basename.clone().unwrap().to_string());
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(names, ["reads.idx", "reads.fq"]);
        let directory = Value::Directory(Arc::new(moil_cwl::value::Directory {
            location: Some("https://host/d".into()),
            ..Default::default()
        }));
        assert!(downloads.localise(&directory, dir.path(), Some(&web), &Cancel::new()).is_err());
    }
}
