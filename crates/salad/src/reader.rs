//! YAML and JSON texts become [`Node`]s with places.
//!
//! Two steps: parser events become a flat list of raw nodes (an alias stays a number), then the
//! raw nodes become the tree. Between them the size of the tree is known, so that a few lines of
//! aliases of aliases are refused before they fill the memory.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Tag};

use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Kind, Map, Node};
use crate::scalar::{self, Rules};
use crate::source::{Place, Source};

/// Deepest nesting of lists and mappings that is read.
pub const MAX_DEPTH: u32 = 200;
/// Most nodes that a document may have by what is written in it.
const MAX_NODES: usize = 50_000_000;
/// Most nodes that aliases may add to a document.
const MAX_ALIASED: u64 = 2_000_000;
/// Longest text that is read, in bytes.
const MAX_BYTES: usize = 1 << 30;

/// Reads the first document of a text, YAML or JSON.
///
/// The node is there unless the text is not well formed or a limit was exceeded; then at least one of
/// the diagnostics is an error. Faults after which reading can go on (duplicate keys, for
/// example: the first value is kept) are all reported. An empty text is `null`.
pub fn read(source: &Arc<Source>) -> (Option<Node>, Vec<Diagnostic>) {
    let mut reader = Reader { source, raw: Vec::new(), rules: Rules::default(), diagnostics: Vec::new() };
    if source.text.len() > MAX_BYTES {
        let place = Place::start_of(source);
        let message = format!("the text is longer than {MAX_BYTES} bytes");
        return (None, vec![Diagnostic::error("too-large", &place, message)]);
    }
    let node = match reader.events() {
        Ok(root) => root.map_or_else(
            || Some(Node { place: Place::start_of(source), kind: Kind::Null }),
            |root| Some(reader.build(root)),
        ),
        Err(diagnostic) => {
            reader.diagnostics.push(*diagnostic);
            None
        }
    };
    (node, reader.diagnostics)
}

struct Reader<'s> {
    source: &'s Arc<Source>,
    raw: Vec<Raw<'s>>,
    rules: Rules,
    diagnostics: Vec<Diagnostic>,
}

/// A node as it is written.
struct Raw<'s> {
    line: u32,
    column: u32,
    kind: RawKind<'s>,
    /// Levels below this node, aliases expanded.
    depth: u32,
    /// Nodes that aliases add below this node.
    aliased: u64,
    /// Nodes below this node, aliases expanded, itself included.
    size: u64,
}

enum RawKind<'s> {
    Scalar {
        text: std::borrow::Cow<'s, str>,
        plain: bool,
        tag: Option<CoreTag>,
    },
    List(Vec<usize>),
    /// Keys and values in turn.
    Map(Vec<usize>),
    Alias(usize),
}

/// The tags that change how a scalar is taken.
#[derive(Clone, Copy, PartialEq)]
enum CoreTag {
    Text,
    Plain,
}

type Fault = Box<Diagnostic>;

impl<'s> Reader<'s> {
    fn place(&self, line: u32, column: u32) -> Place {
        Place { source: Arc::clone(self.source), line, column }
    }

    fn place_of(&self, index: usize) -> Place {
        self.raw
            .get(index)
            .map_or_else(|| Place::start_of(self.source), |raw| self.place(raw.line, raw.column))
    }

    /// Reads the events of the first document; the index of its root, if there is any.
    fn events(&mut self) -> Result<Option<usize>, Fault> {
        let options = {
            let mut options = Options::default();
            options.block_scalar_eof_without_line_feed = true;
            options.flow_nesting_limit = MAX_DEPTH as usize + 1;
            options.block_nesting_limit = MAX_DEPTH as usize + 1;
            options
        };
        let mut open: Vec<usize> = Vec::new();
        let mut anchors: HashMap<usize, usize> = HashMap::new();
        let mut root = None;
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(&self.source.text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                // What is behind the first document is not ours.
                Err(_) if documents == 1 && root.is_some() && open.is_empty() => break,
                Err(error) => return Err(Box::new(self.syntax(&error))),
            };
            let (line, column) = position(span.start);
            let (kind, anchor) = match event {
                Event::DocumentStart(_, version) => {
                    documents += 1;
                    if documents > 1 {
                        let place = self.place(line, column);
                        self.diagnostics.push(Diagnostic::warning(
                            "more-documents",
                            &place,
                            "only the first document of this text is read",
                        ));
                        break;
                    }
                    if version.is_some_and(|v| v.major == 1 && v.minor <= 1) {
                        self.rules = Rules::V1_1;
                    }
                    continue;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let plain = style == ScalarStyle::Plain;
                    let tag = self.core_tag(tag.as_deref(), line, column);
                    (RawKind::Scalar { text, plain, tag }, anchor)
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.core_tag(tag.as_deref(), line, column);
                    (RawKind::List(Vec::new()), anchor)
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.core_tag(tag.as_deref(), line, column);
                    (RawKind::Map(Vec::new()), anchor)
                }
                Event::Alias(id) => (self.alias(anchors.get(&id).copied(), &open, line, column)?, 0),
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(closed) = open.pop() {
                        self.close(closed, &open)?;
                    }
                    continue;
                }
                _ => continue,
            };
            if self.raw.len() >= MAX_NODES {
                let place = self.place(line, column);
                let message = format!("the document has more than {MAX_NODES} values");
                return Err(Box::new(Diagnostic::error("too-large", &place, message)));
            }
            let index = self.raw.len();
            let is_open = matches!(kind, RawKind::List(_) | RawKind::Map(_));
            self.raw.push(Raw { line, column, kind, depth: 1, aliased: 0, size: 1 });
            if anchor != 0 {
                anchors.insert(anchor, index);
            }
            match open.last().and_then(|parent| self.raw.get_mut(*parent)) {
                Some(Raw { kind: RawKind::List(items) | RawKind::Map(items), .. }) => items.push(index),
                _ => root = root.or(Some(index)),
            }
            if is_open {
                open.push(index);
            } else {
                self.close(index, &open)?;
            }
        }
        Ok(root)
    }

    fn alias(
        &self,
        target: Option<usize>,
        open: &[usize],
        line: u32,
        column: u32,
    ) -> Result<RawKind<'s>, Fault> {
        let fault = |message: &str| Box::new(Diagnostic::error("alias", &self.place(line, column), message));
        let target = target.ok_or_else(|| fault("there is no anchor of this name"))?;
        if open.contains(&target) {
            return Err(Box::new(
                fault("this alias names a value that it is a part of")
                    .with_related(&self.place_of(target), "the value begins here"),
            ));
        }
        Ok(RawKind::Alias(target))
    }

    /// Adds up the size of a finished node into its parent.
    fn close(&mut self, index: usize, open: &[usize]) -> Result<(), Fault> {
        let Some(raw) = self.raw.get(index) else { return Ok(()) };
        let (depth, size, aliased) = match raw.kind {
            RawKind::Alias(target) => {
                self.raw.get(target).map_or((1, 1, 0), |target| (target.depth, target.size, target.size))
            }
            _ => (raw.depth, raw.size, raw.aliased),
        };
        let levels = depth.saturating_add(u32::try_from(open.len()).unwrap_or(u32::MAX));
        let Some(raw) = self.raw.get_mut(index) else { return Ok(()) };
        (raw.depth, raw.size, raw.aliased) = (depth, size, aliased);
        let (line, column) = (raw.line, raw.column);
        let Some(parent) = open.last().and_then(|parent| self.raw.get_mut(*parent)) else { return Ok(()) };
        parent.depth = parent.depth.max(depth.saturating_add(1));
        parent.size = parent.size.saturating_add(size);
        parent.aliased = parent.aliased.saturating_add(aliased);
        let aliased = parent.aliased;
        if levels > MAX_DEPTH {
            let message = format!("the document is nested more than {MAX_DEPTH} levels deep");
            return Err(Box::new(Diagnostic::error("too-deep", &self.place(line, column), message)));
        }
        if aliased > MAX_ALIASED {
            let message = format!("the aliases of this document stand for more than {MAX_ALIASED} values");
            return Err(Box::new(Diagnostic::error("too-many-aliases", &self.place(line, column), message)));
        }
        Ok(())
    }

    fn core_tag(&mut self, tag: Option<&Tag>, line: u32, column: u32) -> Option<CoreTag> {
        let tag = tag?;
        match tag.core_suffix() {
            Some("str" | "binary" | "timestamp") => Some(CoreTag::Text),
            Some("int" | "float" | "bool" | "null") => Some(CoreTag::Plain),
            Some("seq" | "map" | "omap" | "set") => None,
            // `!` alone says that the scalar is not to be resolved.
            _ if tag.original() == "!" => Some(CoreTag::Text),
            _ => {
                let place = self.place(line, column);
                let message = format!("the tag {} is ignored", tag.original());
                self.diagnostics.push(Diagnostic::warning("unknown-tag", &place, message));
                None
            }
        }
    }

    /// The tree below a raw node. Recursion is bounded by [`MAX_DEPTH`], which [`Self::close`] holds.
    fn build(&mut self, index: usize) -> Node {
        let place = self.place_of(index);
        let Some(raw) = self.raw.get_mut(index) else { return Node { place, kind: Kind::Null } };
        let kind = match &mut raw.kind {
            RawKind::Scalar { text, plain, tag } => match tag {
                Some(CoreTag::Text) => Kind::String(text.to_string()),
                Some(CoreTag::Plain) => scalar::resolve(text, self.rules),
                None if *plain => scalar::resolve(text, self.rules),
                None => Kind::String(text.to_string()),
            },
            RawKind::Alias(target) => {
                let target = *target;
                return Node { place, kind: self.build(target).kind };
            }
            RawKind::List(items) => {
                // Taken out and put back, because an alias may need them again.
                let items = std::mem::take(items);
                let nodes = items.iter().map(|item| self.build(*item)).collect();
                if let Some(Raw { kind: RawKind::List(slot), .. }) = self.raw.get_mut(index) {
                    *slot = items;
                }
                Kind::List(nodes)
            }
            RawKind::Map(items) => {
                let items = std::mem::take(items);
                let map = self.map(&items);
                if let Some(Raw { kind: RawKind::Map(slot), .. }) = self.raw.get_mut(index) {
                    *slot = items;
                }
                Kind::Map(map)
            }
        };
        Node { place, kind }
    }

    fn map(&mut self, items: &[usize]) -> Map {
        let mut map = Map { entries: Vec::with_capacity(items.len() / 2) };
        let mut merges = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for pair in items.chunks_exact(2) {
            let [key_index, value_index] = *pair else { continue };
            let key_place = self.place_of(key_index);
            let Some((key, plain)) = self.key(key_index) else {
                self.diagnostics.push(Diagnostic::error(
                    "key-not-scalar",
                    &key_place,
                    "a key must be a string, not a list or a mapping",
                ));
                continue;
            };
            let value = self.build(value_index);
            if key == "<<" && plain {
                merges.push((key_place, value));
                continue;
            }
            if let Some(first) = seen.get(&key).and_then(|first| map.entries.get(*first)) {
                let message = format!("the key {key:?} is given twice");
                self.diagnostics.push(
                    Diagnostic::error("duplicate-key", &key_place, message)
                        .with_related(&first.key_place, "first given here"),
                );
                continue;
            }
            seen.insert(key.clone(), map.entries.len());
            map.entries.push(Entry { key, key_place, value });
        }
        for (place, value) in merges {
            self.merge(&mut map, &mut seen, &place, value);
        }
        map
    }

    /// Merge keys (`<<: *defaults`): what the mapping has itself comes first, then earlier merges.
    fn merge(&mut self, map: &mut Map, seen: &mut HashMap<String, usize>, place: &Place, value: Node) {
        let sources = match value.kind {
            Kind::List(items) => items,
            _ => vec![value],
        };
        for source in sources {
            let Kind::Map(source) = source.kind else {
                self.diagnostics.push(Diagnostic::error(
                    "merge-key",
                    place,
                    format!("`<<` takes a mapping or a list of mappings, not {}", source.describe()),
                ));
                continue;
            };
            for entry in source.entries {
                if !seen.contains_key(&entry.key) {
                    seen.insert(entry.key.clone(), map.entries.len());
                    map.entries.push(entry);
                }
            }
        }
    }

    /// The text of a key, and whether it is written plain.
    fn key(&self, index: usize) -> Option<(String, bool)> {
        match &self.raw.get(index)?.kind {
            RawKind::Scalar { text, plain, .. } => Some((text.to_string(), *plain)),
            RawKind::Alias(target) => match &self.raw.get(*target)?.kind {
                RawKind::Scalar { text, .. } => Some((text.to_string(), false)),
                _ => None,
            },
            _ => None,
        }
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let (line, column) = position(*error.marker());
        let place = self.place(line, column);
        match error.kind() {
            ErrorKind::UnknownAnchor => {
                return Diagnostic::error("alias", &place, "there is no anchor of this name");
            }
            ErrorKind::RecursionLimitExceeded => {
                let message = format!("the document is nested more than {MAX_DEPTH} levels deep");
                return Diagnostic::error("too-deep", &place, message);
            }
            _ => {}
        }
        let diagnostic = Diagnostic::error("syntax", &place, error.info().trim_end_matches('.').to_owned());
        // A scalar that a tab interrupts is reported where it begins, so the next line counts too.
        let next = self.line_at(line.saturating_add(1));
        match hint(error.kind(), self.line_at(line), next) {
            Some(hint) => diagnostic.with_hint(hint),
            None => diagnostic,
        }
    }

    fn line_at(&self, line: u32) -> &str {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        self.source.text.lines().nth(index).unwrap_or("")
    }
}

fn hint(kind: &ErrorKind, line: &str, next: &str) -> Option<&'static str> {
    match kind {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            Some("indent with spaces; YAML takes no tabs there")
        }
        ErrorKind::UnexpectedCharacter { character: '@' | '`' | '%' } => {
            Some("put the text in quotes: YAML keeps this character for itself")
        }
        ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate => {
            Some("a \\ud800 to \\udbff must be followed by its other half, \\udc00 to \\udfff")
        }
        ErrorKind::UnknownAnchor => {
            Some("a name behind `*` must be set before with `&`; put the text in quotes otherwise")
        }
        _ if [line, next].iter().any(|line| line.trim_start_matches(' ').starts_with('\t')) => {
            Some("indent with spaces; YAML takes no tabs there")
        }
        _ if line.matches(": ").count() > 1 => Some("a text that holds `: ` must be in quotes"),
        _ => None,
    }
}

/// Line and column, both from 1.
fn position(marker: Marker) -> (u32, u32) {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    (number(marker.line()), number(marker.col().saturating_add(1)))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
