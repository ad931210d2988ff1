//! `--validate`: all that is wrong, with its place, and an exit code.

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::Sandbox;
use super::{Answer, call};

fn validate(document: &str, options: &str) -> Answer {
    let dir = tempfile::tempdir().expect("the directory is made");
    std::fs::write(dir.path().join("wf.cwl"), document).expect("the document is written");
    let line = format!("--validate {options} wf.cwl");
    let mut answer = call("toil-cwl-runner", &line, &[], dir.path(), toil_cwl_runner::run);
    // Places are absolute paths.
    let place = dir.path().canonicalize().expect("a path").join("wf.cwl");
    for text in [&mut answer.stdout, &mut answer.stderr] {
        *text = text.replace(&*place.to_string_lossy(), "wf.cwl");
    }
    answer
}

const WORKFLOW: &str = "cwlVersion: v1.2
class: Workflow
inputs: {name: string}
outputs:
  o: {type: File, outputSource: step/o}
steps:
  step:
    run:
      class: CommandLineTool
      baseCommand: echo
      requirements: {InlineJavascriptRequirement: {}}
      arguments: [$(inputs.a + 1)]
      stdout: out.txt
      inputs: {a: string}
      outputs: {o: stdout}
    in: {a: name}
    out: [o]
";

#[test]
fn a_valid_document_is_told_to_be_valid() {
    let answer = validate(WORKFLOW, "");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(!answer.stderr.contains("warning"), "{}", answer.stderr);
}

#[test]
fn faults_stand_where_they_are_made_each_once() {
    for (from, to, expected) in [
        (
            "baseCommand",
            "baseComand",
            "wf.cwl:10:7: error: CommandLineTool has no field `baseComand` [unknown-field]",
        ),
        (
            "{name: string}",
            "{name: strin}",
            "wf.cwl:3:16: error: there is no type called `strin` [unknown-type]",
        ),
        ("a: name", "a: nmae", "wf.cwl:16:13: error: `source` names `nmae`, which is no input"),
        ("step/o", "stp/o", "wf.cwl:5:33: error: `outputSource` names `stp/o`, which is no input"),
        ("out: [o]", "out: 3", "wf.cwl:17:10: error: `out` of WorkflowStep must be a list"),
        (
            "stdout: out.txt",
            "stdout: [x]",
            "wf.cwl:13:15: error: `stdout` of CommandLineTool must be a string",
        ),
    ] {
        let answer = validate(&WORKFLOW.replace(from, to), "");
        assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
        assert_eq!(answer.stderr.matches("wf.cwl:").count(), 1, "{}", answer.stderr);
        assert!(answer.stderr.contains(expected), "{expected}\n{}", answer.stderr);
    }
}

#[test]
fn a_graph_without_a_main_process_is_valid_but_does_not_run() {
    let graph = |input: &str| {
        let tool = |id: &str| {
            format!(
                "{{class: CommandLineTool, id: {id}, baseCommand: echo, inputs: {{a: {input}}}, outputs: []}}"
            )
        };
        format!("{{cwlVersion: v1.2, $graph: [{}, {}]}}", tool("one"), tool("two"))
    };
    let answer = validate(&graph("string"), "");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("warning: the document has several processes"), "{}", answer.stderr);
    let answer = validate(&graph("strin"), "--json");
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stdout);
    let sandbox = Sandbox::with(&graph("string"));
    assert_eq!(sandbox.run(&["main.cwl"]).code, ExitCode::FAILURE);
}

#[test]
fn a_value_from_without_its_requirement_is_valid_but_does_not_run() {
    let workflow = WORKFLOW.replace("a: name", "a: {source: name, valueFrom: $(self)}");
    let answer = validate(&workflow, "");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("wf.cwl:7:3: warning: the step `step` has a `valueFrom`"),
        "{}",
        answer.stderr
    );
    let answer = Sandbox::with(&workflow).run(&["main.cwl", "--name", "x"]);
    assert_eq!(answer.code, ExitCode::FAILURE);
    assert!(answer.stderr.contains("error: the step `step` has a `valueFrom`"), "{}", answer.stderr);
}

#[test]
fn broken_javascript_is_a_warning_with_its_place() {
    let answer = validate(&WORKFLOW.replace("inputs.a + 1", "inputs.a +"), "");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let expected = "wf.cwl:12:19: warning: $(inputs.a +) is not JavaScript: ";
    assert!(answer.stderr.contains(expected), "{}", answer.stderr);
}

#[test]
fn an_expression_that_does_not_end_is_an_error() {
    let answer = validate(&WORKFLOW.replace("$(inputs.a + 1)", "\"$(inputs.a\""), "--json");
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(answer.stdout.contains("\"code\": \"unfinished-expression\""), "{}", answer.stdout);
}

#[test]
fn workflows_that_double_forty_times_are_loaded_once_and_run_only_as_far_as_they_go() {
    let sandbox = Sandbox::new();
    for level in 0..40 {
        let step = format!("{{run: w{}.cwl, in: {{go: go}}, out: [], when: $(inputs.go)}}", level + 1);
        sandbox.write(
            &format!("w{level}.cwl"),
            format!(
                "{{cwlVersion: v1.2, class: Workflow, requirements: {{SubworkflowFeatureRequirement: {{}}}},
                   inputs: {{go: boolean}}, outputs: [], steps: {{a: {step}, b: {step}}}}}"
            ),
        );
    }
    sandbox.write("w40.cwl", "{cwlVersion: v1.2, class: Operation, inputs: {go: boolean}, outputs: []}");
    for option in ["--validate", "--print-dot", "--pack", "--print-deps"] {
        assert_eq!(sandbox.run(&[option, "w0.cwl"]).code, ExitCode::SUCCESS, "{option}");
    }
    assert_eq!(sandbox.run(&["--outdir", "out", "w0.cwl", "--go=false"]).stdout, "{}\n");
    let told = sandbox.run(&["--outdir", "out", "--stopOnFirstFailure", "w0.cwl", "--go"]);
    assert_eq!(told.code, ExitCode::UNSUPPORTED, "{}", told.stderr);
}
