//! A finished job: from the paths that its tool speaks of to the files that they mean.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::Error;
use crate::files::{Files, Stat};
use crate::glob::Look;
use crate::location;
use crate::output_tree::{Kind, Tree, TreeEntry};
use crate::staging::{StagingEntry, StagingSource};

/// How many links one path may lead through, as on Linux.
const LINK_LIMIT: usize = 40;

/// What a job left behind, for [`crate::collect`].
#[derive(Clone, Copy)]
pub struct Finished<'a> {
    /// The output directory: its absolute path as the tool saw it. Without links in it, where the tool
    /// ran on the host.
    pub outdir: &'a str,
    /// What is in it.
    pub tree: &'a dyn Tree,
    /// What was staged, in the output directory and elsewhere.
    pub staged: &'a [StagingEntry],
    /// The location (as [`Self::files`] takes it) of an absolute path of the tool: in the output
    /// directory, or the target of something staged.
    pub to_host: &'a dyn Fn(&str) -> String,
    /// How files are read: inputs by their locations, outputs by what [`Self::to_host`] gives.
    pub files: &'a dyn Files,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A file of the output directory, at this path once all links were followed.
    File { path: String, size: u64 },
    /// A directory of the output directory, likewise.
    Directory { path: String },
    /// Something that was staged, or in something staged: its own location.
    Staged { location: String, stat: Stat },
}

/// Why a path means nothing.
#[derive(Debug)]
pub(crate) enum ResolveError {
    /// It leads to this path, neither in the output directory nor of an input.
    Outside(String),
    /// It leads through too many links.
    Loop,
    /// A socket, pipe or device is there.
    Special,
    /// It could not be found out.
    Failed(Error),
}

impl From<Error> for ResolveError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl ResolveError {
    /// In words, for the path that was asked for.
    pub(crate) fn explain(self, path: &str) -> Result<String, Error> {
        match self {
            Self::Outside(target) if target == path => {
                Ok(format!("{path} is neither in the output directory nor an input"))
            }
            Self::Outside(target) => Ok(format!(
                "{path} is a link to {target}, which is neither in the output directory nor an input"
            )),
            Self::Loop => Ok(format!("{path} is a link that leads through more than {LINK_LIMIT} links")),
            Self::Special => Ok(format!("{path} is neither a file nor a directory")),
            Self::Failed(error) => Err(error),
        }
    }
}

/// Finds what paths and locations mean.
pub(crate) struct Resolver<'a> {
    finished: Finished<'a>,
    outdir: String,
    outdir_location: String,
    by_target: HashMap<&'a str, &'a StagingEntry>,
    by_location: HashMap<String, &'a StagingEntry>,
    /// Files that a listing showed, by their paths without links, with their sizes: nothing changes any more, and
    /// each is asked for several times.
    files: RefCell<HashMap<String, u64>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(finished: Finished<'a>) -> Self {
        let mut by_target = HashMap::new();
        let mut by_location = HashMap::new();
        for entry in finished.staged {
            by_target.entry(entry.target.as_str()).or_insert(entry);
            if let (StagingSource::Location { location, .. }, false) = (&entry.source, entry.writable) {
                by_location.entry(location_key(location)).or_insert(entry);
            }
        }
        let outdir = normal(finished.outdir);
        let outdir_location = (finished.to_host)(&outdir);
        Self { finished, outdir, outdir_location, by_target, by_location, files: RefCell::default() }
    }

    pub(crate) fn finished(&self) -> Finished<'a> {
        self.finished
    }

    pub(crate) fn outdir(&self) -> &str {
        &self.outdir
    }

    /// The location of a path in the output directory.
    pub(crate) fn location_of(&self, path: &str) -> String {
        (self.finished.to_host)(path)
    }

    /// The absolute, normal form of a path that a tool wrote.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { normal(path) } else { normal(&format!("{}/{path}", self.outdir)) }
    }

    /// What is at a path, links followed. `None`: nothing is there.
    pub(crate) fn resolve(&self, path: &str) -> Result<Option<Found>, ResolveError> {
        let path = self.absolute(path);
        if let Some(size) = self.files.borrow().get(&path) {
            return Ok(Some(Found::File { path, size: *size }));
        }
        let mut pending: Vec<String> = parts_reversed(&path).collect();
        let mut reached = String::new();
        let mut links = 0;
        let mut found = None;
        while let Some(part) = pending.pop() {
            if part == ".." {
                reached.truncate(reached.rfind('/').unwrap_or(0));
                continue;
            }
            let parent = reached.len();
            reached.push('/');
            reached.push_str(&part);
            if reached == self.outdir || is_inside(&self.outdir, &reached) {
                continue;
            }
            if !is_inside(&reached, &self.outdir) {
                return self.staged_at(&reached, &mut pending);
            }
            found = match self.finished.tree.stat(&reached)? {
                None => return Ok(None),
                Some(Kind::File { .. }) if !pending.is_empty() => return Ok(None),
                Some(Kind::File { size }) => Some(Found::File { path: reached.clone(), size }),
                Some(Kind::Directory) => None,
                Some(Kind::Input) => return self.staged_at(&reached, &mut pending),
                Some(Kind::Other) => return Err(ResolveError::Special),
                Some(Kind::Link { target }) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(ResolveError::Loop);
                    }
                    reached.truncate(if target.starts_with('/') { 0 } else { parent });
                    pending.extend(parts_reversed(&target));
                    None
                }
            };
        }
        if reached != self.outdir && !is_inside(&reached, &self.outdir) {
            return Err(ResolveError::Outside(if reached.is_empty() { "/".to_owned() } else { reached }));
        }
        Ok(Some(found.unwrap_or(Found::Directory { path: reached })))
    }

    /// What is staged at a path with `pending` parts behind it.
    fn staged_at(&self, reached: &str, pending: &mut Vec<String>) -> Result<Option<Found>, ResolveError> {
        let mut path = reached.to_owned();
        while let Some(part) = pending.pop() {
            path.push('/');
            path.push_str(&part);
        }
        let path = normal(&path);
        let by_target = nearest(&path, |path| self.by_target.get(path).copied()).map(|(entry, rest)| {
            match &entry.source {
                StagingSource::Location { location, .. } if !entry.writable => under(location, rest),
                _ => self.location_of(&path),
            }
        });
        // Where nothing hides the host, a tool may name an input by its own path.
        let location = by_target.or_else(|| self.input_at(&path)).ok_or(ResolveError::Outside(path))?;
        let stat = self.finished.files.stat(&location)?;
        Ok(stat.map(|stat| Found::Staged { location, stat }))
    }

    /// The location of an input, or of something in it, by a path on the host or another key of
    /// [`location_key`].
    fn input_at(&self, key: &str) -> Option<String> {
        let (entry, rest) = nearest(key, |key| self.by_location.get(key).copied())?;
        match &entry.source {
            StagingSource::Location { location, .. } => Some(under(location, rest)),
            StagingSource::Literal(_) | StagingSource::EmptyDirectory => None,
        }
    }

    /// What a location means that stands in a File or Directory of an output: that of an input, of an
    /// output on the host, a `file:` URI of a path of the tool, or relative to the output directory.
    /// With its path, if it is one of the tool.
    pub(crate) fn resolve_location(
        &self,
        written: &str,
    ) -> Result<(Option<String>, Option<Found>), ResolveError> {
        if !location::is_absolute(written) {
            let path = self.absolute(&location::decode(written));
            let found = self.resolve(&path)?;
            return Ok((Some(path), found));
        }
        let key = location_key(written);
        if let Some(location) = self.input_at(&key) {
            let stat = self.finished.files.stat(&location)?;
            return Ok((None, stat.map(|stat| Found::Staged { location, stat })));
        }
        let below = match key.strip_prefix(&location_key(&self.outdir_location)) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Some(format!("{}{rest}", self.outdir)),
            _ => None,
        };
        match below.or_else(|| location::file_path(written)) {
            Some(path) => {
                let path = normal(&path);
                let found = self.resolve(&path)?;
                Ok((Some(path), found))
            }
            None => Err(ResolveError::Outside(written.to_owned())),
        }
    }

    /// The entries of a directory of the output directory, in the order of their names' bytes.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<TreeEntry>, Error> {
        let mut entries = self.finished.tree.list(path)?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut files = self.files.borrow_mut();
        for entry in &entries {
            if let Kind::File { size } = entry.kind {
                files.insert(format!("{path}/{}", entry.name), size);
            }
        }
        Ok(entries)
    }
}

/// Patterns look through links, but not to the outside.
impl Look for Resolver<'_> {
    fn names(&self, directory: &str) -> Result<Vec<String>, Error> {
        match self.look(directory)? {
            Some(Found::Directory { path }) => {
                Ok(self.list(&path)?.into_iter().map(|entry| entry.name).collect())
            }
            Some(Found::Staged { location, stat: Stat { is_directory: true, .. } }) => {
                Ok(self.finished.files.list(&location)?.into_iter().map(|entry| entry.name).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.look(parent)? {
            Some(Found::Directory { path }) => {
                Ok(self.finished.tree.stat(&format!("{path}/{name}"))?.is_some())
            }
            Some(Found::Staged { location, .. }) => {
                Ok(self.finished.files.stat(&location::child(&location, name))?.is_some())
            }
            _ => Ok(false),
        }
    }

    fn is_directory(&self, path: &str) -> Result<bool, Error> {
        Ok(matches!(
            self.look(path)?,
            Some(Found::Directory { .. } | Found::Staged { stat: Stat { is_directory: true, .. }, .. })
        ))
    }
}

impl Resolver<'_> {
    /// Like [`Self::resolve`]; what leads nowhere is not there.
    fn look(&self, path: &str) -> Result<Option<Found>, Error> {
        match self.resolve(path) {
            Ok(found) => Ok(found),
            Err(ResolveError::Failed(error)) => Err(error),
            Err(ResolveError::Outside(_) | ResolveError::Loop | ResolveError::Special) => Ok(None),
        }
    }
}

/// The parts of a path, the last one first.
fn parts_reversed(path: &str) -> impl Iterator<Item = String> + '_ {
    path.rsplit('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned)
}

/// An absolute path without `.`, `..` and empty parts; the root is empty.
pub(crate) fn normal(path: &str) -> String {
    if path.starts_with('/') && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")) {
        return path.to_owned();
    }
    let mut normal: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal.iter().flat_map(|part| ["/", part]).collect()
}

/// Whether a path lies below a directory.
pub(crate) fn is_inside(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// What is known about a path, or else about the nearest directory around it, with the rest of the path.
fn nearest<T>(path: &str, known: impl Fn(&str) -> Option<T>) -> Option<(T, &str)> {
    let mut around = path;
    loop {
        if let Some(found) = known(around) {
            return Some((found, path.get(around.len()..).unwrap_or_default().trim_start_matches('/')));
        }
        around = around.get(..around.rfind('/')?)?;
    }
}

fn under(location: &str, rest: &str) -> String {
    if rest.is_empty() { location.to_owned() } else { location::child(location, rest) }
}

/// The same for all ways to write a location: the path of a `file:` URI.
fn location_key(location: &str) -> String {
    location::file_path(location)
        .map_or_else(|| location.trim_end_matches('/').to_owned(), |path| normal(&path))
}

#[cfg(test)]
mod tests;
