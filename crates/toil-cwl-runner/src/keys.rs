//! What decides the results of jobs, for their memo keys.

use std::path::Path;
use std::sync::Arc;

use moil_cwl::canonical;
use moil_cwl::error::Error;
use moil_cwl::files::{Entry, Files, Stat};
use moil_cwl::inherit::Effective;
use moil_engine::keying::Keying;
use moil_job::key::Keys;
use moil_jobstore::origins::{FileOrigins, Made};
use moil_jobstore::remote::Remote;
use moil_worker::cancel::Cancel;
use moil_worker::measure::Measures;

use crate::job_store::JobStore;
use crate::settings::{Engine, Settings};

/// What attempts of a run made that is kept in a store, or works in a directory.
pub fn made(store: Option<&JobStore>, work: Option<&Path>) -> Made {
    let directories = store.and_then(JobStore::directory).into_iter().chain(work).map(Path::to_owned);
    Made::new(directories.collect(), store.and_then(JobStore::files_in_bucket).into_iter().collect())
}

/// Makes the keys of a run. What has a location that begins with that of a cache was made by attempts of some run.
pub fn keying(settings: &Settings, store: &JobStore, remote: &Arc<Remote>, cache: Option<&str>) -> Keying {
    let mut made = made(Some(store), None);
    cache.into_iter().for_each(|cache| made.add(cache));
    with_origins(settings, &store.secret(), FileOrigins::new(made, Arc::clone(remote)))
}

/// Makes the keys of a run for whoever looks at it.
pub fn looking(settings: &Settings, secret: &[u8; 32], made: Made, remote: &Arc<Remote>) -> Keying {
    with_origins(settings, secret, FileOrigins::new(made, Arc::clone(remote)))
}

/// Makes the keys of a cache.
pub fn of_cache(settings: &Settings, secret: &[u8; 32], made: Made, remote: &Arc<Remote>) -> Keying {
    with_origins(settings, secret, FileOrigins::new(made, Arc::clone(remote)))
}

fn with_origins(settings: &Settings, secret: &[u8; 32], origins: FileOrigins) -> Keying {
    let containers = settings.containers.engine != Engine::None;
    let default_image = settings.containers.default_image.clone();
    let image = move |effective: &Effective| {
        let named = effective.docker.as_ref().map(|(docker, _)| canonical::image(docker));
        named.or_else(|| default_image.clone()).filter(|_| containers)
    };
    Keying::new(Keys::new(secret), Box::new(origins), Box::new(image), options(settings))
}

/// The options that decide what a job gives, wherever it runs.
fn options(settings: &Settings) -> Vec<(String, String)> {
    let set = settings.tools.set.iter();
    let mut options: Vec<(String, String)> =
        set.map(|(name, value)| (format!("--setEnv {name}"), value.to_string_lossy().into_owned())).collect();
    let containers = &settings.containers;
    let network = containers.network.clone().unwrap_or_default();
    for (name, value) in [
        ("--compute-checksum", settings.files.checksums.to_string()),
        ("--custom-net", network),
        ("--no-read-only", (!containers.read_only).to_string()),
        ("--no-match-user", (!containers.match_user).to_string()),
    ] {
        options.push((name.to_owned(), value));
    }
    let mpi = settings.tools.mpi_config.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    options.extend(mpi.map(|text| ("--mpi-config-file".to_owned(), text)));
    options
}

/// Files whose content is read where a checksum is asked for: sizes are not enough where a machine was switched off.
pub struct Hashed(pub Arc<Remote>);

impl Files for Hashed {
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error> {
        self.0.stat(location)
    }

    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.0.read_prefix(location, limit)
    }

    fn checksum(&self, location: &str) -> Result<Option<Arc<str>>, Error> {
        let never = Cancel::new();
        Measures::new(true, &never).checksum(location)
    }

    fn list(&self, location: &str) -> Result<Vec<Entry>, Error> {
        self.0.list(location)
    }
}
