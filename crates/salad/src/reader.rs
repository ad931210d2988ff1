//! YAML or JSON text to nodes with places. JSON is read as the YAML that it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Kind, Map, Node};
use crate::scalar;
use crate::source::{Place, Source};

/// How deep collections may be nested.
const MAX_DEPTH: usize = 200;

/// How many nodes aliases and merge keys may add to a document.
const MAX_ALIASED: usize = 1_000_000;

/// How many faults are listed; a file that is not YAML at all has a fault on every line.
const MAX_FAULTS: usize = 100;

/// Reads a text. The node is there unless the text cannot be read at all; with duplicate keys, the
/// first one counts.
pub fn read(source: &Arc<Source>) -> (Option<Node>, Vec<Diagnostic>) {
    let mut reader = Reader {
        source,
        anchors: HashMap::new(),
        aliased: 0,
        stack: Vec::new(),
        root: None,
        documents: 0,
        diagnostics: Vec::new(),
    };
    for event in Parser::new_from_str(&source.text) {
        let result = match event {
            Ok((event, span)) => reader.take(event, &span),
            Err(error) => Err(Box::new(reader.scan_error(&error))),
        };
        if let Err(diagnostic) = result {
            reader.diagnostics.push(*diagnostic);
            return (None, reader.diagnostics);
        }
        if reader.diagnostics.len() >= MAX_FAULTS {
            return (None, reader.diagnostics);
        }
    }
    let root = reader.root.unwrap_or_else(|| Node { place: Place::start_of(source), kind: Kind::Null });
    (Some(root), reader.diagnostics)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    /// Anchored nodes by number, with how many nodes they hold.
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    diagnostics: Vec<Diagnostic>,
}

struct Frame {
    place: Place,
    anchor: usize,
    content: Content,
    size: usize,
}

enum Content {
    List(Vec<Node>),
    Map { map: Map, keys: HashSet<String>, key: Option<Key>, merges: Vec<Node> },
}

enum Key {
    Plain(String, Place),
    /// `<<`
    Merge,
    /// Taken before: its value is read and dropped.
    Duplicate,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Box<Diagnostic>> {
        let place = self.place(span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Box::new(Diagnostic::error(
                        "several-documents",
                        &place,
                        "a second YAML document begins here, but a file may hold only one",
                    )));
                }
                Ok(())
            }
            Event::Alias(id) => self.alias(id, place),
            Event::Scalar(text, style, anchor, tag) => {
                let kind = kind_of(&text, style, tag.as_deref());
                let node = Node { place, kind };
                self.finish(node, anchor, 1, style == ScalarStyle::Plain)
            }
            Event::SequenceStart(_, anchor, _) => self.open(place, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(
                place,
                anchor,
                Content::Map { map: Map::default(), keys: HashSet::new(), key: None, merges: Vec::new() },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => Ok(()),
        }
    }

    fn open(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), Box<Diagnostic>> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Box::new(Diagnostic::error(
                "too-deep",
                &place,
                format!("collections are nested more than {MAX_DEPTH} deep"),
            )));
        }
        self.stack.push(Frame { place, anchor, content, size: 1 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Box<Diagnostic>> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let mut size = frame.size;
        let kind = match frame.content {
            Content::List(items) => Kind::List(items),
            Content::Map { mut map, mut keys, merges, .. } => {
                for merge in merges {
                    size += self.merge(&mut map, &mut keys, merge)?;
                }
                Kind::Map(map)
            }
        };
        self.finish(Node { place: frame.place, kind }, frame.anchor, size, false)
    }

    /// Puts a complete node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize, size: usize, plain: bool) -> Result<(), Box<Diagnostic>> {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.size += size;
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { map, keys, key, merges } => match key.take() {
                None => {
                    let text = match node.kind {
                        Kind::String(text) | Kind::Int(text) | Kind::Float(text) => text,
                        Kind::Bool(value) => value.to_string(),
                        Kind::Null => "null".to_owned(),
                        Kind::List(_) | Kind::Map(_) | Kind::Faulty => {
                            let message = "the key of a mapping must be a string";
                            let hint = "a text that begins with `{` or `[` must be in quotes";
                            return Err(Box::new(
                                Diagnostic::error("complex-key", &node.place, message).with_hint(hint),
                            ));
                        }
                    };
                    *key = Some(if plain && text == "<<" {
                        Key::Merge
                    } else if keys.insert(text.clone()) {
                        Key::Plain(text, node.place)
                    } else {
                        self.diagnostics.push(duplicate(map, &text, &node.place));
                        Key::Duplicate
                    });
                }
                Some(Key::Plain(text, key_place)) => {
                    map.entries.push(Entry { key: text, key_place, value: node });
                }
                Some(Key::Merge) => merges.push(node),
                Some(Key::Duplicate) => {}
            },
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Box<Diagnostic>> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(Box::new(Diagnostic::error(
                "unknown-alias",
                &place,
                "this alias stands inside the node that it names",
            )));
        };
        let size = *size;
        let node = node.clone();
        self.charge(size, &place)?;
        self.finish(node, 0, size, false)
    }

    /// Counts what aliases add, so that a few lines cannot become gigabytes.
    fn charge(&mut self, size: usize, place: &Place) -> Result<(), Box<Diagnostic>> {
        self.aliased = self.aliased.saturating_add(size);
        if self.aliased > MAX_ALIASED {
            return Err(Box::new(Diagnostic::error(
                "alias-bomb",
                place,
                format!("the aliases of this document stand for more than {MAX_ALIASED} nodes"),
            )));
        }
        Ok(())
    }

    /// `<<`: adds the entries whose keys are not there yet; a mapping, or a list of them.
    fn merge(
        &mut self,
        map: &mut Map,
        keys: &mut HashSet<String>,
        from: Node,
    ) -> Result<usize, Box<Diagnostic>> {
        match from.kind {
            Kind::Map(other) => {
                let mut added = 0;
                for entry in other.entries {
                    if keys.insert(entry.key.clone()) {
                        added += 1;
                        map.entries.push(entry);
                    }
                }
                self.charge(added, &from.place)?;
                Ok(added)
            }
            Kind::List(items) => {
                let mut added = 0;
                for item in items {
                    added += self.merge(map, keys, item)?;
                }
                Ok(added)
            }
            other => {
                let node = Node { place: from.place, kind: other };
                Err(Box::new(Diagnostic::error(
                    "bad-merge",
                    &node.place,
                    format!("`<<` takes a mapping or a list of mappings, not {}", node.describe()),
                )))
            }
        }
    }

    fn scan_error(&self, error: &ScanError) -> Diagnostic {
        let marker = error.marker();
        let place = Place {
            source: Arc::clone(self.source),
            line: marker.line() as u32,
            column: marker.col() as u32 + 1,
        };
        let diagnostic = Diagnostic::error("syntax", &place, format!("not valid YAML: {}", error.info()));
        // A scalar that a tab interrupts is reported where it begins, so the next line counts too.
        let mut lines = self.source.text.lines().skip(marker.line().saturating_sub(1));
        let around = [lines.next().unwrap_or_default(), lines.next().unwrap_or_default()];
        match syntax_hint(error.kind(), around) {
            Some(hint) => diagnostic.with_hint(hint),
            None => diagnostic,
        }
    }

    fn place(&self, span: &Span) -> Place {
        Place {
            source: Arc::clone(self.source),
            line: span.start.line() as u32,
            column: span.start.col() as u32 + 1,
        }
    }
}

/// What to do about the commonest slips; `around` is the line and the next one.
fn syntax_hint(kind: &ErrorKind, around: [&str; 2]) -> Option<&'static str> {
    match kind {
        ErrorKind::UnexpectedCharacter { character: '@' | '`' | '%' } => {
            Some("put the text in quotes: YAML keeps this character for itself")
        }
        ErrorKind::UnknownAnchor => {
            Some("a name after `*` must be set before with `&`; put the text in quotes otherwise")
        }
        _ if around.iter().any(|line| line.trim_start_matches(' ').starts_with('\t')) => {
            Some("indent with spaces: YAML takes no tabs there")
        }
        ErrorKind::ExpectedBlockMappingKey => {
            Some("indent the line as the other keys of its mapping; a key ends with `: `")
        }
        ErrorKind::SimpleKeyExpected => Some("a key ends with `: `"),
        _ if around[0].matches(": ").count() > 1 => Some("a text that holds `: ` must be in quotes"),
        _ => None,
    }
}

fn duplicate(map: &Map, key: &str, place: &Place) -> Diagnostic {
    let diagnostic = Diagnostic::error("duplicate-key", place, format!("the key {key:?} stands here again"));
    match map.entry(key) {
        Some(first) => diagnostic.with_related(&first.key_place, "first here"),
        None => diagnostic,
    }
}

fn kind_of(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix() == "str" => Kind::String(text.to_owned()),
        Some(tag) if tag.is_yaml_core_schema() => scalar::resolve(text),
        _ if style == ScalarStyle::Plain => scalar::resolve(text),
        _ => Kind::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
