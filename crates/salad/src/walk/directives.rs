//! `$import`, `$include` and `$mixin` (Schema Salad §"Document preprocessing").

use crate::node::{Kind, Map, Node};
use crate::uri;

use super::{Scope, Walker, identifier};

/// How many values imports may add to a document: texts that import each other several times grow quickly.
const MAX_IMPORTED: usize = 1_000_000;

impl Walker<'_, '_> {
    /// The node that a directive stands for, with its own scope if it comes from another text.
    /// `None` if that cannot be had.
    pub(super) fn directive(&mut self, node: Node, scope: &Scope) -> Option<(Node, Option<Scope>)> {
        let Some(map) = node.as_map() else { return Some((node, None)) };
        if let Some(entry) = map.entry("$import") {
            if map.entries.len() > 1 {
                let message = "`$import` stands alone: other fields beside it have no meaning".to_owned();
                self.error("bad-directive", &entry.key_place, message);
                return None;
            }
            let target = entry.value.clone();
            return self.import(&target, scope);
        }
        if let Some(entry) = map.entry("$include") {
            let target = entry.value.clone();
            let uri = self.target(&target, scope)?;
            let text = self.texts.text(&uri, Some(&target.place), &mut self.diagnostics)?;
            return Some((Node { place: node.place, kind: Kind::String(text) }, None));
        }
        match node.kind {
            Kind::Map(mut map) => match map.remove("$mixin") {
                Some(entry) => self.mixin(&entry.value, map, scope),
                None => Some((Node { place: node.place, kind: Kind::Map(map) }, None)),
            },
            _ => Some((node, None)),
        }
    }

    fn target(&mut self, node: &Node, scope: &Scope) -> Option<String> {
        match node.as_str() {
            Some(text) => Some(uri::join(&scope.base, text)),
            None => {
                let message = format!("a directive takes the URI of a document, not {}", node.describe());
                self.error("bad-directive", &node.place, message);
                None
            }
        }
    }

    fn import(&mut self, target: &Node, scope: &Scope) -> Option<(Node, Option<Scope>)> {
        let uri = self.target(target, scope)?;
        if self.importing.contains(&uri) {
            let message = format!("{uri} imports itself");
            self.error("import-cycle", &target.place, message);
            return None;
        }
        let whole = self.texts.node(&uri, Some(&target.place), &mut self.diagnostics)?;
        let (document, fragment) = uri::split_fragment(&uri);
        let node = match fragment.filter(|fragment| !fragment.is_empty()) {
            None => whole,
            Some(fragment) => match named(&whole, document, &uri) {
                Some(part) => part.clone(),
                None => {
                    let shown = document.strip_prefix("file://").unwrap_or(document);
                    let message = format!("{shown} has nothing that is called `{fragment}`");
                    self.error("undefined-import", &target.place, message);
                    return None;
                }
            },
        };
        self.imported += size(&node);
        if self.imported > MAX_IMPORTED {
            let message = format!("the imports of the document come to more than {MAX_IMPORTED} values");
            self.error("too-large", &target.place, message);
            return None;
        }
        // A process has a name of its own; anything else is a part of what imports it.
        let id = if node.get("class").is_some() { uri.as_str().into() } else { scope.id.clone() };
        // The imported text may be a directive itself.
        let inner = Scope { base: uri.into(), id };
        self.importing.push(inner.base.to_string());
        let resolved = self.directive(node, &inner);
        self.importing.pop();
        resolved.map(|(node, deeper)| (node, Some(deeper.unwrap_or(inner))))
    }

    fn mixin(&mut self, target: &Node, over: Map, scope: &Scope) -> Option<(Node, Option<Scope>)> {
        let (node, inner) = self.import(target, scope)?;
        let place = node.place.clone();
        let Kind::Map(mut map) = node.kind else {
            let message = "`$mixin` takes a document that is a mapping".to_owned();
            self.error("bad-directive", &target.place, message);
            return None;
        };
        for entry in over.entries {
            match map.entries.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => *known = entry,
                None => map.entries.push(entry),
            }
        }
        Some((Node { place, kind: Kind::Map(map) }, inner))
    }
}

/// The part of a text that is called `target`, by its `id` or `name`.
fn named<'n>(node: &'n Node, scope: &str, target: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::List(items) => items.iter().find_map(|item| named(item, scope, target)),
        Kind::Map(map) => {
            let name = map.get("id").or_else(|| map.get("name")).and_then(Node::as_str);
            let id = name.map(|name| identifier(name, &Scope { base: target.into(), id: scope.into() }));
            if id.as_deref() == Some(target) {
                return Some(node);
            }
            let scope = id.as_deref().unwrap_or(scope);
            map.entries.iter().find_map(|entry| named(&entry.value, scope, target))
        }
        _ => None,
    }
}

/// How many values a node holds, itself included.
fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(map) => 1 + map.entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
        _ => 1,
    }
}
