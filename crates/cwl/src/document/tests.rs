use std::collections::HashMap;

use moil_salad::diagnostic::Severity;

use super::*;
use crate::test_support::faults;

struct Memory(HashMap<String, String>);

impl Fetch for Memory {
    fn text(&self, uri: &str) -> Result<String, String> {
        self.0.get(uri).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn exists(&self, uri: &str) -> bool {
        self.0.contains_key(uri)
    }
}

fn load_files(files: &[(&str, &str)]) -> (Document, Vec<Diagnostic>) {
    let memory = files.iter().map(|(name, text)| (format!("file:///{name}"), (*text).to_owned()));
    let main = format!("file:///{}", files[0].0);
    load(&main, &Memory(memory.collect()), LoadOptions::default())
}

fn loaded(files: &[(&str, &str)]) -> Document {
    let (document, diagnostics) = load_files(files);
    assert!(!has_errors(&diagnostics), "{diagnostics:#?}");
    document
}

fn codes(files: &[(&str, &str)]) -> Vec<(&'static str, u32)> {
    let (_, diagnostics) = load_files(files);
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| (diagnostic.code, diagnostic.place.as_ref().map_or(0, |place| place.line)))
        .collect()
}

const TOOL: &str =
    "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: echo\ninputs: {x: string?}\noutputs: []\n";

#[test]
fn shorthands_are_written_out() {
    let document = loaded(&[("t.cwl", TOOL)]);
    let tool = &document.processes["file:///t.cwl"];
    let input = &tool.get("inputs").and_then(Node::as_list).expect("a list")[0];
    assert_eq!(input.get("id").and_then(Node::as_str), Some("file:///t.cwl#x"));
    let types: Vec<_> =
        input.get("type").and_then(Node::as_list).expect("types").iter().map(Node::as_str).collect();
    assert_eq!(types, [Some("null"), Some("string")]);
}

#[test]
fn links_and_runs_are_absolute() {
    let workflow = "cwlVersion: v1.2\nclass: Workflow\ninputs: {a: string}\noutputs:\n  o: {type: File, outputSource: s/out}\nsteps:\n  s: {run: t.cwl, in: {x: a}, out: [out]}\n";
    let document = loaded(&[("w.cwl", workflow), ("t.cwl", TOOL)]);
    let step = &document.processes["file:///w.cwl"].get("steps").and_then(Node::as_list).expect("steps")[0];
    assert_eq!(step.get("run").and_then(Node::as_str), Some("file:///t.cwl"));
    let input = &step.get("in").and_then(Node::as_list).expect("in")[0];
    assert_eq!(input.get("source").and_then(Node::as_str), Some("file:///w.cwl#a"));
    assert_eq!(
        step.get("out").and_then(Node::as_list).expect("out")[0].as_str(),
        Some("file:///w.cwl#s/out")
    );
    assert_eq!(document.processes.len(), 2);
}

#[test]
fn a_graph_has_a_main() {
    let graph = "cwlVersion: v1.2\n$graph:\n- {class: CommandLineTool, id: t, baseCommand: a, inputs: [], outputs: []}\n- class: Workflow\n  id: main\n  inputs: []\n  outputs: []\n  steps: [{id: s, run: '#t', in: [], out: []}]\n";
    assert_eq!(loaded(&[("g.cwl", graph)]).main, "file:///g.cwl#main");
    assert_eq!(codes(&[("g.cwl", &graph.replace("id: main", "id: other"))]), [("no-main", 0)]);
}

#[test]
fn all_faults_are_told_at_once() {
    let text = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseComand: echo\ninputs: {x: strin}\noutputs: 5\nstdin: [a]\n";
    assert_eq!(
        codes(&[("t.cwl", text)]),
        [("unknown-field", 3), ("invalid-type", 5), ("invalid-type", 6), ("unknown-type", 4)]
    );
}

#[test]
fn later_syntax_in_earlier_versions_is_refused() {
    let resources = TOOL.replace("v1.2", "v1.1") + "requirements: {ResourceRequirement: {coresMin: .5}}\n";
    assert_eq!(codes(&[("t.cwl", &resources)]), [("invalid-type", 6)]);
    let secondary =
        TOOL.replace("v1.2", "v1.0").replace("string?", "{type: File, secondaryFiles: {pattern: .x}}");
    assert_eq!(codes(&[("t.cwl", &secondary)]), [("invalid-type", 4)]);
}

#[test]
fn what_runs_itself_is_refused() {
    let workflow = |run: &str| {
        format!(
            "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: [{{id: s, run: {run}, in: [], out: []}}]\n"
        )
    };
    assert_eq!(codes(&[("a.cwl", &workflow("b.cwl")), ("b.cwl", &workflow("a.cwl"))]), [("run-cycle", 5)]);
    let graph = "{cwlVersion: v1.2, $graph: [\n{class: Workflow, id: main, inputs: [], outputs: [],\nsteps: [{id: s, run: '#main', in: [], out: []}]}]}";
    let found = faults(graph);
    assert_eq!(found, "error run-cycle 3: a workflow cannot run itself: main → main");
}

#[test]
fn missing_texts_name_the_line_that_names_them() {
    let workflow = "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: [{id: s, run: gone.cwl, in: [], out: []}]\n";
    assert_eq!(codes(&[("w.cwl", workflow)]), [("unreadable", 5)]);
}

#[test]
fn imports_includes_and_mixins_are_resolved() {
    let tool = "cwlVersion: v1.2\nclass: CommandLineTool\nrequirements:\n  InlineJavascriptRequirement: {expressionLib: [{$include: lib.js}]}\n  SchemaDefRequirement: {types: [{$import: types.yml}]}\nbaseCommand: a\ninputs:\n  x: types.yml#T\n  y: {$mixin: y.yml, default: later}\noutputs: []\n";
    let document = loaded(&[
        ("t.cwl", tool),
        ("lib.js", "var a = 1;"),
        ("types.yml", "name: T\ntype: enum\nsymbols: [a, b]\n"),
        ("y.yml", "type: string\ndefault: first\n"),
    ]);
    assert!(document.types.contains_key("file:///types.yml#T"));
    let tool = &document.processes["file:///t.cwl"];
    let inputs = tool.get("inputs").and_then(Node::as_list).expect("inputs");
    assert_eq!(inputs[0].get("type").and_then(Node::as_str), Some("file:///types.yml#T"));
    assert_eq!(inputs[1].get("default").and_then(Node::as_str), Some("later"));
}

#[test]
fn files_in_defaults_have_absolute_locations() {
    let tool = TOOL.replace("string?", "{type: File, default: {class: File, path: 'a b#1.txt'}}");
    let document = loaded(&[("d/t.cwl", &tool)]);
    let input =
        &document.processes["file:///d/t.cwl"].get("inputs").and_then(Node::as_list).expect("inputs")[0];
    let location = input.get("default").and_then(|file| file.get("location")).and_then(Node::as_str);
    assert_eq!(location, Some("file:///d/a%20b%231.txt"));
}

#[test]
fn extensions_fields_and_unknown_hints_pass() {
    let tool =
        TOOL.to_owned() + "s:author: me\n$namespaces: {s: 'http://schema.org/'}\nhints: {foo:Bar: {x: 1}}\n";
    assert_eq!(codes(&[("t.cwl", &tool)]), []);
}
