//! What is in the making: images, directories, and all that an engine needs on the way to them.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::ImageError;
use crate::image_name::ImageName;
use crate::lock::{self, is_read_only};
use crate::sandbox;
use crate::store::{make_folder, system};

/// A file or directory in the making, removed when this value goes; after a rename there is nothing to remove.
pub(crate) struct Unfinished {
    pub(crate) path: PathBuf,
}

/// How old what nobody can be asked about must be.
const OLD: Duration = Duration::from_secs(24 * 3600);

impl Unfinished {
    /// A path of our own for `image`. What dead processes left there for the same image is removed.
    pub(crate) fn begin(
        name: &ImageName,
        folder: &Path,
        kind: &str,
        image: &str,
    ) -> Result<Self, ImageError> {
        make_folder(name, folder)?;
        let prefix = format!("{kind}.{image}.");
        let entries = fs::read_dir(folder).map_err(|error| system(name, folder, error))?;
        for entry in entries.flatten() {
            let file = entry.file_name();
            let Some(suffix) = file.to_str().and_then(|file| file.strip_prefix(&prefix)) else { continue };
            let dead = lock::is_of_dead_process(suffix).unwrap_or_else(|| is_old(&entry));
            if dead {
                // In a folder that all users share, it may be another user's.
                let _ = sandbox::remove(&entry.path());
            }
        }
        Ok(Self { path: folder.join(prefix + &lock::own_suffix()) })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // The next one to make this image tries again.
        let _ = sandbox::remove(&self.path);
    }
}

/// Removes what dead processes left in a folder long ago, of whichever image. Who makes one of them has no lock that
/// could be asked for, and on a machine that only shares its name with this one, our processes are not known.
pub(crate) fn remove_old(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_read_only(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let name = file.to_str().unwrap_or_default();
        let is_ours =
            KINDS.iter().any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.')));
        // Machine, process and number.
        let suffix = name.rmatch_indices('.').nth(2).map_or("", |(at, _)| &name[at + 1..]);
        if is_ours && is_old(&entry) && lock::is_of_dead_process(suffix) != Some(false) {
            // In a folder that all users share, it may be another user's.
            let _ = sandbox::remove(&entry.path());
        }
    }
    Ok(())
}

/// What may be in the making.
const KINDS: [&str; 5] = ["sif", "sandbox", "link", "moil-pull", "moil-build"];

fn is_old(entry: &DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > OLD))
}
