//! What a name means in one run. Tags move, and others replace images while a run is at work: it goes on with the image
//! that it found first. So it runs a further link to the image's file, which is below `.moil` and of which nobody makes
//! another image. The link goes with the last run that uses the image.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::ImageError;
use crate::image_name::ImageName;
use crate::lock::{self, Shared};
use crate::sif::{self, Sif};
use crate::store::{Found, ImageStore};
use crate::unfinished::Unfinished;

/// The image of a name.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// Where it was found.
    pub(crate) file: PathBuf,
    /// What is run: the further link, or what was found where there can be no such link.
    pub(crate) path: PathBuf,
    /// `None` for a sandbox directory.
    pub(crate) sif: Option<Sif>,
    /// The file as it was then.
    seen: Option<Seen>,
    /// `None` in a store that cannot be written to.
    in_use: Option<Shared>,
    tidy: Tidy,
}

/// What changes when somebody writes to a file.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    size: u64,
    modified: (i64, i64),
    inode: u64,
}

/// What removes the links of an image.
#[derive(Debug)]
struct Tidy {
    folder: PathBuf,
    lock: PathBuf,
    name: String,
}

impl Resolved {
    /// What was found, kept as long as this value lives.
    pub(crate) fn of(
        store: &ImageStore,
        name: &ImageName,
        found: Found,
        in_use: Option<Shared>,
    ) -> Result<Self, ImageError> {
        let tidy = Tidy {
            folder: kept_folder(store),
            lock: store.lock_path(&name.file_name(), "use"),
            name: name.file_name(),
        };
        let (file, sif) = match found {
            Found::Sandbox(path) => {
                let (file, seen) = (path.clone(), None);
                return Ok(Self { file, path, sif: None, seen, in_use, tidy });
            }
            Found::Sif(path, sif) => (path, sif),
        };
        // Whoever cannot write there cannot be kept from other images either; nor can others make them.
        let kept = in_use.as_ref().and_then(|_| keep(store, name, &file));
        let (path, sif) = kept.unwrap_or_else(|| (file.clone(), sif));
        let seen = Seen::of(&path);
        Ok(Self { file, path, sif: Some(sif), seen, in_use, tidy })
    }

    /// Whether it is there as it was.
    pub(crate) fn is_there(&self) -> bool {
        match self.sif {
            None => self.path.is_dir(),
            Some(_) => self.seen.is_some() && Seen::of(&self.path) == self.seen,
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.in_use.is_some()
    }
}

impl Drop for Resolved {
    fn drop(&mut self) {
        let Some(in_use) = self.in_use.take() else { return };
        // Pruning goes by it.
        in_use.note_time();
        drop(in_use);
        if self.path != self.file
            && let Ok(Some(_alone)) = lock::try_exclusive(&self.tidy.lock)
        {
            // What is left goes with the next one, or with pruning.
            let _ = remove_kept(&self.tidy.folder, |name, _| name == self.tidy.name);
        }
    }
}

impl Seen {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
        })
    }
}

/// Where the further links are.
pub(crate) fn kept_folder(store: &ImageStore) -> PathBuf {
    store.own().join("kept")
}

/// Makes a further link to an image; `None` where that cannot be. The image may be another one by now.
fn keep(store: &ImageStore, name: &ImageName, file: &Path) -> Option<(PathBuf, Sif)> {
    let folder = kept_folder(store);
    fs::create_dir_all(&folder).ok()?;
    let link = Unfinished::begin(name, &store.own().join("partial"), "link", &name.file_name()).ok()?;
    fs::hard_link(fs::canonicalize(file).ok()?, &link.path).ok()?;
    let sif = sif::check(&link.path).ok()?;
    let kept = folder.join(format!("{}.{}", name.file_name(), sif.id));
    // One that is there may be of a damaged file of this image; whoever has it open goes on with that.
    fs::rename(&link.path, &kept).ok()?;
    Some((kept, sif))
}

/// Removes links, where this says so of an image's file name and identity.
pub(crate) fn remove_kept(folder: &Path, goes: impl Fn(&str, &str) -> bool) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound || lock::is_read_only(&error) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if file.rsplit_once('.').is_some_and(|(name, id)| goes(name, id)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
