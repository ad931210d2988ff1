use super::*;
use crate::job_fixture::{Fixture, Memory, input, secondary, text};
use crate::types::{ArrayType, RecordField, RecordType};

fn disk() -> Memory {
    Memory::new(&[
        ("/d/a.tar.gz", "x"),
        ("/d/a.tar.gz.idx", "xx"),
        ("/d/a.tar.idx", "x"),
        ("/d/a.idx", "x"),
        ("/d/sub/s", "x"),
        ("/d/dir/f", "x"),
        ("/d/a b.txt", "x"),
        ("/d/b.tar.gz", "x"),
        ("/e/other", "x"),
    ])
}

const A: &str = r#"{"class": "File", "location": "file:///d/a.tar.gz", "basename": "a.tar.gz"}"#;

fn shown(value: &Value) -> String {
    match value {
        Value::File(file) => {
            let inner: Vec<String> = file.secondary_files.iter().map(shown).collect();
            let location = file.location.as_deref().unwrap_or("literal").trim_start_matches("file://");
            let name = file.basename.as_deref().unwrap_or_default();
            let renamed = if location.ends_with(name) { String::new() } else { format!(" as {name}") };
            let inner = if inner.is_empty() { String::new() } else { format!(" + {}", inner.join(", ")) };
            format!("{location}{renamed}{inner}")
        }
        Value::Directory(directory) => {
            directory.location.as_deref().unwrap_or_default().trim_start_matches("file://").to_owned() + "/"
        }
        Value::List(items) => items.iter().map(shown).collect::<Vec<_>>().join("; "),
        Value::Map(entries) => entries.values().map(shown).collect::<Vec<_>>().join("; "),
        other => format!("{other:?}"),
    }
}

fn attach(type_: Type, value: &str, patterns: &[&str], discover: bool) -> Result<String, String> {
    let mut parameter = input("f", type_);
    parameter.secondary_files = patterns.iter().map(|pattern| secondary(pattern)).collect();
    Fixture::new(&format!(
        r#"{{"f": {value}, "in": {{"class": "File", "location": "file:///e/other", "basename": "other"}}}}"#
    ))
    .with(|context| attach_inputs(&[parameter], context, &disk(), discover))
    .map(|inputs| shown(inputs.field("f")))
    .map_err(|error| match error {
        Error::MissingFiles(missing) => {
            missing.iter().map(|m| format!("{} {}", m.input, m.location)).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    })
}

#[test]
fn carets_take_extensions_off() {
    for (name, pattern, expected) in [
        ("a.bam", ".bai", "a.bam.bai"),
        ("a.bam", "^.bai", "a.bai"),
        ("a.tar.gz", "^^.x", "a.x"),
        ("a", "^.x", "a.x"),
        ("a.b", "^^^.x", "a.x"),
        (".hidden", "^.x", ".x"),
        ("a.b", "", "a.b"),
        ("é.ü", "^.x", "é.x"),
        ("a.bam", ".^x", "a.bam.^x"),
    ] {
        assert_eq!(substitute(name, pattern), expected, "{name} {pattern}");
    }
}

#[test]
fn declared_files_are_found_in_the_order_of_the_patterns() {
    for (patterns, expected) in [
        (&[".idx"][..], "/d/a.tar.gz + /d/a.tar.gz.idx"),
        (&["^.idx", ".idx", "^^.idx"], "/d/a.tar.gz + /d/a.tar.idx, /d/a.tar.gz.idx, /d/a.idx"),
        (&[".none?", ".idx?"], "/d/a.tar.gz + /d/a.tar.gz.idx"),
        (&["$(self.basename).idx"], "/d/a.tar.gz + /d/a.tar.gz.idx"),
        (&["${ return ['a.idx', null, 'dir', '']; }"], "/d/a.tar.gz + /d/a.idx, /d/dir/"),
        (&["$(null)"], "/d/a.tar.gz"),
        (&["a b.txt?", "$('a b.txt')"], "/d/a.tar.gz + /d/a%20b.txt as a b.txt"),
        (&["$(inputs.in)"], "/d/a.tar.gz + /e/other"),
        (&["$({'class': 'File', 'location': 'a.idx'})"], "/d/a.tar.gz + /d/a.idx"),
        (
            &["$({'class': 'File', 'location': 'file:///e/other', 'basename': 'x.idx'})"],
            "/d/a.tar.gz + /e/other as x.idx",
        ),
        (&["$('sub/s')"], "/d/a.tar.gz + /d/sub/s"),
        (&[], "/d/a.tar.gz"),
    ] {
        assert_eq!(attach(Type::File, A, patterns, true), Ok(expected.to_owned()), "{patterns:?}");
    }
}

#[test]
fn all_missing_files_are_told_at_once() {
    let files =
        format!(r#"[{A}, {{"class": "File", "location": "file:///d/b.tar.gz", "basename": "b.tar.gz"}}]"#);
    assert_eq!(
        attach(Type::File.array_of(), &files, &[".idx", ".bai!", ".opt?"], true),
        Err("f[0] file:///d/a.tar.gz.bai, f[1] file:///d/b.tar.gz.idx, f[1] file:///d/b.tar.gz.bai".into())
    );
}

#[test]
fn what_a_file_brings_along_counts_by_its_name_and_stays_first() {
    let with = |sf: &str| format!(r#"{}, "secondaryFiles": [{sf}]}}"#, A.trim_end_matches('}'));
    let elsewhere = r#"{"class": "File", "location": "file:///x/y", "basename": "a.tar.gz.bai"}"#;
    assert_eq!(
        attach(Type::File, &with(elsewhere), &[".idx", ".bai"], true),
        Ok("/d/a.tar.gz + /x/y as a.tar.gz.bai, /d/a.tar.gz.idx".into())
    );
    assert_eq!(
        attach(Type::File, &with(elsewhere), &[".bai"], false),
        Ok("/d/a.tar.gz + /x/y as a.tar.gz.bai".into())
    );
}

#[test]
fn an_expression_may_rename_what_a_file_brings_along() {
    let value = format!(
        r#"{}, "secondaryFiles": [{{"class": "File", "location": "file:///x/y", "basename": "old"}}]}}"#,
        A.trim_end_matches('}')
    );
    let renamed = "$({'class': 'File', 'location': 'file:///x/y', 'basename': 'new'})";
    assert_eq!(attach(Type::File, &value, &[renamed], true), Ok("/d/a.tar.gz + /x/y as new".into()));
}

#[test]
fn nothing_is_looked_for_where_discovery_is_off() {
    assert_eq!(attach(Type::File, A, &[".idx"], false), Err("f file:///d/a.tar.gz.idx".into()));
    assert_eq!(attach(Type::File, A, &[".idx?"], false), Ok("/d/a.tar.gz".into()));
}

#[test]
fn literals_have_nothing_beside_them() {
    let literal = r#"{"class": "File", "basename": "l.txt", "contents": ""}"#;
    assert_eq!(attach(Type::File, literal, &[".idx"], true), Err("f l.txt.idx".into()));
    assert_eq!(attach(Type::File, literal, &[".idx?"], true), Ok("literal as l.txt".into()));
}

#[test]
fn required_may_be_an_expression() {
    for (expression, expected) in [
        ("$(false)", Ok("/d/a.tar.gz".to_owned())),
        ("$(null)", Ok("/d/a.tar.gz".to_owned())),
        ("$(self.basename == 'a.tar.gz')", Err("file:///d/a.tar.gz.no")),
        ("$('yes')", Err("required is a string (\"yes\"), but must be a boolean or null")),
    ] {
        let mut parameter = input("f", Type::File);
        parameter.secondary_files = vec![SecondaryFilePattern {
            pattern: text(".no"),
            required: Some(Required::Text(text(expression))),
        }];
        let attached = Fixture::new(&format!(r#"{{"f": {A}}}"#))
            .with(|context| attach_inputs(&[parameter], context, &disk(), true))
            .map(|inputs| shown(inputs.field("f")));
        match expected {
            Ok(expected) => assert_eq!(attached.ok(), Some(expected), "{expression}"),
            Err(reason) => {
                let message = attached.expect_err(expression).to_string();
                assert!(message.contains(reason), "{message}");
            }
        }
    }
}

#[test]
fn patterns_that_give_something_else_are_refused() {
    let message = attach(Type::File, A, &["$(3)"], true).expect_err("number");
    assert!(message.contains("must give names"), "{message}");
    let message = attach(Type::File, A, &["$({'class': 'File'})"], true).expect_err("empty");
    assert!(message.contains("without location"), "{message}");
}

#[test]
fn fields_of_records_declare_their_own() {
    let field = RecordField {
        name: "x".into(),
        type_: Type::Union(Arc::new(vec![Type::Null, Type::File])),
        label: None,
        doc: None,
        secondary_files: vec![secondary(".idx")],
        format: Vec::new(),
        streamable: false,
        load_contents: false,
        load_listing: None,
        input_binding: None,
        output_binding: None,
    };
    let record = Type::Record(Arc::new(RecordType { name: None, fields: vec![field], binding: None }));
    let records = Type::Array(Arc::new(ArrayType { items: record, binding: None }));
    let value = format!(r#"[{{"x": {A}}}, {{"x": null}}, {{}}]"#);
    assert_eq!(
        attach(records.clone(), &value, &[], true),
        Ok("/d/a.tar.gz + /d/a.tar.gz.idx; Null; ".into())
    );
    let value = r#"[{"x": {"class": "File", "location": "file:///d/b", "basename": "b"}}]"#;
    assert_eq!(attach(records, value, &[], true), Err("f[0].x file:///d/b.idx".into()));
}
