//! How containers are run, from options and environment.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moil_container::detect::{self, DetectError, Flavour, Version};
use moil_container::docker_engine::{DockerEngine, DockerError, Kind};
use moil_container::docker_images::{DockerImages, Known};
use moil_container::image_name::HubMirror;
use moil_container::probe;
use moil_container::store::{ImageStore, StoreConfig};
use moil_job::failure::{Failure, FailureKind};
use moil_worker::container::{self, Apptainer, Containers, Finder, Found};
use moil_worker::direct::Direct;
use moil_worker::docker::Docker;
use moil_worker::fetched_once::FetchedOnce;

use crate::environment::Environment;
use crate::log::Log;
use crate::settings::{Engine, Settings};

/// Bytes that must be free before an image is fetched.
const LEAST_FREE: u64 = 1 << 30;
/// How long an engine may neither read nor write before a pull is given up.
const PATIENCE: Duration = Duration::from_secs(600);
/// The pauses before further tries, where a registry may come round.
const RETRIES: [u64; 3] = [2, 10, 30];

/// What finds the engine once a tool wants a container; `None` where all tools run without.
pub fn finder(settings: &Settings, log: &Log) -> Option<Arc<Finder>> {
    if settings.containers.engine == Engine::None {
        return None;
    }
    let default_image = settings.containers.default_image.clone();
    let (settings, log) = (settings.clone(), log.clone());
    Some(Arc::new(Finder::new(default_image, Box::new(move || find(&settings, &log)))))
}

/// How long a daemon has to answer where nobody has asked for Docker, and where somebody has.
const DAEMON: Duration = Duration::from_secs(1);
const WANTED_DAEMON: Duration = Duration::from_secs(20);

/// What runs containers here, for people.
pub(crate) fn name(found: &Containers) -> String {
    match &found.engine {
        container::Engine::Apptainer(apptainer) => apptainer.engine.to_string(),
        container::Engine::Docker(docker) => docker.images.engine.kind.to_string(),
    }
}

/// Finds it.
///
/// # Errors
/// What was asked for is not there, or cannot be used.
pub(crate) fn find(settings: &Settings, log: &Log) -> Found {
    let environment: Vec<(OsString, OsString)> =
        settings.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let path = settings.environment.get("PATH").unwrap_or_default();
    let docker = |kind, patience| DockerEngine::detect(kind, path, &environment, patience);
    match &settings.containers.engine {
        Engine::Docker => {
            return with_docker(settings, docker(Kind::Docker, WANTED_DAEMON).map_err(no_docker)?);
        }
        Engine::Podman => {
            return with_docker(settings, docker(Kind::Podman, WANTED_DAEMON).map_err(no_docker)?);
        }
        Engine::Singularity | Engine::None => {}
        Engine::Auto | Engine::UserSpace(_) => match docker(Kind::Docker, DAEMON) {
            Ok(engine) => {
                log.info("containers are run with Docker");
                return with_docker(settings, engine);
            }
            Err(reason) => log.debug(format!("containers are not run with Docker: {reason}")),
        },
    }
    let asked_for = settings.containers.engine == Engine::Singularity;
    match detect::detect(path, &environment) {
        Ok(engine) => {
            if !asked_for {
                log.info(format!("containers are run with {engine}"));
            }
            with_apptainer(settings, engine, environment)
        }
        Err(DetectError::NotFound) if !asked_for => {
            if let Ok(engine) = docker(Kind::Podman, DAEMON) {
                log.info("containers are run with Podman");
                return with_docker(settings, engine);
            }
            log.warning("no container engine is installed: tools that only hint at a container run without");
            Ok(None)
        }
        Err(error) => Err(Failure::new(FailureKind::Unsupported, "there is no container engine")
            .with_cause(error)
            .with_advice(
                "install Apptainer (or Singularity 3), or run tools without containers: --no-container",
            )),
    }
}

fn no_docker(error: DockerError) -> Failure {
    Failure::new(FailureKind::Unsupported, "there is no container engine")
        .with_cause(error)
        .with_advice("start it, or choose another: --docker, --podman, --singularity or --no-container")
}

fn with_docker(settings: &Settings, engine: DockerEngine) -> Found {
    let options = &settings.containers;
    let system =
        |what: String, error: std::io::Error| Failure::new(FailureKind::System, what).with_cause(error);
    let id_files = match &options.id_files {
        Some((folder, _)) if !folder.is_dir() => {
            let message = format!("the directory for ids of containers is not there: {}", folder.display());
            return Err(
                Failure::new(FailureKind::BadInput, message).with_advice("make it, or correct --cidfile-dir")
            );
        }
        Some((folder, prefix)) => Some(format!("{}/{prefix}", folder.display())),
        None => None,
    };
    let janitor = engine.janitor(options.keep).map_err(|error| {
        system(format!("cannot start what ends the containers of {}", engine.kind), error)
    })?;
    let ourselves = std::fs::metadata("/proc/self")
        .map_err(|error| system("cannot find out who we are".to_owned(), error))?;
    let user = options.match_user.then(|| (ourselves.uid(), ourselves.gid()));
    Ok(Some(Arc::new(Containers {
        network: options.network.clone(),
        engine: container::Engine::Docker(Arc::new(Docker {
            // Root needs no map, and Podman refuses it one.
            keep_id: engine.kind == Kind::Podman && user.is_some() && ourselves.uid() != 0,
            user,
            janitor,
            read_only: options.read_only,
            keep: options.keep,
            id_files,
            strict_memory: options.strict_memory,
            strict_cores: options.strict_cores,
            asked: Mutex::default(),
            images: DockerImages {
                engine,
                locks: folders(settings).home.join(".moil").join("locks"),
                temporary: folders(settings).temporary,
                offline: !options.pull,
                anew: options.always_pull,
                patience: PATIENCE,
                retries: RETRIES.map(Duration::from_secs).to_vec(),
                known: Known::default(),
            },
        })),
    })))
}

fn with_apptainer(
    settings: &Settings,
    engine: detect::Engine,
    environment: Vec<(OsString, OsString)>,
) -> Found {
    let folders = folders(settings);
    let failed = |error: std::io::Error| {
        Failure::new(FailureKind::System, format!("cannot find out what {engine} can do here"))
            .with_cause(error)
    };
    let probe = probe::remembered(&engine, &environment, &folders.home.join(".moil")).map_err(failed)?;
    let unsquash = program("unsquashfs", &settings.environment);
    let unpack = unsquash.clone().filter(|_| !probe.fuse);
    if !probe.fuse && unpack.is_none() {
        return Err(Failure::new(FailureKind::Unsupported, format!("{engine} cannot mount images here"))
            .with_cause("/dev/fuse cannot be used, and unsquashfs is not installed")
            .with_advice("install squashfs-tools, or let users open /dev/fuse"));
    }
    let images = ImageStore::new(store_config(settings, engine.clone(), environment.clone(), unpack));
    Ok(Some(Arc::new(Containers {
        network: settings.containers.network.clone(),
        engine: container::Engine::Apptainer(Box::new(Apptainer {
            engine,
            // Where the engine needs privileges, so would we.
            direct: unsquash.filter(|_| probe.user_namespaces).map(Direct::new),
            probe,
            images,
            environment,
            always_pull: settings.containers.always_pull,
            fetched: FetchedOnce::default(),
        })),
    })))
}

/// An engine for images ahead of a run.
///
/// # Errors
/// There is none, or containers are switched off.
pub(crate) fn find_for_images(settings: &Settings, log: &Log) -> Result<Arc<Containers>, Failure> {
    let missing = |why: &str| {
        Failure::new(FailureKind::Unsupported, format!("images cannot be fetched: {why}"))
            .with_advice("install Apptainer (or Singularity 3), and leave out --no-container")
    };
    if settings.containers.engine == Engine::None {
        return Err(missing("containers are switched off"));
    }
    find(settings, log)?.ok_or_else(|| missing("there is no container engine"))
}

/// The store of images, to look at and to make room in: that needs no engine.
pub(crate) fn store(settings: &Settings) -> ImageStore {
    let engine = detect::Engine {
        program: "apptainer".into(),
        flavour: Flavour::Apptainer,
        version: Version(1, 0, 0),
    };
    ImageStore::new(store_config(settings, engine, Vec::new(), None))
}

fn store_config(
    settings: &Settings,
    engine: detect::Engine,
    environment: Vec<(OsString, OsString)>,
    unpack: Option<PathBuf>,
) -> StoreConfig {
    let folders = folders(settings);
    StoreConfig {
        home: folders.home,
        also: folders.also,
        layer_cache: folders.layers,
        temporary: folders.temporary,
        engine,
        environment,
        unpack,
        hub_mirror: settings
            .environment
            .known("SINGULARITY_DOCKER_HUB_MIRROR")
            .and_then(|url| HubMirror::parse(url.to_str()?)),
        offline: !settings.containers.pull,
        least_free: LEAST_FREE,
        patience: PATIENCE,
        retries: RETRIES.map(Duration::from_secs).to_vec(),
    }
}

struct Folders {
    home: PathBuf,
    also: Vec<PathBuf>,
    layers: PathBuf,
    temporary: PathBuf,
}

/// Where images, layers and temporary files are.
fn folders(settings: &Settings) -> Folders {
    let known = |names: &[&'static str]| {
        names.iter().find_map(|name| settings.environment.known(name)).map(|path| settings.cwd.join(path))
    };
    let user = || settings.environment.get("HOME").map(PathBuf::from);
    let cache = known(&["APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR"]);
    let home = known(&["CWL_SINGULARITY_CACHE"])
        .or_else(|| cache.as_ref().map(|cache| cache.join("images")))
        .or_else(|| user().map(|user| user.join(".cache/moil/images")))
        .unwrap_or_else(|| settings.files.work_dir.join("moil-images"));
    let layers = cache
        .or_else(|| user().map(|user| user.join(".apptainer")))
        .unwrap_or_else(|| home.join(".moil").join("layers"));
    let temporary =
        known(&["APPTAINER_TMPDIR", "SINGULARITY_TMPDIR"]).unwrap_or_else(|| home.join(".moil").join("tmp"));
    let also = settings.containers.sandboxes.clone().or_else(|| known(&["CWL_SINGULARITY_IMAGES"]));
    Folders { home, also: also.into_iter().collect(), layers, temporary }
}

/// A program in `PATH`.
fn program(name: &str, environment: &Environment) -> Option<PathBuf> {
    env::split_paths(environment.get("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
