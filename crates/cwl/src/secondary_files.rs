//! `secondaryFiles`: which files come along with another (CWL v1.2 §"SecondaryFileSchema").

use std::sync::Arc;

use moil_salad::source::Place;

use crate::conform::{describe, fits};
use crate::error::{Error, MissingFile};
use crate::expression::Context;
use crate::files::Files;
use crate::location;
use crate::parameter::{Input, Required, SecondaryFilePattern};
use crate::types::Type;
use crate::value::{Directory, File, Value, ValueMap};

/// Applies a pattern to a name: each leading `^` takes one extension off, the rest is appended. A `^`
/// too many does nothing.
pub fn substitute(basename: &str, pattern: &str) -> String {
    let mut root = basename;
    let mut suffix = pattern;
    while let Some(rest) = suffix.strip_prefix('^') {
        match root.rfind('.') {
            Some(dot) => {
                root = root.get(..dot).unwrap_or(root);
                suffix = rest;
            }
            None => suffix = suffix.trim_start_matches('^'),
        }
    }
    format!("{root}{suffix}")
}

/// One file that a pattern asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// A name beside the primary file.
    Name(String),
    /// A File or Directory that an expression gave.
    Object(Value),
}

/// What a pattern asks for beside `primary`, and whether it must be there.
///
/// # Errors
/// What expressions give; a result of another type.
pub(crate) fn wanted(
    pattern: &SecondaryFilePattern,
    primary: &Value,
    required_by_default: bool,
    context: &Context<'_>,
) -> Result<(Vec<Wanted>, bool), Error> {
    let required = match &pattern.required {
        None => required_by_default,
        Some(Required::Known(required)) => *required,
        Some(Required::Text(text)) => match context.evaluate(text, primary)? {
            Value::Bool(required) => required,
            Value::Null => false,
            other => {
                let message = format!("required is {}, but must be a boolean or null", describe(&other));
                return Err(Error::invalid(&text.place, message));
            }
        },
    };
    let text = &pattern.pattern;
    if !text.text.contains("$(") && !text.text.contains("${") {
        let basename = match primary {
            Value::File(file) => file.basename.as_deref(),
            _ => None,
        };
        let name = substitute(basename.unwrap_or_default(), &text.text);
        return Ok((vec![Wanted::Name(name)], required));
    }
    let mut wanted = Vec::new();
    let result = context.evaluate(text, primary)?;
    let items = result.as_list().unwrap_or(std::slice::from_ref(&result));
    for item in items {
        match item {
            Value::Null => {}
            Value::String(name) if name.is_empty() => {}
            Value::String(name) => wanted.push(Wanted::Name(name.to_string())),
            Value::File(_) | Value::Directory(_) => wanted.push(Wanted::Object(item.clone())),
            other => {
                let message = format!(
                    "the pattern gives {}, but must give names, Files, Directories or null",
                    describe(other)
                );
                return Err(Error::invalid(&text.place, message));
            }
        }
    }
    Ok((wanted, required))
}

/// The input object (`context.inputs`) with the secondary files that its parameters and the fields of
/// their records declare. What a File brings along counts by its basename, and stays first. What is
/// missing is looked for beside the primary file if `discover` says so; what is not required may stay
/// missing. On inputs a pattern is required unless it says otherwise.
///
/// # Errors
/// What expressions give; [`Error::MissingFiles`] with all that are missing.
pub fn attach_inputs(
    parameters: &[Input],
    context: &Context<'_>,
    files: &dyn Files,
    discover: bool,
) -> Result<Value, Error> {
    let mut attacher = Attacher { context, files, discover, missing: Vec::new() };
    let mut attached = context.inputs.as_map().cloned().unwrap_or_default();
    for parameter in parameters {
        let wanted = declares(&parameter.type_) || !parameter.secondary_files.is_empty();
        if let Some(value) = attached.get_mut(&parameter.name).filter(|_| wanted) {
            let place = &parameter.place;
            *value = attacher.value(
                &parameter.type_,
                value,
                &parameter.secondary_files,
                place,
                &parameter.name,
            )?;
        }
    }
    match attacher.missing.is_empty() {
        true => Ok(Value::map(attached)),
        false => Err(Error::MissingFiles(attacher.missing)),
    }
}

/// Whether a field of a record in a type declares secondary files.
fn declares(type_: &Type) -> bool {
    match type_ {
        Type::Union(types) => types.iter().any(declares),
        Type::Array(array) => declares(&array.items),
        Type::Record(record) => {
            record.fields.iter().any(|field| !field.secondary_files.is_empty() || declares(&field.type_))
        }
        _ => false,
    }
}

struct Attacher<'a> {
    context: &'a Context<'a>,
    files: &'a dyn Files,
    discover: bool,
    missing: Vec<MissingFile>,
}

impl Attacher<'_> {
    fn value(
        &mut self,
        type_: &Type,
        value: &Value,
        patterns: &[SecondaryFilePattern],
        place: &Place,
        name: &str,
    ) -> Result<Value, Error> {
        let type_ = type_.alternatives().iter().find(|t| fits(t, value)).unwrap_or(type_);
        Ok(match (type_, value) {
            (_, Value::File(file)) if !patterns.is_empty() => self.file(file, patterns, place, name)?,
            (Type::Array(array), Value::List(items)) => {
                let mut attached = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    attached.push(self.value(
                        &array.items,
                        item,
                        patterns,
                        place,
                        &format!("{name}[{index}]"),
                    )?);
                }
                Value::list(attached)
            }
            (Type::Record(record), Value::Map(entries)) => {
                let mut attached: ValueMap = (**entries).clone();
                for field in &record.fields {
                    if let Some(item) = attached.get_mut(&field.name) {
                        let name = format!("{name}.{}", field.name);
                        *item = self.value(&field.type_, item, &field.secondary_files, place, &name)?;
                    }
                }
                Value::map(attached)
            }
            _ => value.clone(),
        })
    }

    fn file(
        &mut self,
        file: &Arc<File>,
        patterns: &[SecondaryFilePattern],
        place: &Place,
        name: &str,
    ) -> Result<Value, Error> {
        let primary = Value::File(Arc::clone(file));
        let mut secondary_files = (*file.secondary_files).clone();
        for pattern in patterns {
            let (wanted, required) = wanted(pattern, &primary, true, self.context)?;
            for item in wanted {
                match item {
                    Wanted::Object(object) => {
                        let object = complete(object, file.location.as_deref(), &pattern.pattern.place)?;
                        add(&mut secondary_files, object);
                    }
                    Wanted::Name(wanted) => {
                        if secondary_files.iter().any(|known| basename_of(known) == Some(wanted.as_str())) {
                            continue;
                        }
                        let location =
                            file.location.as_deref().map(|primary| location::sibling(primary, &wanted));
                        let found = match &location {
                            Some(location) if self.discover => self.find(location, &wanted)?,
                            _ => None,
                        };
                        match found {
                            Some(found) => add(&mut secondary_files, found),
                            None if required => self.missing.push(MissingFile {
                                input: name.to_owned(),
                                location: location.unwrap_or(wanted),
                            }),
                            None => {}
                        }
                    }
                }
            }
        }
        if secondary_files.iter().any(|known| basename_of(known).is_none()) {
            return Err(Error::invalid(place, format!("a secondary file of {name} has no basename")));
        }
        Ok(Value::File(Arc::new(File {
            secondary_files: Arc::new(secondary_files),
            has_secondary_files: true,
            ..(**file).clone()
        })))
    }

    fn find(&self, location: &str, name: &str) -> Result<Option<Value>, Error> {
        let (location_, basename) = (Some(location.into()), Some(name.into()));
        Ok(self.files.stat(location)?.map(|stat| match stat.is_directory {
            true => Value::Directory(Arc::new(Directory {
                location: location_,
                basename,
                ..Directory::default()
            })),
            false => {
                let size = Some(stat.size);
                Value::File(Arc::new(File { location: location_, basename, size, ..File::default() }))
            }
        }))
    }
}

fn basename_of(value: &Value) -> Option<&str> {
    match value {
        Value::File(file) => file.basename.as_deref(),
        Value::Directory(directory) => directory.basename.as_deref(),
        _ => None,
    }
}

fn location_of(value: &Value) -> Option<&str> {
    match value {
        Value::File(file) => file.location.as_deref(),
        Value::Directory(directory) => directory.location.as_deref(),
        _ => None,
    }
}

/// Adds a secondary file; one that is there already under another name is renamed.
fn add(secondary_files: &mut Vec<Value>, new: Value) {
    if secondary_files.iter().any(|known| basename_of(known) == basename_of(&new)) {
        return;
    }
    let known = secondary_files
        .iter_mut()
        .find(|known| location_of(known).is_some() && location_of(known) == location_of(&new));
    match known {
        Some(known) => *known = new,
        None => secondary_files.push(new),
    }
}

/// A File or Directory that an expression gave, with an absolute location and a basename.
fn complete(object: Value, primary: Option<&str>, place: &Place) -> Result<Value, Error> {
    let absolute = |location: &Option<Arc<str>>| {
        location.as_ref().map(|location| match (location::is_absolute(location), primary) {
            (false, Some(primary)) => location::sibling(primary, &location::decode(location)).into(),
            _ => Arc::clone(location),
        })
    };
    let named = |basename: &Option<Arc<str>>, location: &Option<Arc<str>>| {
        basename.clone().or_else(|| location.as_ref().map(|location| location::basename(location).into()))
    };
    let nothing =
        || Error::invalid(place, "the pattern gives a File or Directory without location and content");
    match object {
        Value::File(file) => {
            let location = absolute(&file.location);
            if location.is_none() && file.contents.is_none() {
                return Err(nothing());
            }
            let basename = named(&file.basename, &location);
            Ok(Value::File(Arc::new(File { location, basename, ..(*file).clone() })))
        }
        Value::Directory(directory) => {
            let location = absolute(&directory.location);
            if location.is_none() && directory.listing.is_none() {
                return Err(nothing());
            }
            let basename = named(&directory.basename, &location);
            Ok(Value::Directory(Arc::new(Directory { location, basename, ..(*directory).clone() })))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests;
