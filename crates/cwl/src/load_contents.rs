//! `loadContents` and `loadListing`: what is read of files before expressions see them.

use std::sync::Arc;

use moil_salad::source::Place;

use crate::error::Error;
use crate::files::{Entry, Files, LOAD_CONTENTS_LIMIT, Stat};
use crate::inherit::Effective;
use crate::parameter::{Input, LoadListing};
use crate::process::Version;
use crate::types::Type;
use crate::value::{Directory, File, Value, ValueMap};

/// How deep directories are listed; deeper ones are likely a loop of links.
const DEPTH_LIMIT: usize = 200;

/// How directories of a parameter are listed: as it says itself, else as LoadListingRequirement says, else
/// not at all (deep in v1.0; CWL v1.2 §"LoadListingRequirement").
pub fn listing_in_force(parameter: Option<LoadListing>, effective: &Effective) -> LoadListing {
    let default = if effective.version == Version::V1_0 { LoadListing::Deep } else { LoadListing::None };
    parameter.or(effective.load_listing).unwrap_or(default)
}

/// The text of a file: at most 64 KiB (CWL v1.2 §"loadContents"). Earlier versions of CWL would cut
/// the text there; like other runners we refuse in every version, since a part that passes for the whole is worse.
///
/// # Errors
/// [`Error::File`] where the file is larger, no UTF-8, or cannot be read.
pub fn contents(file: &File, files: &dyn Files) -> Result<Arc<str>, Error> {
    let Some(location) = &file.location else {
        return Ok(file.contents.clone().unwrap_or_default());
    };
    let failed = |reason: String| Error::File { location: location.to_string(), reason };
    let bytes = files.read_prefix(location, LOAD_CONTENTS_LIMIT + 1)?;
    if bytes.len() as u64 > LOAD_CONTENTS_LIMIT {
        return Err(failed(format!(
            "is larger than {LOAD_CONTENTS_LIMIT} bytes, the most that loadContents may read"
        )));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(failed("loadContents needs UTF-8 text".to_owned())),
    }
}

/// A directory with its `listing`, unless it has one already or is a literal.
///
/// # Errors
/// [`Error::File`] where it cannot be listed or is nested too deeply.
pub fn listing(directory: &Directory, how: LoadListing, files: &dyn Files) -> Result<Directory, Error> {
    list(directory, how, files, 0)
}

fn list(
    directory: &Directory,
    how: LoadListing,
    files: &dyn Files,
    depth: usize,
) -> Result<Directory, Error> {
    let mut listed = directory.clone();
    let (Some(location), None) = (&directory.location, &directory.listing) else { return Ok(listed) };
    if how == LoadListing::None {
        return Ok(listed);
    }
    if depth >= DEPTH_LIMIT {
        let reason = format!(
            "directories are nested more than {DEPTH_LIMIT} levels deep; is a link to a directory around them among them?"
        );
        return Err(Error::File { location: location.to_string(), reason });
    }
    let mut entries = Vec::new();
    for entry in files.list(location)? {
        entries.push(match of_entry(entry, directory.path.as_deref()) {
            Value::Directory(inner) if how == LoadListing::Deep => {
                Value::Directory(Arc::new(list(&inner, how, files, depth + 1)?))
            }
            other => other,
        });
    }
    listed.listing = Some(Arc::new(entries));
    Ok(listed)
}

/// The value of an entry of a directory that the tool sees at `parent`, if at all.
fn of_entry(entry: Entry, parent: Option<&str>) -> Value {
    let location = Some(entry.location.into());
    let path = parent.map(|parent| format!("{parent}/{}", entry.name).into());
    let basename = Some(entry.name.into());
    match entry.stat {
        Stat { is_directory: true, .. } => {
            Value::Directory(Arc::new(Directory { location, basename, path, ..Directory::default() }))
        }
        Stat { size, .. } => {
            Value::File(Arc::new(File { location, basename, path, size: Some(size), ..File::default() }))
        }
    }
}

/// The value of an input with what its declaration wants loaded: `loadContents` and `loadListing` of the
/// parameter, of fields of records, and of bindings in them. `listing_default` is for where nothing is said, see [`listing_in_force`].
/// Files beside others and in listings get no `contents`.
///
/// # Errors
/// See [`contents`] and [`listing`]; told with the place of the input.
pub fn load_input(
    input: &Input,
    value: &Value,
    listing_default: LoadListing,
    files: &dyn Files,
) -> Result<Value, Error> {
    let bound = input.binding.as_ref().is_some_and(|binding| binding.load_contents);
    let what = What {
        contents: input.load_contents || bound,
        listing: input.load_listing.unwrap_or(listing_default),
    };
    Loader { place: &input.place, files, listing_default }.load(&input.type_, value, what)
}

/// Like [`load_input`], for a value without a declaration of its own, such as an input of a step.
///
/// # Errors
/// See [`contents`] and [`listing`].
pub fn load_value(
    value: &Value,
    contents: bool,
    listing: LoadListing,
    place: &Place,
    files: &dyn Files,
) -> Result<Value, Error> {
    let loader = Loader { place, files, listing_default: listing };
    loader.load(&Type::Any, value, What { contents, listing })
}

#[derive(Clone, Copy)]
struct What {
    contents: bool,
    listing: LoadListing,
}

struct Loader<'a> {
    place: &'a Place,
    files: &'a dyn Files,
    listing_default: LoadListing,
}

impl Loader<'_> {
    fn load(&self, type_: &Type, value: &Value, what: What) -> Result<Value, Error> {
        Ok(match value {
            Value::File(file) if what.contents => {
                let contents = Some(contents(file, self.files).map_err(|e| self.placed(e))?);
                Value::File(Arc::new(File { contents, ..(**file).clone() }))
            }
            Value::Directory(directory) if what.listing != LoadListing::None => {
                Value::Directory(Arc::new(listing(directory, what.listing, self.files)?))
            }
            Value::List(items) if has_work(value, what) => {
                let item_type = type_.alternatives().iter().find_map(|t| match t {
                    Type::Array(array) => Some(&array.items),
                    _ => None,
                });
                let item_type = item_type.unwrap_or(&Type::Any);
                Value::list(
                    items.iter().map(|item| self.load(item_type, item, what)).collect::<Result<_, _>>()?,
                )
            }
            Value::Map(entries) if holds_files(value) => {
                let mut loaded = ValueMap::with_capacity(entries.len());
                let record = type_.alternatives().iter().find_map(|t| match t {
                    Type::Record(record) if crate::conform::fits(t, value) => Some(record),
                    _ => None,
                });
                for (name, item) in entries.iter() {
                    let field =
                        record.and_then(|record| record.fields.iter().find(|field| field.name == *name));
                    let item = match field {
                        None => self.load(
                            &Type::Any,
                            item,
                            What { contents: false, listing: self.listing_default },
                        )?,
                        Some(field) => {
                            let bound =
                                field.input_binding.as_ref().is_some_and(|binding| binding.load_contents);
                            let listing = field.load_listing.unwrap_or(self.listing_default);
                            self.load(
                                &field.type_,
                                item,
                                What { contents: field.load_contents || bound, listing },
                            )?
                        }
                    };
                    loaded.insert(Arc::clone(name), item);
                }
                Value::map(loaded)
            }
            other => other.clone(),
        })
    }

    fn placed(&self, error: Error) -> Error {
        match error {
            Error::File { location, reason } => Error::invalid(self.place, format!("{location}: {reason}")),
            other => other,
        }
    }
}

/// Whether there is anything to load; what has nothing is shared, not copied: an array may go to each
/// of as many elements as it has items.
fn has_work(value: &Value, what: What) -> bool {
    match value {
        Value::File(_) => what.contents,
        Value::Directory(_) => what.listing != LoadListing::None,
        Value::List(items) => items.iter().any(|item| has_work(item, what)),
        // Its type says what is to be loaded.
        Value::Map(_) => holds_files(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn holds_files(value: &Value) -> bool {
    match value {
        Value::File(_) | Value::Directory(_) => true,
        Value::List(items) => items.iter().any(holds_files),
        Value::Map(entries) => entries.values().any(holds_files),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preparing_fixture::{Disk, input, value};

    #[test]
    fn an_array_of_files_that_are_not_loaded_is_shared_and_not_copied() {
        let files = value(r#"[{"class": "File", "location": "file:///a"}]"#);
        let load = |input: &Input, listing| load_input(input, &files, listing, &Disk::default());
        let plain = input("a", Type::File.array_of());
        let loaded = load(&plain, LoadListing::Deep).expect("nothing is loaded");
        let (Value::List(before), Value::List(after)) = (&files, &loaded) else { panic!("no list") };
        assert!(Arc::ptr_eq(before, after));
        let loading = Input { load_contents: true, ..plain };
        assert!(load(&loading, LoadListing::None).is_err(), "the file is not there");
    }
}
