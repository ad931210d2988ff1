use super::*;
use crate::inherit::Inherited;
use crate::test_support::{self, load_texts};

/// The tool and its own requirements, each part on a line.
fn canonical(text: &str) -> String {
    let tool = test_support::tool(text);
    let effective = Inherited::default().enter(&tool.common.requirements).effective(tool.common.version);
    let mut lines = vec![super::tool(&tool).expect("not endless")];
    lines.extend(requirements(&effective).into_iter().map(|(class, text)| format!("{class} {text}")));
    lines.join("\n")
}

/// A tool of v1.2 with these fields; `inputs` and `outputs` are given if it has none of its own.
fn whole(fields: &str) -> String {
    let given = |field: &str| if fields.contains(field) { String::new() } else { format!("{field} [], ") };
    format!("{{cwlVersion: v1.2, class: CommandLineTool, {}{}{fields}}}", given("inputs:"), given("outputs:"))
}

#[test]
fn the_text_has_what_counts_and_nothing_else() {
    let text = canonical(
        "{class: CommandLineTool, doc: d, label: l, cwlVersion: v1.2, s:author: me, $namespaces: {s: 'http://s/'},
          hints: [{class: 's:Unknown'}, {class: WorkReuse, enableReuse: true}, {class: ToolTimeLimit, timelimit: 3}],
          inputs: {i: {type: int, doc: x, default: 3, streamable: false}}, outputs: {o: stdout}, stdout: y, baseCommand: x}",
    );
    assert_eq!(
        text,
        r#"{"cwlVersion":"v1.2","baseCommand":["x"],"stdout":"y","inputs":[{"name":"i","type":"int"}],"outputs":[{"name":"o","type":"File","stream":"stdout"}]}"#
    );
}

#[test]
fn what_means_the_same_is_the_same() {
    let cases = [
        ("baseCommand: x", "baseCommand: [x]"),
        ("baseCommand: x, successCodes: [1, 2, 1]", "successCodes: [2, 1], doc: d, baseCommand: x"),
        ("inputs: {a: 'File[]?'}", "inputs: [{id: a, type: ['null', {type: array, items: File}], label: l}]"),
        ("inputs: {a: [File, 'null']}", "inputs: {a: 'File?'}"),
        ("inputs: {a: {type: [int]}}", "inputs: {a: int}"),
        ("inputs: {a: {type: int, default: 3}}", "inputs: {a: {type: int, default: 4}}"),
        (
            "inputs: {a: {type: File, secondaryFiles: .x, format: 'http://f'}}",
            "inputs: {a: {type: File, secondaryFiles: [{pattern: .y}], streamable: true}}",
        ),
        (
            "outputs: {o: {type: File, outputBinding: {glob: a}}}",
            "outputs: [{id: o, type: File, outputBinding: {glob: [a]}}]",
        ),
        (
            "outputs: {o: {type: File, secondaryFiles: .x}}",
            "outputs: {o: {type: File, secondaryFiles: [{pattern: .x, required: false}]}}",
        ),
        ("outputs: {o: stdout}", "id: other, outputs: [{id: o, type: stdout}]"),
        ("arguments: [x]", "arguments: [{valueFrom: x, position: 0, separate: true}]"),
        (
            "requirements: {EnvVarRequirement: {envDef: {A: '1', B: '2'}}}",
            "hints: [{class: EnvVarRequirement, envDef: [{envName: B, envValue: '2'}, {envName: A, envValue: '1'}]}]",
        ),
        (
            "requirements: {ShellCommandRequirement: {}, InlineJavascriptRequirement: {}}",
            "requirements: [{class: InlineJavascriptRequirement}, {class: ShellCommandRequirement}]",
        ),
        (
            "requirements: {ResourceRequirement: {ramMin: 1}}",
            "requirements: {ResourceRequirement: {ramMin: 2}, NetworkAccess: {networkAccess: true}}",
        ),
        (
            "inputs: {a: '#T'}, requirements: {SchemaDefRequirement: {types: [{name: T, type: enum, symbols: [x, y]}]}}",
            "inputs: {a: {type: {type: enum, name: U, symbols: [x, y]}}}",
        ),
    ];
    for (one, other) in cases {
        assert_eq!(canonical(&whole(one)), canonical(&whole(other)), "{one} | {other}");
    }
}

#[test]
fn what_means_something_else_is_something_else() {
    let cases = [
        ("baseCommand: [a b]", "baseCommand: [a, b]"),
        ("arguments: [x]", "arguments: [{valueFrom: x, shellQuote: false}]"),
        ("arguments: [x]", "arguments: [{valueFrom: x, position: 1}]"),
        ("stdout: x", "stderr: x"),
        ("successCodes: [1]", "temporaryFailCodes: [1]"),
        ("inputs: {a: int, b: int}", "inputs: {b: int, a: int}"),
        ("inputs: {a: int}", "inputs: {a: long}"),
        ("inputs: {a: [int, string]}", "inputs: {a: [string, int]}"),
        ("inputs: {a: int}", "inputs: {a: {type: int, inputBinding: {}}}"),
        (
            "inputs: {a: {type: int, inputBinding: {position: 1}}}",
            "inputs: {a: {type: int, inputBinding: {position: $(1)}}}",
        ),
        ("inputs: {a: {type: File, loadContents: true}}", "inputs: {a: File}"),
        (
            "inputs: {a: {type: {type: record, fields: {f: {type: int, inputBinding: {prefix: -x}}}}}}",
            "inputs: {a: {type: {type: record, fields: {f: {type: int, inputBinding: {prefix: -y}}}}}}",
        ),
        ("outputs: {o: stdout}, stdout: x", "outputs: {o: stdout}, stdout: y"),
        ("outputs: {o: stdout}", "outputs: {o: stderr}"),
        (
            "outputs: {o: {type: File, secondaryFiles: .x}}",
            "outputs: {o: {type: File, secondaryFiles: [{pattern: .x, required: true}]}}",
        ),
        ("outputs: {o: {type: File, format: 'http://f'}}", "outputs: {o: File}"),
        (
            "outputs: {o: {type: File, outputBinding: {glob: a, outputEval: $(self)}}}",
            "outputs: {o: {type: File, outputBinding: {glob: a}}}",
        ),
        ("requirements: {ShellCommandRequirement: {}}", "doc: none"),
        (
            "requirements: {InlineJavascriptRequirement: {}}",
            "requirements: {InlineJavascriptRequirement: {expressionLib: [x = 1]}}",
        ),
        (
            "hints: {SoftwareRequirement: {packages: {p: {version: ['1']}}}}",
            "hints: {SoftwareRequirement: {packages: {p: {version: ['2']}}}}",
        ),
        (
            "requirements: {InitialWorkDirRequirement: {listing: [{entry: a, entryname: b}]}}",
            "requirements: {InitialWorkDirRequirement: {listing: [{entry: a, entryname: b, writable: true}]}}",
        ),
        (
            "requirements: {DockerRequirement: {dockerPull: a, dockerOutputDirectory: /x}}",
            "requirements: {DockerRequirement: {dockerPull: a}}",
        ),
        (
            "requirements: {LoadListingRequirement: {loadListing: deep_listing}}",
            "requirements: {LoadListingRequirement: {loadListing: no_listing}}",
        ),
    ];
    for (one, other) in cases {
        assert_ne!(canonical(&whole(one)), canonical(&whole(other)), "{one} | {other}");
    }
    let old = whole("doc: none").replace("v1.2", "v1.1");
    assert_ne!(canonical(&old), canonical(&whole("doc: none")), "versions mean different things");
}

#[test]
fn the_name_of_a_stream_depends_neither_on_the_place_nor_on_the_layout_of_the_document() {
    let name = |file: &str, text: &str| {
        let main = format!(
            "{{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [], steps: {{s: {{run: {file}, in: [], out: []}}}}}}"
        );
        let loaded = load_texts(&[("main.cwl", main.as_str()), (file, text)]);
        let crate::process::Process::Workflow(workflow) = loaded.expect("no faults").process else {
            panic!("no workflow")
        };
        let crate::process::Process::Tool(tool) = &workflow.steps[0].run else { panic!("no tool") };
        let (Some(stdout), Some(glob)) = (&tool.stdout, &tool.common.outputs[0].binding) else {
            panic!("no stream")
        };
        assert_eq!((stdout, stdout.text.len()), (&glob.glob[0], 40));
        stdout.text.clone()
    };
    let one = name("a.cwl", &whole("outputs: {o: stdout}, baseCommand: x"));
    let other = name("b/c.cwl", &whole("baseCommand: [x], label: l, outputs: [{type: stdout, id: o}]"));
    assert_eq!(one, other);
    assert_ne!(one, name("a.cwl", &whole("outputs: {o: stdout}, baseCommand: y")));
}

#[test]
fn types_without_end_have_no_text() {
    let mut tool = (*test_support::tool(&whole("inputs: {a: int}"))).clone();
    tool.common.inputs[0].type_ = (0..90).fold(Type::Int, |type_, _| {
        Type::Union(std::sync::Arc::new(vec![type_.clone().array_of(), type_, Type::Null]))
    });
    assert_eq!(super::tool(&tool), None);
}

#[test]
fn named_files_are_found() {
    let text = whole(
        "requirements: {InitialWorkDirRequirement: {listing: [{class: File, location: 'file:///a'}, $(inputs), null]}}",
    );
    let tool = test_support::tool(&text);
    let effective = Inherited::default().enter(&tool.common.requirements).effective(Version::V1_2);
    assert!(matches!(named_files(&effective)[..], [Value::File(_)]));
    assert!(
        canonical(&text).ends_with(r#"InitialWorkDirRequirement [true,"$(inputs)",null]"#),
        "{}",
        canonical(&text)
    );
}
