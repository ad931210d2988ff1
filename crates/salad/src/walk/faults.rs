//! What is told about faults.

use crate::diagnostic::{Diagnostic, Severity};
use crate::node::{Entry, Node};
use crate::schema::{Field, Marks, Record, Type};
use crate::source::Place;
use crate::suggest::nearest;

use super::{Walker, is_extension};

impl<'s> Walker<'s, '_> {
    /// A value of a wrong type. Gives `None`, for the caller to give.
    pub(super) fn mismatch(
        &mut self,
        node: &Node,
        types: &[Type],
        marks: &Marks,
        what: &str,
    ) -> Option<Node> {
        let expected = match marks.map {
            Some(_) => format!("a mapping or {}", describe(types)),
            None => describe(types),
        };
        let message = format!("{what} must be {expected}, not {}", node.describe());
        let mut diagnostic = Diagnostic::error("invalid-type", &node.place, message);
        let constants = types.iter().filter_map(|type_| match type_ {
            Type::Constant(value) => Some(value.as_str()),
            _ => None,
        });
        diagnostic.hint = node.as_str().and_then(|text| meant(text, constants));
        self.diagnostics.push(diagnostic);
        None
    }

    /// Gives the fault that was told last a hint, unless it has one.
    pub(super) fn hint(&mut self, hint: String) {
        if let Some(diagnostic) = self.diagnostics.last_mut() {
            diagnostic.hint.get_or_insert(hint);
        }
    }

    /// A field that must be there.
    pub(super) fn missing_field(&mut self, name: &str, field: &Field, record: &Record, place: &Place) {
        let mut diagnostic =
            Diagnostic::error("missing-field", place, format!("{} has no `{name}`", record.name));
        if field.types.iter().any(|type_| matches!(type_, Type::List(_))) {
            diagnostic.hint = Some(format!("add `{name}: []` if there are none"));
        }
        self.diagnostics.push(diagnostic);
    }

    /// Fields of open records are kept, and anything may have an identifier; but a slip of the finger is
    /// worth a word.
    pub(super) fn unknown_field_warning(&mut self, entry: &Entry, record: &Record) {
        if !is_extension(&entry.key) {
            self.unknown_field(entry, record);
            if let Some(diagnostic) = self.diagnostics.last_mut() {
                diagnostic.severity = Severity::Warning;
            }
        }
    }

    /// A field that the record does not have.
    pub(super) fn unknown_field(&mut self, entry: &Entry, record: &Record) {
        let near = meant(&entry.key, record.fields.keys().map(String::as_str));
        let hint = near.or_else(|| self.further_in(&entry.key, record));
        self.unknown_field_with(entry, record, hint);
    }

    /// A field that the record does not have, and what to do about it.
    pub(super) fn unknown_field_with(&mut self, entry: &Entry, record: &Record, hint: Option<String>) {
        let message = format!("{} has no field `{}`", record.name, entry.key);
        let mut diagnostic = Diagnostic::error("unknown-field", &entry.key_place, message);
        diagnostic.hint = hint;
        if self.lenient {
            diagnostic.severity = Severity::Warning;
        }
        self.diagnostics.push(diagnostic);
    }

    /// Where a field that the record does not have belongs, if that is in one of its fields.
    fn further_in(&self, key: &str, record: &Record) -> Option<String> {
        let has =
            |field: &Field| self.candidates(&field.types).iter().any(|inner| inner.fields.contains_key(key));
        let (outer, _) = record.fields.iter().find(|(_, field)| has(field))?;
        Some(format!("`{key}` belongs into `{outer}`"))
    }

    /// The records that a value of these types may be.
    pub(super) fn candidates(&self, types: &[Type]) -> Vec<&'s Record> {
        let schema = self.schema;
        let mut candidates = Vec::new();
        for type_ in types {
            if let Type::Named(name) = type_ {
                schema.candidates(name, &mut candidates);
            }
        }
        candidates
    }
}

/// The question after what was meant, if a name is like the text.
pub(super) fn meant<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(text, names).map(|near| format!("did you mean `{near}`?"))
}

/// In words: "a string or a list of strings".
fn describe(types: &[Type]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut constants = Vec::new();
    for type_ in types {
        match type_ {
            Type::Constant(value) => constants.push(format!("`{value}`")),
            Type::Null => {}
            Type::String => words.push("a string".to_owned()),
            Type::Bool => words.push("true or false".to_owned()),
            Type::Int => words.push("a whole number of 32 bits".to_owned()),
            Type::Long => words.push("a whole number".to_owned()),
            Type::Expression => words.push("an expression".to_owned()),
            Type::Float => words.push("a number".to_owned()),
            Type::Any => words.push("anything".to_owned()),
            Type::Named(name) => words.push(format!("a mapping ({name})")),
            Type::List(items) => words.push(format!("a list of {}", plural(items))),
        }
    }
    if !constants.is_empty() {
        let of = if constants.len() > 1 { "one of " } else { "" };
        words.insert(0, format!("{of}{}", constants.join(", ")));
    }
    words.dedup();
    words.join(" or ")
}

/// In words: "strings or mappings (Animal)".
fn plural(types: &[Type]) -> String {
    let words = types.iter().filter_map(|type_| {
        Some(match type_ {
            Type::String => "strings".to_owned(),
            Type::Expression => "expressions".to_owned(),
            Type::Int => "whole numbers of 32 bits".to_owned(),
            Type::Long => "whole numbers".to_owned(),
            Type::Float => "numbers".to_owned(),
            Type::Named(name) => format!("mappings ({name})"),
            Type::Null => return None,
            other => describe(std::slice::from_ref(other)),
        })
    });
    words.collect::<Vec<_>>().join(" or ")
}
