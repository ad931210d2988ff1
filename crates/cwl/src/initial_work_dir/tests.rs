use super::*;
use crate::job_fixture::{Fixture, effective, text};
use crate::requirement::DockerRequirement;
use crate::staging::stage_inputs;

const INPUTS: &str = r#"{
    "f": {"class": "File", "location": "file:///data/f.txt", "basename": "f.txt",
          "secondaryFiles": [{"class": "File", "location": "file:///data/f.idx", "basename": "f.idx"}]},
    "g": {"class": "File", "location": "file:///other/g.txt", "basename": "g.txt"},
    "twin": {"class": "File", "location": "file:///else/f.txt", "basename": "f.txt"},
    "list": [{"class": "File", "location": "file:///l/1", "basename": "1"}, {"class": "File", "location": "file:///l/2", "basename": "2"}],
    "dir": {"class": "Directory", "location": "file:///data/dir", "basename": "dir", "listing": [
        {"class": "File", "location": "file:///data/dir/in", "basename": "in"}]},
    "made": {"class": "Directory", "basename": "made", "listing": [
        {"class": "File", "basename": "t", "contents": "text"}]},
    "lit": {"class": "File", "basename": "lit.txt", "contents": "literal"},
    "object": {"b": [1, 2], "a": "é"}, "name": "n.txt", "number": 3, "none": null
}"#;

fn dirent(entry: &str, entryname: Option<&str>, writable: bool) -> WorkDirEntry {
    WorkDirEntry::Dirent { entry: text(entry), entryname: entryname.map(text), writable }
}

fn run(entries: &[WorkDirEntry], docker: Option<bool>) -> Result<(Vec<String>, Value), String> {
    let inputs = crate::json::parse(INPUTS).expect("json");
    let staging = stage_inputs(&inputs, "/stage").expect("staged");
    let docker = docker.map(|required| (Arc::new(DockerRequirement::default()), required));
    let effective = Effective { docker, ..effective() };
    let work_dir = Fixture::of(staging.inputs.clone())
        .with(|context| work_dir(entries, &effective, context, &staging, "/out", effective.docker.is_some()))
        .map_err(|error| error.to_string())?;
    let shown = work_dir.entries.iter().map(|entry| {
        let target = entry.target.strip_prefix("/out/").unwrap_or(&entry.target);
        let mark = if entry.writable { "!" } else { "" };
        match &entry.source {
            StagingSource::Location { location, .. } => {
                format!("{target}{mark} <- {}", location.trim_start_matches("file://"))
            }
            StagingSource::Literal(text) => format!("{target}{mark} = {text}"),
            StagingSource::EmptyDirectory => format!("{target}{mark}/"),
        }
    });
    Ok((shown.collect(), work_dir.inputs))
}

fn check(entries: &[WorkDirEntry], expected: &[&str]) {
    assert_eq!(
        run(entries, None).map(|(shown, _)| shown),
        Ok(expected.iter().map(|s| (*s).to_owned()).collect()),
        "{entries:?}"
    );
}

fn paths(entries: &[WorkDirEntry], names: &[&str]) -> Vec<String> {
    let (_, inputs) = run(entries, None).expect("work dir");
    let mut paths = Vec::new();
    for name in names {
        inputs.field(name).visit_files(&mut |value| paths.push(path_of(value).expect("path").to_string()));
    }
    paths
}

#[test]
fn dirents_put_texts_and_files_under_names() {
    check(&[dirent("text $(inputs.number)\n", Some("a.txt"), false)], &["a.txt = text 3\n"]);
    check(&[dirent("$(inputs.g)", None, false)], &["g.txt <- /other/g.txt"]);
    check(&[dirent("$(inputs.g)", Some("sub/$(inputs.name)"), true)], &["sub/n.txt! <- /other/g.txt"]);
    check(&[dirent("$(inputs.g)", Some("./x//y"), false)], &["x/y <- /other/g.txt"]);
    check(&[dirent("$(inputs.f)", Some("new"), true)], &["f.idx! <- /data/f.idx", "new! <- /data/f.txt"]);
    check(&[dirent("$(inputs.dir)", None, true)], &["dir! <- /data/dir"]);
    check(&[dirent("$(inputs.lit)", Some("x"), false)], &["x = literal"]);
    check(&[dirent("$(inputs.none)", Some("x"), false)], &[]);
    check(&[dirent("$(inputs.made)", Some("m"), true)], &["m!/", "m/t! = text"]);
    check(&[dirent(r#"$({"class": "Directory", "listing": []})"#, Some("empty"), true)], &["empty!/"]);
}

#[test]
fn other_values_become_json_text_with_spaces() {
    check(&[dirent("$(inputs.object)", Some("x"), false)], &[r#"x = {"a": "\u00e9", "b": [1, 2]}"#]);
    check(&[dirent("$(inputs.number)", Some("x"), false)], &["x = 3"]);
    check(&[dirent("$(inputs.number)\n", Some("x"), false)], &["x = 3\n"]);
    check(&[dirent("$([1, 'a'])", Some("x"), false)], &[r#"x = [1, "a"]"#]);
}

#[test]
fn lists_of_files_need_no_names_of_their_own() {
    check(&[dirent("$(inputs.list)", None, true)], &["1! <- /l/1", "2! <- /l/2"]);
    let message = run(&[dirent("$(inputs.list)", Some("x"), false)], None).expect_err("named list");
    assert!(message.contains("cannot name 2 files"), "{message}");
}

#[test]
fn expressions_give_files_dirents_lists_or_null() {
    for (expression, expected) in [
        ("$(inputs.none)", &[][..]),
        ("$(inputs.g)", &["g.txt <- /other/g.txt"]),
        ("$(inputs.list)", &["1 <- /l/1", "2 <- /l/2"]),
        ("$([inputs.list, null, inputs.g])", &["1 <- /l/1", "2 <- /l/2", "g.txt <- /other/g.txt"]),
        ("$({'entry': inputs.g, 'entryname': 'x', 'writable': true})", &["x! <- /other/g.txt"]),
        ("$([{'entry': '$(not a template)', 'entryname': 'b'}])", &["b = $(not a template)"]),
        ("${ return [{'class': 'File', 'basename': 'c', 'contents': 'cc'}]; }", &["c = cc"]),
        ("${ inputs.g.basename = 'renamed'; return inputs.g; }", &["renamed <- /other/g.txt"]),
        ("$({'class': 'File', 'path': inputs.g.path, 'basename': 'p'})", &["p <- /other/g.txt"]),
    ] {
        check(&[WorkDirEntry::Text(text(expression))], expected);
    }
    let file = File { location: Some("file:///v".into()), basename: Some("v".into()), ..File::default() };
    check(
        &[WorkDirEntry::Value(Value::File(Arc::new(file))), WorkDirEntry::Value(Value::Null)],
        &["v <- /v"],
    );
}

#[test]
fn inputs_are_where_they_were_put() {
    let moved = paths(&[dirent("$(inputs.f)", Some("new.txt"), false)], &["f", "g"]);
    assert_eq!(moved, ["/out/f.idx", "/out/new.txt", "/stage/1/g.txt"]);
    let moved = paths(&[dirent("$(inputs.dir)", Some("d2"), false)], &["dir"]);
    assert_eq!(moved, ["/out/d2/in", "/out/d2"]);
    let moved = paths(&[dirent("$(inputs.lit)", None, false)], &["lit"]);
    assert_eq!(moved, ["/out/lit.txt"]);
    let moved = paths(&[WorkDirEntry::Text(text("$(inputs.list)"))], &["list"]);
    assert_eq!(moved, ["/out/1", "/out/2"]);
    // A script may make the object anew, with nothing but the location.
    let anew = "$({'class': 'File', 'location': inputs.g.location, 'basename': 'anew'})";
    assert_eq!(paths(&[WorkDirEntry::Text(text(anew))], &["g"]), ["/out/anew"]);
    assert_eq!(paths(&[], &["g"]), ["/stage/1/g.txt"]);
    let (_, inputs) = run(&[dirent("$(inputs.g)", Some("new.tar"), false)], None).expect("work dir");
    assert!(matches!(inputs.field("g"), Value::File(file) if file.basename.as_deref() == Some("new.tar")));
}

#[test]
fn absolute_names_need_a_container_that_is_required() {
    let entries = [dirent("$(inputs.g)", Some("/abs/stuff.txt"), false)];
    assert_eq!(
        run(&entries, Some(true)).map(|(shown, _)| shown),
        Ok(vec!["/abs/stuff.txt <- /other/g.txt".into()])
    );
    for docker in [None, Some(false)] {
        let message = run(&entries, docker).expect_err("absolute");
        assert!(message.contains("absolute"), "{message}");
    }
    check(&[dirent("$(inputs.g)", Some("/out/x"), false)], &["x <- /other/g.txt"]);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, reason) in [
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("..", "leads out"),
        (".", "leads out"),
        ("a\0b", "NUL"),
    ] {
        for docker in [None, Some(true)] {
            let message = run(&[dirent("$(inputs.g)", Some(name), false)], docker).expect_err(name);
            assert!(message.contains(reason), "{name}: {message}");
        }
    }
    let message = run(&[dirent("text", Some("$(inputs.number)"), false)], None).expect_err("number");
    assert!(message.contains("entryname is a number"), "{message}");
}

#[test]
fn what_cannot_be_staged_is_refused() {
    for (entry, reason) in [
        (WorkDirEntry::Text(text("$(inputs.number)")), "must hold Files"),
        (WorkDirEntry::Text(text("$('text')")), "must hold Files"),
        (WorkDirEntry::Text(text("$({'a': 1})")), "must hold Files"),
        (WorkDirEntry::Text(text("$({'entry': 'x', 'entryname': 3})")), "entryname is a number"),
        (
            WorkDirEntry::Text(text("$({'entry': 'x', 'entryname': 'x', 'writable': 'y'})")),
            "writable is a string",
        ),
        (
            WorkDirEntry::Text(text("$({'class': 'File', 'path': '/etc/passwd'})")),
            "neither a location nor contents",
        ),
        (dirent("text", None, false), "needs an entryname"),
        (dirent("text", Some(""), false), "needs an entryname"),
    ] {
        let message = run(std::slice::from_ref(&entry), None).expect_err(reason);
        assert!(message.contains(reason), "{entry:?}: {message}");
    }
}

#[test]
fn two_things_of_one_name_are_refused_and_the_same_thing_twice_is_not() {
    let twice = [dirent("$(inputs.g)", None, false), dirent("$(inputs.g)", None, true)];
    check(&twice, &["g.txt! <- /other/g.txt"]);
    let both = [dirent("$(inputs.f)", None, false), dirent("$(inputs.twin)", None, false)];
    let message = run(&both, None).expect_err("collision");
    assert!(
        message.contains("file:///data/f.txt and file:///else/f.txt cannot both be /out/f.txt"),
        "{message}"
    );
    check(
        &[dirent("$(inputs.g)", Some("a"), false), dirent("$(inputs.g)", Some("b"), false)],
        &["a <- /other/g.txt", "b <- /other/g.txt"],
    );
}

#[test]
fn nothing_is_put_into_directories_that_are_only_linked() {
    let inner = || dirent("x", Some("dir/new"), false);
    let message = run(&[inner(), dirent("$(inputs.dir)", None, false)], None).expect_err("linked");
    assert!(message.contains("/out/dir/new cannot be put into /out/dir"), "{message}");
    check(&[inner(), dirent("$(inputs.dir)", None, true)], &["dir! <- /data/dir", "dir/new = x"]);
    let message =
        run(&[dirent("x", Some("f/new"), false), dirent("y", Some("f"), true)], None).expect_err("file");
    assert!(message.contains("cannot be put into /out/f"), "{message}");
}

#[test]
fn directories_come_before_what_is_in_them() {
    let entries = [
        dirent("1", Some("a-b"), false),
        dirent("2", Some("a/x"), false),
        dirent("$(inputs.made)", Some("a"), false),
    ];
    check(&entries, &["a/", "a/t = text", "a/x = 2", "a-b = 1"]);
}
