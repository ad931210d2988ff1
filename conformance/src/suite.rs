//! Test files in cwltest's format, and the fields that our own suites add to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_salad::diagnostic::has_errors;
use moil_salad::node::{Map, Node};
use moil_salad::reader;
use moil_salad::source::Source;
use sha1::{Digest, Sha1};

/// Imports that import each other end here.
const MAX_IMPORTS: usize = 20;

/// One test file with everything it imports.
#[derive(Debug)]
pub struct Suite {
    /// The folder of the test file; tests run there and name their documents relative to it.
    pub root: PathBuf,
    /// The tests in order.
    pub tests: Vec<Test>,
    /// SHA-1 over the test files, to tell which state of a suite a report speaks of.
    pub digest: String,
}

/// One test.
#[derive(Debug, Default)]
pub struct Test {
    /// The id, without the name of the file.
    pub id: String,
    /// What is tested.
    pub doc: String,
    /// The process document, relative to the root, or `scratch:NAME` for one that `setup` makes.
    pub tool: String,
    /// The input object, likewise.
    pub job: Option<String>,
    /// What must come out.
    pub output: Option<Node>,
    /// Whether the runner has to end with an exit code other than 0.
    pub should_fail: bool,
    /// The tags. A test that gives none counts as `required`.
    pub tags: Option<Vec<String>>,
    /// Ours: more options for the runner.
    pub args: Vec<String>,
    /// Ours: the exit code that must come, in place of cwltest's rule.
    pub exit_code: Option<i32>,
    /// Ours: texts that must all stand in what the runner writes to stderr.
    pub message: Vec<String>,
    /// Ours: a shell script that makes documents in an empty folder first.
    pub setup: Option<String>,
    /// Ours: a piece of a command line; no such process may be left afterwards.
    pub no_process: Option<String>,
    /// Ours: seconds after which the test has failed, in place of the general limit.
    pub timeout: Option<u64>,
    /// Ours: what must be there for the test to mean anything, such as `bwa` on the search path.
    pub needs: Vec<String>,
}

impl Test {
    /// Whether "unsupported" (exit code 33) counts as a failure.
    pub fn required(&self) -> bool {
        self.tags.as_ref().is_none_or(|tags| tags.iter().any(|tag| tag == "required"))
    }
}

/// Reads a test file and what it imports.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn load(path: &Path) -> Result<Suite, String> {
    let path = fs::canonicalize(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let root = path.parent().unwrap_or(&path).to_owned();
    let mut loader = Loader { root: &root, tests: Vec::new(), hash: Sha1::new() };
    loader.file(&path, 0)?;
    let Loader { tests, hash, .. } = loader;
    let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    for (index, test) in tests.iter().enumerate() {
        if tests.iter().take(index).any(|other| other.id == test.id) {
            return Err(format!("{}: two tests are called {:?}", path.display(), test.id));
        }
    }
    Ok(Suite { root, tests, digest })
}

struct Loader<'a> {
    root: &'a Path,
    tests: Vec<Test>,
    hash: Sha1,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        if depth > MAX_IMPORTS {
            return Err(format!("{}: imports itself", path.display()));
        }
        let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        self.hash.update(text.as_bytes());
        let node = read(path, text)?;
        let folder = path.parent().unwrap_or(path);
        self.items(&node, folder, depth)
    }

    fn items(&mut self, node: &Node, folder: &Path, depth: usize) -> Result<(), String> {
        let Some(items) = node.as_list() else {
            return Err(format!("{}: expected a list of tests, found {}", node.place, node.describe()));
        };
        for item in items {
            match item.as_map() {
                Some(map) => match map.get("$import").and_then(Node::as_str) {
                    Some(file) => self.file(&folder.join(file), depth + 1)?,
                    None => {
                        let test = self.test(map, folder).map_err(|e| format!("{}: {e}", item.place))?;
                        self.tests.push(test);
                    }
                },
                None => self.items(item, folder, depth)?,
            }
        }
        Ok(())
    }

    fn test(&self, map: &Map, folder: &Path) -> Result<Test, String> {
        let mut test = Test::default();
        for entry in &map.entries {
            let value = &entry.value;
            if value.is_null() {
                continue;
            }
            let wrong = |wanted| format!("{} must be {wanted}, not {}", entry.key, value.describe());
            let string = || scalar(value).ok_or_else(|| wrong("a string"));
            let whole = || scalar(value).and_then(|t| t.parse::<i64>().ok()).ok_or_else(|| wrong("a number"));
            let strings = || match value.as_list() {
                Some(items) => items.iter().map(scalar).collect::<Option<Vec<_>>>(),
                None => scalar(value).map(|text| vec![text]),
            };
            match entry.key.as_str() {
                "id" => test.id = string()?,
                "doc" => test.doc = strings().ok_or_else(|| wrong("a string"))?.join("\n").trim().to_owned(),
                "label" | "short_name" => {}
                "tool" => test.tool = self.relative(folder, &string()?),
                "job" => test.job = Some(self.relative(folder, &string()?)),
                "output" => {
                    let imported = value.as_map().and_then(|map| map.get("$import")).and_then(Node::as_str);
                    test.output = Some(match imported {
                        Some(file) => {
                            let path = folder.join(file);
                            let text = fs::read_to_string(&path)
                                .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
                            read(&path, text)?
                        }
                        None => value.clone(),
                    });
                }
                "should_fail" => match &value.kind {
                    moil_salad::node::Kind::Bool(flag) => test.should_fail = *flag,
                    _ => return Err(wrong("true or false")),
                },
                "tags" => test.tags = Some(strings().ok_or_else(|| wrong("a list of strings"))?),
                "args" => test.args = strings().ok_or_else(|| wrong("a list of strings"))?,
                "exit_code" => test.exit_code = Some(i32::try_from(whole()?).map_err(|e| e.to_string())?),
                "message" => test.message = strings().ok_or_else(|| wrong("a list of strings"))?,
                "setup" => test.setup = Some(string()?),
                "no_process" => test.no_process = Some(string()?),
                "timeout" => test.timeout = Some(u64::try_from(whole()?).map_err(|e| e.to_string())?),
                "needs" => test.needs = strings().ok_or_else(|| wrong("a list of strings"))?,
                other => return Err(format!("a test has no field {other:?}")),
            }
        }
        if test.id.is_empty() || test.tool.is_empty() {
            return Err("a test needs an id and a tool".to_owned());
        }
        Ok(test)
    }

    /// As cwltest hands it to the runner: relative where it lies below the folder of the suite.
    fn relative(&self, folder: &Path, name: &str) -> String {
        if name.starts_with("scratch:") {
            return name.to_owned();
        }
        let path = folder.join(name);
        let path = path.strip_prefix(self.root).unwrap_or(&path);
        path.to_string_lossy().into_owned()
    }
}

fn read(path: &Path, text: String) -> Result<Node, String> {
    let source = Arc::new(Source { uri: format!("file://{}", path.display()), text });
    match reader::read(&source) {
        (Some(node), diagnostics) if !has_errors(&diagnostics) => Ok(node),
        (_, diagnostics) => {
            let words: Vec<_> = diagnostics.iter().map(|fault| fault.message.as_str()).collect();
            Err(format!("{}: {}", path.display(), words.join("; ")))
        }
    }
}

/// The text of a string or number.
fn scalar(node: &Node) -> Option<String> {
    use moil_salad::node::Kind;
    match &node.kind {
        Kind::String(text) | Kind::Int(text) | Kind::Float(text) => Some(text.clone()),
        _ => None,
    }
}
