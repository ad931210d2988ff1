//! Inputs as options of the command line: `--reads a.fq --threads 4`, the help for them, and a
//! template of an input object. Names and kinds are those that cwltool makes for a process.

use std::sync::Arc;

use crate::conform::type_name;
use crate::error::Error;
use crate::file_object;
use crate::number::Number;
use crate::print;
use crate::process::Common;
use crate::types::{RecordType, Type};
use crate::value::{Directory, File, Value, ValueMap};

/// How deep records may be nested in options and templates.
const MAX_DEPTH: usize = 20;

/// An option that stands for an input, or for a field of an input that is a record.
#[derive(Clone, Debug)]
struct InputOption<'a> {
    /// The name without dashes: `reads`, or `settings.threads` for a field.
    name: String,
    /// The names from the input inwards.
    path: Vec<&'a str>,
    /// The type without null.
    type_: &'a Type,
    /// Whether a value must come from somewhere.
    required: bool,
    /// `doc`, or else `label`.
    help: &'a str,
}

impl InputOption<'_> {
    /// As it is written: `-r` or `--reads`.
    fn flag(&self) -> String {
        if self.name.chars().count() == 1 { format!("-{}", self.name) } else { format!("--{}", self.name) }
    }

    /// What stands for the value in help; `None` for flags.
    fn placeholder(&self) -> Option<String> {
        match self.type_ {
            Type::Boolean => None,
            Type::Enum(symbols) => Some(format!("{{{}}}", symbols.symbols.join(","))),
            _ => Some(self.name.replace('-', "_").to_uppercase()),
        }
    }
}

/// Whether an option stands alone, since its input is a boolean. It takes a value only in the form
/// `--name=false`.
pub fn is_flag(process: &Common, name: &str) -> bool {
    find(&options(process), name).is_some_and(|option| matches!(option.type_, Type::Boolean))
}

/// Whether an option stands for an input of the process, or for a field of one.
pub fn is_option(process: &Common, name: &str) -> bool {
    find(&options(process), name).is_some()
}

/// Options for a process that is not known yet, with the values as strings.
///
/// # Errors
/// [`Error::Invalid`], without a place, naming an option without a value.
pub fn untyped(words: &[(String, Option<String>)]) -> Result<ValueMap, Error> {
    let value = |name: &str, word: &Option<String>| match word {
        Some(word) => Ok((Arc::from(bare(name)), Value::from(word.as_str()))),
        None => Err(Error::Invalid { place: None, message: format!("{name}: a value is expected") }),
    };
    words.iter().map(|(name, word)| value(name, word)).collect()
}

/// Reads options as an input object. `words` are names, with or without dashes, and their values in order;
/// paths are relative to `base_uri`, a directory's URI that ends in a slash.
///
/// Arrays come by repetition, fields of records as `--record.field`, booleans as flags. Of several types, the
/// first in the order of the document that the word fits counts. Dashes and
/// underscores may stand for each other where that is not ambiguous.
///
/// # Errors
/// [`Error::Invalid`], without a place, naming the option: one that the process does not have, a
/// value that is missing, too much, or of another type.
pub fn parse(
    process: &Common,
    words: &[(String, Option<String>)],
    base_uri: &str,
) -> Result<ValueMap, Error> {
    let options = options(process);
    let mut values = ValueMap::new();
    for (name, word) in words {
        let Some(option) = find(&options, name) else {
            return Err(unknown(process, &options, name));
        };
        let flag = option.flag();
        let invalid = |message: String| Error::Invalid { place: None, message: format!("{flag}: {message}") };
        let (value, repeats) = match (option.type_, word.as_deref()) {
            (Type::Boolean, None) => (Value::Bool(true), false),
            (_, None) => return Err(invalid("a value is expected".to_owned())),
            (type_, Some(word)) => {
                let items = items_of(type_);
                (scalar(items.unwrap_or(type_), word, base_uri).map_err(invalid)?, items.is_some())
            }
        };
        set(&mut values, &option.path, value, repeats);
    }
    Ok(values)
}

/// Puts a value in its place, at the end of the array that is there if it `repeats`.
fn set(values: &mut ValueMap, path: &[&str], value: Value, repeats: bool) {
    let Some((first, rest)) = path.split_first() else { return };
    let slot = values.entry(Arc::from(*first)).or_default();
    if !rest.is_empty() {
        let mut fields = slot.as_map().cloned().unwrap_or_default();
        set(&mut fields, rest, value, repeats);
        *slot = Value::map(fields);
    } else if repeats {
        match slot {
            Value::List(items) => Arc::make_mut(items).push(value),
            slot => *slot = Value::list(vec![value]),
        }
    } else {
        *slot = value;
    }
}

/// The value that a word stands for.
fn scalar(type_: &Type, word: &str, base_uri: &str) -> Result<Value, String> {
    let wrong = || format!("{word:?} is not {}", type_name(type_));
    match type_ {
        Type::String | Type::Any => Ok(Value::from(word)),
        Type::Boolean => match word.to_ascii_lowercase().as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        Type::Int | Type::Long => {
            let digits = word.trim();
            let whole = digits.parse::<i64>().map_err(|_| wrong())?;
            match type_ {
                Type::Int if i32::try_from(whole).is_err() => Err(format!("{word} is too large for an int")),
                _ => Ok(Value::from(whole)),
            }
        }
        Type::Float | Type::Double => {
            let text = word.trim();
            let value = text.parse::<f64>().map_err(|_| wrong())?;
            if !value.is_finite() {
                return Err(wrong());
            }
            // `4` is a float here, but prints as it was written.
            Ok(match text.parse::<i64>() {
                Ok(whole) => Value::from(whole),
                Err(_) => Value::Number(Number::Float { value, text: None }),
            })
        }
        Type::Enum(symbols) => match symbols.symbols.iter().find(|symbol| &***symbol == word) {
            Some(symbol) => Ok(Value::String(Arc::clone(symbol))),
            None => Err(wrong()),
        },
        Type::File | Type::Directory => {
            let location = Some(file_object::resolve_path(Some(base_uri), word)?.into());
            let object = match type_ {
                Type::File => Value::File(Arc::new(File { location, ..File::default() })),
                _ => Value::Directory(Arc::new(Directory { location, ..Directory::default() })),
            };
            file_object::normalise(&object, None)
        }
        Type::Union(types) => types.iter().find_map(|t| scalar(t, word, base_uri).ok()).ok_or_else(wrong),
        Type::Null | Type::Record(_) | Type::Array(_) => {
            Err(format!("values of type {} need an input object", type_name(type_)))
        }
    }
}

/// All options of a process, in the order of its inputs. Inputs that no option can stand for are left out.
fn options(process: &Common) -> Vec<InputOption<'_>> {
    let mut options = Vec::new();
    for input in &process.inputs {
        let help = input.doc.as_deref().or(input.label.as_deref()).unwrap_or_default();
        let required = input.default.is_null();
        add_options(&mut options, vec![&*input.name], &input.type_, required, help);
    }
    options
}

fn add_options<'a>(
    options: &mut Vec<InputOption<'a>>,
    path: Vec<&'a str>,
    type_: &'a Type,
    required: bool,
    help: &'a str,
) {
    let plain = without_null(type_);
    let required = required && !type_.is_optional();
    match plain {
        Type::Record(record) if path.len() < MAX_DEPTH => {
            for field in &record.fields {
                let help = field.doc.as_deref().or(field.label.as_deref()).unwrap_or_default();
                let path = path.iter().copied().chain([&*field.name]).collect();
                add_options(options, path, &field.type_, required, help);
            }
        }
        plain if is_scalar(items_of(plain).unwrap_or(plain)) => {
            options.push(InputOption { name: path.join("."), path, type_: plain, required, help });
        }
        _ => {}
    }
}

fn is_scalar(type_: &Type) -> bool {
    match type_ {
        Type::Null | Type::Record(_) | Type::Array(_) => false,
        Type::Union(types) => types.iter().all(|type_| *type_ == Type::Null || is_scalar(type_)),
        _ => true,
    }
}

/// The type of the items, if a type is an array or one is among its alternatives: then its option may
/// be repeated, and always gives an array.
fn items_of(type_: &Type) -> Option<&Type> {
    type_.alternatives().iter().find_map(|alternative| match alternative {
        Type::Array(array) => Some(&array.items),
        _ => None,
    })
}

/// The one alternative besides null, or the whole type where there are several.
fn without_null(type_: &Type) -> &Type {
    let mut others = type_.alternatives().iter().filter(|alternative| **alternative != Type::Null);
    match (others.next(), others.next()) {
        (Some(only), None) => only,
        _ => type_,
    }
}

fn find<'o, 'a>(options: &'o [InputOption<'a>], name: &str) -> Option<&'o InputOption<'a>> {
    let name = bare(name);
    if let Some(exact) = options.iter().find(|option| option.name == name) {
        return Some(exact);
    }
    let mut alike = options.iter().filter(|option| option.name.replace('-', "_") == name.replace('-', "_"));
    match (alike.next(), alike.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix("--").or(name.strip_prefix('-')).unwrap_or(name)
}

fn unknown(process: &Common, options: &[InputOption<'_>], name: &str) -> Error {
    let message = match process.inputs.iter().find(|input| *input.name == *bare(name)) {
        Some(input) => format!("{name}: values of type {} need an input object", type_name(&input.type_)),
        None if options.is_empty() => format!("{name}: the process has no inputs that options can stand for"),
        None => {
            let flags: Vec<String> = options.iter().map(InputOption::flag).collect();
            format!("{name} is no input of the process; its inputs are {}", flags.join(", "))
        }
    };
    Error::Invalid { place: None, message }
}

/// The text of `--tool-help`: how the process is called, what it does, and its options. `program` is how
/// it was named.
pub fn help(process: &Common, program: &str) -> String {
    const INDENT: usize = 24;
    let options = options(process);
    let mut usage = vec!["[-h]".to_owned()];
    let mut rows = vec![("-h, --help".to_owned(), "show this help message and exit".to_owned())];
    for option in &options {
        let call = match option.placeholder() {
            Some(placeholder) => format!("{} {placeholder}", option.flag()),
            None => option.flag(),
        };
        let repeats = items_of(option.type_).is_some();
        usage.push(match (option.required, repeats) {
            (true, true) => format!("{call} [{call} …]"),
            (true, false) => call.clone(),
            (false, true) => format!("[{call} …]"),
            (false, false) => format!("[{call}]"),
        });
        let mut notes = vec![type_name(option.type_)];
        if let Some(default) = default_of(process, &option.path).filter(|default| !default.is_null()) {
            notes.push(format!("default {}", print::embedded(&default)));
        } else if !option.required {
            notes.push("optional".to_owned());
        }
        let note = format!("({})", notes.join(", "));
        let help = option.help.split_whitespace().collect::<Vec<_>>().join(" ");
        rows.push((call, if help.is_empty() { note } else { format!("{help} {note}") }));
    }
    usage.push("[job_order]".to_owned());
    let mut text = wrap(&format!("usage: {program} "), &usage, 4);
    if let Some(about) =
        process.doc.as_deref().or(process.label.as_deref()).filter(|about| !about.trim().is_empty())
    {
        text.push_str(&format!("\n{}\n", about.trim_end()));
    }
    text.push_str("\npositional arguments:\n");
    row(&mut text, "job_order", "input object, a JSON or YAML file", INDENT);
    text.push_str("\noptions:\n");
    for (call, help) in &rows {
        row(&mut text, call, help, INDENT);
    }
    let left_out: Vec<&str> = process
        .inputs
        .iter()
        .filter(|input| !options.iter().any(|option| option.path.first() == Some(&&*input.name)))
        .map(|input| &*input.name)
        .collect();
    if !left_out.is_empty() {
        text.push_str(&format!("\nonly in an input object: {}\n", left_out.join(", ")));
    }
    text
}

fn default_of(process: &Common, path: &[&str]) -> Option<Value> {
    let (first, rest) = path.split_first()?;
    let default = &process.input(first)?.default;
    Some(rest.iter().fold(default, |value, name| value.field(name)).clone())
}

/// A line of help: the call, and what it means from column `indent` on.
fn row(text: &mut String, call: &str, help: &str, indent: usize) {
    let call = format!("  {call}");
    if call.chars().count() + 2 > indent {
        text.push_str(&call);
        text.push('\n');
        text.push_str(&" ".repeat(indent));
    } else {
        text.push_str(&format!("{call:<indent$}"));
    }
    let words: Vec<String> = help.split(' ').map(str::to_owned).collect();
    let wrapped = wrap("", &words, indent);
    text.push_str(&wrapped);
}

/// Words in lines of at most 100 columns; further lines are indented. Ends in a line feed.
fn wrap(first: &str, words: &[String], indent: usize) -> String {
    const WIDTH: usize = 100;
    let mut text = first.to_owned();
    let mut column = first.chars().count().max(if first.is_empty() { indent } else { 0 });
    let mut fresh = true;
    for word in words {
        let length = word.chars().count();
        if !fresh && column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
            fresh = true;
        }
        if !fresh {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
        fresh = false;
    }
    text.push('\n');
    text
}

/// The text of `--make-template`: an input object in YAML with an example for each input, and its
/// type in a comment.
pub fn template(process: &Common) -> String {
    let mut text = String::new();
    for input in &process.inputs {
        let mut comment = comment(&input.type_);
        let example = match input.default.is_null() {
            true => example(&input.type_, 0),
            false => {
                comment = format!("default, {comment}");
                input.default.clone()
            }
        };
        write_entry(&mut text, &input.name, &example, Some(&comment), 0);
    }
    if text.is_empty() { "{}\n".to_owned() } else { text }
}

fn comment(type_: &Type) -> String {
    let others: Vec<&Type> = type_.alternatives().iter().filter(|t| **t != Type::Null).collect();
    let words = match others.as_slice() {
        [Type::Any] => "any value".to_owned(),
        [Type::Record(record)] => record_words(record),
        [Type::Array(array)] => format!("array of {}", comment(&array.items)),
        [Type::Enum(_)] => type_name(others.first().copied().unwrap_or(&Type::Null)),
        [only] => format!("type {:?}", type_name(only)),
        [] => "null".to_owned(),
        several => {
            let names: Vec<String> = several.iter().map(|t| type_name(t)).collect();
            format!("one of {}", names.join(", "))
        }
    };
    if type_.is_optional() && !others.is_empty() { format!("{words} (optional)") } else { words }
}

fn record_words(record: &RecordType) -> String {
    match record.name.as_deref().and_then(|iri| iri.rsplit(['#', '/']).next()) {
        Some(name) => format!("record {name:?}"),
        None => "record".to_owned(),
    }
}

/// A value that a type takes.
fn example(type_: &Type, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let object = |class: &str, path: &str| {
        Value::map(ValueMap::from_iter([
            (Arc::from("class"), Value::from(class)),
            (Arc::from("path"), Value::from(path)),
        ]))
    };
    match type_ {
        Type::Null => Value::Null,
        Type::Boolean => Value::Bool(false),
        Type::Int | Type::Long => Value::from(0),
        Type::Float | Type::Double => Value::from(0.1),
        Type::String | Type::Any => Value::from("a_string"),
        Type::File => object("File", "a/file/path"),
        Type::Directory => object("Directory", "a/directory/path"),
        Type::Enum(symbols) => {
            symbols.symbols.first().map_or(Value::Null, |symbol| Value::String(Arc::clone(symbol)))
        }
        Type::Array(array) => Value::list(vec![example(&array.items, depth + 1)]),
        Type::Record(record) => Value::map(
            record
                .fields
                .iter()
                .map(|field| (Arc::clone(&field.name), example(&field.type_, depth + 1)))
                .collect(),
        ),
        Type::Union(types) => {
            types.iter().find(|t| **t != Type::Null).map_or(Value::Null, |first| example(first, depth + 1))
        }
    }
}

/// `key: value  # comment`, mappings and lists below their key.
fn write_entry(text: &mut String, key: &str, value: &Value, comment: Option<&str>, indent: usize) {
    text.push_str(&" ".repeat(indent));
    text.push_str(&format!("{}:", key_text(key)));
    write_value(text, value, comment, indent);
}

fn write_value(text: &mut String, value: &Value, comment: Option<&str>, indent: usize) {
    let comment = comment.map(|comment| format!("  # {}", comment.replace('\n', " "))).unwrap_or_default();
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            text.push_str(&format!("{comment}\n"));
            for (name, item) in entries.iter() {
                write_entry(text, name, item, None, indent + 2);
            }
        }
        Value::List(items) if !items.is_empty() => {
            text.push_str(&format!("{comment}\n"));
            for item in items.iter() {
                text.push_str(&format!("{}-", " ".repeat(indent + 2)));
                match item {
                    Value::Map(entries) if !entries.is_empty() => {
                        // The first entry stands beside the dash.
                        let mut inner = String::new();
                        for (name, item) in entries.iter() {
                            write_entry(&mut inner, name, item, None, indent + 4);
                        }
                        text.push_str(&format!(" {}", inner.trim_start()));
                    }
                    item => write_value(text, item, None, indent + 2),
                }
            }
        }
        // JSON is YAML, so nothing has to be said twice.
        value => text.push_str(&format!(" {}{comment}\n", print::compact(value))),
    }
}

fn key_text(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !matches!(
            key.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { key.to_owned() } else { print::compact(&Value::from(key)) }
}

#[cfg(test)]
mod tests;
