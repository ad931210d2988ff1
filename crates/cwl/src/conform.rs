//! Whether a value is what a type demands (CWL v1.2 §"Types").
//!
//! Like every CWL runner in use, this takes records with fields that their type does not know;
//! [`unexpected_fields`] tells them apart, for a warning.

use std::fmt;
use std::sync::Arc;

use crate::types::{EnumType, RecordType, Type};
use crate::value::{Number, Value, ValueMap};

/// Why a value does not fit a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The part at fault, as in an expression: `reads[0].name`. Empty when it is the whole value
    /// and the caller gave no name.
    pub path: String,
    /// What the part is: `a string ("x")`, `null`, `a File (reads.fq)`.
    pub found: String,
    /// What it must be, in words that follow "must be": `int`, `File or null`. Where more is to be
    /// said, it follows after a colon.
    pub expected: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, expected } = self;
        match path.as_str() {
            "" => write!(f, "the value is {found}, but must be {expected}"),
            path => write!(f, "{path} is {found}, but must be {expected}"),
        }
    }
}

/// Checks a value against a type. `path` names the value in messages.
///
/// Whole numbers must fit 32 bits for `int` and 64 for `long`; a computed number without a
/// fraction counts as whole, a written `3.0` does not. `Any` is everything but null. A missing
/// field of a record counts as null.
///
/// # Errors
/// The first part that does not fit; for a union, what is wrong with the nearest alternative.
pub fn check(value: &Value, type_: &Type, path: &str) -> Result<(), Mismatch> {
    fit(value, type_).map_err(|fault| {
        let mut mismatch = Mismatch { path: path.to_owned(), found: fault.found, expected: fault.expected };
        for part in fault.parts.iter().rev() {
            match part {
                Part::Item(index) => mismatch.path.push_str(&format!("[{index}]")),
                Part::Field(name) if mismatch.path.is_empty() => mismatch.path.push_str(name),
                Part::Field(name) => mismatch.path.push_str(&format!(".{name}")),
            }
        }
        mismatch
    })
}

/// Whether a value fits a type; [`check`] says why not.
pub fn fits(type_: &Type, value: &Value) -> bool {
    fit(value, type_).is_ok()
}

/// The whole number that a number is, if it is one and fits 64 bits. JavaScript has one kind of
/// number, so what was computed is whole if it has no fraction; a written `3.0` is not.
pub fn whole(number: &Number) -> Option<i64> {
    match number {
        Number::Int(whole) => Some(*whole),
        // Below 2^63 the cast is exact.
        Number::Float { value, text: None } if value.fract() == 0.0 && value.abs() < 9.2e18 => {
            Some(*value as i64)
        }
        Number::Float { .. } | Number::Big(_) => None,
    }
}

/// The alternative of a union that a value fits, or the type itself where it is no union. Among
/// records those that know all fields of the value come first, then the order of the document.
pub fn select<'a>(value: &Value, type_: &'a Type) -> Option<&'a Type> {
    let fitting = || type_.alternatives().iter().filter(|alternative| fit(value, alternative).is_ok());
    fitting()
        .find(|alternative| unexpected_fields(value, alternative).is_empty())
        .or_else(|| fitting().next())
}

/// The fields of records in a value that its type does not know, as paths (`settings.colour`).
/// Empty for values that do not fit.
pub fn unexpected_fields(value: &Value, type_: &Type) -> Vec<String> {
    let mut found = Vec::new();
    collect_unexpected(value, type_, "", &mut found);
    found
}

/// A type in the words of a document, for messages: `int`, `File[]`, `string or null`.
pub fn type_name(type_: &Type) -> String {
    match type_ {
        Type::Null => "null".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::Int => "int".to_owned(),
        Type::Long => "long".to_owned(),
        Type::Float => "float".to_owned(),
        Type::Double => "double".to_owned(),
        Type::String => "string".to_owned(),
        Type::File => "File".to_owned(),
        Type::Directory => "Directory".to_owned(),
        Type::Any => "anything but null".to_owned(),
        Type::Record(record) => match short_name(record.name.as_deref()) {
            Some(name) => format!("record {name}"),
            None => "record".to_owned(),
        },
        Type::Enum(symbols) => describe_symbols(symbols),
        Type::Array(array) => match &array.items {
            items @ (Type::Union(_) | Type::Any | Type::Record(_) | Type::Enum(_)) => {
                format!("array of ({})", type_name(items))
            }
            items => format!("{}[]", type_name(items)),
        },
        Type::Union(types) => {
            let words: Vec<String> = types.iter().map(type_name).collect();
            match words.split_last() {
                Some((last, [])) => last.clone(),
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => "nothing".to_owned(),
            }
        }
    }
}

/// What a value is, for messages: `a number (7)`, `an array of 3`, `a File (reads.fq)`.
pub fn describe(value: &Value) -> String {
    fn short(text: &str) -> String {
        const LONGEST: usize = 60;
        let mut shown: String = text.chars().take(LONGEST).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        shown
    }
    let object = |class: &str, basename: &Option<Arc<str>>, location: &Option<Arc<str>>| {
        let name = basename.as_deref().or(location.as_deref()).unwrap_or("without a name");
        format!("a {class} ({})", short(name))
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("a boolean ({value})"),
        Value::Number(Number::Int(number)) => format!("a number ({number})"),
        Value::Number(Number::Big(text) | Number::Float { text: Some(text), .. }) => {
            format!("a number ({})", short(text))
        }
        Value::Number(Number::Float { value, text: None }) => format!("a number ({value})"),
        Value::String(text) => format!("a string ({:?})", short(text)),
        Value::List(items) => format!("an array of {}", items.len()),
        Value::Map(_) => "a record".to_owned(),
        Value::File(file) => object("File", &file.basename, &file.location),
        Value::Directory(directory) => object("Directory", &directory.basename, &directory.location),
    }
}

/// A fault with the way to it, innermost part first: built only when there is one.
struct Fault {
    parts: Vec<Part>,
    found: String,
    expected: String,
}

enum Part {
    Item(usize),
    Field(String),
}

impl Fault {
    fn new(value: &Value, expected: impl Into<String>) -> Box<Self> {
        Box::new(Self { parts: Vec::new(), found: describe(value), expected: expected.into() })
    }

    fn within(mut self: Box<Self>, part: Part) -> Box<Self> {
        self.parts.push(part);
        self
    }
}

fn fit(value: &Value, type_: &Type) -> Result<(), Box<Fault>> {
    let fits = match (type_, value) {
        (Type::Null, Value::Null)
        | (Type::Boolean, Value::Bool(_))
        | (Type::Float | Type::Double, Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::File, Value::File(_))
        | (Type::Directory, Value::Directory(_)) => true,
        (Type::Any, value) => !value.is_null(),
        (Type::Int, Value::Number(number)) => {
            return fit_whole(value, number, i64::from(i32::MIN)..=i64::from(i32::MAX), "int", 32);
        }
        (Type::Long, Value::Number(number)) => {
            return fit_whole(value, number, i64::MIN..=i64::MAX, "long", 64);
        }
        (Type::Enum(symbols), Value::String(text)) => symbols.symbols.iter().any(|symbol| symbol == text),
        (Type::Record(record), Value::Map(entries)) => return fit_record(entries, record),
        (Type::Array(array), Value::List(items)) => {
            return items.iter().enumerate().try_for_each(|(index, item)| {
                fit(item, &array.items).map_err(|fault| fault.within(Part::Item(index)))
            });
        }
        (Type::Union(types), value) => return fit_union(value, types, type_),
        _ => false,
    };
    if fits { Ok(()) } else { Err(Fault::new(value, type_name(type_))) }
}

fn fit_whole(
    value: &Value,
    number: &Number,
    range: std::ops::RangeInclusive<i64>,
    name: &str,
    bits: u32,
) -> Result<(), Box<Fault>> {
    match whole(number) {
        Some(whole) if range.contains(&whole) => Ok(()),
        None if matches!(number, Number::Float { value, text } if text.is_some() || value.fract() != 0.0) => {
            Err(Fault::new(value, name))
        }
        _ => Err(Fault::new(value, format!("{name}: a whole number of {bits} bits"))),
    }
}

fn fit_record(entries: &ValueMap, record: &RecordType) -> Result<(), Box<Fault>> {
    for field in &record.fields {
        let value = entries.get(&*field.name).unwrap_or(&Value::Null);
        fit(value, &field.type_).map_err(|mut fault| {
            if fault.parts.is_empty() && !entries.contains_key(&*field.name) {
                fault.found = "missing".to_owned();
            }
            fault.within(Part::Field(field.name.to_string()))
        })?;
    }
    Ok(())
}

fn fit_union(value: &Value, types: &[Type], whole: &Type) -> Result<(), Box<Fault>> {
    let mut nearest: Option<Box<Fault>> = None;
    for alternative in types {
        match fit(value, alternative) {
            Ok(()) => return Ok(()),
            Err(fault) => {
                let depth = fault.parts.len();
                if same_shape(value, alternative) && nearest.as_ref().is_none_or(|n| n.parts.len() < depth) {
                    nearest = Some(fault);
                }
            }
        }
    }
    Err(nearest.unwrap_or_else(|| Fault::new(value, type_name(whole))))
}

/// Whether a value could have been meant for a type, so that the details are worth telling.
fn same_shape(value: &Value, type_: &Type) -> bool {
    match (value, type_) {
        (Value::List(_), Type::Array(_)) | (Value::Map(_), Type::Record(_)) => true,
        (Value::Number(Number::Int(_) | Number::Big(_)), Type::Int | Type::Long) => true,
        (value, Type::Union(types)) => types.iter().any(|type_| same_shape(value, type_)),
        _ => false,
    }
}

fn collect_unexpected(value: &Value, type_: &Type, path: &str, found: &mut Vec<String>) {
    match (type_, value) {
        (Type::Union(_), value) => {
            if let Some(alternative) = select(value, type_) {
                collect_unexpected(value, alternative, path, found);
            }
        }
        (Type::Array(array), Value::List(items)) if may_hold_records(&array.items) => {
            for (index, item) in items.iter().enumerate() {
                collect_unexpected(item, &array.items, &format!("{path}[{index}]"), found);
            }
        }
        (Type::Record(record), Value::Map(entries)) => {
            for (name, item) in entries.iter() {
                let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                match record.fields.iter().find(|field| field.name == *name) {
                    Some(field) => collect_unexpected(item, &field.type_, &path, found),
                    None => found.push(path),
                }
            }
        }
        _ => {}
    }
}

fn may_hold_records(type_: &Type) -> bool {
    match type_ {
        Type::Record(_) => true,
        Type::Array(array) => may_hold_records(&array.items),
        Type::Union(types) => types.iter().any(may_hold_records),
        _ => false,
    }
}

fn short_name(iri: Option<&str>) -> Option<&str> {
    iri.and_then(|iri| iri.rsplit(['#', '/']).next()).filter(|name| !name.is_empty())
}

fn describe_symbols(symbols: &EnumType) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<String> =
        symbols.symbols.iter().take(SHOWN).map(|symbol| format!("{symbol:?}")).collect();
    if symbols.symbols.len() > SHOWN {
        words.push("…".to_owned());
    }
    match words.as_slice() {
        [only] => only.clone(),
        words => format!("one of {}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests;
