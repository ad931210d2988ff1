//! Runs with a job store in a bucket whose records are in SimpleDB.

use std::ffi::OsString;

use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use moil_testing::simpledb::SimpleDbServer;
use toil_cwl_runner::commands;
use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{Sandbox, eventually};
use super::{Answer, call};

/// Each word in a file, then all of them in one; slowly, if it is told to, and with a failure at the end.
const WORKFLOW: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: "string[]", seconds: int, stop: boolean}
outputs: {all: {type: File, outputSource: join/all}}
steps:
  write:
    scatter: word
    in: {word: words}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {one: stdout}
      stdout: word.txt
  join:
    in: {ones: write/one, seconds: seconds, stop: stop}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep $0; test $1 = false && shift && cat "$@"']
      requirements: {InlineJavascriptRequirement: {}}
      inputs:
        seconds: {type: int, inputBinding: {position: 0}}
        stop: {type: boolean, inputBinding: {position: 1, valueFrom: $(String(self))}}
        ones: {type: 'File[]', inputBinding: {position: 2}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

const STORE: &str = "aws:us-west-2:run-db";

struct Place {
    sandbox: Sandbox,
    s3: S3Server,
    database: SimpleDbServer,
}

impl Place {
    fn new() -> Self {
        let sandbox = Sandbox::with(WORKFLOW);
        Self { sandbox, s3: S3Server::start(), database: SimpleDbServer::start() }
    }

    fn job(&self, words: &str, seconds: u32, stop: bool) {
        self.sandbox.write("job.yml", format!("words: [{words}]\nseconds: {seconds}\nstop: {stop}\n"));
    }

    fn env(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.s3.url()),
            ("AWS_ENDPOINT_URL_SIMPLEDB", self.database.url()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
    }

    fn line(options: &str) -> String {
        format!("{options} --jobStore {STORE} --retryCount 0 --outdir out main.cwl job.yml")
    }

    fn run(&self, options: &str) -> Answer {
        let env = self.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.sandbox.run_with(Self::line(options).split_whitespace().map(OsString::from).collect(), &env)
    }

    fn moil(&self, line: &str) -> Answer {
        let env = self.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        call("moil", line, &env, &self.sandbox.path("."), commands::run)
    }

    /// Whether nothing of the store is left, in either service.
    fn is_gone(&self) -> bool {
        self.s3.bucket("run-db--toil").is_none()
            && self.database.items("run-db--jobs").is_none()
            && self.database.items("toil-registry").is_some_and(|items| items.is_empty())
    }
}

#[test]
fn a_run_with_records_in_simpledb_is_kept_after_a_failure_and_goes_on() {
    let place = Place::new();
    place.job("a, b", 0, true);
    let answer = place.run("--awsRecords simpledb");
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    std::fs::remove_dir_all(place.sandbox.path("tmp")).expect("it is removed");
    std::fs::create_dir(place.sandbox.path("tmp")).expect("it is made");
    let registry = place.database.items("toil-registry").expect("the registry is there");
    assert!(registry["run-db"]["exists"].contains("True"), "{registry:?}");
    let items = place.database.items("run-db--jobs").expect("the domain is there");
    assert!(
        items.keys().any(|name| name.starts_with("moil/run-") && name.contains("/journal/")),
        "{items:?}"
    );
    let keys = place.s3.objects("run-db--toil");
    assert!(!keys.keys().any(|key| key.contains("/journal/")), "{:?}", keys.keys());
    // Whoever says nothing of records finds them, and nobody makes others.
    for options in ["", "--awsRecords simpledb", "--awsRecords s3"] {
        let told = place.run(options).stderr;
        assert!(told.contains("already exists"), "{told}");
    }
    let told = place.moil(&format!("status {STORE}"));
    assert!(told.stdout.contains("failed"), "{}{}", told.stdout, told.stderr);
    place.job("a, b", 0, false);
    let answer = place.run("--restart");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("[job write_2] completed success (reused)"), "{}", answer.stderr);
    assert_eq!(place.sandbox.read("out/all.txt"), "a\nb\n");
    assert!(
        place.is_gone(),
        "{:?} {:?}",
        place.s3.bucket("run-db--toil"),
        place.database.items("toil-registry")
    );
}

#[test]
fn a_run_with_records_in_simpledb_goes_on_after_its_leader_was_killed() {
    let place = Place::new();
    place.job("a, b", 60, false);
    let line = Place::line("--awsRecords simpledb");
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut command = place.sandbox.program(&words);
    let mut leader = command.envs(place.env()).spawn().expect("it starts");
    eventually("the last job is recorded", || {
        let items = place.database.items("run-db--jobs").unwrap_or_default();
        let told = place.moil(&format!("status {STORE} --perJob"));
        !items.is_empty() && told.stdout.contains("join") && told.stdout.contains("running")
    });
    leader.kill().expect("it is killed");
    leader.wait().expect("it has ended");
    std::fs::remove_dir_all(place.sandbox.path("tmp")).expect("it is removed");
    std::fs::create_dir(place.sandbox.path("tmp")).expect("it is made");
    let told = place.moil(&format!("status {STORE}"));
    assert!(told.stdout.contains("interrupted"), "{}{}", told.stdout, told.stderr);
    place.job("a, b", 0, false);
    let answer = place.run("--restart --clean never");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("[job write] completed success (reused)"), "{}", answer.stderr);
    let told = place.moil(&format!("clean {STORE}"));
    assert_eq!(told.code, ExitCode::SUCCESS, "{}", told.stderr);
    assert!(place.is_gone());
    let told = place.moil(&format!("clean {STORE}"));
    assert!(told.stderr.contains("does not exist"), "{}", told.stderr);
}

#[test]
fn what_is_left_of_an_interrupted_removal_is_removed() {
    let place = Place::new();
    place.job("a", 0, false);
    for afresh in [true, false] {
        let answer = place.run("--awsRecords simpledb --clean never");
        assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
        // The domain goes, and then the bucket cannot be removed.
        let refuse = moil_testing::hooks::Fault::Refuse { status: 403, code: "AccessDenied" };
        place.s3.hooks().inject(0..9, |call| call.is("DeleteBucket"), refuse);
        let told = place.moil(&format!("clean {STORE}"));
        assert_eq!(told.code, ExitCode::FAILURE, "{}", told.stderr);
        assert!(place.database.items("run-db--jobs").is_none());
        place.s3.hooks().heal();
        let answer = match afresh {
            true => place.run("--awsRecords simpledb"),
            false => place.moil(&format!("clean {STORE}")),
        };
        assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
        assert!(place.is_gone());
    }
}

#[test]
fn a_group_of_records_costs_one_call_of_simpledb() {
    let place = Place::new();
    let words: Vec<String> = (0..100).map(|number| format!("w{number}")).collect();
    place.job(&words.join(", "), 0, false);
    let answer = place.run("--awsRecords simpledb --clean never");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let items = place.database.items("run-db--jobs").expect("the domain is there");
    let groups = items.keys().filter(|name| name.contains("/journal/")).count();
    // What is done once in ten seconds is no matter of the number of jobs.
    let calls = place.database.hooks().calls();
    let calls =
        calls.iter().filter(|call| !call.target.contains("/heartbeat/") && !call.target.contains("/kill/"));
    let calls: Vec<_> = calls.map(|call| format!("{} {}", call.operation, call.target)).collect();
    eprintln!("{groups} groups, {} calls", calls.len());
    assert!(calls.len() <= groups + 40, "{groups} groups, {} calls: {calls:#?}", calls.len());
    assert!(groups <= 100, "short jobs share groups: {groups}");
}

#[test]
fn records_in_simpledb_are_for_stores_that_can_have_them() {
    let place = Place::new();
    place.job("a", 0, false);
    let args = "--awsRecords simpledb --jobStore store main.cwl job.yml";
    let answer = place.sandbox.run_with(args.split_whitespace().map(OsString::from).collect(), &[]);
    assert_eq!(answer.code, ExitCode::USAGE);
    assert!(answer.stderr.contains("needs a job store aws:REGION:NAME"), "{}", answer.stderr);
    let args = "--awsRecords simpledb --jobStore aws:eu-central-1:abc main.cwl job.yml";
    let url = place.s3.url();
    let env = [
        ("TOIL_S3_HOST", url.trim_start_matches("http://")),
        ("TOIL_S3_USE_SSL", "false"),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
    ];
    let answer = place.sandbox.run_with(args.split_whitespace().map(OsString::from).collect(), &env);
    assert_eq!(answer.code, ExitCode::FAILURE);
    assert!(answer.stderr.contains("AWS has none in eu-central-1"), "{}", answer.stderr);
    assert!(place.s3.bucket("abc--toil").is_none(), "nothing was made");
}
