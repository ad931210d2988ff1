//! The images of a machine, shared by any number of jobs, processes and machines.
//!
//! An image's name in the store's folder is there only when the image is whole: it is made under another name,
//! checked, synced and renamed. Two locks belong to each image: whoever makes it holds `pull` alone, whoever runs it
//! takes part in `use`. A third one, around the engine's own cache, is `pull`'s matter. What is ours alone lies in a
//! folder `.moil` of the store's: locks, images in the making, sandbox directories. Where the file system knows no
//! locks, an image may be made twice, but never badly: only waiting for each other is lost.
//!
//! A name means one image as long as a store lives ([`crate::resolved`]).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::detect::Engine;
use crate::dockerfile::Dockerfile;
use crate::error::ImageError;
use crate::image_name::{HubMirror, ImageName};
use crate::lock::{self, Exclusive, LockError, Shared};
use crate::pull;
use crate::resolved::Resolved;
use crate::sandbox;
use crate::shared_failure;
use crate::sif::{self, Sif};
use crate::space;
use crate::unfinished::Unfinished;
use crate::watch::{Event, Watch};

/// Where images are and how they are made.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The folder of images; made if missing. It may be one that others filled, and one that cannot be written to.
    pub home: PathBuf,
    /// Further folders in which images are looked for, never written to.
    pub also: Vec<PathBuf>,
    /// The engine's cache directory, for layers.
    pub layer_cache: PathBuf,
    /// Where the engine unpacks and converts.
    pub temporary: PathBuf,
    /// The engine.
    pub engine: Engine,
    /// What the engine gets as environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The program `unsquashfs`, where images have to be unpacked into directories ([`crate::probe::Probe::fuse`]).
    pub unpack: Option<PathBuf>,
    /// Where images of docker.io are fetched from instead.
    pub hub_mirror: Option<HubMirror>,
    /// Nothing is fetched.
    pub offline: bool,
    /// Bytes that must be free in each of the three folders before an image is fetched.
    pub least_free: u64,
    /// How long an engine may neither read nor write before it is given up.
    pub patience: Duration,
    /// The pauses before further tries, where a registry may come round.
    pub retries: Vec<Duration>,
}

/// Where an image comes from if it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The registry that its name says.
    Registry,
    /// The registry that this other name says: the image has one of its own here.
    Renamed(ImageName),
    /// A file that `docker save` wrote.
    Archive(PathBuf),
    /// An archive of a root file system, as `docker export` writes it.
    RootArchive(PathBuf),
    /// A Dockerfile, built here.
    Dockerfile(Dockerfile),
}

impl Source {
    /// The image that a registry is asked for, where `image` is to be made.
    pub(crate) fn asked_for<'a>(&'a self, image: &'a ImageName) -> &'a ImageName {
        match self {
            Self::Renamed(name) => name,
            Self::Dockerfile(dockerfile) => &dockerfile.from,
            Self::Registry | Self::Archive(_) | Self::RootArchive(_) => image,
        }
    }
}

/// An image that can be run. As long as this value lives, pruning leaves the image alone.
#[derive(Debug)]
pub struct Image {
    /// What is run: a SIF file or a sandbox directory. It stays the same image, whatever becomes of its name.
    pub path: PathBuf,
    resolved: Arc<Resolved>,
}

impl Image {
    /// The image as it lies in the store's folder, or where it was found.
    pub fn file(&self) -> &Path {
        &self.resolved.file
    }

    /// Whether pruning is kept off: not so in a store that cannot be written to and has no lock of this image.
    pub fn is_held(&self) -> bool {
        self.resolved.is_held()
    }
}

/// The images of a machine.
#[derive(Debug)]
pub struct ImageStore {
    config: StoreConfig,
    /// What names mean in this run.
    resolved: Mutex<HashMap<ImageName, Arc<Resolved>>>,
    /// What failed last, so that those who waited for it are told so rather than try it one after the other.
    failed: Mutex<HashMap<ImageName, (Instant, ImageError)>>,
}

/// When somebody began to ask: by a clock that only goes forward, and by one that others have, too.
#[derive(Clone, Copy)]
struct Began {
    here: Instant,
    anywhere: SystemTime,
}

/// What was found.
pub(crate) enum Found {
    Sif(PathBuf, Sif),
    Sandbox(PathBuf),
}

impl ImageStore {
    /// A store; nothing is made or read yet.
    pub fn new(config: StoreConfig) -> Self {
        Self { config, resolved: Mutex::default(), failed: Mutex::default() }
    }

    /// How it was set up.
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Our own folder in the store's.
    pub(crate) fn own(&self) -> PathBuf {
        self.config.home.join(".moil")
    }

    /// The lock of an image, which stays.
    pub(crate) fn lock_path(&self, file_name: &str, purpose: &str) -> PathBuf {
        self.own().join("locks").join(format!("{file_name}.{purpose}"))
    }

    /// The image, fetched if it is not there or if `anew` says so. Waits while another process fetches it. Asked again, it
    /// is the same image, even if others have replaced it since; only with `anew` it may be another one.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn get(
        &self,
        name: &ImageName,
        source: &Source,
        anew: bool,
        watch: &dyn Watch,
    ) -> Result<Image, ImageError> {
        if !anew && let Some(resolved) = self.known(name) {
            return self.image(name, resolved, watch);
        }
        let began = Began { here: Instant::now(), anywhere: SystemTime::now() };
        let in_use = self.join_users(name, watch)?;
        let before = self.find(name, watch);
        let found = match before {
            Some(found) if !anew || self.config.offline => found,
            _ if name.as_str().starts_with('/') => return Err(no_file(name)),
            _ if self.config.offline => {
                return Err(ImageError::Offline {
                    image: name.as_str().into(),
                    folder: self.config.home.clone(),
                });
            }
            before => {
                let old = match &before {
                    Some(Found::Sif(_, sif)) => Some(sif.id.as_str()),
                    _ => None,
                };
                self.fetch(name, source, anew, old, began, watch)?
            }
        };
        let resolved = Arc::new(Resolved::of(self, name, found, in_use)?);
        let resolved = {
            let mut all = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have been faster, and another process may have replaced the image in between.
            match all.get(name) {
                Some(first) if !anew && first.is_there() => Arc::clone(first),
                _ => {
                    all.insert(name.clone(), Arc::clone(&resolved));
                    resolved
                }
            }
        };
        self.image(name, resolved, watch)
    }

    /// What a name was found to mean, if that is still there.
    fn known(&self, name: &ImageName) -> Option<Arc<Resolved>> {
        let all = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).filter(|resolved| resolved.is_there()).cloned()
    }

    fn image(
        &self,
        name: &ImageName,
        resolved: Arc<Resolved>,
        watch: &dyn Watch,
    ) -> Result<Image, ImageError> {
        let path = match (&resolved.sif, &self.config.unpack) {
            (Some(sif), Some(program)) => self.unpacked(name, &resolved.path, sif, program, watch)?,
            _ => resolved.path.clone(),
        };
        Ok(Image { path, resolved })
    }

    /// Takes part in the lock that pruning needs alone.
    fn join_users(&self, name: &ImageName, watch: &dyn Watch) -> Result<Option<Shared>, ImageError> {
        let path = self.lock_path(&name.file_name(), "use");
        lock::shared(&path, name.as_str(), watch).map_err(|error| match error {
            LockError::Cancelled => ImageError::Cancelled { image: name.as_str().into() },
            LockError::System(error) => system(name, &path, error),
            LockError::NoLocks => system(name, &path, io::ErrorKind::Unsupported.into()),
        })
    }

    /// Whether the image is there, whole.
    pub fn has(&self, name: &ImageName, watch: &dyn Watch) -> bool {
        self.find(name, watch).is_some()
    }

    /// Looks for the image, under all names that it may have, whole ones only.
    fn find(&self, name: &ImageName, watch: &dyn Watch) -> Option<Found> {
        for folder in std::iter::once(&self.config.home).chain(&self.config.also) {
            // An absolute name stays as it is.
            let given = folder.join(name.as_str());
            if given.join(".singularity.d").is_dir() {
                return Some(Found::Sandbox(given));
            }
            let named = if name.as_str().starts_with('/') {
                vec![given]
            } else {
                name.file_names().iter().map(|file| folder.join(file)).collect()
            };
            for path in named {
                match sif::check(&path).and_then(|sif| self.check_seal(&path, &sif).map(|()| sif)) {
                    Ok(sif) => return Some(Found::Sif(path, sif)),
                    Err(sif::SifError::Read(error)) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        let what = format!("the image {} is not used: {error}", path.display());
                        watch.tell(&Event::Repaired { what });
                    }
                }
            }
        }
        None
    }

    /// Fetches the image, unless another process has done so while we waited.
    fn fetch(
        &self,
        name: &ImageName,
        source: &Source,
        anew: bool,
        old: Option<&str>,
        began: Began,
        watch: &dyn Watch,
    ) -> Result<Found, ImageError> {
        let held = self.alone(name, watch)?;
        if let Some(error) = self.failed_since(name, began.here) {
            return Err(error);
        }
        match self.find(name, watch) {
            // With `anew`, what somebody else fetched since we asked is new enough.
            Some(Found::Sif(path, sif)) if !anew || old.is_some_and(|old| old != sif.id) => {
                return Ok(Found::Sif(path, sif));
            }
            Some(found @ Found::Sandbox(_)) => return Ok(found),
            _ => {}
        }
        let lock = self.lock_path(&name.file_name(), "pull");
        if let Some(error) = shared_failure::since(&lock, began.anywhere, name.as_str()) {
            return Err(error);
        }
        let result = self.make(name, source, watch);
        if held.is_some() {
            shared_failure::note(&lock, &result);
        }
        if let Err(error) = &result
            && !matches!(error, ImageError::Cancelled { .. })
        {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.insert(name.clone(), (Instant::now(), error.clone()));
        }
        result
    }

    /// The lock under which the image is made; `None` where there are no locks.
    fn alone(&self, name: &ImageName, watch: &dyn Watch) -> Result<Option<Exclusive>, ImageError> {
        let path = self.lock_path(&name.file_name(), "pull");
        match lock::exclusive(&path, name.as_str(), "the same image is pulled", watch) {
            Ok(held) => Ok(Some(held)),
            Err(LockError::NoLocks) => Ok(None),
            Err(LockError::System(error)) => Err(system(name, &path, error)),
            Err(LockError::Cancelled) => Err(ImageError::Cancelled { image: name.as_str().into() }),
        }
    }

    fn failed_since(&self, name: &ImageName, began: Instant) -> Option<ImageError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(name).filter(|(at, _)| *at >= began).map(|(_, error)| error.clone())
    }

    /// Fetches, checks and publishes the image. The caller holds its lock.
    fn make(&self, name: &ImageName, source: &Source, watch: &dyn Watch) -> Result<Found, ImageError> {
        let began = Instant::now();
        let partial = self.own().join("partial");
        let target = Unfinished::begin(name, &partial, "sif", &name.file_name())?;
        // The engine mounts files of this one while it builds, and a colon would end their paths.
        let without_colon = name.file_name().replace(':', "_");
        let temporary = Unfinished::begin(name, &self.config.temporary, "moil-pull", &without_colon)?;
        // All users may share the folder for temporary files: one that is there already is not ours.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&temporary.path)
            .map_err(|error| system(name, &temporary.path, error))?;
        make_folder(name, &self.config.layer_cache)?;
        for folder in [&self.config.home, &self.config.layer_cache, &self.config.temporary] {
            let free = space::free(folder).map_err(|error| system(name, folder, error))?;
            if free < self.config.least_free {
                return Err(ImageError::Space {
                    image: name.as_str().into(),
                    folder: folder.clone(),
                    free,
                    least: self.config.least_free,
                });
            }
        }
        pull::pull(&self.config, name, source, &target.path, &temporary.path, watch)?;
        let file = self.config.home.join(name.file_name());
        publish(&target.path, &file).map_err(|error| system(name, &file, error))?;
        let sif = sif::check(&file)
            .map_err(|error| ImageError::Broken { image: name.as_str().into(), fault: error.to_string() })?;
        self.seal(&file, &sif).map_err(|error| system(name, &file, error))?;
        watch.tell(&Event::Pulled { image: name.as_str(), size: sif.size, took: began.elapsed() });
        Ok(Found::Sif(file, sif))
    }

    /// An image as a directory, unpacked by `program` where it is not yet; `None` where it is not and there is no
    /// program.
    ///
    /// # Errors
    /// Why it cannot be unpacked.
    pub fn directory(
        &self,
        name: &ImageName,
        image: &Image,
        program: Option<&Path>,
        watch: &dyn Watch,
    ) -> Result<Option<PathBuf>, ImageError> {
        let Resolved { path, sif: Some(sif), .. } = &*image.resolved else {
            return Ok(Some(image.path.clone()));
        };
        match program {
            Some(program) => self.unpacked(name, path, sif, program, watch).map(Some),
            None => Ok(Some(self.sandbox_path(name, sif)).filter(|path| path.is_dir())),
        }
    }

    fn sandbox_path(&self, name: &ImageName, sif: &Sif) -> PathBuf {
        self.own().join("sandboxes").join(format!("{}.{}", name.file_name(), sif.id))
    }

    /// The image as a directory. Its name has the image's identity in it, so that an image that was replaced is
    /// unpacked anew, while jobs may go on in the old one.
    fn unpacked(
        &self,
        name: &ImageName,
        image: &Path,
        sif: &Sif,
        program: &Path,
        watch: &dyn Watch,
    ) -> Result<PathBuf, ImageError> {
        let file_name = name.file_name();
        let folder = self.own().join("sandboxes");
        let path = self.sandbox_path(name, sif);
        if path.is_dir() {
            return Ok(path);
        }
        let _held = self.alone(name, watch)?;
        if path.is_dir() {
            return Ok(path);
        }
        make_folder(name, &folder)?;
        let unfinished = Unfinished::begin(name, &self.own().join("partial"), "sandbox", &file_name)?;
        watch.tell(&Event::Unpacking { image: name.as_str() });
        sandbox::unpack(&self.config, name, program, image, sif.root, &unfinished.path, watch)?;
        fs::rename(&unfinished.path, &path).map_err(|error| system(name, &path, error))?;
        Ok(path)
    }
}

/// Gives a finished file its name, for good: whatever happens to the machine, the name never leads to half of it.
fn publish(unfinished: &Path, path: &Path) -> io::Result<()> {
    File::open(unfinished)?.sync_all()?;
    fs::rename(unfinished, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn make_folder(name: &ImageName, folder: &Path) -> Result<(), ImageError> {
    fs::create_dir_all(folder).map_err(|error| system(name, folder, error))
}

pub(crate) fn system(name: &ImageName, path: &Path, error: io::Error) -> ImageError {
    ImageError::System { image: name.as_str().into(), path: path.into(), error: error.to_string() }
}

/// A path that was given as the name of an image, and is none.
fn no_file(name: &ImageName) -> ImageError {
    let path = PathBuf::from(name.as_str());
    let fault = match sif::check(&path) {
        Err(error) => error.to_string(),
        Ok(_) => "it came and went".into(),
    };
    ImageError::File { path, fault }
}
