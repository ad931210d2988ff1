//! What authors are told about their slips: what is wrong, where, and what was meant. Each slip is told
//! once, and what follows from it is not told.

use crate::test_support::load_texts;

const TOOL: &str = "\
cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs:
  x:
    type: string
    inputBinding: {position: 1}
outputs:
  o: stdout
";

const WORKFLOW: &str = "\
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
inputs:
  names: string[]
  file: File
outputs:
  out:
    type: File[]
    outputSource: greet/o
steps:
  greet:
    run: tool.cwl
    scatter: x
    in: {x: names}
    out: [o]
";

/// All that is told about `main.cwl`, one a line: `LINE:COLUMN CODE: MESSAGE (HINT)`.
fn told(text: &str) -> String {
    let faults = load_texts(&[("main.cwl", text), ("tool.cwl", TOOL)])
        .map_or_else(|faults| faults, |loaded| loaded.warnings);
    let lines = faults.iter().map(|fault| {
        let place = fault.place.as_ref().map(|place| format!("{}:{}", place.line, place.column));
        let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{} {}: {}{hint}", place.unwrap_or_default(), fault.code, fault.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn check(base: &str, slips: &[(&str, &str, &str)]) {
    assert_eq!(told(base), "");
    let mut wrong = String::new();
    for (right, slip, expected) in slips {
        assert!(base.contains(right), "{right}");
        let found = told(&base.replacen(right, slip, 1));
        if found != *expected {
            wrong += &format!("{right:?} as {slip:?}:\n{found}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn slips_in_tools() {
    check(
        TOOL,
        &[
            (
                "class: CommandLineTool\n",
                "",
                "1:1 missing-field: Process has no `class`; it must be one of `CommandLineTool`, `ExpressionTool`, `Operation`, `Workflow` (add `class: CommandLineTool` if that is what it is)",
            ),
            (
                "CommandLineTool",
                "CommandlineTool",
                "2:8 unknown-class: `class` of Process must be one of `CommandLineTool`, `ExpressionTool`, `Operation`, `Workflow`, not the string \"CommandlineTool\" (did you mean `CommandLineTool`?)",
            ),
            (
                "CommandLineTool",
                "Tool",
                "2:8 unknown-class: `class` of Process must be one of `CommandLineTool`, `ExpressionTool`, `Operation`, `Workflow`, not the string \"Tool\" (did you mean `CommandLineTool`?)",
            ),
            (
                "class:",
                "clas:",
                "2:1 unknown-field: CommandLineTool has no field `clas` (did you mean `class`?)",
            ),
            (
                "cwlVersion: v1.2\n",
                "",
                "1:1 missing-field: the document has no `cwlVersion` (add `cwlVersion: v1.2`)",
            ),
            (
                "v1.2",
                "1.2",
                "1:13 unknown-version: the number 1.2 is not a version of CWL that moil knows (v1.0, v1.1 and v1.2 are supported; cwl-upgrader converts older documents)",
            ),
            (
                "v1.2",
                "draft-3",
                "1:13 unknown-version: the string \"draft-3\" is not a version of CWL that moil knows (v1.0, v1.1 and v1.2 are supported; cwl-upgrader converts older documents)",
            ),
            (
                "baseCommand",
                "basecommand",
                "3:1 unknown-field: CommandLineTool has no field `basecommand` (did you mean `baseCommand`?)",
            ),
            (
                "baseCommand: echo",
                "baseCommand echo",
                "3:1 syntax: not valid YAML: simple key expected ':' (a key ends with `: `)",
            ),
            (
                "baseCommand: echo",
                "baseCommand: {{cmd}}",
                "3:15 complex-key: the key of a mapping must be a string (a text that begins with `{` or `[` must be in quotes)",
            ),
            ("echo", "\"echo", "3:14 syntax: not valid YAML: unclosed quote"),
            (
                "echo",
                "@echo",
                "3:14 syntax: not valid YAML: unexpected character: `@' (put the text in quotes: YAML keeps this character for itself)",
            ),
            (
                "inputs:\n  x:\n    type: string\n    inputBinding: {position: 1}",
                "inputs: x",
                "4:9 invalid-type: `inputs` of CommandLineTool must be a mapping or a list of mappings (CommandInputParameter), not the string \"x\"",
            ),
            (
                "    inputBinding",
                "   inputBinding",
                "7:4 syntax: not valid YAML: while parsing a block mapping, did not find expected key (indent the line as the other keys of its mapping; a key ends with `: `)",
            ),
            (
                "    type",
                "\ttype",
                "6:2 syntax: not valid YAML: tabs disallowed within this context (block indentation) (indent with spaces: YAML takes no tabs there)",
            ),
            (
                "outputs:\n  o: stdout\n",
                "",
                "1:1 missing-field: CommandLineTool has no `outputs` (add `outputs: []` if there are none)",
            ),
            (
                "outputs:",
                "ouputs:",
                "8:1 unknown-field: CommandLineTool has no field `ouputs` (did you mean `outputs`?)",
            ),
            ("outputs:", "inputs: []\noutputs:", "8:1 duplicate-key: the key \"inputs\" stands here again"),
            (
                "type: string",
                "type: file",
                "6:11 unknown-type: there is no type called `file` (did you mean `File`?)",
            ),
            (
                "type: string",
                "type: string[",
                "6:11 unknown-type: there is no type called `string[` (did you mean `string[]`?)",
            ),
            (
                "type: string",
                "type: string[]]?",
                "6:11 unknown-type: there is no type called `string[]]?` (did you mean `string[]?`?)",
            ),
            (
                "type: string",
                "type: [string, nul]",
                "6:20 unknown-type: there is no type called `nul` (did you mean `null`?)",
            ),
            ("type: string", "type: list", "6:11 unknown-type: there is no type called `list`"),
            (
                "type: string",
                "tpye: string",
                "6:5 unknown-field: CommandInputParameter has no field `tpye` (did you mean `type`?)",
            ),
            (
                "type: string",
                "type: array\n    items: string",
                "6:11 invalid-type: `array` is no type by itself: it is a mapping that says more (write `type: {type: array, items: …}`)",
            ),
            (
                "type: string",
                "type: array",
                "6:11 invalid-type: `array` is no type by itself: it is a mapping that says more (write `type: {type: array, items: …}`)",
            ),
            ("type: string", "type: {type: array}", "6:11 missing-field: CommandInputArray has no `items`"),
            (
                "type: string",
                "type: enum\n    symbols: [a]",
                "6:11 invalid-type: `enum` is no type by itself: it is a mapping that says more (write `type: {type: enum, symbols: …}`)",
            ),
            (
                "type: string",
                "type: {type: Array, items: int}",
                "6:18 unknown-class: `type` of `type` of CommandInputParameter must be one of `array`, `enum`, `record`, not the string \"Array\" (did you mean `array`?)",
            ),
            (
                "type: string",
                "type: {items: int}",
                "6:11 missing-field: `type` of CommandInputParameter has no `type`; it must be one of `array`, `enum`, `record` (add `type: array` if that is what it is)",
            ),
            (
                "    inputBinding: {position: 1}",
                "    position: 1",
                "7:5 unknown-field: CommandInputParameter has no field `position` (`position` belongs into `inputBinding`)",
            ),
            (
                "position: 1",
                "position: one",
                "7:30 invalid-type: `position` of CommandLineBinding must be a whole number of 32 bits or an expression, not the string \"one\"",
            ),
            (
                "position: 1",
                "position: $(inputs.x",
                "7:30 unfinished-expression: $(inputs.x does not end: a bracket or quote is not closed",
            ),
            (
                "{position: 1}",
                "{valueFrom: '$(inputs.x'}",
                "7:31 unfinished-expression: $(inputs.x does not end: a bracket or quote is not closed",
            ),
            (
                "{position: 1}",
                "{valueFrom: '${return 1;}'}",
                "7:31 invalid-expression: ${return 1;} is not a parameter reference (JavaScript needs InlineJavascriptRequirement)",
            ),
            (
                "{position: 1}",
                "{valueFrom: $(input.x)}",
                "7:31 invalid-expression: $(input.x) is not a parameter reference (did you mean `inputs`?)",
            ),
            (
                "{position: 1}",
                "{valueFrom: $(inputs.y)}",
                "7:31 undefined-input: $(inputs.y) names `y`, which is no input here (did you mean `x`?)",
            ),
            (
                "o: stdout",
                "o: {type: File, glob: x}",
                "9:19 unknown-field: CommandOutputParameter has no field `glob` (`glob` belongs into `outputBinding`)",
            ),
            (
                "o: stdout",
                "o: {type: File, outputbinding: {glob: x}}",
                "9:19 unknown-field: CommandOutputParameter has no field `outputbinding` (did you mean `outputBinding`?)",
            ),
            (
                "o: stdout",
                "o: {type: File, outputBinding: {glob: [[x]]}}",
                "9:42 invalid-type: `glob` of CommandOutputBinding must be a string, not a list",
            ),
            (
                "outputs:",
                "stdot: x\noutputs:",
                "8:1 unknown-field: CommandLineTool has no field `stdot` (did you mean `stdout`?)",
            ),
            (
                "outputs:",
                "arguments: -n\noutputs:",
                "8:12 invalid-type: `arguments` of CommandLineTool must be a list of strings or mappings (CommandLineBinding), not the string \"-n\" (put it in a list: `[…]`)",
            ),
            (
                "outputs:",
                "requirements: {DockerRequirement: {dockerPul: x}}\noutputs:",
                "8:36 unknown-field: DockerRequirement has no field `dockerPul` (did you mean `dockerPull`?)",
            ),
            (
                "outputs:",
                "requirements: {DokerRequirement: {dockerPull: x}}\noutputs:",
                "8:16 unknown-class: `DokerRequirement` is no `class` of `requirements` of CommandLineTool (did you mean `DockerRequirement`?)",
            ),
            (
                "outputs:",
                "requirements: [DockerRequirement]\noutputs:",
                "8:16 invalid-type: `requirements` of CommandLineTool must be a mapping (Requirement), not the string \"DockerRequirement\" (write `class: DockerRequirement`)",
            ),
            (
                "outputs:",
                "hints: {DokerRequirement: {dockerPull: x}}\noutputs:",
                "8:9 unknown-class: moil does not know `DokerRequirement` (did you mean `DockerRequirement`?)",
            ),
            (
                "outputs:",
                "successCodes: 0\noutputs:",
                "8:15 invalid-type: `successCodes` of CommandLineTool must be a list of whole numbers of 32 bits, not the number 0 (put it in a list: `[…]`)",
            ),
        ],
    );
}

#[test]
fn slips_in_workflows() {
    check(
        WORKFLOW,
        &[
            ("run: tool.cwl", "run: tol.cwl", "14:10 unreadable: cannot read /d/tol.cwl: no such text"),
            (
                "run: tool.cwl\n",
                "rum: tool.cwl\n",
                "14:5 unknown-field: WorkflowStep has no field `rum` (did you mean `run`?)",
            ),
            ("    run: tool.cwl\n", "", "13:3 missing-field: WorkflowStep has no `run`"),
            (
                "run: tool.cwl",
                "run: '#tool'",
                "14:10 unknown-process: there is no process `/d/main.cwl#tool`",
            ),
            (
                "x: names",
                "x: name",
                "16:13 undefined-source: `source` names `name`, which is no input and no output of a step (did you mean `names`?)",
            ),
            (
                "x: names",
                "x: file",
                "16:13 type-mismatch: the input `file` is of type File, but the scattered input `x` of the step `greet` takes string[]",
            ),
            (
                "in: {x: names}",
                "inputs: {x: names}",
                "16:5 unknown-field: WorkflowStep has no field `inputs` (did you mean `in`?)",
            ),
            (
                "in: {x: names}",
                "in: {y: names}",
                "15:14 undefined-scatter: `scatter` names `x`, which is no input of the step `greet` (did you mean `y`?)",
            ),
            (
                "in: {x: names}",
                "in: {x: {sources: names}}",
                "16:14 unknown-field: WorkflowStepInput has no field `sources` (did you mean `source`?)",
            ),
            (
                "in: {x: names}",
                "in: []",
                "15:14 undefined-scatter: `scatter` names `x`, which is no input of the step `greet` (the step has no inputs)",
            ),
            (
                "in: {x: names}",
                "in: {x: names, y: names}",
                "16:20 unused-input: the input `y` of the step `greet` is no input of its process and not used (the inputs of the process are `x`)",
            ),
            (
                "scatter: x",
                "scatter: y",
                "15:14 undefined-scatter: `scatter` names `y`, which is no input of the step `greet` (did you mean `x`?)",
            ),
            (
                "scatter: x",
                "scater: x",
                "15:5 unknown-field: WorkflowStep has no field `scater` (did you mean `scatter`?)",
            ),
            (
                "    scatter: x\n",
                "",
                "11:19 type-mismatch: the output `o` of the step `greet` is of type File, but the output `out` takes File[]\n15:13 type-mismatch: the input `names` is of type string[], but the input `x` of the step `greet` takes string",
            ),
            ("scatter: x", "scatter: [x, x]", "15:18 duplicate-scatter: `scatter` names `x` twice"),
            (
                "scatter: x",
                "scatter: x\n    scatterMethod: dotprodct",
                "16:20 invalid-type: `scatterMethod` of WorkflowStep must be one of `dotproduct`, `nested_crossproduct`, `flat_crossproduct`, not the string \"dotprodct\" (did you mean `dotproduct`?)",
            ),
            (
                "requirements:\n  ScatterFeatureRequirement: {}\n",
                "",
                "11:3 missing-requirement: the step `greet` scatters, but ScatterFeatureRequirement is not stated (add `ScatterFeatureRequirement: {}` to the `requirements` of the workflow)",
            ),
            (
                "ScatterFeatureRequirement",
                "ScatterFeaturesRequirement",
                "4:3 unknown-class: `ScatterFeaturesRequirement` is no `class` of `requirements` of Workflow (did you mean `ScatterFeatureRequirement`?)",
            ),
            (
                "  ScatterFeatureRequirement: {}",
                "  - ScatterFeatureRequirement",
                "4:5 invalid-type: `requirements` of Workflow must be a mapping (Requirement), not the string \"ScatterFeatureRequirement\" (write `class: ScatterFeatureRequirement`)",
            ),
            (
                "outputSource: greet/o",
                "outputSource: greet/out",
                "11:19 undefined-source: `outputSource` names `greet/out`, which is no input and no output of a step (did you mean `greet/o`?)",
            ),
            (
                "outputSource: greet/o",
                "outputSource: greet",
                "11:19 undefined-source: `outputSource` names `greet`, which is no input and no output of a step (did you mean `greet/o`?)",
            ),
            (
                "outputSource: greet/o",
                "source: greet/o",
                "11:5 unknown-field: WorkflowOutputParameter has no field `source` (did you mean `outputSource`?)",
            ),
            (
                "outputSource: greet/o",
                "outputSource: gret/o",
                "11:19 undefined-source: `outputSource` names `gret/o`, which is no input and no output of a step (did you mean `greet/o`?)",
            ),
            (
                "out: [o]",
                "out: o",
                "17:10 invalid-type: `out` of WorkflowStep must be a list of strings or mappings (WorkflowStepOutput), not the string \"o\" (put it in a list: `[…]`)",
            ),
            (
                "out: [o]",
                "out: [p]",
                "11:19 undefined-source: `outputSource` names `greet/o`, which is no input and no output of a step (did you mean `greet/p`?)\n17:10 undefined-output: the step `greet` has no output `p` (did you mean `o`?)",
            ),
            (
                "    out: [o]\n",
                "",
                "13:3 missing-field: WorkflowStep has no `out` (add `out: []` if there are none)",
            ),
            (
                "type: File[]",
                "type: file[]",
                "10:11 unknown-type: there is no type called `file` (did you mean `File`?)",
            ),
            (
                "type: File[]",
                "type: File",
                "11:19 type-mismatch: the output `o` of the step `greet` is of type File[], but the output `out` takes File",
            ),
            (
                "steps:\n  greet:\n    run: tool.cwl\n    scatter: x\n    in: {x: names}\n    out: [o]\n",
                "",
                "1:1 missing-field: Workflow has no `steps` (add `steps: []` if there are none)",
            ),
            (
                "steps:\n",
                "step:\n",
                "12:1 unknown-field: Workflow has no field `step` (did you mean `steps`?)",
            ),
            (
                "  greet:\n",
                "  - greet:\n",
                "13:5 missing-field: WorkflowStep has no `id` (write `id: greet`)",
            ),
            (
                "inputs:\n  names: string[]\n  file: File\n",
                "inputs: []\n",
                "14:13 undefined-source: `source` names `names`, which is no input and no output of a step",
            ),
            (
                "names: string[]",
                "names: strings",
                "6:10 unknown-type: there is no type called `strings` (did you mean `string`?)",
            ),
            (
                "x: names",
                "x: {source: [names, names]}",
                "16:10 missing-requirement: the input `x` of the step `greet` has several sources, but MultipleInputFeatureRequirement is not stated\n16:23 type-mismatch: the input `names` is of type string[], which makes it string[][] here, but the scattered input `x` of the step `greet` takes string[]\n16:30 type-mismatch: the input `names` is of type string[], which makes it string[][] here, but the scattered input `x` of the step `greet` takes string[]",
            ),
            (
                "x: names",
                "x: {source: names, valueFrom: $(self)}",
                "13:3 missing-requirement: the step `greet` has a `valueFrom`, but StepInputExpressionRequirement is not stated (add `StepInputExpressionRequirement: {}` to the `requirements` of the workflow)",
            ),
            (
                "x: names",
                "x: {source: names, linkMerge: merge_flat}",
                "16:40 invalid-type: `linkMerge` of WorkflowStepInput must be one of `merge_nested`, `merge_flattened`, not the string \"merge_flat\" (did you mean `merge_flattened`?)",
            ),
            ("v1.2\n", "v1.2\ndescription: x\n", "2:1 unknown-field: Workflow has no field `description`"),
        ],
    );
}

#[test]
fn faults_of_the_walk_and_of_the_links_are_told_at_once_and_in_order() {
    let text = WORKFLOW
        .replace("File[]", "string")
        .replace("x: names", "x: {source: name}")
        .replace("    out: [o]", "    out: [o]\n    scaterMethod: dotproduct\n  other:\n    run: {class: CommandLineTool, baseCommand: 3, inputs: {n: int}, outputs: []}\n    in: {n: file}\n    out: []");
    let codes: Vec<String> =
        told(&text).lines().map(|line| line.split(": ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(
        codes,
        [
            "11:19 type-mismatch",
            "16:22 undefined-source",
            "18:5 unknown-field",
            "20:48 invalid-type",
            "21:13 type-mismatch"
        ]
    );
}

#[test]
fn what_is_beside_a_refused_process_or_type_is_checked() {
    // The tool has no known outputs, the input no known type: nothing is told that follows from it.
    let refused = WORKFLOW
        .replace("run: tool.cwl", "run: {class: CommandLineTool, inputs: 3, outputs: 4}")
        .replace("names: string[]", "names: {type: strin}")
        .replace("    outputSource: greet/o", "    outputSource: greet/o\n    linkMerge: 3");
    let found = told(&refused);
    assert!(found.contains("unknown-type") && !found.contains("undefined"), "{found}");
    assert!(!found.contains("mismatch") && !found.contains("missing"), "{found}");
    // A member that is refused keeps no name: who runs it is not to blame.
    let graph = "{cwlVersion: v1.2, $graph: [{class: 3, id: t}, {class: Workflow, id: main, inputs: {a: int},
        outputs: [], steps: {s: {run: '#t', in: {x: b}, out: []}}}]}";
    let found = told(graph);
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(found.contains("unknown-class") && found.contains("undefined-source"), "{found}");
}

#[test]
fn the_main_document_is_told_first() {
    let main = WORKFLOW.replace("x: names", "x: file");
    let tool = TOOL.replace("echo", "3");
    let faults = load_texts(&[("main.cwl", &main), ("tool.cwl", &tool)]).expect_err("faults");
    let places: Vec<String> = faults
        .iter()
        .filter_map(|fault| fault.place.as_ref().map(|place| format!("{}:{}", place.source.uri, place.line)))
        .collect();
    assert_eq!(places, ["file:///d/main.cwl:16", "file:///d/tool.cwl:3"]);
}
