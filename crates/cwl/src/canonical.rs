//! Processes in canonical form: what memo keys are taken of, and what workers elsewhere load.
//!
//! The text is a small [`Document`] as JSON, `{"main", "processes", "types"}`, with everything the
//! process needs and nothing that makes no difference: no places, labels or documentation, no
//! unknown hints, fields in alphabetical order, and identifiers that do not tell where the
//! document lies. The form is already normalised, so it is read back without the walker.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use indexmap::IndexMap;
use moil_salad::diagnostic::{Diagnostic, has_errors};
use moil_salad::node::{Kind, Node};
use moil_salad::source::Source;

use crate::convert::{class_name, short_name};
use crate::document::Document;
use crate::json;
use crate::print;
use crate::value::Value;

/// The canonical form of a process. `fields` are set in it, whatever the process says: the names of its streams.
pub(crate) fn of(document: &Document, process: &Node, fields: &[(&str, &str)]) -> String {
    let id = process.get("id").and_then(Node::as_str).unwrap_or_default();
    let mut writer = Writer {
        document,
        out: String::from(r##"{"main":"#main","processes":{"##),
        names: HashMap::new(),
        used: HashSet::from(["#main".to_owned()]),
        processes: VecDeque::new(),
        types: VecDeque::new(),
        base: id.to_owned(),
        stem: "#main".to_owned(),
    };
    if document.processes.contains_key(id) {
        writer.names.insert(id.to_owned(), "#main".to_owned());
    }
    writer.string("#main");
    writer.out.push(':');
    writer.map(process, fields);
    while let Some((name, iri)) = writer.processes.pop_front() {
        writer.out.push(',');
        writer.member(name, iri, document.processes.get(iri));
    }
    writer.out.push_str(r#"},"types":{"#);
    let mut separator = "";
    while let Some((name, iri)) = writer.types.pop_front() {
        writer.out.push_str(separator);
        separator = ",";
        writer.member(name, iri, document.types.get(iri));
    }
    writer.out.push_str("}}");
    writer.out
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

/// Fields that make no difference to what a process does.
pub(crate) fn is_idle(field: &str) -> bool {
    matches!(field, "label" | "doc" | "intent") || field.contains([':', '/', '$'])
}

struct Writer<'d> {
    document: &'d Document,
    out: String,
    /// New names of processes and types that are not written in place.
    names: HashMap<String, String>,
    used: HashSet<String>,
    /// Those that are still to be written.
    processes: VecDeque<(String, &'d str)>,
    types: VecDeque<(String, &'d str)>,
    /// The identifier of the process or type that is being written, and its new name.
    base: String,
    stem: String,
}

impl<'d> Writer<'d> {
    fn member(&mut self, name: String, iri: &str, node: Option<&'d Node>) {
        self.string(&name);
        self.out.push(':');
        self.base = iri.to_owned();
        self.stem = name;
        match node {
            Some(node) => self.map(node, &[]),
            None => self.out.push_str("null"),
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push_str(&print::compact(&Value::from(text)));
    }

    /// An identifier below the process or type that is being written.
    fn identifier(&mut self, iri: &str) {
        let text = self.relative(iri);
        self.string(&text);
    }

    fn relative(&self, iri: &str) -> String {
        match iri.strip_prefix(&self.base) {
            Some("") => self.stem.clone(),
            Some(rest) if rest.starts_with(['#', '/']) => {
                format!("{}/{}", self.stem, rest.get(1..).unwrap_or_default())
            }
            _ => iri.to_owned(),
        }
    }

    /// A new name, kept for when the process or type is met again.
    fn new_name(&mut self, iri: &str) -> (String, bool) {
        if let Some(known) = self.names.get(iri) {
            return (known.clone(), false);
        }
        let stem = format!("#{}", short_name(iri));
        let mut name = stem.clone();
        let mut count = 1;
        while !self.used.insert(name.clone()) {
            count += 1;
            name = format!("{stem}_{count}");
        }
        self.names.insert(iri.to_owned(), name.clone());
        (name, true)
    }

    fn process_name(&mut self, iri: &str) {
        let name = match self.document.processes.get_key_value(iri) {
            Some((iri, _)) => {
                let (name, is_new) = self.new_name(iri);
                if is_new {
                    self.processes.push_back((name.clone(), iri));
                }
                name
            }
            None => iri.to_owned(),
        };
        self.string(&name);
    }

    fn type_name(&mut self, iri: &str) {
        match self.document.types.get_key_value(iri) {
            Some((iri, _)) => {
                let (name, is_new) = self.new_name(iri);
                if is_new {
                    self.types.push_back((name.clone(), iri));
                }
                self.string(&name);
            }
            None => self.identifier(iri),
        }
    }

    fn map(&mut self, node: &'d Node, fields: &[(&str, &str)]) {
        let class = node.get("class").and_then(Node::as_str).unwrap_or_default();
        let mut entries: Vec<(&str, Option<&'d Node>)> = node
            .as_map()
            .map(|map| map.entries.iter().map(|entry| (entry.key.as_str(), Some(&entry.value))).collect())
            .unwrap_or_default();
        entries.retain(|(key, value)| {
            !is_idle(key)
                && !value.is_some_and(Node::is_null)
                && !fields.iter().any(|(field, _)| field == key)
        });
        entries.extend(fields.iter().map(|(field, _)| (*field, None)));
        entries.sort_by_key(|(key, _)| *key);
        self.out.push('{');
        let mut separator = "";
        for (key, value) in entries {
            if matches!(key, "requirements" | "hints")
                && value.is_some_and(|v| wanted(v, key).next().is_none())
            {
                continue;
            }
            self.out.push_str(separator);
            separator = ",";
            self.string(key);
            self.out.push(':');
            match (value, fields.iter().find(|(field, _)| *field == key)) {
                (_, Some((_, text))) => self.string(text),
                _ if key == "class" => self.string(class_name(class)),
                (Some(value), None) => self.field(key, value),
                (None, None) => self.out.push_str("null"),
            }
        }
        self.out.push('}');
    }

    fn field(&mut self, key: &str, node: &'d Node) {
        match (key, &node.kind) {
            ("default", _) => self.plain(node),
            ("requirements" | "hints", Kind::List(_)) => {
                let members: Vec<&'d Node> = wanted(node, key).collect();
                self.list("", &members);
            }
            (_, Kind::List(members)) => {
                let members: Vec<&'d Node> = members.iter().collect();
                self.list(key, &members);
            }
            (_, Kind::Map(_)) => self.map(node, &[]),
            ("run", Kind::String(iri)) => self.process_name(iri),
            ("type" | "items", Kind::String(iri)) => self.type_name(iri),
            (
                "id" | "name" | "source" | "outputSource" | "loopSource" | "out" | "scatter" | "secrets",
                Kind::String(iri),
            ) => self.identifier(iri),
            _ => self.plain(node),
        }
    }

    fn list(&mut self, key: &str, members: &[&'d Node]) {
        self.out.push('[');
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.field(key, member);
        }
        self.out.push(']');
    }

    /// A value as it stands.
    fn plain(&mut self, node: &Node) {
        write_plain(&mut self.out, node);
    }
}

/// A value as JSON, numbers with the digits that were written.
pub(crate) fn write_plain(out: &mut String, node: &Node) {
    match &node.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Kind::Int(text) | Kind::Float(text) => {
            // Not every number of YAML is one of JSON: `.5`, `0x1F`.
            match serde_json::from_str::<serde_json::Number>(text) {
                Ok(_) => out.push_str(text),
                Err(_) => out.push_str(&print::compact(&json::from_node(node))),
            }
        }
        Kind::String(text) => out.push_str(&print::compact(&Value::from(text.as_str()))),
        Kind::List(members) => {
            out.push('[');
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_plain(out, member);
            }
            out.push(']');
        }
        Kind::Map(map) => {
            out.push('{');
            for (index, entry) in map.entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&print::compact(&Value::from(entry.key.as_str())));
                out.push(':');
                write_plain(out, &entry.value);
            }
            out.push('}');
        }
    }
}

/// The requirements or hints that make a difference. Types of a SchemaDefRequirement are written by themselves.
fn wanted<'d>(node: &'d Node, field: &str) -> impl Iterator<Item = &'d Node> {
    let is_hint = field == "hints";
    node.as_list().unwrap_or_default().iter().filter(move |node| {
        let class = class_name(node.get("class").and_then(Node::as_str).unwrap_or_default());
        class != "SchemaDefRequirement" && (!is_hint || crate::convert::is_known_requirement(class))
    })
}
