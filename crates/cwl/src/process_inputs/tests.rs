use super::*;
use crate::expression::Limits;
use crate::parameter::{LoadListing, Required, SecondaryFilePattern};
use crate::preparing_fixture::{
    Disk, array, common, effective, field, input, json, optional, record, text, value, values,
};
use crate::process::Version;

struct Formats;

impl Fetch for Formats {
    fn text(&self, _: &str) -> Result<String, String> {
        Ok("<e:fasta> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <e:text> .".to_owned())
    }

    fn exists(&self, _: &str) -> bool {
        true
    }
}

/// The result as JSON, or the message.
fn run(inputs: Vec<Input>, given: &str, disk: &Disk) -> Result<String, String> {
    run_with(inputs, given, disk, &effective(), true)
}

fn run_with(
    inputs: Vec<Input>,
    given: &str,
    disk: &Disk,
    effective: &Effective,
    discover: bool,
) -> Result<String, String> {
    let evaluator = Evaluator::new(Limits::default());
    let options = InputOptions {
        ontology: Arc::new(LazyOntology::new(vec!["file:///formats.ttl".to_owned()])),
        fetch: Arc::new(Formats),
    };
    process_inputs(
        &common(inputs, Vec::new()),
        effective,
        &values(given),
        &evaluator,
        disk,
        &options,
        discover,
    )
    .map(|complete| json(&complete.inputs))
    .map_err(|error| error.to_string())
}

fn check(inputs: Vec<Input>, given: &str, disk: &Disk, expected: Result<&str, &str>) {
    match (run(inputs, given, disk), expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{given}"),
        (Err(message), Err(part)) => {
            assert!(message.contains(part), "{given}: {message}\nshould say: {part}")
        }
        (found, expected) => panic!("{given}: {found:?} instead of {expected:?}"),
    }
}

fn with_default(name: &str, type_: Type, default: &str) -> Input {
    Input { default: value(default), ..input(name, type_) }
}

#[test]
fn defaults_stand_in_for_absent_and_null() {
    let disk = Disk::default();
    let inputs = || vec![with_default("a", Type::Int, "7"), input("b", optional(Type::String))];
    for (given, expected) in [
        ("{}", r#"{"a":7,"b":null}"#),
        (r#"{"a": null, "b": "x"}"#, r#"{"a":7,"b":"x"}"#),
        (r#"{"a": 0}"#, r#"{"a":0,"b":null}"#),
        (r#"{"undeclared": 1}"#, r#"{"a":7,"b":null}"#),
    ] {
        check(inputs(), given, &disk, Ok(expected));
    }
    for falsy in ["false", "0", "\"\"", "[]"] {
        let type_ = Type::Any;
        check(vec![with_default("a", type_, falsy)], "{}", &disk, Ok(&format!("{{\"a\":{falsy}}}")));
    }
}

#[test]
fn any_is_everything_but_null() {
    let disk = Disk::default();
    for (given, expected) in [
        (r#"{"a": "null"}"#, Ok(r#"{"a":"null"}"#)),
        (r#"{"a": null}"#, Err("/t.cwl:1:1: input a is missing; it must be anything but null")),
        ("{}", Err("input a is missing")),
    ] {
        let expected = expected.map_err(|message| message.trim_start_matches("/t.cwl:1:1: "));
        check(vec![input("a", Type::Any)], given, &disk, expected);
    }
}

#[test]
fn all_wrong_inputs_are_told_at_once() {
    let inputs = vec![input("a", Type::Int), input("b", array(Type::String)), input("c", Type::Int)];
    check(
        inputs,
        r#"{"a": "x", "b": ["y", 1], "c": 1}"#,
        &Disk::default(),
        Err("input a is a string (\"x\"), but must be int\ninput b[1] is a number (1), but must be string"),
    );
}

#[test]
fn the_default_file_must_exist_only_where_it_is_used() {
    let disk = Disk::new(&[("/there", "12345")]);
    let missing =
        || vec![with_default("f", Type::File, r#"{"class": "File", "location": "file:///whale.txt"}"#)];
    check(missing(), "{}", &disk, Err("missing: file:///whale.txt"));
    check(
        missing(),
        r#"{"f": {"class": "File", "location": "file:///there", "basename": "there"}}"#,
        &disk,
        Ok(
            r#"{"f":{"class":"File","location":"file:///there","basename":"there","nameroot":"there","nameext":"","size":5}}"#,
        ),
    );
    let directory =
        || vec![with_default("d", Type::Directory, r#"{"class": "Directory", "location": "file:///none"}"#)];
    check(directory(), "{}", &disk, Err("missing: file:///none"));
}

#[test]
fn a_default_file_is_completed() {
    check(
        vec![with_default("f", Type::File, r#"{"class": "File", "location": "file:///d/a%20b.txt"}"#)],
        "{}",
        &Disk::new(&[("/d/a b.txt", "12")]),
        Ok(
            r#"{"f":{"class":"File","location":"file:///d/a%20b.txt","basename":"a b.txt","nameroot":"a b","nameext":".txt","size":2}}"#,
        ),
    );
}

const READS: &str = r#"{"class": "File", "location": "file:///d/a.bam", "basename": "a.bam", "size": 1}"#;

fn pattern(pattern: &str, required: Option<bool>) -> SecondaryFilePattern {
    SecondaryFilePattern { pattern: text(pattern), required: required.map(Required::Known) }
}

#[test]
fn secondary_files_are_found_or_missed() {
    let disk = Disk::new(&[("/d/a.bam", "x"), ("/d/a.bam.bai", "xy")]);
    let reads =
        |patterns: Vec<SecondaryFilePattern>| Input { secondary_files: patterns, ..input("r", Type::File) };
    let given = format!(r#"{{"r": {READS}}}"#);
    let found = run(vec![reads(vec![pattern(".bai", None), pattern("^.idx", Some(false))])], &given, &disk);
    assert!(
        found
            .as_ref()
            .is_ok_and(|json| json.contains(r#""location":"file:///d/a.bam.bai""#) && !json.contains("idx")),
        "{found:?}"
    );
    check(
        vec![reads(vec![pattern("^.idx", None), pattern(".x", None)])],
        &given,
        &disk,
        Err("file:///d/a.idx, file:///d/a.bam.x"),
    );
    let inside = run_with(vec![reads(vec![pattern(".bai", None)])], &given, &disk, &effective(), false);
    assert!(inside.as_ref().is_err_and(|message| message.contains("a.bam.bai")), "{inside:?}");
}

#[test]
fn fields_of_records_have_secondary_files_formats_and_contents() {
    let disk = Disk::new(&[("/d/a.bam", "x"), ("/d/a.bam.s2", "xy")]);
    let mut file = field("f1", Type::File);
    file.secondary_files = vec![pattern(".s2", None)];
    file.load_contents = true;
    let given = format!(r#"{{"r": {{"f1": {READS}}}}}"#);
    let found = run(vec![input("r", record(vec![file.clone()]))], &given, &disk);
    assert!(
        found.as_ref().is_ok_and(|json| json.contains("a.bam.s2") && json.contains(r#""contents":"x""#)),
        "{found:?}"
    );
    file.format = vec![text("e:text")];
    check(
        vec![input("r", record(vec![file]))],
        &given,
        &disk,
        Err("input r.f1: a.bam has no format, but must have e:text"),
    );
}

#[test]
fn formats_are_checked() {
    let disk = Disk::default();
    let file = |format: &str| {
        format!(r#"{{"class": "File", "location": "file:///a", "basename": "a", "size": 1{format}}}"#)
    };
    let format = |format: &str| file(&format!(r#", "format": "{format}""#));
    let wants = |type_: Type, formats: &[&str]| Input {
        format: formats.iter().map(|f| text(f)).collect(),
        ..input("f", type_)
    };
    let cases = [
        (wants(Type::File, &["e:text"]), format("e:text"), None),
        (wants(Type::File, &["e:text"]), format("e:fasta"), None),
        (wants(Type::File, &["e:other", "e:fasta"]), format("e:fasta"), None),
        (wants(optional(Type::File), &["e:text"]), "null".to_owned(), None),
        (wants(Type::File, &["$(['e:x', 'e:fasta'])"]), format("e:fasta"), None),
        (wants(Type::File, &["$(inputs.f.format)"]), format("e:any"), None),
        (
            wants(Type::File, &["e:fasta"]),
            format("e:text"),
            Some("a has the format e:text, but must have e:fasta"),
        ),
        (wants(Type::File, &["e:x", "e:y"]), file(""), Some("a has no format, but must have e:x or e:y")),
        (
            wants(array(Type::File), &["e:text"]),
            format!("[{}, {}]", format("e:fasta"), format("e:z")),
            Some("input f[1]: a has the format e:z"),
        ),
        (
            wants(Type::File, &["$(3)"]),
            format("e:x"),
            Some("format gives a number (3), but must give a string"),
        ),
    ];
    for (input, given, fault) in cases {
        let found = run(vec![input], &format!(r#"{{"f": {given}}}"#), &disk);
        match (found, fault) {
            (Ok(_), None) => {}
            (Err(message), Some(part)) => assert!(message.contains(part), "{message}"),
            (found, fault) => panic!("{given}: {found:?} instead of {fault:?}"),
        }
    }
}

#[test]
fn directories_are_listed_as_parameter_requirement_and_version_say() {
    let disk = Disk::new(&[("/d/s/x", "1"), ("/d/y", "22")]);
    let given = r#"{"d": {"class": "Directory", "location": "file:///d", "basename": "d"}}"#;
    let cases = [
        (Version::V1_0, None, None, 3),
        (Version::V1_2, None, None, 0),
        (Version::V1_2, None, Some(LoadListing::Shallow), 2),
        (Version::V1_2, Some(LoadListing::Deep), Some(LoadListing::None), 3),
        (Version::V1_0, Some(LoadListing::None), None, 0),
    ];
    for (version, own, required, entries) in cases {
        let effective = Effective { version, load_listing: required, ..effective() };
        let input = Input { load_listing: own, ..input("d", Type::Directory) };
        let found = run_with(vec![input], given, &disk, &effective, true).expect("listed");
        assert_eq!(
            found.matches("\"class\"").count(),
            1 + entries,
            "{version:?} {own:?} {required:?}: {found}"
        );
    }
}

#[test]
fn contents_are_loaded_and_limited() {
    let long = "x".repeat(65_537);
    let disk = Disk::new(&[("/d/a.bam", "text"), ("/long", &long)]);
    let loading = || vec![Input { load_contents: true, ..input("f", Type::File) }];
    let found = run(loading(), &format!(r#"{{"f": {READS}}}"#), &disk);
    assert!(found.as_ref().is_ok_and(|json| json.contains(r#""contents":"text""#)), "{found:?}");
    check(
        loading(),
        r#"{"f": {"class": "File", "location": "file:///long", "basename": "long"}}"#,
        &disk,
        Err("larger than 65536 bytes"),
    );
}
