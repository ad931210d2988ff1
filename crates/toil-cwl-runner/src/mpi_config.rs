//! `--mpi-config-file`: how MPI programs are started, in cwltool's format.

use std::path::Path;
use std::sync::Arc;

use moil_job::failure::{Failure, FailureKind};
use moil_salad::node::{Kind, Node};
use moil_salad::reader;
use moil_salad::source::Source;
use moil_worker::config::MpiConfig;

use crate::environment::Environment;

/// Reads the file. Variables that it names are taken from `environment`.
///
/// # Errors
/// What is wrong with the file.
pub fn read(path: &Path, environment: &Environment) -> Result<MpiConfig, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(FailureKind::BadInput, format!("{name}: cannot be read")).with_cause(error)
    })?;
    parse(&name, text, environment)
}

/// Reads the text of a file.
///
/// # Errors
/// What is wrong with it.
pub fn parse(name: &str, text: String, environment: &Environment) -> Result<MpiConfig, Failure> {
    let wrong = |words: &str| Failure::new(FailureKind::BadInput, format!("{name}: {words}"));
    let (node, diagnostics) = reader::read(&Arc::new(Source { uri: name.to_owned(), text }));
    if let Some(diagnostic) = diagnostics.first() {
        return Err(wrong(&diagnostic.message));
    }
    let node = node.ok_or_else(|| wrong("is empty"))?;
    let Some(map) = node.as_map() else { return Err(wrong("must be a mapping")) };
    let mut config = MpiConfig::default();
    for entry in &map.entries {
        let value = &entry.value;
        let expected =
            |what: &str| wrong(&format!("`{}` must be {what}, not {}", entry.key, value.describe()));
        match entry.key.as_str() {
            "runner" => config.runner = text_of(value).ok_or_else(|| expected("a string"))?,
            "nproc_flag" => config.nproc_flag = text_of(value).ok_or_else(|| expected("a string"))?,
            "default_nproc" => {
                let number = text_of(value).and_then(|text| text.parse().ok());
                config.default_nproc = number.ok_or_else(|| expected("a whole number"))?;
            }
            "extra_flags" => config.extra_flags = texts(value).ok_or_else(|| expected("a list"))?,
            "env_pass" => {
                let names = texts(value).ok_or_else(|| expected("a list of names"))?;
                config.pass = names
                    .iter()
                    .filter_map(|name| Some((name.into(), environment.get(name)?.to_owned())))
                    .collect();
            }
            "env_set" => {
                let map = value.as_map().ok_or_else(|| expected("a mapping"))?;
                config.set = map
                    .entries
                    .iter()
                    .filter_map(|entry| Some((entry.key.as_str().into(), text_of(&entry.value)?.into())))
                    .collect();
            }
            "env_pass_regex" => {
                return Err(wrong("`env_pass_regex` is not supported: list the names in `env_pass`"));
            }
            other => return Err(wrong(&format!("there is no setting `{other}`"))),
        }
    }
    Ok(config)
}

fn text_of(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::String(text) | Kind::Int(text) | Kind::Float(text) => Some(text.clone()),
        _ => None,
    }
}

fn texts(node: &Node) -> Option<Vec<String>> {
    node.as_list()?.iter().map(text_of).collect()
}
