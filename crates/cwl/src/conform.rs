//! Whether a value has a type.

use crate::number::Number;
use crate::types::Type;
use crate::value::Value;

/// Says what is wrong with a value that does not have a type: which part, what it must be and what it
/// is.
///
/// Records may have fields that the type does not know. A whole number computed as a float counts as an
/// `int`; one written with a point does not.
///
/// # Errors
/// One sentence without a full stop, such as `reads[2] is a string ("x"), but must be File`;
/// `name` names the whole value in it.
pub fn check(type_: &Type, value: &Value, name: &str) -> Result<(), String> {
    if fits(type_, value) {
        return Ok(());
    }
    Err(explain(type_, value, name))
}

/// Whether a value has a type (CWL v1.2 §"Types").
pub fn fits(type_: &Type, value: &Value) -> bool {
    match (type_, value) {
        (Type::Union(types), _) => types.iter().any(|t| fits(t, value)),
        (Type::Null, Value::Null)
        | (Type::Boolean, Value::Bool(_))
        | (Type::Float | Type::Double, Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::File, Value::File(_))
        | (Type::Directory, Value::Directory(_)) => true,
        (Type::Int, Value::Number(number)) => whole(number).is_some_and(|n| i32::try_from(n).is_ok()),
        (Type::Long, Value::Number(number)) => whole(number).is_some(),
        (Type::Any, value) => !value.is_null(),
        (Type::Enum(enumeration), Value::String(text)) => enumeration.symbols.iter().any(|s| s == text),
        (Type::Array(array), Value::List(items)) => items.iter().all(|item| fits(&array.items, item)),
        (Type::Record(record), Value::Map(_)) => {
            record.fields.iter().all(|field| fits(&field.type_, value.field(&field.name)))
        }
        _ => false,
    }
}

/// The whole number that a number is, if it is one and fits 64 bits.
pub fn whole(number: &Number) -> Option<i64> {
    match number {
        Number::Int(value) => Some(*value),
        // Below 2^63 the cast is exact.
        Number::Float { value, text: None } if value.fract() == 0.0 && value.abs() < 9.2e18 => {
            Some(*value as i64)
        }
        Number::Float { .. } | Number::Big(_) => None,
    }
}

/// The name of a type, as messages show it.
pub fn type_name(type_: &Type) -> String {
    fn named(name: Option<&str>, kind: &str) -> String {
        match name.and_then(|iri| iri.rsplit(['#', '/']).next()) {
            Some(short) if !short.is_empty() => format!("{kind} {short}"),
            _ => kind.to_owned(),
        }
    }
    match type_ {
        Type::Null => "null".into(),
        Type::Boolean => "boolean".into(),
        Type::Int => "int".into(),
        Type::Long => "long".into(),
        Type::Float => "float".into(),
        Type::Double => "double".into(),
        Type::String => "string".into(),
        Type::File => "File".into(),
        Type::Directory => "Directory".into(),
        Type::Any => "Any".into(),
        Type::Record(record) => named(record.name.as_deref(), "record"),
        Type::Enum(enumeration) => {
            let symbols: Vec<&str> = enumeration.symbols.iter().map(|s| &**s).collect();
            format!("one of {}", symbols.join(", "))
        }
        Type::Array(array) => format!("array of {}", type_name(&array.items)),
        Type::Union(types) => {
            let names: Vec<String> = types.iter().map(type_name).collect();
            names.join(" or ")
        }
    }
}

/// What a value is, as messages show it.
pub fn describe(value: &Value) -> String {
    fn short(text: &str) -> String {
        let mut shown: String = text.chars().take(40).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        shown
    }
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("a boolean ({value})"),
        Value::Number(number) => match number {
            Number::Int(value) => format!("a number ({value})"),
            Number::Big(digits) => format!("a number ({})", short(digits)),
            Number::Float { value, text } => match text {
                Some(text) => format!("a number ({})", short(text)),
                None => format!("a number ({value})"),
            },
        },
        Value::String(text) => format!("a string ({:?})", short(text)),
        Value::List(items) => format!("an array of {}", items.len()),
        Value::Map(_) => "a record".into(),
        Value::File(file) => format!("a File ({})", file.basename.as_deref().unwrap_or("without a name")),
        Value::Directory(directory) => {
            format!("a Directory ({})", directory.basename.as_deref().unwrap_or("without a name"))
        }
    }
}

fn explain(type_: &Type, value: &Value, name: &str) -> String {
    match (type_, value) {
        (Type::Array(array), Value::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                if !fits(&array.items, item) {
                    return explain(&array.items, item, &format!("{name}[{index}]"));
                }
            }
        }
        (Type::Record(record), Value::Map(_)) => {
            for field in &record.fields {
                let item = value.field(&field.name);
                if !fits(&field.type_, item) {
                    return explain(&field.type_, item, &format!("{name}.{}", field.name));
                }
            }
        }
        // Where only one alternative is of the value's kind, what is wrong inside says more.
        (Type::Union(types), Value::List(_) | Value::Map(_)) => {
            let mut alike = types.iter().filter(|t| {
                matches!((t, value), (Type::Array(_), Value::List(_)) | (Type::Record(_), Value::Map(_)))
            });
            if let (Some(alternative), None) = (alike.next(), alike.next()) {
                return explain(alternative, value, name);
            }
        }
        _ => {}
    }
    format!("{name} is {}, but must be {}", describe(value), type_name(type_))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::EnumType;
    use crate::value::{File, ValueMap};

    fn symbols() -> Type {
        Type::Enum(Arc::new(EnumType { name: None, symbols: vec!["a".into(), "b".into()], binding: None }))
    }

    fn float(value: f64, text: Option<&str>) -> Value {
        Value::Number(Number::Float { value, text: text.map(Into::into) })
    }

    #[test]
    fn values_fit_their_types() {
        let file = || Value::File(Arc::new(File::default()));
        for (type_, value, expected) in [
            (Type::Int, Value::from(1), true),
            (Type::Int, Value::from(1 << 31), false),
            (Type::Long, Value::from(1 << 31), true),
            (Type::Long, Value::Number(Number::Big("10000000000000000000000".into())), false),
            (Type::Double, Value::Number(Number::Big("10000000000000000000000".into())), true),
            (Type::Int, float(2.0, None), true),
            (Type::Int, float(2.0, Some("2.0")), false),
            (Type::Int, float(2.5, None), false),
            (Type::Int, Value::from(true), false),
            (Type::Boolean, Value::from(1), false),
            (Type::String, Value::from("x"), true),
            (symbols(), Value::from("a"), true),
            (symbols(), Value::from("c"), false),
            (Type::Any, Value::Null, false),
            (Type::Any, Value::list(vec![Value::Null]), true),
            (Type::File, file(), true),
            (Type::Directory, file(), false),
            (Type::File.array_of(), Value::list(vec![file(), Value::Null]), false),
            (Type::Union(Arc::new(vec![Type::Null, Type::File])), Value::Null, true),
        ] {
            assert_eq!(fits(&type_, &value), expected, "{type_:?} {value:?}");
        }
    }

    #[test]
    fn messages_name_the_part_that_is_wrong() {
        let optional = Type::Union(Arc::new(vec![Type::Null, Type::Int.array_of()]));
        for (type_, value, message) in [
            (Type::Int, Value::from("x"), "n is a string (\"x\"), but must be int"),
            (
                optional.clone(),
                Value::list(vec![1.into(), "x".into()]),
                "n[1] is a string (\"x\"), but must be int",
            ),
            (optional, Value::map(ValueMap::new()), "n is a record, but must be null or array of int"),
            (symbols(), Value::from("c"), "n is a string (\"c\"), but must be one of a, b"),
        ] {
            assert_eq!(check(&type_, &value, "n"), Err(message.to_owned()));
        }
    }
}
