//! Generators in the plan: both stages, where they may stand, and how they end.

use std::sync::Arc;

use moil_cwl::value::{File, Value, ValueMap};
use moil_engine::generator::MAX_GENERATIONS;

use super::fixture::{Driven, drive, node, values};

/// A generator whose `run` is a job with an input `a`.
const GENERATOR: &str = "class: cwltool:ProcessGenerator
inputs: {a: 'Any?', b: 'Any?'}
outputs: {o: Any}
run: {class: CommandLineTool, baseCommand: x, inputs: {a: 'Any?'}, outputs: {runProcess: File}}";

fn step(more: &str) -> String {
    let generator = GENERATOR.replace('\n', ", ");
    format!(
        "
class: Workflow
inputs: {{x: Any}}
outputs: {{r: {{type: Any, outputSource: g/o}}}}
steps:
  g: {{run: {{{generator}}}, in: {{a: x, b: x}}, out: [o]{more}}}
"
    )
}

/// The output object of a first stage.
fn made(document: &str, inputs: Option<&str>) -> Value {
    let file = File { contents: Some(document.into()), basename: Some("made.cwl".into()), ..File::default() };
    let mut outputs = ValueMap::from([("runProcess".into(), Value::File(Arc::new(file)))]);
    if let Some(inputs) = inputs {
        outputs.insert("runInputs".into(), Value::map(values(inputs)));
    }
    Value::map(outputs)
}

const TOOL: &str =
    "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: x, inputs: {b: Any}, outputs: {o: Any}}";

/// Drives a document in which first stages make `document`, and other jobs give their paths and what they got as `b`.
fn generate(text: &str, x: &str, document: &str, inputs: Option<&str>) -> Driven {
    drive(node(text), &format!(r#"{{"x": {x}}}"#), 1, |run| {
        Some(match run.path.ends_with("generator") {
            true => made(document, inputs),
            false => {
                Value::string(format!("{} {}", run.path, moil_cwl::print::compact(run.inputs.field("b"))))
            }
        })
    })
}

#[test]
fn what_a_generator_makes_gets_the_inputs_that_its_run_does_not_take() {
    let driven = generate(&step(""), "1", TOOL, None);
    assert_eq!(
        driven.commands[2..],
        [
            "prepare g",
            "prepare g/generator",
            "run g/generator",
            "generate g",
            "prepare g/generated",
            "run g/generated"
        ]
    );
    assert_eq!(driven.end, r#"{"r":"g/generated 1"}"#);
    assert_eq!(driven.steps, ["g completed success"]);
}

#[test]
fn run_inputs_take_the_place_of_all_others() {
    let driven = generate(&step(""), "1", TOOL, Some(r#"{"b": 2}"#));
    assert_eq!(driven.end, r#"{"r":"g/generated 2"}"#);
}

#[test]
fn a_generator_alone_is_a_run() {
    let driven = drive(node(GENERATOR), r#"{"a": 1, "b": 2, "c": 3}"#, 1, |run| {
        Some(if run.path == "generator" { made(TOOL, None) } else { run.inputs.clone() })
    });
    assert_eq!(driven.log, ["run generator", "end generator", "run generated", "end generated"]);
    assert_eq!(driven.end, r#"{"o":{"b":2,"c":3}}"#, "undeclared inputs are handed on");
}

#[test]
fn a_generated_workflow_runs_inside_its_step() {
    let workflow = format!(
        "{{cwlVersion: v1.2, class: Workflow, inputs: {{b: Any}}, outputs: {{o: {{type: Any, outputSource: t/o}}}},
          steps: {{t: {{run: {TOOL}, in: {{b: b}}, out: [o]}}}}}}"
    );
    let driven = generate(&step(""), "1", &workflow, None);
    assert_eq!(driven.end, r#"{"r":"g/generated/t 1"}"#);
    assert_eq!(driven.steps, ["g/generated/t completed success", "g completed success"]);
}

#[test]
fn generators_may_be_scattered_skipped_and_repeated() {
    let driven = generate(&step(", scatter: [a, b], scatterMethod: dotproduct"), "[1, 2]", TOOL, None);
    assert_eq!(driven.end, r#"{"r":["g[0]/generated 1","g[1]/generated 2"]}"#);
    let driven = generate(&step(", when: $(false)"), "1", TOOL, None);
    assert_eq!((driven.end.as_str(), driven.log.len()), (r#"{"r":null}"#, 0));
    let repeated = ", requirements: {'cwltool:Loop': {loopWhen: '$(inputs.b !== 3)', outputMethod: last,
        loop: {b: {valueFrom: '$(inputs.b + 1)'}}}}";
    let driven = generate(&step(repeated), "1", TOOL, None);
    assert_eq!(driven.end, r#"{"r":"g@1/generated 2"}"#);
}

#[test]
fn garbage_fails_the_step() {
    let check = |document: &str, told: &str| {
        let driven = generate(&step(""), "1", document, None);
        assert_eq!(
            (driven.end.as_str(), driven.steps),
            ("failed", vec!["g completed permanentFail".to_owned()])
        );
        let last = driven.commands.last().map(String::as_str).unwrap_or_default();
        assert!(last.starts_with("generate g: ") && last.contains(told), "{last}");
    };
    check("]", "");
    check("{cwlVersion: v1.2, class: CommandLineTool, inputs: [], outputs: [], baseComand: x}", "baseComand");
    check("{cwlVersion: v1.2, class: CommandLineTool, inputs: [], outputs: []}", "has no output `o`");
    let check = |outputs: &str, told: &str| {
        let driven = drive(node(&step("")), r#"{"x": 1}"#, 1, |_| Some(Value::map(values(outputs))));
        let last = driven.commands.last().map(String::as_str).unwrap_or_default();
        assert_eq!((driven.end.as_str(), last), ("failed", format!("generate g: {told}").as_str()));
    };
    check("{}", "its `run` gave no `runProcess`");
    check(r#"{"runProcess": 7}"#, "the `runProcess` of its `run` is a number (7), but must be a File");
    let file = r#"{"class": "File", "location": "file:///d/made.cwl"}"#;
    check(
        &format!(r#"{{"runProcess": {file}, "runInputs": [1]}}"#),
        "the `runInputs` of its `run` is an array of 1, but must be an input object",
    );
}

#[test]
fn a_first_stage_that_fails_fails_the_step() {
    let driven = drive(node(&step("")), r#"{"x": 1}"#, 1, |_| None);
    assert_eq!(
        (driven.end.as_str(), driven.log),
        ("failed", vec!["run g/generator".to_owned(), "end g/generator".to_owned()])
    );
}

#[test]
fn a_generator_that_generates_itself_ends() {
    let itself = format!("cwlVersion: v1.2\n{GENERATOR}");
    let driven = generate(&step(""), "1", &itself, None);
    assert_eq!(driven.end, "failed");
    assert_eq!(driven.log.len(), 2 * (MAX_GENERATIONS + 1));
    let last = driven.commands.last().map(String::as_str).unwrap_or_default();
    assert!(last.ends_with("processes have generated each other 10 times"), "{last}");
}
