//! The order of commands, and what becomes of failures, skipped steps and empty scatters.

use moil_cwl::value::Value;

use super::fixture::{drive, drive_all, node, node_of_document};

const CHAIN: &str = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: b/o}}
steps:
  b: {run: TOOL, in: {i: a/o}, out: [o]}
  a: {run: TOOL, in: {i: x}, out: [o]}
";

const SCATTER: &str = "
class: Workflow
inputs: {x: {type: {type: array, items: Any}}}
outputs: {r: {type: Any, outputSource: b/o}, e: {type: Any, outputSource: a/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o], scatter: i}
  b: {run: TOOL, in: {i: a/o}, out: [o]}
";

#[test]
fn a_step_waits_for_its_sources() {
    let driven = drive_all(node(CHAIN), r#"{"x": 1}"#, 9);
    assert_eq!(driven.log, ["run a", "end a", "run b", "end b"]);
    assert_eq!(driven.end, r#"{"r":"b"}"#);
    assert_eq!(
        driven.commands,
        ["prepare main.cwl", "merge a", "prepare a", "run a", "merge b", "prepare b", "run b"]
    );
}

#[test]
fn free_steps_begin_in_the_order_of_the_document() {
    let text = "
class: Workflow
inputs: {x: Any}
outputs: {}
steps:
  c: {run: TOOL, in: {i: x}, out: [o]}
  a: {run: TOOL, in: {i: x}, out: [o]}
  b: {run: TOOL, in: {i: x}, out: [o]}
";
    assert_eq!(
        drive_all(node(text), r#"{"x": 1}"#, 9).log,
        ["run c", "run a", "run b", "end c", "end a", "end b"]
    );
}

#[test]
fn a_workflow_without_steps_ends_at_once() {
    let text = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: x}}
steps: []
";
    let driven = drive_all(node(text), r#"{"x": [1, 2]}"#, 1);
    assert_eq!((driven.end.as_str(), driven.log.len()), (r#"{"r":[1,2]}"#, 0));
}

#[test]
fn a_tool_alone_is_a_run() {
    let text = "class: CommandLineTool\nbaseCommand: x\ninputs: {i: Any}\noutputs: {o: Any}";
    let driven = drive_all(node(text), r#"{"i": 1}"#, 1);
    assert_eq!(driven.end, r#"{"o":"main.cwl"}"#);
}

#[test]
fn a_scatter_has_as_many_jobs_as_elements_in_their_order() {
    let check = |inputs: &str, log: &[&str], end: &str| {
        let driven = drive_all(node(SCATTER), inputs, 9);
        assert_eq!((driven.log, driven.end.as_str()), (log.iter().map(ToString::to_string).collect(), end));
    };
    check(r#"{"x": []}"#, &["run b", "end b"], r#"{"r":"b","e":[]}"#);
    check(r#"{"x": [5]}"#, &["run a[0]", "end a[0]", "run b", "end b"], r#"{"r":"b","e":["a[0]"]}"#);
    check(
        r#"{"x": [5, 6, 7]}"#,
        &["run a[0]", "run a[1]", "run a[2]", "end a[0]", "end a[1]", "end a[2]", "run b", "end b"],
        r#"{"r":"b","e":["a[0]","a[1]","a[2]"]}"#,
    );
}

#[test]
fn each_element_has_its_own_item() {
    let mut seen = Vec::new();
    let driven = drive(node(SCATTER), r#"{"x": [5, 6]}"#, 1, |run| {
        seen.push(moil_cwl::print::compact(run.inputs.field("i")));
        Some(run.inputs.field("i").clone())
    });
    assert_eq!(seen, ["5", "6", "[5,6]"]);
    assert_eq!(driven.end, r#"{"r":[5,6],"e":[5,6]}"#);
}

#[test]
fn a_nested_crossproduct_keeps_its_shape_when_it_is_empty() {
    let text = "
class: Workflow
inputs: {x: {type: {type: array, items: Any}}, y: {type: {type: array, items: Any}}}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a:
    run: {class: CommandLineTool, baseCommand: x, inputs: {i: Any, j: Any}, outputs: {o: Any}}
    in: {i: x, j: y}
    out: [o]
    scatter: [i, j]
    scatterMethod: nested_crossproduct
";
    let check = |inputs: &str, end: &str| assert_eq!(drive_all(node(text), inputs, 2).end, end, "{inputs}");
    check(r#"{"x": [1, 2], "y": []}"#, r#"{"r":[[],[]]}"#);
    check(r#"{"x": [], "y": [1]}"#, r#"{"r":[]}"#);
    check(r#"{"x": [1], "y": [1, 2]}"#, r#"{"r":[["a[0]","a[1]"]]}"#);
}

#[test]
fn lists_of_different_lengths_fail_the_step_and_not_the_program() {
    let text = "
class: Workflow
inputs: {x: {type: {type: array, items: Any}}, y: {type: {type: array, items: Any}}}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a:
    run: {class: CommandLineTool, baseCommand: x, inputs: {i: Any, j: Any}, outputs: {o: Any}}
    in: {i: x, j: y}
    out: [o]
    scatter: [i, j]
    scatterMethod: dotproduct
";
    let driven = drive_all(node(text), r#"{"x": [1], "y": []}"#, 2);
    assert_eq!((driven.end.as_str(), driven.log.len()), ("failed", 0));
    assert_eq!(driven.steps, ["a completed permanentFail"]);
}

const NESTED: &str = "
class: Workflow
inputs: {x: {type: {type: array, items: Any}}}
outputs: {r: {type: Any, outputSource: w/o}}
steps:
  w:
    in: {i: x}
    out: [o]
    scatter: i
    run:
      class: Workflow
      inputs: {i: Any}
      outputs: {o: {type: Any, outputSource: b/o}}
      steps:
        a: {run: TOOL, in: {i: i}, out: [o]}
        b: {run: TOOL, in: {i: a/o}, out: [o]}
";

#[test]
fn a_scatter_of_workflows_finishes_what_it_began() {
    let driven = drive_all(node(NESTED), r#"{"x": [1, 2, 3]}"#, 1);
    let begun: Vec<&String> = driven.log.iter().filter(|line| line.starts_with("run")).collect();
    assert_eq!(begun, ["run w[0]/a", "run w[0]/b", "run w[1]/a", "run w[1]/b", "run w[2]/a", "run w[2]/b"]);
    assert_eq!(driven.end, r#"{"r":["w[0]/b","w[1]/b","w[2]/b"]}"#);
}

#[test]
fn a_scatter_of_workflows_begins_more_only_when_there_is_room() {
    let driven = drive_all(node(NESTED), r#"{"x": [1, 2, 3, 4]}"#, 2);
    assert_eq!(driven.log[..4], ["run w[0]/a", "run w[1]/a", "end w[0]/a", "run w[0]/b"]);
}

#[test]
fn what_needs_a_failed_step_never_runs_and_its_siblings_do() {
    let text = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: d/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o]}
  b: {run: TOOL, in: {i: a/o}, out: [o]}
  c: {run: TOOL, in: {i: x}, out: [o]}
  d: {run: TOOL, in: {i: c/o}, out: [o]}
";
    let driven = drive(node(text), r#"{"x": 1}"#, 9, |run| (run.path != "a").then_some(Value::Null));
    assert_eq!(driven.log, ["run a", "run c", "end a", "end c", "run d", "end d"]);
    assert_eq!(driven.end, "failed");
    assert_eq!(driven.steps, ["a completed permanentFail", "c completed success", "d completed success"]);
}

#[test]
fn a_failed_element_fails_its_step_after_the_others_are_over() {
    let driven =
        drive(node(SCATTER), r#"{"x": [1, 2, 3]}"#, 1, |run| (run.path != "a[1]").then_some(Value::Null));
    assert_eq!(driven.log.last().map(String::as_str), Some("end a[2]"));
    assert_eq!((driven.end.as_str(), driven.steps), ("failed", vec!["a completed permanentFail".to_owned()]));
}

#[test]
fn a_failure_in_a_nested_workflow_fails_the_step_around_it() {
    let driven =
        drive(node(NESTED), r#"{"x": [1, 2]}"#, 1, |run| (run.path != "w[0]/a").then_some(Value::Null));
    assert_eq!(
        driven.log,
        ["run w[0]/a", "end w[0]/a", "run w[1]/a", "end w[1]/a", "run w[1]/b", "end w[1]/b"]
    );
    assert_eq!(driven.end, "failed");
    assert_eq!(driven.steps.last().map(String::as_str), Some("w completed permanentFail"));
}

#[test]
fn a_step_whose_condition_says_no_gives_nulls() {
    let text = "
class: Workflow
inputs: {x: {type: {type: array, items: int}}, go: boolean}
outputs: {r: {type: Any, outputSource: b/o}, s: {type: Any, outputSource: a/o}}
steps:
  a: {run: TOOL, in: {i: x, go: go}, out: [o], when: '$(inputs.go)'}
  b: {run: TOOL, in: {i: x}, out: [o], scatter: i, when: '$(inputs.i > 1)'}
";
    let driven = drive_all(node(text), r#"{"x": [1, 2], "go": false}"#, 9);
    assert_eq!(driven.log, ["run b[1]", "end b[1]"]);
    assert_eq!(driven.end, r#"{"r":[null,"b[1]"],"s":null}"#);
    assert_eq!(driven.steps, ["a completed skipped", "b completed success"]);
    let driven = drive_all(node(text), r#"{"x": [1, 1], "go": true}"#, 9);
    assert_eq!(driven.end, r#"{"r":[null,null],"s":"a"}"#);
    assert!(driven.steps.contains(&"b completed skipped".to_owned()), "{:?}", driven.steps);
}

#[test]
fn picked_values_at_outputs() {
    let check = |pick: &str, go: (bool, bool), end: &str, failure: &str| {
        let text = format!(
            "
class: Workflow
inputs: {{p: boolean, q: boolean}}
outputs: {{r: {{type: Any, outputSource: [a/o, b/o], pickValue: {pick}}}}}
steps:
  a: {{run: TOOL, in: {{i: p}}, out: [o], when: '$(inputs.i)'}}
  b: {{run: TOOL, in: {{i: q}}, out: [o], when: '$(inputs.i)'}}
"
        );
        let driven = drive_all(node(&text), &format!(r#"{{"p": {}, "q": {}}}"#, go.0, go.1), 9);
        assert_eq!(driven.end, end, "{pick} {go:?}");
        let told = driven.failures.join("\n");
        assert!(if failure.is_empty() { told.is_empty() } else { told.contains(failure) }, "{told}");
    };
    check("first_non_null", (false, true), r#"{"r":"b"}"#, "");
    check("first_non_null", (true, true), r#"{"r":"a"}"#, "");
    check("first_non_null", (false, false), "failed", "the workflow: ");
    check("the_only_non_null", (false, true), r#"{"r":"b"}"#, "");
    check("the_only_non_null", (true, true), "failed", "the workflow: ");
    check("all_non_null", (false, true), r#"{"r":["b"]}"#, "");
    check("all_non_null", (false, false), r#"{"r":[]}"#, "");
}

#[test]
fn no_two_elements_have_the_same_path() {
    let text = "
class: Workflow
inputs: {x: {type: {type: array, items: Any}}}
outputs: {r: {type: Any, outputSource: a/o}, s: {type: Any, outputSource: 'a[0]/o'}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o], scatter: i}
  'a[0]': {run: TOOL, in: {i: x}, out: [o]}
";
    let driven = drive_all(node(text), r#"{"x": [1]}"#, 9);
    assert_eq!(driven.log[..2], ["run a[0]", "run a%5B0%5D"]);
}

#[test]
fn a_deep_nest_of_workflows_runs() {
    let mut text = "{class: Workflow, inputs: {x: Any}, outputs: {o: {type: Any, outputSource: s/o}}, steps: {s: {run: TOOL, in: {i: x}, out: [o]}}}".to_owned();
    for _ in 0..20 {
        text = format!(
            "{{class: Workflow, inputs: {{x: Any}}, outputs: {{o: {{type: Any, outputSource: s/o}}}}, steps: {{s: {{run: {text}, in: {{x: x}}, out: [o]}}}}}}"
        );
    }
    let text = format!(
        "class: Workflow\ninputs: {{x: Any}}\noutputs: {{o: {{type: Any, outputSource: s/o}}}}\nsteps: {{s: {{run: {text}, in: {{x: x}}, out: [o]}}}}"
    );
    let driven = drive_all(node(&text), r#"{"x": 1}"#, 1);
    assert_eq!(driven.log.len(), 2);
    assert_eq!(driven.end, format!(r#"{{"o":"{}s"}}"#, "s/".repeat(21)));
}

#[test]
fn workflows_that_double_forty_times_take_no_memory_until_they_run() {
    let mut text = "cwlVersion: v1.2\n$graph:\n".to_owned();
    for level in 0..40 {
        let (id, run) = (if level == 0 { "main".to_owned() } else { format!("w{level}") }, level + 1);
        let step = format!("{{run: '#w{run}', in: {{x: x}}, out: [], when: '$(inputs.x)'}}");
        text += &format!(
            "- {{class: Workflow, id: {id}, inputs: {{x: boolean}}, outputs: [], steps: {{a: {step}, b: {step}}},
               requirements: {{SubworkflowFeatureRequirement: {{}}}}}}\n"
        );
    }
    text += "- {class: Operation, id: w40, inputs: {x: boolean}, outputs: []}\n";
    let driven = drive_all(node_of_document(text), r#"{"x": false}"#, 1);
    assert_eq!(driven.commands, ["prepare main", "merge a", "prepare a", "merge b", "prepare b"]);
}

#[test]
fn a_workflow_is_forgotten_when_its_step_is_over() {
    let driven = drive_all(node(NESTED), r#"{"x": [1, 2, 3]}"#, 2);
    assert_eq!((driven.graphs, driven.graphs_left), (2, 0));
}
