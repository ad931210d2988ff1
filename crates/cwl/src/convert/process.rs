//! What all processes have, and the processes that are neither tools nor workflows.

use std::sync::Arc;

use moil_salad::diagnostic::Diagnostic;
use moil_salad::node::{Kind, Node};
use moil_salad::source::Place;

use super::cursor::Cursor;
use super::{Converter, class_name, short_name};
use crate::parameter::{Input, Output};
use crate::process::{Common, ExpressionTool, Operation, Process, ProcessGenerator, Version};
use crate::requirement::RequirementKind;
use crate::text::Text;

impl Converter<'_> {
    /// The process that a `run` field holds or names.
    pub(super) fn run(&self, node: &Node) -> Option<Process> {
        match &node.kind {
            Kind::String(iri) => self.named_process(iri, Some(&node.place)),
            _ => self.process(node),
        }
    }

    /// A process that is not written in place. It is converted once, however often it is named.
    pub(super) fn named_process(&self, iri: &str, place: Option<&Place>) -> Option<Process> {
        if let Some(known) = self.processes.borrow().get(iri) {
            return known.clone();
        }
        let Some(node) = self.document.processes.get(iri) else {
            let message = format!("there is no process `{iri}`");
            self.findings.add(match place {
                Some(place) => Diagnostic::error("unknown-process", place, message),
                None => Diagnostic::unplaced("unknown-process", message),
            });
            return None;
        };
        if let Some(first) = self.open_processes.borrow().iter().position(|open| open == iri) {
            let open = self.open_processes.borrow();
            let mut chain: Vec<&str> = open.iter().skip(first).map(|iri| short_name(iri)).collect();
            chain.push(short_name(iri));
            let message = format!("a workflow cannot run itself: {}", chain.join(" → "));
            self.findings.error("run-cycle", place.unwrap_or(&node.place), message);
            return None;
        }
        self.open_processes.borrow_mut().push(iri.to_owned());
        let process = self.process(node);
        self.open_processes.borrow_mut().pop();
        self.processes.borrow_mut().insert(iri.to_owned(), process.clone());
        process
    }

    fn process(&self, node: &Node) -> Option<Process> {
        let _guard = self.descend(&node.place, "workflows are nested too deeply")?;
        let cursor = Cursor::new(node, "Process", &self.findings)?;
        let class = cursor.required("class")?.as_str()?;
        let class = class_name(class);
        let cursor = Cursor::new(node, class, &self.findings)?;
        let process = match class {
            "CommandLineTool" => self.tool(node, &cursor)?,
            "Workflow" => self.workflow(node, &cursor)?,
            "ExpressionTool" => {
                cursor.required("expression");
                let common = self.common(node, &cursor)?.0;
                let expression = cursor.text("expression");
                let expression =
                    expression.unwrap_or_else(|| Text { text: "".into(), place: cursor.place.clone() });
                Process::Expression(Arc::new(ExpressionTool { common, expression }))
            }
            "Operation" => Process::Operation(Arc::new(Operation { common: self.common(node, &cursor)?.0 })),
            "ProcessGenerator" => {
                let common = self.common(node, &cursor)?.0;
                let run = self.run(cursor.required("run")?)?;
                Process::Generator(Arc::new(ProcessGenerator { common, run }))
            }
            _ => {
                let message = format!("there is no class of processes `{class}`");
                self.findings.error("unknown-class", cursor.place_of("class"), message);
                return None;
            }
        };
        cursor.finish();
        Some(process)
    }

    /// What all processes have, and the names of the inputs whose type is `stdin`.
    pub(super) fn common(&self, node: &Node, cursor: &Cursor) -> Option<(Common, Vec<Arc<str>>)> {
        cursor.ignore(&["class", "intent", "name"]);
        let is_tool = node.get("class").and_then(Node::as_str) == Some("CommandLineTool");
        let id: Arc<str> = cursor.required("id")?.as_str()?.into();
        let mut inputs: Vec<Input> = Vec::new();
        let mut stdin = Vec::new();
        for node in cursor.list("inputs") {
            if let Some((input, extras)) = self.input(node, is_tool) {
                if extras.stdin {
                    stdin.push(Arc::clone(&input.name));
                }
                inputs.push(input);
            }
        }
        let outputs: Vec<Output> =
            cursor.list("outputs").iter().filter_map(|node| self.output(node, is_tool)).collect();
        let is_whole = cursor.is_whole("inputs")
            && cursor.is_whole("outputs")
            && inputs.len() == cursor.list("inputs").len()
            && outputs.len() == cursor.list("outputs").len();
        if !is_whole {
            self.hollow.borrow_mut().insert(Arc::clone(&id));
        }
        self.unique("input", inputs.iter().map(|input| (&input.name, &input.place)));
        self.unique("output", outputs.iter().map(|output| (&output.name, &output.place)));
        for node in cursor.list("requirements") {
            if node.get("class").and_then(Node::as_str).map(class_name) == Some("Loop") {
                let message = "`cwltool:Loop` belongs to a step, not to a process";
                self.findings.error("misplaced-loop", &node.place, message);
            }
        }
        let common = Common {
            id,
            place: node.place.clone(),
            version: self.version(cursor),
            label: cursor.doc("label"),
            doc: cursor.doc("doc"),
            inputs,
            outputs,
            requirements: self.requirements(cursor),
        };
        self.check_secrets(&common);
        Some((common, stdin))
    }

    /// A slip in the name of a secret would leave the secret open.
    fn check_secrets(&self, common: &Common) {
        for requirement in common.requirements.required.iter().chain(&common.requirements.hints) {
            let RequirementKind::Secrets(names) = &requirement.kind else { continue };
            for name in names.iter().filter(|name| common.inputs.iter().all(|input| input.name != **name)) {
                let message =
                    format!("`cwltool:Secrets` names `{name}`, which is no input: nothing is hidden");
                self.findings.add(Diagnostic::warning("unknown-secret", &requirement.place, message));
            }
        }
    }

    fn version(&self, cursor: &Cursor) -> Version {
        let text = cursor.str("cwlVersion").unwrap_or("v1.2");
        match version(text) {
            Some(version) => version,
            None => {
                let message = format!("moil does not know the CWL version {text:?}");
                self.findings.error("unknown-version", cursor.place_of("cwlVersion"), message);
                Version::V1_2
            }
        }
    }

    /// Names of one kind must differ.
    pub(super) fn unique<'a>(&self, kind: &str, names: impl Iterator<Item = (&'a Arc<str>, &'a Place)>) {
        let mut seen = std::collections::HashMap::new();
        for (name, place) in names {
            if let Some(&first) = seen.get(name) {
                let message = format!("there are two {kind}s `{name}`");
                self.findings.add(
                    Diagnostic::error("duplicate-id", place, message)
                        .with_related(first, "the first is here"),
                );
            } else {
                seen.insert(name, place);
            }
        }
    }
}

/// The version that a `cwlVersion` field names.
fn version(text: &str) -> Option<Version> {
    match text {
        "v1.0" => Some(Version::V1_0),
        "v1.1" => Some(Version::V1_1),
        "v1.2" => Some(Version::V1_2),
        "v1.3.0-dev1" => Some(Version::V1_3Dev),
        // Versions on the way to a release, and older drafts that were upgraded.
        _ if text.starts_with("v1.1.0-dev") => Some(Version::V1_1),
        _ if text.starts_with("v1.2.0-dev") => Some(Version::V1_2),
        _ if text.starts_with("draft-") || text.starts_with("v1.0.") => Some(Version::V1_0),
        _ => None,
    }
}
