//! The call cache of a run (`--cachedir`).

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use moil_cwl::load::Loaded;
use moil_cwl::process::{Process, Workflow};
use moil_cwl::requirement::{RequirementKind, Requirements};
use moil_engine::caching::Cached;
use moil_job::cache::CacheError;
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::call_cache::{self, directory};
use moil_jobstore::origins::Made;
use moil_jobstore::remote::Remote;

use moil_worker::downloads::Downloads;

use crate::job_store::JobStore;
use crate::keys;
use crate::log::Log;
use crate::settings::{BucketPrefix, CachePlace, Settings};

/// A cache, if one is used.
#[derive(Default)]
pub struct Cache {
    /// What the engine works with.
    pub cached: Option<Cached>,
    /// What the locations of all its files begin with.
    pub root: Option<String>,
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
    downloads: &Arc<Downloads>,
    log: &Log,
) -> Result<Cache, Failure> {
    let Some(place) = &settings.files.cache else { return Ok(Cache::default()) };
    if updates_in_place(&loaded.process, &mut HashSet::new()) {
        log.warning("the cache is not used: a step changes files in place (InplaceUpdateRequirement)");
        return Ok(Cache::default());
    }
    let made = keys::made(store, Some(work));
    let cannot = |error: CacheError, advice: &str| {
        Failure::new(FailureKind::System, error.to_string()).with_advice(advice)
    };
    let cache = match place {
        CachePlace::Directory(directory) => directory::open(directory, made, Arc::clone(remote))
            .map_err(|error| cannot(error, "give another directory to --cachedir, or remove this one"))?,
        CachePlace::Bucket(place) => {
            let advice = "give a bucket to --cachedir that is there and may be written";
            let cache = in_bucket(place, made, remote)?.map_err(|error| cannot(error, advice))?;
            let downloads = Arc::clone(downloads);
            cache.telling(Box::new(move |location, copy| downloads.also(location, copy)))
        }
    };
    let root = Some(cache.root().to_owned());
    let keys = Arc::new(keys::of_cache(settings, cache.secret(), cache.made().clone(), remote));
    Ok(Cache { cached: Some(Cached { cache: Arc::new(cache), keys }), root })
}

#[cfg(feature = "aws")]
fn in_bucket(
    place: &BucketPrefix,
    made: Made,
    remote: &Remote,
) -> Result<Result<call_cache::Cache, CacheError>, Failure> {
    let bucket = remote.bucket(&place.name).ok_or_else(|| {
        Failure::new(FailureKind::System, "the cache cannot be reached")
            .with_cause("nothing is set up to reach S3")
    })?;
    Ok(call_cache::bucket::open(bucket, &place.prefix, made))
}

#[cfg(not(feature = "aws"))]
fn in_bucket(
    place: &BucketPrefix,
    _: Made,
    _: &Remote,
) -> Result<Result<call_cache::Cache, CacheError>, Failure> {
    Err(crate::aws::without(&format!("the cache s3://{}/{}", place.name, place.prefix)))
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
