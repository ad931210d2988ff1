//! Outputs that go to buckets.

use std::ffi::OsString;

use moil_testing::hooks::{Fault, Gate};
use moil_testing::s3::S3Server;
use serde_json::{Value, json};
use toil_cwl_runner::exit_code::ExitCode;

use super::buckets::{access, make_bucket, run, succeeds};
use super::sandbox::Sandbox;

/// Files and directories of all kinds: large ones, small ones (which are packed in a bucket), one that nothing is in,
/// two of one name, a literal, and inputs that are passed on.
const WORKFLOW: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {local: File, remote: File}
outputs:
  one: {type: File, outputSource: make/one}
  two: {type: File, outputSource: again/one}
  d: {type: Directory, outputSource: make/d}
  text: {type: File, outputSource: literal/text}
  local: {type: File, outputSource: local}
  remote: {type: File, outputSource: remote}
steps:
  make: {in: [], out: [one, d], run: {$import: tool.cwl}}
  again: {in: [], out: [one, d], run: {$import: tool.cwl}}
  literal:
    in: []
    out: [text]
    run:
      class: ExpressionTool
      inputs: []
      outputs: {text: File}
      expression: '${ return {text: {class: "File", basename: "l.txt", contents: "literal"}}; }'
"#;

const TOOL: &str = r#"
class: CommandLineTool
baseCommand: [sh, -c, 'echo one > "a #1.txt"; mkdir -p d/e d/empty; echo deep > d/e/f.txt; head -c 300000 /dev/zero > d/large']
inputs: []
outputs:
  one: {type: File, outputBinding: {glob: "a*"}}
  d: {type: Directory, outputBinding: {glob: d}}
"#;

fn place() -> (Sandbox, S3Server) {
    let (sandbox, server) = (Sandbox::with(WORKFLOW), S3Server::start());
    sandbox.write("tool.cwl", TOOL);
    sandbox.write("local.txt", "local");
    make_bucket(&server, "data", &[("x/remote.txt", "remote")]);
    make_bucket(&server, "results", &[("my/a #1.txt", "old"), ("my/other", "other")]);
    sandbox.write(
        "job.yml",
        "local: {class: File, location: local.txt}\nremote: {class: File, location: 's3://data/x/remote.txt'}\n",
    );
    (sandbox, server)
}

/// What is in the bucket after a run that went there.
fn check(server: &S3Server, outputs: &Value) {
    let objects = server.objects("results");
    let texts: Vec<(&str, String)> = objects
        .iter()
        .map(|(key, bytes)| {
            (key.as_str(), String::from_utf8_lossy(&bytes[..bytes.len().min(9)]).into_owned())
        })
        .collect();
    let zeros = "\0".repeat(9);
    let expected = [
        ("my/a #1.txt", "one\n"),
        ("my/a #1_2.txt", "one\n"),
        ("my/d/e/f.txt", "deep\n"),
        ("my/d/empty/", ""),
        ("my/d/large", &zeros),
        ("my/l.txt", "literal"),
        ("my/local.txt", "local"),
        ("my/other", "other"),
        ("my/remote.txt", "remote"),
    ];
    assert_eq!(texts, expected.map(|(key, text)| (key, text.to_owned())));
    assert_eq!(outputs["one"]["location"], "s3://results/my/a%20%231.txt");
    assert_eq!(outputs["two"]["basename"], "a #1_2.txt");
    assert_eq!(outputs["two"]["location"], "s3://results/my/a%20%231_2.txt");
    assert_eq!(outputs["d"]["location"], "s3://results/my/d");
    let one = "sha1$c7059bb19433cc3cabaa6236c83d56668a843dd2";
    assert_eq!((&outputs["one"]["checksum"], &outputs["one"]["size"]), (&json!(one), &json!(4)));
    for name in ["local", "text"] {
        assert!(outputs[name]["checksum"].is_string() && outputs[name]["size"].is_number(), "{outputs:#}");
    }
    let listing = outputs["d"]["listing"].as_array().expect("a listing");
    let large = listing.iter().find(|entry| entry["basename"] == "large").expect("it is listed");
    assert_eq!(large["location"], "s3://results/my/d/large");
    assert!(large["checksum"].is_string() && large["size"] == 300_000, "{large:#}");
}

#[test]
fn outputs_of_a_run_in_a_bucket_are_copied_to_another_and_not_fetched() {
    let (sandbox, server) = place();
    let line = "--jobStore aws:eu-central-1:run-o --outdir s3://results/my main.cwl job.yml";
    let outputs = succeeds(&sandbox, &server, line);
    check(&server, &outputs);
    let calls = server.hooks().calls();
    let fetched = |key: &str| calls.iter().any(|call| call.is("GetObject") && call.target.ends_with(key));
    assert!(!fetched("a #1.txt") && !fetched("large") && !fetched("remote.txt"), "{calls:#?}");
    assert_eq!(server.hooks().count("CopyObject"), 4);
    assert!(server.bucket("run-o--toil").is_none(), "the job store is removed");
    let written: Vec<_> = sandbox.list(".").into_iter().filter(|name| name != "tmp").collect();
    assert_eq!(written, ["job.yml", "local.txt", "main.cwl", "tool.cwl"]);
}

#[test]
fn outputs_of_any_run_can_go_to_a_bucket() {
    for (store, place_word) in
        [("", "--destBucket results/my/"), ("--jobStore store", "--destBucket s3://results/my")]
    {
        let (sandbox, server) = place();
        // It counts more than --outdir.
        let line = format!("{store} --outdir out {place_word} main.cwl job.yml");
        check(&server, &succeeds(&sandbox, &server, &line));
        assert!(!sandbox.path("out").exists());
    }
}

#[test]
fn an_export_that_was_killed_half_way_is_done_again_and_was_recorded_before_it_began() {
    let (sandbox, server) = place();
    let gate = Gate::default();
    let second = |call: &moil_testing::hooks::Call| {
        call.target.starts_with("results/my/") && (call.is("CopyObject") || call.is("PutObject"))
    };
    server.hooks().inject(2..100, second, Fault::PauseBefore(gate.clone()));
    let line = "--jobStore s3://data/store --outdir s3://results/my main.cwl job.yml";
    let words: Vec<&str> = line.split_whitespace().collect();
    let url = server.url();
    let env = access(&url);
    let mut leader = sandbox.program(&words).envs(env).spawn().expect("it starts");
    gate.wait_for_call();
    leader.kill().expect("it is killed");
    leader.wait().expect("it has ended");
    let is_planned = |(key, bytes): (String, Vec<u8>)| {
        key.contains("/journal/") && String::from_utf8_lossy(&bytes).contains("ExportPlanned")
    };
    assert!(server.objects("data").into_iter().any(is_planned));
    server.hooks().heal();
    gate.open();
    std::fs::remove_dir_all(sandbox.path("tmp")).expect("it is removed");
    std::fs::create_dir(sandbox.path("tmp")).expect("it is made");
    let answer = run(&sandbox, &server, &format!("--restart {line}"));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("[job make] completed success (reused)"), "{}", answer.stderr);
    check(&server, &serde_json::from_str(&answer.stdout).expect("JSON"));
}

#[test]
fn outputs_are_encrypted_as_the_store_is() {
    let (sandbox, server) = place();
    sandbox.write("key", "k".repeat(32));
    let line = "--sseKey key --jobStore aws:eu-central-1:run-e --destBucket results/my main.cwl job.yml";
    succeeds(&sandbox, &server, line);
    for key in ["my/a #1.txt", "my/d/large", "my/d/e/f.txt", "my/local.txt", "my/l.txt", "my/remote.txt"] {
        assert_eq!(server.encryption("results", key).as_deref(), Some("SSE-C"), "{key}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_runs() {
    let (sandbox, server) = place();
    let marker = sandbox.path("ran");
    sandbox.write("tool.cwl", TOOL.replace("echo one", &format!("touch {}; echo one", marker.display())));
    for (place, words) in [
        ("s3://nowhere/x", "because  the server answered 404 NoSuchBucket"),
        ("s3://run-p--toil/out", "that bucket is the job store's own"),
    ] {
        let line = format!("--jobStore aws:eu-central-1:run-p --outdir {place} main.cwl job.yml");
        let answer = run(&sandbox, &server, &line);
        assert_eq!(answer.code, ExitCode::FAILURE);
        assert!(answer.stderr.contains(&format!("to {place}")), "{}", answer.stderr);
        assert!(answer.stderr.contains(words), "{}", answer.stderr);
        assert!(server.bucket("run-p--toil").is_none(), "nothing is left of the store");
    }
    for (option, words) in [
        ("--outdir gs://b/x", "outputs cannot go to gs:"),
        ("--destBucket wasb://b/x", "outputs cannot go to wasb:"),
        ("--destBucket No_Bucket", "is no bucket"),
    ] {
        let line = format!("{option} main.cwl job.yml");
        let answer = sandbox.run_with(line.split_whitespace().map(OsString::from).collect(), &[]);
        assert_ne!(answer.code, ExitCode::SUCCESS);
        assert!(answer.stderr.contains(words), "{}", answer.stderr);
    }
    assert!(!marker.exists());
}
