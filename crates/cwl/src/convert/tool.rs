//! Command line tools.

use std::sync::Arc;

use moil_salad::node::Node;
use sha1::{Digest, Sha1};

use super::Converter;
use super::cursor::{Cursor, text};
use crate::canonical;
use crate::parameter::{Output, OutputBinding, Stream};
use crate::process::{Argument, CommandLineTool, Process};
use crate::text::Text;

impl Converter<'_> {
    /// `class: CommandLineTool`.
    pub(super) fn tool(&self, node: &Node, cursor: &Cursor) -> Option<Process> {
        let (common, stdin_inputs) = self.common(node, cursor)?;
        let mut arguments = Vec::new();
        for node in cursor.list("arguments") {
            match text(node) {
                Some(text) => arguments.push(Argument::Text(text)),
                None => arguments.extend(self.argument(node)),
            }
        }
        let mut tool = CommandLineTool {
            common,
            base_command: cursor.strings("baseCommand"),
            arguments,
            stdin: self.stdin(cursor, &stdin_inputs),
            stdout: cursor.text("stdout"),
            stderr: cursor.text("stderr"),
            success_codes: cursor.codes("successCodes"),
            temporary_fail_codes: cursor.codes("temporaryFailCodes"),
            permanent_fail_codes: cursor.codes("permanentFailCodes"),
        };
        name_streams(&mut tool);
        Some(Process::Tool(Arc::new(tool)))
    }

    fn argument(&self, node: &Node) -> Option<Argument> {
        self.binding(node).map(Argument::Binding)
    }

    /// `stdin`, or the path of the one input of that type (CWL v1.2 CommandLineTool §"stdin").
    fn stdin(&self, cursor: &Cursor, inputs: &[Arc<str>]) -> Option<Text> {
        let written = cursor.text("stdin");
        let Some(name) = inputs.first() else { return written };
        if inputs.len() > 1 || written.is_some() {
            let message = if written.is_some() {
                format!("the tool has a `stdin` and an input `{name}` of type `stdin`")
            } else {
                format!("the tool has several inputs of type `stdin`: {}", inputs.join(", "))
            };
            self.findings.error("several-stdin", cursor.place, message);
        }
        let is_plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let text = if is_plain {
            format!("$(inputs.{name}.path)")
        } else {
            format!("$(inputs[\"{}\"].path)", name.replace('\\', "\\\\").replace('"', "\\\""))
        };
        Some(Text { text: text.into(), place: cursor.place.clone() })
    }
}

/// Sets the names of the streams' files, and the bindings of the outputs that are those files. A stream that has no
/// name gets one that no tool will use by chance, and the same in every process and run.
fn name_streams(tool: &mut CommandLineTool) {
    let is_nameless = |output: &Output| match output.stream {
        Some(Stream::Stdout) => tool.stdout.is_none(),
        Some(Stream::Stderr) => tool.stderr.is_none(),
        None => false,
    };
    // Made only where it is wanted, and before any name is set.
    let canonical = tool.common.outputs.iter().any(is_nameless).then(|| {
        // Types without end have no canonical text.
        canonical::tool(tool).unwrap_or_else(|| tool.common.id.to_string())
    });
    for output in &mut tool.common.outputs {
        let (Some(stream), place) = (output.stream, &output.place) else { continue };
        let name = match stream {
            Stream::Stdout => &mut tool.stdout,
            Stream::Stderr => &mut tool.stderr,
        };
        let text = name.get_or_insert_with(|| Text {
            text: anonymous(stream, canonical.as_deref().unwrap_or_default()).into(),
            place: place.clone(),
        });
        output.binding = Some(OutputBinding {
            glob: vec![text.clone()],
            load_contents: false,
            load_listing: None,
            output_eval: None,
        });
    }
}

/// A file name made from all that the tool is.
fn anonymous(stream: Stream, canonical: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(match stream {
        Stream::Stdout => "stdout ",
        Stream::Stderr => "stderr ",
    });
    hash.update(canonical);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
