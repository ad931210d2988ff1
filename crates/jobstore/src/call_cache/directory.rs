//! A cache in a directory.
//!
//! ```text
//! DIR/moil-1/secret, entries/…
//!           /files/UNIT/N/…    read-only
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::location;
use moil_job::cache::CacheError;

use super::{Cache, Kept, Kind, Shelf, failed};
use crate::content::file::{copy, protect};
use crate::origins::Made;
use crate::records::file::{Durability, FileRecords};
use crate::remote::Remote;

/// The part of a cache that is moil's; its number changes with what stands in it.
pub(super) const HOME: &str = "moil-1";

/// Files in a directory.
struct Files {
    directory: PathBuf,
    root: String,
    /// Brings what lies elsewhere.
    remote: Arc<Remote>,
}

/// Opens the cache in a directory, or makes one, for a run with these outputs of attempts.
///
/// # Errors
/// It cannot be made or read.
pub fn open(directory: &Path, made: Made, remote: Arc<Remote>) -> Result<Cache, CacheError> {
    let failed = |reason: String| failed(format!("be opened in {}", directory.display()), reason);
    let home = directory.join(HOME);
    let make = || {
        fs::create_dir_all(directory)?;
        // What others could read would tell them what the results are.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(home.join("files"))?;
        fs::create_dir_all(home.join("entries"))?;
        fs::canonicalize(&home)
    };
    let home = make().map_err(|error| failed(error.to_string()))?;
    let records = match FileRecords::is_at(&home) {
        true => FileRecords::open(&home, Durability::Power),
        // Several may make it at the same time.
        false => FileRecords::create(&home, Durability::Power)
            .unwrap_or_else(|_| FileRecords::open(&home, Durability::Power)),
    };
    let directory = home.join("files");
    let root = directory.to_str().map(location::file_uri).ok_or_else(|| failed(NOT_UTF8.to_owned()))? + "/";
    let shelf = Files { directory, root, remote };
    let cache = Cache::new(Box::new(shelf), Box::new(records), made);
    let _ = fs::set_permissions(home.join("secret"), fs::Permissions::from_mode(0o600));
    cache.map_err(|error| failed(error.to_string()))
}

const NOT_UTF8: &str = "its name is not UTF-8";

impl Shelf for Files {
    fn root(&self) -> &str {
        &self.root
    }

    fn bring(
        &self,
        unit: &str,
        number: usize,
        location: &str,
        is_directory: bool,
    ) -> Result<String, CacheError> {
        let cannot = |reason: String| failed(format!("keep {location}"), reason);
        let name = location::basename(location.trim_end_matches('/'));
        let part = format!("{unit}/{number}");
        let to = self.directory.join(&part);
        fs::create_dir_all(&to).map_err(|error| cannot(error.to_string()))?;
        let to = to.join(&name);
        match location::file_path(location) {
            Some(path) => copy(Path::new(&path), &to).map_err(|error| cannot(error.to_string()))?,
            None if is_directory => {
                let came = self.remote.download_directory(location, &to);
                if !came.map_err(|error| cannot(error.to_string()))? {
                    return Err(cannot("it is no output of a job".to_owned()));
                }
            }
            None => self.remote.download(location, &to).map_err(|error| cannot(error.to_string()))?,
        }
        protect(&to).and_then(|()| sync(&to)).map_err(|error| cannot(error.to_string()))?;
        Ok(format!("{}{part}/{}", self.root, location::encode_name(&name)))
    }

    fn look(&self, unit: &str) -> Result<Vec<Kept>, String> {
        match look(&self.directory.join(unit)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            there => there.map_err(|error| error.to_string()),
        }
    }

    fn remove(&self, unit: &str) {
        let _ = fs::remove_dir_all(self.directory.join(unit));
    }
}

/// All that is in a directory, in order.
fn look(directory: &Path) -> io::Result<Vec<Kept>> {
    fn below(directory: &Path, above: &str, found: &mut Vec<Kept>) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = format!("{above}{}", entry.file_name().to_string_lossy());
            let metadata = fs::symlink_metadata(entry.path())?;
            let kind = if metadata.is_dir() {
                below(&entry.path(), &format!("{path}/"), found)?;
                Kind::Directory
            } else if metadata.is_symlink() {
                Kind::Link(fs::read_link(entry.path())?.to_string_lossy().into_owned())
            } else {
                let modified =
                    metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec());
                Kind::File { size: metadata.len(), modified }
            };
            found.push(Kept { path, kind });
        }
        Ok(())
    }
    let mut found = Vec::new();
    below(directory, "", &mut found)?;
    found.sort();
    Ok(found)
}

/// Brings a file, or all files in a directory, to the disk.
fn sync(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            sync(&entry?.path())?;
        }
    } else if metadata.is_symlink() {
        return Ok(());
    }
    File::open(path)?.sync_all()
}
