//! Secrets on their way from the inputs to the attempts.

use std::sync::{Arc, Mutex};

use moil_cwl::print;

use super::leader::{Act, Case};

/// What each job is told and what comes beside it: `a PLACEHOLDERS <- VALUES`, with how many placeholders
/// stand in its inputs; and how the run ended.
fn run(text: &str, inputs: &'static str) -> (Vec<String>, String, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let attempts = Arc::clone(&seen);
    let act = move |attempt: &moil_job::spec::Attempt| {
        let inputs = print::compact(&attempt.job.inputs);
        assert!(!inputs.contains("hunter"), "{inputs}");
        let mut values: Vec<&str> = attempt.secrets.iter().map(|(_, value)| value).collect();
        values.sort_unstable();
        attempts.lock().expect("not poisoned").push(format!(
            "{} {} <- {}",
            attempt.job.id,
            inputs.matches("(secret-").count(),
            values.join(" ")
        ));
        Act::Done
    };
    let mut case = Case::new(text, act);
    case.inputs = inputs;
    let ended = case.run();
    let mut seen = seen.lock().expect("not poisoned").clone();
    seen.sort();
    (seen, ended.end, ended.failures)
}

/// A workflow of which some inputs are secrets.
fn workflow(secrets: &str, rest: &str) -> String {
    // The fixture begins with requirements.
    format!("  cwltool:Secrets: {{secrets: {secrets}}}\nclass: Workflow\n{rest}")
}

#[test]
fn a_job_gets_the_secrets_that_its_inputs_mention() {
    let (jobs, end, _) = run(
        &workflow(
            "[x, y]",
            "inputs: {x: string, y: 'string[]', z: string}
outputs: {o: {type: Any, outputSource: x}}
steps:
  one: {run: TOOL, in: {i: x}, out: [o]}
  both: {run: TOOL, in: {a: x, i: {source: z, valueFrom: '$(self)-$(inputs.a)'}}, out: [o]}
  none: {run: TOOL, in: {i: z}, out: [o]}
  each: {run: TOOL, in: {i: y}, scatter: i, out: [o]}
",
        ),
        r#"{"x": "hunter1", "y": ["hunter1", "hunter2"], "z": "plain"}"#,
    );
    assert_eq!(
        jobs,
        [
            "both 1 <- hunter1",
            "each[0] 1 <- hunter1",
            "each[1] 1 <- hunter2",
            "none 0 <- ",
            "one 1 <- hunter1"
        ]
    );
    assert!(end.contains("(secret-") && !end.contains("hunter"), "what passes through stays hidden: {end}");
}

const SECRET_TOOL: &str =
    "{class: CommandLineTool, baseCommand: x, inputs: {i: {type: string, default: hunter9}},
      outputs: {o: 'Any?'}, hints: {'cwltool:Secrets': {secrets: [i]}}}";

#[test]
fn a_tool_in_a_step_may_have_secrets_of_its_own() {
    let steps = format!(
        "class: Workflow
inputs: {{x: string}}
outputs: []
steps:
  given: {{run: {SECRET_TOOL}, in: {{i: x}}, out: [o]}}
  default: {{run: {SECRET_TOOL}, in: [], out: [o]}}
  step: {{run: TOOL, in: {{i: x}}, out: [o], hints: {{'cwltool:Secrets': {{secrets: [i]}}}}}}
"
    );
    let (jobs, ..) = run(&steps, r#"{"x": "hunter1"}"#);
    assert_eq!(jobs, ["default 1 <- hunter9", "given 1 <- hunter1", "step 1 <- hunter1"]);
}

#[test]
fn an_input_of_the_same_name_further_in_is_no_secret() {
    let (jobs, ..) = run(
        &workflow(
            "[i]",
            "inputs: {i: string, n: int}\noutputs: []\nsteps:\n  a: {run: TOOL, in: {i: n}, out: [o]}\n",
        ),
        r#"{"i": "hunter1", "n": 5}"#,
    );
    assert_eq!(jobs, ["a 0 <- "]);
}

#[test]
fn a_secret_of_the_wrong_type_is_not_told() {
    let tool = SECRET_TOOL.replace("type: string, default: hunter9", "type: int");
    let steps = format!(
        "class: Workflow\ninputs: {{x: Any}}\noutputs: []\nsteps:\n  a: {{run: {tool}, in: {{i: x}}, out: [o]}}\n"
    );
    for (inputs, words) in [
        (r#"{"x": "hunter1"}"#, "must be int"),
        (r#"{"x": 4711}"#, "secret (cwltool:Secrets), but holds a number"),
    ] {
        let (_, end, failures) = run(&steps, inputs);
        let told = failures.join(" ");
        assert!(end == "failed" && told.contains(words), "{told}");
        assert!(!told.contains("hunter") && !told.contains("4711"), "{told}");
    }
}
