use super::*;
use crate::preparing_fixture::{Disk, common, input, json, node, values};
use crate::types::Type;

struct Texts;

impl Fetch for Texts {
    fn text(&self, uri: &str) -> Result<String, String> {
        match uri {
            "file:///j/in/reads.yml" => Ok("[{class: File, path: a.fq}, {$include: note.txt}]".to_owned()),
            "file:///j/in/note.txt" => Ok("hello".to_owned()),
            "file:///j/loop.yml" => Ok("{x: {$import: loop.yml}}".to_owned()),
            "file:///j/broken.yml" => Ok("[1".to_owned()),
            _ => Err("No such file".to_owned()),
        }
    }

    fn exists(&self, _: &str) -> bool {
        false
    }
}

fn read(text: &str) -> Result<InputObject, String> {
    let namespaces = IndexMap::from([("edam".to_owned(), "http://edamontology.org/".to_owned())]);
    let reading = Reading {
        base: "file:///j/job.yml",
        namespaces: &namespaces,
        fetch: &Texts,
        read: &moil_salad::reader::read,
    };
    from_node(&node("file:///j/job.yml", text), &reading).map_err(|error| error.to_string())
}

fn values_of(text: &str) -> Result<String, String> {
    read(text).map(|object| json(&Value::map(object.values)))
}

#[test]
fn values_are_read() {
    let cases = [
        ("", "{}"),
        ("{a: 1, b: [x, null, 1.5], c: {d: true}}", r#"{"a":1,"b":["x",null,1.5],"c":{"d":true}}"#),
        (
            "f: {class: File, location: 'octothorpe/item %231.txt'}",
            r##"{"f":{"class":"File","location":"file:///j/octothorpe/item%20%231.txt","basename":"item #1.txt","nameroot":"item #1","nameext":".txt"}}"##,
        ),
        (
            "f: {class: File, location: A%3AGln2Cys}",
            r#"{"f":{"class":"File","location":"file:///j/A%3AGln2Cys","basename":"A:Gln2Cys","nameroot":"A:Gln2Cys","nameext":""}}"#,
        ),
        (
            "r: [{f: {class: File, path: x.bam, format: edam:format_2572, secondaryFiles: [{class: File, path: y/x.bai}]}}]",
            r#"{"r":[{"f":{"class":"File","location":"file:///j/x.bam","basename":"x.bam","nameroot":"x","nameext":".bam","format":"http://edamontology.org/format_2572","secondaryFiles":[{"class":"File","location":"file:///j/y/x.bai","basename":"x.bai","nameroot":"x","nameext":".bai"}]}}]}"#,
        ),
        (
            "d: {class: Directory, path: s/, listing: [{class: File, path: s/a}]}",
            r#"{"d":{"class":"Directory","location":"file:///j/s","basename":"s"}}"#,
        ),
        (
            "d: {class: Directory, basename: s, listing: [{class: File, contents: a, basename: n}]}",
            r#"{"d":{"class":"Directory","basename":"s","listing":[{"class":"File","basename":"n","nameroot":"n","nameext":"","size":1,"contents":"a"}]}}"#,
        ),
        (
            "{$namespaces: {e: 'http://e.org/', edam: 'http://other/'}, f: {class: File, path: x, format: e:a}, g: {class: File, path: x, format: edam:b}}",
            r#"{"f":{"class":"File","location":"file:///j/x","basename":"x","nameroot":"x","nameext":"","format":"http://e.org/a"},"g":{"class":"File","location":"file:///j/x","basename":"x","nameroot":"x","nameext":"","format":"http://edamontology.org/b"}}"#,
        ),
        (
            "r: {$import: in/reads.yml}",
            r#"{"r":[{"class":"File","location":"file:///j/in/a.fq","basename":"a.fq","nameroot":"a","nameext":".fq"},"hello"]}"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(values_of(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn faults_have_places() {
    let cases = [
        ("[1]", "/j/job.yml:1:1", "must be a mapping"),
        ("a:\n  class: File\n", "", "neither location, path nor contents"),
        ("a: 1\nb:\n- {class: File, path: 3}", "", "path"),
        ("a: {$import: 3}", "", "must name a file"),
        ("a: {$import: none.yml}", "", "cannot read file:///j/none.yml: No such file"),
        ("a: {$import: broken.yml}", "", ""),
        ("a: {$import: loop.yml}", "", "nested more than"),
        ("cwl:tool: 3", "", "must be a string"),
        ("cwl:requirements: 3", "", "a list or a mapping by class"),
    ];
    for (text, place, part) in cases {
        let namespaces = IndexMap::new();
        let read = &moil_salad::reader::read;
        let reading = Reading { base: "file:///j/job.yml", namespaces: &namespaces, fetch: &Texts, read };
        match from_node(&node("file:///j/job.yml", text), &reading) {
            Err(Error::Invalid { place: Some(found), message }) => {
                assert!(message.contains(part), "{text}: {message}");
                assert!(found.to_string().starts_with(place), "{text}: {found}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_is_for_the_runner_is_no_input() {
    let text = "{'cwl:tool': 'wf.cwl#main', 'cwl:requirements': {WorkReuse: {enableReuse: false}}, 'cwltool:overrides': {}, a: 1}";
    let object = read(text).expect(text);
    assert_eq!(object.tool.as_deref(), Some("file:///j/wf.cwl#main"));
    assert_eq!(object.requirements.len(), 1);
    assert!(object.overrides.is_some());
    assert_eq!(object.values.keys().map(|key| &**key).collect::<Vec<_>>(), ["a"]);
    let full = read(
        "{'https://w3id.org/cwl/cwl#requirements': [{class: WorkReuse}], 'https://w3id.org/cwl/cwl#tool': x.cwl}",
    );
    let full = full.expect("full names");
    assert_eq!((full.requirements.len(), full.tool.as_deref()), (1, Some("file:///j/x.cwl")));
}

#[test]
fn unknown_inputs_are_named() {
    let one = common(vec![input("reads", Type::String)], Vec::new());
    let given = values(r#"{"reads": "x", "raeds": "y"}"#);
    assert_eq!(
        unknown_inputs(&one, &given),
        ["raeds is given, but is no input of the process; its inputs are reads"]
    );
    assert_eq!(unknown_inputs(&common(Vec::new(), Vec::new()), &values(r#"{"x": 1}"#)).len(), 1);
}

fn object(path: &str) -> String {
    format!(r#"{{"class": "File", "location": "file://{path}"}}"#)
}

#[test]
fn all_missing_files_are_told_at_once() {
    let disk = Disk::new(&[("/a", "abc"), ("/d/x", "")]);
    let given = values(&format!(
        r#"{{"a": {}, "b": [{}, {{"c": {}}}], "d": {{"class": "Directory", "location": "file:///d"}},
            "s": {{"class": "File", "location": "file:///a", "secondaryFiles": [{}]}}}}"#,
        object("/a"),
        object("/no"),
        object("/none"),
        object("/a.bai")
    ));
    match check_files(&given, &disk) {
        Err(Error::MissingFiles(missing)) => {
            let found: Vec<_> = missing.iter().map(|m| format!("{} {}", m.input, m.location)).collect();
            assert_eq!(found, ["b[0] file:///no", "b[1].c file:///none", "s file:///a.bai"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn sizes_are_added_and_kinds_checked() {
    let disk = Disk::new(&[("/a", "abc"), ("/d/x", "")]);
    let checked = check_files(&values(&format!(r#"{{"a": [{}]}}"#, object("/a"))), &disk).expect("there");
    let size = checked.get("a").and_then(Value::as_list).map(|items| match items {
        [Value::File(file)] => file.size,
        _ => None,
    });
    assert_eq!(size, Some(Some(3)));
    for (given, part) in [
        (format!(r#"{{"a": {}}}"#, object("/d")), "a is a File, but file:///d is a directory"),
        (
            r#"{"a": {"class": "Directory", "location": "file:///a"}}"#.to_owned(),
            "a is a Directory, but file:///a is no directory",
        ),
    ] {
        let message = check_files(&values(&given), &disk).expect_err("wrong kind").to_string();
        assert_eq!(message, part);
    }
}
