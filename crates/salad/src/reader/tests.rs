use proptest::prelude::*;

use super::*;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { uri: "file:///doc.cwl".into(), text: text.into() })
}

/// A node as JSON-like text, without places.
fn show(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".into(),
        Kind::Faulty => "faulty".into(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(text) => format!("int({text})"),
        Kind::Float(text) => format!("float({text})"),
        Kind::String(text) => format!("{text:?}"),
        Kind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Map(map) => {
            let entries: Vec<String> =
                map.entries.iter().map(|entry| format!("{}: {}", entry.key, show(&entry.value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn check(text: &str, expected: &str) {
    let (node, diagnostics) = read(&source(text));
    assert!(diagnostics.is_empty(), "{text:?}: {diagnostics:?}");
    assert_eq!(show(&node.expect("a node")), expected, "{text:?}");
}

fn fails(text: &str, code: &str) -> Diagnostic {
    let (_, diagnostics) = read(&source(text));
    let found = diagnostics.iter().find(|diagnostic| diagnostic.code == code);
    found.unwrap_or_else(|| panic!("{:.200}: no {code} in {diagnostics:?}", text)).clone()
}

#[test]
fn yaml_and_json_become_nodes() {
    check("a: 1\nb: [x, 'y', 2.5]\n", r#"{a: int(1), b: ["x", "y", float(2.5)]}"#);
    check(r#"{"a": {"b": null, "c": "1"}}"#, r#"{a: {b: null, c: "1"}}"#);
    check("", "null");
    check("# only a comment\n", "null");
    check("a: |\n  x\n  y\n", "{a: \"x\\ny\\n\"}");
    check("a: !!str 5", r#"{a: "5"}"#);
    check("1: x\ntrue: y", r#"{1: "x", true: "y"}"#);
}

#[test]
fn surrogates_of_json_are_one_character() {
    check(r#""\ud83d\ude00""#, "\"😀\"");
}

#[test]
fn places_are_those_of_the_text() {
    let (node, _) = read(&source("a:\n  - x\n  - y: z\n"));
    let node = node.expect("a node");
    let list = node.get("a").and_then(Node::as_list).expect("a list");
    assert_eq!((list[1].place.line, list[1].place.column), (3, 5));
    assert_eq!(list[1].get("y").map(|y| y.place.column), Some(8));
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    check("a: &x [1]\nb: *x", "{a: [int(1)], b: [int(1)]}");
    check(
        "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3",
        "{a: {p: int(1), q: int(2)}, b: {q: int(3), p: int(1)}}",
    );
    check(
        "a: &x {p: 1}\nb: &y {q: 2}\nc: {<<: [*x, *y]}",
        "{a: {p: int(1)}, b: {q: int(2)}, c: {p: int(1), q: int(2)}}",
    );
    check("'<<': 1", "{<<: int(1)}");
}

#[test]
fn duplicate_keys_are_told_with_both_places() {
    let diagnostic = fails("a: 1\nb: 2\na: 3\n", "duplicate-key");
    assert_eq!(diagnostic.place.map(|place| place.line), Some(3));
    assert_eq!(diagnostic.related.first().map(|(place, _)| place.line), Some(1));
}

#[test]
fn what_cannot_be_read_is_refused_with_a_place() {
    assert_eq!(fails("a: [1, 2", "syntax").place.map(|place| place.line > 0), Some(true));
    fails("a: *nowhere", "syntax");
    fails("a: b: c", "syntax");
    fails("a: 1\n---\nb: 2\n", "several-documents");
    fails("[a, b]: c", "complex-key");
    fails("a: {<<: 5}", "bad-merge");
    fails("a: &x [*x]", "unknown-alias");
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = level - 1;
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", ")));
    }
    fails(&text, "alias-bomb");
}

#[test]
fn deep_nesting_is_refused() {
    fails(&format!("{}1{}", "[".repeat(220), "]".repeat(220)), "too-deep");
    fails(&format!("{}1{}", "{a: ".repeat(220), "}".repeat(220)), "too-deep");
    // The scanner has a limit of its own, which such texts meet first.
    fails(&"[".repeat(100_000), "syntax");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = read(&source(&text));
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(
        text in proptest::collection::vec(prop_oneof![
            Just("- "), Just("a: "), Just("&x "), Just("*x"), Just("\n"), Just("  "), Just("{"), Just("}"),
            Just("["), Just("]"), Just(", "), Just("<<: "), Just("'"), Just("\""), Just("|\n"), Just("? "),
            Just("!!str "), Just("#"), Just("---\n"), Just("\t"), Just("1e400"), Just("\\ud800"),
        ], 0..60)
    ) {
        let _ = read(&source(&text.concat()));
    }
}

#[test]
fn slips_of_syntax_come_with_a_hint() {
    for (text, hint) in [
        ("a:\n\tb: 1", "tabs"),
        ("a: b\n\tc: d", "tabs"),
        ("a: @x", "quotes"),
        ("label: one: two", "quotes"),
        ("a: *x", "`&`"),
    ] {
        let fault = fails(text, "syntax");
        assert!(fault.hint.as_deref().is_some_and(|given| given.contains(hint)), "{text:?}: {fault:?}");
    }
}
