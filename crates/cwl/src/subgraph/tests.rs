use super::*;
use crate::load::load_node;
use crate::test_support::{document, loaded};

const WORKFLOW: &str = "cwlVersion: v1.2
class: Workflow
inputs: {x: int, y: string}
outputs:
  p: {type: int, outputSource: b/o}
  q: {type: int, outputSource: c/o}
requirements: {SubworkflowFeatureRequirement: {}, NetworkAccess: {networkAccess: true}}
steps:
  a: {run: {class: Operation, inputs: {i: int}, outputs: {o: int}}, in: {i: x}, out: [o]}
  b: {run: {class: Operation, inputs: {i: int}, outputs: {o: int}}, in: {i: a/o}, out: [o]}
  c:
    in: {i: a/o, s: y}
    out: [o]
    requirements: {WorkReuse: {enableReuse: false}}
    run:
      class: Workflow
      inputs: {i: int, s: string}
      outputs: {o: {type: int, outputSource: d/o}}
      steps:
        d: {run: {class: Operation, inputs: {i: int, s: string}, outputs: {o: int}}, in: {i: i, s: s}, out: [o]}
";

/// Inputs with types, outputs and steps of a part that loads.
fn describe(part: Result<Document, SubgraphError>) -> String {
    let loaded = load_node(part.expect("a part")).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let common = loaded.process.common();
    let inputs =
        common.inputs.iter().map(|i| format!("{}: {}", i.name, crate::type_name::type_name(&i.type_)));
    let outputs = common.outputs.iter().map(|o| o.name.to_string());
    let steps = match &loaded.process {
        Process::Workflow(workflow) => workflow.steps.iter().map(|s| s.name.to_string()).collect(),
        other => vec![other.class().to_owned()],
    };
    let join = |parts: Vec<String>| parts.join(", ");
    format!("{} / {} / {}", join(inputs.collect()), join(outputs.collect()), join(steps))
}

#[test]
fn a_target_keeps_what_it_has_to_do_with() {
    for (names, expected) in [
        (&["p"][..], "x: int / p / a, b"),
        (&["q"], "x: int, y: string / q / a, c"),
        (&["x"], "x: int, y: string / p, q / a, b, c"),
        (&["y"], "y: string, a_o: int / q / c"),
        (&["b"], "a_o: int / p / b"),
        (&["p", "c"], "x: int, y: string / p, q / a, b, c"),
    ] {
        assert_eq!(describe(target(&document(WORKFLOW), names)), expected, "{names:?}");
    }
}

#[test]
fn a_single_step_takes_and_gives_all_that_it_can() {
    assert_eq!(describe(single_step(&document(WORKFLOW), "b")), "i: int / o / b");
    assert_eq!(describe(single_step(&document(WORKFLOW), "c/d")), "i: int, s: string / o / d");
}

#[test]
fn a_single_process_keeps_the_requirements_around_it() {
    let part = single_process(&document(WORKFLOW), "c/d").expect("a part");
    let loaded = load_node(part.clone()).expect("loads");
    assert_eq!(loaded.process.common().requirements.required.len(), 3);
    assert_eq!(describe(Ok(part)), "i: int, s: string / o / Operation");
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let error = single_step(&document(WORKFLOW), "e").expect_err("no step");
    assert_eq!(error.to_string(), "the workflow has no step `e`; it has a, b, c");
    let error = target(&document(WORKFLOW), &["e"]).expect_err("no target");
    assert_eq!(error.to_string(), "the workflow has no target `e`; it has a, b, c, p, q, x, y");
    let tool = "{cwlVersion: v1.2, class: Operation, inputs: [], outputs: []}";
    assert_eq!(
        target(&document(tool), &["e"]).expect_err("no workflow"),
        SubgraphError::NotAWorkflow { class: "Operation".to_owned() }
    );
}

#[test]
fn targets_are_listed_with_those_of_steps() {
    let lines = targets(&loaded(WORKFLOW).process);
    assert_eq!(lines.join(" "), "p q x y a a/o a/i b b/o b/i c c/o c/i c/s c/d c/d/o c/d/i c/d/s");
}
