//! How the walk goes on after a slip: what was meant is put in its place, so that the slip is told once
//! and what was meant is checked like anything else. Nothing is mended that was not told.

use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Kind, Map, Node};
use crate::schema::{Marks, Record, Type};
use crate::source::Place;
use crate::suggest::nearest;

use super::faults::meant;
use super::{Scope, Walker, is_extension, is_scalar_of};

/// How many alternatives a message lists.
const MAX_LISTED: usize = 8;

impl Walker<'_, '_> {
    /// A scalar of a wrong type. Gives what was meant by it, if that can be told: a word that is misspelt,
    /// the only item of a list, the class of a record.
    pub(super) fn mismatched(
        &mut self,
        node: Node,
        types: &[Type],
        marks: &Marks,
        scope: &Scope,
        what: &str,
    ) -> Option<Node> {
        self.mismatch(&node, types, marks, what);
        let place = node.place.clone();
        let is_item = |type_: &Type| match node.as_str() {
            Some(text) => self.takes_text(type_, text),
            None => is_scalar_of(&node, type_),
        };
        let is_only_item = |type_: &Type| matches!(type_, Type::List(items) if items.iter().any(is_item));
        if marks.map.is_none() && !node.is_null() && types.iter().any(is_only_item) {
            self.hint("put it in a list: `[…]`".to_owned());
            return self.list(vec![node], place, types, marks, scope, what);
        }
        let text = node.as_str()?;
        let constants = types.iter().filter_map(|type_| match type_ {
            Type::Constant(constant) => Some(constant.as_str()),
            _ => None,
        });
        if let Some(near) = nearest(text, constants) {
            return Some(Node::string(near, &place));
        }
        let candidates = self.candidates(types);
        let constants: Vec<(&str, &str)> = candidates.iter().flat_map(|record| record.constants()).collect();
        let near = nearest(text, constants.iter().map(|(_, value)| *value))?;
        let (field, value) = constants.iter().find(|(_, value)| *value == near)?;
        self.hint(format!("write `{field}: {value}`"));
        let mut map = Map::default();
        map.set(field, Node::string(*value, &place));
        self.mapping(map, place, types, scope, what)
    }

    /// Says why none of several records is meant: the field that tells them apart is missing or unknown.
    /// Gives the one that was probably meant, and makes the mapping one of those.
    pub(super) fn no_candidate<'r>(
        &mut self,
        map: &mut Map,
        place: &Place,
        candidates: &[&'r Record],
        what: &str,
    ) -> Option<&'r Record> {
        let constants: Vec<(&str, &str)> = candidates.iter().flat_map(|record| record.constants()).collect();
        let mut fields: Vec<&str> = constants.iter().map(|(field, _)| *field).collect();
        fields.sort_unstable();
        fields.dedup();
        let mut likely = likely(map, candidates);
        for field in fields {
            let mut values: Vec<&str> =
                constants.iter().filter(|(name, _)| *name == field).map(|(_, value)| *value).collect();
            values.sort_unstable();
            values.dedup();
            // Who forgets a class means one of the language itself.
            values.retain(|value| !value.contains(':'));
            let list = values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
            let mut diagnostic = match map.get(field) {
                Some(node) => {
                    let message = match node.as_str() {
                        Some(text) if values.len() > MAX_LISTED => {
                            format!("`{text}` is no `{field}` of {what}")
                        }
                        _ if values.len() > MAX_LISTED => {
                            format!("`{field}` of {what} must be a name, not {}", node.describe())
                        }
                        _ => format!("`{field}` of {what} must be one of {list}, not {}", node.describe()),
                    };
                    let near = node.as_str().and_then(|text| nearest(text, values.iter().copied()));
                    let is_near =
                        |record: &&&Record| record.constants().any(|(_, value)| Some(value) == near);
                    likely = candidates.iter().find(is_near).copied().or(likely);
                    Diagnostic::error("unknown-class", &node.place, message)
                }
                None if values.len() > MAX_LISTED => {
                    Diagnostic::error("missing-field", place, format!("{what} has no `{field}`"))
                }
                None => {
                    let message = format!("{what} has no `{field}`; it must be one of {list}");
                    Diagnostic::error("missing-field", place, message)
                }
            };
            let value = likely.and_then(|record| record.constants().find(|(name, _)| *name == field));
            if let Some((_, value)) = value {
                diagnostic.hint = Some(match map.get(field) {
                    Some(_) => format!("did you mean `{value}`?"),
                    None => format!("add `{field}: {value}` if that is what it is"),
                });
                let at = map.get(field).map_or(place, |node| &node.place).clone();
                map.set(field, Node::string(value, &at));
            }
            self.diagnostics.push(diagnostic);
        }
        likely
    }

    /// Fields that tell records apart and whose names are misspelt.
    pub(super) fn mend_constants(&mut self, map: &mut Map, candidates: &[&Record]) {
        for record in candidates {
            for (field, value) in record.constants().filter(|(field, _)| map.get(field).is_none()) {
                let is_meant = |entry: &Entry| {
                    entry.value.as_str().is_some_and(|text| self.is_name(text, value))
                        && !record.fields.contains_key(&entry.key)
                        && nearest(&entry.key, [field]).is_some()
                };
                if let Some(index) = map.entries.iter().position(is_meant) {
                    self.unknown_field_with(
                        &map.entries[index],
                        record,
                        Some(format!("did you mean `{field}`?")),
                    );
                    field.clone_into(&mut map.entries[index].key);
                    return;
                }
            }
        }
    }

    /// Gives fields whose names are misspelt the names that were meant. Where unknown fields are allowed,
    /// they are what they are.
    pub(super) fn mend_fields(&mut self, map: &mut Map, record: &Record) {
        if record.open || self.lenient {
            return;
        }
        self.mend_name(map, record);
        for index in 0..map.entries.len() {
            let key = &map.entries[index].key;
            if record.fields.contains_key(key) || is_extension(key) || self.schema.is_identifier(key) {
                continue;
            }
            let free = || record.fields.iter().filter(|(name, _)| map.get(name).is_none());
            // `inputs` for `in`, `source` for `outputSource`.
            let shorter = || free().find(|(name, field)| field.required && key.starts_with(name.as_str()));
            let longer = || free().find(|(name, _)| ends_with_word(name, key));
            let near = nearest(key, free().map(|(name, _)| name.as_str()));
            let Some(near) = near.or_else(|| Some(shorter().or_else(longer)?.0)) else { continue };
            self.unknown_field_with(&map.entries[index], record, meant(near, [near]));
            near.clone_into(&mut map.entries[index].key);
        }
        self.mend_types(map, record);
    }

    /// A member of a list that is written like one of a mapping: `- name:` where `- id: name` is meant.
    fn mend_name(&mut self, map: &mut Map, record: &Record) {
        let id = record.fields.iter().find(|(_, field)| field.marks.id && field.required);
        let Some((name, field)) = id.filter(|(name, _)| map.get(name).is_none()) else { return };
        let unknown = |entry: &Entry| {
            !record.fields.contains_key(&entry.key)
                && !is_extension(&entry.key)
                && nearest(&entry.key, record.fields.keys().map(String::as_str)).is_none()
                && matches!(entry.value.kind, Kind::Null | Kind::Map(_))
        };
        let Some(index) = map.entries.iter().position(unknown) else { return };
        let entry = map.entries.remove(index);
        self.missing_field(name, field, record, &entry.key_place);
        self.hint(format!("write `{name}: {}`", entry.key));
        map.set(name, Node::string(entry.key, &entry.key_place));
        if let Kind::Map(inner) = entry.value.kind {
            let new = inner.entries.into_iter().filter(|entry| map.get(&entry.key).is_none());
            map.entries.extend(new.collect::<Vec<_>>());
        }
    }

    /// Types that are mappings and whose fields stand beside them: `type: array` and then `items: int`.
    fn mend_types(&mut self, map: &mut Map, record: &Record) {
        for (name, field) in record.fields.iter().filter(|(_, field)| field.marks.type_) {
            let Some(node) = map.get(name) else { continue };
            let place = node.place.clone();
            let Some(text) = node.as_str().map(str::to_owned) else { continue };
            let candidates = self.candidates(&field.types);
            let is_meant = |candidate: &&&Record| candidate.constants().any(|(_, value)| value == text);
            let Some(meant) = candidates.iter().find(is_meant) else { continue };
            let constants: Vec<&str> = meant.constants().map(|(field, _)| field).collect();
            let beside: Vec<&str> = meant
                .fields
                .keys()
                .map(String::as_str)
                .filter(|field| map.get(field).is_some() && !record.fields.contains_key(*field))
                .collect();
            let needed: Vec<&str> = meant
                .fields
                .iter()
                .filter(|(name, field)| field.required && !constants.contains(&name.as_str()))
                .map(|(name, _)| name.as_str())
                .collect();
            let shown = needed.iter().chain(&beside).next().map(|field| format!(", {field}: …"));
            let message = format!("`{text}` is no type by itself: it is a mapping that says more");
            let hint = format!("write `{name}: {{{name}: {text}{}}}`", shown.unwrap_or_default());
            self.diagnostics.push(Diagnostic::error("invalid-type", &place, message).with_hint(hint));
            let mut inner = Map::default();
            for constant in constants {
                inner.set(constant, Node::string(text.as_str(), &place));
            }
            inner.entries.extend(beside.iter().filter_map(|field| map.remove(field)));
            let is_complete = needed.iter().all(|field| inner.get(field).is_some());
            let kind = if is_complete { Kind::Map(inner) } else { Kind::Faulty };
            map.set(name, Node { place, kind });
        }
    }
}

/// The record that has more of the mapping's fields than any other.
fn likely<'r>(map: &Map, candidates: &[&'r Record]) -> Option<&'r Record> {
    let known = |record: &Record| {
        let is_constant = |key: &str| record.constants().any(|(field, _)| field == key);
        let entries = map.entries.iter();
        entries.filter(|entry| record.fields.contains_key(&entry.key) && !is_constant(&entry.key)).count()
    };
    let most = candidates.iter().map(|record| known(record)).max().filter(|most| *most > 0)?;
    let mut best = candidates.iter().filter(|record| known(record) == most);
    best.next().filter(|_| best.next().is_none()).copied()
}

/// Whether a word in camel case ends with another word: `outputSource` with `source`.
fn ends_with_word(name: &str, word: &str) -> bool {
    let mut letters = word.chars();
    letters
        .next()
        .is_some_and(|first| name.ends_with(&format!("{}{}", first.to_ascii_uppercase(), letters.as_str())))
}
