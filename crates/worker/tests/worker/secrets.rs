//! Secrets: the tool gets them, and nothing of them is left or told.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use moil_cwl::inherit::Effective;
use moil_cwl::parameter::OutputBinding;
use moil_cwl::requirement::WorkDirEntry;
use moil_cwl::types::Type;
use moil_cwl::value::{File, Value};
use moil_job::executor::{Executor as _, Report};

use crate::fixture::*;

/// Long, and awkward for shells.
const SECRET: &str = "hunter2 'and' \"more\" $HOME";

/// A file that is put into the working directory.
fn work_file(effective: &mut Effective, name: &str, entry: &str) {
    let entry = WorkDirEntry::Dirent { entry: text(entry), entryname: Some(text(name)), writable: false };
    effective.initial_work_dir = Some(Arc::new(vec![entry]));
}

fn literal(contents: &str) -> Value {
    let basename = Some("literal.txt".into());
    Value::File(Arc::new(File { contents: Some(contents.into()), basename, ..File::default() }))
}

/// The files below a directory that hold the secret.
fn leaks(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path));
        } else if fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("hunter2")) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn a_tool_gets_its_secrets_on_every_way() {
    let mut bench = Bench::new();
    let script = r#"cat; echo; echo "$KEY"; cat conf; echo; cat "$0"; echo; echo "$1""#;
    let result = bench.succeed(
        command(&["sh", "-c", script, "$(inputs.f.path)", "key=$(inputs.key)"])
            .input("key", Type::String, SECRET.into())
            .input("f", Type::File, literal(SECRET))
            .secret("key")
            .secret("f")
            .output("out", Type::File, "out.txt")
            .with(|plan| {
                plan.tool.stdin = Some(text("$(inputs.f.path)"));
                plan.tool.stdout = Some(text("out.txt"));
                plan.effective.environment = Some(Arc::new(vec![("KEY".into(), text("<$(inputs.key)>"))]));
                work_file(&mut plan.effective, "conf", "password: $(inputs.key)");
            }),
    );
    let expected = format!("{SECRET}\n<{SECRET}>\npassword: {SECRET}\n{SECRET}\nkey={SECRET}\n");
    assert_eq!(content(result.outputs.field("out")), expected);
    assert_eq!(leaks(bench.dir.path()), ["out.txt"], "nothing but what the tool wrote itself is left");
}

#[test]
fn a_secret_cannot_break_out_of_its_quotes() {
    let mut bench = Bench::new();
    let result = bench.succeed(
        command(&["printf", "%s", "$(inputs.key)"])
            .input("key", Type::String, SECRET.into())
            .secret("key")
            .output("out", Type::File, "out.txt")
            .with(|plan| {
                plan.effective.shell = true;
                plan.tool.stdout = Some(text("out.txt"));
            }),
    );
    assert_eq!(content(result.outputs.field("out")), SECRET);
}

#[test]
fn secrets_are_not_told() {
    let mut bench = Bench::with(|config| {
        let dir = config.work_root.with_file_name("kept");
        config.kept_logs = vec![moil_worker::kept_logs::KeptLogs { dir, all: true, gzip: false }];
    });
    let failure = bench.fail(
        command(&["sh", "-c", "echo \"key is $0\" >&2; echo \"$0\"; exit 1", "$(inputs.key)"])
            .input("key", Type::String, SECRET.into())
            .secret("key")
            .with(|plan| work_file(&mut plan.effective, "conf", "$(inputs.key)")),
    );
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    assert!(failure.command.unwrap().ends_with(")'"), "the command shows a placeholder");
    assert!(failure.last_lines[0].starts_with("key is (secret-"), "{:?}", failure.last_lines);
    assert!(fs::read_to_string(failure.log.unwrap()).unwrap().starts_with("key is (secret-"));
    assert_eq!(fs::read_dir(bench.path("kept")).unwrap().count(), 2);
    assert_eq!(leaks(bench.dir.path()), [""; 0]);
}

#[test]
fn a_long_secret_in_a_line_that_is_cut_is_not_told() {
    let mut bench = Bench::new();
    let failure = bench.fail(
        command(&["sh", "-c", "echo \"$0\" >&2; exit 1", "$(inputs.key)"])
            .input("key", Type::String, format!("hunter2{}", "x".repeat(1000)).into())
            .secret("key"),
    );
    assert!(!failure.last_lines[0].contains("hunter2"), "{failure:?}");
}

#[test]
fn live_output_has_no_secrets() {
    let mut bench = Bench::with(|config| config.live_output = true);
    let plan = command(&["echo", "$(inputs.key)"]).input("key", Type::String, SECRET.into()).secret("key");
    bench.executor.submit(vec![plan.attempt()]);
    let mut lines = Vec::new();
    loop {
        match bench.reports.recv().unwrap() {
            Report::Output(_, line) => lines.push(line),
            Report::Finished(..) => break,
            _ => {}
        }
    }
    assert!(lines.len() == 1 && lines[0].starts_with("(secret-"), "{lines:?}");
}

#[test]
fn an_output_object_has_placeholders() {
    let mut bench = Bench::new();
    let result = bench.succeed(
        command(&["cp", "conf", "copy"])
            .input("key", Type::String, SECRET.into())
            .secret("key")
            .output("read", Type::Any, "copy")
            .output("passed", Type::Any, "copy")
            .output("conf", Type::File, "conf")
            .with(|plan| {
                for (index, eval) in ["$(self[0].contents)", "$(inputs.key)"].into_iter().enumerate() {
                    plan.tool.common.outputs[index].binding = Some(OutputBinding {
                        glob: vec![text("copy")],
                        load_contents: true,
                        load_listing: None,
                        output_eval: Some(text(eval)),
                    });
                }
                work_file(&mut plan.effective, "conf", "$(inputs.key)");
            }),
    );
    assert!(!format!("{:?}", result.outputs).contains("hunter2"), "{:?}", result.outputs);
    assert_eq!(result.outputs.field("read"), result.outputs.field("passed"));
    assert_eq!(content(result.outputs.field("conf")), SECRET, "a file that is an output stays");
}
