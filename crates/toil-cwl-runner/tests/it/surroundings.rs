//! A world that is not as it should be: full disks, closed terminals, directories that cannot be written.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{Sandbox, eventually, mark, processes_with};

const TOOL: &str = "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs: {text: {type: File, inputBinding: {}}}
outputs: {out: stdout}
stdout: out.txt
";

fn with_input() -> Sandbox {
    let sandbox = Sandbox::with(TOOL);
    sandbox.write("in.txt", "hello\n");
    sandbox
}

#[test]
fn answers_that_cannot_be_printed_are_failures_in_words() {
    let sandbox = with_input();
    for args in
        [&["--help"] as &[_], &["--version"], &["--pack", "main.cwl"], &["--make-template", "main.cwl"]]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let output = sandbox.program(args).stdout(full).output().expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && told.contains("cannot write to stdout"),
            "{args:?}: {told}"
        );
    }
}

#[test]
fn missing_inputs_are_all_named_with_the_exit_code_of_toil() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', \
         inputs: {a: File, b: 'int[]', c: int?, d: {type: int, default: 1}}, outputs: []}",
    );
    let answer = sandbox.run(&["main.cwl"]);
    assert_eq!(answer.code, ExitCode::USAGE);
    assert!(answer.stderr.contains("inputs are missing: a (File), b (int[])\n"), "{}", answer.stderr);
    for words in [&["--nosuch", "1"] as &[_], &["--d", "x"], &["one.yml", "two.yml"]] {
        let answer = sandbox.run(&[&["main.cwl"], words].concat());
        assert_eq!(answer.code, ExitCode::USAGE, "{words:?}: {}", answer.stderr);
    }
    assert_eq!(sandbox.run(&["--validate", "main.cwl"]).code, ExitCode::SUCCESS);
}

#[test]
fn files_that_are_only_defaults_are_among_the_inputs_that_are_needed() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', outputs: [], \
         inputs: {a: {type: File, default: {class: File, location: default.txt}}}}",
    );
    let answer = sandbox.run(&["--print-input-deps", "main.cwl"]);
    assert!(answer.stdout.contains("\"location\": \"default.txt\""), "{}", answer.stdout);
}

#[test]
fn locations_below_an_output_directory_with_dots_have_none() {
    let sandbox = with_input();
    for outdir in [".", "./o/../o", "o/"] {
        let outputs = sandbox.outputs(&["--outdir", outdir, "main.cwl", "--text", "in.txt"]);
        let path = outputs["out"]["path"].as_str().expect("a path");
        assert!(!path.contains("/./") && !path.contains("..") && !path.contains("//"), "{path}");
        assert!(std::path::Path::new(path).is_file(), "{path}");
    }
}

#[test]
fn an_output_directory_that_cannot_be_written_is_noticed_before_anything_runs() {
    let sandbox = with_input();
    // Not even root may write there.
    for outdir in ["/proc/sys", "/proc/sys/results"] {
        let told = sandbox.failure(&["--outdir", outdir, "main.cwl", "--text", "in.txt"]);
        assert!(told.contains(outdir) && told.contains("try") && !told.contains("[job"), "{told}");
    }
}

#[test]
fn a_directory_for_temporary_files_that_is_not_there_is_told() {
    let sandbox = with_input();
    let output = sandbox
        .program(&["main.cwl", "--text", "in.txt"])
        .env("TMPDIR", "/not/there")
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("TMPDIR names /not/there"), "{told}");
}

#[test]
fn an_input_that_changes_while_it_is_used_is_told() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [sh, -c, 'echo more >> $0'], \
         inputs: {path: {type: string, inputBinding: {}}, file: File}, outputs: []}",
    );
    sandbox.write("in.txt", "hello\n");
    let path = sandbox.path("in.txt").display().to_string();
    let answer = sandbox.run(&["main.cwl", "--path", &path, "--file", "in.txt"]);
    assert!(answer.code == ExitCode::SUCCESS && answer.stderr.contains(&format!("during the run: {path};")));
}

#[test]
fn documents_and_inputs_may_come_through_pipes() {
    let sandbox = with_input();
    sandbox.write("job.yml", "text: {class: File, path: in.txt}");
    let program = sandbox.program(&[]).get_program().to_owned();
    let output = Command::new("bash")
        .args(["-c", "\"$0\" --basedir . --outdir o <(cat main.cwl) <(cat job.yml)"])
        .arg(program)
        .current_dir(sandbox.path(""))
        .env("TMPDIR", sandbox.path("tmp"))
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sandbox.read("o/out.txt"), "hello\n");
}

#[test]
fn messages_that_cannot_be_written_are_told_once() {
    let sandbox = with_input();
    let answer = sandbox.run(&["--writeMessages", "/dev/full", "main.cwl", "--text", "in.txt"]);
    assert_eq!(
        (answer.code, answer.stderr.matches("messages are written no more").count()),
        (ExitCode::SUCCESS, 1)
    );
}

#[test]
fn few_open_files_are_enough_and_leave_no_process() {
    let (sandbox, mark) = (with_input(), mark());
    let program = sandbox.program(&[]).get_program().to_owned();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 12; exec \"$0\" \"$@\""])
        .arg(program)
        .args(["--outdir", &mark, "main.cwl", "--text", "in.txt"])
        .current_dir(sandbox.path(""))
        .env("TMPDIR", sandbox.path("tmp"))
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("the end of all processes", || processes_with(&mark).is_empty());
}

/// A run that sleeps, under SIGHUP, and is begun by a shell with `start`.
fn hang_up(start: &str) -> (Option<i32>, usize) {
    let (sandbox, mark) = (
        Sandbox::with(
            "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [sh, -c, 'sleep 5; exec sleep 0'], \
             inputs: {mark: string}, arguments: [$(inputs.mark)], outputs: []}",
        ),
        mark(),
    );
    let program = sandbox.program(&[]).get_program().to_owned();
    let mut child = Command::new("sh")
        .args(["-c", &format!("{start} \"$0\" \"$@\"")])
        .arg(program)
        .args(["main.cwl", "--mark", &mark])
        .current_dir(sandbox.path(""))
        .env("TMPDIR", sandbox.path("tmp"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("it starts");
    eventually("the tool", || processes_with(&mark).iter().any(|command| command.starts_with("sh -c sleep")));
    let status =
        Command::new("kill").args(["-HUP", &child.id().to_string()]).status().expect("kill is there");
    assert!(status.success());
    let code = child.wait().expect("it ends").code();
    eventually("the end of all processes", || processes_with(&mark).is_empty());
    (code, sandbox.list("tmp").len())
}

#[test]
fn a_terminal_that_goes_away_ends_the_run_and_leaves_nothing() {
    // The tests themselves may have been started with nohup.
    assert_eq!(hang_up("exec env --default-signal=HUP"), (Some(129), 0));
}

#[test]
fn nohup_is_honoured() {
    assert_eq!(hang_up("trap '' HUP; exec"), (Some(0), 0));
}
