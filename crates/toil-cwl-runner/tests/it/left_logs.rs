//! Logs of workers that have nothing but the bucket of the job store come to the leader's directories.

use std::process::Command;

use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};

use super::buckets::make_bucket;
use super::sandbox::{Sandbox, eventually};

/// Prints, waits for `go`, and fails where that says so.
const TOOL: &str = r#"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'echo to stdout; seq 1000 >&2; echo begun >> HERE/began; while ! test -s HERE/go; do sleep 0.01; done; exit $(cat HERE/go)']
inputs: []
outputs: []
"#;

struct Run {
    sandbox: Sandbox,
    server: S3Server,
}

impl Run {
    fn new(code: &str) -> Self {
        let (sandbox, server) = (Sandbox::new(), S3Server::start());
        sandbox.write("main.cwl", TOOL.replace("HERE", &sandbox.path("").display().to_string()));
        sandbox.write("go", code);
        make_bucket(&server, "runs", &[]);
        Self { sandbox, server }
    }

    fn command(&self, more: &[&str]) -> Command {
        let common = ["--batchSystem", "processes", "--jobStore", "s3://runs/one", "--outdir", "out"];
        let mut command = self.sandbox.program(&[&common[..], more, &["main.cwl"]].concat());
        command
            .env("AWS_ENDPOINT_URL", self.server.url())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    }

    fn logs(&self) -> Vec<String> {
        let names = self.sandbox.list("logs");
        names.iter().map(|name| name.to_str().expect("UTF-8").to_owned()).collect()
    }

    /// How many logs went through the bucket.
    fn left(&self) -> usize {
        let calls = self.server.hooks().calls();
        calls.iter().filter(|call| call.is("PutObject") && call.target.ends_with(".log")).count()
    }
}

#[test]
fn logs_of_workers_elsewhere_come_to_the_leader() {
    const ALL: &str = "--writeLogsFromAllJobs=true";
    let (out, err) = ("main.cwl.stdout_000.log", "main.cwl.stderr_000.log");
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("0", &["--log-dir", "logs"], &[err, out]),
        ("3", &["--log-dir", "logs"], &[err, out]),
        ("0", &["--writeLogs", "logs"], &[]),
        ("0", &["--writeLogs", "logs", ALL], &[err, out]),
        ("3", &["--writeLogs", "logs"], &[err, out]),
        (
            "3",
            &["--writeLogs", "logs", "--retryCount", "1"],
            &[err, "main.cwl.stderr_001.log", out, "main.cwl.stdout_001.log"],
        ),
        ("3", &["--writeLogsGzip", "logs"], &["main.cwl.stderr_000.log.gz", "main.cwl.stdout_000.log.gz"]),
    ];
    for (code, options, expected) in cases {
        let run = Run::new(code);
        std::fs::create_dir(run.sandbox.path("logs")).expect("it is made");
        let options = [&["--clean", "always", "--retryCount", "0"], options].concat();
        let output = run.command(&options).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), code == "0", "{told}");
        assert_eq!(run.logs(), expected, "{options:?}: {told}");
        assert_eq!(run.left(), expected.len(), "{options:?}");
        if expected.contains(&err) {
            assert!(run.sandbox.read("logs/main.cwl.stderr_000.log").ends_with("\n999\n1000\n"));
            assert_eq!(run.sandbox.read("logs/main.cwl.stdout_000.log"), "to stdout\n");
        }
        if code == "3" {
            let place = run.sandbox.path("logs/main.cwl.stderr_*.log").display().to_string();
            assert!(told.contains(&place), "{told}");
        }
        let left =
            run.sandbox.list("tmp").into_iter().filter(|name| name.display().to_string().contains("-log-"));
        assert_eq!(left.count(), 0);
    }
}

#[test]
fn long_logs_are_cut_before_they_are_left() {
    let run = Run::new("1");
    let options =
        ["--writeLogs", "logs", "--maxLogFileSize", "100", "--clean", "always", "--retryCount", "0"];
    let output = run.command(&options).output().expect("it runs");
    assert!(!output.status.success());
    let log = run.sandbox.read("logs/main.cwl.stderr_000.log");
    assert!(log.starts_with("[the first 3793 bytes were cut off]\n") && log.ends_with("\n1000\n"), "{log}");
    assert_eq!(log.lines().skip(1).map(|line| line.len() + 1).sum::<usize>(), 100);
}

#[test]
fn what_was_left_while_there_was_no_leader_comes_to_the_next_one() {
    let run = Run::new("");
    let options = ["--log-dir", "logs"];
    let mut child = run.command(&options).spawn().expect("it starts");
    eventually("the tool is at work", || run.sandbox.path("began").exists());
    child.kill().expect("it is killed");
    child.wait_with_output().expect("it ends");
    run.sandbox.write("go", "0");
    eventually("the worker has left its result", || {
        let calls = run.server.hooks().calls();
        calls.iter().any(|call| call.is("PutObject") && call.target.contains("/results/"))
    });
    let output = run.command(&[&options[..], &["--restart"]].concat()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(run.sandbox.read("began"), "begun\n");
    assert_eq!(run.logs(), ["main.cwl.stderr_000.log", "main.cwl.stdout_000.log"]);
}
