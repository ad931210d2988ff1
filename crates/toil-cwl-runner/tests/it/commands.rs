//! What the programs answer.

use toil_cwl_runner::commands;
use toil_cwl_runner::exit_code::ExitCode;

use super::{Answer, call, runner};

fn moil(line: &str) -> Answer {
    let dir = tempfile::tempdir().expect("the directory is made");
    call("moil", line, &[], dir.path(), commands::run)
}

#[test]
fn the_version_names_both_programs() {
    for answer in [runner("--version"), moil("--version"), moil("run --version"), runner("wf.cwl --version")]
    {
        assert_eq!(answer.code, ExitCode::SUCCESS);
        assert_eq!(answer.stdout, "moil 0.1.0 (options of toil-cwl-runner 9.6.0)\n");
        assert_eq!(answer.stderr, "");
    }
}

#[test]
fn the_help_goes_to_stdout() {
    let answer = runner("--help");
    assert_eq!((answer.code, answer.stderr.as_str()), (ExitCode::SUCCESS, ""));
    assert!(answer.stdout.contains("Usage: toil-cwl-runner [OPTIONS] WORKFLOW"), "{}", answer.stdout);
    let answer = moil("run --help");
    assert!(answer.stdout.contains("Usage: moil run [OPTIONS] WORKFLOW"), "{}", answer.stdout);
}

#[test]
fn the_width_of_the_help_follows_the_terminal() {
    let dir = tempfile::tempdir().expect("the directory is made");
    for width in [70, 140] {
        let columns = width.to_string();
        let env = [("COLUMNS", columns.as_str())];
        let text = call("moil", "--help", &env, dir.path(), toil_cwl_runner::run).stdout;
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(longest <= width && longest > width - 15, "{longest} for {width}");
    }
}

#[test]
fn the_supported_versions_need_no_workflow() {
    let answer = runner("--print-supported-versions");
    assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::SUCCESS, "v1.0\nv1.1\nv1.2\n"));
}

#[test]
fn wrong_usage_is_told_on_stderr_with_code_2() {
    let check = |line: &str, expected: &str| {
        let answer = runner(line);
        assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::USAGE, ""), "{line}");
        assert_eq!(answer.stderr, format!("toil-cwl-runner: error: {expected}\n"), "{line}");
    };
    check("--oudtir x wf.cwl", "unknown option --oudtir\n  hint: did you mean --outdir?");
    check("--outdir", "--outdir needs a value (DIR)");
    check(
        "",
        "no workflow is given\nusage: toil-cwl-runner [OPTIONS] WORKFLOW [INPUT_FILE] [--INPUT VALUE]...",
    );
}

#[test]
fn what_cannot_be_followed_has_code_1() {
    let answer = runner("--batchSystem kubernetes wf.cwl");
    assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::FAILURE, ""));
    assert_eq!(
        answer.stderr,
        "toil-cwl-runner: error: --batchSystem kubernetes needs a job store\n  hint: workers share nothing else with the leader: add --jobStore aws:REGION:NAME\n"
    );
}

#[test]
fn a_log_file_that_cannot_be_written_is_named() {
    let answer = runner("--logFile /not/there/log wf.cwl");
    assert_eq!(answer.code, ExitCode::FAILURE);
    assert!(answer.stderr.starts_with("toil-cwl-runner: error: cannot write the log file /not/there/log: "));
}

#[test]
fn commands_that_there_are_not_are_told() {
    let answer = moil("doctr");
    assert_eq!(answer.code, ExitCode::USAGE);
    assert_eq!(answer.stderr, "moil: error: unknown command 'doctr'\n  hint: did you mean 'doctor'?\n");
    assert_eq!(moil("").code, ExitCode::USAGE);
    assert_eq!(moil("--help").code, ExitCode::SUCCESS);
}

#[test]
fn whose_jobs_are_to_be_removed_must_be_said() {
    let answer = moil("clean --kubernetes");
    assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::FAILURE, ""));
    assert!(answer.stderr.contains("it is not said whose Jobs are to be removed"), "{}", answer.stderr);
    let answer = moil("clean --kubernetes store --owner me");
    assert!(
        answer.code == ExitCode::USAGE && answer.stderr.contains("'store' is one word too many"),
        "{}",
        answer.stderr
    );
    let answer = moil("clean --kubernetes --owner me");
    assert!(answer.stderr.contains("there is no Kubernetes cluster to use"), "{}", answer.stderr);
}

#[test]
fn the_doctor_looks_at_this_machine_and_the_job_store() {
    let dir = tempfile::tempdir().expect("the directory is made");
    let ask = |line: &str| call("moil", line, &[("PATH", super::sandbox::PATH)], dir.path(), commands::run);
    let answer = ask("doctor --json --jobStore store");
    let found: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
    let checks = found["checks"].as_array().expect("a list");
    for what in
        ["starting tools", "work directory", "user namespaces", "confinement", "containers", "job store"]
    {
        assert!(checks.iter().any(|check| check["check"] == what), "{what}: {found}");
    }
    assert_eq!(answer.code == ExitCode::SUCCESS, found["failed"] == 0, "{found}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("it is read").count(), 0);
    let answer = ask("doctor --jobStore /proc/store");
    assert_eq!(answer.code, ExitCode::FAILURE);
    let line = answer.stdout.lines().find(|line| line.starts_with("failed ")).expect("a line");
    assert!(line.contains("job store") && line.contains("/proc"), "{line}");
    let answer = ask("doctor --batchSystem kubernetes --jobStore s3://demo/x");
    assert!(answer.stdout.contains("there is no Kubernetes cluster to use"), "{}", answer.stdout);
    assert!(answer.stdout.contains("TOIL_APPLIANCE_SELF"), "{}", answer.stdout);
}
