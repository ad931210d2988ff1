//! `cwltool:ProcessGenerator`: what is generated runs, and its faults are told like those of any document.

use super::sandbox::Sandbox;

/// Writes the document that it gets, which is then run.
const GENERATOR: &str = "
cwlVersion: v1.2
$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}
class: cwltool:ProcessGenerator
inputs: {document: string}
outputs: []
run:
  class: CommandLineTool
  baseCommand: [printf, '%s']
  inputs: {document: {type: string, inputBinding: {}}}
  outputs: {runProcess: {type: File, outputBinding: {glob: made.cwl}}}
  stdout: made.cwl
";

const TOOL: &str = "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs: {text: {type: string, inputBinding: {}}}
outputs: {out: stdout}
stdout: out.txt
";

#[test]
fn a_generated_tool_gets_the_inputs_that_are_left() {
    let sandbox = Sandbox::with(GENERATOR);
    let outputs = sandbox.outputs(&["main.cwl", "--text", "hello", "--document", TOOL]);
    assert_eq!(outputs["out"]["basename"], "out.txt");
    assert_eq!(sandbox.read("out.txt"), "hello\n");
}

#[test]
fn a_generated_workflow_is_a_step_like_any_other() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}}
inputs: {document: string, texts: 'string[]'}
outputs: {sizes: {type: Any, outputSource: make/size}}
steps:
  make: {run: generator.cwl, in: {document: document, text: texts}, scatter: text, out: [size]}
",
    );
    let generator =
        GENERATOR.replace("inputs: {document: string}", "inputs: {document: string, text: string}");
    sandbox.write("generator.cwl", generator);
    // Of the features that it needs, one is stated around it.
    let workflow = "
cwlVersion: v1.2
class: Workflow
inputs: {text: string}
outputs: {size: {type: int, outputSource: count/size}}
steps:
  say:
    run: {class: Workflow, inputs: {t: string}, outputs: {out: {type: File, outputSource: say/out}},
          steps: {say: {run: TOOL, in: {text: t}, out: [out]}}}
    in: {t: text}
    out: [out]
  count:
    run: {class: ExpressionTool, requirements: {InlineJavascriptRequirement: {}}, inputs: {f: File}, outputs: {size: int},
          expression: '$({size: inputs.f.size})'}
    in: {f: say/out}
    out: [size]
"
    .replace("TOOL", &format!("{{{}}}", TOOL.trim().replace('\n', ", ")));
    let job = serde_json::json!({"document": workflow, "texts": ["a", "bcd"]});
    sandbox.write("job.json", job.to_string());
    assert_eq!(sandbox.outputs(&["main.cwl", "job.json"])["sizes"], serde_json::json!([2, 4]));
}

#[test]
fn an_expression_can_be_a_generator() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: cwltool:ProcessGenerator
inputs: {text: string}
outputs: []
run:
  class: ExpressionTool
  requirements: {InlineJavascriptRequirement: {}}
  inputs: {text: string}
  outputs: {runProcess: File, runInputs: Any}
  expression: |
    ${ return {
      runProcess: {class: 'File', basename: 'made.cwl', contents: 'cwlVersion: v1.2\\n$graph: [{id: main, class: Workflow, ' +
        'inputs: {x: string}, outputs: {out: {type: File, outputSource: s/out}}, ' +
        'steps: {s: {run: tool.cwl, in: {text: x}, out: [out]}}}]'},
      runInputs: {x: inputs.text + '!'}}; }
",
    );
    // What a document of an expression names is beside the generator.
    sandbox.write("tool.cwl", TOOL);
    sandbox.outputs(&["main.cwl", "--text", "hello"]);
    assert_eq!(sandbox.read("out.txt"), "hello!\n");
}

#[test]
fn what_stands_beside_a_generated_document_is_kept() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: cwltool:ProcessGenerator
inputs: {text: string}
outputs: []
run:
  class: CommandLineTool
  requirements: {ShellCommandRequirement: {}}
  inputs: {tool: File}
  baseCommand: []
  arguments:
    - shellQuote: false
      valueFrom: |
        cp $(inputs.tool.path) tool.cwl && echo '{cwlVersion: v1.2, class: Workflow, inputs: {text: string},
        outputs: {out: {type: File, outputSource: s/out}}, steps: {s: {run: tool.cwl, in: {text: text}, out: [out]}}}' > made.cwl
  outputs: {runProcess: {type: File, outputBinding: {glob: made.cwl}}}
",
    );
    sandbox.write("source.cwl", TOOL);
    sandbox.write("job.json", r#"{"tool": {"class": "File", "path": "source.cwl"}, "text": "beside"}"#);
    sandbox.outputs(&["main.cwl", "job.json"]);
    assert_eq!(sandbox.read("out.txt"), "beside\n");
}

#[test]
fn faults_of_a_generated_document_are_told_with_their_places() {
    let sandbox = Sandbox::with(GENERATOR);
    let check = |document: &str, words: &[&str]| {
        let told = sandbox.failure(&["main.cwl", "--text", "x", "--document", document]);
        for words in words {
            assert!(told.contains(words), "{words} in {told}");
        }
    };
    let twice = TOOL.replace("echo", "echo\nbaseComand: x").replace("stdout}", "nothing}");
    let place = "/made.cwl:5:1: error: ";
    check(
        &twice,
        &[
            "step main.cwl failed",
            place,
            "[unknown-field]",
            "5 | baseComand: x",
            "/made.cwl:7:",
            "/main.cwl:",
        ],
    );
    check("[", &["/made.cwl:", "error: "]);
    check("no: process", &["[missing-field]"]);
    check(&TOOL.replace("{type: string", "{type: int"), &["generated failed", "input text", "/made.cwl:5:"]);
}

#[test]
fn a_generator_that_makes_itself_ends() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: cwltool:ProcessGenerator
inputs: {itself: File}
outputs: []
run:
  class: ExpressionTool
  requirements: {InlineJavascriptRequirement: {}}
  inputs: {itself: File}
  outputs: {runProcess: File, runInputs: Any}
  expression: '$({runProcess: inputs.itself, runInputs: {itself: inputs.itself}})'
",
    );
    let told = sandbox.failure(&["main.cwl", "--itself", "main.cwl"]);
    assert!(told.contains("processes have generated each other 10 times"), "{told}");
}
