//! Documents after the walk: imports and shorthands resolved, upgraded to the
//! form of v1.2, every identifier and link absolute. Still untyped.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use moil_salad::diagnostic::{Diagnostic, has_errors};
use moil_salad::fetch::Fetch;
use moil_salad::node::{Kind, Map, Node};
use moil_salad::source::Place;
use moil_salad::suggest::nearest;
use moil_salad::uri;
use moil_salad::walk::texts::Texts;
use moil_salad::walk::{Scope, Walker};

use crate::process::Version;
use crate::requirement::Requirement;
use crate::{convert, schema, upgrade};

/// How documents are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// `--enable-dev`: take v1.3.0-dev1.
    pub development: bool,
    /// `--non-strict`: unknown fields are warnings.
    pub lenient: bool,
}

/// A loaded document and all that it names.
///
/// The normalised form of the nodes in it:
/// - a process is a mapping with `class`, `id` (absolute IRI) and `cwlVersion` (the version of the
///   document that it was *written* in; every process has the field);
/// - `inputs`, `outputs`, `steps`, `in`, `requirements`, `hints`, record `fields`, `listing`,
///   `packages`, `envDef` are lists of mappings, whatever shorthand was used; parameters, steps and
///   step inputs have an absolute `id`, fields an absolute `name`;
/// - `out` is a list of absolute IRIs; `source`, `outputSource` and `scatter` hold absolute IRIs, as
///   a string or a list, as written;
/// - `run` is a mapping (a process written in place) or the absolute IRI of one of [`Self::processes`];
/// - a `type` is the name of a primitive, an absolute IRI of a named type, a mapping or a list;
///   `string[]?` and its kin are expanded;
/// - `secondaryFiles` is a list of mappings with `pattern` and perhaps `required`;
/// - names of enum symbols are as written, without prefix;
/// - `format` is an absolute IRI unless it holds an expression;
/// - File and Directory objects in defaults have `location` as an absolute URI, never `path`;
/// - `$import`, `$include`, `$mixin`, `$graph`, `$namespaces` and `$schemas` are gone.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The IRI of the process that was asked for, a key of [`Self::processes`].
    pub main: String,
    /// All processes that are not written in place, by their IRI: members of `$graph`s, and files that `run` names.
    pub processes: IndexMap<String, Node>,
    /// The named types of all SchemaDefRequirements that were met, by their IRI.
    pub types: IndexMap<String, Node>,
    /// `$namespaces` of the main document.
    pub namespaces: IndexMap<String, String>,
    /// Absolute URIs of `$schemas` (ontologies) of all documents.
    pub schemas: Vec<String>,
    /// Absolute URIs of all texts that were read, in order, each with the one that named it.
    pub sources: Vec<(String, Option<String>)>,
}

/// Loads a document: `uri` is absolute and may have a fragment; without one, a `$graph` must have a
/// `main`. Returns all that is wrong with it. Where there are errors, the document has
/// [`Kind::Faulty`] in the place of what was refused, and `main` may be empty.
pub fn load(uri: &str, fetch: &dyn Fetch, options: LoadOptions) -> (Document, Vec<Diagnostic>) {
    let mut loader = Loader {
        options,
        texts: Texts::new(fetch),
        document: Document::default(),
        mains: HashMap::new(),
        aliases: HashMap::new(),
        loading: Vec::new(),
        lossy: HashSet::new(),
        diagnostics: Vec::new(),
    };
    let main = loader.process(uri, None, None);
    loader.finish(main)
}

/// Requirements that come from outside of a document (an input object, overrides), brought to the form
/// that they have in documents. `uri` is what references in them are relative to.
///
/// # Errors
/// All that is wrong with them.
pub fn requirements(
    nodes: &[Node],
    uri: &str,
    fetch: &dyn Fetch,
) -> Result<Vec<Requirement>, Vec<Diagnostic>> {
    let mut texts = Texts::new(fetch);
    let mut walker = Walker::new(schema::of(Version::V1_2), &mut texts);
    walker.namespaces = standard_namespaces();
    let scope = Scope { base: uri.into(), id: uri.into() };
    let walked: Vec<Node> =
        nodes.iter().filter_map(|node| walker.walk(node.clone(), "Requirement", &scope)).collect();
    let mut diagnostics = std::mem::take(&mut walker.diagnostics);
    let (requirements, mut found) = convert::requirements(&walked);
    diagnostics.append(&mut found);
    if has_errors(&diagnostics) { Err(diagnostics) } else { Ok(requirements) }
}

fn standard_namespaces() -> HashMap<String, String> {
    HashMap::from([
        ("cwltool".to_owned(), "http://commonwl.org/cwltool#".to_owned()),
        ("cwl".to_owned(), "https://w3id.org/cwl/cwl#".to_owned()),
    ])
}

/// What the version of a document is called, from the first that was ever released.
const VERSIONS: [(&str, Version); 10] = [
    ("v1.0", Version::V1_0),
    ("v1.1", Version::V1_1),
    ("v1.2", Version::V1_2),
    ("v1.3.0-dev1", Version::V1_3Dev),
    ("v1.1.0-dev1", Version::V1_1),
    ("v1.2.0-dev1", Version::V1_2),
    ("v1.2.0-dev2", Version::V1_2),
    ("v1.2.0-dev3", Version::V1_2),
    ("v1.2.0-dev4", Version::V1_2),
    ("v1.2.0-dev5", Version::V1_2),
];

/// How deep documents may run each other. Less than the conversion allows, which counts types as well.
const MAX_NESTING: usize = 90;

struct Loader<'a> {
    options: LoadOptions,
    texts: Texts<'a>,
    document: Document,
    /// The main process of each text that was walked; `None` while it is being walked, or if it has none.
    mains: HashMap<String, Option<String>>,
    /// What `run` names, where that is not the identifier of a process.
    aliases: HashMap<String, String>,
    /// The texts that are being walked, from the outermost.
    loading: Vec<String>,
    /// Texts with processes that were refused, so that nobody knows what they are called.
    lossy: HashSet<String>,
    diagnostics: Vec<Diagnostic>,
}

impl Loader<'_> {
    /// The identifier of the process that a URI names, loaded if it was not yet.
    fn process(&mut self, uri: &str, named_at: Option<&Place>, outer: Option<Version>) -> Option<String> {
        let (text, fragment) = uri::split_fragment(uri);
        if self.loading.iter().any(|loading| loading == text) {
            // Members of one `$graph` name each other; whether in a circle is found out at the end.
            if fragment.is_some() {
                return Some(uri.to_owned());
            }
            let place = named_at?;
            let message = format!("{} runs itself", shown(text));
            self.diagnostics.push(Diagnostic::error("run-cycle", place, message));
            return None;
        }
        if self.loading.len() >= MAX_NESTING {
            let place = named_at?;
            let message = format!("documents run each other more than {MAX_NESTING} deep");
            self.diagnostics.push(Diagnostic::error("too-deep", place, message));
            return None;
        }
        if !self.mains.contains_key(text) {
            self.mains.insert(text.to_owned(), None);
            self.loading.push(text.to_owned());
            let main = self.text(text, named_at, outer);
            self.loading.pop();
            self.mains.insert(text.to_owned(), main);
        }
        match fragment.filter(|fragment| !fragment.is_empty()) {
            Some(_) => Some(uri.to_owned()),
            None => self.mains.get(text).cloned().flatten(),
        }
    }

    /// Walks one text; gives the identifier of its main process.
    fn text(&mut self, text: &str, named_at: Option<&Place>, outer: Option<Version>) -> Option<String> {
        let node = self.texts.node(text, named_at, &mut self.diagnostics)?;
        let Some(root) = node.as_map() else {
            let message = format!("a CWL document is a mapping, not {}", node.describe());
            self.diagnostics.push(Diagnostic::error("not-a-document", &node.place, message));
            return None;
        };
        let version = self.version(root, &node.place, outer)?;
        let namespaces = self.namespaces(root);
        self.schemas(root, text);
        let graph = root.get("$graph").cloned();
        let is_graph = graph.is_some();
        let members = match graph {
            Some(Node { kind: Kind::List(members), .. }) => members,
            Some(other @ Node { kind: Kind::Map(_), .. }) => vec![other],
            Some(other) => {
                let message = format!("`$graph` must be a list, not {}", other.describe());
                self.diagnostics.push(Diagnostic::error("invalid-type", &other.place, message));
                return None;
            }
            None => vec![node],
        };
        let ids = self.members(members, is_graph, text, version, namespaces);
        let main = [format!("{text}#main"), format!("{text}#/main")];
        match ids.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            _ => main.into_iter().find(|main| ids.contains(main)),
        }
    }

    fn members(
        &mut self,
        members: Vec<Node>,
        is_graph: bool,
        text: &str,
        version: Version,
        namespaces: HashMap<String, String>,
    ) -> Vec<String> {
        let mut ids = Vec::new();
        let scope = Scope { base: text.into(), id: text.into() };
        let mut walker = Walker::new(schema::of(version), &mut self.texts);
        walker.namespaces = namespaces;
        walker.lenient = self.options.lenient;
        walker.types = std::mem::take(&mut self.document.types);
        let mut walked = Vec::new();
        for member in members {
            // Named types are defined by being walked.
            if is_type(&member) {
                walker.walk(member, "CommandInputType", &scope);
                continue;
            }
            if is_graph && member.as_map().is_some() && member.get("id").is_none_or(Node::is_null) {
                let message = "a member of a `$graph` has no `id`";
                walker.diagnostics.push(Diagnostic::error("missing-field", &member.place, message));
            }
            match walker.walk(member, "Process", &scope) {
                Some(process) => walked.push(process),
                None => _ = self.lossy.insert(text.to_owned()),
            }
        }
        walker.resolve_types(&mut walked);
        let references = std::mem::take(&mut walker.references);
        let mut diagnostics = std::mem::take(&mut walker.diagnostics);
        self.document.types = std::mem::take(&mut walker.types);
        self.diagnostics.append(&mut diagnostics);
        for mut process in walked {
            upgrade::upgrade(&mut process, version, &mut self.diagnostics);
            let Some(id) = process.get("id").and_then(Node::as_str).map(str::to_owned) else { continue };
            if let Some(other) = self.document.processes.get(&id) {
                let message = format!("a process called `{}` stands here again", uri::short_name(&id));
                self.diagnostics.push(
                    Diagnostic::error("duplicate-id", &process.place, message)
                        .with_related(&other.place, "first here"),
                );
                continue;
            }
            self.document.processes.insert(id.clone(), process);
            ids.push(id);
        }
        for (reference, place) in references {
            if let Some(id) = self.process(&reference, Some(&place), Some(version)) {
                self.aliases.insert(reference, id);
            }
        }
        ids
    }

    fn version(&mut self, root: &Map, place: &Place, outer: Option<Version>) -> Option<Version> {
        let Some(node) = root.get("cwlVersion") else {
            if outer.is_none() {
                let message = "the document has no `cwlVersion`";
                let hint = "add `cwlVersion: v1.2`";
                self.diagnostics.push(Diagnostic::error("missing-field", place, message).with_hint(hint));
            }
            return outer;
        };
        let text = node.as_str().unwrap_or_default();
        let text = text.rsplit(['#', ':']).next().unwrap_or(text);
        match VERSIONS.iter().find(|(name, _)| *name == text) {
            Some(_) if text.contains("-dev") && !self.options.development => {
                let message = format!("`{text}` is still in development");
                let hint = "give --enable-dev to run it nevertheless";
                self.diagnostics
                    .push(Diagnostic::error("unknown-version", &node.place, message).with_hint(hint));
                None
            }
            Some((_, version)) => Some(*version),
            None => {
                let message = format!("{} is not a version of CWL that moil knows", node.describe());
                let hint = "v1.0, v1.1 and v1.2 are supported; cwl-upgrader converts older documents";
                self.diagnostics
                    .push(Diagnostic::error("unknown-version", &node.place, message).with_hint(hint));
                None
            }
        }
    }

    fn schemas(&mut self, root: &Map, text: &str) {
        let Some(node) = root.get("$schemas") else { return };
        for item in node.as_list().unwrap_or(std::slice::from_ref(node)) {
            match item.as_str() {
                Some(reference) => self.document.schemas.push(uri::join(text, reference)),
                None => {
                    let message = format!("`$schemas` must be a list of URIs, not {}", item.describe());
                    self.diagnostics.push(Diagnostic::error("invalid-type", &item.place, message));
                }
            }
        }
    }

    fn namespaces(&mut self, root: &Map) -> HashMap<String, String> {
        let mut namespaces = standard_namespaces();
        let Some(node) = root.get("$namespaces") else { return namespaces };
        let Some(map) = node.as_map() else {
            let message = format!("`$namespaces` must be a mapping, not {}", node.describe());
            self.diagnostics.push(Diagnostic::error("invalid-type", &node.place, message));
            return namespaces;
        };
        for entry in &map.entries {
            match entry.value.as_str() {
                Some(iri) => {
                    namespaces.insert(entry.key.clone(), iri.to_owned());
                    self.document.namespaces.insert(entry.key.clone(), iri.to_owned());
                }
                None => {
                    let message =
                        format!("the prefix `{}` must be an IRI, not {}", entry.key, entry.value.describe());
                    self.diagnostics.push(Diagnostic::error("invalid-type", &entry.value.place, message));
                }
            }
        }
        namespaces
    }

    fn finish(mut self, main: Option<String>) -> (Document, Vec<Diagnostic>) {
        self.resolve_runs();
        self.document.sources = std::mem::take(&mut self.texts.sources);
        match main {
            Some(main) if self.document.processes.contains_key(&main) => self.document.main = main,
            _ if has_errors(&self.diagnostics) => {}
            Some(main) => {
                let names: Vec<&str> = self.document.processes.keys().map(|id| uri::short_name(id)).collect();
                let message = format!("there is no process `{}`", shown(&main));
                let hint = format!("there are: {}", names.join(", "));
                self.diagnostics.push(Diagnostic::unplaced("unknown-process", message).with_hint(hint));
            }
            None => {
                let names: Vec<&str> = self.document.processes.keys().map(|id| uri::short_name(id)).collect();
                let message = "the document has several processes, and none is called `main`";
                let hint = format!("name one after a `#`; there are: {}", names.join(", "));
                self.diagnostics.push(Diagnostic::unplaced("no-main", message).with_hint(hint));
            }
        }
        (self.document, self.diagnostics)
    }

    /// Makes every `run` the key of a process, or faulty.
    fn resolve_runs(&mut self) {
        let known: HashSet<String> = self.document.processes.keys().cloned().collect();
        let (aliases, lossy, diagnostics) = (&self.aliases, &self.lossy, &mut self.diagnostics);
        for process in self.document.processes.values_mut() {
            visit_runs(process, &mut |run| {
                let Kind::String(target) = &run.kind else { return };
                // Without an alias there was an error already.
                let id = aliases.get(target);
                if let Some(id) = id
                    && !known.contains(id)
                    && !lossy.contains(uri::split_fragment(id).0)
                {
                    diagnostics.push(unknown_process(id, &run.place, &known));
                }
                run.kind = match id.filter(|id| known.contains(*id)) {
                    Some(id) => Kind::String(id.clone()),
                    None => Kind::Faulty,
                };
            });
        }
    }
}

/// Calls `visit` for every `run` of a process and of the processes that are written in place in it.
fn visit_runs(process: &mut Node, visit: &mut dyn FnMut(&mut Node)) {
    let Kind::Map(map) = &mut process.kind else { return };
    if let Some(run) = map.get_mut("run") {
        visit(run);
        visit_runs(run, visit);
    }
    if let Some(Node { kind: Kind::List(steps), .. }) = map.get_mut("steps") {
        for step in steps {
            if let Some(run) = step.as_map_mut().and_then(|step| step.get_mut("run")) {
                visit(run);
                visit_runs(run, visit);
            }
        }
    }
}

fn unknown_process(id: &str, place: &Place, known: &HashSet<String>) -> Diagnostic {
    let (text, fragment) = uri::split_fragment(id);
    let names: Vec<&str> = known
        .iter()
        .filter(|id| uri::split_fragment(id).0 == text)
        .map(|id| uri::split_fragment(id).1.unwrap_or_default())
        .collect();
    let mut diagnostic =
        Diagnostic::error("unknown-process", place, format!("there is no process `{}`", shown(id)));
    let near = nearest(fragment.unwrap_or_default(), names);
    diagnostic.hint = near.map(|near| format!("did you mean `#{near}`?"));
    diagnostic
}

/// Whether a member of a `$graph` defines a type.
fn is_type(member: &Node) -> bool {
    member.get("class").is_none()
        && matches!(member.get("type").and_then(Node::as_str), Some("record" | "enum" | "array"))
}

fn shown(uri: &str) -> &str {
    uri.strip_prefix("file://").unwrap_or(uri)
}

#[cfg(test)]
mod strict_tests;
#[cfg(test)]
mod tests;
