//! What the tests of preparing are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use moil_salad::source::{Place, Source};

use crate::error::Error;
use crate::files::{Entry, Files, Stat};
use crate::inherit::Effective;
use crate::location;
use crate::parameter::{Input, Link, LinkTarget, Output, SourceList};
use crate::process::{Common, Operation, Process, Step, StepInput, Version};
use crate::requirement::Requirements;
use crate::text::Text;
use crate::types::{ArrayType, EnumType, RecordField, RecordType, Type};
use crate::value::{Value, ValueMap};

pub(crate) fn place() -> Place {
    Place::start_of(&Arc::new(Source { uri: "file:///t.cwl".into(), text: String::new() }))
}

pub(crate) fn text(text: &str) -> Text {
    Text { text: text.into(), place: place() }
}

pub(crate) fn value(text: &str) -> Value {
    crate::json::parse(text).expect(text)
}

pub(crate) fn values(text: &str) -> ValueMap {
    value(text).as_map().expect(text).clone()
}

pub(crate) fn json(value: &Value) -> String {
    crate::print::compact(value)
}

pub(crate) fn optional(type_: Type) -> Type {
    Type::Union(Arc::new(vec![Type::Null, type_]))
}

pub(crate) fn array(items: Type) -> Type {
    Type::Array(Arc::new(ArrayType { items, binding: None }))
}

pub(crate) fn symbols(names: &[&str]) -> Type {
    let symbols = names.iter().map(|&name| name.into()).collect();
    Type::Enum(Arc::new(EnumType { name: None, symbols, binding: None }))
}

pub(crate) fn field(name: &str, type_: Type) -> RecordField {
    RecordField {
        name: name.into(),
        type_,
        label: None,
        doc: None,
        secondary_files: Vec::new(),
        format: Vec::new(),
        streamable: false,
        load_contents: false,
        load_listing: None,
        input_binding: None,
        output_binding: None,
    }
}

pub(crate) fn record(fields: Vec<RecordField>) -> Type {
    Type::Record(Arc::new(RecordType { name: None, fields, binding: None }))
}

pub(crate) fn input(name: &str, type_: Type) -> Input {
    Input {
        name: name.into(),
        place: place(),
        label: None,
        doc: None,
        type_,
        default: Value::Null,
        secondary_files: Vec::new(),
        format: Vec::new(),
        streamable: false,
        load_contents: false,
        load_listing: None,
        binding: None,
    }
}

pub(crate) fn output(name: &str, type_: Type) -> Output {
    Output {
        name: name.into(),
        place: place(),
        label: None,
        doc: None,
        type_,
        secondary_files: Vec::new(),
        format: None,
        streamable: false,
        binding: None,
        stream: None,
        source: SourceList::default(),
    }
}

pub(crate) fn common(inputs: Vec<Input>, outputs: Vec<Output>) -> Common {
    Common {
        id: "file:///t.cwl".into(),
        place: place(),
        version: Version::V1_2,
        label: None,
        doc: None,
        inputs,
        outputs,
        requirements: Requirements::default(),
    }
}

/// A source of so many links.
pub(crate) fn source(links: usize) -> SourceList {
    let links = (0..links).map(|index| Link { place: place(), target: LinkTarget::Input(index) }).collect();
    SourceList { links, is_list: true, link_merge: None, pick_value: None }
}

pub(crate) fn step_input(name: &str, links: usize) -> StepInput {
    StepInput {
        name: name.into(),
        place: place(),
        source: source(links),
        default: Value::Null,
        value_from: None,
        load_contents: false,
        load_listing: None,
    }
}

pub(crate) fn step(inputs: Vec<StepInput>) -> Step {
    Step {
        name: "s".into(),
        place: place(),
        label: None,
        run: Process::Operation(Arc::new(Operation { common: common(Vec::new(), Vec::new()) })),
        inputs,
        outputs: Vec::new(),
        scatter: Vec::new(),
        scatter_method: None,
        when: None,
        loop_: None,
        requirements: Requirements::default(),
    }
}

/// JavaScript, v1.2, nothing else.
pub(crate) fn effective() -> Effective {
    Effective { javascript: Some(Arc::new(Vec::new())), ..Effective::none(Version::V1_2) }
}

/// Texts by path; what lies around them are directories.
#[derive(Default)]
pub(crate) struct Disk(BTreeMap<String, String>);

impl Disk {
    pub(crate) fn new(entries: &[(&str, &str)]) -> Self {
        Self(entries.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }
}

impl Files for Disk {
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error> {
        let path = location::file_path(location).unwrap_or_default();
        if let Some(text) = self.0.get(&path) {
            return Ok(Some(Stat { is_directory: false, size: text.len() as u64 }));
        }
        let inside = format!("{path}/");
        let is_directory = self.0.keys().any(|known| known.starts_with(&inside));
        Ok(is_directory.then_some(Stat { is_directory, size: 0 }))
    }

    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let text = location::file_path(location).and_then(|path| self.0.get(&path));
        let missing = || Error::File { location: location.to_owned(), reason: "No such file".into() };
        Ok(text.ok_or_else(missing)?.bytes().take(limit as usize).collect())
    }

    fn list(&self, location: &str) -> Result<Vec<Entry>, Error> {
        let inside = format!("{}/", location::file_path(location).unwrap_or_default());
        let mut names: Vec<&str> =
            self.0.keys().filter_map(|path| path.strip_prefix(&inside)?.split('/').next()).collect();
        names.dedup();
        let mut entries = Vec::new();
        for name in names {
            let location = location::child(location, name);
            if let Some(stat) = self.stat(&location)? {
                entries.push(Entry { location, name: name.to_owned(), stat });
            }
        }
        Ok(entries)
    }
}

/// The node of a text.
pub(crate) fn node(uri: &str, text: &str) -> moil_salad::node::Node {
    let source = Arc::new(Source { uri: uri.into(), text: text.into() });
    let (node, diagnostics) = moil_salad::reader::read(&source);
    assert!(!moil_salad::diagnostic::has_errors(&diagnostics), "{diagnostics:?}");
    node.expect(text)
}
