//! One walk over a document, driven by the schema: imports are resolved,
//! identifiers and links made absolute, shorthands written out, and all that
//! is wrong is noted. The tree that comes out has one form, however it was
//! written. What was refused is [`Kind::Faulty`] in it; what was misspelt
//! stands under the name that was meant.

mod directives;
mod faults;
mod mend;
mod shorthand;
pub mod texts;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Kind, Map, Node};
use crate::scalar;
use crate::schema::{Field, Marks, Record, Schema, Type};
use crate::source::Place;
use crate::suggest::nearest;
use crate::uri;
use texts::Texts;

/// How deep values may be nested, imports included.
const MAX_DEPTH: usize = 300;

/// Walks documents that share their texts and named types.
pub struct Walker<'s, 't> {
    schema: &'s Schema,
    /// The texts.
    pub texts: &'s mut Texts<'t>,
    /// Prefixes, from `$namespaces`.
    pub namespaces: HashMap<String, String>,
    /// Unknown fields are warnings.
    pub lenient: bool,
    /// What was found wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Documents that `@ref` fields name.
    pub references: Vec<(String, Place)>,
    /// Named types by their identifiers.
    pub types: IndexMap<String, Node>,
    /// Names of types that were met before their definition.
    waiting: Vec<types::Waiting>,
    importing: Vec<String>,
    /// How many values came from imports.
    imported: usize,
    depth: usize,
}

/// Where a value stands.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The URI of the text, against which references are resolved.
    pub base: Arc<str>,
    /// The identifier of what is around, in which names are found.
    pub id: Arc<str>,
}

impl<'s, 't> Walker<'s, 't> {
    /// A walker for a schema.
    pub fn new(schema: &'s Schema, texts: &'s mut Texts<'t>) -> Self {
        Self {
            schema,
            texts,
            namespaces: HashMap::new(),
            lenient: false,
            diagnostics: Vec::new(),
            references: Vec::new(),
            types: IndexMap::new(),
            waiting: Vec::new(),
            importing: Vec::new(),
            imported: 0,
            depth: 0,
        }
    }

    /// Walks a node that must be a record of the given name, or one of a union. `None` if it is not.
    pub fn walk(&mut self, node: Node, name: &str, scope: &Scope) -> Option<Node> {
        let types = [Type::Named(name.to_owned())];
        self.importing.push(scope.base.to_string());
        let value = self.value(node, &types, &Marks::default(), scope, name);
        self.importing.pop();
        (!value.is_faulty()).then_some(value)
    }

    fn error(&mut self, code: &'static str, place: &Place, message: String) {
        self.diagnostics.push(Diagnostic::error(code, place, message));
    }

    /// A value of a field, or an item of its list.
    fn value(&mut self, node: Node, types: &[Type], marks: &Marks, scope: &Scope, what: &str) -> Node {
        if node.is_faulty() {
            return node;
        }
        let place = node.place.clone();
        if self.depth >= MAX_DEPTH {
            self.error("too-deep", &place, format!("values are nested more than {MAX_DEPTH} deep"));
            return Node::faulty(&place);
        }
        self.depth += 1;
        let value = match self.directive(node, scope) {
            Some((node, Some(inner))) => {
                self.importing.push(inner.base.to_string());
                let value = self.plain_value(node, types, marks, &inner, what);
                self.importing.pop();
                value
            }
            Some((node, None)) => self.plain_value(node, types, marks, scope, what),
            None => None,
        };
        self.depth -= 1;
        value.unwrap_or_else(|| Node::faulty(&place))
    }

    fn plain_value(
        &mut self,
        node: Node,
        types: &[Type],
        marks: &Marks,
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        if marks.type_ {
            return self.type_value(node, types, marks, scope, what);
        }
        if marks.secondary {
            return self.secondary_value(node, types, scope, what);
        }
        let node = match &marks.map {
            Some((subject, predicate)) => self.map_to_list(node, subject, predicate.as_deref()),
            None => node,
        };
        let Node { place, kind } = node;
        match kind {
            Kind::List(items) => self.list(items, place, types, marks, scope, what),
            Kind::Map(map) => self.mapping(map, place, types, scope, what),
            Kind::String(text) => self.string(text, place, types, marks, scope, what),
            kind => {
                let node = Node { place, kind };
                if types.iter().any(|type_| is_scalar_of(&node, type_)) {
                    return Some(node);
                }
                self.mismatched(node, types, marks, scope, what)
            }
        }
    }

    fn list(
        &mut self,
        items: Vec<Node>,
        place: Place,
        types: &[Type],
        marks: &Marks,
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        let item_types = types.iter().find_map(|type_| match type_ {
            Type::List(items) => Some(items.as_slice()),
            Type::Any => Some(types),
            _ => None,
        });
        let Some(item_types) = item_types else {
            let node = Node { place, kind: Kind::List(items) };
            return self.mismatch(&node, types, marks, what);
        };
        let item_marks = Marks { map: None, ..marks.clone() };
        let mut walked = Vec::with_capacity(items.len());
        for item in items {
            let imported = item.get("$import").is_some();
            // An imported list is a part of the list that imports it.
            if imported {
                let both: Vec<Type> =
                    item_types.iter().cloned().chain([Type::List(item_types.to_vec())]).collect();
                match self.value(item, &both, &item_marks, scope, what) {
                    Node { kind: Kind::List(items), .. } => walked.extend(items),
                    other => walked.push(other),
                }
            } else {
                walked.push(self.value(item, item_types, &item_marks, scope, what));
            }
        }
        if marks.ids {
            walked = walked.into_iter().filter_map(id_of).collect();
        }
        Some(Node { place, kind: Kind::List(walked) })
    }

    fn string(
        &mut self,
        text: String,
        place: Place,
        types: &[Type],
        marks: &Marks,
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        let fits = types.iter().any(|type_| self.takes_text(type_, &text));
        if marks.reference {
            let target = uri::join(&scope.base, &text);
            self.references.push((target.clone(), place.clone()));
            return Some(Node::string(target, &place));
        }
        if !fits {
            return self.mismatched(Node::string(text, &place), types, marks, scope, what);
        }
        let text = match marks {
            Marks { link: Some(levels), .. } => resolve_link(&text, *levels, scope),
            Marks { ids: true, .. } => resolve_link(&text, 0, scope),
            Marks { format: true, .. } if !is_expression(&text) => self.expand_iri(&text, scope),
            Marks { uri: true, .. } if !is_expression(&text) => uri::join(&scope.base, &text),
            Marks { symbols: true, .. } if text.contains('#') => uri::short_name(&text).to_owned(),
            _ => self.extension(&text, types).map_or(text, str::to_owned),
        };
        Some(Node::string(text, &place))
    }

    /// The constant that a text names, where it has a prefix: documents may have other prefixes for the same.
    fn extension<'c>(&self, text: &str, types: &'c [Type]) -> Option<&'c str> {
        types.iter().find_map(|type_| match type_ {
            Type::Constant(constant) if constant.contains(':') && self.is_name(text, constant) => {
                Some(&**constant)
            }
            _ => None,
        })
    }

    fn mapping(
        &mut self,
        mut map: Map,
        place: Place,
        types: &[Type],
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        let schema = self.schema;
        let candidates = self.candidates(types);
        let (mut open, mut extensible) = (false, false);
        for type_ in types {
            if let Type::Named(name) = type_ {
                open |= schema.union(name).is_some_and(|union| union.open);
                extensible |= schema.union(name).is_some_and(|union| union.extensible);
            }
        }
        self.mend_constants(&mut map, &candidates);
        if let Some(record) = self.choose(&candidates, &map) {
            return Some(self.record(map, place, record, scope));
        }
        if let Some(class) = map.get("class")
            && let Some(text) = class.as_str()
            && (open || (extensible && text.contains(':')))
        {
            let known = candidates.iter().flat_map(|record| record.constants()).map(|(_, value)| value);
            let mut diagnostic =
                Diagnostic::warning("unknown-class", &class.place, format!("moil does not know `{text}`"));
            diagnostic.hint = nearest(text, known).map(|near| format!("did you mean `{near}`?"));
            self.diagnostics.push(diagnostic);
            return Some(Node { place, kind: Kind::Map(map) });
        }
        if types.contains(&Type::Any) {
            return Some(self.any_mapping(map, place, scope));
        }
        if candidates.is_empty() {
            return self.mismatch(&Node { place, kind: Kind::Map(map) }, types, &Marks::default(), what);
        }
        let record = self.no_candidate(&mut map, &place, &candidates, what)?;
        Some(self.record(map, place, record, scope))
    }

    /// The record whose constant fields the mapping has; the one without constants if there is no such.
    fn choose<'r>(&self, candidates: &[&'r Record], map: &Map) -> Option<&'r Record> {
        let says = |record: &Record| {
            record.constants().all(|(field, value)| {
                map.get(field).and_then(Node::as_str).is_some_and(|text| self.is_name(text, value))
            })
        };
        let with = candidates.iter().find(|record| record.constants().next().is_some() && says(record));
        let without = || {
            let constants = candidates.iter().flat_map(|record| record.constants());
            let told_apart = constants.map(|(field, _)| field).any(|field| map.get(field).is_some());
            let plain = candidates.iter().find(|record| record.constants().next().is_none());
            plain.filter(|_| !told_apart || candidates.len() == 1)
        };
        // With one candidate there is nothing to tell apart: its constants are checked like other fields.
        let only = || match candidates {
            [only] => Some(only),
            _ => None,
        };
        with.or_else(without).or_else(only).copied()
    }

    fn record(&mut self, mut map: Map, place: Place, record: &Record, scope: &Scope) -> Node {
        let mut entries: Vec<Entry> = Vec::with_capacity(map.entries.len() + 1);
        self.mend_fields(&mut map, record);
        let scope = self.enter(&mut map, &mut entries, &place, record, scope);
        for (name, field) in record.fields.iter().filter(|(_, field)| !field.marks.id) {
            match map.remove(name) {
                Some(entry) if entry.value.is_null() && !field.required => {}
                Some(entry) => entries.push(self.field(entry, field, record, &scope)),
                None if field.required => {
                    self.missing_field(name, field, record, &place);
                    let key_place = place.clone();
                    entries.push(Entry { key: name.clone(), key_place, value: Node::faulty(&place) });
                }
                None => {}
            }
        }
        for entry in map.entries {
            if record.open || self.schema.is_identifier(&entry.key) {
                self.unknown_field_warning(&entry, record);
                entries.extend(record.open.then_some(entry));
            } else if !is_extension(&entry.key) {
                self.unknown_field(&entry, record);
            }
        }
        let node = Node { place, kind: Kind::Map(Map { entries }) };
        if record.fields.values().any(|field| field.marks.define)
            && let Some(id) = node.get("name").and_then(Node::as_str)
        {
            self.types.insert(id.to_owned(), node.clone());
        }
        node
    }

    /// Makes the identifier absolute; what is inside the record has it as its scope.
    fn enter(
        &mut self,
        map: &mut Map,
        entries: &mut Vec<Entry>,
        place: &Place,
        record: &Record,
        scope: &Scope,
    ) -> Scope {
        let Some((name, field)) = record.fields.iter().find(|(_, field)| field.marks.id) else {
            return scope.clone();
        };
        let entry = map.remove(name).filter(|entry| !entry.value.is_null());
        let id: Option<Arc<str>> = match &entry {
            Some(entry) => match entry.value.as_str() {
                Some("") => {
                    self.error("empty-name", &entry.value.place, format!("`{name}` must not be empty"));
                    None
                }
                Some(text) if field.marks.define => Some(self.type_id(text, scope).into()),
                Some(text) => Some(identifier(text, scope).into()),
                None => {
                    self.mismatch(&entry.value, &[Type::String], &Marks::default(), &format!("`{name}`"));
                    None
                }
            },
            None if field.required => {
                self.missing_field(name, field, record, place);
                None
            }
            None if field.marks.define => return scope.clone(),
            None => Some(Arc::clone(&scope.id)),
        };
        let id_place = entry.as_ref().map_or(place, |entry| &entry.value.place);
        let key_place = entry.as_ref().map_or(place, |entry| &entry.key_place).clone();
        // What must have no name of its own is called after what it stands in.
        let id = id.or_else(|| (!field.required && !field.marks.define).then(|| Arc::clone(&scope.id)));
        let value = id.as_ref().map_or_else(|| Node::faulty(id_place), |id| Node::string(&**id, id_place));
        entries.push(Entry { key: name.clone(), key_place, value });
        Scope { base: Arc::clone(&scope.base), id: id.unwrap_or_else(|| Arc::clone(&scope.id)) }
    }

    fn field(&mut self, entry: Entry, field: &Field, record: &Record, scope: &Scope) -> Entry {
        let Entry { key, key_place, value } = entry;
        let what = format!("`{key}` of {}", record.name);
        if field.marks.path {
            let mut value = self.value(value, &field.types, &Marks::default(), scope, &what);
            if let Some(path) = value.as_str() {
                let location = uri::join(&scope.base, &uri::encode_path(path));
                value.kind = Kind::String(location);
            }
            return Entry { key: "location".to_owned(), key_place, value };
        }
        let inner = if field.marks.reference {
            Scope { base: Arc::clone(&scope.base), id: uri::child(&scope.id, &key).into() }
        } else {
            scope.clone()
        };
        // A process that is imported is one that is named: it keeps its own version.
        let value = match value.as_map() {
            Some(map) if field.marks.reference && map.entries.len() == 1 => {
                map.get("$import").filter(|target| target.as_str().is_some()).cloned().unwrap_or(value)
            }
            _ => value,
        };
        let value = self.value(value, &field.types, &field.marks, &inner, &what);
        Entry { key, key_place, value }
    }

    /// A value that no type restricts: only records that are recognised in it are walked.
    fn any_mapping(&mut self, map: Map, place: Place, scope: &Scope) -> Node {
        let schema = self.schema;
        let mut candidates = Vec::new();
        schema.candidates("Any", &mut candidates);
        if let Some(record) = self.choose(&candidates, &map) {
            return self.record(map, place, record, scope);
        }
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in map.entries {
            let Entry { key, key_place, value } = entry;
            let what = format!("`{key}`");
            let value = if value.is_null() {
                value
            } else {
                self.value(value, &[Type::Any], &Marks::default(), scope, &what)
            };
            entries.push(Entry { key, key_place, value });
        }
        Node { place, kind: Kind::Map(Map { entries }) }
    }

    fn takes_text(&self, type_: &Type, text: &str) -> bool {
        match type_ {
            Type::String | Type::Any => true,
            Type::Expression => is_expression(text),
            Type::Constant(constant) => self.is_name(text, constant),
            _ => false,
        }
    }

    /// Whether a text is a name of the schema, perhaps with a prefix or as a full IRI.
    fn is_name(&self, text: &str, name: &str) -> bool {
        text == name
            || (text.contains(':') && {
                let expanded = self.expand_prefix(text);
                expanded == self.expand_prefix(name)
                    || expanded.strip_prefix("https://w3id.org/cwl/cwl#") == Some(name)
                    || expanded.strip_prefix("https://w3id.org/cwl/salad#") == Some(name)
            })
    }

    fn expand_prefix(&self, text: &str) -> String {
        let expanded = text.split_once(':').and_then(|(prefix, rest)| {
            self.namespaces.get(prefix).map(|namespace| format!("{namespace}{rest}"))
        });
        expanded.unwrap_or_else(|| text.to_owned())
    }

    fn expand_iri(&self, text: &str, scope: &Scope) -> String {
        let expanded = self.expand_prefix(text);
        if expanded == text { uri::join(&scope.base, text) } else { expanded }
    }
}

/// Fields of other vocabularies (`s:author`, IRIs) and directives are nobody's mistake.
fn is_extension(key: &str) -> bool {
    key.contains(':') || key.starts_with('$')
}

/// Whether a value that is no text, list or mapping is of a type.
fn is_scalar_of(node: &Node, type_: &Type) -> bool {
    match (&node.kind, type_) {
        (_, Type::Any)
        | (Kind::Null, Type::Null)
        | (Kind::Bool(_), Type::Bool)
        | (Kind::Int(_) | Kind::Float(_), Type::Float) => true,
        (Kind::Int(text), Type::Int) => scalar::whole(text).is_some_and(|value| i32::try_from(value).is_ok()),
        (Kind::Int(text), Type::Long) => {
            scalar::whole(text).is_some_and(|value| i64::try_from(value).is_ok())
        }
        _ => false,
    }
}

fn is_expression(text: &str) -> bool {
    text.contains("$(") || text.contains("${")
}

/// The identifier of something called `text`.
fn identifier(text: &str, scope: &Scope) -> String {
    if text.contains('#') || uri::is_absolute(text) {
        uri::join(&scope.base, text)
    } else {
        uri::child(&scope.id, text)
    }
}

fn resolve_link(text: &str, levels: usize, scope: &Scope) -> String {
    if text.contains('#') || uri::is_absolute(text) {
        uri::join(&scope.base, text)
    } else {
        uri::child(uri::parent(&scope.id, levels), text)
    }
}

fn id_of(item: Node) -> Option<Node> {
    match item.kind {
        Kind::Map(mut map) => map.remove("id").map(|entry| entry.value),
        _ => Some(item),
    }
}

#[cfg(test)]
mod tests;
