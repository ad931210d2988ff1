use super::*;
use crate::diagnostic::has_errors;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { uri: "file:///t.yml".to_owned(), text: text.to_owned() })
}

/// The tree as one line: scalars by kind, everything with its place if `places`.
fn show(node: &Node, places: bool) -> String {
    let text = match &node.kind {
        Kind::Null => "~".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(text) => format!("i{text}"),
        Kind::Float(text) => format!("f{text}"),
        Kind::String(text) => format!("{text:?}"),
        Kind::List(items) => {
            format!("[{}]", items.iter().map(|n| show(n, places)).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(map) => {
            let entries = map.entries.iter().map(|entry| {
                if places {
                    let at = &entry.key_place;
                    format!("{}@{}:{}: {}", entry.key, at.line, at.column, show(&entry.value, places))
                } else {
                    format!("{}: {}", entry.key, show(&entry.value, places))
                }
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    };
    if places { format!("{text}@{}:{}", node.place.line, node.place.column) } else { text }
}

fn faults(diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| {
        let place = d.place.as_ref().map(|p| format!("{}:{}", p.line, p.column)).unwrap_or_default();
        let related: String =
            d.related.iter().map(|(p, note)| format!(" ({}:{} {note})", p.line, p.column)).collect();
        format!("{place} {}{related}", d.code)
    };
    diagnostics.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn check(text: &str, expected: &str) {
    let (node, diagnostics) = read(&source(text));
    assert_eq!(faults(&diagnostics), "", "{text:?}");
    assert_eq!(node.map(|n| show(&n, false)).unwrap_or_default(), expected, "{text:?}");
}

fn check_fault(text: &str, expected: &str) {
    let (_, diagnostics) = read(&source(text));
    assert_eq!(faults(&diagnostics), expected, "{text:?}");
}

#[test]
fn yaml_and_json_become_nodes() {
    check("", "~");
    check("# only a comment\n", "~");
    check("a: 1\nb: [x, 'y', \"z\"]\n", r#"{a: i1, b: ["x", "y", "z"]}"#);
    check("{\"a\": {\"b\": 1.50, \"c\": null}}", "{a: {b: f1.50, c: ~}}");
    check("{\"a\":1,\"b\":[]}", "{a: i1, b: []}");
    check("a: '1'\nb: !!str 2\nc: !!int '3'\nd: ! 4", r#"{a: "1", b: "2", c: i3, d: "4"}"#);
    check("1: a\nnull: b\ntrue: c", r#"{1: "a", null: "b", true: "c"}"#);
    check("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{a: "x\ny\n", b: "x y"}"#);
    check("a: |\n  text", r#"{a: "text"}"#);
    check("\u{feff}a: b", r#"{a: "b"}"#);
    check("\"\\ud83d\\ude00\"", "\"😀\"");
    check("\"a\\/b\"", "\"a/b\"");
    check("%YAML 1.1\n---\na: yes\n", "{a: true}");
    check("a: yes", r#"{a: "yes"}"#);
    check("a:\n- b\n- c: d\n  e: f", r#"{a: ["b", {c: "d", e: "f"}]}"#);
    check("key:\n  sub: $(inputs.x)", r#"{key: {sub: "$(inputs.x)"}}"#);
}

#[test]
fn every_node_and_key_has_its_place() {
    let (node, _) = read(&source("a: 1\nb:\n  - ü: x\n    c: [y]\n"));
    let shown = node.map(|n| show(&n, true)).unwrap_or_default();
    assert_eq!(shown, r#"{a@1:1: i1@1:4, b@2:1: [{ü@3:5: "x"@3:8, c@4:5: ["y"@4:9]@4:8}@3:5]@3:3}@1:1"#);
}

#[test]
fn anchors_aliases_and_merge_keys() {
    check("a: &x [1]\nb: *x", "{a: [i1], b: [i1]}");
    check("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", "{a: {p: i1, q: i2}, b: {q: i3, p: i1}}");
    check("<<: [{b: 1}, {b: 2, c: 3}]\nd: 4", "{d: i4, b: i1, c: i3}");
    check("'<<': 1", "{<<: i1}");
    check("&k a: 1\nb: *k", r#"{a: i1, b: "a"}"#);
    check_fault("a: *x", "1:4 alias");
    check_fault("a: &x [*x]", "1:8 alias (1:7 the value begins here)");
    check_fault("<<: 3", "1:1 merge-key");
}

#[test]
fn faults_name_both_places() {
    check_fault(
        "a: 1\nb: 2\na: 3\nb: 4",
        "3:1 duplicate-key (1:1 first given here); 4:1 duplicate-key (2:1 first given here)",
    );
    check_fault("{\"a\": 1, \"a\": 2}", "1:10 duplicate-key (1:2 first given here)");
    check_fault("1: a\n'1': b", "2:1 duplicate-key (1:1 first given here)");
    check_fault("? [a]\n: b", "1:3 key-not-scalar");
    check_fault("a: b\n---\nc: d", "2:1 more-documents");
    check_fault("a: !foo b", "1:9 unknown-tag");
}

#[test]
fn syntax_errors_have_a_place_and_a_hint() {
    for (text, hint) in [
        ("a:\n\tb: 1", "tabs"),
        ("a: b\n\tc: d", "tabs"),
        ("a: @x", "quotes"),
        ("label: one: two", "quotes"),
        ("\"\\ud83d\"", "other half"),
    ] {
        let (node, diagnostics) = read(&source(text));
        assert!(node.is_none() && has_errors(&diagnostics), "{text:?}");
        let fault = &diagnostics[0];
        assert!(fault.hint.as_deref().is_some_and(|h| h.contains(hint)), "{text:?}: {fault:?}");
        assert!(fault.place.is_some(), "{text:?}");
    }
    assert!(read(&source("[1, 2")).0.is_none());
}

#[test]
fn depth_is_limited_also_through_aliases() {
    let depth = MAX_DEPTH as usize;
    let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(read(&source(&nested(depth - 1))).0.is_some());
    check_fault(&nested(depth + 50), &format!("1:{} too-deep", depth + 2));
    let mut ladder = "a0: &a0 [1]\n".to_owned();
    for n in 1..=depth {
        ladder.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    let (node, diagnostics) = read(&source(&ladder));
    assert!(node.is_none());
    assert_eq!(diagnostics[0].code, "too-deep");
}

#[test]
fn alias_bombs_are_refused_before_they_grow() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        let list = vec![format!("*a{}", n - 1); 9].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    let (node, diagnostics) = read(&source(&bomb));
    assert!(node.is_none());
    assert_eq!(diagnostics[0].code, "too-many-aliases");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = read(&source(&text));
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(
        text in "([a-c0-9.:?!&*#\\-\\[\\]{},|>'\"%@`<~ \t\n\\\\u]|: |- |<<: |&a|\\*a|\n  |\n- |---|\u{feff}|\\\\ud83d){0,60}"
    ) {
        let (node, diagnostics) = read(&source(&text));
        proptest::prop_assert!(node.is_some() || has_errors(&diagnostics));
    }

    #[test]
    fn json_strings_come_back(text in "\\PC{0,40}") {
        let json = serde_json::to_string(&text).unwrap();
        let (node, diagnostics) = read(&source(&json));
        proptest::prop_assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let node = node.unwrap();
        proptest::prop_assert_eq!(node.as_str(), Some(text.as_str()));
    }
}
