//! Types: the shorthand `string[]?`, names, and where they are defined.

use crate::diagnostic::Diagnostic;
use crate::node::{Kind, Map, Node};
use crate::schema::{Marks, Type};
use crate::source::Place;
use crate::suggest::nearest;
use crate::uri;

use super::{Scope, Walker};

/// A name of a type that was met before its definition.
pub(super) struct Waiting {
    text: String,
    place: Place,
    scope: Scope,
}

/// Stands before the number of a [`Waiting`] until it is resolved. No text of a document begins with it:
/// YAML has no such character.
const WAITING: &str = "\0";

impl Walker<'_, '_> {
    /// A type: a name, perhaps with `[]` and `?`; a list of alternatives; a record that defines one.
    pub(super) fn type_value(
        &mut self,
        node: Node,
        types: &[Type],
        marks: &Marks,
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        let Node { place, kind } = node;
        match kind {
            Kind::String(text) => {
                if marks.plain && !self.schema.nested_arrays && text.ends_with(['?', ']']) {
                    self.shorthand_in_plain_type(&text, &place);
                    return None;
                }
                self.type_name(&text, &place, scope)
            }
            Kind::List(items) => {
                let marks = Marks { type_: true, plain: marks.plain, ..Marks::default() };
                let mut alternatives: Vec<Node> = Vec::new();
                for item in items {
                    match self.value(item, types, &marks, scope, what) {
                        Node { kind: Kind::List(inner), .. } => {
                            inner.into_iter().for_each(|inner| add_alternative(&mut alternatives, inner));
                        }
                        other => add_alternative(&mut alternatives, other),
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
        if !self.schema.nested_arrays {
            let name = text.strip_suffix('?').unwrap_or(text);
            let name = name.strip_suffix("[]").unwrap_or(name);
            if name.ends_with(['?', ']']) {
                self.unknown_type(text, place);
                return None;
            }
        }
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
        // It may be defined further down.
        let number = self.waiting.len();
        self.waiting.push(Waiting { text: text.to_owned(), place: place.clone(), scope: scope.clone() });
        Some(Node::string(format!("{WAITING}{number}"), place))
    }

    /// Puts the identifiers of types in the place of names that were met before their definition, in
    /// `nodes` and in the types themselves. To be called when everything was walked.
    pub fn resolve_types(&mut self, nodes: &mut [Node]) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        let ids: Vec<Option<String>> =
            waiting.iter().map(|waiting| self.find_type(&waiting.text, &waiting.scope)).collect();
        for (waiting, _) in waiting.iter().zip(&ids).filter(|(_, id)| id.is_none()) {
            self.unknown_type(&waiting.text, &waiting.place);
        }
        nodes.iter_mut().chain(self.types.values_mut()).for_each(|node| put_ids(node, &ids));
    }

    /// The shorthand of types is for the field `type` alone (Schema Salad §"Domain Specific Language for types").
    fn shorthand_in_plain_type(&mut self, text: &str, place: &Place) {
        let message = format!("there is no type called `{text}`: the shorthand is for `type` alone");
        let array = |name: &str| match name.strip_suffix("[]") {
            Some(items) => format!("{{type: array, items: {items}}}"),
            None => name.to_owned(),
        };
        let meant = match text.strip_suffix('?') {
            Some(name) => format!("[\"null\", {}]", array(name)),
            None => array(text),
        };
        let diagnostic = Diagnostic::error("unknown-type", place, message);
        self.diagnostics.push(diagnostic.with_hint(format!("write `{meant}`")));
    }

    fn unknown_type(&mut self, text: &str, place: &Place) {
        let mut diagnostic =
            Diagnostic::error("unknown-type", place, format!("there is no type called `{text}`"));
        let names = self.schema.primitives().iter().map(String::as_str);
        let named = self.types.keys().map(|id| uri::short_name(id));
        // `string[`, `File [ ]?`: the name is right, and what comes after it is not.
        let (name, rest) = text.split_at(text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len()));
        let (word, end) = match (rest.contains('['), rest.contains('?')) {
            (true, true) => (name, "[]?"),
            (true, false) => (name, "[]"),
            (false, _) => (text, ""),
        };
        let near = nearest(word, names.chain(named));
        diagnostic.hint = near.map(|near| format!("did you mean `{near}{end}`?"));
        self.diagnostics.push(diagnostic);
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
}

fn put_ids(node: &mut Node, ids: &[Option<String>]) {
    match &mut node.kind {
        Kind::String(text) => {
            let number = text.strip_prefix(WAITING).and_then(|number| number.parse::<usize>().ok());
            match number.and_then(|number| ids.get(number)) {
                Some(Some(id)) => id.clone_into(text),
                Some(None) => node.kind = Kind::Faulty,
                None => {}
            }
        }
        Kind::List(items) => items.iter_mut().for_each(|item| put_ids(item, ids)),
        Kind::Map(map) => map.entries.iter_mut().for_each(|entry| put_ids(&mut entry.value, ids)),
        _ => {}
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
