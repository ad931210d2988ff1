//! The config file: Toil's YAML, whose keys are the long names of options.
//!
//! It is never written. Without `--config` Toil's own `~/.toil/default.yaml` is read if it is there.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use moil_salad::diagnostic::{self, Diagnostic};
use moil_salad::node::{Kind as NodeKind, Node};
use moil_salad::reader;
use moil_salad::source::{Place, Source};

use crate::argparse::{self, UsageError};
use crate::environment::Environment;
use crate::given::{Given, Layer};
use crate::log::Level;
use crate::options::{self, Kind, Opt};
use crate::settings::Note;

/// What a config file says.
#[derive(Debug, Default)]
pub struct Config {
    /// Its options.
    pub given: Vec<Given>,
    /// What is to be said about it.
    pub notes: Vec<Note>,
}

/// Reads `path`, or else `~/.toil/default.yaml` if there is one.
///
/// # Errors
/// The file cannot be read, is no YAML mapping, or has a value that its option does not allow.
pub fn read(path: Option<&Path>, environment: &Environment) -> Result<Config, UsageError> {
    let default = environment.known("HOME").map(|home| Path::new(home).join(".toil/default.yaml"));
    let Some(file) = path.or(default.as_deref()) else { return Ok(Config::default()) };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        // A home that cannot be entered has none for us.
        Err(error) if path.is_none() && (error.kind() == ErrorKind::NotFound || file.metadata().is_err()) => {
            return Ok(Config::default());
        }
        Err(error) => {
            return Err(UsageError::new(format!("cannot read the config file {}: {error}", file.display())));
        }
    };
    let source = Arc::new(Source { uri: format!("file://{}", file.display()), text });
    let (node, diagnostics) = reader::read(&source);
    if diagnostic::has_errors(&diagnostics) {
        return Err(first_error(&diagnostics));
    }
    match node {
        Some(node) => from_node(&node),
        None => Ok(Config::default()),
    }
}

fn first_error(diagnostics: &[Diagnostic]) -> UsageError {
    let text = crate::report::diagnostics(diagnostics);
    UsageError::new(format!("the config file is not valid\n{}", text.trim_end()))
}

/// The options of a document. Keys that are no options are passed over with a warning.
fn from_node(node: &Node) -> Result<Config, UsageError> {
    let mut config = Config::default();
    if node.is_null() {
        return Ok(config);
    }
    let Some(map) = node.as_map() else {
        return Err(at(&node.place, format!("a config file is a mapping, not {}", node.describe())));
    };
    for entry in &map.entries {
        let name = format!("--{}", entry.key.trim_start_matches('-'));
        match options::find(&name) {
            Some(option) => {
                for value in values(option, &entry.key, &entry.value)? {
                    let value = argparse::checked_value(option, &entry.key, &value).map_err(|error| {
                        UsageError { message: at(&entry.value.place, error.message).message, ..error }
                    })?;
                    config.given.push(Given {
                        option,
                        spelled: entry.key.clone(),
                        value,
                        layer: Layer::Config,
                    });
                }
            }
            None => {
                let hint = match options::nearest(&name) {
                    Some(near) => format!("; did you mean {}?", near.trim_start_matches('-')),
                    None => String::new(),
                };
                let text =
                    format!("{}: unknown option '{}' in the config file{hint}", entry.key_place, entry.key);
                config.notes.push(Note { level: Level::Warning, text });
            }
        }
    }
    Ok(config)
}

fn at(place: &Place, message: String) -> UsageError {
    UsageError::new(format!("{place}: {message}"))
}

/// The values that one entry gives its option. `null` and an empty list give none; a flag is given by
/// `true` and not given by `false`.
fn values(option: &Opt, key: &str, node: &Node) -> Result<Vec<String>, UsageError> {
    let wrong = |what: &str| at(&node.place, format!("{key} is {what}, not {}", node.describe()));
    let list = matches!(option.kind, Kind::Names | Kind::Repeated);
    match (&node.kind, option.kind) {
        (NodeKind::Null, _) => Ok(Vec::new()),
        (NodeKind::Bool(false), Kind::Flag) => Ok(Vec::new()),
        (NodeKind::Bool(true), Kind::Flag) => Ok(vec![option.constant.to_owned()]),
        (_, Kind::Flag) => Err(wrong("true or false")),
        (NodeKind::Bool(true), Kind::OptionalValue) => Ok(vec![option.constant.to_owned()]),
        (NodeKind::Bool(false), Kind::OptionalValue) => Ok(Vec::new()),
        (NodeKind::List(items), _) if list => {
            items.iter().map(|item| scalar(item).ok_or_else(|| wrong("a list of texts"))).collect()
        }
        // setEnv as a mapping of names to values.
        (NodeKind::Map(map), Kind::Repeated) => {
            let pair = |entry: &moil_salad::node::Entry| match (&entry.value.kind, scalar(&entry.value)) {
                (NodeKind::Null, _) => Ok(entry.key.clone()),
                (_, Some(value)) => Ok(format!("{}={value}", entry.key)),
                (_, None) => Err(wrong("a mapping of names to texts")),
            };
            map.entries.iter().map(pair).collect()
        }
        _ => match scalar(node) {
            Some(text) => Ok(vec![text]),
            None => Err(wrong("a single value")),
        },
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Bool(value) => Some(value.to_string()),
        NodeKind::Int(text) | NodeKind::Float(text) | NodeKind::String(text) => Some(text.clone()),
        NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) | NodeKind::Faulty => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, UsageError> {
        let file = tempfile::Builder::new().prefix("config").tempfile().expect("the file is made");
        std::fs::write(file.path(), text).expect("it is written");
        read(Some(file.path()), &Environment::default())
    }

    /// The options of a text in a short form, or the fault without the file's name.
    fn understood(text: &str) -> String {
        match config(text) {
            Ok(config) => {
                let given = config.given.iter().map(|given| format!("{}={}", given.option.key, given.value));
                given.collect::<Vec<_>>().join(" ")
            }
            Err(error) => {
                let start = error.message.find(":1:").or_else(|| error.message.find(":2:")).unwrap_or(0);
                format!("error{}", error.message.get(start..).unwrap_or_default())
            }
        }
    }

    #[test]
    fn keys_are_the_names_of_options() {
        let check = |text: &str, expected: &str| assert_eq!(understood(text), expected, "{text}");
        check("", "");
        check("config_version: 1.0\n", "--config_version=1.0");
        check("retryCount: 3\neval-timeout: 2.5\n", "--retryCount=3 --eval-timeout=2.5");
        check("--outdir: out\n", "--outdir=out");
        check("defaultMemory: 2.0 Gi\n", "--defaultMemory=2.0 Gi");
        check("workDir:\nclusterStats: null\nnodeTypes: []\nsetEnv: {}\n", "");
        check("stats: true\nrestart: false\nlogDebug: false\n", "--stats=true");
        check("logDebug: true\n", "--logLevel=Debug");
        check("leave-tmpdir: true\n", "--rm-tmpdir=false");
        check("caching: yes\nsymlinkImports: 'False'\n", "--caching=true --symlinkImports=false");
        check("disableCaching: true\n", "--caching=false");
        check("writeLogs: true\n", "--writeLogs=");
        check("writeLogs: logs\n", "--writeLogs=logs");
        check("setEnv: {A: 1, B: null}\n", "--setEnv=A=1 --setEnv=B");
        check("setEnv: [A=1, B]\n", "--setEnv=A=1 --setEnv=B");
        check("preserve-environment: [A, B]\n", "--preserve-environment=A --preserve-environment=B");
        check("target: a\n", "--target=a");
    }

    #[test]
    fn faults_have_a_place() {
        let check = |text: &str, expected: &str| assert_eq!(understood(text), expected, "{text}");
        check("- a\n", "error:1:1: a config file is a mapping, not a list");
        check("quiet: x\n", "error:1:8: quiet is true or false, not the string \"x\"");
        check("a: 1\ncaching: maybe\n", "error:2:10: caching is true or false, not 'maybe'");
        check("outdir: [a]\n", "error:1:9: outdir is a single value, not a list");
        check("setEnv: {A: [1]}\n", "error:1:9: setEnv is a mapping of names to texts, not a mapping");
        let error = config("outdir: [\n").expect_err("it is no YAML");
        assert!(error.message.starts_with("the config file is not valid\n"), "{error}");
    }

    #[test]
    fn unknown_keys_are_passed_over_with_a_remark() {
        let config = config("oudtir: x\nnonsense: 1\n").expect("it is valid");
        let notes: Vec<_> = config.notes.iter().filter_map(|note| note.text.split_once(": ")).collect();
        let texts: Vec<_> = notes.into_iter().map(|(_, text)| text).collect();
        assert_eq!(
            texts,
            [
                "unknown option 'oudtir' in the config file; did you mean outdir?",
                "unknown option 'nonsense' in the config file"
            ]
        );
    }

    #[test]
    fn the_file_of_toil_is_read_if_it_is_there() {
        let home = tempfile::tempdir().expect("the directory is made");
        let environment = Environment::new([("HOME".into(), home.path().into())]);
        assert_eq!(read(None, &environment).expect("no file is no fault").given.len(), 0);
        std::fs::create_dir(home.path().join(".toil")).expect("it is made");
        std::fs::write(home.path().join(".toil/default.yaml"), "maxJobs: 4\n").expect("it is written");
        assert_eq!(read(None, &environment).expect("it is valid").given.len(), 1);
        let error = read(Some(&home.path().join("none")), &environment).expect_err("it is not there");
        assert!(error.message.starts_with("cannot read the config file "), "{error}");
    }
}
