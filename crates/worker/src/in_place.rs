//! What a tool changes in place (InplaceUpdateRequirement).
//!
//! Where all that attempts make stays on this machine, a tool gets links, and changes what everybody has. Where that is
//! kept elsewhere it gets copies, and what became of them is kept as new versions when it has succeeded: an attempt that
//! fails, or that was given up and works on, changes nothing.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io, mem};

use moil_cwl::location;
use moil_cwl::staging::{StagingEntry, StagingSource};
use moil_cwl::value::Value;
use moil_job::contents::Contents;
use moil_job::failure::{Failure, FailureKind};
use moil_job::spec::AttemptId;
use moil_job::update::Update;

use crate::downloads::Downloads;
use crate::files::path_of;
use crate::place::Place;
use crate::system::{self, Result};

/// Lets a tool with InplaceUpdateRequirement change what an earlier step of this run made: entries whose source
/// lies below `made` become links. What was there before the run stays a copy, also what was brought from elsewhere, to
/// below `brought`. Returns the targets of those that the tool may change.
///
/// # Errors
/// Where a source that a job store protects cannot be made writable.
pub(crate) fn share(entries: &mut [StagingEntry], made: &Path, brought: &Path) -> Result<HashSet<String>> {
    let mut shared = HashSet::new();
    for entry in entries {
        if let StagingSource::Location { location, .. } = &entry.source
            && let Ok(path) = path_of(location)
            && path.starts_with(made)
            && !path.starts_with(brought)
            && mem::replace(&mut entry.writable, false)
        {
            release(&path).map_err(|error| system::failure("make writable", &path, &error))?;
            shared.insert(entry.target.clone());
        }
    }
    Ok(shared)
}

/// Makes a file, or all files in a directory, writable for their owner.
fn release(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            release(&entry?.path())?;
        }
    } else if metadata.is_file() && metadata.permissions().mode() & 0o200 == 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() | 0o200))?;
    }
    Ok(())
}

/// A copy that a tool may change.
pub(crate) struct Private {
    /// The location that the input had.
    location: Arc<str>,
    /// Where the copy is on this machine.
    pub(crate) path: PathBuf,
}

/// The entries that a tool with InplaceUpdateRequirement may change and that are copies of what lies elsewhere. `inputs` is
/// the input object as it was before anything was fetched.
pub(crate) fn privates(
    entries: &[StagingEntry],
    inputs: &Value,
    downloads: &Downloads,
    place: &Place,
) -> Vec<Private> {
    let copies = downloads.copies(inputs);
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| entry.writable) {
        let StagingSource::Location { location, .. } = &entry.source else { continue };
        let Ok(path) = path_of(location) else { continue };
        let nearest = copies.iter().filter(|(copy, _)| path.starts_with(copy)).map(|(copy, _)| copy).max();
        let Some(nearest) = nearest else { continue };
        let Some(inside) = path.strip_prefix(nearest).ok().and_then(Path::to_str) else { continue };
        for (_, location) in copies.iter().filter(|(copy, _)| copy == nearest) {
            let location = match inside {
                "" => Arc::clone(location),
                inside => location::child(location, inside).into(),
            };
            found.push(Private { location, path: place.on_host(&entry.target) });
        }
    }
    found
}

/// Keeps what became of the copies. Gives the new versions, and where those copies are that are one now.
///
/// # Errors
/// What [`Contents::update`] says.
pub(crate) fn keep(
    privates: &[Private],
    attempt: &AttemptId,
    contents: &dyn Contents,
) -> Result<(Vec<Update>, Vec<(PathBuf, String)>)> {
    // What the tool removed has no new version.
    let mut changed: Vec<(Arc<str>, PathBuf)> = privates
        .iter()
        .filter(|private| private.path.exists())
        .map(|private| (Arc::clone(&private.location), private.path.clone()))
        .collect();
    changed.sort();
    changed.dedup();
    if changed.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let updates = contents.update(attempt, &changed).map_err(|error| {
        let message = format!("what {attempt} changed in place cannot be kept");
        Box::new(Failure::new(FailureKind::System, message).with_cause(error))
    })?;
    let places = changed.into_iter().filter_map(|(location, path)| {
        let new = updates.iter().find_map(|update| update.follow(&location))?;
        Some((path, new.to_string()))
    });
    let places = places.collect();
    Ok((updates, places))
}
