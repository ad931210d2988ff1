//! What the tests of a job's functions are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use moil_salad::source::{Place, Source};

use crate::error::Error;
use crate::expression::{Context, Evaluator, Limits};
use crate::files::{Entry, Files, Stat};
use crate::inherit::Effective;
use crate::location;
use crate::output_tree::{Kind, Tree, TreeEntry};
use crate::parameter::{Input, Output, OutputBinding, Required, SecondaryFilePattern, SourceList};
use crate::process::{CommandLineTool, Common, Version};
use crate::requirement::Requirements;
use crate::text::Text;
use crate::types::Type;
use crate::value::Value;

pub(crate) fn place() -> Place {
    Place::start_of(&Arc::new(Source { uri: "file:///t.cwl".into(), text: String::new() }))
}

pub(crate) fn text(text: &str) -> Text {
    Text { text: text.into(), place: place() }
}

/// `pattern`, with a `?` behind optional ones and a `!` behind required ones.
pub(crate) fn secondary(pattern: &str) -> SecondaryFilePattern {
    let (pattern, required) = match (pattern.strip_suffix('?'), pattern.strip_suffix('!')) {
        (Some(pattern), _) => (pattern, Some(Required::Known(false))),
        (_, Some(pattern)) => (pattern, Some(Required::Known(true))),
        _ => (pattern, None),
    };
    SecondaryFilePattern { pattern: text(pattern), required }
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

pub(crate) fn output(name: &str, type_: Type, binding: Option<OutputBinding>) -> Output {
    Output {
        name: name.into(),
        place: place(),
        label: None,
        doc: None,
        type_,
        secondary_files: Vec::new(),
        format: None,
        streamable: false,
        binding,
        stream: None,
        source: SourceList::default(),
    }
}

pub(crate) fn glob(patterns: &[&str]) -> OutputBinding {
    let glob = patterns.iter().map(|pattern| text(pattern)).collect();
    OutputBinding { glob, load_contents: false, load_listing: None, output_eval: None }
}

pub(crate) fn tool() -> CommandLineTool {
    CommandLineTool {
        common: Common {
            id: "file:///t.cwl".into(),
            place: place(),
            version: Version::V1_2,
            label: None,
            doc: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            requirements: Requirements::default(),
        },
        base_command: Vec::new(),
        arguments: Vec::new(),
        stdin: None,
        stdout: None,
        stderr: None,
        success_codes: Vec::new(),
        temporary_fail_codes: Vec::new(),
        permanent_fail_codes: Vec::new(),
    }
}

pub(crate) fn effective() -> Effective {
    Effective::none(Version::V1_2)
}

/// A context with JavaScript.
pub(crate) struct Fixture {
    pub(crate) inputs: Value,
    pub(crate) runtime: Value,
}

impl Fixture {
    pub(crate) fn new(inputs: &str) -> Self {
        let runtime = r#"{"outdir": "/out", "tmpdir": "/tmp/t", "cores": 1, "ram": 256, "tmpdirSize": 1024, "outdirSize": 1024, "exitCode": 7}"#;
        Self {
            inputs: crate::json::parse(inputs).expect(inputs),
            runtime: crate::json::parse(runtime).expect("json"),
        }
    }

    pub(crate) fn of(inputs: Value) -> Self {
        Self { inputs, ..Self::new("{}") }
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&Context<'_>) -> T) -> T {
        let evaluator = Evaluator::new(Limits::default());
        let library = Arc::new(Vec::new());
        f(&Context {
            evaluator: &evaluator,
            inputs: &self.inputs,
            runtime: &self.runtime,
            javascript: Some(&library),
            version: Version::V1_2,
        })
    }
}

/// What is at the paths of an imagined file system: text of a file, `→target`, `socket` or `input`; what
/// lies around them are directories, as are paths that end in a slash.
#[derive(Default)]
pub(crate) struct Memory(BTreeMap<String, String>);

impl Memory {
    pub(crate) fn new(entries: &[(&str, &str)]) -> Self {
        Self(entries.iter().map(|(path, what)| ((*path).to_owned(), (*what).to_owned())).collect())
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        if let Some(what) = self.0.get(path) {
            return Some(match (what.strip_prefix('→'), what.as_str()) {
                (Some(target), _) => Kind::Link { target: target.to_owned() },
                (_, "socket") => Kind::Other,
                (_, "input") => Kind::Input,
                (_, text) => Kind::File { size: text.len() as u64 },
            });
        }
        let prefix = format!("{}/", path.trim_end_matches('/'));
        self.0.keys().any(|known| known.starts_with(&prefix)).then_some(Kind::Directory)
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let names = self.0.keys().filter_map(|path| path.strip_prefix(&prefix)?.split('/').next());
        let mut names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        names.dedup();
        // An order that nobody may rely on.
        names.reverse();
        names
    }

    fn file_stat(&self, path: &str) -> Option<Stat> {
        match self.kind(path)? {
            Kind::File { size } => Some(Stat { is_directory: false, size }),
            Kind::Directory => Some(Stat { is_directory: true, size: 0 }),
            Kind::Link { .. } | Kind::Input | Kind::Other => None,
        }
    }
}

impl Tree for Memory {
    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, Error> {
        let entry = |name: String| {
            let kind = self.kind(&format!("{directory}/{name}")).expect("listed");
            TreeEntry { name, kind }
        };
        Ok(self.names(directory).into_iter().map(entry).collect())
    }

    fn stat(&self, path: &str) -> Result<Option<Kind>, Error> {
        Ok(self.kind(path))
    }
}

/// By `file:` locations.
impl Files for Memory {
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error> {
        Ok(location::file_path(location).and_then(|path| self.file_stat(&path)))
    }

    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let text = location::file_path(location).and_then(|path| self.0.get(&path).cloned());
        let missing =
            || Error::File { location: location.to_owned(), reason: "No such file or directory".into() };
        Ok(text.ok_or_else(missing)?.into_bytes().into_iter().take(limit as usize).collect())
    }

    fn list(&self, location: &str) -> Result<Vec<Entry>, Error> {
        let path = location::file_path(location).unwrap_or_default();
        let mut names = self.names(&path);
        names.sort();
        let entry = |name: String| {
            let stat = self.file_stat(&format!("{path}/{name}"))?;
            Some(Entry { location: location::child(location, &name), name, stat })
        };
        Ok(names.into_iter().filter_map(entry).collect())
    }
}
