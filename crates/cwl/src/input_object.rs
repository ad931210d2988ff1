//! Input objects: what a job file holds, or options say (CWL v1.2 §"Execution of CWL documents as scripts", §"Input object").

use std::sync::Arc;

use indexmap::IndexMap;
use moil_salad::diagnostic::{Diagnostic, Severity};
use moil_salad::fetch::Fetch;
use moil_salad::node::{Kind, Map, Node};
use moil_salad::source::{Place, Source};
use moil_salad::uri;

use crate::error::{Error, MissingFile};
use crate::file_object;
use crate::files::{Files, Stat};
use crate::json;
use crate::overrides::requirement_list;
use crate::process::Common;
use crate::value::{Directory, File, Value, ValueMap};

/// How deep an input object may be nested, imports included.
const MAX_DEPTH: usize = json::MAX_DEPTH;

const CWL: &str = "https://w3id.org/cwl/cwl#";
const CWLTOOL: &str = "http://commonwl.org/cwltool#";

/// An input object, ready for [`crate::process_inputs`].
#[derive(Clone, Debug, Default)]
pub struct InputObject {
    /// The values of inputs by name. Files have absolute locations and basenames.
    pub values: ValueMap,
    /// `cwl:requirements`: a list of mappings with `class`, shorthands within them not expanded.
    pub requirements: Vec<Node>,
    /// `cwltool:overrides`, for [`crate::overrides::from_node`] once the process is known.
    pub overrides: Option<Node>,
    /// `cwl:tool`: the absolute URI of the process to run.
    pub tool: Option<String>,
    /// Absolute URIs of the texts that were imported or included.
    pub sources: Vec<String>,
}

/// What reading an input object takes besides its text.
pub struct Reading<'a> {
    /// The URI that relative references are resolved against: that of the file, or of the current
    /// directory with a slash at its end.
    pub base: &'a str,
    /// `$namespaces` of the process; those of the input object are added, but never replace these.
    pub namespaces: &'a IndexMap<String, String>,
    /// For `$import` and `$include`.
    pub fetch: &'a dyn Fetch,
    /// The reader of texts that are imported: `moil_salad::reader::read`.
    pub read: &'a dyn Fn(&Arc<Source>) -> (Option<Node>, Vec<Diagnostic>),
}

/// The input object that a text holds. Nothing at all counts as an empty one.
///
/// # Errors
/// [`Error::Invalid`], with the place: anything but a mapping, a File or Directory that is none,
/// an import that cannot be read.
pub fn from_node(node: &Node, reading: &Reading<'_>) -> Result<InputObject, Error> {
    let mut object = InputObject::default();
    let empty = Map::default();
    let map = match &node.kind {
        Kind::Map(map) => map,
        Kind::Null => &empty,
        _ => {
            let message = format!(
                "an input object must be a mapping of inputs to values, but this is {}",
                node.describe()
            );
            return Err(Error::invalid(&node.place, message));
        }
    };
    let mut namespaces = reading.namespaces.clone();
    if let Some(Kind::Map(own)) = map.get("$namespaces").map(|node| &node.kind) {
        for entry in &own.entries {
            if let Some(iri) = entry.value.as_str() {
                namespaces.entry(entry.key.clone()).or_insert_with(|| iri.to_owned());
            }
        }
    }
    let mut reader = Reader { reading, namespaces, sources: Vec::new() };
    for entry in &map.entries {
        if matches!(entry.key.as_str(), "$namespaces" | "$schemas") {
            continue;
        }
        let iri = reader.expand(&entry.key);
        match iri
            .strip_prefix(CWL)
            .map(|name| ("cwl", name))
            .or(iri.strip_prefix(CWLTOOL).map(|name| ("cwltool", name)))
        {
            Some(("cwl", "tool")) => {
                let Some(tool) = entry.value.as_str() else {
                    let message = format!("cwl:tool must be a string, but is {}", entry.value.describe());
                    return Err(Error::invalid(&entry.value.place, message));
                };
                object.tool = Some(uri::join(reading.base, tool));
            }
            Some(("cwl", "requirements")) => object.requirements = requirement_list(&entry.value)?,
            Some(("cwltool", "overrides")) => object.overrides = Some(entry.value.clone()),
            _ => {
                let value = reader.value(&entry.value, reading.base, 0)?;
                object.values.insert(entry.key.as_str().into(), value);
            }
        }
    }
    object.sources = reader.sources;
    Ok(object)
}

/// Names of values that the process has no input for, each with a sentence that says so.
pub fn unknown_inputs(common: &Common, values: &ValueMap) -> Vec<String> {
    let known = || common.inputs.iter().map(|input| &*input.name).collect::<Vec<_>>().join(", ");
    values
        .keys()
        .filter(|name| common.input(name).is_none())
        .map(|name| match common.inputs.is_empty() {
            true => format!("{name} is given, but the process has no inputs"),
            false => format!("{name} is given, but is no input of the process; its inputs are {}", known()),
        })
        .collect()
}

/// Checks that every file of an input object is there, and adds sizes.
///
/// # Errors
/// [`Error::MissingFiles`] with all that are not; [`Error::Invalid`] for a File that is a directory
/// and the reverse; [`Error::File`] where it cannot be found out.
pub fn check_files(values: &ValueMap, files: &dyn Files) -> Result<ValueMap, Error> {
    let mut completed = ValueMap::with_capacity(values.len());
    let mut missing = Vec::new();
    for (name, value) in values {
        completed.insert(Arc::clone(name), add_sizes(value, name, None, true, files, &mut missing)?);
    }
    if missing.is_empty() { Ok(completed) } else { Err(Error::MissingFiles(missing)) }
}

/// A value with the sizes of its files. Files that have one are taken to be there; with `all`, they
/// and directories are looked for as well. `place` is whose demand a wrong kind of file breaks.
pub(crate) fn add_sizes(
    value: &Value,
    path: &str,
    place: Option<&Place>,
    all: bool,
    files: &dyn Files,
    missing: &mut Vec<MissingFile>,
) -> Result<Value, Error> {
    if !wants_sizes(value, all) {
        return Ok(value.clone());
    }
    let mut look = |location: &Arc<str>, class: &str| -> Result<Option<Stat>, Error> {
        let stat = files.stat(location)?;
        match stat {
            Some(stat) if stat.is_directory != (class == "Directory") => {
                let found = if stat.is_directory { "a directory" } else { "no directory" };
                let message = format!("{path} is a {class}, but {location} is {found}");
                return Err(Error::Invalid { place: place.cloned(), message });
            }
            None => missing.push(MissingFile { input: path.to_owned(), location: location.to_string() }),
            Some(_) => {}
        }
        Ok(stat)
    };
    Ok(match value {
        Value::File(file) => {
            let mut file = File::clone(file);
            if let Some(location) = file.location.as_ref().filter(|_| all || file.size.is_none()) {
                let size = look(location, "File")?.map(|stat| stat.size);
                file.size = size.or(file.size);
            }
            file.secondary_files =
                Arc::new(add_sizes_to(&file.secondary_files, path, place, all, files, missing)?);
            Value::File(Arc::new(file))
        }
        Value::Directory(directory) => {
            let mut directory = Directory::clone(directory);
            if let Some(location) = directory.location.as_ref().filter(|_| all) {
                look(location, "Directory")?;
            }
            if let Some(listing) = &directory.listing {
                directory.listing = Some(Arc::new(add_sizes_to(listing, path, place, all, files, missing)?));
            }
            Value::Directory(Arc::new(directory))
        }
        Value::List(items) => {
            let mut completed = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                completed.push(add_sizes(item, &format!("{path}[{index}]"), place, all, files, missing)?);
            }
            Value::list(completed)
        }
        Value::Map(entries) => {
            let mut completed = ValueMap::with_capacity(entries.len());
            for (name, item) in entries.iter() {
                let item = add_sizes(item, &format!("{path}.{name}"), place, all, files, missing)?;
                completed.insert(Arc::clone(name), item);
            }
            Value::map(completed)
        }
        other => other.clone(),
    })
}

fn add_sizes_to(
    items: &[Value],
    path: &str,
    place: Option<&Place>,
    all: bool,
    files: &dyn Files,
    missing: &mut Vec<MissingFile>,
) -> Result<Vec<Value>, Error> {
    items.iter().map(|item| add_sizes(item, path, place, all, files, missing)).collect()
}

/// Whether there is anything to look for. Most values of a run have been looked at before.
fn wants_sizes(value: &Value, all: bool) -> bool {
    match value {
        Value::File(file) => {
            file.location.is_some() && (all || file.size.is_none())
                || file.secondary_files.iter().any(|item| wants_sizes(item, all))
        }
        Value::Directory(directory) => {
            all && directory.location.is_some()
                || directory
                    .listing
                    .iter()
                    .flat_map(|listing| listing.iter())
                    .any(|item| wants_sizes(item, all))
        }
        Value::List(items) => items.iter().any(|item| wants_sizes(item, all)),
        Value::Map(entries) => entries.values().any(|item| wants_sizes(item, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

struct Reader<'a> {
    reading: &'a Reading<'a>,
    namespaces: IndexMap<String, String>,
    sources: Vec<String>,
}

impl Reader<'_> {
    /// A name with its prefix replaced by the namespace that it stands for.
    fn expand(&self, name: &str) -> String {
        let Some((prefix, rest)) = name.split_once(':') else { return name.to_owned() };
        let built_in = match prefix {
            "cwl" => Some(CWL),
            "cwltool" => Some(CWLTOOL),
            _ => None,
        };
        match self.namespaces.get(prefix).map(String::as_str).or(built_in) {
            Some(namespace) => format!("{namespace}{rest}"),
            None => name.to_owned(),
        }
    }

    fn value(&mut self, node: &Node, base: &str, depth: usize) -> Result<Value, Error> {
        if depth > MAX_DEPTH {
            let message = format!("the input object is nested more than {MAX_DEPTH} levels deep");
            return Err(Error::invalid(&node.place, message));
        }
        match &node.kind {
            Kind::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.push(self.value(item, base, depth + 1)?);
                }
                Ok(Value::list(values))
            }
            Kind::Map(map) => match map.entries.as_slice() {
                [only] if matches!(only.key.as_str(), "$import" | "$include") => {
                    let Some(reference) = only.value.as_str() else {
                        let message =
                            format!("{} must name a file, but is {}", only.key, only.value.describe());
                        return Err(Error::invalid(&only.value.place, message));
                    };
                    let target = uri::join(base, reference);
                    self.foreign(&only.key, &target, &only.value.place, depth)
                }
                _ if matches!(map.get("class").and_then(Node::as_str), Some("File" | "Directory")) => {
                    self.object(node, base)
                }
                entries => {
                    let mut values = ValueMap::with_capacity(entries.len());
                    for entry in entries {
                        let value = self.value(&entry.value, base, depth + 1)?;
                        values.insert(entry.key.as_str().into(), value);
                    }
                    Ok(Value::map(values))
                }
            },
            _ => plain(node),
        }
    }

    /// What `$import` or `$include` names.
    fn foreign(&mut self, how: &str, target: &str, place: &Place, depth: usize) -> Result<Value, Error> {
        let failed = |reason: &str| Error::invalid(place, format!("cannot read {target}: {reason}"));
        let text = self.reading.fetch.text(target).map_err(|reason| failed(&reason))?;
        self.sources.push(target.to_owned());
        if how == "$include" {
            return Ok(Value::from(text));
        }
        let source = Arc::new(Source { uri: target.to_owned(), text });
        let (node, diagnostics) = (self.reading.read)(&source);
        if let Some(fault) = diagnostics.into_iter().find(|d| d.severity == Severity::Error) {
            return Err(Error::Invalid {
                place: fault.place.or(Some(place.clone())),
                message: fault.message,
            });
        }
        match node {
            Some(node) => self.value(&node, target, depth + 1),
            None => Err(failed("it holds nothing")),
        }
    }

    fn object(&self, node: &Node, base: &str) -> Result<Value, Error> {
        let value = file_object::normalise(&plain(node)?, Some(base))
            .map_err(|message| Error::invalid(&node.place, message))?;
        value.try_map_files(&mut |object| {
            Ok(match object {
                Value::File(file) if file.format.is_some() => {
                    let format = file.format.as_deref().map(|format| self.expand(format).into());
                    Value::File(Arc::new(File { format, ..(*file).clone() }))
                }
                // What is on disk counts, not what somebody once wrote down about it.
                Value::Directory(directory)
                    if directory.location.is_some() && directory.listing.is_some() =>
                {
                    Value::Directory(Arc::new(Directory { listing: None, ..(*directory).clone() }))
                }
                other => other,
            })
        })
    }
}

fn plain(node: &Node) -> Result<Value, Error> {
    json::try_from_node(node)
        .map_err(|diagnostic| Error::Invalid { place: diagnostic.place, message: diagnostic.message })
}

#[cfg(test)]
mod tests;
