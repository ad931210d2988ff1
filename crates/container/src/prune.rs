//! Making room: what was not used for the longest time goes first, and nothing that a run uses.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::layer_cache;
use crate::lock::{self, is_read_only};
use crate::resolved;
use crate::sandbox;
use crate::sif;
use crate::store::ImageStore;
use crate::unfinished;

/// An image of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its file.
    pub path: PathBuf,
    /// Bytes, without its sandbox directories.
    pub size: u64,
    /// When a job last asked for it; `None` if none ever did through this store.
    pub last_use: Option<SystemTime>,
    /// What is wrong with it, if it is not whole.
    pub fault: Option<String>,
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images that were removed, with their sandbox directories.
    pub removed: Vec<PathBuf>,
    /// Bytes of images that are left.
    pub left: u64,
    /// Images that would have gone, but are in use.
    pub in_use: Vec<PathBuf>,
}

impl ImageStore {
    /// The images in the store's folder, by name.
    ///
    /// # Errors
    /// The folder cannot be read. One that is not there has no images.
    pub fn list(&self) -> io::Result<Vec<Stored>> {
        let entries = match fs::read_dir(&self.config().home) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut images = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !name.ends_with(".sif") || !path.is_file() {
                continue;
            }
            let last_use =
                fs::metadata(self.lock_path(name, "use")).and_then(|metadata| metadata.modified()).ok();
            let size = fs::metadata(&path)?.len();
            let fault = sif::check(&path).err().map(|error| error.to_string());
            images.push(Stored { path, size, last_use, fault });
        }
        images.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(images)
    }

    /// Removes images until those that are left have at most `keep` bytes, in the order of their last use. Images that
    /// were never asked for through this store are others', and stay; so do those that a run uses, and sandbox
    /// directories of images that are left.
    ///
    /// # Errors
    /// The system refuses.
    pub fn prune(&self, keep: u64) -> io::Result<Pruned> {
        let mut images = self.list()?;
        images.sort_by_key(|image| image.last_use);
        let mut pruned = Pruned { left: images.iter().map(|image| image.size).sum(), ..Pruned::default() };
        for image in images {
            if pruned.left <= keep || image.last_use.is_none() {
                continue;
            }
            let name = image.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(_alone) = lock::try_exclusive(&self.lock_path(&name, "use"))? else {
                pruned.in_use.push(image.path);
                continue;
            };
            fs::remove_file(&image.path)?;
            self.remove_seal(&image.path)?;
            resolved::remove_kept(&resolved::kept_folder(self), |of, _| of == name)?;
            self.remove_sandboxes(|of, _| of == name)?;
            pruned.left -= image.size;
            pruned.removed.push(image.path);
        }
        self.remove_stale_sandboxes()?;
        resolved::remove_kept(&resolved::kept_folder(self), |name, _| self.is_unused(name))?;
        unfinished::remove_old(&self.own().join("partial"))?;
        unfinished::remove_old(&self.config().temporary)?;
        Ok(pruned)
    }

    /// Removes the engine's layers and its copies of images, unless it is at work; returns their bytes, or `None`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn prune_layers(&self) -> io::Result<Option<u64>> {
        let cache = &self.config().layer_cache;
        match lock::try_exclusive(&cache.join(crate::pull::CACHE_LOCK))? {
            None => Ok(None),
            Some(_alone) => layer_cache::clear(cache).map(Some),
        }
    }

    /// Removes directories of images that were replaced since, or are gone.
    fn remove_stale_sandboxes(&self) -> io::Result<()> {
        let home = self.config().home.clone();
        self.remove_sandboxes(|name, id| {
            let current = sif::check(&home.join(name)).is_ok_and(|sif| sif.id == id);
            // Jobs may still run in an old one, and its image may be in another folder.
            !current && home.join(name).exists() && self.is_unused(name)
        })
    }

    /// Whether no run uses an image of this file name now.
    fn is_unused(&self, name: &str) -> bool {
        matches!(lock::try_exclusive(&self.lock_path(name, "use")), Ok(Some(_)))
    }

    fn remove_sandboxes(&self, goes: impl Fn(&str, &str) -> bool) -> io::Result<()> {
        let folder = self.own().join("sandboxes");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_read_only(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((name, id)) = file.rsplit_once('.') else { continue };
            if goes(name, id) {
                // A directory that is half removed must not have a name that counts as whole.
                let partial = self.own().join("partial");
                fs::create_dir_all(&partial)?;
                let aside = partial.join(format!("sandbox.{name}.{}", lock::own_suffix()));
                fs::rename(&path, &aside)?;
                sandbox::remove(&aside)?;
            }
        }
        Ok(())
    }
}
