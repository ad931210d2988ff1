//! Tools that misbehave.

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{Sandbox, eventually, mark, processes_with};

fn shell(script: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::with(&format!(
        "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, script.sh]
requirements:
  InitialWorkDirRequirement: {{listing: [{{class: File, location: script.sh}}]}}
{more}
"
    ));
    sandbox.write("script.sh", script);
    sandbox
}

#[test]
fn what_a_tool_leaves_in_the_background_ends_with_it() {
    let mark = mark();
    let script = format!(
        "sleep {mark} & setsid sleep {mark} & (setsid sh -c 'sleep {mark} & sleep {mark}' &) \nnohup sleep {mark} >/dev/null 2>&1 &\necho done\n"
    );
    let sandbox = shell(&script, "inputs: []\noutputs: {o: stdout}\nstdout: o.txt");
    sandbox.outputs(&["main.cwl"]);
    assert_eq!(sandbox.read("o.txt"), "done\n");
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[test]
fn a_tool_that_ignores_sigterm_ends_at_its_time_limit() {
    let mark = mark();
    let script = format!("trap '' TERM INT HUP\nwhile true; do sleep {mark}; done\n");
    let sandbox = shell(&script, "  ToolTimeLimit: {timelimit: 1}\ninputs: []\noutputs: []");
    let told = sandbox.failure(&["main.cwl"]);
    assert!(told.contains("time limit") || told.contains("longer than"), "{told}");
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[test]
fn two_hundred_megabytes_on_stdout_are_an_output() {
    let sandbox = shell("head -c 200000000 /dev/zero\n", "inputs: []\noutputs: {o: stdout}\nstdout: big");
    assert_eq!(sandbox.outputs(&["main.cwl"])["o"]["size"], 200_000_000);
}

#[test]
fn a_failed_tool_that_said_too_much_is_told_in_few_lines() {
    for script in [
        "head -c 200000000 /dev/zero | tr '\\0' x >&2; exit 1",
        "head -c 200000000 /dev/zero | tr '\\0' x; exit 1",
        "yes | head -n 3000000 >&2; exit 1",
        "printf '\\377\\033[31m\\000\\r' >&2; exit 1",
    ] {
        let sandbox = shell(script, "inputs: []\noutputs: []");
        let told = sandbox.failure(&["--retryCount", "0", "main.cwl"]);
        assert!(told.len() < 20_000, "{} bytes", told.len());
        assert!(!told.contains('\u{1b}') && !told.contains('\0'), "{told:?}");
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: no-such-program, inputs: [], outputs: []}",
    );
    assert!(sandbox.failure(&["main.cwl"]).contains("no-such-program"));
}

#[test]
fn a_tool_that_is_ended_by_a_signal_is_told_so() {
    let sandbox = shell("kill -SEGV $$", "inputs: []\noutputs: []");
    let told = sandbox.failure(&["--retryCount", "0", "main.cwl"]);
    assert!(told.contains("signal 11") || told.contains("SIGSEGV"), "{told}");
}

#[test]
fn a_tool_that_spoils_its_directory_fails_alone() {
    for script in [
        "rm -rf \"$PWD\"",
        "chmod 0 .",
        "ln -s / root; ln -s loop loop; mkfifo pipe",
        "rm -rf \"$TMPDIR\" ../*",
    ] {
        let sandbox = shell(script, "inputs: []\noutputs: {o: {type: 'Any?', outputBinding: {glob: '*'}}}");
        let answer = sandbox.run(&["--retryCount", "0", "--outdir", "o", "main.cwl"]);
        assert!([ExitCode::SUCCESS, ExitCode::FAILURE].contains(&answer.code), "{script}");
        assert!(!answer.stderr.contains("defect"), "{script}: {}", answer.stderr);
    }
}

#[test]
fn outputs_may_not_point_out_of_the_directory() {
    let sandbox = shell(
        "ln -s /etc/passwd secret",
        "inputs: []\noutputs: {o: {type: File, outputBinding: {glob: secret}}}",
    );
    let answer = sandbox.run(&["--retryCount", "0", "--outdir", "o", "main.cwl"]);
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stdout);
    let sandbox = shell("true", "inputs: []\noutputs: {o: {type: File, outputBinding: {glob: /etc/passwd}}}");
    sandbox.failure(&["--retryCount", "0", "main.cwl"]);
}

#[test]
fn a_tool_reads_nothing_from_the_runner() {
    let sandbox = shell("cat | wc -c", "inputs: []\noutputs: {o: stdout}\nstdout: o");
    sandbox.outputs(&["main.cwl"]);
    assert_eq!(sandbox.read("o").trim(), "0");
}

#[test]
fn a_tool_that_forks_without_end_is_ended() {
    let mark = mark();
    let script =
        format!("f() {{ sh -c 'sleep {mark} & sleep 0.01' & n=$((n+1)); [ $n -lt 60 ] && f; }}; f; exit 3");
    let sandbox = shell(&script, "inputs: []\noutputs: []");
    sandbox.failure(&["--retryCount", "0", "main.cwl"]);
    eventually("the end of all", || processes_with(&mark).is_empty());
}
