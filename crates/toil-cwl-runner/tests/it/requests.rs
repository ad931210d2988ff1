//! What a run asks of a job store in a bucket.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use moil_testing::hooks::Call;
use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};

use super::buckets::{make_bucket, succeeds};
use super::sandbox::Sandbox;

/// One small job.
const ECHO: &str = "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [echo, hello]
inputs: []
outputs: {o: stdout}
stdout: o.txt
";

/// What was asked for since then, but for what a slow machine adds: signs of life after ten seconds, and every three
/// seconds a group of the journal for what only people want to know.
fn asked(server: &S3Server, began: Instant) -> Vec<Call> {
    let is_sign = |call: &Call| ["/heartbeat/", "/kill/"].iter().any(|part| call.target.contains(part));
    let mut calls: Vec<Call> = server.hooks().calls();
    if began.elapsed() > Duration::from_secs(10) {
        calls.retain(|call| !is_sign(call));
    }
    for _ in 0..began.elapsed().as_secs() / 3 {
        let note = calls.iter().rposition(|call| call.is("PutObject") && call.target.contains("/journal/"));
        note.map(|note| calls.remove(note));
    }
    calls
}

/// All requests count, from the first look at the place to its removal: each costs a user 20 to 100 ms.
#[test]
fn a_run_of_one_job_costs_few_requests() {
    for (store, executor, most) in [
        ("s3://shared/run", "single_machine", 13),
        ("s3://shared/run", "processes", 18),
        ("aws:eu-central-1:run-1", "single_machine", 23),
        ("aws:eu-central-1:run-1", "processes", 28),
        // A start that is a restart where there is something.
        ("s3://shared/run --restart=auto", "single_machine", 14),
        ("aws:eu-central-1:run-1 --restart=auto", "single_machine", 24),
    ] {
        let (sandbox, server) = (Sandbox::with(ECHO), S3Server::start());
        make_bucket(&server, "shared", &[]);
        server.hooks().forget_calls();
        let began = Instant::now();
        succeeds(
            &sandbox,
            &server,
            &format!("--batchSystem {executor} --jobStore {store} --outdir out main.cwl"),
        );
        let calls = asked(&server, began);
        assert!(calls.len() <= most, "{store}, {executor}: {} of {most}: {calls:#?}", calls.len());
    }
}

/// What is said of the run before is read, and it is looked whether something is left of it.
#[test]
fn a_run_where_another_was_costs_little_more() {
    let (sandbox, server) = (Sandbox::with(ECHO), S3Server::start());
    make_bucket(&server, "shared", &[]);
    for most in [13, 15, 15] {
        server.hooks().forget_calls();
        let began = Instant::now();
        succeeds(&sandbox, &server, "--jobStore s3://shared/run --outdir out main.cwl");
        let calls = asked(&server, began);
        assert!(calls.len() <= most, "{} of {most}: {calls:#?}", calls.len());
    }
}

/// Where there is no such address, each question takes seconds.
#[test]
fn instance_metadata_is_asked_for_nothing_where_keys_are_given() {
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let metadata = format!("http://{}", listener.local_addr().expect("an address"));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (sandbox, server) = (Sandbox::with(ECHO), S3Server::start());
    make_bucket(&server, "shared", &[]);
    let (url, home) = (server.url(), sandbox.path("."));
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    for (keys, expected) in [(&keys[..], true), (&[][..], false)] {
        let mut program = sandbox.program(&["--jobStore", "s3://shared/run", "--outdir", "out", "main.cwl"]);
        let program = program.env("HOME", &home).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata);
        let output = program.env("AWS_ENDPOINT_URL", &url).envs(keys.iter().copied()).output();
        let output = output.expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), expected, "{told}");
        assert_eq!(asked.load(Ordering::SeqCst) == 0, expected, "{told}");
    }
}
