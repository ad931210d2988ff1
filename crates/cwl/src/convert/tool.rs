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
        let (mut common, stdin_inputs) = self.common(node, cursor)?;
        let mut arguments = Vec::new();
        for node in cursor.list("arguments") {
            match text(node) {
                Some(text) => arguments.push(Argument::Text(text)),
                None => arguments.extend(self.argument(node)),
            }
        }
        let stdin = self.stdin(cursor, &stdin_inputs);
        let stdout = cursor.text("stdout");
        let stderr = cursor.text("stderr");
        let stdout = self.stream(Stream::Stdout, stdout, &common.canonical, &mut common.outputs);
        let stderr = self.stream(Stream::Stderr, stderr, &common.canonical, &mut common.outputs);
        let streams: Vec<(&str, &str)> = [("stdout", &stdout), ("stderr", &stderr)]
            .iter()
            .filter_map(|(f, t)| Some((*f, &*t.as_ref()?.text)))
            .collect();
        common.canonical = canonical::of(self.document, node, &streams).into();
        Some(Process::Tool(Arc::new(CommandLineTool {
            common,
            base_command: cursor.strings("baseCommand"),
            arguments,
            stdin,
            stdout,
            stderr,
            success_codes: cursor.codes("successCodes"),
            temporary_fail_codes: cursor.codes("temporaryFailCodes"),
            permanent_fail_codes: cursor.codes("permanentFailCodes"),
        })))
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

    /// The name of a stream's file, and the bindings of the outputs that are that file. A stream that
    /// has no name gets one that no tool will use by chance, and the same in every process and run.
    fn stream(
        &self,
        stream: Stream,
        written: Option<Text>,
        canonical: &str,
        outputs: &mut [Output],
    ) -> Option<Text> {
        let outputs = outputs.iter_mut().filter(|output| output.stream == Some(stream));
        let mut name = written;
        for output in outputs {
            let text = name.get_or_insert_with(|| Text {
                text: anonymous(stream, canonical).into(),
                place: output.place.clone(),
            });
            output.binding = Some(OutputBinding {
                glob: vec![text.clone()],
                load_contents: false,
                load_listing: None,
                output_eval: None,
            });
        }
        name
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
