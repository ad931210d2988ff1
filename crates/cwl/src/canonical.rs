//! Processes in canonical form: what memo keys are taken of, and what workers elsewhere load.
//!
//! The text is a small [`Document`] as JSON, `{"main", "processes", "types"}`, with everything the
//! process needs and nothing that makes no difference: no places, labels or documentation, no
//! unknown hints, fields in alphabetical order, and identifiers that do not tell where the
//! document lies. The form is already normalised, so it is read back without the walker.

use std::sync::Arc;

use indexmap::IndexMap;
use moil_salad::diagnostic::{Diagnostic, has_errors};
use moil_salad::node::Node;
use moil_salad::source::Source;

use crate::document::Document;
use crate::document_writer::{Style, Writer};

/// The canonical form of a process. `fields` are set in it, whatever the process says: the names of its streams.
pub(crate) fn of(document: &Document, process: &Node, fields: &[(&str, &str)]) -> String {
    Writer::new(document, Style::Canonical).canonical(process, fields)
}

/// Reads a canonical form back.
///
/// # Errors
/// The text is not JSON, or not of this form.
pub fn read(text: &str) -> Result<Document, Vec<Diagnostic>> {
    let source = Arc::new(Source { uri: "canonical:".to_owned(), text: text.to_owned() });
    let (node, diagnostics) = moil_salad::reader::read(&source);
    if has_errors(&diagnostics) {
        return Err(diagnostics);
    }
    let members = |field: &str| -> Option<IndexMap<String, Node>> {
        let map = node.as_ref()?.get(field)?.as_map()?;
        Some(map.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect())
    };
    let main = node.as_ref().and_then(|node| node.get("main")?.as_str()).map(str::to_owned);
    match (main, members("processes"), members("types")) {
        (Some(main), Some(processes), Some(types)) => Ok(Document {
            main,
            processes,
            types,
            namespaces: IndexMap::new(),
            schemas: Vec::new(),
            sources: Vec::new(),
        }),
        _ => Err(vec![Diagnostic::unplaced("not-canonical", "the text is not a process in canonical form")]),
    }
}

#[cfg(test)]
mod tests;
