//! Types in words, for messages.

use crate::types::Type;

/// Types nested deeper are cut: nobody reads on.
const DEPTH: usize = 6;
/// So are long lists of fields, symbols and alternatives.
const WIDTH: usize = 8;

/// A type as documents would write it in short: `File[]?`, `int | string`, `record {a: int}`.
pub fn type_name(type_: &Type) -> String {
    let mut out = String::new();
    write(&mut out, type_, DEPTH);
    out
}

fn write(out: &mut String, type_: &Type, depth: usize) {
    let Some(below) = depth.checked_sub(1) else {
        out.push('…');
        return;
    };
    match type_ {
        Type::Null => out.push_str("null"),
        Type::Boolean => out.push_str("boolean"),
        Type::Int => out.push_str("int"),
        Type::Long => out.push_str("long"),
        Type::Float => out.push_str("float"),
        Type::Double => out.push_str("double"),
        Type::String => out.push_str("string"),
        Type::File => out.push_str("File"),
        Type::Directory => out.push_str("Directory"),
        Type::Any => out.push_str("Any"),
        Type::Record(record) => {
            out.push_str("record {");
            list(out, &record.fields, ", ", |out, field| {
                out.push_str(&field.name);
                out.push_str(": ");
                write(out, &field.type_, below);
            });
            out.push('}');
        }
        Type::Enum(enumeration) => {
            out.push_str("enum {");
            list(out, &enumeration.symbols, ", ", |out, symbol| out.push_str(symbol));
            out.push('}');
        }
        Type::Array(array) => {
            let items = &array.items;
            if matches!(items, Type::Union(_)) && !is_short_optional(items) {
                out.push('(');
                write(out, items, below);
                out.push(')');
            } else {
                write(out, items, below);
            }
            out.push_str("[]");
        }
        Type::Union(types) if is_short_optional(type_) => {
            types.iter().filter(|type_| **type_ != Type::Null).for_each(|type_| write(out, type_, below));
            out.push('?');
        }
        Type::Union(types) => list(out, types, " | ", |out, type_| write(out, type_, below)),
    }
}

fn is_short_optional(type_: &Type) -> bool {
    matches!(type_, Type::Union(types) if types.len() == 2) && type_.is_optional()
}

fn list<T>(out: &mut String, items: &[T], separator: &str, mut each: impl FnMut(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        if index == WIDTH {
            out.push('…');
            return;
        }
        each(out, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn union(types: &[Type]) -> Type {
        Type::Union(Arc::new(types.to_vec()))
    }

    #[test]
    fn types_are_named_as_documents_write_them() {
        let optional = union(&[Type::Null, Type::File]);
        assert_eq!(type_name(&Type::File.array_of().array_of()), "File[][]");
        assert_eq!(type_name(&optional), "File?");
        assert_eq!(type_name(&optional.array_of()), "File?[]");
        assert_eq!(type_name(&union(&[Type::Int, Type::String])), "int | string");
        assert_eq!(type_name(&union(&[Type::Int, Type::String]).array_of()), "(int | string)[]");
    }

    #[test]
    fn deep_types_are_cut() {
        let deep = (0..50).fold(Type::Int, |type_, _| union(&[type_, Type::Null, Type::File]));
        assert!(type_name(&deep).len() < 200, "{}", type_name(&deep));
    }
}
