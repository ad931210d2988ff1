//! Untyped documents to typed processes.
//!
//! The walker has checked what the schema says; here is what it cannot say: names that must exist,
//! links that must lead somewhere, requirements that must be stated.

mod cursor;
mod parameter;
mod process;
mod requirement;
mod stand_in;
mod tool;
mod types;
mod workflow;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use moil_salad::diagnostic::Diagnostic;
use moil_salad::node::Node;
use moil_salad::source::Place;

use crate::document::Document;
use crate::process::Process;
use crate::requirement::Requirement;
use crate::types::Type;
use cursor::Findings;

pub(crate) use moil_salad::uri::short_name;
pub(crate) use requirement::class_name;

/// How deep types and processes may be nested in each other, together. Our recursion must end
/// before the stack does.
const MAX_DEPTH: usize = 100;

/// What became of a document.
#[derive(Debug)]
pub struct Conversion {
    /// The process that was asked for, or all there are where nobody knows which one that is; less those
    /// that could not be made.
    pub processes: Vec<Process>,
    /// All that is wrong, in no order.
    pub diagnostics: Vec<Diagnostic>,
    /// Processes of which not all inputs and outputs are known, by their identifiers: there were faults.
    pub hollow: HashSet<Arc<str>>,
    /// Fields that nobody read, by class and name. Always empty for documents that fit the schema.
    pub unread: Vec<(Place, String)>,
}

/// Makes the main process of a document, with all that it runs. Where something was refused before,
/// there is a stand-in for it, so that all the rest is checked.
pub fn convert(document: &Document) -> Conversion {
    let converter = Converter::new(document);
    let processes = if document.main.is_empty() {
        document.processes.keys().filter_map(|id| converter.named_process(id, None)).collect()
    } else {
        converter.named_process(&document.main, None).into_iter().collect()
    };
    let (diagnostics, unread) = converter.findings.into_parts();
    Conversion { processes, diagnostics, hollow: converter.hollow.into_inner(), unread }
}

/// Makes requirements from nodes in normalised form, such as those of an input object.
pub(crate) fn requirements(nodes: &[Node]) -> (Vec<Requirement>, Vec<Diagnostic>) {
    let document = Document {
        main: String::new(),
        processes: Default::default(),
        types: Default::default(),
        namespaces: Default::default(),
        schemas: Vec::new(),
        sources: Vec::new(),
    };
    let converter = Converter::new(&document);
    let made = nodes.iter().filter_map(|node| converter.requirement(node)).collect();
    (made, converter.findings.into_parts().0)
}

struct Converter<'d> {
    document: &'d Document,
    findings: Findings,
    processes: RefCell<HashMap<String, Option<Process>>>,
    open_processes: RefCell<Vec<String>>,
    types: RefCell<HashMap<String, Type>>,
    open_types: RefCell<Vec<String>>,
    depth: Cell<usize>,
    /// Processes of which not all inputs and outputs are known, by their identifiers.
    hollow: RefCell<HashSet<Arc<str>>>,
}

/// Counts one level of nesting for as long as it lives.
struct Level<'c>(&'c Cell<usize>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'d> Converter<'d> {
    fn new(document: &'d Document) -> Self {
        Self {
            document,
            findings: Findings::default(),
            processes: RefCell::default(),
            open_processes: RefCell::default(),
            types: RefCell::default(),
            open_types: RefCell::default(),
            depth: Cell::new(0),
            hollow: RefCell::default(),
        }
    }

    /// Goes one level deeper, or reports that it is one too many.
    fn descend(&self, place: &Place, message: &str) -> Option<Level<'_>> {
        if self.depth.get() >= MAX_DEPTH {
            self.findings.error("too-deep", place, message);
            return None;
        }
        self.depth.set(self.depth.get() + 1);
        Some(Level(&self.depth))
    }
}

#[cfg(test)]
mod tests;
