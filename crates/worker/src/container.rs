//! Running a tool in a container: whether it does, its image, and the command line of the engine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use moil_container::apptainer;
use moil_container::detect::Engine;
use moil_container::direct::Isolation;
use moil_container::error::ImageError;
use moil_container::image_name::ImageName;
use moil_container::invocation::{Bind, Invocation, Network};
use moil_container::probe::Probe;
use moil_container::store::{Image, ImageStore, Source};
use moil_container::watch::{Event, Watch};
use moil_cwl::inherit::Effective;
use moil_cwl::requirement::DockerRequirement;
use moil_job::failure::{Failure, FailureKind};

use crate::attempt_dir::AttemptDir;
use crate::cancel::Cancel;
use crate::config::WorkerConfig;
use crate::direct::Direct;
use crate::place::Place;
use crate::system::Result;

/// How containers are run on this machine.
#[derive(Debug)]
pub struct Containers {
    /// What runs them.
    pub engine: Engine,
    /// What it can do here.
    pub probe: Probe,
    /// Their images.
    pub images: ImageStore,
    /// The environment of the engine itself.
    pub environment: Vec<(OsString, OsString)>,
    /// `--force-docker-pull`: images are fetched even if they are there.
    pub always_pull: bool,
    /// `--custom-net`: the network of tools that may use one.
    pub network: Option<String>,
    /// How tools are run without the engine; `None` where that cannot be.
    pub direct: Option<Direct>,
}

/// Finds out how containers are run here, when the first tool wants one: that takes longer than a short job.
pub struct Finder {
    /// `--default-container`: the image of tools that name none.
    pub default_image: Option<String>,
    find: Box<Find>,
    found: OnceLock<Found>,
}

/// Finds an engine; `None` where there is none and none was asked for.
pub type Find = dyn Fn() -> Found + Send + Sync;
/// What was found.
pub type Found = std::result::Result<Option<Arc<Containers>>, Failure>;

impl Finder {
    /// Asks `find` at most once.
    pub fn new(default_image: Option<String>, find: Box<Find>) -> Self {
        Self { default_image, find, found: OnceLock::new() }
    }

    fn get(&self) -> Result<Option<&Arc<Containers>>> {
        match self.found.get_or_init(&self.find) {
            Ok(found) => Ok(found.as_ref()),
            Err(failure) => Err(Box::new(failure.clone())),
        }
    }
}

/// The container of one attempt.
pub(crate) struct Container {
    containers: Arc<Containers>,
    image: Image,
    /// The image as a directory, where it is used often.
    directory: Option<PathBuf>,
}

/// `dockerOutputDirectory`, where the tool is to run in a container.
pub(crate) fn output_directory(effective: &Effective) -> Option<&str> {
    effective.docker.as_ref().and_then(|(docker, _)| docker.output_directory.as_deref())
}

/// The container that a tool is to run in; its image is not there yet.
pub(crate) struct Chosen {
    containers: Arc<Containers>,
    name: ImageName,
    source: Source,
}

/// The container of a job; `None` where the tool wants none, or where it is only a hint that it does and there are
/// no containers. `finder` is `None` where they are switched off.
///
/// # Errors
/// [`FailureKind::Unsupported`] where a tool requires a container and there are none; [`FailureKind::BadInput`] for
/// what is no name of an image.
pub(crate) fn choose(effective: &Effective, finder: Option<&Finder>) -> Result<Option<Chosen>> {
    let docker = effective.docker.as_ref();
    let default_image = finder.and_then(|finder| finder.default_image.as_deref());
    let (name, source) = match (docker, default_image) {
        (Some((docker, _)), _) if finder.is_some() => image_of(docker)?,
        (None, Some(image)) => (image, Source::Registry),
        (Some((docker, true)), _) => return Err(refused(docker, "containers are switched off")),
        _ => return Ok(None),
    };
    let containers = match finder.map(Finder::get).transpose()?.flatten() {
        Some(containers) => Arc::clone(containers),
        None => match docker {
            Some((docker, true)) => return Err(refused(docker, "there is no container engine here")),
            _ => return Ok(None),
        },
    };
    let name = ImageName::parse(name).map_err(|error| {
        Box::new(
            Failure::new(FailureKind::BadInput, error.to_string())
                .with_advice("correct dockerPull (or dockerImageId) of DockerRequirement"),
        )
    })?;
    Ok(Some(Chosen { containers, name, source }))
}

impl Chosen {
    /// The container with its image, fetched where it is not there. Waits while another job or process fetches it.
    ///
    /// # Errors
    /// [`FailureKind::Image`] where the image cannot be had; [`FailureKind::Cancelled`].
    pub(crate) fn fetch(self, cancel: &Cancel, tell: &dyn Fn(String)) -> Result<Container> {
        let Self { containers, name, source } = self;
        let watch = Watcher { cancel, tell };
        let image =
            containers.images.get(&name, &source, containers.always_pull, &watch).map_err(|error| {
                if cancel.is_cancelled() { Box::new(Cancel::failure()) } else { cannot_have(&error) }
            })?;
        let directory = containers.direct.as_ref().and_then(|direct| {
            let unpack = direct.is_used_often(&name).then_some(direct.unpack.as_path());
            // Without it the engine does the same, in more time.
            containers.images.directory(&name, &image, unpack, &watch).ok().flatten()
        });
        Ok(Container { containers, image, directory })
    }
}

impl Container {
    /// The process that runs a command in the container: its words and its environment.
    ///
    /// # Errors
    /// What the engine's options cannot express.
    pub(crate) fn command(
        &self,
        config: &WorkerConfig,
        place: &Place,
        dirs: &AttemptDir,
        inside: Inside,
    ) -> Result<EngineCommand> {
        let Inside { words, environment, binds, network, nvidia, with_engine } = inside;
        let output = Bind { source: dirs.out.clone(), target: PathBuf::from(&place.out), writable: true };
        // HOME is the output directory anyway, and nothing but the host's own variables can be other than text.
        let environment = environment
            .into_iter()
            .filter(|(name, value)| name != "HOME" || value != place.out.as_str())
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let network = match (network, &self.containers.network) {
            (false, _) => Network::None,
            (true, None) => Network::Host,
            (true, Some(name)) => Network::Named(name.clone()),
        };
        let invocation = Invocation {
            image: self.image.path.clone(),
            output,
            temporary: dirs.tmp.clone(),
            binds,
            network,
            nvidia,
            environment,
            command: words,
        };
        let direct = self.containers.direct.as_ref().zip(self.directory.as_ref()).filter(|_| !with_engine);
        if let Some((direct, directory)) = direct
            && let Some(command) = direct.command(config, place, dirs, directory, &invocation)
        {
            return Ok(command);
        }
        let line = apptainer::command_line(&self.containers.engine, &self.containers.probe, &invocation)
            .map_err(|error| Box::new(Failure::new(FailureKind::BadInput, error.to_string())))?;
        let mut environment = self.containers.environment.clone();
        environment.retain(|(name, _)| line.environment.iter().all(|(known, _)| known != name));
        environment.extend(line.environment);
        Ok(EngineCommand { argv: line.argv, environment, isolation: None })
    }
}

/// What is to run in a container.
pub(crate) struct Inside {
    pub(crate) words: Vec<String>,
    /// The variables of the tool.
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) network: bool,
    pub(crate) nvidia: bool,
    /// Whether another program of this machine starts the command, which so has to be the engine's.
    pub(crate) with_engine: bool,
}

/// The engine's process.
pub(crate) struct EngineCommand {
    pub(crate) argv: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// What it sees, where it is the tool itself and not an engine.
    pub(crate) isolation: Option<Isolation>,
}

/// The failure of a tool that cannot do without a container.
fn refused(docker: &DockerRequirement, why: &str) -> Box<Failure> {
    let image = [&docker.pull, &docker.image_id, &docker.load, &docker.import]
        .into_iter()
        .find_map(|name| name.as_deref())
        .unwrap_or("an image built from dockerFile");
    let message = format!("the tool must run in a container ({image}), and {why}");
    Box::new(Failure::new(FailureKind::Unsupported, message).with_advice(
        "install Apptainer and leave out --no-container, or move DockerRequirement from requirements to hints",
    ))
}

/// The image that DockerRequirement names, and where it comes from.
fn image_of(docker: &DockerRequirement) -> Result<(&str, Source)> {
    let unsupported = |what: &str| {
        Box::new(
            Failure::new(
                FailureKind::Unsupported,
                format!("{what} of DockerRequirement is not supported yet"),
            )
            .with_advice("put the image into a registry, and name it with dockerPull"),
        )
    };
    let named = docker.image_id.as_deref().or(docker.pull.as_deref());
    match (named, &docker.load) {
        (_, Some(_)) => Err(unsupported("dockerLoad")),
        _ if docker.import.is_some() => Err(unsupported("dockerImport")),
        _ if docker.file.is_some() => Err(unsupported("dockerFile")),
        (Some(name), None) => Ok((name, Source::Registry)),
        (None, None) => {
            let message = "DockerRequirement names no image";
            Err(Box::new(
                Failure::new(FailureKind::BadInput, message)
                    .with_advice("give it dockerPull, such as debian:12"),
            ))
        }
    }
}

fn cannot_have(error: &ImageError) -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Image, error.to_string()))
}

/// Tells what the image store does, and stops it when the attempt is cancelled.
struct Watcher<'a> {
    cancel: &'a Cancel,
    tell: &'a dyn Fn(String),
}

impl Watch for Watcher<'_> {
    fn tell(&self, event: &Event<'_>) {
        (self.tell)(match event {
            Event::Waiting { image, what, holder, waited, .. } => {
                let holder = holder.map(|holder| {
                    let stopped = if holder.stopped { ", which is stopped" } else { "" };
                    format!(" by process {} of {}{stopped}", holder.pid, holder.host)
                });
                let holder = holder.unwrap_or_default();
                format!("waits for the image {image}: {what}{holder} (for {} s)", waited.as_secs())
            }
            Event::Pulling { image, since } if since.as_secs() == 0 => format!("fetches the image {image}"),
            Event::Pulling { image, since } => {
                format!("fetches the image {image} (for {} s)", since.as_secs())
            }
            Event::Pulled { image, size, took } => {
                format!("fetched the image {image}: {} MiB in {:.1} s", size >> 20, took.as_secs_f64())
            }
            Event::Unpacking { image } => format!("unpacks the image {image}"),
            Event::Repaired { what } => what.clone(),
        });
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}
