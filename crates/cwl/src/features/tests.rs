use super::*;
use crate::test_support::{describe, faults, loaded};

/// A workflow in a workflow that uses every feature.
fn text(outer: &str, step: &str) -> String {
    format!(
        "{{cwlVersion: v1.2, class: Workflow, requirements: [{outer}], inputs: {{x: 'int[]'}}, outputs: [],
          steps: {{s: {{requirements: [{step}], in: {{a: x}}, out: [], run:
            {{class: Workflow, inputs: {{a: 'int[]'}}, outputs: [], steps: {{t: {{
              run: {{class: Operation, inputs: {{i: int, j: {{type: {{type: array, items: {{type: array, items: int}}}}}}, k: string}}, outputs: []}},
              in: {{i: a, j: {{source: [a, a]}}, k: {{valueFrom: x}}}}, scatter: i, out: []}}}}}}}}}}}}"
    )
}

const ALL: [&str; 4] = [
    "SubworkflowFeatureRequirement",
    "ScatterFeatureRequirement",
    "MultipleInputFeatureRequirement",
    "StepInputExpressionRequirement",
];

#[test]
fn a_feature_that_is_used_must_be_asked_for() {
    for missing in ALL {
        let list = |names: Vec<&str>| {
            names.iter().map(|name| format!("{{class: {name}}}")).collect::<Vec<_>>().join(", ")
        };
        let stated = list(ALL.into_iter().filter(|name| *name != missing).collect());
        let found = faults(&text(&stated, ""));
        let is_warning = missing.starts_with("Multiple") || missing.starts_with("StepInput");
        let severity = if is_warning { "warning" } else { "error" };
        assert!(found.starts_with(&format!("{severity} missing-requirement")), "{missing}: {found}");
        assert!(found.contains(missing) && found.lines().count() == 1, "{missing}: {found}");
        // The step may state it as well.
        let found = faults(&text(&stated, &list(vec![missing])));
        assert_eq!(found, "", "{missing}");
    }
}

#[test]
fn all_missing_features_are_told_at_once() {
    assert_eq!(faults(&text("", "")).lines().count(), 4);
}

#[test]
fn a_value_from_keeps_a_workflow_from_running_unless_another_asks_for_it() {
    let stated = ALL.map(|name| format!("{{class: {name}}}"));
    let without = loaded(&text(&stated[..3].join(", "), ""));
    let found = describe(&check_to_run(&without.process, &Inherited::default()));
    assert!(found.starts_with("error missing-requirement"), "{found}");
    let with = loaded(&text(&stated.join(", "), ""));
    assert_eq!(describe(&check_to_run(&with.process, &Inherited::default())), "");
}
