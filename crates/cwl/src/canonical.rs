//! The canonical form of a process: what decides its results, as JSON text.

use moil_salad::node::{Kind, Node};

use crate::document::Document;

/// Fields that people read and that decide nothing.
const WORDS: [&str; 4] = ["label", "doc", "id", "intent"];

/// The canonical text of a process: without labels and identifiers, fields sorted, named types in
/// place, and with fields that were added while loading (`extra`).
pub fn of(document: &Document, process: &Node, extra: &[(&str, &str)]) -> String {
    let mut text = String::new();
    write(document, process, false, &mut text);
    for (name, value) in extra {
        text.push_str(&format!("\n{name}={value:?}"));
    }
    text
}

fn write(document: &Document, node: &Node, is_type: bool, text: &mut String) {
    match &node.kind {
        Kind::Null => text.push_str("null"),
        Kind::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Kind::Int(number) | Kind::Float(number) => text.push_str(number),
        Kind::String(string) => match document.types.get(string).filter(|_| is_type) {
            Some(named) => write(document, named, false, text),
            None => text.push_str(&format!("{string:?}")),
        },
        Kind::List(items) => {
            text.push('[');
            for item in items {
                write(document, item, is_type, text);
                text.push(',');
            }
            text.push(']');
        }
        Kind::Map(map) => {
            let mut entries: Vec<_> =
                map.entries.iter().filter(|entry| !WORDS.contains(&entry.key.as_str())).collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            text.push('{');
            for entry in entries {
                text.push_str(&format!("{:?}:", entry.key));
                let is_type = matches!(entry.key.as_str(), "type" | "items");
                write(document, &entry.value, is_type, text);
                text.push(',');
            }
            text.push('}');
        }
    }
}
