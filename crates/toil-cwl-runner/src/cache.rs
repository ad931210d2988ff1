//! The call cache of a run (`--cachedir`).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::load::Loaded;
use moil_cwl::process::{Process, Workflow};
use moil_cwl::requirement::{RequirementKind, Requirements};
use moil_engine::caching::Cached;
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::call_cache::DirectoryCache;
use moil_jobstore::remote::Remote;

use crate::job_store::JobStore;
use crate::keys;
use crate::log::Log;
use crate::settings::Settings;

/// A cache, if one is used.
#[derive(Default)]
pub struct Cache {
    /// What the engine works with.
    pub cached: Option<Cached>,
    /// Below which directory all its files are.
    pub files: Vec<PathBuf>,
}

/// Opens the cache that is asked for.
///
/// # Errors
/// It cannot be made or read.
pub fn open(
    settings: &Settings,
    loaded: &Loaded,
    work: &Path,
    remote: &Arc<Remote>,
    store: Option<&JobStore>,
    log: &Log,
) -> Result<Cache, Failure> {
    let Some(directory) = &settings.files.cachedir else { return Ok(Cache::default()) };
    if directory.iter().any(|part| part == "s3:") {
        return Err(Failure::new(FailureKind::Unsupported, "a cache in a bucket is not supported yet")
            .with_advice("give a directory to --cachedir"));
    }
    if store.is_some_and(|store| store.directory().is_none()) {
        log.warning("the cache is not used: the run is kept in a bucket");
        return Ok(Cache::default());
    }
    if updates_in_place(&loaded.process, &mut HashSet::new()) {
        log.warning("the cache is not used: a step changes files in place (InplaceUpdateRequirement)");
        return Ok(Cache::default());
    }
    let made: Vec<PathBuf> =
        store.and_then(JobStore::directory).into_iter().chain([work]).map(Path::to_owned).collect();
    let cache = DirectoryCache::open(directory, made.clone()).map_err(|error| {
        Failure::new(FailureKind::System, error.to_string())
            .with_advice("give another directory to --cachedir, or remove this one")
    })?;
    let files = vec![cache.files().to_owned()];
    let made = made.into_iter().chain(files.iter().cloned()).collect();
    let keys = Arc::new(keys::of_cache(settings, cache.secret(), made, remote));
    Ok(Cache { cached: Some(Cached { cache: Arc::new(cache), keys }), files })
}

/// Whether a process, or anything that it runs, may change files in place.
fn updates_in_place(process: &Process, seen: &mut HashSet<*const Workflow>) -> bool {
    let asks = |requirements: &Requirements| {
        let mut all = requirements.required.iter().chain(&requirements.hints);
        all.any(|requirement| matches!(requirement.kind, RequirementKind::InplaceUpdate(true)))
    };
    let inside = match process {
        Process::Workflow(workflow) => {
            seen.insert(Arc::as_ptr(workflow))
                && workflow
                    .steps
                    .iter()
                    .any(|step| asks(&step.requirements) || updates_in_place(&step.run, seen))
        }
        Process::Generator(generator) => updates_in_place(&generator.run, seen),
        Process::Tool(_) | Process::Expression(_) | Process::Operation(_) => false,
    };
    inside || asks(&process.common().requirements)
}
