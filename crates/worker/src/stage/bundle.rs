//! Thousands of inputs in a container: one mount for all of them, since each mount takes time, and a command line ends
//! somewhere.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use moil_cwl::staging::{StagingEntry, StagingSource};

use super::{Stager, make_directory, remove_link};
use crate::files::is_missing;
use crate::place::Place;
use crate::system::{self, Result};

/// The most mounts that an engine is given one by one.
pub(super) const MOST_MOUNTS: usize = 300;

/// Whether an attempt's inputs are to be put together in its directory of inputs, which is mounted once. If so,
/// inputs that were to be mounted in the output directory become copies: nothing else there could be kept from
/// changing what it was made of.
pub(super) fn bundle(entries: &mut [StagingEntry], place: &Place, shared: &HashSet<String>) -> bool {
    if !place.is_container() {
        return false;
    }
    let is_mounted = |entry: &StagingEntry| {
        place.to_be_mounted(&entry.target).is_some()
            || !entry.writable && matches!(entry.source, StagingSource::Location { .. })
    };
    if entries.iter().filter(|entry| is_mounted(entry)).count() <= MOST_MOUNTS {
        return false;
    }
    for entry in entries {
        if place.to_be_mounted(&entry.target).is_none()
            && matches!(entry.source, StagingSource::Location { .. })
            && !shared.contains(&entry.target)
        {
            entry.writable = true;
        }
    }
    true
}

impl Stager<'_> {
    /// Gives a file, or all files of a directory, a second name; where that cannot be, a copy is made: on another
    /// file system, or of a file that we may read but not link to.
    pub(super) fn link_or_copy(&self, source: &Path, target: &Path) -> Result<()> {
        remove_link(target)?;
        // A link to a link would mean something else in the container.
        let source = &*fs::canonicalize(source).map_err(|error| system::failure("read", source, &error))?;
        self.link_tree(source, target)
    }

    fn link_tree(&self, source: &Path, target: &Path) -> Result<()> {
        self.cancel.check()?;
        let reading = |error: io::Error| system::failure("read", source, &error);
        let metadata = fs::symlink_metadata(source).map_err(reading)?;
        if metadata.is_dir() {
            make_directory(target)?;
            for entry in fs::read_dir(source).map_err(reading)? {
                let entry = entry.map_err(reading)?;
                self.link_tree(&entry.path(), &target.join(entry.file_name()))?;
            }
            return Ok(());
        }
        if metadata.is_file() && fs::hard_link(source, target).is_ok() {
            return Ok(());
        }
        match fs::metadata(source) {
            // A link that leads nowhere stays one.
            Err(error) if is_missing(&error) => {
                let text = fs::read_link(source).map_err(reading)?;
                std::os::unix::fs::symlink(text, target)
                    .map_err(|error| system::failure("link", target, &error))
            }
            _ => self.copy(source, target, 0),
        }
    }
}
