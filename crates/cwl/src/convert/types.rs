//! Types of parameters and fields.

use std::sync::Arc;

use moil_salad::node::{Kind, Node};

use super::cursor::Cursor;
use super::{Converter, short_name};
use crate::types::{ArrayType, EnumType, RecordField, RecordType, Type};

impl Converter<'_> {
    /// The type that a `type` or `items` field holds. Where it is faulty, the fault is reported and
    /// the type is `Any`, so that nothing else is reported because of it.
    pub(super) fn type_(&self, node: &Node) -> Type {
        let Some(_guard) = self.descend(&node.place, "types are nested too deeply") else { return Type::Any };
        match &node.kind {
            Kind::String(name) => self.named_type(name, node),
            Kind::List(members) => {
                let mut alternatives: Vec<Type> = Vec::with_capacity(members.len());
                for member in members {
                    for alternative in self.type_(member).alternatives() {
                        if !is_plain(alternative) || !alternatives.contains(alternative) {
                            alternatives.push(alternative.clone());
                        }
                    }
                }
                match <[Type; 1]>::try_from(alternatives) {
                    Ok([alone]) => alone,
                    Err(alternatives) => Type::Union(Arc::new(alternatives)),
                }
            }
            Kind::Map(map) => match map.get("type").map(|node| (node, node.as_str())) {
                Some((_, Some("record"))) => self.record(node),
                Some((_, Some("enum"))) => self.enumeration(node),
                Some((_, Some("array"))) => self.array(node),
                Some((inner, _)) => self.type_(inner),
                None => {
                    self.findings.error("missing-field", &node.place, "a type has no `type`");
                    Type::Any
                }
            },
            Kind::Faulty => Type::Any,
            _ => {
                let message = format!("a type must be a name, a mapping or a list, not {}", node.describe());
                self.findings.error("invalid-type", &node.place, message);
                Type::Any
            }
        }
    }

    fn named_type(&self, name: &str, node: &Node) -> Type {
        if let Some(primitive) = primitive(name) {
            return primitive;
        }
        if let Some(known) = self.types.borrow().get(name) {
            return known.clone();
        }
        let Some(definition) = self.document.types.get(name) else {
            let message = match name {
                "stdin" | "stdout" | "stderr" => {
                    format!("`{name}` must be the whole type of a parameter of a CommandLineTool")
                }
                _ => format!("there is no type `{name}`"),
            };
            self.findings.error("unknown-type", &node.place, message);
            return Type::Any;
        };
        if self.open_types.borrow().iter().any(|open| open == name) {
            let message = format!("the type `{}` contains itself", short_name(name));
            self.findings.error("recursive-type", &node.place, message);
            return Type::Any;
        }
        self.open_types.borrow_mut().push(name.to_owned());
        let type_ = self.type_(definition);
        self.open_types.borrow_mut().pop();
        self.types.borrow_mut().insert(name.to_owned(), type_.clone());
        type_
    }

    fn record(&self, node: &Node) -> Type {
        let Some(cursor) = Cursor::new(node, "RecordSchema", &self.findings) else { return Type::Any };
        cursor.ignore(&["id", "type", "label", "doc"]);
        let mut fields: Vec<RecordField> = Vec::new();
        for field in cursor.list("fields") {
            if let Some(field) = self.record_field(field) {
                if fields.iter().any(|other| other.name == field.name) {
                    let message = format!("the record has two fields `{}`", field.name);
                    self.findings.error("duplicate-id", &node.place, message);
                }
                fields.push(field);
            }
        }
        let is_whole = cursor.is_whole("fields");
        let record = RecordType {
            name: cursor.string("name"),
            fields,
            binding: cursor.get("inputBinding").and_then(|node| self.binding(node)),
        };
        cursor.finish();
        if is_whole { Type::Record(Arc::new(record)) } else { Type::Any }
    }

    fn record_field(&self, node: &Node) -> Option<RecordField> {
        let cursor = Cursor::new(node, "RecordField", &self.findings)?;
        let name = short_name(cursor.required("name")?.as_str()?).into();
        let type_ = cursor.required("type").map_or(Type::Any, |node| self.type_(node));
        let field = RecordField {
            name,
            type_,
            label: cursor.doc("label"),
            doc: cursor.doc("doc"),
            secondary_files: self.secondary_files(&cursor),
            format: cursor.texts("format"),
            streamable: cursor.flag("streamable", false),
            load_contents: cursor.flag("loadContents", false),
            load_listing: self.load_listing(&cursor),
            input_binding: cursor.get("inputBinding").and_then(|node| self.binding(node)),
            output_binding: cursor.get("outputBinding").and_then(|node| self.output_binding(node)),
        };
        cursor.finish();
        Some(field)
    }

    fn enumeration(&self, node: &Node) -> Type {
        let Some(cursor) = Cursor::new(node, "EnumSchema", &self.findings) else { return Type::Any };
        cursor.ignore(&["id", "type", "label", "doc", "outputBinding"]);
        let type_ = EnumType {
            name: cursor.string("name"),
            symbols: cursor.strings("symbols"),
            binding: cursor.get("inputBinding").and_then(|node| self.binding(node)),
        };
        for (index, symbol) in type_.symbols.iter().enumerate() {
            if type_.symbols.iter().take(index).any(|other| other == symbol) {
                let message = format!("the enum has the symbol `{symbol}` twice");
                self.findings.error("duplicate-symbol", cursor.place_of("symbols"), message);
            }
        }
        cursor.finish();
        Type::Enum(Arc::new(type_))
    }

    fn array(&self, node: &Node) -> Type {
        let Some(cursor) = Cursor::new(node, "ArraySchema", &self.findings) else { return Type::Any };
        cursor.ignore(&["id", "type", "label", "doc", "name", "outputBinding"]);
        let type_ = ArrayType {
            items: cursor.required("items").map_or(Type::Any, |node| self.type_(node)),
            binding: cursor.get("inputBinding").and_then(|node| self.binding(node)),
        };
        cursor.finish();
        Type::Array(Arc::new(type_))
    }

    /// `stdin`, `stdout` or `stderr`, where that is the whole type.
    pub(super) fn shortcut(node: &Node) -> Option<&str> {
        node.as_str().filter(|name| matches!(*name, "stdin" | "stdout" | "stderr"))
    }
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "string" => Type::String,
        "File" => Type::File,
        "Directory" => Type::Directory,
        "Any" => Type::Any,
        _ => return None,
    })
}

/// Whether comparing costs nothing.
fn is_plain(type_: &Type) -> bool {
    !matches!(type_, Type::Record(_) | Type::Enum(_) | Type::Array(_) | Type::Union(_))
}
