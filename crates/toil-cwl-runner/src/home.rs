//! Outputs are brought to the output directory.

#[cfg(feature = "aws")]
mod bucket;
#[cfg(not(feature = "aws"))]
#[path = "home/no_bucket.rs"]
mod bucket;
mod pod;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use moil_cwl::value::Value;
use moil_engine::export::{self, Export, undo};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_jobstore::remote::Remote;
use moil_worker::cancel::Cancel;
use moil_worker::downloads::Downloads;

use crate::downloader::Downloader;
use crate::job_store::{JobStore, Still};
use crate::settings::{BatchSystem, HandOver, Settings};

/// Whether outputs can be written to their place.
///
/// # Errors
/// Why not.
pub fn check(settings: &Settings, remote: &Remote) -> Result<(), Failure> {
    match &settings.files.bucket {
        Some(place) => bucket::check(settings, place, remote),
        None => check_output_directory(&settings.files.outdir),
    }
}

/// Whether outputs outlive the leader, which may run in a pod. Asks nobody.
///
/// # Errors
/// They do not.
pub fn check_that_it_stays(settings: &Settings) -> Result<(), Failure> {
    let is_in_pod = settings.environment.known("KUBERNETES_SERVICE_HOST").is_some();
    if !is_in_pod || settings.batch != BatchSystem::Kubernetes || settings.files.bucket.is_some() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    pod::check(&settings.files.outdir, &mounts)
}

/// Where outputs go, for people.
pub fn place(settings: &Settings) -> String {
    match &settings.files.bucket {
        Some(place) => bucket::url(place),
        None => settings.files.outdir.display().to_string(),
    }
}

/// Whether the output directory can be written, or made.
fn check_output_directory(outdir: &Path) -> Result<(), Failure> {
    let found = outdir.ancestors().find_map(|ancestor| Some((ancestor, fs::metadata(ancestor).ok()?)));
    let Some((ancestor, metadata)) = found else { return Ok(()) };
    let doing = if ancestor == outdir && metadata.is_dir() { "write to" } else { "make" };
    let failed = |cause: String| {
        let message = format!("cannot {doing} the output directory {}", outdir.display());
        Err(Failure::new(FailureKind::System, message)
            .with_cause(cause)
            .with_advice("choose another --outdir"))
    };
    if !metadata.is_dir() {
        return failed(format!("{} is not a directory", ancestor.display()));
    }
    match moil_worker::machine::check_writable(ancestor) {
        Ok(()) => Ok(()),
        Err(error) => failed(format!("{}: {error}", ancestor.display())),
    }
}

/// Exports the outputs; gives the output object as it is printed. That this is done is not recorded yet.
///
/// # Errors
/// What the system refused; another leader has taken over the run.
pub fn bring(
    settings: &Settings,
    outputs: &Value,
    work: &Path,
    remote: &Arc<Remote>,
    downloads: &Downloads,
    store: Option<&JobStore>,
) -> Result<Value, Failure> {
    if settings.files.hand_over == HandOver::Leave {
        return Ok(outputs.clone());
    }
    if let Some(place) = &settings.files.bucket {
        return bucket::bring(settings, place, outputs, work, remote, store);
    }
    let made = store.and_then(JobStore::directory).unwrap_or(work);
    // What is kept on servers comes to this machine first, unless it is here still.
    let downloader = Downloader(Arc::clone(remote));
    let outputs = &downloads
        .localise(outputs, &work.join("downloads"), Some(&downloader), &Cancel::new())
        .map_err(|failure| *failure)?;
    let own = (settings.files.hand_over == HandOver::Move).then(|| made.to_owned());
    let export = Export { outdir: settings.files.outdir.clone(), url: None, own };
    // A leader that slept in its export and woke up since has moved some of it: directories are listed now.
    store.inspect(|store| store.undo_cut_export());
    let (value, actions) = export::plan(outputs, &export, remote)?;
    let moves = store.map(|store| match store.directory() {
        Some(_) => undo::moves(&actions, store.planned()),
        None => Vec::new(),
    });
    if let (Some(store), Some(moves)) = (store, &moves) {
        store.record(Record::ExportPlanned {
            outputs: outputs.clone(),
            to: export.outdir.display().to_string(),
            moves: moves.clone(),
        })?;
    }
    let actions = undo::without_done(actions, store.map(JobStore::exported).unwrap_or_default());
    let still = store.map(JobStore::still);
    let ours = || still.as_ref().map_or(Ok(()), Still::ours);
    export::act(&actions, &export.outdir, moves.as_deref().map(|moves| (moves, &ours as _)))?;
    // What was brought from elsewhere, or changed in place since, is measured where it is now.
    let never = moil_worker::cancel::Cancel::new();
    let measures = moil_worker::measure::Measures::new(settings.files.checksums, &never);
    let (value, _) =
        moil_worker::publish::publish(&value, made, &measures, &never).map_err(|failure| *failure)?;
    Ok(value)
}
