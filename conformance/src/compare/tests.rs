use super::*;
use crate::json;

/// Compares two JSON texts in a directory that holds `f.txt` ("hello\n"), `a#b`, and `d/g.txt`.
/// `HERE` stands for that directory.
fn check(expected: &str, actual: &str, fault: &str) {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("f.txt"), "hello\n").unwrap();
    fs::write(here.path().join("a#b"), "").unwrap();
    fs::create_dir(here.path().join("d")).unwrap();
    fs::write(here.path().join("d/g.txt"), "g").unwrap();
    let root = here.path().to_str().unwrap();
    let read = |text: &str| json::read(&text.replace("HERE", root)).unwrap();
    let found = match compare(&read(expected), &read(actual), here.path()) {
        Ok(()) => String::new(),
        Err(mismatch) => mismatch.to_string().replace(root, "HERE"),
    };
    assert_eq!(found, fault, "expected {expected}\nactual {actual}");
}

#[test]
fn any_and_null_are_content_with_nothing() {
    check(r#"{"a": "Any"}"#, "{}", "");
    check(r#"{"a": null}"#, "{}", "");
    check("{}", r#"{"a": null}"#, "");
    check(r#"{"a": null}"#, r#"{"a": 0}"#, "a: expected nothing, got the number 0");
    check("{}", r#"{"a": 1}"#, r#"unexpected key "a""#);
    check(r#"{"a": 1}"#, "{}", "a: expected the number 1, got nothing");
    check(r#"{"r": {"a": 1}}"#, r#"{"r": {"a": 1, "b": 2}}"#, r#"r: unexpected key "b""#);
}

#[test]
fn scalars_are_equal_as_in_python() {
    check(r#"{"a": 1}"#, r#"{"a": 1.0}"#, "");
    check(r#"{"a": 1}"#, r#"{"a": true}"#, "");
    check(r#"{"a": 1}"#, r#"{"a": "1"}"#, r#"a: expected the number 1, got the string "1""#);
    check(r#"{"a": [1, [2]]}"#, r#"{"a": [1, [3]]}"#, "a.1.0: expected the number 2, got the number 3");
    check(r#"{"a": [1]}"#, r#"{"a": [1, 2]}"#, "a: expected 1 items, got 2");
    check(r#"{"a": {"x": 1}}"#, r#"{"a": [1]}"#, "a: expected a mapping, got a list");
}

const HELLO: &str = "sha1$f572d396fae9206628714fb2ce00f72e94f2258f";

fn file(fields: &str) -> String {
    format!(r#"{{"class": "File", {fields}}}"#)
}

#[test]
fn files_are_read_again_from_disk() {
    let actual = file(r#""location": "file://HERE/f.txt", "basename": "f.txt", "nameroot": "f""#);
    check(&file(&format!(r#""location": "f.txt", "checksum": "{HELLO}", "size": 6"#)), &actual, "");
    check(&file(r#""basename": "f.txt""#), &actual, "");
    check(
        &file(r#""basename": "g""#),
        &actual,
        r#"basename: expected the string "g", got the string "f.txt""#,
    );
    check(&file(r#""location": "Any""#), &actual, "");
    check(&file(r#""path": "f.txt""#), &actual, "");
    check(&file(r#""location": ".txt""#), &actual, "location: file://HERE/f.txt does not end in /.txt");
    check(&file(r#""size": 7"#), &actual, "size: expected the number 7, on disk it is the number 6");
    let lie = file(r#""location": "file://HERE/f.txt", "checksum": "sha1$0""#);
    check(
        &file(r#""location": "f.txt""#),
        &lie,
        &format!(r#"checksum: the runner said the string "sha1$0", on disk it is {HELLO}"#),
    );
    check(&file(r#""location": "Any""#), &file(r#""contents": "literal""#), "no location in the output");
    check(
        &file(r#""location": "Any""#),
        &file(r#""location": "file://HERE/gone""#),
        "location: file://HERE/gone does not exist",
    );
    check(
        &file(r#""location": "f.txt""#),
        r#"{"class": "Directory", "location": "file://HERE/d"}"#,
        "location: file://HERE/d does not end in /f.txt",
    );
}

#[test]
fn locations_are_decoded_on_disk_but_compared_as_written() {
    let actual = file(r#""location": "file://HERE/a%23b""#);
    check(&file(r#""location": "a%23b""#), &actual, "");
    check(&file(r#""location": "a#b""#), &actual, "location: file://HERE/a%23b does not end in /a#b");
    check(&file(r#""location": "a#b""#), &file(r#""location": "file://HERE/a#b""#), "");
}

#[test]
fn contents_are_read_from_the_path() {
    check(&file(r#""contents": "hello\n""#), &file(r#""location": "f.txt", "path": "HERE/f.txt""#), "");
    check(
        &file(r#""contents": "x""#),
        &file(r#""location": "f.txt", "path": "HERE/f.txt""#),
        r#"contents: expected the string "x", got "hello\n""#,
    );
    check(&file(r#""contents": "hello\n""#), &file(r#""location": "f.txt""#), "no path in the output");
}

#[test]
fn secondary_files_are_compared_in_order() {
    let with = |place: &str, others: &[&str]| {
        let others: Vec<_> = others.iter().map(|other| file(&format!(r#""location": "{other}""#))).collect();
        file(&format!(r#""location": "{place}", "secondaryFiles": [{}]"#, others.join(", ")))
    };
    let expected = with("f.txt", &["d/g.txt", "a#b"]);
    check(&expected, &with("file://HERE/f.txt", &["file://HERE/d/g.txt", "HERE/a#b"]), "");
    check(&file(r#""location": "f.txt""#), &with("file://HERE/f.txt", &["file://HERE/d/g.txt"]), "");
    check(
        &expected,
        &with("file://HERE/f.txt", &["HERE/a#b", "file://HERE/d/g.txt"]),
        "secondaryFiles.0.location: HERE/a#b does not end in /d/g.txt",
    );
    check(
        &expected,
        &with("file://HERE/f.txt", &["file://HERE/d/g.txt"]),
        "secondaryFiles: expected 2 items, got 1",
    );
    check(
        &expected,
        &file(r#""location": "file://HERE/f.txt""#),
        "secondaryFiles: expected a list, got nothing",
    );
}

#[test]
fn directories_may_hold_more_than_expected() {
    let listing = r#""listing": [{"class": "File", "location": "d/g.txt"}]"#;
    let expected = format!(r#"{{"class": "Directory", "location": "d", {listing}}}"#);
    let more = r#""listing": [{"class": "File", "location": "file://HERE/f.txt"}, {"class": "File", "location": "file://HERE/d/g.txt"}]"#;
    check(&expected, &format!(r#"{{"class": "Directory", "location": "file://HERE/d/", {more}}}"#), "");
    check(
        &expected,
        r#"{"class": "Directory", "location": "file://HERE/d", "listing": []}"#,
        r#""d/g.txt" is not in the listing as expected"#,
    );
    check(&expected, r#"{"class": "Directory", "location": "file://HERE/d"}"#, "a Directory without listing");
    check(&expected, &file(r#""location": "file://HERE/f.txt""#), "expected a Directory");
    check(
        r#"{"class": "Directory", "location": "d"}"#,
        r#"{"class": "Directory", "location": "file://HERE/d", "listing": []}"#,
        "the test gives no listing for a Directory",
    );
}
