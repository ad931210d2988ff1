use std::sync::Arc;

use super::convert;
use crate::parameter::{LinkTarget, LoadListing, Stream};
use crate::process::{LoopOutput, Process, Version};
use crate::test_support::{describe, document, faults, load_text, load_texts, loaded, tool, workflow};
use crate::type_name::type_name;
use crate::types::Type;

const TOOL: &str = "cwlVersion: v1.2\nclass: CommandLineTool\n";

#[test]
fn stream_shortcuts_become_files_with_bindings() {
    let tool = tool(
        "{cwlVersion: v1.2, class: CommandLineTool, inputs: {in_: stdin}, stderr: err.txt,
          outputs: {out: stdout, err: stderr}}",
    );
    assert_eq!(tool.stdin.as_ref().map(|t| &*t.text), Some("$(inputs.in_.path)"));
    assert!(tool.common.inputs[0].type_ == Type::File && tool.common.inputs[0].streamable);
    assert_eq!(tool.stderr.as_ref().map(|t| &*t.text), Some("err.txt"));
    for (output, stream, name) in
        [(0, Stream::Stdout, tool.stdout.as_ref()), (1, Stream::Stderr, tool.stderr.as_ref())]
    {
        let output = &tool.common.outputs[output];
        let glob = output.binding.as_ref().map(|binding| binding.glob.as_slice());
        assert_eq!(output.stream, Some(stream));
        assert_eq!(glob, name.map(std::slice::from_ref));
    }
}

#[test]
fn a_nameless_stream_has_the_same_name_every_time() {
    let text = |command: &str| {
        format!(
            "{{cwlVersion: v1.2, class: CommandLineTool, baseCommand: {command}, inputs: [], outputs: {{o: stdout}}}}"
        )
    };
    let name = |text: &str| tool(text).stdout.clone().map(|t| t.text.to_string()).expect("a name");
    assert_eq!(name(&text("a")), name(&text("a")));
    assert_ne!(name(&text("a")), name(&text("b")));
    assert_eq!(name(&text("a")).len(), 40);
    assert!(tool(&format!("{TOOL}inputs: []\noutputs: []")).stdout.is_none());
}

#[test]
fn inputs_with_odd_names_can_be_stdin() {
    let tool = tool("{cwlVersion: v1.2, class: CommandLineTool, inputs: {in-1: stdin}, outputs: []}");
    assert_eq!(tool.stdin.as_ref().map(|t| &*t.text), Some("$(inputs[\"in-1\"].path)"));
}

#[test]
fn types_are_resolved_and_unions_are_flat() {
    let tool = tool(
        "{cwlVersion: v1.2, class: CommandLineTool, outputs: [], requirements: {SchemaDefRequirement: {types: [
            {name: Kind, type: enum, symbols: [x, y]},
            {name: Pair, type: record, fields: {a: '#Kind', b: '#Kind[]?'}}]}},
          inputs: {p: '#Pair[]', u: ['null', 'int?', {type: array, items: [string, 'null']}], o: File?}}",
    );
    let types: Vec<String> = tool.common.inputs.iter().map(|input| type_name(&input.type_)).collect();
    assert_eq!(types, ["record {a: enum {x, y}, b: enum {x, y}[]?}[]", "null | int | string?[]", "File?"]);
}

#[test]
fn a_process_that_many_steps_run_is_made_once() {
    let wf = "{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [],
        steps: {a: {run: t.cwl, in: [], out: []}, b: {run: t.cwl, in: [], out: []}}}";
    let loaded =
        load_texts(&[("main.cwl", wf), ("t.cwl", &format!("{TOOL}inputs: []\noutputs: []"))]).expect("loads");
    let Process::Workflow(workflow) = loaded.process else { panic!("no workflow") };
    match (&workflow.steps[0].run, &workflow.steps[1].run) {
        (Process::Tool(a), Process::Tool(b)) => assert!(Arc::ptr_eq(a, b)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn links_lead_to_inputs_and_outputs_of_steps() {
    let workflow = workflow(
        "{cwlVersion: v1.2, class: Workflow, inputs: {x: int, y: int}, outputs: {o: {type: int, outputSource: b/r}},
          steps: {
            a: {run: {class: ExpressionTool, inputs: {i: int}, outputs: {q: int, r: int}, expression: '$(0)'},
                in: {i: y}, out: [q, r]},
            b: {run: {class: ExpressionTool, inputs: {i: int}, outputs: {r: int}, expression: '$(0)'},
                in: {i: a/r}, out: [r]}}}",
    );
    let target = |step: usize| workflow.steps[step].inputs[0].source.links[0].target;
    assert_eq!(target(0), LinkTarget::Input(1));
    assert_eq!(target(1), LinkTarget::Step { step: 0, output: 1 });
    assert_eq!(workflow.common.outputs[0].source.links[0].target, LinkTarget::Step { step: 1, output: 0 });
}

#[test]
fn old_documents_keep_their_version() {
    let tool = tool(
        "{cwlVersion: v1.0, class: CommandLineTool, inputs: {d: {type: Directory, inputBinding: {loadContents: true}}}, outputs: []}",
    );
    assert_eq!(tool.common.version, Version::V1_0);
    assert!(tool.common.inputs[0].load_contents);
    assert_eq!(tool.common.inputs[0].load_listing, None::<LoadListing>);
}

#[test]
fn loops_of_both_spellings_are_one() {
    let run = "{class: ExpressionTool, inputs: {i: int}, outputs: {o: int}, expression: '$({o: inputs.i})'}";
    let requirements = "requirements: {InlineJavascriptRequirement: {}}";
    let new = format!(
        "{{cwlVersion: v1.3.0-dev1, class: Workflow, {requirements}, inputs: {{x: int}}, outputs: [],
          steps: {{s: {{run: {run}, in: {{i: x}}, out: [o], when: '$(inputs.i < 3)', loop: {{i: o}}, outputMethod: all_iterations}}}}}}"
    );
    let old = format!(
        "{{cwlVersion: v1.2, $namespaces: {{cwltool: 'http://commonwl.org/cwltool#'}}, class: Workflow, {requirements},
          inputs: {{x: int}}, outputs: [],
          steps: {{s: {{run: {run}, in: {{i: x}}, out: [o],
            requirements: {{cwltool:Loop: {{loopWhen: '$(inputs.i < 3)', loop: {{i: o}}, outputMethod: all}}}}}}}}}}"
    );
    for text in [new, old] {
        let workflow = workflow(&text);
        let step = &workflow.steps[0];
        let loop_ = step.loop_.as_ref().expect("a loop");
        assert!(step.when.is_none());
        assert_eq!(&*loop_.when.text, "$(inputs.i < 3)");
        assert_eq!(loop_.output, LoopOutput::All);
        let input = &loop_.inputs[0];
        assert_eq!((&*input.name, input.sources.len(), &*input.sources[0]), ("i", 1, "o"));
    }
}

#[test]
fn every_fault_is_told_with_its_line() {
    let step = |step: &str| {
        format!(
            "cwlVersion: v1.2
class: Workflow
requirements: {{ScatterFeatureRequirement: {{}}}}
inputs: {{x: 'int[]', y: int}}
outputs: []
steps:
  s:
    run: {{class: ExpressionTool, inputs: {{i: int, j: int?}}, outputs: {{o: int}}, expression: '$(0)'}}
{step}"
        )
    };
    for (text, expected) in [
        (step("    in: {i: y}\n    out: [p]"), "error undefined-output 10: the step `s` has no output `p`"),
        (
            step("    in: {j: y}\n    out: [o]"),
            "error missing-input 7: the step `s` does not give `i`, which its process needs",
        ),
        (
            step("    in: {i: x}\n    scatter: k\n    out: [o]"),
            "error undefined-scatter 10: `scatter` names `k`, which is no input of the step `s`",
        ),
        (
            step("    in: {i: x, j: x}\n    scatter: [i, j]\n    out: [o]"),
            "error no-scatter-method 10: the step `s` scatters several inputs and has no `scatterMethod`",
        ),
        (
            step("    in: {i: {}}\n    out: [o]"),
            "error no-value 9: the input `i` of the step `s` has no source, no default and no `valueFrom`",
        ),
        (
            format!("{TOOL}inputs: {{i: {{type: stdin, inputBinding: {{}}}}}}\noutputs: []"),
            "error stdin-binding 3: the input `i` of type `stdin` cannot have an `inputBinding`",
        ),
        (
            format!("{TOOL}inputs: {{i: stdin}}\nstdin: x\noutputs: []"),
            "error several-stdin 1: the tool has a `stdin` and an input `i` of type `stdin`",
        ),
        (
            format!("{TOOL}inputs: []\noutputs: {{i: {{type: stdout, outputBinding: {{}}}}}}"),
            "error stream-binding 4: the output `i` of a stream's type cannot have an `outputBinding`",
        ),
        (
            format!(
                "{TOOL}$namespaces: {{cwltool: 'http://commonwl.org/cwltool#'}}
requirements: {{cwltool:Loop: {{loopWhen: $(true), loop: {{}}, outputMethod: last}}}}\ninputs: []\noutputs: []"
            ),
            "error misplaced-loop 4: `cwltool:Loop` belongs to a step, not to a process",
        ),
        (
            format!(
                "{TOOL}$namespaces: {{cwltool: 'http://commonwl.org/cwltool#'}}
hints: {{cwltool:Secrets: {{secrets: [i, pasword]}}}}\ninputs: {{i: string}}\noutputs: []"
            ),
            "warning unknown-secret 4: `cwltool:Secrets` names `pasword`, which is no input: nothing is hidden",
        ),
        (
            format!("{TOOL}inputs: {{i: {{type: int, format: 'http://x/y'}}}}\noutputs: []"),
            "warning format-without-file 3: `format` is ignored: `i` holds no File",
        ),
    ] {
        let found = faults(&text);
        assert!(found.lines().any(|line| line == expected), "expected {expected}\nfound {found}\nin {text}");
    }
}

#[test]
fn a_workflow_that_runs_itself_is_refused() {
    let text = |run: &str| {
        format!(
            "{{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [], steps: {{s: {{run: {run}, in: [], out: []}}}}}}"
        )
    };
    let found = load_texts(&[("main.cwl", &text("other.cwl")), ("other.cwl", &text("main.cwl"))])
        .expect_err("a fault");
    assert!(describe(&found).contains("error"), "{found:?}");
}

#[test]
fn a_type_that_contains_itself_is_refused() {
    let text = "{cwlVersion: v1.2, class: CommandLineTool, inputs: {i: '#T'}, outputs: [],
        requirements: {SchemaDefRequirement: {types: [{name: T, type: record, fields: {a: '#T[]?'}}]}}}";
    assert!(
        faults(text).contains("error recursive-type 2: the type `T` contains itself"),
        "{}",
        faults(text)
    );
    let mutual = "{cwlVersion: v1.2, class: CommandLineTool, inputs: {i: '#A'}, outputs: [],
        requirements: {SchemaDefRequirement: {types: [{name: A, type: record, fields: {b: '#B'}},
        {name: B, type: record, fields: {a: '#A?'}}]}}}";
    assert!(faults(mutual).contains("error recursive-type"), "{}", faults(mutual));
}

#[test]
fn deep_types_are_refused_and_do_no_harm() {
    let nested = |depth: usize| {
        let open = "{type: array, items: ".repeat(depth);
        format!(
            "{{cwlVersion: v1.2, class: CommandLineTool, inputs: {{i: {{type: {open}int{}}}}}, outputs: []}}",
            "}".repeat(depth)
        )
    };
    assert!(load_text(&nested(20)).is_ok());
    assert!(load_text(&nested(400)).is_err());
}

#[test]
fn types_that_name_each_other_often_cost_little() {
    let mut types = String::from("{name: T0, type: record, fields: {a: int}}");
    for n in 1..30 {
        types.push_str(&format!(
            ", {{name: T{n}, type: record, fields: {{a: '#T{}', b: '#T{}'}}}}",
            n - 1,
            n - 1
        ));
    }
    let text = format!(
        "{{cwlVersion: v1.2, class: Workflow, inputs: {{i: '#T29'}}, outputs: {{o: {{type: '#T29', outputSource: i}}}}, steps: [],
          requirements: {{SchemaDefRequirement: {{types: [{types}]}}}}}}"
    );
    let loaded = loaded(&text);
    assert!(crate::pack::pack(&loaded.document).len() < 100_000_000);
}

#[test]
fn every_field_is_read() {
    let text = "{cwlVersion: v1.2, class: CommandLineTool, id: t, label: l, doc: [a, b], baseCommand: [a], arguments: [x, {valueFrom: y, position: 1}],
        stdin: i, stdout: o, stderr: e, successCodes: [0], temporaryFailCodes: [1], permanentFailCodes: [2],
        inputs: {a: {type: {type: array, items: File, inputBinding: {prefix: -x}}, label: l, doc: d, secondaryFiles: [.a, .b?], streamable: true,
                     format: 'http://x/y', loadContents: false, loadListing: no_listing, default: [],
                     inputBinding: {position: 1, prefix: p, separate: false, itemSeparator: ',', valueFrom: v, shellQuote: false}}},
        outputs: {o: {type: File, outputBinding: {glob: ['*'], loadContents: true, loadListing: deep_listing, outputEval: '$(self)'}, format: 'http://x/y'}},
        requirements: {ShellCommandRequirement: {}, DockerRequirement: {dockerPull: a, dockerOutputDirectory: /x},
          EnvVarRequirement: {envDef: {A: b}}, InitialWorkDirRequirement: {listing: [{entry: a, entryname: b, writable: true}, '$(inputs.a)', null]},
          ResourceRequirement: {coresMin: 1.5, ramMax: '$(1)'}, SoftwareRequirement: {packages: {p: {version: ['1'], specs: [s]}}},
          ToolTimeLimit: {timelimit: 1}, WorkReuse: {enableReuse: false}, NetworkAccess: {networkAccess: true},
          InplaceUpdateRequirement: {inplaceUpdate: true}, LoadListingRequirement: {loadListing: shallow_listing}}}";
    let conversion = convert(&document(text));
    assert!(conversion.unread.is_empty(), "{:?}", conversion.unread);
    let [Process::Tool(tool)] = conversion.processes.as_slice() else { panic!("no tool") };
    assert_eq!(tool.common.doc.as_deref(), Some("a\nb"));
    assert_eq!(tool.common.requirements.required.len(), 11);
    assert_eq!(tool.common.inputs[0].secondary_files.len(), 2);
}

#[test]
fn long_chains_of_workflows_are_refused_and_do_no_harm() {
    let chain = |length: usize| {
        let member = |n: usize| {
            format!(
                "{{class: Workflow, id: w{n}, inputs: [], outputs: [], requirements: {{SubworkflowFeatureRequirement: {{}}}},
                  steps: {{s: {{run: '#w{}', in: [], out: []}}}}}}",
                n + 1
            )
        };
        let members: Vec<String> = (0..length).map(member).collect();
        let text = format!(
            "{{cwlVersion: v1.2, $graph: [{}, {{class: Operation, id: w{length}, inputs: [], outputs: []}}]}}",
            members.join(", ")
        );
        faults(&text.replace("id: w0,", "id: main,"))
    };
    assert_eq!(chain(50), "");
    assert!(chain(300).contains("error too-deep"), "{}", chain(300));
}

#[test]
fn loops_name_inputs_and_outputs_of_their_step() {
    let text = "cwlVersion: v1.3.0-dev1
class: Workflow
inputs: {x: int}
outputs: []
steps:
  s:
    run: {class: Operation, inputs: {i: int}, outputs: {o: int}}
    in: {i: x}
    out: [o]
    when: $(true)
    loop: {j: o}
";
    let message = "undefined-loop-input";
    assert!(faults(text).contains(message), "{}", faults(text));
}
