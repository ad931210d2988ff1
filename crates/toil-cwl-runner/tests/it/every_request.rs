//! The whole program, with something that goes wrong at every request of its job store in a bucket.

use std::process::{Command, Output};
use std::time::Duration;

use moil_testing::hooks::{Call, Fault, Gate};
use moil_testing::s3::S3Server;

use super::buckets::{access, make_bucket};
use super::s3_faults::empty;
use super::sandbox::{Sandbox, eventually};

/// One job, which says that it has run.
const TOOL: &str = "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'echo ran >> RAN; echo hello']
inputs: []
outputs: {o: stdout}
stdout: o.txt
";

const DENIED: Fault = Fault::Refuse { status: 403, code: "AccessDenied" };

const STORES: [&str; 2] = ["s3://shared/run", "aws:eu-central-1:run-e"];

fn place() -> (Sandbox, S3Server) {
    let (sandbox, server) = (Sandbox::new(), S3Server::start());
    let ran = sandbox.path("ran").display().to_string();
    sandbox.write("main.cwl", TOOL.replace("RAN", &ran));
    sandbox.write("ran", "");
    make_bucket(&server, "shared", &[]);
    server.hooks().forget_calls();
    (sandbox, server)
}

/// In a process of its own: whoever comes later sees that it has ended.
fn run(sandbox: &Sandbox, server: &S3Server, store: &str, more: &str) -> Output {
    let line = format!("--jobStore {store} --retryCount 0 --outdir out {more} main.cwl");
    let words: Vec<&str> = line.split_whitespace().collect();
    let url = server.url();
    let env = access(&url);
    sandbox.program(&words).envs(env).output().expect("it runs")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a success was told, as it is.
fn is_told(output: &Output, context: &str) -> bool {
    if output.stdout.is_empty() {
        assert!(!output.status.success(), "{context}: {}", told(output));
        return false;
    }
    let outputs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the output object");
    assert_eq!(outputs["o"]["basename"], "o.txt", "{context}");
    true
}

fn runs(sandbox: &Sandbox) -> usize {
    sandbox.read("ran").lines().count()
}

fn is_gone(server: &S3Server) -> bool {
    server.bucket("run-e--toil").is_none()
        && server.objects("shared").keys().all(|key| key.starts_with("run/runs/"))
}

/// What comes next is told the same success, or there was none before; and what was recorded as done is not done again.
#[test]
fn a_server_that_refuses_everything_from_any_request_on_costs_no_result() {
    for store in STORES {
        let whole = {
            let (sandbox, server) = place();
            assert!(is_told(&run(&sandbox, &server, store, ""), store));
            server.hooks().calls()
        };
        let ended = whole.iter().rposition(|call| call.target.contains("/journal/")).expect("a journal");
        for (at, call) in whole.iter().enumerate().skip(1) {
            for next in ["--restart=auto", ""] {
                let context = format!("{store}, request {at}, {next}");
                let (sandbox, server) = place();
                server.hooks().inject(at as u64..u64::MAX, |_| true, DENIED);
                let first = run(&sandbox, &server, store, "");
                server.hooks().heal();
                // Who has recorded a success and cannot find out more, tells it.
                assert_eq!(is_told(&first, &context), at > ended, "{context}: {}", told(&first));
                let mut second = run(&sandbox, &server, store, next);
                if next.is_empty() && told(&second).contains("already exists") {
                    second = run(&sandbox, &server, store, "--restart");
                }
                assert!(is_told(&second, &context), "{context}: {}", told(&second));
                assert!(second.status.success(), "{context}: {}", told(&second));
                assert_eq!(sandbox.read("out/o.txt"), "hello\n", "{context}");
                assert!(is_gone(&server), "{context}: {:?}", server.objects("shared").keys());
                // Of a bucket of our own that is empty it is not known what it was.
                if next == "--restart=auto" && at > ended && !call.is("DeleteBucket") {
                    assert_eq!(runs(&sandbox), 1, "{context}: {}", told(&second));
                }
            }
        }
    }
}

/// `moil status` does not say of a success that nobody has heard only that its store is to go.
#[test]
fn a_success_that_was_not_told_is_seen() {
    let (sandbox, server) = place();
    let store = STORES[0];
    let count = {
        let (sandbox, server) = place();
        assert!(is_told(&run(&sandbox, &server, store, ""), store));
        server.hooks().calls().iter().rposition(|call| call.target.contains("/journal/")).expect("a journal")
    };
    // Its end is stored, and its answer is lost with all that comes after it.
    let count = count as u64;
    server.hooks().inject(count..count + 1, |_| true, Fault::LoseAnswer);
    server.hooks().inject(count + 1..u64::MAX, |_| true, DENIED);
    assert!(!is_told(&run(&sandbox, &server, store, ""), store));
    server.hooks().heal();
    let url = server.url();
    let mut status = Command::new(env!("CARGO_BIN_EXE_moil"));
    let status = status.args(["status", store]).envs(access(&url)).output().expect("it runs");
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("finished") && !said.contains("being removed"), "{said}");
    assert!(is_told(&run(&sandbox, &server, store, "--restart"), store));
    assert_eq!(runs(&sandbox), 1);
}

#[test]
fn every_answer_may_be_lost() {
    for store in STORES {
        for at in 0.. {
            let (sandbox, server) = place();
            server.hooks().inject(at..at + 1, |_| true, Fault::LoseAnswer);
            let context = format!("{store}, request {at}");
            let output = run(&sandbox, &server, store, "");
            assert!(is_told(&output, &context) && output.status.success(), "{context}: {}", told(&output));
            assert_eq!((runs(&sandbox), sandbox.read("out/o.txt")), (1, "hello\n".to_owned()), "{context}");
            assert!(is_gone(&server), "{context}: {:?}", server.objects("shared").keys());
            if server.hooks().calls().len() as u64 <= at {
                break;
            }
        }
    }
}

/// Somebody removes all that is there with other tools, and makes a new run, while a leader sleeps before a request.
#[test]
fn a_leader_that_slept_while_its_run_was_removed_by_hand_acts_no_more() {
    for store in STORES {
        let whole = {
            let (sandbox, server) = place();
            assert!(is_told(&run(&sandbox, &server, store, ""), store));
            server.hooks().calls()
        };
        let is_journal = |call: &Call| call.is("PutObject") && call.target.contains("/journal/");
        let first = whole.iter().position(is_journal).expect("a journal");
        let last = whole.iter().rposition(is_journal).expect("a journal");
        // The last two of the journal are before and after the export; each is followed by a look.
        let looks = [last - 1, last + 1];
        // Before, others are refused, or the run is made afterwards.
        for at in first..=looks[1] {
            let context = format!("{store}, request {at}");
            let (sandbox, server) = place();
            let gate = Gate::default();
            server.hooks().inject(at as u64..at as u64 + 1, |_| true, Fault::PauseBefore(gate.clone()));
            let other = Sandbox::new();
            other.write("main.cwl", TOOL.replace("RAN", "/dev/null"));
            let (first, before) = std::thread::scope(|scope| {
                let first = scope.spawn(|| run(&sandbox, &server, store, ""));
                gate.wait_for_call();
                for name in ["shared", "run-e--toil"] {
                    empty(&server, name);
                }
                assert!(is_told(&run(&other, &server, store, "--clean never"), &context));
                let before = server.objects("shared").into_iter().chain(server.objects("run-e--toil"));
                let before: Vec<_> = before.collect();
                gate.open();
                (first.join().expect("it ends"), before)
            });
            assert!(!is_told(&first, &context), "{context}");
            assert_eq!(sandbox.path("out/o.txt").exists(), at > looks[0], "{context}: {}", told(&first));
            let after = [server.objects("shared"), server.objects("run-e--toil")];
            for (key, bytes) in &before {
                assert!(after.iter().any(|after| after.get(key) == Some(bytes)), "{context}: {key}");
            }
            assert!(is_told(&run(&other, &server, store, "--restart"), &context));
        }
    }
}

/// Its first sign of life is in what makes it, and is taken back when it ends.
#[test]
fn a_leader_that_has_just_begun_is_seen_and_one_that_has_ended_is_not_waited_for() {
    for store in STORES {
        let (sandbox, server) = (Sandbox::new(), S3Server::start());
        make_bucket(&server, "shared", &[]);
        let tool =
            TOOL.replace("echo ran >> RAN; echo hello", "touch BEGUN; until test -e GO; do sleep 0.05; done");
        let path = |name: &str| sandbox.path(name).display().to_string();
        sandbox.write("main.cwl", tool.replace("BEGUN", &path("begun")).replace("GO", &path("go")));
        let url = server.url();
        let env = access(&url);
        let start = |more: &[&str]| {
            let words = ["--jobStore", store, "--retryCount", "0", "--outdir", "out"];
            let words = [&words, more, &["main.cwl"]].concat();
            sandbox.program(&words).envs(env).spawn().expect("it starts")
        };
        let moil = |words: &[&str]| {
            let mut moil = Command::new(env!("CARGO_BIN_EXE_moil"));
            let output = moil.args(words).env_clear().envs(env).output().expect("it runs");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let first = start(&[]);
        eventually("the job has begun", || sandbox.path("begun").exists());
        assert!(!server.hooks().calls().iter().any(|call| call.target.contains("/heartbeat/")), "{store}");
        assert!(moil(&["status", store]).contains("running"), "{store}");
        let second = start(&["--restart"]);
        std::thread::sleep(Duration::from_millis(1500));
        assert!(moil(&["kill", store]).contains("has ended"), "{store}");
        assert!(!first.wait_with_output().expect("it ends").status.success(), "{store}");
        // The one that waited leads now.
        sandbox.write("go", "");
        let second = second.wait_with_output().expect("it ends");
        assert!(told(&second).contains("waiting for"), "{store}: {}", told(&second));
        assert!(second.status.success(), "{store}: {}", told(&second));
    }
}

/// The bucket goes with the run that another leader has finished: then that is told, not that a bucket is missing.
#[test]
fn a_leader_whose_run_is_gone_with_its_bucket_says_so() {
    const NO_BUCKET: Fault = Fault::Refuse { status: 404, code: "NoSuchBucket" };
    for store in STORES {
        let (sandbox, server) = place();
        let gate = Gate::default();
        let is_output = |call: &Call| call.target.contains("/files/");
        server.hooks().inject(0..1, is_output, Fault::PauseBefore(gate.clone()));
        let output = std::thread::scope(|scope| {
            let run = scope.spawn(|| run(&sandbox, &server, store, ""));
            gate.wait_for_call();
            server.hooks().inject(0..100, |_| true, NO_BUCKET);
            gate.open();
            run.join().expect("it ends")
        });
        let said = told(&output);
        assert!(!is_told(&output, store) && said.contains("was removed by somebody else"), "{store}: {said}");
        assert_eq!(sandbox.read("ran"), "ran\n", "{store}");
    }
}
