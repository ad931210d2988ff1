//! How containers are run, from options and environment.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moil_container::detect::{self, DetectError};
use moil_container::image_name::HubMirror;
use moil_container::probe;
use moil_container::store::{ImageStore, StoreConfig};
use moil_job::failure::{Failure, FailureKind};
use moil_worker::container::{Containers, Finder, Found};
use moil_worker::direct::Direct;

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

fn find(settings: &Settings, log: &Log) -> Found {
    let environment: Vec<(OsString, OsString)> =
        settings.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let path = settings.environment.get("PATH").unwrap_or_default();
    let engine = match detect::detect(path, &environment) {
        Ok(engine) => engine,
        Err(DetectError::NotFound) if settings.containers.engine == Engine::Auto => {
            log.warning("neither apptainer nor singularity is installed: tools that only hint at a container run without");
            return Ok(None);
        }
        Err(error) => {
            return Err(Failure::new(FailureKind::Unsupported, "there is no container engine")
                .with_cause(error)
                .with_advice(
                    "install Apptainer (or Singularity 3), or run tools without containers: --no-container",
                ));
        }
    };
    if settings.containers.engine == Engine::Auto {
        log.info(format!("containers are run with {engine}"));
    }
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
    let images = ImageStore::new(StoreConfig {
        home: folders.home,
        also: folders.also,
        layer_cache: folders.layers,
        temporary: folders.temporary,
        engine: engine.clone(),
        environment: environment.clone(),
        unpack,
        hub_mirror: settings
            .environment
            .known("SINGULARITY_DOCKER_HUB_MIRROR")
            .and_then(|url| HubMirror::parse(url.to_str()?)),
        offline: !settings.containers.pull,
        least_free: LEAST_FREE,
        patience: PATIENCE,
        retries: RETRIES.map(Duration::from_secs).to_vec(),
    });
    Ok(Some(Arc::new(Containers {
        engine,
        probe,
        images,
        environment,
        always_pull: settings.containers.always_pull,
        network: settings.containers.network.clone(),
        // Where the engine needs privileges, so would we.
        direct: unsquash.filter(|_| probe.user_namespaces).map(Direct::new),
    })))
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
