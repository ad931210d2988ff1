use super::*;
use crate::files::Files;
use crate::job_fixture::{Fixture, Memory, effective, glob, output, secondary, text, tool};
use crate::location::file_uri;
use crate::parameter::Output;
use crate::print;
use crate::staging::{StagingEntry, StagingSource};
use crate::types::{RecordField, RecordType};

const INPUTS: &str = r#"{
    "f": {"class": "File", "location": "file:///data/f.txt", "basename": "f.txt", "path": "/stage/0/f.txt", "checksum": "sha1$abc"},
    "dir": {"class": "Directory", "location": "file:///data/dir", "basename": "dir", "path": "/stage/1/dir"},
    "lit": {"class": "File", "basename": "lit", "contents": "literal", "path": "/stage/2/lit"},
    "name": "a.txt", "two": ["b.txt", "a.txt"]
}"#;

const OUT: &[(&str, &str)] = &[
    ("/out/a.txt", "aa"),
    ("/out/b.txt", "b"),
    ("/out/a.txt.idx", "i"),
    ("/out/a.idx", "i"),
    ("/out/d/x", "xxx"),
    ("/out/d/e/y", ""),
    ("/out/d/link", "→../a.txt"),
    ("/out/legal", "→d/x"),
    ("/out/illegal", "→/tmp/original.txt"),
    ("/out/dangling", "→gone"),
    ("/out/to_input", "→/stage/0/f.txt"),
    ("/out/linked.txt2", "input"),
    ("/out/loop/around", "→../loop"),
    ("/out/bad/illegal", "→/etc"),
    ("/out/[odd].log", "odd"),
    ("/out/pipe", "socket"),
    ("/out/item #1", "#"),
];

struct Job {
    outputs: Vec<Output>,
    tree: Memory,
    effective: Effective,
    stdout: Option<&'static str>,
}

impl Job {
    fn new(outputs: Vec<Output>) -> Self {
        Self { outputs, tree: Memory::new(OUT), effective: effective(), stdout: None }
    }

    fn with_json(outputs: Vec<Output>, json: &str) -> Self {
        let entries: Vec<(&str, &str)> =
            OUT.iter().copied().chain([("/out/cwl.output.json", json)]).collect();
        Self { tree: Memory::new(&entries), ..Self::new(outputs) }
    }

    fn run(self) -> Result<Value, Error> {
        let host_entries: Vec<(String, &str)> =
            OUT.iter().map(|(path, what)| (format!("/host{path}"), *what)).collect();
        let json = Files::read_prefix(&self.tree, "file:///out/cwl.output.json", 1 << 20).unwrap_or_default();
        let json = String::from_utf8(json).expect("text");
        let mut host: Vec<(&str, &str)> =
            host_entries.iter().map(|(path, what)| (path.as_str(), *what)).collect();
        host.extend([
            ("/data/f.txt", "input"),
            ("/data/f.txt.idx", "x"),
            ("/data/dir/in", "in"),
            ("/host/stage/2/lit", "literal"),
            ("/etc/passwd", "secret"),
            ("/host/out/cwl.output.json", json.as_str()),
        ]);
        // What the fixture takes for a mark is a plain text on the host.
        let host: Vec<(&str, &str)> = host
            .into_iter()
            .map(|(path, what)| (path, if what == "input" { "text" } else { what }))
            .collect();
        let host = Memory::new(&host);
        let location = |path: &str, is_directory| StagingSource::Location {
            location: file_uri(path).into(),
            is_directory,
        };
        let staged: Vec<StagingEntry> = [
            (location("/data/f.txt", false), "/stage/0/f.txt"),
            (location("/data/dir", true), "/stage/1/dir"),
            (StagingSource::Literal("literal".into()), "/stage/2/lit"),
            (location("/data/f.txt", false), "/out/linked.txt2"),
        ]
        .map(|(source, target)| StagingEntry { source, target: target.into(), writable: false })
        .into();
        let mut tool = tool();
        tool.common.outputs = self.outputs;
        tool.stdout = self.stdout.map(text);
        let finished = Finished {
            outdir: "/out",
            tree: &self.tree,
            staged: &staged,
            to_host: &|path| file_uri(&format!("/host{path}")),
            files: &host,
        };
        Fixture::new(INPUTS).with(|context| outputs(&tool, &self.effective, context, finished))
    }
}

/// An output as text: `path < location` of files, listings in brackets.
fn shown(value: &Value) -> String {
    fn names(path: &Option<Arc<str>>, location: &Option<Arc<str>>, basename: &Option<Arc<str>>) -> String {
        let location = location.as_deref().unwrap_or("literal");
        let location = location.strip_prefix("file://").unwrap_or(location);
        let location = location.strip_prefix("/host").unwrap_or(location);
        let path = path.as_deref().unwrap_or("-");
        let basename = basename.as_deref().unwrap_or("-");
        let mut shown = path.to_owned();
        if location != path {
            shown += &format!(" < {location}");
        }
        if path.rsplit('/').next() != Some(basename) {
            shown += &format!(" as {basename}");
        }
        shown
    }
    let all = |items: &[Value]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match value {
        Value::File(file) => {
            let size = file.size.map_or("?".to_owned(), |size| size.to_string());
            let mut shown = format!("{} {size}", names(&file.path, &file.location, &file.basename));
            if !file.secondary_files.is_empty() {
                shown += &format!(" + {}", all(&file.secondary_files));
            }
            shown
        }
        Value::Directory(directory) => {
            let names = names(&directory.path, &directory.location, &directory.basename);
            directory
                .listing
                .as_ref()
                .map_or(format!("{names}/"), |listing| format!("{names}/[{}]", all(listing)))
        }
        Value::List(items) => format!("[{}]", all(items)),
        other => print::embedded(other),
    }
}

fn collect(output: Output) -> Result<String, String> {
    Job::new(vec![output]).run().map(|value| shown(value.field("o"))).map_err(|error| error.to_string())
}

fn check(type_: Type, binding: Option<OutputBinding>, expected: &str) {
    let shown = format!("{type_:?} {binding:?}");
    assert_eq!(collect(output("o", type_, binding)), Ok(expected.to_owned()), "{shown}");
}

fn fails(type_: Type, binding: Option<OutputBinding>, reason: &str) {
    let shown = format!("{type_:?} {binding:?}");
    let message = collect(output("o", type_, binding)).expect_err(&shown);
    assert!(message.contains(reason), "{shown}: {message}");
}

fn union(types: &[Type]) -> Type {
    Type::Union(Arc::new(types.to_vec()))
}

fn eval(patterns: &[&str], expression: &str) -> Option<OutputBinding> {
    Some(OutputBinding { output_eval: Some(text(expression)), ..glob(patterns) })
}

#[test]
fn patterns_find_files() {
    for (type_, patterns, expected) in [
        (Type::File, &["a.txt"][..], "/out/a.txt 2"),
        (Type::File, &["$(inputs.name)"], "/out/a.txt 2"),
        (Type::File, &["/out/a.txt"], "/out/a.txt 2"),
        (Type::File, &["item #1"], "/out/item #1 < /out/item%20%231 1"),
        (Type::File.array_of(), &["*.txt"], "[/out/a.txt 2, /out/b.txt 1]"),
        (Type::File.array_of(), &["b.txt", "a.txt"], "[/out/b.txt 1, /out/a.txt 2]"),
        (Type::File.array_of(), &["$(inputs.two)"], "[/out/b.txt 1, /out/a.txt 2]"),
        (Type::File.array_of(), &["*.none"], "[]"),
        (Type::File.array_of(), &["$(null)"], "[]"),
        (union(&[Type::Null, Type::File]), &["*.none"], "null"),
        (union(&[Type::Null, Type::File.array_of()]), &["*.none"], "null"),
        (union(&[Type::File, Type::File.array_of()]), &["*.txt"], "[/out/a.txt 2, /out/b.txt 1]"),
        (union(&[Type::File, Type::File.array_of()]), &["a.txt"], "/out/a.txt 2"),
        (
            union(&[Type::File, Type::Directory]).array_of(),
            &["[ad]", "a.txt"],
            "[/out/d/[/out/d/e/[/out/d/e/y 0], /out/d/link < /out/a.txt 2, /out/d/x 3], /out/a.txt 2]",
        ),
        (Type::Directory, &["d/e"], "/out/d/e/"),
    ] {
        check(type_, Some(glob(patterns)), expected);
    }
}

#[test]
fn the_output_directory_itself_can_be_an_output() {
    let tree = || Memory::new(&[("/out/a", "a"), ("/out/s/b", "b")]);
    for pattern in [".", "$(runtime.outdir)"] {
        let job =
            Job { tree: tree(), ..Job::new(vec![output("o", Type::Directory, Some(glob(&[pattern])))]) };
        assert_eq!(job.run().map(|v| shown(v.field("o"))).ok().as_deref(), Some("/out/"));
    }
}

#[test]
fn what_is_not_as_declared_is_refused() {
    for (type_, patterns, reason) in [
        (Type::File, &["none"][..], "output o is missing: nothing matches \"none\""),
        (Type::File, &["*.txt"], "must be one file, but 2 match \"*.txt\""),
        (Type::File.array_of(), &["d"], "output o[0] is a Directory (d), but must be File"),
        (Type::Directory.array_of(), &["a.txt"], "output o[0] is a File (a.txt), but must be Directory"),
        (Type::File, &["/tmp/x"], "leads out of the output directory"),
        (Type::File, &["../x"], "leads out of the output directory"),
        (Type::String, &["a.txt"], "output o is an array of 1, but must be string"),
        (Type::File, &["$(3)"], "glob gives a number (3)"),
        (Type::File, &["pipe"], "neither a file nor a directory"),
    ] {
        fails(type_, Some(glob(patterns)), reason);
    }
    fails(Type::File, None, "output o is null, but must be File");
}

#[test]
fn links_are_followed_inside_and_to_inputs_and_refused_elsewhere() {
    check(Type::File, Some(glob(&["legal"])), "/out/legal < /out/d/x 3");
    check(Type::File, Some(glob(&["to_input"])), "/out/to_input < /data/f.txt 4");
    check(Type::File, Some(glob(&["linked.txt2"])), "/out/linked.txt2 < /data/f.txt 4");
    fails(Type::File, Some(glob(&["illegal"])), "/out/illegal is a link to /tmp/original.txt");
    fails(Type::File, Some(glob(&["dangling"])), "leads nowhere");
    fails(Type::Directory, Some(glob(&["loop"])), "is a link to a directory that holds it");
    fails(Type::Directory, Some(glob(&["bad"])), "is a link to /etc,");
}

#[test]
fn expressions_see_the_files_and_the_exit_code() {
    for (type_, patterns, expression, expected) in [
        (Type::Int, &["*.txt"][..], "$(self.length)", "2"),
        (Type::Int, &[], "$(runtime.exitCode)", "7"),
        (Type::String, &["a.txt"], "$(self[0].path + self[0].size + self[0].nameext)", "\"/out/a.txt2.txt\""),
        (Type::File, &["*.txt"], "$(self[1])", "/out/b.txt 1"),
        (Type::File, &["a.txt"], "${ self[0].basename = 'new'; return self[0]; }", "/out/a.txt as new 2"),
        (Type::File, &[], "$({'class': 'File', 'path': 'd/x'})", "/out/d/x 3"),
        (
            Type::File,
            &[],
            "$({'class': 'File', 'location': 'item%20%231'})",
            "/out/item #1 < /out/item%20%231 1",
        ),
        (Type::File, &[], "$(inputs.f)", "/stage/0/f.txt < /data/f.txt 4"),
        (
            Type::File,
            &[],
            "$({'class': 'File', 'location': inputs.f.location})",
            "- < /data/f.txt as f.txt 4",
        ),
        (Type::File, &[], "$(inputs.lit)", "/stage/2/lit 7"),
        (Type::Directory, &[], "$(inputs.dir)", "/stage/1/dir < /data/dir/"),
        (
            Type::File,
            &[],
            "$({'class': 'File', 'path': inputs.dir.path + '/in'})",
            "/stage/1/dir/in < /data/dir/in 2",
        ),
        (Type::File, &[], "$({'class': 'File', 'basename': 'l', 'contents': 'c'})", "- < literal as l ?"),
        (
            Type::Directory,
            &["a.txt"],
            "$({'class': 'Directory', 'basename': 'm', 'listing': [self[0], inputs.f]})",
            "- < literal as m/[/out/a.txt 2, /stage/0/f.txt < /data/f.txt 4]",
        ),
        (union(&[Type::Null, Type::Int]), &[], "$(null)", "null"),
        (union(&[Type::Null, Type::Int]), &[], "$(0)", "0"),
        (union(&[Type::Null, Type::String]), &[], "$('')", "\"\""),
        (union(&[Type::Null, Type::Boolean]), &[], "$(false)", "false"),
        (Type::Any, &[], "$([])", "[]"),
    ] {
        check(type_, eval(patterns, expression), expected);
    }
}

#[test]
fn expressions_cannot_reach_other_files() {
    for (expression, reason) in [
        ("$({'class': 'File', 'path': '/etc/passwd'})", "neither in the output directory nor an input"),
        (
            "$({'class': 'File', 'location': 'file:///etc/passwd'})",
            "neither in the output directory nor an input",
        ),
        ("$({'class': 'File', 'path': '../etc/passwd'})", "neither in the output directory nor an input"),
        ("$({'class': 'File', 'path': 'none'})", "is not there"),
        ("$({'class': 'File', 'location': 's3://b/k'})", "neither in the output directory nor an input"),
        ("$({'class': 'File'})", "has neither path, location nor contents"),
        ("$({'class': 'File', 'path': 'd'})", "is a Directory (d), but must be File"),
        (
            "$({'class': 'File', 'path': 'a.txt', 'secondaryFiles': [{'class': 'File', 'path': '/etc/passwd'}]})",
            "neither in the output directory nor an input",
        ),
    ] {
        fails(Type::File, eval(&[], expression), reason);
    }
    fails(
        Type::Directory,
        eval(&[], "$({'class': 'Directory', 'basename': 'x'})"),
        "path, location nor listing",
    );
}

#[test]
fn contents_and_listings_are_loaded_for_expressions_alone() {
    let contents = |expression: &str| OutputBinding {
        load_contents: true,
        ..eval(&["a.txt"], expression).expect("some")
    };
    check(Type::String, Some(contents("$(self[0].contents)")), "\"aa\"");
    let job = Job::new(vec![output("o", Type::File, Some(contents("$(self[0])")))]);
    assert!(matches!(job.run().expect("output").field("o"), Value::File(file) if file.contents.is_none()));
    for (how, expected) in [
        (None, "\"undefined\""),
        (Some(LoadListing::Shallow), "\"e,link,x undefined\""),
        (Some(LoadListing::Deep), "\"e,link,x object\""),
    ] {
        let expression = "${ var l = self[0].listing; return l === undefined ? 'undefined' : l.map(function(f) { return f.basename; }).join() + ' ' + typeof l[0].listing; }";
        let binding = OutputBinding { load_listing: how, ..eval(&["d"], expression).expect("some") };
        check(Type::String, Some(binding), expected);
    }
    let job = Job {
        effective: Effective { version: Version::V1_0, ..effective() },
        ..Job::new(vec![output("o", Type::Int, eval(&["d"], "$(self[0].listing.length)"))])
    };
    assert_eq!(job.run().map(|v| shown(v.field("o"))).ok().as_deref(), Some("3"));
}

#[test]
fn too_large_contents_are_an_error() {
    let big = "x".repeat(65 * 1024);
    let tree = Memory::new(&[("/out/big", &big)]);
    let files = Memory::new(&[("/host/out/big", &big)]);
    let mut tool = tool();
    tool.common.outputs =
        vec![output("o", Type::File, Some(OutputBinding { load_contents: true, ..glob(&["big"]) }))];
    let finished = Finished {
        outdir: "/out",
        tree: &tree,
        staged: &[],
        to_host: &|path| file_uri(&format!("/host{path}")),
        files: &files,
    };
    let error =
        Fixture::new("{}").with(|context| outputs(&tool, &effective(), context, finished)).expect_err("big");
    assert!(error.to_string().contains("larger than 65536 bytes"), "{error}");
}

fn with_secondary(type_: Type, binding: Option<OutputBinding>, patterns: &[&str]) -> Result<String, String> {
    let mut declared = output("o", type_, binding);
    declared.secondary_files = patterns.iter().map(|pattern| secondary(pattern)).collect();
    collect(declared)
}

#[test]
fn secondary_files_come_in_the_order_of_their_patterns() {
    for (patterns, expected) in [
        (&[".idx", "^.idx"][..], "/out/a.txt 2 + /out/a.txt.idx 1, /out/a.idx 1"),
        (&["^.idx", ".idx", ".none"], "/out/a.txt 2 + /out/a.idx 1, /out/a.txt.idx 1"),
        (&["$(self.nameroot).idx"], "/out/a.txt 2 + /out/a.idx 1"),
        (&["${ return {'class': 'File', 'path': 'd/x'}; }"], "/out/a.txt 2 + /out/d/x 3"),
        (
            &["${ return [inputs.f, 'b.txt', null]; }"],
            "/out/a.txt 2 + /stage/0/f.txt < /data/f.txt 4, /out/b.txt 1",
        ),
        (
            &["$('d')"],
            "/out/a.txt 2 + /out/d/[/out/d/e/[/out/d/e/y 0], /out/d/link < /out/a.txt 2, /out/d/x 3]",
        ),
        (&[".idx", ".idx"], "/out/a.txt 2 + /out/a.txt.idx 1"),
        (&["$('d/x')"], "/out/a.txt 2 + /out/d/x 3"),
    ] {
        assert_eq!(
            with_secondary(Type::File, Some(glob(&["a.txt"])), patterns),
            Ok(expected.to_owned()),
            "{patterns:?}"
        );
    }
    assert_eq!(
        with_secondary(Type::File.array_of(), Some(glob(&["*.txt"])), &[".idx"]),
        Ok("[/out/a.txt 2 + /out/a.txt.idx 1, /out/b.txt 1]".into())
    );
}

#[test]
fn required_secondary_files_that_are_missing_are_told_at_once() {
    assert_eq!(
        with_secondary(Type::File.array_of(), Some(glob(&["*.txt"])), &[".idx!", ".no!"]),
        Err("missing: /out/a.txt.no, /out/b.txt.idx, /out/b.txt.no".into())
    );
    let message =
        with_secondary(Type::File, Some(glob(&["a.txt"])), &["$('../../etc/passwd')"]).expect_err("outside");
    assert!(message.contains("neither in the output directory"), "{message}");
}

#[test]
fn formats_may_be_expressions_over_the_file() {
    for (written, expected) in
        [("http://f/x", "http://f/x"), ("$('http://f/' + self.nameroot)", "http://f/a")]
    {
        let mut declared = output("o", Type::File, Some(glob(&["a.txt"])));
        declared.format = Some(text(written));
        let outputs = Job::new(vec![declared]).run().expect("output");
        assert!(matches!(outputs.field("o"), Value::File(file) if file.format.as_deref() == Some(expected)));
    }
    let mut declared = output("o", Type::File, Some(glob(&["a.txt"])));
    declared.format = Some(text("$(3)"));
    assert!(collect(declared).is_err_and(|message| message.contains("format is a number (3)")));
}

#[test]
fn records_are_collected_field_by_field() {
    let field = |name: &str, type_: Type, binding: Option<OutputBinding>, patterns: &[&str]| RecordField {
        name: name.into(),
        type_,
        label: None,
        doc: None,
        secondary_files: patterns.iter().map(|pattern| secondary(pattern)).collect(),
        format: if patterns.is_empty() { Vec::new() } else { vec![text("http://f")] },
        streamable: false,
        load_contents: false,
        load_listing: None,
        input_binding: None,
        output_binding: binding,
    };
    let record = |fields| Type::Record(Arc::new(RecordType { name: None, fields, binding: None }));
    let type_ = record(vec![
        field("a", Type::File, Some(glob(&["a.txt"])), &[".idx"]),
        field("inner", record(vec![field("n", Type::Int, eval(&[], "$(runtime.exitCode)"), &[])]), None, &[]),
        field("none", union(&[Type::Null, Type::File]), Some(glob(&["none"])), &[]),
    ]);
    let outputs = Job::new(vec![output("o", type_.clone(), None)]).run().expect("output");
    let value = outputs.field("o");
    assert_eq!(shown(value.field("a")), "/out/a.txt 2 + /out/a.txt.idx 1");
    assert!(matches!(value.field("a"), Value::File(file) if file.format.as_deref() == Some("http://f")));
    assert_eq!(value.field("inner").field("n"), &Value::from(7));
    assert_eq!(value.field("none"), &Value::Null);
    let evaluated = eval(&[], "$({'a': {'class': 'File', 'path': 'b.txt'}, 'inner': {'n': 1}})");
    let outputs = Job::new(vec![output("o", type_, evaluated)]).run().expect("output");
    assert_eq!(shown(outputs.field("o").field("a")), "/out/b.txt 1");
    fails(record(vec![field("b", Type::File, Some(glob(&["no"])), &[])]), None, "output o.b is missing");
}

#[test]
fn the_name_of_a_stream_is_no_pattern() {
    let mut declared = output("o", Type::File, Some(glob(&["[odd].log"])));
    declared.stream = Some(Stream::Stdout);
    let job = Job { stdout: Some("[odd].log"), ..Job::new(vec![declared]) };
    assert_eq!(
        job.run().map(|v| shown(v.field("o"))).ok().as_deref(),
        Some("/out/[odd].log < /out/%5Bodd%5D.log 3")
    );
}

#[test]
fn checksums_of_inputs_are_kept_and_others_not_believed() {
    let outputs = Job::new(vec![output("o", Type::File, eval(&[], "$(inputs.f)"))]).run().expect("output");
    assert!(matches!(outputs.field("o"), Value::File(file) if file.checksum.as_deref() == Some("sha1$abc")));
    let claimed = eval(&["a.txt"], "${ self[0].checksum = 'sha1$0'; self[0].size = 99; return self[0]; }");
    let outputs = Job::new(vec![output("o", Type::File, claimed)]).run().expect("output");
    assert!(
        matches!(outputs.field("o"), Value::File(file) if file.checksum.is_none() && file.size == Some(2))
    );
}

fn from_json(type_: Type, json: &str) -> Result<String, String> {
    Job::with_json(vec![output("o", type_, Some(glob(&["none"])))], json)
        .run()
        .map(|value| shown(value.field("o")))
        .map_err(|error| error.to_string())
}

#[test]
fn a_tool_may_write_its_output_object_itself() {
    for (type_, json, expected) in [
        (Type::File, r#"{"o": {"class": "File", "path": "/out/a.txt"}}"#, "/out/a.txt 2"),
        (Type::File, r#"{"o": {"class": "File", "path": "a.txt"}}"#, "/out/a.txt 2"),
        (Type::File, r#"{"o": {"class": "File", "location": "file:///out/a.txt"}}"#, "/out/a.txt 2"),
        (
            Type::File,
            r#"{"o": {"class": "File", "location": "a.txt", "basename": "n"}}"#,
            "/out/a.txt as n 2",
        ),
        (
            Type::File,
            r#"{"o": {"class": "File", "path": "/stage/0/f.txt"}}"#,
            "/stage/0/f.txt < /data/f.txt 4",
        ),
        (Type::Int, r#"{"o": 3}"#, "3"),
        (
            Type::Double,
            r#"{"o": 1000000000000000000000000000000000000000000}"#,
            "1000000000000000000000000000000000000000000",
        ),
        (union(&[Type::Null, Type::Int]), "{}", "null"),
        (
            Type::Directory,
            r#"{"o": {"class": "Directory", "basename": "m", "listing": [{"class": "File", "path": "b.txt"}]}}"#,
            "- < literal as m/[/out/b.txt 1]",
        ),
    ] {
        assert_eq!(from_json(type_, json), Ok(expected.to_owned()), "{json}");
    }
    let extra = Job::with_json(Vec::new(), r#"{"extra": 1}"#).run().expect("output");
    assert_eq!(extra.field("extra"), &Value::from(1));
}

#[test]
fn an_output_object_of_the_tool_is_not_believed() {
    for (type_, json, reason) in [
        (Type::File, "{}", "cwl.output.json: output o is null, but must be File"),
        (Type::Int, r#"{"o": "x"}"#, "output o is a string (\"x\"), but must be int"),
        (Type::Int, "[]", "must hold an output object"),
        (Type::Int, "{", "line 1"),
        (Type::File, r#"{"o": {"class": "File", "path": "/etc/passwd"}}"#, "neither in the output directory"),
        (Type::File, r#"{"o": {"class": "File", "path": "illegal"}}"#, "is a link to /tmp/original.txt"),
        (
            Type::File,
            r#"{"o": {"class": "File", "location": "file:///etc/passwd"}}"#,
            "neither in the output directory",
        ),
        (Type::File, r#"{"o": {"class": "File", "path": "none"}}"#, "is not there"),
        (Type::Int, "→/etc/passwd", "is a link to /etc/passwd"),
    ] {
        let message = from_json(type_, json).expect_err(json);
        assert!(message.contains(reason), "{json}: {message}");
    }
}

#[test]
fn links_that_multiply_are_bounded() {
    // Every level holds two links to the next: 2^24 files at the end.
    let mut entries: Vec<(String, String)> = Vec::new();
    for level in 0..24 {
        for link in ["a", "b"] {
            entries.push((format!("/out/{level}/{link}"), format!("→/out/{}", level + 1)));
        }
    }
    entries.push(("/out/24/x".into(), "x".into()));
    let entries: Vec<(&str, &str)> =
        entries.iter().map(|(path, what)| (path.as_str(), what.as_str())).collect();
    let job = Job {
        tree: Memory::new(&entries),
        ..Job::new(vec![output("o", Type::Directory, Some(glob(&["0"])))])
    };
    let error = job.run().expect_err("too many");
    assert!(error.to_string().contains("links to directories lead to more than"), "{error}");
}
