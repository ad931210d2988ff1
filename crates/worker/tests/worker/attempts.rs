//! Attempts that succeed.

use std::fs;
use std::sync::Arc;

use moil_cwl::parameter::{LoadListing, OutputBinding};
use moil_cwl::requirement::{BoolOrText, DockerRequirement, WorkDirEntry};
use moil_cwl::text::NumberOrText;
use moil_cwl::types::Type;
use moil_cwl::value::{File, Value};

use crate::fixture::*;

fn dirent(entry: &str, entryname: Option<&str>, writable: bool) -> WorkDirEntry {
    WorkDirEntry::Dirent { entry: text(entry), entryname: entryname.map(text), writable }
}

#[test]
fn inputs_streams_and_variables_reach_the_tool_and_outputs_come_back() {
    let mut bench = Bench::new();
    let input = bench.given("in put #1.txt", "from stdin\n");
    let script = r#"cat; echo "$HOME|$PWD|$TMPDIR|$GREETING|$0|$(basename "$1")"; echo err >&2"#;
    let result = bench.succeed(
        command(&["sh", "-c", script, "🕺", "$(inputs.f.path)"])
            .input("f", Type::File, file(&input))
            .output("out", Type::File, "sub/out.txt")
            .output("err", Type::File, "err.txt")
            .with(|plan| {
                plan.tool.stdin = Some(text("$(inputs.f.path)"));
                plan.tool.stdout = Some(text("sub/out.txt"));
                plan.tool.stderr = Some(text("err.txt"));
                plan.effective.environment = Some(Arc::new(vec![("GREETING".into(), text("hi"))]));
            }),
    );
    let out = result.outputs.field("out");
    let text = content(out);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "from stdin");
    let words: Vec<&str> = lines[1].split('|').collect();
    assert_eq!(words[0], words[1]);
    assert_ne!(words[0], words[2]);
    assert_eq!(words[3..], ["hi", "🕺", "in put #1.txt"]);
    assert_eq!(content(result.outputs.field("err")), "err\n");
    assert_eq!(as_file(out).size, Some(text.len() as u64));
    assert!(as_file(out).checksum.as_deref().unwrap().starts_with("sha1$"));
    assert_eq!(as_file(out).path, None);
    assert_eq!((result.exit_code, result.usage.output_bytes), (0, text.len() as u64 + 4));
    assert!(result.usage.peak_memory > 0 && !result.usage.wall.is_zero());
}

#[test]
fn only_what_is_handed_over_is_in_the_environment() {
    let mut bench = Bench::with(|config| {
        config.host_environment = vec![("PATH".into(), "/usr/bin:/bin".into()), ("KEEP".into(), "1".into())];
    });
    let result = bench.succeed(
        command(&["env"])
            .output("out", Type::File, "env.txt")
            .with(|plan| plan.tool.stdout = Some(text("env.txt"))),
    );
    let names: Vec<String> = content(result.outputs.field("out"))
        .lines()
        .map(|line| line.split('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["PATH", "KEEP", "HOME", "TMPDIR"]);
}

#[test]
fn outputs_with_awkward_names_have_locations_that_lead_back() {
    let mut bench = Bench::new();
    let names = ["a b", "c#d", "100%", "%41", "new\nline", "q\"uo'te", "🕺", "back\\slash", "co:lon", "é"];
    let mut words = vec!["touch"];
    words.extend(names);
    let result = bench.succeed(command(&words).output("all", Type::File.array_of(), "*"));
    let files = result.outputs.field("all").as_list().unwrap();
    let mut found: Vec<&str> = files.iter().map(|file| as_file(file).basename.as_deref().unwrap()).collect();
    let mut expected = names.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for file in files {
        let path = path_of(file);
        assert!(path.to_str().unwrap().ends_with(as_file(file).basename.as_deref().unwrap()), "{path:?}");
        assert!(path.is_file());
        assert_eq!(as_file(file).checksum.as_deref(), Some("sha1$da39a3ee5e6b4b0d3255bfef95601890afd80709"));
    }
}

#[test]
fn without_checksums_nothing_is_hashed() {
    let mut bench = Bench::with(|config| config.checksums = false);
    let result = bench.succeed(script("echo x > x").output("x", Type::File, "x"));
    let file = as_file(result.outputs.field("x"));
    assert_eq!((file.checksum.as_deref(), file.size), (None, Some(2)));
}

#[test]
fn directories_that_are_listed_are_published_deeply() {
    let mut bench = Bench::new();
    let making = script("mkdir -p d/e; echo abc > d/e/f; echo 1 > d/g").output("d", Type::Directory, "d");
    let result = bench.succeed(making.with(|plan| {
        if let Some(binding) = &mut plan.tool.common.outputs[0].binding {
            binding.load_listing = Some(LoadListing::Deep);
        }
    }));
    let Value::Directory(directory) = result.outputs.field("d") else { panic!() };
    let mut names = Vec::new();
    result.outputs.visit_files(&mut |item| match item {
        Value::File(file) => {
            assert!(file.checksum.is_some());
            names.push(file.basename.clone().unwrap().to_string());
        }
        Value::Directory(directory) => names.push(directory.basename.clone().unwrap().to_string()),
        _ => {}
    });
    assert_eq!(names, ["f", "e", "g", "d"]);
    assert!(directory.location.is_some() && directory.path.is_none());
    assert_eq!(result.usage.output_bytes, 6);
}

#[test]
fn success_codes_and_the_exit_code_are_known_to_expressions() {
    let mut bench = Bench::new();
    let result = bench.succeed(script("exit 42").output("code", Type::Int, "*").with(|plan| {
        plan.tool.success_codes = vec![0, 42];
        plan.tool.common.outputs[0].binding = Some(OutputBinding {
            glob: Vec::new(),
            load_contents: false,
            load_listing: None,
            output_eval: Some(text("$(runtime.exitCode)")),
        });
    }));
    assert_eq!((result.outputs.field("code"), result.exit_code), (&Value::from(42), 42));
}

#[test]
fn the_tool_sees_what_was_asked_for() {
    let mut bench = Bench::new();
    let result = bench.succeed(
        command(&["echo", "$(runtime.cores)", "$(runtime.ram)", "$(runtime.outdir)"])
            .output("out", Type::File, "out")
            .with(|plan| plan.tool.stdout = Some(text("out"))),
    );
    let told = content(result.outputs.field("out"));
    assert!(told.starts_with("2 256 /") && told.ends_with("/out\n"), "{told}");
}

#[test]
fn scratch_goes_and_outputs_stay() {
    for leave in [false, true] {
        let mut bench = Bench::with(|config| config.leave_tmpdir = leave);
        let input = bench.given("x", "x");
        let result = bench.succeed(
            script("echo scratch > $TMPDIR/t; echo log; echo log >&2; echo out > out")
                .input("x", Type::File, file(&input))
                .output("out", Type::File, "out"),
        );
        let attempts = bench.attempts();
        assert_eq!(attempts.len(), 1);
        let mut left: Vec<String> = fs::read_dir(&attempts[0])
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected: &[&str] =
            if leave { &["in", "out", "stderr.log", "stdout.log", "tmp"] } else { &["out"] };
        assert_eq!(left, expected);
        assert_eq!(content(result.outputs.field("out")), "out\n");
    }
}

#[test]
fn a_literal_that_is_passed_on_is_not_removed_with_the_scratch() {
    let mut bench = Bench::new();
    let literal = Value::File(Arc::new(File {
        basename: Some("hello.txt".into()),
        contents: Some("hello".into()),
        ..File::default()
    }));
    let result = bench.succeed(
        command(&["true"]).input("f", Type::File, literal).output("f", Type::File, "*").with(|plan| {
            plan.tool.common.outputs[0].binding = Some(OutputBinding {
                glob: Vec::new(),
                load_contents: false,
                load_listing: None,
                output_eval: Some(text("$(inputs.f)")),
            });
        }),
    );
    match as_file(result.outputs.field("f")) {
        File { location: Some(_), .. } => assert_eq!(content(result.outputs.field("f")), "hello"),
        File { contents, .. } => assert_eq!(contents.as_deref(), Some("hello")),
    }
}

#[test]
fn what_is_staged_writable_is_a_copy_and_the_input_stays_as_it_was() {
    let mut bench = Bench::new();
    let input = bench.given("data.txt", "original\n");
    let result = bench.succeed(
        script("echo more >> here.txt")
            .input("f", Type::File, file(&input))
            .output("out", Type::File, "here.txt")
            .with(|plan| {
                let listing = vec![
                    dirent("$(inputs.f)", Some("here.txt"), true),
                    dirent("some text", Some("t/x"), false),
                ];
                plan.effective.initial_work_dir = Some(Arc::new(listing));
            }),
    );
    assert_eq!(content(result.outputs.field("out")), "original\nmore\n");
    assert_eq!(fs::read_to_string(input).unwrap(), "original\n");
}

#[test]
fn an_input_that_is_an_output_keeps_its_location() {
    let mut bench = Bench::new();
    let input = bench.given("data.txt", "original\n");
    let result = bench.succeed(
        command(&["true"]).input("f", Type::File, file(&input)).output("out", Type::File, "data.txt").with(
            |plan| {
                plan.effective.initial_work_dir =
                    Some(Arc::new(vec![WorkDirEntry::Text(text("$(inputs.f)"))]));
            },
        ),
    );
    assert_eq!(path_of(result.outputs.field("out")), input);
    assert!(as_file(result.outputs.field("out")).checksum.is_some());
}

#[test]
fn in_place_updates_change_files_of_the_run_but_never_the_users() {
    let mut bench = Bench::new();
    let given = bench.given("data.txt", "1\n");
    let update = |input: Value| {
        script("echo 2 >> data.txt").input("f", Type::File, input).output("out", Type::File, "data.txt").with(
            |plan| {
                plan.effective.inplace_update = true;
                plan.effective.initial_work_dir = Some(Arc::new(vec![dirent("$(inputs.f)", None, true)]));
            },
        )
    };
    let first = bench.succeed(update(file(&given))).outputs.field("out").clone();
    assert_eq!((content(&first), fs::read_to_string(&given).unwrap()), ("1\n2\n".into(), "1\n".into()));
    let stale = as_file(&first).checksum.clone();
    let second = bench.succeed(update(first.clone())).outputs.field("out").clone();
    assert_eq!(path_of(&second), path_of(&first));
    assert_eq!(content(&first), "1\n2\n2\n");
    assert_ne!(as_file(&second).checksum, stale, "the checksum is that of the new content");
}

#[test]
fn in_place_updates_of_directories_are_seen_through_the_first_output() {
    let mut bench = Bench::new();
    let first = bench.succeed(script("mkdir d").output("d", Type::Directory, "d")).outputs.field("d").clone();
    let second = bench.succeed(
        script("touch inp/blurb")
            .input("r", Type::Directory, first.clone())
            .output("out", Type::Directory, "inp")
            .with(|plan| {
                plan.effective.inplace_update = true;
                plan.effective.initial_work_dir =
                    Some(Arc::new(vec![dirent("$(inputs.r)", Some("inp"), true)]));
            }),
    );
    assert_eq!(path_of(second.outputs.field("out")), path_of(&first));
    assert!(path_of(&first).join("blurb").exists());
}

#[test]
fn containers_and_other_hints_are_no_obstacle() {
    let mut bench = Bench::new();
    bench.succeed(command(&["true"]).with(|plan| {
        let docker = DockerRequirement { pull: Some("debian".into()), ..DockerRequirement::default() };
        plan.effective.docker = Some((Arc::new(docker), false));
        plan.effective.shm_size = Some(text("64m"));
        plan.effective.network = Some(BoolOrText::Bool(false));
        plan.effective.software = Some(Arc::new(Vec::new()));
    }));
}

#[test]
fn mpi_programs_are_started_by_the_runner() {
    let mut bench = Bench::with(|config| {
        config.mpi.runner = "echo".to_owned();
        config.mpi.nproc_flag = "-np".to_owned();
        config.mpi.extra_flags = vec!["--extra".to_owned()];
        config.mpi.set = vec![("MPI".into(), "1".into())];
    });
    let result = bench.succeed(command(&["program", "arg"]).output("out", Type::File, "out").with(|plan| {
        plan.tool.stdout = Some(text("out"));
        plan.effective.mpi = Some(NumberOrText::Number(4.into()));
    }));
    assert_eq!(content(result.outputs.field("out")), "-np 4 --extra program arg\n");
}

#[test]
fn large_outputs_are_not_read_into_memory() {
    let mut bench = Bench::with(|config| config.checksums = false);
    let result = bench.succeed(command(&["truncate", "-s", "20G", "big"]).output("out", Type::File, "big"));
    assert_eq!(as_file(result.outputs.field("out")).size, Some(20 << 30));
}

#[test]
fn a_link_within_the_output_directory_is_what_it_leads_to() {
    let mut bench = Bench::new();
    let result = bench.succeed(script("echo x > real; ln -s real link").output("out", Type::File, "link"));
    assert_eq!(content(result.outputs.field("out")), "x\n");
    assert!(!fs::symlink_metadata(path_of(result.outputs.field("out"))).unwrap().is_symlink());
}
