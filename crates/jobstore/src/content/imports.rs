//! Inputs of this machine are brought to where the contents of a run are, so that workers elsewhere can have them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::location;
use moil_cwl::value::{Directory, File, Value};
use moil_job::contents::ContentsError;
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Imported;

use crate::exchange::Bring;
use crate::origins;
use crate::remote::elsewhere::Elsewhere;

/// Where inputs are brought to.
pub trait Import: Send + Sync {
    /// Brings an input file there. Gives its location.
    ///
    /// # Errors
    /// It cannot be read or stored.
    fn import(&self, path: &Path) -> Result<String, ContentsError>;

    /// Brings an input directory there, with all that is in it. Gives its location.
    ///
    /// # Errors
    /// It cannot be read or stored.
    fn import_directory(&self, path: &Path) -> Result<String, ContentsError>;
}

/// Which paths of this machine workers elsewhere see, too.
pub type Seen = dyn Fn(&Path) -> bool + Send + Sync;

/// Brings inputs there, each once in the life of a leader.
pub struct Imports<C> {
    contents: C,
    seen: Box<Seen>,
    /// Where what was asked for is. Whoever asks for the same in the meantime waits.
    brought: Mutex<HashMap<PathBuf, Arc<Mutex<Option<String>>>>>,
    /// What was brought by earlier leaders, and is gone from here.
    elsewhere: Arc<Elsewhere>,
    /// What was brought now, for the journal.
    told: Arc<Mutex<Vec<Imported>>>,
}

impl<C: Import + 'static> Imports<C> {
    /// Imports of a run. What is `seen` by workers stays where it is. What is in `elsewhere` is there already if it is not
    /// here; what is brought is told to `told`.
    #[must_use]
    pub fn new(
        contents: C,
        seen: Box<Seen>,
        elsewhere: Arc<Elsewhere>,
        told: Arc<Mutex<Vec<Imported>>>,
    ) -> Self {
        Self { contents, seen, brought: Mutex::default(), elsewhere, told }
    }

    /// [`Imports::bring`] for a leader's exchange with its workers.
    pub fn bringing(self) -> Box<Bring> {
        Box::new(move |inputs| {
            self.bring(inputs).map_err(|error| {
                Failure::new(FailureKind::System, "an input cannot be brought to where workers find it")
                    .with_cause(error)
            })
        })
    }

    /// An input object whose files and directories are all where workers elsewhere can have them.
    ///
    /// # Errors
    /// One of them cannot be read, or not be stored.
    pub fn bring(&self, inputs: &Value) -> Result<Value, ContentsError> {
        let mut directories = BTreeMap::new();
        let mut failed = None;
        inputs.visit_files(&mut |item| {
            if let Value::Directory(directory) = item
                && let Some(path) = directory.location.as_deref().and_then(location::file_path)
                && failed.is_none()
            {
                // What comes first here may lie in what comes later: the outermost is all that is needed.
                let path = PathBuf::from(path);
                if (self.seen)(&path) {
                    return;
                }
                let is_inside = |(outer, _): (&PathBuf, &String)| path.starts_with(outer);
                if !directories.range(..=path.clone()).next_back().is_some_and(is_inside) {
                    match self.once(&path, |path| self.contents.import_directory(path)) {
                        Ok(location) => drop(directories.insert(path, location)),
                        Err(error) => failed = Some(error),
                    }
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let place = |old: Option<&Arc<str>>| -> Result<Option<Arc<str>>, ContentsError> {
            let Some(path) = old.and_then(|old| location::file_path(old)) else { return Ok(old.cloned()) };
            let path = PathBuf::from(path);
            if (self.seen)(&path) {
                return Ok(old.cloned());
            }
            let inside = directories.iter().find_map(|(outer, new)| {
                let rest = path.strip_prefix(outer).ok()?;
                rest.iter()
                    .try_fold(new.clone(), |location, name| Some(location::child(&location, name.to_str()?)))
            });
            let new = match inside {
                Some(location) => location,
                None => self.once(&path, |path| self.contents.import(path))?,
            };
            Ok(Some(new.into()))
        };
        inputs.try_map_files(&mut |value| {
            Ok(match value {
                Value::File(file) => Value::File(Arc::new(File {
                    location: place(file.location.as_ref())?,
                    // An import is called by its content.
                    basename: file.basename.clone().or_else(|| name_of(file.location.as_ref())),
                    ..(*file).clone()
                })),
                Value::Directory(directory) => Value::Directory(Arc::new(Directory {
                    location: place(directory.location.as_ref())?,
                    ..(*directory).clone()
                })),
                other => other,
            })
        })
    }

    fn once(
        &self,
        path: &Path,
        import: impl FnOnce(&Path) -> Result<String, ContentsError>,
    ) -> Result<String, ContentsError> {
        let place = {
            let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(brought.entry(path.to_owned()).or_default())
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(location) = &*place {
            return Ok(location.clone());
        }
        if let Some(location) = self.elsewhere.location(path) {
            return Ok(place.insert(location).clone());
        }
        // Seen before: what changes meanwhile is another file than it was taken for.
        let was = origins::local(path).ok();
        let location = import(path)?;
        let imported = Imported { path: path.to_owned(), at: location.as_str().into(), was };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(imported);
        Ok(place.insert(location).clone())
    }
}

fn name_of(location: Option<&Arc<str>>) -> Option<Arc<str>> {
    let path = location::file_path(location?)?;
    Some(Path::new(&path).file_name()?.to_str()?.into())
}
