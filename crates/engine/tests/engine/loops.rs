//! Loops of steps: the extension of cwltool and the one of v1.3.

use moil_cwl::number::Number;
use moil_cwl::value::Value;

use super::fixture::{Driven, drive, node, node_of};

fn count_up(run: &moil_engine::plan::Run) -> Option<Value> {
    match run.inputs.field("i") {
        Value::Number(number) => Some(Value::Number(Number::from(number.as_i64()? + 1))),
        other => panic!("{other:?}"),
    }
}

fn extension(output: &str, inputs: &str) -> Driven {
    let text = format!(
        "
class: Workflow
inputs: {{x: int, end: int}}
outputs: {{r: {{type: Any, outputSource: a/o}}}}
steps:
  a:
    run: TOOL
    in: {{i: x, end: end}}
    out: [o]
    requirements:
      cwltool:Loop:
        loopWhen: $(inputs.i < inputs.end)
        loop: {{i: o}}
        outputMethod: {output}
"
    );
    drive(node(&text), inputs, 9, count_up)
}

fn development(output: &str, inputs: &str) -> Driven {
    let text = format!(
        "
class: Workflow
inputs: {{x: int, end: int}}
outputs: {{r: {{type: Any, outputSource: a/o}}}}
steps:
  a:
    run: TOOL
    in: {{i: x, end: end}}
    out: [o]
    when: $(inputs.i < inputs.end)
    loop: {{i: o}}
    outputMethod: {output}_iteration{}
",
        if output == "all" { "s" } else { "" }
    );
    drive(node_of("v1.3.0-dev1", &text), inputs, 9, count_up)
}

#[test]
fn a_loop_runs_until_its_condition_says_no() {
    for run in [extension, development] {
        let check = |output: &str, inputs: &str, jobs: usize, end: &str| {
            let driven = run(output, inputs);
            assert_eq!((driven.log.len(), driven.end.as_str()), (2 * jobs, end), "{output} {inputs}");
        };
        check("last", r#"{"x": 0, "end": 3}"#, 3, r#"{"r":3}"#);
        check("all", r#"{"x": 0, "end": 3}"#, 3, r#"{"r":[1,2,3]}"#);
        check("last", r#"{"x": 2, "end": 3}"#, 1, r#"{"r":3}"#);
        check("last", r#"{"x": 3, "end": 3}"#, 0, r#"{"r":null}"#);
        check("all", r#"{"x": 3, "end": 3}"#, 0, r#"{"r":[]}"#);
    }
}

#[test]
fn each_round_has_its_own_path() {
    let driven = extension("last", r#"{"x": 0, "end": 2}"#);
    assert_eq!(driven.log, ["run a@0", "end a@0", "run a@1", "end a@1"]);
}

#[test]
fn a_round_that_fails_ends_the_loop() {
    let text = "
class: Workflow
inputs: {x: int}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a:
    run: TOOL
    in: {i: x}
    out: [o]
    requirements:
      cwltool:Loop: {loopWhen: $(inputs.i < 9), loop: {i: o}, outputMethod: all}
";
    let driven =
        drive(node(text), r#"{"x": 0}"#, 9, |run| if run.path == "a@1" { None } else { count_up(run) });
    assert_eq!((driven.log.len(), driven.end.as_str()), (4, "failed"));
}

#[test]
fn a_loop_around_a_workflow_takes_its_outputs_back() {
    let text = "
class: Workflow
inputs: {x: int}
outputs: {r: {type: Any, outputSource: w/o}}
steps:
  w:
    in: {i: x}
    out: [o]
    requirements:
      cwltool:Loop: {loopWhen: $(inputs.i < 2), loop: {i: o}, outputMethod: last}
    run:
      class: Workflow
      inputs: {i: int}
      outputs: {o: {type: Any, outputSource: s/o}}
      steps:
        s: {run: TOOL, in: {i: i}, out: [o]}
";
    let driven = drive(node(text), r#"{"x": 0}"#, 9, count_up);
    assert_eq!(driven.log, ["run w@0/s", "end w@0/s", "run w@1/s", "end w@1/s"]);
    assert_eq!(driven.end, r#"{"r":2}"#);
}
