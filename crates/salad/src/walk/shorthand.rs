//! Shorthands written out: mappings for lists, `.bai?` for secondary files.

use crate::node::{Entry, Kind, Map, Node};
use crate::schema::{Marks, Type};

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
                    items.push(Node::faulty(&value.place));
                }
            }
        }
        Node { place: node.place, kind: Kind::List(items) }
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
            let item_place = item.place.clone();
            let Some((item, _)) = self.directive(item, scope) else {
                patterns.push(Node::faulty(&item_place));
                continue;
            };
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
                    self.mismatch(&item, types, &Marks::default(), what)
                }
            };
            patterns.push(written_out.unwrap_or_else(|| Node::faulty(&item_place)));
        }
        Some(Node { place, kind: Kind::List(patterns) })
    }
}
