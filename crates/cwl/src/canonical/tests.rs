use super::*;
use crate::load::load_canonical;
use crate::test_support::{load_texts, loaded};

fn canonical(text: &str) -> String {
    loaded(text).process.common().canonical.to_string()
}

const TOOL: &str = "{cwlVersion: v1.1, class: CommandLineTool, baseCommand: [echo, '1'], inputs: {a: {type: '#T?', default: {x: 0x1F, y: .5, z: 1.10}}},
    requirements: {SchemaDefRequirement: {types: [{name: T, type: record, fields: {x: int, y: float, z: float}}]}},
    outputs: {o: stdout}}";

#[test]
fn the_form_has_what_counts_and_nothing_else() {
    let text = canonical("{class: CommandLineTool, doc: d, label: l, cwlVersion: v1.2, s:author: me, $namespaces: {s: 'http://s/'},
        hints: [{class: 's:Unknown'}, {class: WorkReuse, enableReuse: true}], inputs: {i: {type: int, doc: x}}, outputs: [], baseCommand: x}");
    assert_eq!(
        text,
        r##"{"main":"#main","processes":{"#main":{"baseCommand":"x","class":"CommandLineTool","cwlVersion":"v1.2","hints":[{"class":"WorkReuse","enableReuse":true}],"id":"#main","inputs":[{"id":"#main/i","type":"int"}],"outputs":[]}},"types":{}}"##
    );
}

#[test]
fn it_can_be_read_back_and_stays_the_same() {
    let first = canonical(TOOL);
    let process = load_canonical(&first).expect("reads");
    assert_eq!(&*process.common().canonical, first.as_str());
    assert_eq!(process.common().version, crate::process::Version::V1_1);
    let crate::process::Process::Tool(tool) = process else { panic!("no tool") };
    assert!(tool.stdout.as_ref().is_some_and(|name| name.text.len() == 40));
    assert!(first.contains(r#""default":{"x":31,"y":0.5,"z":1.10}"#), "{first}");
    assert!(first.contains(r##""types":{"#T":{"fields""##), "{first}");
}

#[test]
fn it_does_not_tell_where_the_document_lies() {
    let wf =
        "{cwlVersion: v1.2, class: Workflow, inputs: {x: int}, outputs: {o: {type: File, outputSource: s/o}},
        steps: {s: {run: sub/t.cwl, in: {a: x}, out: [o], scatter: []}}}";
    let t = "{cwlVersion: v1.2, class: CommandLineTool, inputs: {a: int}, outputs: {o: stdout}}";
    let loaded = load_texts(&[("main.cwl", wf), ("sub/t.cwl", t)]).expect("loads");
    let text = loaded.process.common().canonical.to_string();
    assert!(!text.contains("file:"), "{text}");
    let process = load_canonical(&text).expect("reads");
    assert_eq!(&*process.common().canonical, text.as_str());
}

#[test]
fn other_texts_are_refused() {
    for text in ["", "[]", "{}", r#"{"main":1,"processes":{},"types":{}}"#, "{"] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(load_canonical(r##"{"main":"#main","processes":{},"types":{}}"##).is_err());
    assert!(load_canonical(r##"{"main":"#main","processes":{"#main":[]},"types":{}}"##).is_err());
}
