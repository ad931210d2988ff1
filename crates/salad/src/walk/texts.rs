//! The texts that a document and those it names are made of, each read once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::fetch::Fetch;
use crate::node::Node;
use crate::reader;
use crate::source::{Place, Source};
use crate::uri;

/// Reads texts and keeps what was read.
pub struct Texts<'a> {
    fetch: &'a dyn Fetch,
    nodes: HashMap<String, Option<Node>>,
    /// Everything that was read: its URI, and that of the text that named it.
    pub sources: Vec<(String, Option<String>)>,
}

impl<'a> Texts<'a> {
    /// Nothing read yet.
    pub fn new(fetch: &'a dyn Fetch) -> Self {
        Self { fetch, nodes: HashMap::new(), sources: Vec::new() }
    }

    /// The document at a URI; `named_at` is where it is named. `None`, with diagnostics the first
    /// time, if it cannot be read.
    pub fn node(
        &mut self,
        uri: &str,
        named_at: Option<&Place>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Node> {
        let (document, _) = uri::split_fragment(uri);
        if let Some(known) = self.nodes.get(document) {
            return known.clone();
        }
        let node = self.text(document, named_at, diagnostics).and_then(|text| {
            let source = Arc::new(Source { uri: document.to_owned(), text });
            let (node, mut found) = reader::read(&source);
            diagnostics.append(&mut found);
            node
        });
        self.nodes.insert(document.to_owned(), node.clone());
        node
    }

    /// The text at a URI.
    pub fn text(
        &mut self,
        uri: &str,
        named_at: Option<&Place>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<String> {
        match self.fetch.text(uri) {
            Ok(text) => {
                self.sources.push((uri.to_owned(), named_at.map(|place| place.source.uri.clone())));
                Some(text)
            }
            Err(reason) => {
                let shown = uri.strip_prefix("file://").unwrap_or(uri);
                let message = format!("cannot read {shown}: {reason}");
                diagnostics.push(match named_at {
                    Some(place) => Diagnostic::error("unreadable", place, message),
                    None => Diagnostic::unplaced("unreadable", message),
                });
                None
            }
        }
    }
}
