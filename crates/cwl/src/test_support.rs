//! Documents for tests: texts by their address, loaded as any other.

use std::collections::HashMap;

use moil_salad::diagnostic::{Diagnostic, Severity};
use moil_salad::fetch::Fetch;

use crate::document::{Document, LoadOptions};
use crate::load::{self, Loaded};
use crate::process::{CommandLineTool, Process, Workflow};

/// Texts by their URI.
pub struct Texts(pub HashMap<String, String>);

impl Fetch for Texts {
    fn text(&self, uri: &str) -> Result<String, String> {
        self.0.get(uri).cloned().ok_or_else(|| "no such text".to_owned())
    }

    fn exists(&self, uri: &str) -> bool {
        self.0.contains_key(uri)
    }
}

/// Loads `file:///d/main.cwl` of several texts, each with its name in `/d`.
pub fn load_texts(texts: &[(&str, &str)]) -> Result<Loaded, Vec<Diagnostic>> {
    let texts = texts.iter().map(|(name, text)| (format!("file:///d/{name}"), (*text).to_owned())).collect();
    load::load("file:///d/main.cwl", &Texts(texts), LoadOptions { development: true, lenient: false })
}

/// Loads one text.
pub fn load_text(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load_texts(&[("main.cwl", text)])
}

/// Loads one text without fault.
pub fn loaded(text: &str) -> Loaded {
    load_text(text).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// The document of one text without fault.
pub fn document(text: &str) -> Document {
    loaded(text).document
}

/// The tool of one text.
pub fn tool(text: &str) -> std::sync::Arc<CommandLineTool> {
    match loaded(text).process {
        Process::Tool(tool) => tool,
        other => panic!("a {}", other.class()),
    }
}

/// The workflow of one text.
pub fn workflow(text: &str) -> std::sync::Arc<Workflow> {
    match loaded(text).process {
        Process::Workflow(workflow) => workflow,
        other => panic!("a {}", other.class()),
    }
}

/// What loading has to say: `error CODE LINE: MESSAGE` or `warning …`, one a line.
pub fn faults(text: &str) -> String {
    let faults = match load_text(text) {
        Ok(loaded) => loaded.warnings,
        Err(faults) => faults,
    };
    describe(&faults)
}

/// Diagnostics as lines.
pub fn describe(faults: &[Diagnostic]) -> String {
    let lines = faults.iter().map(|fault| {
        let severity = if fault.severity == Severity::Error { "error" } else { "warning" };
        let line = fault.place.as_ref().map_or(0, |place| place.line);
        format!("{severity} {} {line}: {}", fault.code, fault.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}
