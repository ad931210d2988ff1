//! Normalised documents as JSON text, with identifiers that do not tell where the document lay.

use std::collections::{HashMap, HashSet, VecDeque};

use moil_salad::node::{Kind, Node};

use crate::convert::{class_name, is_known_requirement, short_name};
use crate::document::Document;
use crate::json;
use crate::print;
use crate::value::Value;

/// Types that were packed in place, before the rest is named `Any`: types in types in types can be
/// endless when they are written out.
const MAX_INLINED: usize = 10_000;

/// What the text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// To be compared and read back as it is: alphabetical, without anything idle.
    Canonical,
    /// To be loaded as a document of v1.2 by anybody.
    Packed,
}

/// Fields that make no difference to what a process does.
pub(crate) fn is_idle(field: &str) -> bool {
    matches!(field, "label" | "doc" | "intent") || field.contains([':', '/', '$'])
}

/// Writes processes one after the other. What they name is written behind them.
pub(crate) struct Writer<'d> {
    document: &'d Document,
    style: Style,
    out: String,
    /// New names of processes and types that are not written in place.
    names: HashMap<&'d str, String>,
    used: HashSet<String>,
    /// Those that are still to be written.
    processes: VecDeque<(String, &'d str)>,
    types: VecDeque<(String, &'d str)>,
    /// The identifier of the process or type that is being written, and its new name.
    base: String,
    stem: String,
    /// Named types that are being written in place, and how many were.
    open: Vec<&'d str>,
    inlined: usize,
}

impl<'d> Writer<'d> {
    pub fn new(document: &'d Document, style: Style) -> Self {
        Self {
            document,
            style,
            out: String::new(),
            names: HashMap::new(),
            used: HashSet::from(["#main".to_owned()]),
            processes: VecDeque::new(),
            types: VecDeque::new(),
            base: String::new(),
            stem: String::new(),
            open: Vec::new(),
            inlined: 0,
        }
    }

    /// `{"main", "processes", "types"}`.
    pub fn canonical(mut self, process: &'d Node, fields: &[(&str, &str)]) -> String {
        self.out.push_str(r#"{"main":"#);
        self.string("#main");
        self.out.push_str(r#","processes":{"#);
        self.string("#main");
        self.out.push(':');
        self.main(process);
        self.map(process, fields);
        while let Some((name, iri)) = self.processes.pop_front() {
            self.out.push(',');
            self.member(name, iri, self.document.processes.get(iri));
        }
        self.out.push_str(r#"},"types":{"#);
        let mut separator = "";
        while let Some((name, iri)) = self.types.pop_front() {
            self.out.push_str(separator);
            separator = ",";
            self.member(name, iri, self.document.types.get(iri));
        }
        self.out.push_str("}}");
        self.out
    }

    /// The texts of the main process and of all that it runs.
    pub fn packed(mut self, process: &'d Node) -> Vec<String> {
        self.main(process);
        self.map(process, &[]);
        let mut texts = vec![std::mem::take(&mut self.out)];
        while let Some((name, iri)) = self.processes.pop_front() {
            let Some(node) = self.document.processes.get(iri) else { continue };
            self.base = iri.to_owned();
            self.stem = name;
            self.map(node, &[]);
            texts.push(std::mem::take(&mut self.out));
        }
        texts
    }

    fn main(&mut self, process: &'d Node) {
        let id = process.get("id").and_then(Node::as_str).unwrap_or_default();
        self.base = id.to_owned();
        self.stem = "#main".to_owned();
        self.names.insert(id, "#main".to_owned());
    }

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
    fn new_name(&mut self, iri: &'d str) -> (String, bool) {
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
        self.names.insert(iri, name.clone());
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
        if self.style == Style::Packed {
            return self.inlined_type(iri);
        }
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

    /// The definition of a named type, without its name: it may stand in several places.
    fn inlined_type(&mut self, iri: &str) {
        let Some((iri, node)) = self.document.types.get_key_value(iri) else { return self.identifier(iri) };
        if self.inlined >= MAX_INLINED || self.open.contains(&iri.as_str()) {
            return self.string("Any");
        }
        self.inlined += 1;
        self.open.push(iri);
        self.map(node, &[]);
        self.open.pop();
    }

    fn map(&mut self, node: &'d Node, fields: &[(&str, &str)]) {
        let class = node.get("class").and_then(Node::as_str).unwrap_or_default();
        let mut entries: Vec<(&str, Option<&'d Node>)> = node
            .as_map()
            .map(|map| map.entries.iter().map(|entry| (entry.key.as_str(), Some(&entry.value))).collect())
            .unwrap_or_default();
        entries.retain(|(key, value)| {
            !value.is_some_and(Node::is_null)
                && !fields.iter().any(|(field, _)| field == key)
                && match self.style {
                    Style::Canonical => !is_idle(key),
                    // Where it stands now, its name would be somebody else's.
                    Style::Packed => {
                        *key != "cwlVersion" && !key.starts_with('$') && !(*key == "name" && is_type(node))
                    }
                }
        });
        let is_old =
            self.style == Style::Packed && node.get("cwlVersion").and_then(Node::as_str) == Some("v1.0");
        if is_old && !entries.iter().any(|(key, _)| *key == "hints") {
            entries.push(("hints", None));
        }
        entries.extend(fields.iter().map(|(field, _)| (*field, None)));
        if self.style == Style::Canonical {
            entries.sort_by_key(|(key, _)| *key);
        }
        self.out.push('{');
        let mut separator = "";
        for (key, value) in entries {
            let is_list_of_requirements = matches!(key, "requirements" | "hints");
            let is_hints = is_old && key == "hints";
            if is_list_of_requirements
                && !is_hints
                && value.is_some_and(|v| wanted(v, key, self.style).next().is_none())
            {
                continue;
            }
            self.out.push_str(separator);
            separator = ",";
            self.string(key);
            self.out.push(':');
            match (value, fields.iter().find(|(field, _)| *field == key)) {
                (_, Some((_, text))) => self.string(text),
                _ if is_hints => self.old_hints(value),
                _ if key == "class" && self.style == Style::Canonical => self.string(class_name(class)),
                (Some(value), None) => self.field(key, value),
                (None, None) => self.out.push_str("null"),
            }
        }
        self.out.push('}');
    }

    /// The hints of a document of v1.0, with what was a matter of course then.
    fn old_hints(&mut self, hints: Option<&'d Node>) {
        let hints: Vec<&'d Node> =
            hints.into_iter().flat_map(|hints| wanted(hints, "hints", Style::Packed)).collect();
        let says = |class: &str| {
            hints
                .iter()
                .any(|hint| hint.get("class").and_then(Node::as_str).is_some_and(|c| class_name(c) == class))
        };
        let mut separator = "";
        self.out.push('[');
        for (class, text) in [
            ("LoadListingRequirement", r#"{"class":"LoadListingRequirement","loadListing":"deep_listing"}"#),
            ("NetworkAccess", r#"{"class":"NetworkAccess","networkAccess":true}"#),
        ] {
            if !says(class) {
                self.out.push_str(separator);
                self.out.push_str(text);
                separator = ",";
            }
        }
        for hint in hints {
            self.out.push_str(separator);
            separator = ",";
            self.field("hints", hint);
        }
        self.out.push(']');
    }

    fn field(&mut self, key: &str, node: &'d Node) {
        match (key, &node.kind) {
            ("default", _) => self.plain(node),
            ("requirements" | "hints", Kind::List(_)) => {
                let members: Vec<&'d Node> = wanted(node, key, self.style).collect();
                self.list("", &members);
            }
            (_, Kind::List(members)) => {
                let members: Vec<&'d Node> = members.iter().collect();
                self.list(key, &members);
            }
            (_, Kind::Map(_)) => self.map(node, &[]),
            ("run", Kind::String(iri)) => self.process_name(iri),
            ("type" | "items", Kind::String(iri)) => self.type_name(iri),
            ("name", Kind::String(name)) if self.style == Style::Packed => self.string(short_name(name)),
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
        Kind::Null | Kind::Faulty => out.push_str("null"),
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

/// Whether this is the definition of a type.
fn is_type(node: &Node) -> bool {
    matches!(node.get("type").and_then(Node::as_str), Some("record" | "enum" | "array"))
        && (node.get("fields").is_some() || node.get("symbols").is_some() || node.get("items").is_some())
}

/// The requirements or hints that make a difference. Types of a SchemaDefRequirement are written by themselves.
fn wanted<'d>(node: &'d Node, field: &str, style: Style) -> impl Iterator<Item = &'d Node> {
    let drops_unknown = field == "hints" && style == Style::Canonical;
    node.as_list().unwrap_or_default().iter().filter(move |node| {
        let class = class_name(node.get("class").and_then(Node::as_str).unwrap_or_default());
        class != "SchemaDefRequirement" && (!drops_unknown || is_known_requirement(class))
    })
}
