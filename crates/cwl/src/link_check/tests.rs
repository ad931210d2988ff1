use crate::test_support::faults;

/// A workflow with a step that takes `i` of type `sink`, and what the link check says of its input.
fn check(inputs: &str, first: &str, sink: &str, input: &str, step: &str) -> String {
    let text = format!(
        "cwlVersion: v1.2
class: Workflow
requirements: {{InlineJavascriptRequirement: {{}}, ScatterFeatureRequirement: {{}}, MultipleInputFeatureRequirement: {{}}, StepInputExpressionRequirement: {{}}}}
inputs: {{{inputs}}}
outputs: []
steps:
  first:
    run: {{class: Operation, inputs: {{}}, outputs: {{o: {first}}}}}
    in: {{go: {{default: true}}}}
    out: [o]
    when: $(inputs.go)
  plain:
    run: {{class: Operation, inputs: {{}}, outputs: {{o: {first}}}}}
    in: []
    out: [o]
  last:
    run: {{class: Operation, inputs: {{i: {{type: {sink}}}}}, outputs: {{}}}}
    in: {{i: {input}}}
    out: []
{step}"
    );
    let found = faults(&text);
    found
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn sources_must_fit_their_sinks() {
    for (inputs, input, sink, expected) in [
        ("x: int", "x", "int", ""),
        ("x: int", "x", "string", "error type-mismatch"),
        ("x: int", "x", "long", "error type-mismatch"),
        ("x: int?", "x", "int", "warning type-may-mismatch"),
        ("x: int?", "{source: x, default: 1}", "int", ""),
        ("x: {type: 'int?', default: 3}", "x", "int", ""),
        ("x: Any", "x", "File", ""),
        ("x: int", "{source: x, valueFrom: a}", "string", ""),
        // Several sources are nested.
        ("x: int, y: int", "{source: [x, y]}", "'int[]'", ""),
        ("x: int, y: int", "{source: [x, y]}", "int", "error type-mismatch; error type-mismatch"),
        ("x: int, y: string", "{source: [x, y]}", "'int[]'", "error type-mismatch"),
        ("x: 'int[]', y: int", "{source: [x, y], linkMerge: merge_flattened}", "'int[]'", ""),
        // A list of one is not merged, unless it is said.
        ("x: int", "{source: [x]}", "int", ""),
        ("x: int", "{source: [x]}", "'int[]'", "error type-mismatch"),
        ("x: int", "{source: [x], linkMerge: merge_nested}", "'int[]'", ""),
        // Of several, one is picked.
        ("x: int?, y: int", "{source: [x, y], pickValue: first_non_null}", "int", ""),
        ("x: int?, y: int?", "{source: [x, y], pickValue: all_non_null}", "'int[]'", ""),
        (
            "x: int?, y: int?",
            "{source: [x, y], pickValue: all_non_null}",
            "int",
            "error type-mismatch; error type-mismatch",
        ),
        (
            "x: {type: {type: array, items: ['null', int]}}",
            "{source: x, pickValue: first_non_null}",
            "int",
            "",
        ),
        ("x: int?", "{source: x, pickValue: first_non_null}", "int", "warning pick-of-one"),
        // As they are merged, though the source is no list.
        ("x: int", "{source: x, linkMerge: merge_nested}", "'int[]'", ""),
        ("x: int", "{source: x, linkMerge: merge_flattened}", "'int[]'", ""),
        ("x: int?", "{default: null}", "int", "error no-value"),
    ] {
        assert_eq!(check(inputs, "int", sink, input, ""), expected, "{inputs} {input} {sink}");
    }
}

#[test]
fn scatter_takes_lists_and_when_gives_null() {
    for (first, input, sink, step, expected) in [
        ("'int[]'", "plain/o", "int", "    scatter: i", ""),
        ("int", "plain/o", "int", "    scatter: i", "error type-mismatch"),
        ("int", "first/o", "int", "", "warning conditional-source"),
        ("int", "first/o", "'int?'", "", ""),
        ("int", "{source: first/o, default: 1}", "int", "", ""),
        ("int", "{source: [first/o, plain/o], pickValue: first_non_null}", "int", "", ""),
    ] {
        assert_eq!(check("", first, sink, input, step), expected, "{first} {input} {sink} {step}");
    }
}

#[test]
fn the_output_of_a_scattered_step_is_a_list_for_each_level() {
    let text = |method: &str, when: &str, type_: &str| {
        format!(
            "{{cwlVersion: v1.2, class: Workflow, requirements: {{ScatterFeatureRequirement: {{}}}}, inputs: {{x: 'int[]'}},
              outputs: {{o: {{type: {type_}, outputSource: s/o}}}},
              steps: {{s: {{run: {{class: Operation, inputs: {{a: int, b: int}}, outputs: {{o: int}}}}, in: {{a: x, b: x}},
                out: [o], scatter: [a, b], scatterMethod: {method}{when}}}}}}}"
        )
    };
    assert_eq!(faults(&text("dotproduct", "", "'int[]'")), "");
    assert_eq!(faults(&text("flat_crossproduct", "", "'int[]'")), "");
    let nested = "{type: array, items: {type: array, items: int}}";
    assert_eq!(faults(&text("nested_crossproduct", "", nested)), "");
    assert!(faults(&text("nested_crossproduct", "", "'int[]'")).starts_with("error type-mismatch"));
    assert_eq!(faults(&text("dotproduct", ", when: $(inputs.a)", "{type: array, items: ['null', int]}")), "");
    // `pickValue` picks from the list of one link.
    let picked =
        text("dotproduct", ", when: $(inputs.a)", "int").replace("s/o}", "s/o, pickValue: first_non_null}");
    assert_eq!(faults(&picked), "");
    assert!(
        faults(&text("dotproduct", ", when: $(inputs.a)", "'int[]'"))
            .starts_with("warning type-may-mismatch")
    );
}

#[test]
fn a_mismatch_is_told_with_both_places_in_words() {
    let text = "cwlVersion: v1.2
class: Workflow
inputs:
  x: File[]?
outputs:
  o:
    type: string
    outputSource: x
steps: []
";
    let faults = crate::test_support::load_text(text).expect_err("a mismatch");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].message, "the input `x` is of type File[]?, but the output `o` takes string");
    let lines: Vec<u32> = faults[0].related.iter().map(|(place, _)| place.line).collect();
    assert_eq!(lines.len(), 2, "{faults:?}");
}

#[test]
fn secondary_files_that_are_needed_must_be_declared() {
    let text = |given: &str| {
        format!(
            "{{cwlVersion: v1.2, class: Workflow, inputs: {{x: {{type: File{given}}}}}, outputs: [],
              steps: {{s: {{run: {{class: Operation, inputs: {{i: {{type: File, secondaryFiles: [.bai, .opt?]}}}}, outputs: {{}}}},
                in: {{i: x}}, out: []}}}}}}"
        )
    };
    assert_eq!(faults(&text(", secondaryFiles: [.bai]")), "");
    let found = faults(&text(""));
    assert!(
        found.starts_with("warning missing-secondary-files") && found.contains("`.bai`, which"),
        "{found}"
    );
}

#[test]
fn steps_that_wait_for_each_other_are_named() {
    let step = |name: &str, source: &str| {
        format!(
            "{name}: {{run: {{class: Operation, inputs: {{i: int}}, outputs: {{o: int}}}}, in: {{i: {source}/o}}, out: [o]}}"
        )
    };
    let text = |steps: &[String]| {
        format!(
            "{{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [], steps: {{{}}}}}",
            steps.join(", ")
        )
    };
    let found = faults(&text(&[step("a", "c"), step("b", "a"), step("c", "b")]));
    assert!(found.contains("error circular-steps") && found.contains("b → c → a → b"), "{found}");
    let found = faults(&text(&[step("a", "a")]));
    assert!(found.contains("the step `a` takes its own output"), "{found}");
}

#[test]
fn an_input_that_the_process_has_not_is_welcome_where_it_is_used() {
    let text = |when: &str| {
        format!(
            "{{cwlVersion: v1.2, class: Workflow, inputs: {{x: int}}, outputs: [],
              steps: {{s: {{run: {{class: Operation, inputs: {{}}, outputs: {{}}}}, in: {{go: x}}, out: []{when}}}}}}}"
        )
    };
    assert!(faults(&text("")).starts_with("warning unused-input"));
    assert_eq!(faults(&text(", when: $(inputs.go)")), "");
}
