//! Images of Docker and Podman: the engine keeps them; we see to it that one is fetched once, whoever wants it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::docker_engine::{DockerEngine, Kind};
use crate::error::ImageError;
use crate::image_name::ImageName;
use crate::lock::{self, LockError};
use crate::process::{self, End};
use crate::pull;
use crate::watch::{Event, TELL_EVERY, Watch};

/// How images of an engine are had.
#[derive(Debug)]
pub struct DockerImages {
    /// The engine.
    pub engine: DockerEngine,
    /// Where the locks are under which images are fetched.
    pub locks: PathBuf,
    /// Nothing is fetched.
    pub offline: bool,
    /// Images are fetched even if they are there, once a run.
    pub anew: bool,
    /// How long the engine may neither read nor write before it is given up.
    pub patience: Duration,
    /// The pauses before further tries, where a registry may come round.
    pub retries: Vec<Duration>,
    /// What this run knows already.
    pub known: Known,
}

/// Images that this run has asked for: their ids, and what failed last.
#[derive(Debug, Default)]
pub struct Known {
    ids: Mutex<HashMap<ImageName, String>>,
    failed: Mutex<HashMap<ImageName, (Instant, ImageError)>>,
}

impl DockerImages {
    /// The id of an image, fetched if it is not there. `from` is the name in a registry, where that is another one.
    /// A name has one id throughout a run, whatever happens to its tag. Waits while another process fetches it.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn get(
        &self,
        name: &ImageName,
        from: Option<&ImageName>,
        watch: &dyn Watch,
    ) -> Result<String, ImageError> {
        if let Some(id) = self.known(name) {
            return Ok(id);
        }
        let began = Instant::now();
        if (!self.anew || self.offline)
            && let Some(id) = self.find(name, from)?
        {
            return Ok(self.remember(name, id));
        }
        let image = name.as_str().to_owned();
        if self.offline {
            return Err(ImageError::NotThere { image, engine: self.engine.kind.to_string() });
        }
        let path = self.locks.join(format!("{}.{}", self.engine.kind, name.file_name()));
        // Where there are no locks, the engine is asked twice and does twice what it has done already.
        let _held = match lock::exclusive(&path, &image, "the same image is pulled", watch) {
            Ok(held) => Some(held),
            Err(LockError::NoLocks) => None,
            Err(LockError::System(error)) => {
                let error = error.to_string();
                return Err(ImageError::System { image, path, error });
            }
            Err(LockError::Cancelled) => return Err(ImageError::Cancelled { image }),
        };
        if let Some(id) = self.known(name) {
            return Ok(id);
        }
        let failed = |known: &Known| {
            let failed = known.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get(name).filter(|(at, _)| *at >= began).map(|(_, error)| error.clone())
        };
        if let Some(error) = failed(&self.known) {
            return Err(error);
        }
        // Another process may have fetched it while we waited.
        if !self.anew
            && let Some(id) = self.find(name, from)?
        {
            return Ok(self.remember(name, id));
        }
        let result = self.fetch(from.unwrap_or(name), watch);
        if let Err(error) = &result
            && !matches!(error, ImageError::Cancelled { .. })
        {
            let mut failed = self.known.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.insert(name.clone(), (Instant::now(), error.clone()));
        }
        Ok(self.remember(name, result?))
    }

    fn known(&self, name: &ImageName) -> Option<String> {
        self.known.ids.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn remember(&self, name: &ImageName, id: String) -> String {
        let mut ids = self.known.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.entry(name.clone()).or_insert(id).clone()
    }

    /// The id of an image that the engine has, under either name.
    fn find(&self, name: &ImageName, from: Option<&ImageName>) -> Result<Option<String>, ImageError> {
        for candidate in [Some(name), from].into_iter().flatten() {
            let qualified = self.qualified(candidate);
            let given = candidate.as_str().to_owned();
            let both = if qualified == given { vec![given] } else { vec![qualified, given] };
            for name in both {
                if let Some(id) = self.inspect(candidate, &name)? {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    fn inspect(&self, image: &ImageName, name: &str) -> Result<Option<String>, ImageError> {
        let mut command = self.engine.command(["image", "inspect", "--format", "{{.Id}}", name]);
        let finished =
            process::run(&mut command, self.patience, &mut |_| true).map_err(|error| self.start(error))?;
        let said = finished.said.trim();
        match finished.end {
            End::Exited(0) => match said.lines().last().map(str::trim) {
                Some(id) if !id.is_empty() => Ok(Some(id.to_owned())),
                _ => Err(ImageError::Engine { image: image.as_str().into(), said: "it has no id".into() }),
            },
            // Else it is the engine that is not in order: a pull would say so, but later and less clearly.
            End::Exited(_) if is_missing(said) => Ok(None),
            _ => Err(ImageError::Engine { image: image.as_str().into(), said: said.to_owned() }),
        }
    }

    /// The name with the registry that is meant: Podman takes no short names unless it is configured to.
    fn qualified(&self, name: &ImageName) -> String {
        let text = name.as_str();
        if self.engine.kind == Kind::Docker || name.is_qualified() {
            return text.to_owned();
        }
        let library = if text.contains('/') { "" } else { "library/" };
        format!("docker.io/{library}{text}")
    }

    /// Fetches an image, more than once where a registry may come round. The caller holds its lock.
    fn fetch(&self, name: &ImageName, watch: &dyn Watch) -> Result<String, ImageError> {
        let began = Instant::now();
        let mut pauses = self.retries.iter();
        loop {
            match (self.attempt(name, watch), pauses.next()) {
                (Ok(()), _) => break,
                (Err(ImageError::TooManyRequests { .. } | ImageError::Registry { .. }), Some(pause)) => {
                    pull::sleep(*pause, name, watch)?;
                }
                (Err(error), _) => return Err(error),
            }
        }
        watch.tell(&Event::Fetched { image: name.as_str(), took: began.elapsed() });
        self.find(name, None)?.ok_or_else(|| ImageError::Engine {
            image: name.as_str().into(),
            said: format!("{} has fetched it, and does not have it", self.engine.kind),
        })
    }

    fn attempt(&self, name: &ImageName, watch: &dyn Watch) -> Result<(), ImageError> {
        let image = name.as_str().to_owned();
        let mut command = self.engine.command(["pull", "--quiet", &self.qualified(name)]);
        let mut told = None;
        let mut go_on = |since: Duration| {
            if told.is_none_or(|at| since >= at + TELL_EVERY) {
                told = Some(since);
                watch.tell(&Event::Pulling { image: &image, since });
            }
            !watch.cancelled()
        };
        go_on(Duration::ZERO);
        let finished =
            process::run(&mut command, self.patience, &mut go_on).map_err(|error| self.start(error))?;
        match finished.end {
            End::Exited(0) => Ok(()),
            End::Cancelled => Err(ImageError::Cancelled { image }),
            End::Stalled => {
                Err(ImageError::Stalled { image, registry: name.registry().into(), patience: self.patience })
            }
            End::Exited(code) => Err(pull::registry_error(name, code, &finished.said)),
        }
    }

    fn start(&self, error: std::io::Error) -> ImageError {
        let program: &Path = &self.engine.program;
        ImageError::Start { program: program.into(), error: error.to_string() }
    }
}

/// Whether the engine says that it has no such image.
fn is_missing(said: &str) -> bool {
    let said = said.to_lowercase();
    ["no such image", "image not known", "no such object", "unable to find"]
        .iter()
        .any(|sign| said.contains(sign))
}
