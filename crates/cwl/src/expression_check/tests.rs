use crate::test_support::faults;

fn tool(rest: &str) -> String {
    format!("{{cwlVersion: v1.2, class: CommandLineTool, inputs: {{a: int}}, outputs: [],\n{rest}}}")
}

fn check(text: &str, expected: &[&str]) {
    let found = faults(text);
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{text}");
}

const JAVASCRIPT: &str = "requirements: {InlineJavascriptRequirement: {}},\n";

#[test]
fn every_field_that_may_hold_an_expression_is_checked() {
    for field in [
        "stdout: $(1 +)",
        "stdin: $(1 +)",
        "stderr: x$(1 +)",
        "arguments: [$(1 +)]",
        "arguments: [{valueFrom: $(1 +)}]",
        "arguments: [{position: $(1 +), valueFrom: x}]",
        "hints: {ResourceRequirement: {ramMin: $(1 +)}}",
        "hints: {EnvVarRequirement: {envDef: {A: $(1 +)}}}",
        "hints: {WorkReuse: {enableReuse: $(1 +)}}",
        "hints: {NetworkAccess: {networkAccess: $(1 +)}}",
        "hints: {ToolTimeLimit: {timelimit: $(1 +)}}",
        "hints: {InitialWorkDirRequirement: {listing: $(1 +)}}",
        "hints: {InitialWorkDirRequirement: {listing: [{entryname: x, entry: $(1 +)}]}}",
        "hints: {InitialWorkDirRequirement: {listing: [{entryname: $(1 +), entry: x}]}}",
    ] {
        let found = faults(&tool(&format!("{JAVASCRIPT}{field}")));
        assert!(
            found.starts_with("warning invalid-expression 3: $(1 +) is not JavaScript: ")
                && found.lines().count() == 1,
            "{field}: {found}"
        );
    }
    for parameter in [
        "{type: File, secondaryFiles: $(1 +)}",
        "{type: File, secondaryFiles: {pattern: x, required: $(1 +)}}",
        "{type: File, format: $(1 +)}",
        "{type: int, inputBinding: {position: $(1 +)}}",
        "{type: int, inputBinding: {valueFrom: $(1 +)}}",
        "{type: {type: array, items: int, inputBinding: {valueFrom: $(1 +)}}}",
        "{type: {type: record, fields: {f: {type: int, inputBinding: {valueFrom: $(1 +)}}}}}",
    ] {
        let text = tool(JAVASCRIPT).replace("a: int", &format!("a: {parameter}"));
        assert!(
            faults(&text).starts_with("warning invalid-expression 1: "),
            "{parameter}: {}",
            faults(&text)
        );
    }
    for binding in ["{glob: $(1 +)}", "{outputEval: $(1 +)}"] {
        let output = format!("outputs: {{o: {{type: Any, outputBinding: {binding}}}}}");
        let text = tool(JAVASCRIPT).replace("outputs: []", &output);
        assert!(faults(&text).starts_with("warning invalid-expression 1: "), "{binding}: {}", faults(&text));
    }
}

#[test]
fn without_javascript_expressions_are_parameter_references() {
    check(&tool("stdout: $(inputs.a)"), &[]);
    check(
        &tool("stdout: $(inputs.a + 1)"),
        &["warning invalid-expression 2: $(inputs.a + 1) is not a parameter reference"],
    );
    check(
        &tool("stdout: $(inputs.a"),
        &["warning unfinished-expression 2: $(inputs.a does not end: a bracket or quote is not closed"],
    );
}

#[test]
fn javascript_may_be_inherited() {
    let workflow = |requirement: &str, of_step: &str| {
        format!(
            "{{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [], requirements: [{requirement}],
            steps: {{s: {{in: [], out: [], requirements: [{of_step}],
            run: {{class: CommandLineTool, inputs: [], outputs: [], stdout: '$(1 + 1)$(\\'a\\'.'}}}}}}}}"
        )
    };
    let javascript = "class: InlineJavascriptRequirement";
    let unfinished = "error unfinished-expression 3: $('a'. does not end: a bracket or quote is not closed";
    let reference = "warning invalid-expression 3: $(1 + 1) is not a parameter reference";
    for (requirement, of_step) in [(javascript, ""), ("", javascript)] {
        let text = workflow(requirement, of_step).replace("'$(1 + 1)$(\\'a\\'.'", "\"$(1 + 1)$('a'.\"");
        check(&text, &[unfinished]);
    }
    let text = workflow("", "").replace("'$(1 + 1)$(\\'a\\'.'", "\"$(1 + 1)$('a'.\"");
    check(&text, &[reference, &unfinished.replace("error", "warning")]);
}

#[test]
fn libraries_are_checked() {
    let library = |code: &str| {
        tool(&format!("requirements: {{InlineJavascriptRequirement: {{expressionLib: [\n\"{code}\"]}}}}"))
    };
    check(&library("function f() { return 1; }"), &[]);
    let found = faults(&library("function f( { return 1; }"));
    assert!(
        found.starts_with("warning invalid-expression 3: a part of `expressionLib` is not JavaScript: "),
        "{found}"
    );
}
