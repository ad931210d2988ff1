//! Attempts in real containers.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use moil_cwl::number::Number;
use moil_cwl::requirement::{DockerRequirement, WorkDirEntry};
use moil_cwl::text::NumberOrText;
use moil_cwl::types::Type;
use moil_cwl::value::{Directory, File, Value};
use moil_job::executor::Executor as _;
use moil_job::failure::FailureKind;
use moil_job::result::{JobResult, Outcome};

use crate::engine::machine;
use crate::fixture::*;
use crate::registry::OciImage;

fn literal(name: &str, contents: &str) -> Value {
    Value::File(Arc::new(File {
        contents: Some(contents.into()),
        basename: Some(name.into()),
        ..File::default()
    }))
}

fn dirent(entry: &str, entryname: Option<&str>, writable: bool) -> WorkDirEntry {
    WorkDirEntry::Dirent { entry: text(entry), entryname: entryname.map(text), writable }
}

fn out(result: &JobResult) -> String {
    content(result.outputs.field("out"))
}

/// The ids of processes whose command line has this in it.
fn processes(sign: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let is_one = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(sign)
    };
    entries.filter(is_one).map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn paths_are_those_of_the_container() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let input = bench.given("in put, \"1\".txt", "from this machine\n");
    let plan = command(&["sh", "-c", r#"pwd; echo "$HOME $TMPDIR $0"; cat "$0""#, "$(inputs.f.path)"]);
    let result = bench.succeed(plan.input("f", Type::File, file(&input)).in_image(&machine.image).capture());
    let expected =
        "/var/spool/cwl\n/var/spool/cwl /tmp /var/lib/cwl/in/0/in put, \"1\".txt\nfrom this machine\n";
    assert_eq!(out(&result), expected);
    let elsewhere = DockerRequirement {
        pull: Some(machine.image.as_str().into()),
        output_directory: Some("/opt/out".into()),
        ..DockerRequirement::default()
    };
    let plan = command(&["sh", "-c", "pwd; echo \"$0\"", "$(runtime.outdir)"]);
    assert_eq!(out(&bench.succeed(plan.in_container(elsewhere).capture())), "/opt/out\n/opt/out\n");
}

#[test]
fn literals_are_there() {
    let Some(machine) = machine() else { return };
    let directory = Value::Directory(Arc::new(Directory {
        basename: Some("d".into()),
        listing: Some(Arc::new(vec![literal("inner", "in a directory\n")])),
        ..Directory::default()
    }));
    let script = r#"cat "$0" "$1/inner"; echo x > "$0" || echo refused"#;
    let plan = command(&["sh", "-c", script, "$(inputs.f.path)", "$(inputs.d.path)"])
        .input("f", Type::File, literal("l.txt", "a file\n"))
        .input("d", Type::Directory, directory);
    let mut bench = machine.bench();
    let result = bench.succeed(plan.in_image(&machine.image).capture());
    assert_eq!(out(&result), "a file\nin a directory\nrefused\n");
}

#[test]
fn the_working_directory_has_what_is_asked_for() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let input = bench.given("f.txt", "original\n");
    let script = "cat kept changed /etc/deep/tool.conf; echo new > kept || echo refused; echo new > changed; cat changed";
    let plan = script_in(machine.image.as_str(), script)
        .input("f", Type::File, file(&input))
        .output("changed", Type::File, "changed")
        .with(|plan| {
            plan.effective.initial_work_dir = Some(Arc::new(vec![
                dirent("$(inputs.f)", Some("kept"), false),
                dirent("$(inputs.f)", Some("changed"), true),
                dirent("configured\n", Some("/etc/deep/tool.conf"), false),
            ]));
        });
    let result = bench.succeed(plan.capture());
    assert_eq!(out(&result), "original\noriginal\nconfigured\nrefused\nnew\n");
    assert_eq!(content(result.outputs.field("changed")), "new\n");
    assert_eq!(fs::read_to_string(input).unwrap(), "original\n");
}

fn script_in(image: &str, text: &str) -> Plan {
    script(text).in_image(image)
}

#[test]
fn variables_arrive_as_they_are() {
    let Some(machine) = machine() else { return };
    let value = "it's \"quoted\" $HOME `x` \\\nand a second line  ";
    let plan =
        script_in(&machine.image, r#"printf '%s' "$AWKWARD"; echo "|$IN_IMAGE|$MOIL_HOST""#).with(|plan| {
            plan.effective.environment = Some(Arc::new(vec![("AWKWARD".into(), text("$(inputs.value)"))]));
        });
    let plan = plan.input("value", Type::String, value.into()).capture();
    assert_eq!(out(&machine.bench().succeed(plan)), format!("{value}|yes|\n"));
}

#[test]
fn secrets_reach_the_tool_and_nobody_else() {
    let Some(machine) = machine() else { return };
    const SECRET: &str = "hunter7 'and' \"more\" $HOME";
    let plan = |script: &str| {
        command(&["sh", "-c", script, "$(inputs.key)"])
            .input("key", Type::String, SECRET.into())
            .secret("key")
            .in_image(&machine.image)
            .with(|plan| {
                plan.effective.environment = Some(Arc::new(vec![("KEY".into(), text("$(inputs.key)"))]));
                plan.effective.initial_work_dir =
                    Some(Arc::new(vec![dirent("$(inputs.key)", Some("conf"), false)]));
            })
    };
    let show = r#"echo "$0"; echo "$KEY"; cat conf"#;
    let mut bench = machine.bench();
    let result = bench.succeed(plan(show).capture());
    assert_eq!(out(&result), format!("{SECRET}\n{SECRET}\n{SECRET}"));
    let failure = bench.fail(plan(&format!("({show}) >&2; exit 3")));
    assert!(!format!("{failure:?}").contains("hunter7"), "{failure:?}");
    assert_eq!(failure.last_lines.len(), 3);
    assert!(failure.last_lines.iter().all(|line| line.starts_with("(secret-")), "{:?}", failure.last_lines);
}

#[test]
fn variables_are_on_no_command_line() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let plan = script_in(&machine.image, "exec busybox sleep 98763").with(|plan| {
        plan.effective.environment = Some(Arc::new(vec![("KEY".into(), text("on-no-command-line-98763"))]));
    });
    let id = bench.submit(plan);
    while processes("sleep\098763").is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(processes("on-no-command-line-98763"), [""; 0]);
    bench.executor.cancel(&[id]);
    bench.finished();
}

#[test]
fn standard_input_is_a_pipe() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let input = bench.given("in.txt", "piped\n");
    let plan = script_in(&machine.image, "cat; busybox test -p /dev/stdin && echo pipe")
        .input("f", Type::File, file(&input))
        .with(|plan| plan.tool.stdin = Some(text("$(inputs.f.path)")));
    assert_eq!(out(&bench.succeed(plan.capture())), "piped\npipe\n");
}

#[test]
fn the_entry_point_of_an_image_comes_first() {
    let Some(machine) = machine() else { return };
    let image = OciImage::small().with_entry_point(r#"["sh","-c","echo entry; exec \"$@\"","sh"]"#);
    let image = machine.push("entry", &image);
    let plan = command(&["echo", "a  b", "$HOME"]).in_image(&image).capture();
    assert_eq!(out(&machine.bench().succeed(plan)), "entry\na  b $HOME\n");
}

#[test]
fn nothing_survives_a_container_that_is_ended() {
    let Some(machine) = machine() else { return };
    let script = |seconds: u32| {
        let inner = format!("trap \"\" TERM; echo > up; busybox sleep {seconds}; busybox sleep {seconds}");
        script_in(&machine.image, &format!("busybox setsid sh -c '{inner}' & wait; busybox sleep {seconds}"))
    };
    let mut bench = machine.bench();
    let id = bench.submit(script(98761));
    bench.wait_for(1, "up");
    bench.executor.cancel(&[id]);
    let Outcome::Failed(failure) = bench.finished().1 else { panic!("it was cancelled") };
    assert_eq!(failure.kind, FailureKind::Cancelled);
    assert_eq!(processes("98761"), [""; 0]);
    let failure = bench.fail(script(98762).with(|plan| {
        plan.effective.time_limit = Some(NumberOrText::Number(Number::Int(2)));
    }));
    assert_eq!(failure.kind, FailureKind::TimeLimit);
    assert_eq!(processes("98762"), [""; 0]);
}

#[test]
fn there_is_no_network_unless_it_is_asked_for() {
    let Some(machine) = machine() else { return };
    let script = "while read name rest; do case $name in *:*) echo $name;; esac; done < /proc/net/dev";
    let mut bench = machine.bench();
    let result = bench.succeed(script_in(&machine.image, script).capture());
    let names: Vec<String> =
        out(&result).lines().map(|line| line.split(':').next().unwrap().into()).collect();
    assert_eq!(names, ["lo"]);
}

#[test]
fn an_image_that_cannot_be_had_is_named() {
    let Some(machine) = machine() else { return };
    let failure = machine.bench().fail(script_in("moil/nobody-has-it:1", "true"));
    assert_eq!(failure.kind, FailureKind::Image);
    assert!(failure.message.starts_with("docker.io has no image moil/nobody-has-it:1: "), "{failure:?}");
}

#[test]
fn a_program_that_is_not_in_the_image_is_not_the_tools_failure() {
    let Some(machine) = machine() else { return };
    let image = machine.push("seldom", &OciImage::small());
    let mut bench = machine.bench();
    // An image that is used often is run without the engine.
    for _ in 0..5 {
        let failure = bench.fail(command(&["no-such-program"]).in_image(&image));
        assert_eq!(failure.kind, FailureKind::CannotStart);
        assert_eq!(failure.message, "the program of step cannot be started in its container");
        assert_eq!(failure.cause.as_deref(), Some("\"no-such-program\": executable file not found in $PATH"));
    }
    let failure = bench.fail(script_in(&image, "exit 127"));
    assert_eq!(failure.kind, FailureKind::ToolFailed { exit_code: 127, temporary: false });
    let failure = bench.fail(script_in(&image, "echo FATAL: mine >&2; exit 255"));
    assert_eq!(failure.kind, FailureKind::ToolFailed { exit_code: 255, temporary: false });
    // Even where the document calls this code a success.
    let plan = command(&["no-such-program"]).in_image(&image);
    let failure = bench.fail(plan.with(|plan| plan.tool.success_codes = vec![255]));
    assert_eq!(failure.kind, FailureKind::CannotStart);
}

#[test]
fn five_thousand_inputs_fit_a_container() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let files = (0..5000).map(|index| file(&bench.given(&format!("given/{index}/f"), &format!("{index}\n"))));
    let files: Vec<Value> = files.collect();
    let one = file(&bench.given("given/one", "one\n"));
    let script = "cat /var/lib/cwl/in/*/f | busybox sort -n > sorted; echo x > $0 || echo refused; \
                  echo mine >> into; cat into";
    let plan = command(&["sh", "-c", script, "$(inputs.files[7].path)"])
        .input("files", Type::File.array_of(), Value::list(files))
        .input("one", Type::File, one)
        .in_image(&machine.image)
        .output("sorted", Type::File, "sorted")
        .output("into", Type::File, "into")
        .with(|plan| {
            plan.effective.initial_work_dir =
                Some(Arc::new(vec![dirent("$(inputs.one)", Some("into"), false)]));
        });
    let result = bench.succeed(plan.capture());
    let expected: String = (0..5000).map(|index| format!("{index}\n")).collect();
    assert!(content(result.outputs.field("sorted")) == expected);
    assert_eq!(out(&result), "refused\none\nmine\n");
    assert_eq!(content(result.outputs.field("into")), "one\nmine\n");
    for (name, contents) in [("given/7/f", "7\n"), ("given/one", "one\n")] {
        assert_eq!(fs::read_to_string(bench.path(name)).unwrap(), contents);
    }
}

#[test]
fn a_tag_that_moves_does_not_give_two_images_to_one_run() {
    let Some(machine) = machine() else { return };
    let run = || Bench::with(|config| config.containers = Some(machine.finder(true)));
    let size = |bench: &mut Bench| {
        out(&bench.succeed(script_in("moil/moving:1", "cat /etc/ballast | busybox wc -c").capture()))
    };
    machine.registry.push("moil/moving:1", &OciImage::small());
    let mut first = run();
    assert_eq!(size(&mut first), "0\n");
    machine.registry.push("moil/moving:1", &OciImage::with_ballast(1000));
    assert_eq!(size(&mut first), "0\n");
    assert_eq!(size(&mut run()), "1000\n");
}

#[test]
fn images_are_made_of_what_the_document_brings_along() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let text = format!("FROM {}\nRUN echo built > /etc/made\n", machine.image);
    let file = DockerRequirement { file: Some(text.into()), ..DockerRequirement::default() };
    let show = script("cat /etc/made").in_container(file.clone());
    assert_eq!(out(&bench.succeed(show.capture())), "built\n");
    // Pulled, under a name of its own.
    let named = DockerRequirement {
        pull: Some(machine.image.as_str().into()),
        image_id: Some("a-name-of-its-own".into()),
        ..DockerRequirement::default()
    };
    bench.succeed(script("true").in_container(named));
    let copies = DockerRequirement { file: Some("FROM x\nCOPY . /".into()), ..file };
    let failure = bench.fail(script("true").in_container(copies));
    assert_eq!(failure.kind, FailureKind::Unsupported);
    assert!(failure.cause.unwrap().starts_with("line 2 of the Dockerfile: COPY needs files"));
}

#[test]
fn variables_of_the_tool_overrule_those_of_the_image_however_often_it_is_used() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let text = format!("FROM {}\nENV MINE=image OTHER=\"$IN_IMAGE indeed\"\n", machine.image);
    let docker = DockerRequirement { file: Some(text.into()), ..DockerRequirement::default() };
    for _ in 0..6 {
        let plan = script(r#"echo "$MINE, $OTHER""#).in_container(docker.clone()).with(|plan| {
            plan.effective.environment = Some(Arc::new(vec![("MINE".into(), crate::fixture::text("tool"))]));
        });
        assert_eq!(out(&bench.succeed(plan.capture())), "tool, yes indeed\n");
    }
}

#[test]
fn a_program_is_started_in_the_same_way_however_often_an_image_is_used() {
    let Some(machine) = machine() else { return };
    let image = machine.push("started", &OciImage::small());
    let mut bench = machine.bench();
    for _ in 0..5 {
        let plan = command(&["cat", "/proc/self/cmdline"]).in_image(&image).capture();
        assert_eq!(out(&bench.succeed(plan)), "/bin/cat\0/proc/self/cmdline\0");
    }
}

#[test]
fn very_many_inputs_are_there_however_often_an_image_is_used() {
    let Some(machine) = machine() else { return };
    let mut bench = machine.bench();
    let inputs = (0..400).map(|index| file(&bench.given(&format!("{index}/f"), "x\n"))).collect();
    let inputs = Value::list(inputs);
    for _ in 0..5 {
        let plan = script_in(&machine.image, "cat /var/lib/cwl/in/*/f | busybox wc -l").input(
            "files",
            Type::File.array_of(),
            inputs.clone(),
        );
        assert_eq!(out(&bench.succeed(plan.capture())), "400\n");
    }
}
