//! Shorthands written out: mappings for lists, `string[]?` for types, `.bai?` for secondary files.

use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Kind, Map, Node};
use crate::schema::{Marks, Type};
use crate::source::Place;
use crate::suggest::nearest;
use crate::uri;

use super::{Scope, Walker};

impl Walker<'_, '_> {
    /// A mapping that stands for a list: each key becomes the field `subject` of its item; an item
    /// that is no mapping is its field `predicate` (Schema Salad §"Identifier maps").
    pub(super) fn map_to_list(&mut self, node: Node, subject: &str, predicate: Option<&str>) -> Node {
        let Kind::Map(map) = node.kind else { return node };
        let mut items = Vec::with_capacity(map.entries.len());
        for entry in map.entries {
            let key = Entry {
                key: subject.to_owned(),
                key_place: entry.key_place.clone(),
                value: Node::string(entry.key.as_str(), &entry.key_place),
            };
            let place = entry.key_place.clone();
            match (entry.value, predicate) {
                (Node { kind: Kind::Map(inner), .. }, _) => {
                    let mut entries = Vec::with_capacity(inner.entries.len() + 1);
                    entries.push(key);
                    entries.extend(inner.entries.into_iter().filter(|entry| entry.key != subject));
                    items.push(Node { place, kind: Kind::Map(Map { entries }) });
                }
                (value, Some(predicate)) => {
                    let value_place = value.place.clone();
                    let value = Entry { key: predicate.to_owned(), key_place: value_place, value };
                    items.push(Node { place, kind: Kind::Map(Map { entries: vec![key, value] }) });
                }
                (value, None) => {
                    let message = format!("`{}` must be a mapping, not {}", entry.key, value.describe());
                    self.error("invalid-type", &value.place, message);
                }
            }
        }
        Node { place: node.place, kind: Kind::List(items) }
    }

    /// A type: a name, perhaps with `[]` and `?`; a list of alternatives; a record that defines one.
    pub(super) fn type_value(
        &mut self,
        node: Node,
        types: &[Type],
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        let Node { place, kind } = node;
        match kind {
            Kind::String(text) => self.type_name(&text, &place, scope),
            Kind::List(items) => {
                let marks = Marks { type_: true, ..Marks::default() };
                let mut alternatives: Vec<Node> = Vec::new();
                for item in items {
                    match self.value(item, types, &marks, scope, what) {
                        Some(Node { kind: Kind::List(inner), .. }) => {
                            inner.into_iter().for_each(|inner| add_alternative(&mut alternatives, inner));
                        }
                        Some(other) => add_alternative(&mut alternatives, other),
                        None => {}
                    }
                }
                Some(Node { place, kind: Kind::List(alternatives) })
            }
            Kind::Map(map) => self.mapping(map, place, types, scope, what),
            kind => {
                let node = Node { place, kind };
                let message = format!("{what} must be a type, not {}", node.describe());
                self.error("invalid-type", &node.place, message);
                None
            }
        }
    }

    fn type_name(&mut self, text: &str, place: &Place, scope: &Scope) -> Option<Node> {
        if let Some(inner) = text.strip_suffix('?') {
            let inner = self.type_name(inner, place, scope)?;
            let null = Node::string("null", place);
            return Some(Node { place: place.clone(), kind: Kind::List(vec![null, inner]) });
        }
        if let Some(inner) = text.strip_suffix("[]") {
            let items = self.type_name(inner, place, scope)?;
            let mut map = Map::default();
            map.set("type", Node::string("array", place));
            map.set("items", items);
            return Some(Node { place: place.clone(), kind: Kind::Map(map) });
        }
        if let Some(primitive) = self.schema.primitives().iter().find(|name| self.is_name(text, name)) {
            return Some(Node::string(primitive.as_str(), place));
        }
        if let Some(id) = self.find_type(text, scope) {
            return Some(Node::string(id, place));
        }
        let mut diagnostic =
            Diagnostic::error("unknown-type", place, format!("there is no type called `{text}`"));
        let names = self.schema.primitives().iter().map(String::as_str);
        let named = self.types.keys().map(|id| uri::short_name(id));
        diagnostic.hint = nearest(text, names.chain(named)).map(|near| format!("did you mean `{near}`?"));
        self.diagnostics.push(diagnostic);
        None
    }

    /// A named type, looked for in the scopes around, from the inside out.
    fn find_type(&self, text: &str, scope: &Scope) -> Option<String> {
        let known = |id: String| self.types.contains_key(&id).then_some(id);
        if text.contains('#') || uri::is_absolute(text) {
            return known(uri::join(&scope.base, text));
        }
        let mut around: &str = &scope.id;
        loop {
            if let Some(id) = known(uri::child(around, text)) {
                return Some(id);
            }
            let outer = uri::parent(around, 1);
            if outer == around {
                break;
            }
            around = outer;
        }
        known(uri::join(&scope.base, &format!("#{text}")))
    }

    /// The identifier of a type that is defined here. A type of an imported text is called after that text.
    pub(super) fn type_id(&self, text: &str, scope: &Scope) -> String {
        let (document, _) = uri::split_fragment(&scope.id);
        if text.contains('#') || uri::is_absolute(text) {
            uri::join(&scope.base, text)
        } else if document == uri::split_fragment(&scope.base).0 {
            uri::child(&scope.id, text)
        } else {
            uri::join(&scope.base, &format!("#{text}"))
        }
    }

    /// Secondary files: a pattern, a mapping with `pattern`, or a list of them.
    pub(super) fn secondary_value(
        &mut self,
        node: Node,
        types: &[Type],
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        let place = node.place.clone();
        let items = match node.kind {
            Kind::List(items) => items,
            kind => vec![Node { place: node.place, kind }],
        };
        let mut patterns = Vec::with_capacity(items.len());
        for item in items {
            let Some((item, _)) = self.directive(item, scope) else { continue };
            let written_out = match item.kind {
                Kind::String(text) => {
                    let (pattern, optional) = match text.strip_suffix('?') {
                        Some(pattern) => (pattern, true),
                        None => (text.as_str(), false),
                    };
                    let mut map = Map::default();
                    map.set("pattern", Node::string(pattern, &item.place));
                    if optional {
                        map.set("required", Node { place: item.place.clone(), kind: Kind::Bool(false) });
                    }
                    Some(Node { place: item.place, kind: Kind::Map(map) })
                }
                Kind::Map(map) if types.iter().any(|type_| matches!(type_, Type::Named(_))) => {
                    self.mapping(map, item.place, types, scope, what)
                }
                kind => {
                    let item = Node { place: item.place, kind };
                    self.mismatch(&item, types, what)
                }
            };
            patterns.extend(written_out);
        }
        Some(Node { place, kind: Kind::List(patterns) })
    }
}

/// Alternatives are kept once: `[null, string?]` is `[null, string]`.
fn add_alternative(alternatives: &mut Vec<Node>, alternative: Node) {
    let known = match alternative.as_str() {
        Some(name) => alternatives.iter().any(|known| known.as_str() == Some(name)),
        None => false,
    };
    if !known {
        alternatives.push(alternative);
    }
}
