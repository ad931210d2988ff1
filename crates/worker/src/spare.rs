//! The directories of an attempt that left nothing but its output files are handed to the next attempt.
//!
//! Making and removing directories is most of the cost of a short job: some filesystems (ext4) look at every name
//! that was freed lately before they make a new one, and tell the disk of each that is removed. So the outputs of
//! such an attempt are set aside, and the rest is renamed. No path is ever used twice.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::staging::{StagingEntry, StagingSource};
use moil_cwl::value::{File, Value};

use crate::attempt_dir::AttemptDir;
use crate::files;
use crate::system::{self, Result};

/// With more outputs than this, or more inputs, looking at each costs more than new directories.
const MOST: usize = 16;
/// The longest name of a file, in bytes, on common filesystems.
const LONGEST_NAME: usize = 255;

/// What is spare in one thread. It lies where it was used last, and goes with the run's directory.
#[derive(Debug, Default)]
pub struct Spare {
    root: RefCell<Option<PathBuf>>,
}

impl Spare {
    /// Brings the spare directories to a place; `false` where there are none.
    pub(crate) fn take(&self, root: &Path) -> bool {
        // A rename never replaces directories that hold something, as those of attempts do.
        self.root.borrow_mut().take().is_some_and(|from| fs::rename(from, root).is_ok())
    }

    /// Keeps the directories of an attempt that succeeded, if nothing is left in them once its outputs are set aside
    /// in `shelf`. Returns the output object with the new locations; `None` if everything stays where it is.
    ///
    /// # Errors
    /// Where an output cannot be moved.
    pub(crate) fn keep(
        &self,
        dirs: &AttemptDir,
        outputs: &Value,
        staged: &[StagingEntry],
        shelf: &Path,
    ) -> Result<Option<Value>> {
        let Some(names) = only_outputs(dirs, outputs) else { return Ok(None) };
        if !unlink_inputs(dirs, staged) || !is_as_new(dirs) {
            return Ok(None);
        }
        let moved = set_aside(dirs, names, outputs, shelf)?;
        *self.root.borrow_mut() = Some(dirs.root.clone());
        Ok(Some(moved))
    }
}

/// The names of an attempt's output files, if they are few, all plain files at the top of the output directory,
/// and there is nothing else there.
fn only_outputs(dirs: &AttemptDir, outputs: &Value) -> Option<HashSet<OsString>> {
    let mut wanted = HashSet::new();
    let mut simple = true;
    outputs.visit_files(&mut |item| {
        if wanted.len() > MOST {
            return;
        }
        let location = match item {
            Value::File(file) => &file.location,
            Value::Directory(directory) => &directory.location,
            _ => return,
        };
        let Some(path) = location.as_deref().and_then(|location| files::path_of(location).ok()) else {
            return;
        };
        if path.starts_with(&dirs.root) {
            match (item, path.file_name()) {
                (Value::File(_), Some(name)) if path.parent() == Some(&dirs.out) => {
                    wanted.insert(name.to_owned());
                }
                _ => simple = false,
            }
        }
    });
    let longest = LONGEST_NAME.checked_sub(dirs.root.file_name()?.len() + 1)?;
    if !simple || wanted.len() > MOST || wanted.iter().any(|name| name.len() > longest) {
        return None;
    }
    let mut found = 0;
    for entry in fs::read_dir(&dirs.out).ok()? {
        let entry = entry.ok()?;
        if !entry.file_type().ok()?.is_file() || !wanted.contains(&entry.file_name()) {
            return None;
        }
        found += 1;
    }
    (found == wanted.len()).then_some(wanted)
}

/// Removes the links to inputs. `false` where other things were staged, or too many.
fn unlink_inputs(dirs: &AttemptDir, staged: &[StagingEntry]) -> bool {
    let is_link = |entry: &StagingEntry| {
        !entry.writable
            && matches!(entry.source, StagingSource::Location { .. })
            && Path::new(&entry.target).starts_with(&dirs.inputs)
    };
    staged.len() <= MOST
        && staged.iter().all(is_link)
        && staged.iter().all(|entry| {
            let target = Path::new(&entry.target);
            fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_symlink())
                && fs::remove_file(target).is_ok()
        })
}

/// Whether the directories are as good as new, but for the content of the output directory.
fn is_as_new(dirs: &AttemptDir) -> bool {
    let inputs_are_empty = || {
        children(&dirs.inputs)
            .is_ok_and(|found| found.len() <= MOST && found.iter().all(|path| is_empty(path)))
    };
    children(&dirs.root).is_ok_and(|found| {
        found.iter().all(|path| match path {
            path if *path == dirs.out => is_usual_directory(path),
            path if *path == dirs.tmp => is_empty(path),
            path if *path == dirs.inputs => is_usual_directory(path) && inputs_are_empty(),
            path => (*path == dirs.stdout_log() || *path == dirs.stderr_log()) && is_empty_file(path),
        })
    })
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

fn is_empty(directory: &Path) -> bool {
    is_usual_directory(directory) && children(directory).is_ok_and(|found| found.is_empty())
}

/// Whether a tool has not changed who can use a directory, or what is made in it.
fn is_usual_directory(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.permissions().mode() & 0o7700 == 0o700)
        && !has_attributes(path)
}

fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.len() == 0
            && metadata.nlink() == 1
            && metadata.permissions().mode() & 0o7700 == 0o600
    })
}

/// Whether something has extended attributes, such as access lists that files made in a directory inherit. Those of
/// the system's own labels do not count.
#[expect(unsafe_code, reason = "std knows no extended attributes")]
fn has_attributes(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return true };
    let mut names = [0u8; 1024];
    // SAFETY: the path ends in NUL, the array is as long as said.
    let length = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    match usize::try_from(length).map(|length| names.get(..length)) {
        Ok(Some(names)) => {
            names.split(|&byte| byte == 0).any(|name| !name.is_empty() && !name.starts_with(b"security."))
        }
        // More of them than any system sets by itself, or a filesystem that has none.
        _ => io::Error::last_os_error().raw_os_error() != Some(libc::ENOTSUP),
    }
}

/// Moves files from the output directory to the shelf, under names that begin with the attempt's own.
fn set_aside(dirs: &AttemptDir, names: HashSet<OsString>, outputs: &Value, shelf: &Path) -> Result<Value> {
    let mut prefix = dirs.root.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let place = |name: &OsString| {
        let mut placed = prefix.clone();
        placed.push(name);
        shelf.join(placed)
    };
    for name in &names {
        let (from, to) = (dirs.out.join(name), place(name));
        let moved = match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(shelf).and_then(|()| fs::rename(&from, &to))
            }
            other => other,
        };
        moved.map_err(|error| system::failure("move the output to", &to, &error))?;
    }
    outputs.try_map_files(&mut |value| {
        let Value::File(file) = &value else { return Ok(value) };
        let name = file
            .location
            .as_deref()
            .and_then(|location| files::path_of(location).ok())
            .filter(|path| path.parent() == Some(&dirs.out))
            .and_then(|path| Some(path.file_name()?.to_owned()));
        let Some((location, name)) = name.and_then(|name| Some((files::location_of(&place(&name))?, name)))
        else {
            return Ok(value);
        };
        let basename = file.basename.clone().or_else(|| name.to_str().map(Arc::from));
        Ok(Value::File(Arc::new(File { location: Some(location.into()), basename, ..(**file).clone() })))
    })
}

#[cfg(test)]
mod tests;
