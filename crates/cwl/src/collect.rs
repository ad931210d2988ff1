//! The output object of a finished tool (CWL v1.2 CommandLineTool §"CommandOutputBinding").

use std::sync::Arc;

use moil_salad::source::Place;

use crate::conform;
use crate::cwl_output_json;
use crate::error::{Error, MissingFile};
use crate::expression::Context;
use crate::finished::{Finished, Found, ResolveError, Resolver};
use crate::glob::{self, ExpandError};
use crate::inherit::Effective;
use crate::load_contents::{contents, listing, listing_in_force};
use crate::parameter::{LoadListing, OutputBinding, SecondaryFilePattern, Stream};
use crate::parameter_reference::Reference;
use crate::process::{CommandLineTool, Version};
use crate::secondary_files::{Wanted, wanted};
use crate::streams;
use crate::text::Text;
use crate::types::{RecordType, Type};
use crate::value::{Directory, File, Value, ValueMap};

mod locate;

use locate::Locator;

/// How deep record types may be nested.
const DEPTH_LIMIT: usize = 100;

/// The output object of a job whose tool succeeded.
///
/// `context.inputs` must be staged, with the paths that the tool saw; `context.runtime` has `exitCode` (since v1.1).
/// Where the tool wrote `cwl.output.json`, that is the output object; bindings do not count then.
///
/// In the result every File and Directory that the tool made has its `path`, as the tool saw it, the
/// `location` that `finished.to_host` gives once links are followed, and its `size`; a Directory has a deep `listing` where `loadListing` asks for one or links in it lead elsewhere. Those that are inputs
/// have the inputs' own locations. Literals stay literals. Checksums are computed only where `outputEval` may see them.
///
/// # Errors
/// What expressions give; an output that is not there or has another type; a file that is neither in the output directory nor
/// an input; [`Error::MissingFiles`] with all missing secondary files of an output.
pub fn outputs(
    tool: &CommandLineTool,
    effective: &Effective,
    context: &Context<'_>,
    finished: Finished<'_>,
) -> Result<Value, Error> {
    let resolver = Resolver::new(finished);
    let collector = Collector { tool, effective, context, resolver: &resolver };
    let mut collected = ValueMap::new();
    match cwl_output_json::read(&resolver)? {
        Some(written) => {
            for (name, value) in &written {
                let output = tool.common.output(name);
                if output.is_none() && effective.version >= Version::V1_3Dev {
                    continue;
                }
                let place = output.map_or(&tool.common.place, |output| &output.place);
                let value = Locator::new(&resolver, place, name).finish(value)?;
                collected.insert(Arc::clone(name), value);
            }
            for output in &tool.common.outputs {
                let value = collected.get(&output.name).unwrap_or(&Value::Null);
                conform::check(value, &output.type_, &output.name).map_err(|mismatch| {
                    Error::invalid(&output.place, format!("{}: output {mismatch}", cwl_output_json::NAME))
                })?;
            }
        }
        None => {
            for output in &tool.common.outputs {
                let declared = Declared {
                    name: output.name.to_string(),
                    place: &output.place,
                    type_: &output.type_,
                    binding: output.binding.as_ref(),
                    secondary_files: &output.secondary_files,
                    format: output.format.as_ref(),
                    stream: output.stream,
                };
                let value = collector.collect(&declared, 0)?;
                let value = Locator::new(&resolver, &output.place, &output.name).finish(&value)?;
                conform::check(&value, &output.type_, &output.name)
                    .map_err(|mismatch| Error::invalid(&output.place, format!("output {mismatch}")))?;
                collected.insert(Arc::clone(&output.name), value);
            }
        }
    }
    Ok(Value::map(collected))
}

/// An output parameter, or a field of a record type.
struct Declared<'a> {
    /// As messages show it.
    name: String,
    place: &'a Place,
    type_: &'a Type,
    binding: Option<&'a OutputBinding>,
    secondary_files: &'a [SecondaryFilePattern],
    format: Option<&'a Text>,
    stream: Option<Stream>,
}

impl Declared<'_> {
    fn invalid(&self, message: impl std::fmt::Display) -> Error {
        Error::invalid(self.place, format!("output {} {message}", self.name))
    }
}

struct Collector<'a> {
    tool: &'a CommandLineTool,
    effective: &'a Effective,
    context: &'a Context<'a>,
    resolver: &'a Resolver<'a>,
}

impl Collector<'_> {
    fn collect(&self, declared: &Declared<'_>, depth: usize) -> Result<Value, Error> {
        let Some(binding) = declared.binding else {
            return match declared.type_ {
                Type::Record(record) => self.record(declared, record, depth),
                _ => Ok(Value::Null),
            };
        };
        let mut found = Vec::new();
        let patterns = self.patterns(declared, binding)?;
        for pattern in &patterns {
            for path in self.expand(declared, pattern)? {
                found.push(self.loaded(declared, binding, &path)?);
            }
        }
        let result = match &binding.output_eval {
            Some(text) => self.context.evaluate(text, &Value::list(found))?,
            None => Value::list(found),
        };
        let result = self.single(declared, &patterns, result)?;
        if let (Type::Record(record), true) = (declared.type_, is_empty(&result)) {
            return self.record(declared, record, depth);
        }
        let result = self.with_secondary_files(declared, result)?;
        self.with_format(declared, result)
    }

    fn record(&self, declared: &Declared<'_>, record: &RecordType, depth: usize) -> Result<Value, Error> {
        if depth >= DEPTH_LIMIT {
            return Err(declared.invalid(format!("is nested more than {DEPTH_LIMIT} levels deep")));
        }
        let mut entries = ValueMap::with_capacity(record.fields.len());
        for field in &record.fields {
            let declared = Declared {
                name: format!("{}.{}", declared.name, field.name),
                place: declared.place,
                type_: &field.type_,
                binding: field.output_binding.as_ref(),
                secondary_files: &field.secondary_files,
                format: field.format.first(),
                stream: None,
            };
            entries.insert(Arc::clone(&field.name), self.collect(&declared, depth + 1)?);
        }
        Ok(Value::map(entries))
    }

    fn patterns(&self, declared: &Declared<'_>, binding: &OutputBinding) -> Result<Vec<Pattern>, Error> {
        if let Some(stream) = declared.stream {
            // Its name is a name: what looks like a pattern in it means nothing.
            let streams = streams::streams(self.tool, self.context)?;
            let name = match stream {
                Stream::Stdout => streams.stdout,
                Stream::Stderr => streams.stderr,
            };
            return Ok(name.into_iter().map(Pattern::Name).collect());
        }
        let mut patterns = Vec::new();
        for text in &binding.glob {
            let value = self.context.evaluate(text, &Value::Null)?;
            for item in value.as_list().unwrap_or(std::slice::from_ref(&value)) {
                match item {
                    Value::Null => {}
                    Value::String(pattern) if pattern.is_empty() => {}
                    Value::String(pattern) => patterns.push(Pattern::Glob(pattern.to_string())),
                    other => {
                        let message =
                            format!("glob gives {}, but must give strings", conform::describe(other));
                        return Err(Error::invalid(&text.place, message));
                    }
                }
            }
        }
        Ok(patterns)
    }

    fn expand(&self, declared: &Declared<'_>, pattern: &Pattern) -> Result<Vec<String>, Error> {
        match pattern {
            Pattern::Name(name) => {
                let path = self.resolver.absolute(name);
                Ok(if glob::Look::exists(self.resolver, &path)? { vec![path] } else { Vec::new() })
            }
            Pattern::Glob(pattern) => {
                glob::expand(pattern, self.resolver.outdir(), self.resolver).map_err(|error| match error {
                    ExpandError::Tree(error) => error,
                    ExpandError::Outside(_) => {
                        declared.invalid(format!("cannot be collected: the glob {error}"))
                    }
                })
            }
        }
    }

    /// The File or Directory at a path that a pattern gave, as expressions see it.
    fn loaded(&self, declared: &Declared<'_>, binding: &OutputBinding, path: &str) -> Result<Value, Error> {
        let locator = Locator::new(self.resolver, declared.place, &declared.name);
        let how = listing_in_force(binding.load_listing, self.effective);
        let found = locator.found(path)?;
        let files = self.resolver.finished().files;
        let mut value = locator.value(path, found.clone());
        if let Value::File(file) = &mut value
            && binding.output_eval.as_ref().is_some_and(may_see_checksums)
            && let Some(location) = file.location.clone()
        {
            let checksum = files.checksum(&location).map_err(|e| declared.unreadable(e))?;
            Arc::make_mut(file).checksum = checksum;
        }
        Ok(match value {
            Value::File(file) if binding.load_contents => {
                let contents = Some(contents(&file, files).map_err(|e| declared.unreadable(e))?);
                Value::File(Arc::new(File { contents, ..(*file).clone() }))
            }
            Value::Directory(directory) if how != LoadListing::None => match found {
                Found::Staged { .. } => Value::Directory(Arc::new(listing(&directory, how, files)?)),
                Found::Directory { .. } | Found::File { .. } => {
                    let listing = locator.listing(path, how == LoadListing::Deep)?;
                    Value::Directory(Arc::new(Directory {
                        listing: Some(Arc::new(listing)),
                        ..(*directory).clone()
                    }))
                }
            },
            other => other,
        })
    }

    /// Takes a File out of the list of matches, where the type wants one.
    fn single(&self, declared: &Declared<'_>, patterns: &[Pattern], result: Value) -> Result<Value, Error> {
        let alternatives = declared.type_.alternatives();
        let optional = alternatives.contains(&Type::Null);
        let takes_one = alternatives.iter().any(|t| matches!(t, Type::File | Type::Directory));
        let takes_list = alternatives.iter().any(|t| matches!(t, Type::Array(_) | Type::Any));
        match (&result, takes_one) {
            (Value::List(items), _) if items.is_empty() && optional => Ok(Value::Null),
            (Value::List(items), true) => match items.as_slice() {
                [item] => Ok(item.clone()),
                _ if takes_list => Ok(result),
                [] => Err(declared.invalid(format!("is missing: nothing matches {}", shown(patterns)))),
                _ => Err(declared.invalid(format!(
                    "must be one file, but {} match {}",
                    items.len(),
                    shown(patterns)
                ))),
            },
            _ => Ok(result),
        }
    }

    fn with_secondary_files(&self, declared: &Declared<'_>, result: Value) -> Result<Value, Error> {
        if declared.secondary_files.is_empty() {
            return Ok(result);
        }
        let mut missing = Vec::new();
        let result = each(result, &mut |value| match value {
            Value::File(file) => self.beside(declared, &file, &mut missing),
            other => Ok(other),
        })?;
        if missing.is_empty() { Ok(result) } else { Err(Error::MissingFiles(missing)) }
    }

    fn beside(
        &self,
        declared: &Declared<'_>,
        file: &Arc<File>,
        missing: &mut Vec<MissingFile>,
    ) -> Result<Value, Error> {
        let locator = Locator::new(self.resolver, declared.place, &declared.name);
        let Some(path) = locator.path_of(file)? else { return Ok(Value::File(Arc::clone(file))) };
        let name = path.rsplit('/').next().unwrap_or_default();
        let basename = file.basename.clone().unwrap_or_else(|| name.into());
        let primary = Value::File(Arc::new(File {
            path: Some(path.as_str().into()),
            basename: Some(basename),
            ..(**file).clone()
        }));
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let mut secondary_files = (*file.secondary_files).clone();
        for pattern in declared.secondary_files {
            let (wanted, required) = wanted(pattern, &primary, false, self.context)?;
            for item in wanted {
                let (path, found) = match item {
                    Wanted::Name(name) => {
                        let path = self.resolver.absolute(&format!("{directory}/{name}"));
                        let found = locator.explained(&path, self.resolver.resolve(&path))?;
                        (path.clone(), found.map(|found| locator.value(&path, found)))
                    }
                    Wanted::Object(object) => (conform::describe(&object), locator.existing(&object)?),
                };
                match found {
                    Some(found) if locate::holds(&secondary_files, &found) => {}
                    Some(found) => secondary_files.push(found),
                    None if required => {
                        missing.push(MissingFile { input: declared.name.clone(), location: path })
                    }
                    None => {}
                }
            }
        }
        let Value::File(primary) = primary else { return Ok(Value::Null) };
        Ok(Value::File(Arc::new(File {
            secondary_files: Arc::new(secondary_files),
            has_secondary_files: true,
            ..(*primary).clone()
        })))
    }

    fn with_format(&self, declared: &Declared<'_>, result: Value) -> Result<Value, Error> {
        let Some(text) = declared.format else { return Ok(result) };
        each(result, &mut |value| match value {
            Value::File(file) => {
                let self_ = Value::File(Arc::clone(&file));
                match self.context.evaluate(text, &self_)? {
                    Value::String(format) => {
                        Ok(Value::File(Arc::new(File { format: Some(format), ..(*file).clone() })))
                    }
                    other => {
                        let message =
                            format!("format is {}, but must be a string", conform::describe(&other));
                        Err(Error::invalid(&text.place, message))
                    }
                }
            }
            other => Ok(other),
        })
    }
}

enum Pattern {
    /// The name of a stream's file.
    Name(String),
    Glob(String),
}

fn shown(patterns: &[Pattern]) -> String {
    let shown: Vec<String> = patterns
        .iter()
        .map(|pattern| match pattern {
            Pattern::Name(text) | Pattern::Glob(text) => format!("{text:?}"),
        })
        .collect();
    if shown.is_empty() { "no pattern".to_owned() } else { shown.join(" or ") }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_list().is_some_and(<[Value]>::is_empty)
}

/// Whether an expression may see the checksums of the files that it is given. References to other fields
/// do not; a reference to a whole file hands it on, and then it is published with its checksum anyway.
fn may_see_checksums(text: &Text) -> bool {
    let reference = text.text.trim().strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
    text.text.contains("checksum") || reference.and_then(Reference::parse).is_none()
}

/// Changes a value, or each item of a list.
fn each(value: Value, change: &mut dyn FnMut(Value) -> Result<Value, Error>) -> Result<Value, Error> {
    match value {
        Value::List(items) => Ok(Value::list(items.iter().cloned().map(change).collect::<Result<_, _>>()?)),
        other => change(other),
    }
}

impl Declared<'_> {
    fn unreadable(&self, error: Error) -> Error {
        match error {
            Error::File { location, reason } => {
                self.invalid(format!("cannot be loaded: {location}: {reason}"))
            }
            other => other,
        }
    }
}

impl Locator<'_> {
    /// What is at a path; the words for an error where it leads elsewhere.
    fn explained(
        &self,
        path: &str,
        found: Result<Option<Found>, ResolveError>,
    ) -> Result<Option<Found>, Error> {
        match found {
            Ok(found) => Ok(found),
            Err(error) => Err(self.invalid(error.explain(path)?)),
        }
    }
}

#[cfg(test)]
mod tests;
