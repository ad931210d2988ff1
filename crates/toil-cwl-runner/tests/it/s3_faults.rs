//! Runs in buckets of servers that fail.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use moil_testing::hooks::{Call, Fault, Gate};
use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use toil_cwl_runner::exit_code::ExitCode;

use super::Answer;
use super::buckets::{access, make_bucket, run, succeeds};
use super::sandbox::{Sandbox, eventually};

/// Two files one after the other; the second waits until there is a file `go`.
const WORKFLOW: &str = r#"
cwlVersion: v1.2
class: Workflow
inputs: []
outputs: {o: {type: File, outputSource: second/o}}
steps:
  first:
    in: []
    out: [o]
    run: {class: CommandLineTool, baseCommand: [echo, one], inputs: [], outputs: {o: stdout}, stdout: o.txt}
  second:
    in: {f: first/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'touch BEGUN; until test -e GO; do sleep 0.05; done; cat "$0"']
      inputs: {f: {type: File, inputBinding: {}}}
      outputs: {o: stdout}
      stdout: o.txt
"#;

const LINE: &str = "--jobStore aws:eu-central-1:run-f --retryCount 0 --outdir out main.cwl";

fn place(goes: bool) -> (Sandbox, S3Server) {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.path(name).display().to_string();
    sandbox.write("main.cwl", WORKFLOW.replace("BEGUN", &path("begun")).replace("GO", &path("go")));
    if goes {
        sandbox.write("go", "");
    }
    (sandbox, S3Server::start())
}

/// A run that failed; its logs stay on this machine.
fn fails(sandbox: &Sandbox, server: &S3Server, line: &str) -> String {
    let Answer { code, stderr, .. } = run(sandbox, server, line);
    assert_eq!(code, ExitCode::FAILURE, "{stderr}");
    clear(sandbox);
    stderr
}

fn clear(sandbox: &Sandbox) {
    std::fs::remove_dir_all(sandbox.path("tmp")).expect("it is removed");
    std::fs::create_dir(sandbox.path("tmp")).expect("it is made");
}

#[test]
fn credentials_that_expire_end_a_run_with_advice_and_it_goes_on_with_new_ones() {
    for part in ["/files/", "/journal/"] {
        let (sandbox, server) = place(true);
        let is_late = move |call: &Call| call.is("PutObject") && call.target.contains(part);
        server.hooks().inject(3 * u64::from(part == "/journal/")..10_000, is_late, Fault::EXPIRED_TOKEN);
        let told = fails(&sandbox, &server, LINE);
        assert!(told.contains("ExpiredToken"), "{part}: {told}");
        assert!(told.contains("please check the AWS credentials"), "{part}: {told}");
        assert!(told.contains("--restart"), "{part}: {told}");
        assert_eq!(told.matches("ExpiredToken").count(), 1, "{part}: {told}");
        server.hooks().heal();
        succeeds(&sandbox, &server, &format!("--restart {LINE}"));
        assert_eq!(sandbox.read("out/o.txt"), "one\n");
    }
}

#[test]
fn throttling_cut_connections_and_lost_answers_change_nothing() {
    let (sandbox, server) = place(true);
    let faults = [
        Fault::SLOW_DOWN,
        Fault::CutRequest(0),
        Fault::LoseAnswer,
        Fault::INTERNAL_ERROR,
        Fault::CONFLICT,
        Fault::CutAnswer(3),
    ];
    for (at, fault) in (0_u64..).zip(faults) {
        let is_put = |call: &Call| call.is("PutObject");
        server.hooks().inject(2 + 3 * at..3 + 3 * at, is_put, fault.clone());
        server.hooks().inject(1 + 2 * at..2 + 2 * at, |call| !call.is("PutObject"), fault);
    }
    let outputs = succeeds(&sandbox, &server, LINE);
    assert_eq!(sandbox.read("out/o.txt"), "one\n");
    assert_eq!(outputs["o"]["size"], 4);
    assert!(server.bucket("run-f--toil").is_none());
}

/// Conditional or not: of each the answer is lost once, and the run, in threads or in processes of their own, is as one
/// that nothing disturbs.
#[test]
fn every_put_may_lose_its_answer() {
    for executor in ["single_machine", "processes"] {
        let line = format!("--batchSystem {executor} --clean never {LINE}");
        let mut at = 0;
        loop {
            let (sandbox, server) = place(true);
            server.hooks().inject(at..at + 1, |call| call.is("PutObject"), Fault::LoseAnswer);
            let outputs = succeeds(&sandbox, &server, &line);
            assert_eq!(sandbox.read("out/o.txt"), "one\n", "{executor}, put {at}");
            assert_eq!(outputs["o"]["size"], 4);
            // Signs of life come and go with time, and so do not count.
            let puts = server.hooks().calls();
            let puts =
                puts.iter().filter(|call| call.is("PutObject") && !call.target.contains("/heartbeat/"));
            // Nothing is there twice: each result has its files, and each number of the journal one group.
            let told = run(&sandbox, &server, &format!("--restart {line}")).stderr;
            assert_eq!(told.matches("completed success (reused)").count(), 2, "{executor}, put {at}: {told}");
            at += 1;
            if at as usize > puts.count() {
                break;
            }
        }
        assert!(at > 8, "{executor}: {at}");
    }
}

/// A leader that is killed in the middle of an upload leaves it unfinished, which takes room that nobody sees.
#[test]
fn an_upload_that_nobody_finished_goes_with_the_store() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "main.cwl",
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [head, -c, '20000000', /dev/zero], inputs: [], \
          outputs: {o: stdout}, stdout: o.txt}",
    );
    let server = S3Server::start();
    make_bucket(&server, "shared", &[]);
    let gate = Gate::default();
    server.hooks().inject(1..2, |call| call.is("UploadPart"), Fault::PauseBefore(gate.clone()));
    let url = server.url();
    let env = access(&url);
    let line = "--jobStore s3://shared/run --retryCount 0 --outdir out main.cwl";
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut leader = sandbox.program(&words).envs(env).spawn().expect("it starts");
    gate.wait_for_call();
    leader.kill().expect("it is killed");
    leader.wait().expect("it ends");
    gate.open();
    clear(&sandbox);
    assert_eq!(server.unfinished_uploads("shared"), 1);
    succeeds(&sandbox, &server, &format!("--restart {line}"));
    assert_eq!(std::fs::metadata(sandbox.path("out/o.txt")).expect("it is there").len(), 20_000_000);
    assert_eq!(server.unfinished_uploads("shared"), 0);
}

#[test]
fn a_leader_whose_store_was_removed_and_made_again_changes_nothing_of_the_new_one() {
    let (sandbox, server) = place(false);
    let url = server.url();
    let env = access(&url);
    let line = "--jobStore s3://shared/run --retryCount 0 --outdir out main.cwl";
    make_bucket(&server, "shared", &[]);
    let words: Vec<&str> = line.split_whitespace().collect();
    let straggler = sandbox.program(&words).envs(env).stdout(Stdio::piped()).spawn().expect("it starts");
    eventually("the second job has begun", || sandbox.path("begun").exists());
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &straggler.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    };
    signal("-STOP");
    empty(&server, "shared");
    // The new run is another one, and is kept.
    sandbox.write("go", "");
    let other = Sandbox::new();
    other.write("main.cwl", sandbox.read("main.cwl"));
    succeeds(&other, &server, &format!("--clean never {line}"));
    let before: BTreeMap<String, Vec<u8>> = server.objects("shared");
    signal("-CONT");
    let output = straggler.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("was removed by somebody else while this run was at work"), "{told}");
    assert!(!sandbox.path("out/o.txt").exists(), "nothing is exported");
    let after = server.objects("shared");
    for (key, bytes) in &before {
        assert_eq!(after.get(key), Some(bytes), "{key}");
    }
    succeeds(&other, &server, &format!("--restart {line}"));
}

/// Removes all that is in a bucket, as somebody would with other tools.
pub fn empty(server: &S3Server, name: &str) {
    use moil_jobstore::s3::settings::Credentials;
    use moil_jobstore::s3::{S3, Settings};
    let credentials =
        Credentials::Keys { access: ACCESS_KEY.into(), secret: SECRET_KEY.into(), session: None };
    let s3 = S3::new(Settings { endpoint: Some(server.url()), credentials, ..Settings::default() });
    let keys: Vec<String> = server.objects(name).into_keys().collect();
    s3.bucket(name).delete(&keys).expect("they are removed");
}
