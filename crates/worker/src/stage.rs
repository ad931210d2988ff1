//! Puts the inputs of an attempt in place: copies where the tool may write; elsewhere links, or in a container mounts.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use moil_container::invocation::Bind;
use moil_cwl::staging::{StagingEntry, StagingSource};
use moil_job::failure::{Failure, FailureKind};
use moil_job::secret::Secrets;

use crate::cancel::Cancel;
use crate::config::WorkerConfig;
use crate::files::{is_missing, path_of};
use crate::place::Place;
use crate::system::{self, Result};

/// Directories nested deeper than this are refused; a link that leads back to itself gets here too.
const DEEPEST: usize = 500;
/// Bytes copied between two looks at the switch.
const PIECE: u64 = 64 << 20;

/// Puts entries in place.
pub(crate) struct Stager<'a> {
    /// Ends the work.
    cancel: &'a Cancel,
    /// How what is not on this machine is fetched.
    config: &'a WorkerConfig,
    /// Where the paths of the tool are.
    place: &'a Place,
    /// What a container is to see where it is not already: in the order in which it is to be mounted.
    pub(crate) binds: Vec<Bind>,
    /// Directories that are known to be there.
    made: HashSet<PathBuf>,
    /// What literals mention.
    secrets: Secrets,
    /// Targets that are not copied although the tool may change them.
    shared: HashSet<String>,
    /// All inputs are seen through one mount.
    bundled: bool,
    /// Nothing is linked or mounted from where it lies.
    pub(crate) copies: bool,
}

impl<'a> Stager<'a> {
    /// A stager that copies everything writable.
    pub(crate) fn new(cancel: &'a Cancel, config: &'a WorkerConfig, place: &'a Place) -> Self {
        Self {
            cancel,
            config,
            place,
            binds: Vec::new(),
            made: HashSet::new(),
            secrets: Secrets::default(),
            shared: HashSet::new(),
            bundled: false,
            copies: false,
        }
    }

    /// The same, with what [`in_place::share`](crate::in_place::share) gave.
    #[must_use]
    pub(crate) fn sharing(self, shared: HashSet<String>) -> Self {
        Self { shared, ..self }
    }

    /// The same, with the secrets that stand in literals.
    #[must_use]
    pub(crate) fn revealing(self, secrets: &Secrets) -> Self {
        Self { secrets: secrets.clone(), ..self }
    }

    /// Puts entries in place, in their order. Those of very many that are not linked or mounted become writable.
    ///
    /// # Errors
    /// [`FailureKind::BadInput`] naming all sources that are not there; what the system says otherwise.
    pub(crate) fn stage(&mut self, entries: &mut [StagingEntry]) -> Result<()> {
        self.bundled = bundle::bundle(entries, self.place, &self.shared);
        if self.bundled {
            let source = self.place.on_host(&self.place.inputs);
            self.make_parent(&source.join("any"))?;
            self.binds.push(Bind { source, target: PathBuf::from(&self.place.inputs), writable: false });
        }
        if self.copies {
            let is_elsewhere =
                |entry: &&mut StagingEntry| matches!(entry.source, StagingSource::Location { .. });
            entries.iter_mut().filter(is_elsewhere).for_each(|entry| entry.writable = true);
        }
        for entry in &*entries {
            self.cancel.check()?;
            self.entry(entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &StagingEntry) -> Result<()> {
        let target = self.place.on_host(&entry.target);
        self.make_parent(&target)?;
        match &entry.source {
            StagingSource::Literal(text) => {
                remove_link(&target)?;
                fs::write(&target, self.secrets.reveal(text).as_bytes())
                    .map_err(|error| system::failure("write", &target, &error))?;
            }
            StagingSource::EmptyDirectory => make_directory(&target)?,
            StagingSource::Location { location, is_directory } => {
                let source = match path_of(location) {
                    Ok(source) => source,
                    Err(_) => self.config.fetch(location, self.cancel)?,
                };
                if entry.writable {
                    remove_link(&target)?;
                    self.copy(&source, &target, 0)?;
                } else if self.bundled && self.place.to_be_mounted(&entry.target) == Some(false) {
                    self.link_or_copy(&source, &target)?;
                } else if self.place.is_container() {
                    return self.mount(source, &target, &entry.target, *is_directory);
                } else {
                    link(&source, &target)?;
                }
            }
        }
        if let Some(writable) = self.place.to_be_mounted(&entry.target)
            && (writable || !self.bundled)
        {
            self.binds.push(Bind { source: target, target: PathBuf::from(&entry.target), writable });
        }
        Ok(())
    }

    /// Lets a container see a source under a path; what stands there on this machine is only a place for the mount.
    fn mount(&mut self, source: PathBuf, target: &Path, path: &str, is_directory: bool) -> Result<()> {
        if is_directory {
            make_directory(target)?;
        } else {
            remove_link(target)?;
            fs::write(target, "").map_err(|error| system::failure("write", target, &error))?;
        }
        // A mount of a link would be one of whatever the link means inside.
        let source = fs::canonicalize(&source).map_err(|error| system::failure("read", &source, &error))?;
        let writable = self.shared.contains(path);
        self.binds.push(Bind { source, target: PathBuf::from(path), writable });
        Ok(())
    }

    /// Makes sure that a target's directory is there.
    fn make_parent(&mut self, target: &Path) -> Result<()> {
        let Some(parent) = target.parent() else { return Ok(()) };
        if self.made.contains(parent) {
            return Ok(());
        }
        // Most often the directory above is there.
        match fs::create_dir(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(parent),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
        .map_err(|error| system::failure("make the directory", parent, &error))?;
        self.made.insert(parent.to_owned());
        Ok(())
    }

    /// A copy that its owner may change, at every level; links are replaced by what they lead to.
    fn copy(&self, source: &Path, target: &Path, depth: usize) -> Result<()> {
        self.cancel.check()?;
        let reading = |error: io::Error| system::failure("read", source, &error);
        let writing = |error: io::Error| system::failure("write", target, &error);
        let metadata = fs::metadata(source).map_err(reading)?;
        if metadata.is_dir() {
            if depth > DEEPEST {
                let message =
                    format!("the directory {} is nested too deeply, or links to itself", source.display());
                return Err(Box::new(Failure::new(FailureKind::BadInput, message)));
            }
            make_directory(target)?;
            for entry in fs::read_dir(source).map_err(reading)? {
                let entry = entry.map_err(reading)?;
                let (from, to) = (entry.path(), target.join(entry.file_name()));
                match fs::metadata(&from) {
                    // A link that leads nowhere stays one.
                    Err(error) if is_missing(&error) => {
                        let text = fs::read_link(&from).map_err(reading)?;
                        symlink(text, &to).map_err(writing)?;
                    }
                    _ => self.copy(&from, &to, depth + 1)?,
                }
            }
        } else {
            if !metadata.is_file() {
                let message = format!("the input {} is neither a file nor a directory", source.display());
                return Err(Box::new(Failure::new(FailureKind::BadInput, message)));
            }
            let mut from = fs::File::open(source).map_err(reading)?;
            let mut to = fs::File::create(target).map_err(writing)?;
            while io::copy(&mut from.by_ref().take(PIECE), &mut to).map_err(writing)? > 0 {
                self.cancel.check()?;
            }
            if let Ok(modified) = metadata.modified() {
                // Tools in the manner of make look at times; where they cannot be set, they look wrong, no more.
                let _ = to.set_modified(modified);
            }
        }
        let needed = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = (metadata.permissions().mode() & 0o777) | needed;
        fs::set_permissions(target, fs::Permissions::from_mode(mode)).map_err(writing)
    }
}

/// Checks that all local sources are there and are what the inputs say: done before anything is made.
///
/// # Errors
/// [`FailureKind::BadInput`], naming all that are missing.
pub(crate) fn check_sources(entries: &[StagingEntry]) -> Result<()> {
    let mut missing = Vec::new();
    for entry in entries {
        let StagingSource::Location { location, is_directory } = &entry.source else { continue };
        let Ok(path) = path_of(location) else { continue };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() == *is_directory => {}
            Ok(_) => {
                let (is, must) = if *is_directory { ("file", "directory") } else { ("directory", "file") };
                let message = format!("the input {} is a {is}, but must be a {must}", path.display());
                return Err(Box::new(Failure::new(FailureKind::BadInput, message)));
            }
            Err(error) if is_missing(&error) => missing.push(path.display().to_string()),
            Err(error) => return Err(system::failure("read the input", &path, &error)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let what = if missing.len() == 1 { "an input is not there" } else { "inputs are not there" };
    Err(Box::new(Failure::new(FailureKind::BadInput, format!("{what}: {}", missing.join(", ")))))
}

fn link(source: &Path, target: &Path) -> Result<()> {
    match symlink(source, target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_link(target)?;
            symlink(source, target)
        }
        other => other,
    }
    .map_err(|error| system::failure("link", target, &error))
}

/// Removes a link in the way, so that nothing is written through it.
fn remove_link(target: &Path) -> Result<()> {
    match fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_symlink() => {
            fs::remove_file(target).map_err(|error| system::failure("replace", target, &error))
        }
        _ => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.map_err(|error| system::failure("make the directory", path, &error)),
    }
}

mod bundle;

#[cfg(test)]
mod tests;
