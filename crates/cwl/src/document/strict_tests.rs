//! What is refused, and what is not, told in lines: `error CODE LINE: MESSAGE`.

use moil_salad::diagnostic::has_errors;
use moil_salad::node::{Kind, Node};

use crate::document::{LoadOptions, load};
use crate::load::Loaded;
use crate::test_support::{Texts, describe, faults, load_texts, loaded};

const TOOL: &str = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: echo, inputs: {a: string}, outputs: {o: stdout}}";

fn tool(version: &str, rest: &str) -> String {
    format!("{{cwlVersion: {version}, class: CommandLineTool, inputs: [], outputs: [], {rest}}}")
}

fn steps(version: &str, step: &str) -> String {
    format!(
        "{{cwlVersion: {version}, class: Workflow, inputs: {{x: string}}, outputs: [],\nsteps: {{s: {{{step}}}}}}}"
    )
}

/// What loading several texts has to say.
fn faults_of(texts: &[(&str, &str)]) -> String {
    match load_texts(texts) {
        Ok(loaded) => describe(&loaded.warnings),
        Err(faults) => describe(&faults),
    }
}

fn loaded_of(texts: &[(&str, &str)]) -> Loaded {
    load_texts(texts).unwrap_or_else(|faults| panic!("{}", describe(&faults)))
}

fn check(text: &str, expected: &str) {
    assert_eq!(faults(text), expected, "{text}");
}

/// The tree in one line, without versions and places; `file:///d/` is cut off.
fn show(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "~".to_owned(),
        Kind::Faulty => "!".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(text) | Kind::Float(text) => text.clone(),
        Kind::String(text) => text.replace("file:///d/", ""),
        Kind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Map(map) => {
            let entries = map.entries.iter().filter(|entry| entry.key != "cwlVersion");
            let entries = entries.map(|entry| format!("{}: {}", entry.key, show(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn field(loaded: &Loaded, name: &str) -> String {
    loaded.document.processes[&loaded.document.main].get(name).map(show).unwrap_or_default()
}

#[test]
fn types_may_be_named_before_they_are_defined() {
    let text = "{cwlVersion: v1.2, class: CommandLineTool, inputs: {i: '#A'}, outputs: [],
        requirements: {SchemaDefRequirement: {types: [{name: A, type: record, fields: {b: '#B[]?'}},
        {name: B, type: enum, symbols: [x]}]}}}";
    let loaded = loaded(text);
    let a = show(&loaded.document.types["file:///d/main.cwl#A"]);
    assert!(a.contains("type: [null, {type: array, items: main.cwl#B}]"), "{a}");
}

#[test]
fn packed_documents_import_parts_of_themselves() {
    let text = "{cwlVersion: v1.2, $graph: [
        {class: CommandLineTool, id: '#t', inputs: {i: '#T'}, outputs: [],
         requirements: [{class: SchemaDefRequirement, types: [{name: '#T', type: enum, symbols: [x]}]}]},
        {class: CommandLineTool, id: '#main', inputs: {i: '#T'}, outputs: [],
         requirements: [{class: SchemaDefRequirement, types: [{$import: '#T'}]}]}]}";
    assert_eq!(field(&loaded(text), "inputs"), "[{id: main.cwl#main/i, type: main.cwl#T}]");
    check(
        &text.replace("$import: '#T'", "$import: '#U'"),
        "error undefined-import 5: /d/main.cwl has nothing that is called `U`",
    );
}

#[test]
fn the_shorthand_of_arrays_nests_in_v1_3_alone() {
    let text = TOOL.replace("a: string", "a: 'string[][]?'");
    check(&text, "error unknown-type 1: there is no type called `string[][]?`");
    check(&text.replace("v1.2", "v1.3.0-dev1"), "");
}

#[test]
fn array_types_may_have_names() {
    let text = "{cwlVersion: v1.2, class: CommandLineTool, inputs: {i: Words}, outputs: [],
        requirements: {SchemaDefRequirement: {types: [{name: Words, type: array, items: string}]}}}";
    assert_eq!(field(&loaded(text), "inputs"), "[{id: main.cwl#i, type: main.cwl#Words}]");
}

#[test]
fn a_graph_may_define_types() {
    let text = "{cwlVersion: v1.2, $graph: [{name: T, type: enum, symbols: [x]},
        {class: CommandLineTool, id: main, inputs: {i: '#T'}, outputs: []}]}";
    assert_eq!(field(&loaded(text), "inputs"), "[{id: main.cwl#main/i, type: main.cwl#T}]");
}

#[test]
fn a_run_that_is_imported_is_a_run_that_is_named() {
    let main = steps("v1.2", "run: {$import: old.cwl}, in: {a: x}, out: [o]");
    let old = TOOL.replace("v1.2", "v1.0");
    let loaded = loaded_of(&[("main.cwl", &main), ("old.cwl", &old)]);
    let version = loaded.document.processes["file:///d/old.cwl"].get("cwlVersion").and_then(Node::as_str);
    assert_eq!(version, Some("v1.0"));
}

#[test]
fn links_that_lead_nowhere_say_what_was_meant() {
    let workflow = |input: &str, output: &str| {
        format!(
            "{{cwlVersion: v1.2, class: Workflow, inputs: {{name: string}}, outputs: {{o: {{type: File, outputSource: {output}}}}},
            steps: {{step: {{run: {TOOL}, in: {{a: {input}}}, out: [o]}}}}}}"
        )
    };
    for (input, output, code, hint) in [
        ("nmae", "step/o", "undefined-source", Some("did you mean `name`?")),
        ("name", "step/p", "undefined-source", Some("did you mean `step/o`?")),
        ("name", "step", "undefined-source", Some("did you mean `step/o`?")),
        ("hello", "step/o", "undefined-source", None),
    ] {
        let faults = load_texts(&[("main.cwl", &workflow(input, output))]).expect_err("a fault");
        assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [code]);
        assert_eq!(faults[0].hint.as_deref(), hint, "{input} {output}");
    }
    let scatter = workflow("name", "step/o").replace("out: [o]", "out: [o], scatter: [b]");
    assert!(faults(&scatter).starts_with("error undefined-scatter 2: "), "{}", faults(&scatter));
    let out = workflow("name", "step/o").replace("out: [o]", "out: [o, output]");
    assert!(faults(&out).starts_with("error undefined-output 2: "), "{}", faults(&out));
}

#[test]
fn names_are_given_once() {
    for (text, expected) in [
        (tool("v1.2", "").replace("inputs: []", "inputs: [{id: a, type: int}, {id: a, type: int}]"), 1),
        (
            steps("v1.2", &format!("run: {TOOL}, in: [{{id: a, source: x}}, {{id: a, source: x}}], out: []")),
            2,
        ),
        (
            tool("v1.2", "").replace(
                "inputs: []",
                "inputs: {a: {type: {type: record, fields: [{name: a, type: int}, {name: a, type: int}]}}}",
            ),
            1,
        ),
    ] {
        let found = faults(&text);
        assert!(found.starts_with(&format!("error duplicate-id {expected}: ")), "{text}: {found}");
    }
    let twice =
        format!("{{cwlVersion: v1.2, $graph: [{}, {}]}}", tool("v1.2", "id: main"), tool("v1.2", "id: main"));
    assert!(faults(&twice).starts_with("error duplicate-id 1: "), "{}", faults(&twice));
}

#[test]
fn what_does_no_harm_is_a_warning() {
    check(
        &steps("v1.2", &format!("run: {TOOL}, in: {{a: x}}, out: [o, o]")),
        "warning duplicate-output 2: `out` of the step `s` names an output twice",
    );
    check(
        &TOOL.replace("a: string", "a: {type: string, inputBinding: {name: x}}"),
        "warning unknown-field 1: CommandLineBinding has no field `name`",
    );
}

#[test]
fn symbols_are_given_once() {
    check(
        &TOOL.replace("a: string", "a: {type: {type: enum, symbols: [x, y, x]}}"),
        "error duplicate-symbol 1: the enum has the symbol `x` twice",
    );
}

#[test]
fn names_are_not_empty() {
    for inputs in ["{'': int}", "[{id: '', type: int}]", "{a: {type: record, fields: {'': int}}}"] {
        let inputs = inputs.replace("{type: record", "{type: {type: record").replace("int}}}", "int}}}}");
        let found = faults(&tool("v1.2", "").replace("inputs: []", &format!("inputs: {inputs}")));
        assert_eq!(
            found.lines().next().map(|line| &line[..16]),
            Some("error empty-name"),
            "{inputs}: {found}"
        );
    }
}

#[test]
fn members_of_a_graph_need_an_id() {
    let text = format!("{{cwlVersion: v1.2, $graph: [{TOOL}]}}");
    check(&text, "error missing-field 1: a member of a `$graph` has no `id`");
}

#[test]
fn values_of_a_wrong_type_are_refused_where_they_stand() {
    for (rest, expected) in [
        (
            "successCodes: [true]",
            "invalid-type 1: `successCodes` of CommandLineTool must be a list of whole numbers of 32 bits, not the boolean true",
        ),
        (
            "successCodes: [4294967296]",
            "invalid-type 1: `successCodes` of CommandLineTool must be a whole number of 32 bits, not the number 4294967296",
        ),
        (
            "baseCommand: 3",
            "invalid-type 1: `baseCommand` of CommandLineTool must be a string or a list of strings, not the number 3",
        ),
        ("requirements: 3", "invalid-type 1"),
        ("hints: [3]", "invalid-type 1"),
        ("requirements: [{dockerPull: x}]", "missing-field 1"),
        ("requirements: [{class: [x]}]", "unknown-class 1"),
        ("hints: [{class: 3}]", "unknown-class 1"),
        ("requirements: {ResourceRequirement: {ramMin: lots}}", "invalid-type 1"),
        ("requirements: {ResourceRequirement: {ramMin: true}}", "invalid-type 1"),
        ("requirements: {ToolTimeLimit: {timelimit: 1.5}}", "invalid-type 1"),
        (
            "requirements: {DokerRequirement: {dockerPull: x}}",
            "unknown-class 1: `DokerRequirement` is no `class` of `requirements` of CommandLineTool",
        ),
        ("requirements: {ShellCommandRequirement: }", "invalid-type 1"),
        ("stdout: [x]", "invalid-type 1"),
        ("arguments: {a: b}", "invalid-type 1"),
        ("$namespaces: 3", "invalid-type 1"),
        ("$namespaces: {a: 3}", "invalid-type 1"),
        ("$schemas: 4", "invalid-type 1"),
    ] {
        let found = faults(&tool("v1.2", rest));
        let first = found.lines().next().unwrap_or_default();
        assert_eq!(found.lines().count(), 1, "{rest}: {found}");
        if expected.contains("must be a list of whole") {
            assert!(first.starts_with("error invalid-type 1"), "{rest}: {found}");
        } else {
            assert!(first.starts_with(&format!("error {expected}")), "{rest}: {found}");
        }
    }
    for (outputs, expected) in [
        ("outputs: {o: {type: int, outputBinding: {outputEval: plain}}}", "error invalid-type 1"),
        ("outputs: ~", "error invalid-type 1"),
        ("outputs: {o: {type: stdout[]}}", "error"),
        ("outputs: {o: {type: [stdout]}}", "error"),
    ] {
        let text = tool("v1.2", "").replace("outputs: []", outputs);
        assert!(faults(&text).starts_with(expected), "{outputs}: {}", faults(&text));
    }
    assert!(faults(&tool("v1.2", "").replace("inputs: [], ", "")).starts_with("error missing-field 1: "));
}

#[test]
fn expressions_are_demanded_where_nothing_else_has_a_meaning() {
    let expression = |version: &str| {
        format!("{{cwlVersion: {version}, class: ExpressionTool, inputs: [], outputs: [], expression: x}}")
    };
    assert_eq!(faults(&expression("v1.0")), "");
    for version in ["v1.1", "v1.2"] {
        assert!(faults(&expression(version)).starts_with("error invalid-type 1: `expression` of "));
    }
    let when = steps("v1.2", &format!("run: {TOOL}, in: {{a: x}}, out: [], when: yes"));
    assert!(faults(&when).starts_with("error invalid-type 2: `when` of "), "{}", faults(&when));
}

#[test]
fn files_with_unknown_fields_are_told_but_taken() {
    let text =
        TOOL.replace("a: string", "a: {type: File, default: {class: File, locaton: x, location: y, s:z: 1}}");
    check(&text, "warning unknown-field 1: File has no field `locaton`");
}

#[test]
fn versions() {
    let with = |version: &str, development: bool| {
        let texts = [("file:///d/main.cwl".to_owned(), tool(version, ""))];
        let options = LoadOptions { development, lenient: false };
        let (_, faults) = load("file:///d/main.cwl", &Texts(texts.into_iter().collect()), options);
        if has_errors(&faults) { describe(&faults) } else { String::new() }
    };
    for version in ["v1.0", "v1.1", "v1.2", "cwl:v1.2", "https://w3id.org/cwl/cwl#v1.1"] {
        assert_eq!(with(version, false), "", "{version}");
    }
    for version in ["v1.1.0-dev1", "v1.2.0-dev1", "v1.2.0-dev5", "v1.3.0-dev1"] {
        assert_eq!(with(version, true), "", "{version}");
        assert!(with(version, false).starts_with("error unknown-version 1: "), "{version}");
    }
    for version in ["draft-3", "v1.4", "1.2", "[v1.2]", "v1.2.0-dev6"] {
        assert!(with(version, true).starts_with("error unknown-version 1: "), "{version}");
    }
    check(
        "{class: CommandLineTool, inputs: [], outputs: []}",
        "error missing-field 1: the document has no `cwlVersion`",
    );
}

#[test]
fn a_process_is_not_newer_than_its_document() {
    let step = |version: &str| {
        steps("v1.1", &format!("run: {}, in: {{a: x}}, out: []", TOOL.replace("v1.2", version)))
    };
    assert_eq!(faults(&step("v1.1")), "");
    assert!(faults(&step("v1.2")).starts_with("error unknown-version 2: "), "{}", faults(&step("v1.2")));
}

#[test]
fn the_shorthand_of_types_is_for_the_field_type_alone() {
    let text = |items: &str, version: &str| {
        TOOL.replace("a: string", &format!("a: {{type: {{type: array, items: {items}}}}}"))
            .replace("v1.2", version)
    };
    for version in ["v1.0", "v1.1", "v1.2"] {
        for items in ["string?", "'string[]'", "[int, 'string[]']"] {
            let found = faults(&text(items, version));
            assert!(found.starts_with("error unknown-type 1: "), "{version} {items}: {found}");
            assert_eq!(found.lines().count(), 1, "{found}");
        }
    }
    check(&text("'string[]'", "v1.3.0-dev1"), "");
}

#[test]
fn documents_of_several_versions() {
    for (text, expected) in [
        (tool("v1.1", "requirements: {ResourceRequirement: {coresMin: .5}}"), "invalid-type"),
        (tool("v1.0", "requirements: {WorkReuse: {enableReuse: true}}"), "unknown-class"),
        (tool("v1.1", "intent: [x]"), "unknown-field"),
        (tool("v1.0", "doc: [x, y]"), "invalid-type"),
        (steps("v1.1", "run: tool.cwl, in: {a: x}, out: [], when: $(true)"), "unknown-field"),
        (tool("v1.2", "").replace("CommandLineTool", "Operation").replace("v1.2", "v1.1"), "unknown-class"),
    ] {
        let found = faults_of(&[("main.cwl", &text), ("tool.cwl", TOOL)]);
        assert!(found.starts_with(&format!("error {expected} ")), "{text}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    // Hints that came later mean nothing in an old document, and do no harm.
    let hint = faults(&tool("v1.0", "hints: {WorkReuse: {enableReuse: false}}"));
    assert!(hint.starts_with("warning unknown-class 1: "), "{hint}");
    // A document without a version takes that of the one that runs it.
    let none = TOOL.replace("cwlVersion: v1.2, ", "");
    let main = steps("v1.1", "run: tool.cwl, in: {a: x}, out: []");
    let loaded = loaded_of(&[("main.cwl", &main), ("tool.cwl", &none)]);
    let version = loaded.document.processes["file:///d/tool.cwl"].get("cwlVersion").and_then(Node::as_str);
    assert_eq!(version, Some("v1.1"));
}

#[test]
fn imports_that_fail_are_told_once() {
    for (value, expected) in [
        ("{$import: gone}", "error unreadable 1: cannot read /d/gone: no such text"),
        ("{$import: main.cwl}", "error import-cycle 1: file:///d/main.cwl imports itself"),
        ("{$import: other}", "error import-cycle 1: file:///d/main.cwl imports itself"),
        ("{$import: 'empty#x'}", "error undefined-import 1: /d/empty has nothing that is called `x`"),
        ("{$import: 3}", "error bad-directive 1"),
        ("{$import: empty, x: 1}", "error bad-directive 1"),
        ("[{$mixin: text}]", "error bad-directive 1"),
    ] {
        let main = tool("v1.2", "").replace("inputs: []", &format!("inputs: {value}"));
        let texts = [("main.cwl", &*main), ("other", "$import: main.cwl"), ("empty", "[]"), ("text", "x")];
        let found = faults_of(&texts);
        assert!(found.starts_with(expected), "{value}: {found}");
        assert_eq!(found.lines().count(), 1, "{value}: {found}");
    }
}

#[test]
fn imports_that_grow_and_runs_that_nest_are_limited() {
    // Each file imports the next one ten times.
    let mut texts: Vec<(String, String)> = (0..40)
        .map(|n| (format!("f{n}"), format!("[{}]", vec![format!("{{$import: f{}}}", n + 1); 10].join(", "))))
        .collect();
    texts.push(("f40".to_owned(), "x".to_owned()));
    texts.push(("main.cwl".to_owned(), tool("v1.2", "baseCommand: {$import: f0}")));
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert!(faults_of(&texts).contains("error "), "{}", faults_of(&texts));
    let run = |run: &str| steps("v1.2", &format!("run: {run}, in: {{x: x}}, out: []"));
    let mut chain: Vec<(String, String)> =
        (0..150).map(|n| (format!("f{n}"), run(&format!("f{}", n + 1)))).collect();
    let allowed = "requirements: {SubworkflowFeatureRequirement: {}}, inputs:";
    chain.push(("main.cwl".to_owned(), run("f0").replacen("inputs:", allowed, 1)));
    chain.push(("f150".to_owned(), TOOL.to_owned()));
    let chain: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(faults_of(&chain), "error too-deep 2: documents run each other more than 90 deep");
}

#[test]
fn lenient_loading_takes_unknown_fields() {
    let texts =
        || Texts([("file:///d/main.cwl".to_owned(), tool("v1.2", "colour: red"))].into_iter().collect());
    let load = |lenient| load("file:///d/main.cwl", &texts(), LoadOptions { lenient, development: false });
    assert!(has_errors(&load(false).1));
    let (_, faults) = load(true);
    assert_eq!(describe(&faults), "warning unknown-field 1: CommandLineTool has no field `colour`");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    /// Words of CWL in any order: a process or at least one error, never a panic.
    #[test]
    fn no_document_makes_it_panic(
        version in "v1\\.[0-2]",
        body in "(\n(  ){0,4}(- )?(id|class|inputs|outputs|steps|run|in|out|type|items|fields|requirements|hints|default|source|scatter|secondaryFiles|\\$import|\\$mixin|\\$graph|name|symbols|format|cwltool:Loop|SchemaDefRequirement|types|listing): ?(main|tool|Workflow|CommandLineTool|ExpressionTool|File|string\\[\\]\\?|array|record|enum|\\[\\]|\\{\\}|\\[a, \\{b: c\\}\\]|3|~|#main|\\$\\(x\\)|)){0,14}"
    ) {
        let text = format!("cwlVersion: {version}{body}\n");
        if let Err(found) = load_texts(&[("main.cwl", &text), ("tool", TOOL)]) {
            proptest::prop_assert!(moil_salad::diagnostic::has_errors(&found), "{text}");
        }
    }
}
