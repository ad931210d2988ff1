//! Running a tool in a container: whether it does, its image, and the command line of the engine.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use moil_container::detect;
use moil_container::direct::Isolation;
use moil_container::docker_engine::Kind;
use moil_container::docker_images::DockerSource;
use moil_container::error::ImageError;
use moil_container::invocation::{Bind, CommandLine, Invocation, InvocationError, Network};
use moil_container::probe::Probe;
use moil_container::store::{Image, ImageStore, Source};
use moil_container::watch::{Event, Watch};
use moil_container::{apptainer, docker};
use moil_cwl::inherit::Effective;
use moil_cwl::requirement::DockerRequirement;
use moil_job::failure::{Failure, FailureKind};
use moil_job::resources::Resources;

use crate::attempt_dir::AttemptDir;
use crate::cancel::{Cancel, Deaf};
use crate::config::WorkerConfig;
use crate::direct::Direct;
use crate::docker::Docker;
use crate::engine_failure::Speaker;
use crate::fetched_once::FetchedOnce;
use crate::image_source::{Origin, Wanted, local};
use crate::place::Place;
use crate::system::{self, Result};

/// How containers are run on this machine.
#[derive(Debug)]
pub struct Containers {
    /// What runs them.
    pub engine: Engine,
    /// `--custom-net`: the network of tools that may use one.
    pub network: Option<String>,
}

/// What runs containers.
#[derive(Debug)]
pub enum Engine {
    /// Apptainer or Singularity.
    Apptainer(Box<Apptainer>),
    /// Docker or Podman.
    Docker(Arc<Docker>),
}

/// Apptainer or Singularity, and how they are used.
#[derive(Debug)]
pub struct Apptainer {
    /// The engine.
    pub engine: detect::Engine,
    /// What it can do here.
    pub probe: Probe,
    /// Its images.
    pub images: ImageStore,
    /// The environment of the engine itself.
    pub environment: Vec<(OsString, OsString)>,
    /// `--force-docker-pull`: images are fetched even if they are there.
    pub always_pull: bool,
    /// Those that were.
    pub fetched: FetchedOnce,
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
    image: Ready,
}

/// An image that is there.
enum Ready {
    /// As long as the first is there, so is the image. The second is the image as a directory, where it is used often.
    Apptainer(Image, Option<PathBuf>),
    /// The id of the image, and the name of the container.
    Docker { id: String, name: String },
}

/// `dockerOutputDirectory`, where the tool is to run in a container.
pub(crate) fn output_directory(effective: &Effective) -> Option<&str> {
    effective.docker.as_ref().and_then(|(docker, _)| docker.output_directory.as_deref())
}

/// The container that a tool is to run in; its image is not there yet.
pub(crate) struct Chosen {
    containers: Arc<Containers>,
    wanted: Wanted,
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
    let wanted = match (docker, default_image) {
        (Some((docker, _)), _) if finder.is_some() => Wanted::of(docker)?,
        (None, Some(image)) => Wanted::of_registry(image)?,
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
    Ok(Some(Chosen { containers, wanted }))
}

impl Chosen {
    /// The container with its image, fetched where it is not there. Waits while another job or process fetches it.
    ///
    /// # Errors
    /// [`FailureKind::Image`] where the image cannot be had; [`FailureKind::Cancelled`].
    pub(crate) fn fetch(
        self,
        config: &WorkerConfig,
        cancel: &Cancel,
        tell: &dyn Fn(String),
    ) -> Result<Container> {
        let Self { containers, wanted } = self;
        let bring = |location: &Arc<str>| config.fetch(location, cancel);
        let fetched = containers.fetch(&wanted, &bring, cancel, tell)?;
        let image = match (fetched, &containers.engine) {
            (Fetched::File(image), Engine::Apptainer(apptainer)) => {
                let directory = apptainer.direct.as_ref().and_then(|direct| {
                    let unpack = direct.is_used_often(&wanted.name).then_some(direct.unpack.as_path());
                    let watch = Watcher { cancel, tell };
                    // Without it the engine does the same, in more time.
                    apptainer.images.directory(&wanted.name, &image, unpack, &watch).ok().flatten()
                });
                Ready::Apptainer(image, directory)
            }
            (Fetched::Id(id), Engine::Docker(docker)) => {
                Ready::Docker { id, name: docker.images.engine.container_name() }
            }
            _ => return Err(others_image()),
        };
        Ok(Container { containers, image })
    }
}

/// An image that was fetched.
#[derive(Debug)]
pub enum Fetched {
    /// A file or directory of the store.
    File(Image),
    /// What Docker or Podman has under this id.
    Id(String),
}

impl Containers {
    /// The image, fetched or made where it is not there. Waits while another job or process does so. `bring` fetches
    /// what is not on this machine, `tell` is told what goes on.
    ///
    /// # Errors
    /// [`FailureKind::Image`] where the image cannot be had; [`FailureKind::Unsupported`] where this engine cannot
    /// make it; [`FailureKind::Cancelled`]; what `bring` says.
    pub fn fetch(
        &self,
        wanted: &Wanted,
        bring: &dyn Fn(&Arc<str>) -> Result<PathBuf>,
        cancel: &Cancel,
        tell: &dyn Fn(String),
    ) -> Result<Fetched> {
        let failed = |error: ImageError| {
            if cancel.is_cancelled() { Box::new(Cancel::failure()) } else { cannot_have(&error) }
        };
        let watch = Watcher { cancel, tell };
        let apptainer = match &self.engine {
            Engine::Apptainer(apptainer) => apptainer,
            Engine::Docker(docker) => {
                let archive;
                let source = match &wanted.origin {
                    Origin::Registry => DockerSource::Registry,
                    Origin::Renamed(from) => DockerSource::Renamed(from),
                    Origin::File(text) => DockerSource::Dockerfile(text),
                    // It is worth a download only if something is made of it.
                    Origin::Load(_) | Origin::Import(_)
                        if docker.images.has(&wanted.name, &watch).map_err(failed)? =>
                    {
                        DockerSource::Registry
                    }
                    Origin::Load(location) => {
                        archive = local(location, bring)?;
                        DockerSource::Archive(&archive)
                    }
                    Origin::Import(location) => {
                        archive = local(location, bring)?;
                        DockerSource::RootArchive(&archive)
                    }
                };
                return docker.images.get(&wanted.name, source, &watch).map(Fetched::Id).map_err(failed);
            }
        };
        let Apptainer { images, always_pull, fetched, .. } = apptainer.as_ref();
        let turn = if *always_pull { fetched.turn(&wanted.name, cancel)? } else { None };
        // An archive of another machine is worth a download only if something is made of it.
        let source = match &wanted.origin {
            Origin::Load(_) | Origin::Import(_) if turn.is_none() && images.has(&wanted.name, &watch) => {
                Source::Registry
            }
            _ => wanted.source(bring)?,
        };
        let image = images.get(&wanted.name, &source, turn.is_some(), &watch).map_err(failed)?;
        if let Some(turn) = turn {
            turn.done();
        }
        Ok(Fetched::File(image))
    }
}

/// The failure where an image is another engine's than that which runs it.
fn others_image() -> Box<Failure> {
    Box::new(Failure::new(FailureKind::System, "the image is another engine's"))
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
        let Inside { words, environment, binds, network, nvidia, with_engine, lasting, shm_size, granted } =
            inside;
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
        let temporary = dirs.tmp.clone();
        let invocation =
            Invocation { output, temporary, binds, network, nvidia, environment, command: words };
        let refused =
            |error: InvocationError| Box::new(Failure::new(FailureKind::BadInput, error.to_string()));
        match (&self.containers.engine, &self.image) {
            (Engine::Apptainer(apptainer), Ready::Apptainer(image, directory)) => {
                let Apptainer { engine, probe, direct, .. } = apptainer.as_ref();
                let direct = direct.as_ref().zip(directory.as_ref()).filter(|_| !with_engine);
                if let Some((direct, directory)) = direct
                    && let Some(command) = direct.command(config, place, dirs, directory, &invocation)
                {
                    return Ok(command);
                }
                // To mount a SIF file takes the engine longer than all the rest.
                let root = match directory {
                    Some(directory) => directory,
                    // The link of this run goes with it.
                    None if lasting && image.path.is_file() => image.file(),
                    None => &image.path,
                };
                let line = apptainer::command_line(engine, probe, root, &invocation).map_err(refused)?;
                Ok(EngineCommand::new(line, &apptainer.environment))
            }
            (Engine::Docker(docker), Ready::Docker { id, name }) => {
                let container = docker::Container {
                    image: id.clone(),
                    name: name.clone(),
                    variables: variables_of(dirs),
                    user: docker.user,
                    keep_id: docker.keep_id,
                    read_only: docker.read_only,
                    keep: docker.keep,
                    id_file: docker.id_files.as_ref().map(|start| format!("{start}{name}.cid").into()),
                    shm_size,
                    memory_mib: docker.strict_memory.then_some(granted.ram_mib),
                    cores: docker.strict_cores.then_some(granted.cores.ceil() as u64),
                };
                let engine = &docker.images.engine;
                let command = docker::command_line(engine, &container, &invocation).map_err(refused)?;
                write_for_us(&container.variables, &command.variables)
                    .map_err(|error| system::failure("write", &container.variables, &error))?;
                Ok(EngineCommand::new(command.line, &engine.environment))
            }
            // An image is fetched by the engine that runs it.
            _ => Err(others_image()),
        }
    }

    /// Removes what the engine no longer needs once its process has ended, with this exit code; `None` where it was
    /// killed. Returns why the engine's daemon does not answer, if that was noticed.
    pub(crate) fn ended(
        &self,
        dirs: &AttemptDir,
        exit_code: Option<i32>,
        tell: &dyn Fn(String),
    ) -> Option<String> {
        let (docker, id, name) = self.docker()?;
        // Where the process never started, there may be none.
        let _ = fs::remove_file(variables_of(dirs));
        let gone = docker.ended(name, exit_code, tell);
        if gone.is_none() {
            docker.take_files(id, dirs, tell);
        }
        gone
    }

    /// Tells whether asking the container to end does nothing; `None` where its process is a child of ours.
    pub(crate) fn deaf(&self) -> Option<Deaf> {
        self.docker().map(|(docker, _, name)| docker.deaf(name))
    }

    /// Says so where the engine's daemon gives no sign of life.
    pub(crate) fn look(&self, tell: &dyn Fn(String)) {
        if let Some((docker, ..)) = self.docker() {
            docker.look(tell);
        }
    }

    /// Whose words and exit codes tell of failures that are not the tool's.
    pub(crate) fn speaker(&self) -> Speaker {
        match self.docker() {
            None => Speaker::Apptainer,
            Some((docker, ..)) => match docker.images.engine.kind {
                Kind::Docker => Speaker::Docker,
                Kind::Podman => Speaker::Podman,
            },
        }
    }

    /// Whether the tool cannot have more memory than it was granted.
    pub(crate) fn limits_memory(&self) -> bool {
        self.docker().is_some_and(|(docker, ..)| docker.strict_memory)
    }

    /// The environment of the engine itself, without what a command line wants there.
    pub(crate) fn environment(&self) -> &[(OsString, OsString)] {
        match &self.containers.engine {
            Engine::Apptainer(apptainer) => &apptainer.environment,
            Engine::Docker(docker) => &docker.images.engine.environment,
        }
    }

    /// The engine, the id of the image, and the name of the container.
    fn docker(&self) -> Option<(&Arc<Docker>, &str, &str)> {
        match (&self.containers.engine, &self.image) {
            (Engine::Docker(docker), Ready::Docker { id, name }) => Some((docker, id, name)),
            _ => None,
        }
    }
}

/// The file of a tool's variables, for the engine to read.
fn variables_of(dirs: &AttemptDir) -> PathBuf {
    dirs.root.join("variables")
}

/// Writes a new file that nobody else can read.
fn write_for_us(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
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
    /// Whether the command is to work when this process is gone.
    pub(crate) lasting: bool,
    /// The size of `/dev/shm`.
    pub(crate) shm_size: Option<String>,
    /// What the tool may use.
    pub(crate) granted: Resources,
}

/// The engine's process.
pub(crate) struct EngineCommand {
    pub(crate) argv: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// What it sees, where it is the tool itself and not an engine.
    pub(crate) isolation: Option<Isolation>,
}

impl EngineCommand {
    /// The engine's own environment, with what the command line wants there.
    fn new(line: CommandLine, environment: &[(OsString, OsString)]) -> Self {
        let mut environment = environment.to_vec();
        environment.retain(|(name, _)| line.environment.iter().all(|(known, _)| known != name));
        environment.extend(line.environment);
        Self { argv: line.argv, environment, isolation: None }
    }
}

/// The failure of a tool that cannot do without a container.
fn refused(docker: &DockerRequirement, why: &str) -> Box<Failure> {
    let image = [&docker.pull, &docker.image_id, &docker.load, &docker.import]
        .into_iter()
        .find_map(|name| name.as_deref())
        .unwrap_or("an image built from dockerFile");
    let message = format!("the tool must run in a container ({image}), and {why}");
    Box::new(Failure::new(FailureKind::Unsupported, message).with_advice(
        "install Apptainer, Podman or Docker and leave out --no-container, or move DockerRequirement from requirements to hints",
    ))
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
            Event::Fetched { image, took } => {
                format!("fetched the image {image} in {:.1} s", took.as_secs_f64())
            }
            Event::Unpacking { image } => format!("unpacks the image {image}"),
            Event::Repaired { what } => what.clone(),
        });
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}
