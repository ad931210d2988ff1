//! The real program under signals: nothing that it started survives it.

use std::io::Read as _;
use std::process::Child;

use super::sandbox::{Sandbox, eventually, mark, processes_with};

fn started(sandbox: &Sandbox, mark: &str) -> Child {
    sandbox.write(
        "main.cwl",
        format!(
            "
cwlVersion: v1.2
class: Workflow
requirements: {{ScatterFeatureRequirement: {{}}}}
inputs: {{i: {{type: 'int[]', default: [1, 2, 3]}}}}
outputs: []
steps:
  s:
    in: {{i: i}}
    out: []
    scatter: i
    run:
      class: CommandLineTool
      requirements: {{ResourceRequirement: {{coresMin: 0.25, ramMin: 1, tmpdirMin: 1, outdirMin: 1}}}}
      baseCommand: [sh, -c, 'trap \"\" TERM INT; setsid sleep {mark} & sleep {mark}; sleep {mark}']
      inputs: {{i: int}}
      outputs: []
"
        ),
    );
    let child = sandbox.program(&["main.cwl"]).spawn().expect("it starts");
    eventually("six sleeping processes", || {
        processes_with(mark).iter().filter(|command| command.starts_with("sleep")).count() == 6
    });
    child
}

fn send(child: &Child, signal: &str) {
    let status = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(status.success());
}

fn ends_with(signals: &[&str], code: Option<i32>) {
    let (sandbox, mark) = (Sandbox::new(), mark());
    let mut child = started(&sandbox, &mark);
    for signal in signals {
        send(&child, signal);
    }
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), code, "{signals:?}");
    eventually("the end of all processes", || processes_with(&mark).is_empty());
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
    assert_eq!(stdout, "");
    if code.is_some() {
        assert_eq!(sandbox.list("tmp").len(), 0, "its files are removed");
    }
}

#[test]
fn sigint_ends_the_run_and_its_tools() {
    ends_with(&["-INT"], Some(130));
}

#[test]
fn sigterm_ends_the_run_and_its_tools() {
    ends_with(&["-TERM"], Some(143));
}

#[test]
fn two_signals_end_it_too() {
    ends_with(&["-INT", "-INT"], Some(130));
}

#[test]
fn kill_9_leaves_no_process() {
    ends_with(&["-KILL"], None);
}

#[test]
fn an_expression_of_a_job_does_not_keep_the_run_from_ending() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: echo
arguments: ['${ while (true) {} }']
inputs: []
outputs: []
",
    );
    let mut child = sandbox.program(&["--eval-timeout", "3600", "main.cwl"]).spawn().expect("it starts");
    eventually("a directory of the job", || {
        sandbox.list("tmp").first().is_some_and(|run| {
            std::fs::read_dir(sandbox.path("tmp").join(run).join("jobs")).is_ok_and(|jobs| jobs.count() > 0)
        })
    });
    send(&child, "-INT");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}

#[test]
fn an_answer_that_cannot_be_printed_is_a_failure_in_words() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}",
    );
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let output = sandbox.program(&["main.cwl"]).stdout(full).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("cannot print the output object"), "{told}");
}

#[test]
fn a_reader_of_stdout_who_goes_away_is_no_fault() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}",
    );
    let mut child = sandbox.program(&["main.cwl"]).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
