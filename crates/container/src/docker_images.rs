//! Images of Docker and Podman: the engine keeps them; we see to it that one is fetched once, whoever wants it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::docker_engine::{DockerEngine, Kind};
use crate::error::ImageError;
use crate::image_name::ImageName;
use crate::lock::{self, LockError};
use crate::process::{self, End};
use crate::pull;
use crate::shared_failure;
use crate::store;
use crate::unfinished::Unfinished;
use crate::watch::{Event, TELL_EVERY, Watch};

/// How images of an engine are had.
#[derive(Debug)]
pub struct DockerImages {
    /// The engine.
    pub engine: DockerEngine,
    /// Where the locks are under which images are fetched.
    pub locks: PathBuf,
    /// Where what images are built of is put for the time of it.
    pub temporary: PathBuf,
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

/// Where an image of an engine comes from if it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DockerSource<'a> {
    /// The registry that its name says.
    Registry,
    /// The registry that this other name says.
    Renamed(&'a ImageName),
    /// A file that the engine's `save` wrote. If there are several images in it, one must have the name.
    Archive(&'a Path),
    /// An archive of a root file system, as the engine's `export` writes it.
    RootArchive(&'a Path),
    /// The text of a Dockerfile, built in an empty folder.
    Dockerfile(&'a str),
}

impl DockerImages {
    /// The id of an image, fetched or made if it is not there. A name has one id throughout a run, whatever happens to
    /// its tag. Waits while another process fetches it.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn get(
        &self,
        name: &ImageName,
        source: DockerSource<'_>,
        watch: &dyn Watch,
    ) -> Result<String, ImageError> {
        let from = match source {
            DockerSource::Renamed(from) => Some(from),
            _ => None,
        };
        if let Some(id) = self.known(name) {
            return Ok(id);
        }
        let (began, began_anywhere) = (Instant::now(), SystemTime::now());
        if (!self.anew || self.offline)
            && let Some(id) = self.find(name, from, watch)?
        {
            return Ok(self.remember(name, id));
        }
        let image = name.as_str().to_owned();
        if self.offline {
            return Err(ImageError::NotThere { image, engine: self.engine.kind.to_string() });
        }
        let path = self.locks.join(format!("{}.{}", self.engine.kind, name.file_name()));
        // Where there are no locks, the engine is asked twice and does twice what it has done already.
        let held = match lock::exclusive(&path, &image, "the same image is pulled", watch) {
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
            && let Some(id) = self.find(name, from, watch)?
        {
            return Ok(self.remember(name, id));
        }
        if let Some(error) = shared_failure::since(&path, began_anywhere, name.as_str()) {
            return Err(error);
        }
        let result = match source {
            DockerSource::Registry | DockerSource::Renamed(_) => self.fetch(from.unwrap_or(name), watch),
            DockerSource::Archive(path) => self.load(name, path, watch),
            DockerSource::RootArchive(path) => self.import(name, path, watch),
            DockerSource::Dockerfile(text) => self.build(name, text, watch),
        };
        if held.is_some() {
            shared_failure::note(&path, &result);
        }
        if let Err(error) = &result
            && !matches!(error, ImageError::Cancelled { .. })
        {
            let mut failed = self.known.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.insert(name.clone(), (Instant::now(), error.clone()));
        }
        Ok(self.remember(name, result?))
    }

    /// Whether the engine has the image and it is not to be made anew.
    ///
    /// # Errors
    /// The engine is not in order.
    pub fn has(&self, name: &ImageName, watch: &dyn Watch) -> Result<bool, ImageError> {
        Ok(self.known(name).is_some() || (!self.anew && self.find(name, None, watch)?.is_some()))
    }

    fn known(&self, name: &ImageName) -> Option<String> {
        self.known.ids.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn remember(&self, name: &ImageName, id: String) -> String {
        let mut ids = self.known.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.entry(name.clone()).or_insert(id).clone()
    }

    /// The id of an image that the engine has, under either name.
    fn find(
        &self,
        name: &ImageName,
        from: Option<&ImageName>,
        watch: &dyn Watch,
    ) -> Result<Option<String>, ImageError> {
        for candidate in [Some(name), from].into_iter().flatten() {
            let qualified = self.qualified(candidate);
            let given = candidate.as_str().to_owned();
            let both = if qualified == given { vec![given] } else { vec![qualified, given] };
            for name in both {
                if let Some(id) = self.inspect(candidate, &name, watch)? {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    fn inspect(
        &self,
        image: &ImageName,
        name: &str,
        watch: &dyn Watch,
    ) -> Result<Option<String>, ImageError> {
        let mut command = self.engine.command(["image", "inspect", "--format", "{{.Id}}", name]);
        let mut is_late = false;
        let mut go_on = |since: Duration| {
            is_late = since >= ANSWER;
            !is_late && !watch.cancelled()
        };
        let finished =
            process::run(&mut command, ANSWER * 2, &mut go_on).map_err(|error| self.start(error))?;
        let said = finished.said.trim();
        match finished.end {
            End::Cancelled if !is_late => Err(ImageError::Cancelled { image: image.as_str().into() }),
            End::Cancelled | End::Stalled => {
                Err(self.no_answer(image, format!("there is no answer after {} s", ANSWER.as_secs())))
            }
            End::Exited(_) if says_there_is_no_daemon(said) => Err(self.no_answer(image, last_line(said))),
            End::Exited(0) => match said.lines().last().map(str::trim) {
                Some(id) if !id.is_empty() => Ok(Some(id.to_owned())),
                _ => Err(ImageError::Engine { image: image.as_str().into(), said: "it has no id".into() }),
            },
            // Else it is the engine that is not in order: a pull would say so, but later and less clearly.
            End::Exited(_) if is_missing(said) => Ok(None),
            End::Exited(_) => Err(ImageError::Engine { image: image.as_str().into(), said: said.to_owned() }),
        }
    }

    fn no_answer(&self, image: &ImageName, said: String) -> ImageError {
        ImageError::NoAnswer { image: image.as_str().into(), engine: self.engine.kind.to_string(), said }
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
        let qualified = self.qualified(name);
        let words = ["pull", "--quiet", &qualified];
        loop {
            match (self.attempt(name, words.map(OsStr::new), watch), pauses.next()) {
                (Ok(_), _) => break,
                (Err(ImageError::TooManyRequests { .. } | ImageError::Registry { .. }), Some(pause)) => {
                    pull::sleep(*pause, name, watch)?;
                }
                (Err(error), _) => return Err(error),
            }
        }
        watch.tell(&Event::Fetched { image: name.as_str(), took: began.elapsed() });
        self.find(name, None, watch)?.ok_or_else(|| ImageError::Engine {
            image: name.as_str().into(),
            said: format!("{} has fetched it, and does not have it", self.engine.kind),
        })
    }

    /// Loads what `save` wrote. The image gets the name that it is asked for by, beside its own.
    fn load(&self, name: &ImageName, archive: &Path, watch: &dyn Watch) -> Result<String, ImageError> {
        let said = self.attempt(name, [OsStr::new("load"), "--input".as_ref(), archive.as_ref()], watch)?;
        let loaded = loaded(&said);
        let own = [self.qualified(name), self.made_name(name), name.as_str().to_owned()];
        let tag = match &loaded[..] {
            [only] => *only,
            several => *several.iter().find(|tag| own.iter().any(|own| own == *tag)).ok_or_else(|| {
                let images = match several {
                    [] => "no image is in it".to_owned(),
                    _ => format!(
                        "there are several images in it, and none has this name: {}",
                        several.join(", ")
                    ),
                };
                ImageError::Engine {
                    image: name.as_str().into(),
                    said: format!("{}: {images}", archive.display()),
                }
            })?,
        };
        let id = self.made(name, tag, watch)?;
        let own_tag = self.made_name(name);
        self.attempt(name, ["tag", &id, &own_tag].map(OsStr::new), watch)?;
        Ok(id)
    }

    /// Makes an image of an archive of a root file system.
    fn import(&self, name: &ImageName, archive: &Path, watch: &dyn Watch) -> Result<String, ImageError> {
        let tag = self.made_name(name);
        self.attempt(name, [OsStr::new("import"), archive.as_ref(), tag.as_ref()], watch)?;
        self.made(name, &tag, watch)
    }

    /// Builds a Dockerfile. CWL has no place for the files that it could copy, so its folder is empty.
    fn build(&self, name: &ImageName, text: &str, watch: &dyn Watch) -> Result<String, ImageError> {
        let without_colon = name.file_name().replace(':', "_");
        let folder = Unfinished::begin(name, &self.temporary, "moil-build", &without_colon)?;
        let (context, file) = (folder.path.join("empty"), folder.path.join("Dockerfile"));
        fs::create_dir_all(&context).map_err(|error| store::system(name, &context, error))?;
        fs::write(&file, text).map_err(|error| store::system(name, &file, error))?;
        let tag = self.made_name(name);
        let mut words: Vec<&OsStr> = ["build", "--tag", &tag].map(OsStr::new).to_vec();
        if self.engine.kind == Kind::Podman {
            // A bridge of its own takes privileges, and stays.
            words.push("--network=host".as_ref());
        }
        words.extend(match (self.engine.kind, self.anew) {
            (Kind::Docker, true) => Some(OsStr::new("--pull")),
            (Kind::Podman, true) => Some(OsStr::new("--pull=always")),
            (_, false) => None,
        });
        words.extend([OsStr::new("--file"), file.as_ref(), context.as_ref()]);
        self.attempt(name, words, watch)?;
        self.made(name, &tag, watch)
    }

    /// What an image is called that was made here. Podman has a registry of this name for them.
    fn made_name(&self, name: &ImageName) -> String {
        let local = if self.engine.kind == Kind::Podman && !name.is_qualified() { "localhost/" } else { "" };
        format!("{local}{}", name.as_str())
    }

    /// The id of what was just made.
    fn made(&self, name: &ImageName, tag: &str, watch: &dyn Watch) -> Result<String, ImageError> {
        self.inspect(name, tag, watch)?.ok_or_else(|| ImageError::Engine {
            image: name.as_str().into(),
            said: format!("{} has made it, and does not have it", self.engine.kind),
        })
    }

    /// Runs the engine once; what it says.
    fn attempt<'a>(
        &self,
        name: &ImageName,
        words: impl IntoIterator<Item = &'a OsStr>,
        watch: &dyn Watch,
    ) -> Result<String, ImageError> {
        let image = name.as_str().to_owned();
        let mut command = self.engine.command(words);
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
            End::Exited(0) => Ok(finished.said),
            End::Cancelled => Err(ImageError::Cancelled { image }),
            End::Stalled => {
                self.engine.ask(ANSWER / 3).map_err(|error| self.no_answer(name, error.to_string()))?;
                Err(ImageError::Stalled { image, registry: name.registry().into(), patience: self.patience })
            }
            End::Exited(_) if says_there_is_no_daemon(&finished.said) => {
                Err(self.no_answer(name, last_line(&finished.said)))
            }
            End::Exited(code) => Err(pull::registry_error(name, code, &finished.said)),
        }
    }

    fn start(&self, error: std::io::Error) -> ImageError {
        let program: &Path = &self.engine.program;
        ImageError::Start { program: program.into(), error: error.to_string() }
    }
}

/// The names, or the id where there is none, of what was loaded.
fn loaded(said: &str) -> Vec<&str> {
    let lines = said.lines().filter_map(|line| line.trim().strip_prefix("Loaded image"));
    let lists = lines.filter_map(|line| Some(line.split_once(": ")?.1));
    // Some versions of Podman name all in one line.
    lists.flat_map(|list| list.split([',', ' '])).map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// How long the engine has for an answer that takes it no work.
const ANSWER: Duration = Duration::from_secs(60);

/// Whether the client of a daemon says that it is gone.
fn says_there_is_no_daemon(said: &str) -> bool {
    ["Cannot connect to the Docker daemon", "error during connect"].iter().any(|sign| said.contains(sign))
}

fn last_line(said: &str) -> String {
    said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// Whether the engine says that it has no such image.
fn is_missing(said: &str) -> bool {
    let said = said.to_lowercase();
    ["no such image", "image not known", "no such object", "unable to find"]
        .iter()
        .any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_of_what_they_loaded_is_understood() {
        for (said, expected) in [
            ("Copying blob sha256:12\nLoaded image: localhost/a:1\n", &["localhost/a:1"][..]),
            ("Loaded image: a:1\nLoaded image: b:2\n", &["a:1", "b:2"]),
            ("Loaded image(s): localhost/a:1, localhost/b:1", &["localhost/a:1", "localhost/b:1"]),
            ("Loaded image(s): localhost/a:1,localhost/b:1", &["localhost/a:1", "localhost/b:1"]),
            ("Loaded image ID: sha256:12ab", &["sha256:12ab"]),
            ("open x: no such file", &[]),
        ] {
            assert_eq!(loaded(said), expected, "{said}");
        }
    }

    /// What comes of asking for an image, with a client that is this script.
    fn ask(script: &str, watch: &dyn Watch) -> ImageError {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker");
        crate::test_program::write_program(&program, &format!("#!/bin/sh\n{script}\n"));
        let environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let images = DockerImages {
            engine: DockerEngine { program, kind: Kind::Docker, run: "run".into(), environment },
            locks: folder.path().join("locks"),
            temporary: folder.path().join("temporary"),
            offline: false,
            anew: false,
            patience: Duration::from_secs(600),
            retries: vec![Duration::from_secs(600)],
            known: Known::default(),
        };
        let name = ImageName::parse("bash:4.4").unwrap();
        images.get(&name, DockerSource::Registry, watch).unwrap_err()
    }

    struct Watcher {
        gives_up: bool,
    }

    impl Watch for Watcher {
        fn tell(&self, _: &Event<'_>) {}

        fn cancelled(&self) -> bool {
            self.gives_up
        }
    }

    #[test]
    fn a_daemon_that_is_gone_is_not_the_fault_of_an_image() {
        let says = "echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1";
        let expected = "Docker cannot be asked for the image bash:4.4: \
             Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?";
        let watch = Watcher { gives_up: false };
        assert_eq!(ask(&format!("echo []; {says}"), &watch).to_string(), expected);
        let later = format!("[ $1 = pull ] || {{ echo 'No such image'; exit 1; }}; {says}");
        assert_eq!(ask(&later, &watch).to_string(), expected);
    }

    #[test]
    fn a_question_to_a_daemon_that_hangs_can_be_cancelled() {
        let error = ask("sleep 1000", &Watcher { gives_up: true });
        assert_eq!(error, ImageError::Cancelled { image: "bash:4.4".into() });
    }
}
