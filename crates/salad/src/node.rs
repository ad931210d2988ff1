//! The document tree: what the reader makes and the walker transforms.

use crate::source::Place;

/// A value in a document, with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// The value.
    pub kind: Kind,
}

/// The value of a [`Node`].
#[derive(Clone, Debug)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, by its own text (`0x1F`, `1_000`), until somebody gives it a type.
    Int(String),
    /// A number with a fraction or an exponent, by its own text.
    Float(String),
    /// Any other scalar.
    String(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the document.
    Map(Map),
    /// A value that was refused, or that must be there and is not. That was told, so whoever meets it
    /// says nothing more.
    Faulty,
}

/// A mapping in the order of the document. Keys are unique: the reader sees to it.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// The entries in order.
    pub entries: Vec<Entry>,
}

/// One entry of a [`Map`].
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key. Keys that are not strings are taken by their text.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

impl Map {
    /// The value of `key`. Maps of fields are small; maps with many entries are iterated, never searched.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
    }

    /// Takes the entry of `key` out, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    /// Sets `key`, in its place if it was there, at the end otherwise. A new key stands where its value stands.
    pub fn set(&mut self, key: &str, value: Node) {
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value = value,
            None => {
                self.entries.push(Entry { key: key.to_owned(), key_place: value.place.clone(), value });
            }
        }
    }
}

impl Node {
    /// A string at a place.
    pub fn string(text: impl Into<String>, place: &Place) -> Self {
        Self { place: place.clone(), kind: Kind::String(text.into()) }
    }

    /// What stands for a value that was refused.
    pub fn faulty(place: &Place) -> Self {
        Self { place: place.clone(), kind: Kind::Faulty }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The mapping, if this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.kind {
            Kind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping, to be changed, if this is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.kind {
            Kind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The sequence, if this is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a field, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// Whether this stands for a value that was refused.
    pub fn is_faulty(&self) -> bool {
        matches!(self.kind, Kind::Faulty)
    }

    /// What this is, for messages: "a list", "the string \"x\"".
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => format!("the boolean {value}"),
            Kind::Int(text) | Kind::Float(text) => format!("the number {text}"),
            Kind::String(text) if text.chars().count() <= 60 => format!("the string {text:?}"),
            Kind::String(text) => format!("the string {:?}…", text.chars().take(60).collect::<String>()),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
            Kind::Faulty => "a faulty value".to_owned(),
        }
    }
}
