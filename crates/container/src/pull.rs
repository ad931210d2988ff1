//! One pull: the engine fetches and converts an image into a file of ours, with its cache locked and put right.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::build;
use crate::engine_config;
use crate::error::ImageError;
use crate::image_name::ImageName;
use crate::layer_cache;
use crate::lock::{self, LockError};
use crate::process::{self, End};
use crate::sif;
use crate::store::{Source, StoreConfig};
use crate::watch::{Event, TELL_EVERY, Watch};

/// The name of the lock in the engine's cache directory.
pub(crate) const CACHE_LOCK: &str = "moil.lock";

/// Has the engine make `target`, which must not be there, with `temporary` for what it needs on the way. Waits for
/// others that use the engine's cache, and tries again where a registry may come round. What it leaves is a whole
/// image, or an error.
pub(crate) fn pull(
    config: &StoreConfig,
    image: &ImageName,
    source: &Source,
    target: &Path,
    temporary: &Path,
    watch: &dyn Watch,
) -> Result<(), ImageError> {
    build::prepare(config, image, source, temporary, watch)?;
    let mut pauses = config.retries.iter();
    loop {
        let error = match locked(config, image, source, target, temporary, watch) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match (&error, pauses.next()) {
            // Others may use the cache meanwhile.
            (ImageError::TooManyRequests { .. } | ImageError::Registry { .. }, Some(pause)) => {
                sleep(*pause, image, watch)?;
            }
            _ => return Err(error),
        }
    }
}

/// With the cache locked and put right; once more if something in it was broken.
fn locked(
    config: &StoreConfig,
    image: &ImageName,
    source: &Source,
    target: &Path,
    temporary: &Path,
    watch: &dyn Watch,
) -> Result<(), ImageError> {
    let system = |path: &Path, error: io::Error| ImageError::System {
        image: image.as_str().into(),
        path: path.into(),
        error: error.to_string(),
    };
    let lock = config.layer_cache.join(CACHE_LOCK);
    fs::create_dir_all(&config.layer_cache).map_err(|error| system(&config.layer_cache, error))?;
    let private;
    let (_held, config) = match lock::exclusive(&lock, image.as_str(), "another image is pulled", watch) {
        Ok(held) => (Some(held), config),
        // Without locks nobody can share the cache.
        Err(LockError::NoLocks) => {
            private = StoreConfig { layer_cache: temporary.join("layers"), ..config.clone() };
            (None, &private)
        }
        Err(LockError::System(error)) => return Err(system(&lock, error)),
        Err(LockError::Cancelled) => return Err(ImageError::Cancelled { image: image.as_str().into() }),
    };
    let cache = &config.layer_cache;
    let repair = || layer_cache::repair(cache).map_err(|error| system(cache, error));
    tell_removed(watch, &repair()?);
    let error = match attempt(config, image, source, target, temporary, watch) {
        Err(error @ (ImageError::Engine { .. } | ImageError::Broken { .. })) => error,
        other => return other,
    };
    let what = format!(
        "{} could not be made, perhaps for a broken layer: those in {} are checked",
        image.as_str(),
        cache.display()
    );
    watch.tell(&Event::Repaired { what });
    let mut removed = repair()?;
    let wrong = layer_cache::remove_wrong_blobs(cache, &|| !watch.cancelled());
    removed.extend(wrong.map_err(|error| system(cache, error))?);
    tell_removed(watch, &removed);
    // Others who use the cache without our lock may have been writing the index while it was read.
    if removed.is_empty() && !error.to_string().contains("unexpected end of JSON input") {
        return Err(error);
    }
    match fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(system(target, error)),
        _ => {}
    }
    attempt(config, image, source, target, temporary, watch)
}

fn tell_removed(watch: &dyn Watch, removed: &[PathBuf]) {
    for path in removed {
        watch.tell(&Event::Repaired {
            what: format!("removed {}: it was broken or left over", path.display()),
        });
    }
}

/// Waits between tries.
pub(crate) fn sleep(pause: Duration, image: &ImageName, watch: &dyn Watch) -> Result<(), ImageError> {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if watch.cancelled() {
            return Err(ImageError::Cancelled { image: image.as_str().into() });
        }
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
    Ok(())
}

/// Runs the engine once.
fn attempt(
    config: &StoreConfig,
    image: &ImageName,
    source: &Source,
    target: &Path,
    temporary: &Path,
    watch: &dyn Watch,
) -> Result<(), ImageError> {
    let program = &config.engine.program;
    let start = |error: io::Error| ImageError::Start { program: program.clone(), error: error.to_string() };
    let mut command = Command::new(program);
    if let Some(path) = engine_config::bounded(config, temporary, watch).map_err(start)? {
        command.arg("--config").arg(path);
    }
    command
        .args(arguments(config, image, source, target, temporary))
        .env_clear()
        .envs(environment(config, temporary))
        .envs(build::environment(config, source))
        .current_dir(temporary);
    let mut told = None;
    let mut go_on = |since: Duration| {
        if told.is_none_or(|at| since >= at + TELL_EVERY) {
            told = Some(since);
            watch.tell(&Event::Pulling { image: image.as_str(), since });
        }
        !watch.cancelled()
    };
    go_on(Duration::ZERO);
    let finished = process::run(&mut command, config.patience, &mut go_on).map_err(start)?;
    match finished.end {
        End::Cancelled => Err(ImageError::Cancelled { image: image.as_str().into() }),
        End::Stalled => Err(ImageError::Stalled {
            image: image.as_str().into(),
            registry: image.registry().into(),
            patience: config.patience,
        }),
        End::Exited(0) => sif::check(target)
            .map(|_| ())
            .map_err(|error| ImageError::Broken { image: image.as_str().into(), fault: error.to_string() }),
        End::Exited(code) => Err(understand(config, source.asked_for(image), code, &finished.said)),
    }
}

fn arguments(
    config: &StoreConfig,
    image: &ImageName,
    source: &Source,
    target: &Path,
    temporary: &Path,
) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--nocolor".into()];
    let hub = config.hub_mirror.as_ref();
    let asked_for = source.asked_for(image);
    let plain = (hub.is_some_and(|hub| hub.plain) && asked_for.registry() == "docker.io")
        .then(|| OsString::from("--no-https"));
    match source {
        Source::Registry | Source::Renamed(_) => {
            words.push("pull".into());
            words.extend(plain);
            words.extend([target.into(), asked_for.url(hub).into()]);
        }
        Source::RootArchive(_) => {
            words.extend(["build".into(), target.into(), build::definition_path(temporary).into()]);
        }
        Source::Dockerfile(_) => {
            words.push("build".into());
            words.extend(plain);
            words.extend([target.into(), build::definition_path(temporary).into()]);
        }
        Source::Archive(path) => {
            let mut archive = OsString::from("docker-archive:");
            archive.push(path);
            words.extend(["build".into(), target.into(), archive]);
        }
    }
    words
}

/// What the engine is given, with its places changed to ours. Both spellings of a variable are understood by
/// Apptainer, so the others go.
fn environment(config: &StoreConfig, temporary: &Path) -> Vec<(OsString, OsString)> {
    let ours = |name: &OsStr| {
        let name = name.to_str().unwrap_or_default();
        let rest = name.strip_prefix("APPTAINER_").or_else(|| name.strip_prefix("SINGULARITY_"));
        matches!(
            rest,
            Some("CACHEDIR" | "TMPDIR" | "LOCALCACHEDIR" | "DISABLE_CACHE" | "PULLDIR" | "PULLFOLDER")
        )
    };
    let mut environment: Vec<_> =
        config.environment.iter().filter(|(name, _)| !ours(name)).cloned().collect();
    let prefix = config.engine.variable_prefix();
    environment.push((format!("{prefix}_CACHEDIR").into(), config.layer_cache.clone().into()));
    environment.push((format!("{prefix}_TMPDIR").into(), temporary.into()));
    environment
}

/// Which failure the engine's words speak of.
fn understand(config: &StoreConfig, image: &ImageName, code: i32, said: &str) -> ImageError {
    match registry_error(image, code, said) {
        ImageError::Engine { image, said } if kind(&said) == Kind::Full => ImageError::Full {
            image,
            home: config.home.clone(),
            layers: config.layer_cache.clone(),
            temporary: config.temporary.clone(),
            said,
        },
        other => other,
    }
}

/// The same, where nothing is known of the folders that an engine uses.
pub(crate) fn registry_error(image: &ImageName, code: i32, said: &str) -> ImageError {
    let said = essence(said).unwrap_or_else(|| format!("exit code {code}, without a word"));
    let (name, registry) = (image.as_str().to_owned(), image.registry().to_owned());
    match kind(&said) {
        Kind::TooManyRequests => ImageError::TooManyRequests { image: name, registry, said },
        Kind::Denied => ImageError::Denied { image: name, registry, said },
        Kind::NotFound => ImageError::NotFound { image: name, registry, said },
        Kind::Registry => ImageError::Registry { image: name, registry, said },
        Kind::Full | Kind::Other => ImageError::Engine { image: name, said },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Full,
    TooManyRequests,
    Denied,
    NotFound,
    Registry,
    Other,
}

/// What engines say, in small letters, and what it means; the first that fits.
const SIGNS: &[(&str, Kind)] = &[
    ("no space left on device", Kind::Full),
    ("disk quota exceeded", Kind::Full),
    ("toomanyrequests", Kind::TooManyRequests),
    ("too many requests", Kind::TooManyRequests),
    ("status code 429", Kind::TooManyRequests),
    ("unauthorized", Kind::Denied),
    ("authentication required", Kind::Denied),
    ("no basic auth credentials", Kind::Denied),
    ("access to the resource is denied", Kind::Denied),
    ("denied: ", Kind::Denied),
    ("forbidden", Kind::Denied),
    ("invalid username/password", Kind::Denied),
    ("manifest unknown", Kind::NotFound),
    ("name unknown", Kind::NotFound),
    ("manifest_unknown", Kind::NotFound),
    ("name_unknown", Kind::NotFound),
    ("404 (not found)", Kind::NotFound),
    ("404 not found", Kind::NotFound),
    ("internal server error", Kind::Registry),
    ("bad gateway", Kind::Registry),
    ("service unavailable", Kind::Registry),
    ("gateway timeout", Kind::Registry),
    ("status code 5", Kind::Registry),
    ("connection refused", Kind::Registry),
    ("connection reset", Kind::Registry),
    ("broken pipe", Kind::Registry),
    ("no such host", Kind::Registry),
    ("server misbehaving", Kind::Registry),
    ("network is unreachable", Kind::Registry),
    ("timeout", Kind::Registry),
    ("unexpected eof", Kind::Registry),
    ("http response to https client", Kind::Registry),
    ("x509:", Kind::Registry),
    ("pinging container registry", Kind::Registry),
];

fn kind(said: &str) -> Kind {
    let said = said.to_lowercase();
    SIGNS.iter().find(|(sign, _)| said.contains(sign)).map_or(Kind::Other, |(_, kind)| *kind)
}

/// The lines that say what went wrong: what is marked as fatal, else the last one.
fn essence(said: &str) -> Option<String> {
    let fatal: Vec<&str> =
        said.lines().filter_map(|line| line.trim().strip_prefix("FATAL:")).map(str::trim).collect();
    if !fatal.is_empty() {
        return Some(fatal.join("; "));
    }
    said.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}
