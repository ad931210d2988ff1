//! Reading the fields of one mapping, and remembering which were read.

use std::cell::RefCell;
use std::sync::Arc;

use moil_salad::diagnostic::Diagnostic;
use moil_salad::node::{Kind, Map, Node};
use moil_salad::source::Place;

use crate::json;
use crate::text::{NumberOrText, Text};
use crate::value::Value;

/// Everything that a conversion has to say.
#[derive(Default)]
pub(super) struct Findings {
    diagnostics: RefCell<Vec<Diagnostic>>,
    unread: RefCell<Vec<(Place, String)>>,
}

impl Findings {
    /// Adds a fault.
    pub fn add(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    /// Adds an error.
    pub fn error(&self, code: &'static str, place: &Place, message: impl Into<String>) {
        self.add(Diagnostic::error(code, place, message));
    }

    /// The faults, and the fields that nobody read.
    pub fn into_parts(self) -> (Vec<Diagnostic>, Vec<(Place, String)>) {
        (self.diagnostics.into_inner(), self.unread.into_inner())
    }
}

/// One mapping of a document, whose fields are taken one by one. The walker has checked the types
/// of fields already; what is wrong nevertheless is reported here too, so that nodes from
/// elsewhere cannot do harm.
pub(super) struct Cursor<'n, 'f> {
    /// Where the mapping stands.
    pub place: &'n Place,
    what: String,
    map: &'n Map,
    findings: &'f Findings,
    read: RefCell<Vec<bool>>,
}

impl<'n, 'f> Cursor<'n, 'f> {
    /// A cursor over a node, which must be a mapping. `what` names it in unread fields.
    pub fn new(node: &'n Node, what: impl Into<String>, findings: &'f Findings) -> Option<Self> {
        let what = what.into();
        let Some(map) = node.as_map() else {
            if node.is_faulty() {
                return None;
            }
            let message = format!("{what} must be a mapping, not {}", node.describe());
            findings.error("invalid-type", &node.place, message);
            return None;
        };
        let read = RefCell::new(vec![false; map.entries.len()]);
        Some(Self { place: &node.place, what, map, findings, read })
    }

    /// The value of a field; `None` when it is not there, null or faulty.
    pub fn get(&self, field: &str) -> Option<&'n Node> {
        let index = self.map.entries.iter().position(|entry| entry.key == field)?;
        if let Some(read) = self.read.borrow_mut().get_mut(index) {
            *read = true;
        }
        self.map
            .entries
            .get(index)
            .map(|entry| &entry.value)
            .filter(|node| !node.is_null() && !node.is_faulty())
    }

    /// Whether a field was refused, so that nobody knows what it says.
    pub fn is_faulty(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(Node::is_faulty)
    }

    /// Whether nothing was refused of a field and, if it is a list, of its members.
    pub fn is_whole(&self, field: &str) -> bool {
        self.map.get(field).is_none_or(|node| !items(node).iter().any(Node::is_faulty))
    }

    /// Where a field stands, or the mapping if the field is not there.
    pub fn place_of(&self, field: &str) -> &'n Place {
        self.map.get(field).map_or(self.place, |node| &node.place)
    }

    /// Reads fields that conversion has no use for.
    pub fn ignore(&self, fields: &[&str]) {
        for field in fields {
            self.get(field);
        }
    }

    /// An error about a field.
    pub fn wrong(&self, field: &str, node: &Node, expected: &str) {
        if node.is_faulty() {
            return;
        }
        let message = format!("`{field}` must be {expected}, not {}", node.describe());
        self.findings.error("invalid-type", &node.place, message);
    }

    /// A field that must be there.
    pub fn required(&self, field: &str) -> Option<&'n Node> {
        let node = self.get(field);
        if node.is_none() && !self.is_faulty(field) {
            let message = format!("{} has no `{field}`", self.what);
            self.findings.error("missing-field", self.place, message);
        }
        node
    }

    /// A string.
    pub fn str(&self, field: &str) -> Option<&'n str> {
        let node = self.get(field)?;
        if node.as_str().is_none() {
            self.wrong(field, node, "a string");
        }
        node.as_str()
    }

    /// A string that is kept.
    pub fn string(&self, field: &str) -> Option<Arc<str>> {
        self.str(field).map(Arc::from)
    }

    /// A string that may hold expressions.
    pub fn text(&self, field: &str) -> Option<Text> {
        let node = self.get(field)?;
        let text = text(node);
        if text.is_none() {
            self.wrong(field, node, "a string");
        }
        text
    }

    /// A string, or several.
    pub fn texts(&self, field: &str) -> Vec<Text> {
        let Some(node) = self.get(field) else { return Vec::new() };
        let mut texts = Vec::new();
        for item in items(node) {
            match text(item) {
                Some(text) => texts.push(text),
                None => self.wrong(field, item, "a string or a list of strings"),
            }
        }
        texts
    }

    /// A string, or several, that hold no expressions.
    pub fn strings(&self, field: &str) -> Vec<Arc<str>> {
        self.texts(field).into_iter().map(|text| text.text).collect()
    }

    /// A boolean.
    pub fn flag(&self, field: &str, default: bool) -> bool {
        match self.get(field) {
            None => default,
            Some(node) => match node.kind {
                Kind::Bool(value) => value,
                _ => {
                    self.wrong(field, node, "a boolean");
                    default
                }
            },
        }
    }

    /// A number, or an expression that gives one.
    pub fn number(&self, field: &str) -> Option<NumberOrText> {
        let node = self.get(field)?;
        if let Some(text) = text(node) {
            return Some(NumberOrText::Text(text));
        }
        match json::from_node(node) {
            Value::Number(number) => Some(NumberOrText::Number(number)),
            _ => {
                self.wrong(field, node, "a number or an expression");
                None
            }
        }
    }

    /// Whole numbers.
    pub fn codes(&self, field: &str) -> Vec<i64> {
        let Some(node) = self.get(field) else { return Vec::new() };
        let mut codes = Vec::new();
        for item in items(node) {
            match json::from_node(item) {
                Value::Number(crate::value::Number::Int(code)) => codes.push(code),
                _ => self.wrong(field, item, "a list of whole numbers"),
            }
        }
        codes
    }

    /// The members of a list; none where the field is not there.
    pub fn list(&self, field: &str) -> &'n [Node] {
        let Some(node) = self.get(field) else { return &[] };
        match node.as_list() {
            Some(items) => items,
            None => {
                self.wrong(field, node, "a list");
                &[]
            }
        }
    }

    /// Text for people: a string, or a list of lines.
    pub fn doc(&self, field: &str) -> Option<String> {
        let node = self.get(field)?;
        let lines: Vec<&str> = items(node).iter().filter_map(Node::as_str).collect();
        Some(lines.join("\n"))
    }

    /// A value: null where the field is not there.
    pub fn value(&self, field: &str) -> Value {
        let Some(node) = self.get(field) else { return Value::Null };
        json::try_from_node(node).unwrap_or_else(|diagnostic| {
            self.findings.add(diagnostic);
            Value::Null
        })
    }

    /// Ends the reading: remembers what was not read. Fields of other vocabularies (`s:author`) are nobody's.
    pub fn finish(self) {
        let read = self.read.into_inner();
        let mut unread = self.findings.unread.borrow_mut();
        for (entry, read) in self.map.entries.iter().zip(read) {
            if !read && !entry.key.contains([':', '/', '$']) {
                unread.push((entry.key_place.clone(), format!("{}.{}", self.what, entry.key)));
            }
        }
    }
}

/// A node's text with its place, if it is a string.
pub(super) fn text(node: &Node) -> Option<Text> {
    node.as_str().map(|text| Text { text: text.into(), place: node.place.clone() })
}

/// The members of a list, or the node alone.
pub(super) fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}
