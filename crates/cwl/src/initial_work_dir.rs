//! What InitialWorkDirRequirement puts into the output directory before the tool runs.

use std::collections::HashMap;
use std::sync::Arc;

use moil_salad::source::Place;

use crate::conform::describe;
use crate::error::Error;
use crate::expression::Context;
use crate::finished::{is_inside, normal};
use crate::inherit::Effective;
use crate::print;
use crate::requirement::WorkDirEntry;
use crate::staging::{Stager, Staging, StagingEntry, StagingSource};
use crate::value::{Directory, File, Value};

/// How deep lists in lists may be nested.
const DEPTH_LIMIT: usize = 100;

/// What is put into the output directory, and the inputs that moved there.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkDir {
    /// The staged inputs; those that were put into the output directory have their paths and basenames
    /// there.
    pub inputs: Value,
    /// What has to be put in place, beside what [`Staging::entries`] demands.
    pub entries: Vec<StagingEntry>,
}

/// Evaluates the listing (CWL v1.2 CommandLineTool §"InitialWorkDirRequirement").
///
/// `context.inputs` and `staging` are the staged inputs. `outdir` is the output directory as the tool
/// sees it; `container` says that the tool runs in one. Names may lead into directories below the output
/// directory; only in a container, and where DockerRequirement is a requirement, they may be absolute.
///
/// # Errors
/// What expressions give; results that cannot be staged; names that lead elsewhere; two things of one
/// name; something that would be put into a directory that is not writable.
pub fn work_dir(
    entries: &[WorkDirEntry],
    effective: &Effective,
    context: &Context<'_>,
    staging: &Staging,
    outdir: &str,
    container: bool,
) -> Result<WorkDir, Error> {
    let absolute_names = container && effective.docker.as_ref().is_some_and(|(_, required)| *required);
    let known = Known::new(&staging.inputs);
    let mut builder =
        Builder { outdir, absolute_names, known: &known, stager: Stager::default(), moved: Moved::default() };
    for entry in entries {
        match entry {
            WorkDirEntry::Value(value) => builder.listed(value, None, 0)?,
            WorkDirEntry::Text(text) => {
                let value = context.evaluate(text, &Value::Null)?;
                builder.listed(&value, Some(&text.place), 0)?;
            }
            WorkDirEntry::Dirent { entry, entryname, writable } => {
                let value = context.evaluate_unstripped(entry, &Value::Null)?;
                let name = match entryname {
                    None => None,
                    Some(text) => match context.evaluate(text, &Value::Null)? {
                        Value::String(name) => Some(name).filter(|name| !name.is_empty()),
                        Value::Null => None,
                        other => {
                            let message = format!("entryname is {}, but must be a string", describe(&other));
                            return Err(Error::invalid(&text.place, message));
                        }
                    },
                };
                builder.dirent(&value, name.as_deref(), *writable, Some(&entry.place))?;
            }
        }
    }
    let Builder { stager, moved, .. } = builder;
    let mut entries = stager.entries;
    // What holds others comes first.
    entries.sort_by(|a, b| a.target.split('/').cmp(b.target.split('/')));
    check_nesting(&entries)?;
    let inputs = moved.apply(&staging.inputs)?;
    Ok(WorkDir { inputs, entries })
}

/// Nothing may be put into a directory that is only linked: it would land in somebody's input.
fn check_nesting(entries: &[StagingEntry]) -> Result<(), Error> {
    let mut around: Vec<&StagingEntry> = Vec::new();
    for entry in entries {
        while around.last().is_some_and(|outer| !is_inside(&entry.target, &outer.target)) {
            around.pop();
        }
        let closed = around.iter().find(|outer| match &outer.source {
            StagingSource::EmptyDirectory => false,
            StagingSource::Location { is_directory: true, .. } => !outer.writable,
            StagingSource::Location { .. } | StagingSource::Literal(_) => true,
        });
        if let Some(outer) = closed {
            return Err(refused(
                None,
                format!(
                    "{} cannot be put into {}, which is not a writable directory",
                    entry.target, outer.target
                ),
            ));
        }
        around.push(entry);
    }
    Ok(())
}

fn refused(place: Option<&Place>, message: impl std::fmt::Display) -> Error {
    Error::Invalid { place: place.cloned(), message: format!("InitialWorkDirRequirement: {message}") }
}

struct Builder<'a> {
    outdir: &'a str,
    absolute_names: bool,
    known: &'a Known,
    stager: Stager,
    moved: Moved,
}

impl Builder<'_> {
    /// An item of the listing, or what an expression in its place gave.
    fn listed(&mut self, value: &Value, place: Option<&Place>, depth: usize) -> Result<(), Error> {
        match value {
            Value::Null => Ok(()),
            Value::File(_) | Value::Directory(_) => self.put(value, None, false, place),
            Value::List(_) if depth >= DEPTH_LIMIT => Err(refused(place, "lists are nested too deeply")),
            Value::List(items) => items.iter().try_for_each(|item| self.listed(item, place, depth + 1)),
            Value::Map(entries) if entries.contains_key("entry") => {
                let name = match value.field("entryname") {
                    Value::Null => None,
                    Value::String(name) => Some(name).filter(|name| !name.is_empty()),
                    other => {
                        return Err(refused(
                            place,
                            format!("entryname is {}, but must be a string", describe(other)),
                        ));
                    }
                };
                let writable = match value.field("writable") {
                    Value::Null => false,
                    Value::Bool(writable) => *writable,
                    other => {
                        return Err(refused(
                            place,
                            format!("writable is {}, but must be a boolean", describe(other)),
                        ));
                    }
                };
                self.dirent(value.field("entry"), name.map(|name| &**name), writable, place)
            }
            other => {
                let message = format!(
                    "the listing holds {}, but must hold Files, Directories, Dirents or null",
                    describe(other)
                );
                Err(refused(place, message))
            }
        }
    }

    fn dirent(
        &mut self,
        entry: &Value,
        name: Option<&str>,
        writable: bool,
        place: Option<&Place>,
    ) -> Result<(), Error> {
        let is_file = |value: &Value| matches!(value, Value::File(_) | Value::Directory(_));
        match entry {
            Value::Null => Ok(()),
            Value::File(_) | Value::Directory(_) => self.put(entry, name, writable, place),
            Value::List(items) if items.iter().all(is_file) => match name {
                Some(name) if !items.is_empty() => {
                    Err(refused(place, format!("entryname {name:?} cannot name {} files", items.len())))
                }
                _ => items.iter().try_for_each(|item| self.put(item, None, writable, place)),
            },
            other => {
                let Some(name) = name else { return Err(refused(place, "a text needs an entryname")) };
                let text = match other {
                    Value::String(text) => Arc::clone(text),
                    other => print::embedded(other).into(),
                };
                let file = File { contents: Some(text), ..File::default() };
                self.put(&Value::File(Arc::new(file)), Some(name), writable, place)
            }
        }
    }

    /// Puts a File or Directory under a name, or its own.
    fn put(
        &mut self,
        value: &Value,
        name: Option<&str>,
        writable: bool,
        place: Option<&Place>,
    ) -> Result<(), Error> {
        let value = self.known.complete(value);
        let (directory, value) = match name.or(basename_of(&value)) {
            None => (self.outdir.to_owned(), value),
            Some(name) => {
                let path =
                    self.target(name).map_err(|reason| refused(place, format!("{name:?} {reason}")))?;
                let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
                (directory.to_owned(), renamed(&value, name))
            }
        };
        let placed =
            self.stager.place(&value, &directory, writable).map_err(|error| match (error, place) {
                (Error::Invalid { place: None, message }, place) => refused(place, message),
                (error, _) => error,
            })?;
        self.moved.note(&value, &placed);
        Ok(())
    }

    /// The absolute path that a name means.
    fn target(&self, name: &str) -> Result<String, &'static str> {
        if name.contains('\0') {
            return Err("holds a NUL");
        }
        if name.starts_with('/') {
            let path = normal(name);
            return match self.absolute_names {
                _ if path.is_empty() => Err("is no name of a file"),
                true => Ok(path),
                false if is_inside(&path, self.outdir) => Ok(path),
                false => Err(
                    "is absolute: only a tool that must run in a container (DockerRequirement under requirements) can have that",
                ),
            };
        }
        let path = normal(&format!("{}/{name}", self.outdir));
        if is_inside(&path, &normal(self.outdir)) {
            Ok(path)
        } else {
            Err("leads out of the output directory")
        }
    }
}

fn basename_of(value: &Value) -> Option<&str> {
    match value {
        Value::File(file) => file.basename.as_deref(),
        Value::Directory(directory) => directory.basename.as_deref(),
        _ => None,
    }
}

fn renamed(value: &Value, name: &str) -> Value {
    let basename = Some(name.into());
    match value {
        Value::File(file) => Value::File(Arc::new(File { basename, ..(**file).clone() })),
        Value::Directory(directory) => {
            Value::Directory(Arc::new(Directory { basename, ..(**directory).clone() }))
        }
        other => other.clone(),
    }
}

/// The inputs by their paths: a script may hand back nothing but a path.
struct Known(HashMap<Arc<str>, Value>);

impl Known {
    fn new(inputs: &Value) -> Self {
        let mut known = HashMap::new();
        inputs.visit_files(&mut |value| {
            if let Some(path) = path_of(value) {
                known.insert(Arc::clone(path), value.clone());
            }
        });
        Self(known)
    }

    fn complete(&self, value: &Value) -> Value {
        match value {
            Value::File(file) if file.location.is_none() && file.contents.is_none() => {
                match file.path.as_ref().and_then(|path| self.0.get(path)) {
                    Some(Value::File(known)) => Value::File(Arc::new(File {
                        basename: file.basename.clone().or_else(|| known.basename.clone()),
                        ..(**known).clone()
                    })),
                    _ => value.clone(),
                }
            }
            Value::Directory(directory) if directory.location.is_none() && directory.listing.is_none() => {
                match directory.path.as_ref().and_then(|path| self.0.get(path)) {
                    Some(Value::Directory(known)) => Value::Directory(Arc::new(Directory {
                        basename: directory.basename.clone().or_else(|| known.basename.clone()),
                        ..(**known).clone()
                    })),
                    _ => value.clone(),
                }
            }
            other => other.clone(),
        }
    }
}

fn path_of(value: &Value) -> Option<&Arc<str>> {
    match value {
        Value::File(file) => file.path.as_ref(),
        Value::Directory(directory) => directory.path.as_ref(),
        _ => None,
    }
}

fn location_of(value: &Value) -> Option<&Arc<str>> {
    match value {
        Value::File(file) => file.location.as_ref(),
        Value::Directory(directory) => directory.location.as_ref(),
        _ => None,
    }
}

fn inner_of(value: &Value) -> &[Value] {
    match value {
        Value::File(file) => &file.secondary_files,
        Value::Directory(directory) => directory.listing.as_deref().map(Vec::as_slice).unwrap_or_default(),
        _ => &[],
    }
}

/// Where files went: by the paths that they had, and by their locations for those that lost them. The
/// last place counts.
#[derive(Default)]
struct Moved {
    by_path: HashMap<Arc<str>, Arc<str>>,
    by_location: HashMap<Arc<str>, Arc<str>>,
}

impl Moved {
    fn note(&mut self, from: &Value, to: &Value) {
        if let Some(target) = path_of(to) {
            if let Some(path) = path_of(from) {
                self.by_path.insert(Arc::clone(path), Arc::clone(target));
            }
            if let Some(location) = location_of(from) {
                self.by_location.insert(Arc::clone(location), Arc::clone(target));
            }
        }
        for (from, to) in inner_of(from).iter().zip(inner_of(to)) {
            self.note(from, to);
        }
    }

    /// The path that a File or Directory has now.
    fn path(&self, path: &Arc<str>, location: Option<&Arc<str>>) -> Arc<str> {
        if let Some(target) = self.by_path.get(path).or_else(|| self.by_location.get(location?)) {
            return Arc::clone(target);
        }
        // What lies in a directory that went elsewhere went along.
        let mut around: &str = path;
        while let Some((directory, _)) = around.rsplit_once('/') {
            if let Some(target) = self.by_path.get(directory) {
                let rest = path.get(directory.len()..).unwrap_or_default();
                return format!("{target}{rest}").into();
            }
            around = directory;
        }
        Arc::clone(path)
    }

    fn apply(&self, inputs: &Value) -> Result<Value, Error> {
        if self.by_path.is_empty() && self.by_location.is_empty() {
            return Ok(inputs.clone());
        }
        inputs.try_map_files(&mut |value| {
            Ok(match &value {
                Value::File(file) => match &file.path {
                    None => value,
                    Some(path) => {
                        let path = self.path(path, file.location.as_ref());
                        let basename = path.rsplit('/').next().map(Into::into);
                        Value::File(Arc::new(File { path: Some(path), basename, ..(**file).clone() }))
                    }
                },
                Value::Directory(directory) => match &directory.path {
                    None => value,
                    Some(path) => {
                        let path = self.path(path, directory.location.as_ref());
                        let basename = path.rsplit('/').next().map(Into::into);
                        Value::Directory(Arc::new(Directory {
                            path: Some(path),
                            basename,
                            ..(**directory).clone()
                        }))
                    }
                },
                _ => value,
            })
        })
    }
}

#[cfg(test)]
mod tests;
