//! `$import`, `$include` and `$mixin` (Schema Salad §"Document preprocessing").

use crate::node::{Kind, Map, Node};
use crate::uri;

use super::{Scope, Walker};

impl Walker<'_, '_> {
    /// The node that a directive stands for, with its own scope if it comes from another text.
    /// `None` if that cannot be had.
    pub(super) fn directive(&mut self, node: Node, scope: &Scope) -> Option<(Node, Option<Scope>)> {
        let Some(map) = node.as_map() else { return Some((node, None)) };
        if let Some(entry) = map.entry("$import") {
            if map.entries.len() > 1 {
                let message = "`$import` stands alone: other fields beside it have no meaning".to_owned();
                self.error("bad-directive", &entry.key_place, message);
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
        let node = self.texts.node(&uri, Some(&target.place), &mut self.diagnostics)?;
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
