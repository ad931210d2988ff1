//! The walker with a little language of its own: it must not know CWL.

use std::collections::HashMap;

use super::*;
use crate::fetch::Fetch;

const SCHEMA: &str = "
primitives bird fish
union Any = Zoo | Quiet
union Rule extensible = Quiet | Loud
union Wish open = Quiet | Loud
record Zoo
    class : \"Zoo\"
    id? : string @id
    animals : Animal[] @map(id, kind)
    star? : string | string[] @link(0)
    sign? : expression
    count? : int
    total? : long
    rules? : Rule[] @map(class)
    wishes? : Wish[] @map(class)
    free? : any
record Animal
    id : string @id
    kind? : Kind @type
union Kind = List
record List
    name? : string @id @define
    type : \"array\"
    items : Kind @type
record Quiet
    class : \"Quiet\"
record Loud
    class : \"Loud\"
";

struct Files(HashMap<String, String>);

impl Fetch for Files {
    fn text(&self, uri: &str) -> Result<String, String> {
        self.0.get(uri).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn exists(&self, uri: &str) -> bool {
        self.0.contains_key(uri)
    }
}

fn show(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "~".to_owned(),
        Kind::Faulty => "!".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(text) | Kind::Float(text) => text.clone(),
        Kind::String(text) => text.replace("file:///z", ""),
        Kind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Map(map) => {
            let entries = map.entries.iter().map(|entry| format!("{}: {}", entry.key, show(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The tree of `main`, and its faults as `LINE:COLUMN CODE`.
fn walk(files: &[(&str, &str)]) -> (String, String) {
    let schema = Schema::parse(SCHEMA).expect("a schema");
    let files = files.iter().map(|(name, text)| (format!("file:///z/{name}"), (*text).to_owned()));
    let files = Files(files.collect());
    let mut texts = Texts::new(&files);
    let mut diagnostics = Vec::new();
    let node = texts.node("file:///z/main", None, &mut diagnostics).expect("a text");
    let mut walker = Walker::new(&schema, &mut texts);
    let scope = Scope { base: "file:///z/main".into(), id: "file:///z/main".into() };
    let mut walked: Vec<Node> = walker.walk(node, "Zoo", &scope).into_iter().collect();
    walker.resolve_types(&mut walked);
    diagnostics.append(&mut walker.diagnostics);
    let faults = diagnostics.iter().map(|fault| {
        let place = fault.place.as_ref().map(|place| format!("{}:{} ", place.line, place.column));
        format!("{}{}", place.unwrap_or_default(), fault.code)
    });
    (walked.iter().map(show).collect(), faults.collect::<Vec<_>>().join("; "))
}

fn check(files: &[(&str, &str)], expected: &str) {
    assert_eq!(walk(files), (expected.to_owned(), String::new()), "{files:?}");
}

fn check_faults(text: &str, expected: &str) {
    assert_eq!(walk(&[("main", text), ("empty", "[]")]).1, expected, "{text}");
}

#[test]
fn shorthands_identifiers_and_links() {
    check(
        &[("main", "{class: Zoo, animals: {tom: bird, ann: 'fish[]?'}, star: [tom]}")],
        "{id: /main, class: Zoo, animals: [{id: /main#tom, kind: bird}, \
         {id: /main#ann, kind: [null, {type: array, items: fish}]}], star: [/main#tom]}",
    );
}

#[test]
fn types_are_found_wherever_they_are_defined() {
    check(
        &[("main", "{class: Zoo, animals: {a: '#b/T', b: {kind: {name: T, type: array, items: bird}}}}")],
        "{id: /main, class: Zoo, animals: [{id: /main#a, kind: /main#b/T}, \
         {id: /main#b, kind: {name: /main#b/T, type: array, items: bird}}]}",
    );
}

#[test]
fn parts_of_texts_are_imported() {
    let own = "{class: Zoo, animals: [{id: tom, kind: bird}], free: [{$import: '#tom'}]}";
    check(
        &[("main", own)],
        "{id: /main, class: Zoo, animals: [{id: /main#tom, kind: bird}], free: [{id: tom, kind: bird}]}",
    );
    let other = "{class: Zoo, animals: [{$import: 'all#ann'}]}";
    check(
        &[("main", other), ("all", "[{id: tom}, {id: ann, kind: fish}]")],
        "{id: /main, class: Zoo, animals: [{id: /main#ann, kind: fish}]}",
    );
}

#[test]
fn faults_stand_at_the_key_or_value() {
    for (text, expected) in [
        ("{class: Zoo, anmals: [], animals: []}", "1:14 unknown-field"),
        ("{class: Zoo}", "1:1 missing-field"),
        ("{class: Zoo, animals: {tom: brid}}", "1:29 unknown-type"),
        ("{class: Zoo, animals: {tom: 'bird[][]'}}", "1:29 unknown-type"),
        ("{class: Zoo, animals: [], sign: x}", "1:33 invalid-type"),
        ("{class: Zoo, animals: [], count: 3000000000}", "1:34 invalid-type"),
        ("{class: Zoo, animals: [], count: true}", "1:34 invalid-type"),
        ("{class: Zoo, animals: [], total: 3000000000, count: -0x7}", ""),
        ("{class: Zoo, animals: [], total: 99999999999999999999}", "1:34 invalid-type"),
        ("{class: Zoo, animals: [], rules: [{class: Quite}]}", "1:43 unknown-class"),
        ("{class: Zoo, animals: [], rules: [{class: x:Quite}]}", "1:43 unknown-class"),
        ("{class: Zoo, animals: [], rules: [{class: [x]}]}", "1:43 unknown-class"),
        ("{class: Zoo, animals: [{id: ''}]}", "1:29 empty-name"),
        ("{class: Zoo, animals: [{$import: 'empty#x'}]}", "1:34 undefined-import"),
        ("{class: Zoo, animals: [{$import: gone}]}", "1:34 unreadable"),
        ("{class: Zoo, animals: [{$import: main}]}", "1:34 import-cycle"),
    ] {
        check_faults(text, expected);
    }
}

#[test]
fn imports_that_import_themselves_by_name_end() {
    let text = "{class: Zoo, animals: [], free: {id: '#f', x: [{$import: '#f'}, {$import: '#f'}]}}";
    assert!(walk(&[("main", text)]).1.contains("import-cycle"));
}
