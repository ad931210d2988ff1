//! Inputs given as options: `--threads 4 --reads a.fq --reads b.fq --verbose`.

use std::sync::Arc;

use crate::error::Error;
use crate::file_object;
use crate::number::Number;
use crate::parameter::Input;
use crate::process::Common;
use crate::types::Type;
use crate::value::{Directory, File, Value, ValueMap};

/// Whether an option stands alone: its input is a boolean.
pub fn is_flag(process: &Common, name: &str) -> bool {
    find(process, name).is_some_and(|input| {
        let mut alternatives = input.type_.alternatives().iter().filter(|type_| **type_ != Type::Null);
        alternatives.next() == Some(&Type::Boolean) && alternatives.next().is_none()
    })
}

/// The values of options, typed by the inputs that they name. An option for an array input may be
/// repeated, and gives one item each time.
///
/// # Errors
/// [`Error::Invalid`] for an option that names no input, lacks its value, or has one that does not fit.
pub fn parse(process: &Common, words: &[(String, Option<String>)], base: &str) -> Result<ValueMap, Error> {
    let mut values = ValueMap::new();
    for (name, text) in words {
        let Some(input) = find(process, name) else {
            let known: Vec<String> = process.inputs.iter().map(|input| format!("--{}", input.name)).collect();
            let message = format!("there is no input --{name}; there are: {}", known.join(" "));
            return Err(Error::Invalid { place: None, message });
        };
        let items = array_items(&input.type_);
        let value = one(input, items.unwrap_or(&input.type_), text.as_deref(), base)?;
        match (items, values.get(&input.name)) {
            (Some(_), Some(Value::List(earlier))) => {
                let mut list = (**earlier).clone();
                list.push(value);
                values.insert(Arc::clone(&input.name), Value::list(list));
            }
            (Some(_), _) => {
                values.insert(Arc::clone(&input.name), Value::list(vec![value]));
            }
            (None, _) => {
                values.insert(Arc::clone(&input.name), value);
            }
        }
    }
    Ok(values)
}

fn find<'a>(process: &'a Common, name: &str) -> Option<&'a Input> {
    process.input(name).or_else(|| {
        let plain = |name: &str| name.replace('-', "_");
        process.inputs.iter().find(|input| plain(&input.name) == plain(name))
    })
}

fn array_items(type_: &Type) -> Option<&Type> {
    type_.alternatives().iter().find_map(|alternative| match alternative {
        Type::Array(array) => Some(&array.items),
        _ => None,
    })
}

/// The value of one word, by the first alternative that it fits.
fn one(input: &Input, type_: &Type, text: Option<&str>, base: &str) -> Result<Value, Error> {
    let wrong = |expected: &str| Error::Invalid {
        place: Some(input.place.clone()),
        message: match text {
            Some(text) => format!("--{}: {text:?} is not {expected}", input.name),
            None => format!("--{} needs a value: {expected}", input.name),
        },
    };
    let mut failure = None;
    for alternative in type_.alternatives() {
        let value = match (alternative, text) {
            (Type::Null, _) => continue,
            (Type::Boolean, None | Some("true" | "True")) => Ok(Value::Bool(true)),
            (Type::Boolean, Some("false" | "False")) => Ok(Value::Bool(false)),
            (Type::Boolean, _) => Err(wrong("true or false")),
            (Type::Int | Type::Long, Some(text)) => match Number::parse(text) {
                Ok(number) if number.is_integer() => Ok(Value::Number(number)),
                _ => Err(wrong("a whole number")),
            },
            (Type::Float | Type::Double, Some(text)) => {
                Number::parse(text).map(Value::Number).map_err(|_| wrong("a number"))
            }
            (Type::String | Type::Any, Some(text)) => Ok(Value::from(text)),
            (Type::Enum(symbols), Some(text)) => {
                if symbols.symbols.iter().any(|symbol| &**symbol == text) {
                    Ok(Value::from(text))
                } else {
                    Err(wrong(&format!("one of {}", symbols.symbols.join(", "))))
                }
            }
            (Type::File, Some(text)) => located(text, base, &wrong, |location| {
                Value::File(Arc::new(File { location: Some(location), ..File::default() }))
            }),
            (Type::Directory, Some(text)) => located(text, base, &wrong, |location| {
                Value::Directory(Arc::new(Directory { location: Some(location), ..Directory::default() }))
            }),
            (Type::Record(_) | Type::Array(_) | Type::Union(_), Some(_)) => {
                Err(wrong("something that can be given as an option: use an input file"))
            }
            (_, None) => Err(wrong("none was given")),
        };
        match value {
            Ok(value) => return Ok(value),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| wrong("null")))
}

fn located(
    text: &str,
    base: &str,
    wrong: &dyn Fn(&str) -> Error,
    make: impl Fn(Arc<str>) -> Value,
) -> Result<Value, Error> {
    let location = file_object::resolve_path(Some(base), text).map_err(|problem| wrong(&problem))?;
    file_object::normalise(&make(location.into()), Some(base)).map_err(|problem| wrong(&problem))
}
