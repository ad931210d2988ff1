//! Normalised documents as JSON text that anybody can load as documents of v1.2, with identifiers that do not tell
//! where the document lay.

use std::collections::{HashMap, HashSet, VecDeque};

use moil_salad::node::{Kind, Node};

use crate::convert::{class_name, short_name};
use crate::document::Document;
use crate::json;
use crate::print;
use crate::value::Value;

/// Types that were packed in place, before the rest is named `Any`: types in types in types can be
/// endless when they are written out.
const MAX_INLINED: usize = 10_000;

/// Writes processes one after the other. What they name is written behind them.
pub(crate) struct Writer<'d> {
    document: &'d Document,
    out: String,
    /// New names of processes that are not written in place.
    names: HashMap<&'d str, String>,
    used: HashSet<String>,
    /// Those that are still to be written.
    processes: VecDeque<(String, &'d str)>,
    /// The identifier of the process or type that is being written, and its new name.
    base: String,
    stem: String,
    /// Named types that are being written in place, and how many were.
    open: Vec<&'d str>,
    inlined: usize,
}

impl<'d> Writer<'d> {
    pub fn new(document: &'d Document) -> Self {
        Self {
            document,
            out: String::new(),
            names: HashMap::new(),
            used: HashSet::from(["#main".to_owned()]),
            processes: VecDeque::new(),
            base: String::new(),
            stem: String::new(),
            open: Vec::new(),
            inlined: 0,
        }
    }

    /// The texts of the main process and of all that it runs.
    pub fn packed(mut self, process: &'d Node) -> Vec<String> {
        self.main(process);
        self.map(process);
        let mut texts = vec![std::mem::take(&mut self.out)];
        while let Some((name, iri)) = self.processes.pop_front() {
            let Some(node) = self.document.processes.get(iri) else { continue };
            self.base = iri.to_owned();
            self.stem = name;
            self.map(node);
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

    /// The definition of a named type, without its name: it may stand in several places.
    fn type_name(&mut self, iri: &str) {
        let Some((iri, node)) = self.document.types.get_key_value(iri) else { return self.identifier(iri) };
        if self.inlined >= MAX_INLINED || self.open.contains(&iri.as_str()) {
            return self.string("Any");
        }
        self.inlined += 1;
        self.open.push(iri);
        self.map(node);
        self.open.pop();
    }

    fn map(&mut self, node: &'d Node) {
        let mut entries: Vec<(&str, Option<&'d Node>)> = node
            .as_map()
            .map(|map| map.entries.iter().map(|entry| (entry.key.as_str(), Some(&entry.value))).collect())
            .unwrap_or_default();
        // Where it stands now, the name of a type would be somebody else's.
        let is_dropped =
            |key: &str| key == "cwlVersion" || key.starts_with('$') || (key == "name" && is_type(node));
        entries.retain(|(key, value)| !value.is_some_and(Node::is_null) && !is_dropped(key));
        let is_old = node.get("cwlVersion").and_then(Node::as_str) == Some("v1.0");
        if is_old && !entries.iter().any(|(key, _)| *key == "hints") {
            entries.push(("hints", None));
        }
        self.out.push('{');
        let mut separator = "";
        for (key, value) in entries {
            let is_hints = is_old && key == "hints";
            let is_list_of_requirements = matches!(key, "requirements" | "hints") && !is_hints;
            if is_list_of_requirements && value.is_some_and(|v| wanted(v).next().is_none()) {
                continue;
            }
            self.out.push_str(separator);
            separator = ",";
            self.string(key);
            self.out.push(':');
            match value {
                _ if is_hints => self.old_hints(value),
                Some(value) => self.field(key, value),
                None => self.out.push_str("null"),
            }
        }
        self.out.push('}');
    }

    /// The hints of a document of v1.0, with what was a matter of course then.
    fn old_hints(&mut self, hints: Option<&'d Node>) {
        let hints: Vec<&'d Node> = hints.into_iter().flat_map(wanted).collect();
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
                let members: Vec<&'d Node> = wanted(node).collect();
                self.list("", &members);
            }
            (_, Kind::List(members)) => {
                let members: Vec<&'d Node> = members.iter().collect();
                self.list(key, &members);
            }
            (_, Kind::Map(_)) => self.map(node),
            ("run", Kind::String(iri)) => self.process_name(iri),
            ("type" | "items", Kind::String(iri)) => self.type_name(iri),
            ("name", Kind::String(name)) => self.string(short_name(name)),
            (
                "id" | "source" | "outputSource" | "loopSource" | "out" | "scatter" | "secrets",
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

/// The requirements or hints that are written. Types of a SchemaDefRequirement are written where they are used.
fn wanted(node: &Node) -> impl Iterator<Item = &Node> {
    node.as_list().unwrap_or_default().iter().filter(|node| {
        class_name(node.get("class").and_then(Node::as_str).unwrap_or_default()) != "SchemaDefRequirement"
    })
}
