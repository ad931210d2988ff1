//! Commands on job stores: of runs that failed, were killed, or are running.

use toil_cwl_runner::commands;
use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{Sandbox, eventually};
use super::{Answer, call};

/// Writes each word; the step after it fails if it is told to.
const WORDS: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: "string[]", seconds: int, stop: boolean}
outputs: {all: {type: File, outputSource: join/all}}
steps:
  write:
    scatter: word
    in: {word: words, seconds: seconds}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep $0; echo "$1"']
      inputs:
        seconds: {type: int, inputBinding: {position: 1}}
        word: {type: string, inputBinding: {position: 2}}
      outputs: {one: stdout}
      stdout: word.txt
  join:
    in: {ones: write/one, stop: stop}
    out: [all]
    run:
      class: CommandLineTool
      requirements: {InlineJavascriptRequirement: {}}
      baseCommand: [sh, -c, 'if test $0 = true; then echo no more words >&2; exit 3; fi; cat "$@"']
      inputs:
        stop: {type: boolean, inputBinding: {position: 0, valueFrom: $(String(self))}}
        ones: {type: 'File[]', inputBinding: {position: 1}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

fn words(words: &str, seconds: u32, stop: bool) -> Sandbox {
    let sandbox = Sandbox::with(WORDS);
    job(&sandbox, words, seconds, stop);
    sandbox
}

fn job(sandbox: &Sandbox, words: &str, seconds: u32, stop: bool) {
    sandbox.write("job.yml", format!("words: [{words}]\nseconds: {seconds}\nstop: {stop}\n"));
}

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--jobStore", "store", "--retryCount", "0", "--outdir", "out", "main.cwl", "job.yml"];
    more.iter().copied().chain(fixed).collect()
}

fn moil(sandbox: &Sandbox, line: &str) -> Answer {
    call("moil", line, &[], &sandbox.path("."), commands::run)
}

fn json(sandbox: &Sandbox, line: &str) -> serde_json::Value {
    let answer = moil(sandbox, line);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{line}: {}", answer.stderr);
    serde_json::from_str(&answer.stdout).expect("JSON")
}

#[test]
fn of_a_run_that_failed_it_is_told_what_failed_and_why() {
    let sandbox = words("a, b, c", 0, true);
    sandbox.failure(&args(&[]));
    let status = moil(&sandbox, "status store");
    assert_eq!(status.code, ExitCode::SUCCESS, "{}", status.stderr);
    for expected in
        ["state      failed at ", "--restart", "job join failed", "| no more words", "  exit     3"]
    {
        assert!(status.stdout.contains(expected), "{expected}: {}", status.stdout);
    }
    let status = json(&sandbox, "status store --json --perJob");
    assert_eq!(status["state"], "failed");
    let step = |name: &str| {
        let steps = status["steps"].as_array().expect("steps");
        steps.iter().find(|step| step["step"] == name).cloned().expect("the step")
    };
    assert_eq!((&step("write")["done"], &step("write")["waiting"]), (&3.into(), &0.into()), "{status:#}");
    assert_eq!(step("join")["failed"], 1);
    let jobs = status["jobs"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 4);
    assert!(
        jobs.iter().any(|job| job["job"] == "write[1]" && job["name"] == "write_2" && job["state"] == "done")
    );
    assert_eq!(moil(&sandbox, "status store --failIfNotComplete").code, ExitCode::FAILURE);
    let logs = moil(&sandbox, "status store --noAggStats --failed --logs").stdout;
    assert!(logs.contains("log of join (") && !logs.contains("waiting"), "{logs}");
}

#[test]
fn why_says_what_changed_and_what_did_not() {
    let sandbox = words("a, b, c", 0, true);
    sandbox.failure(&args(&[]));
    job(&sandbox, "a, x, c", 0, false);
    let first = json(&sandbox, "why store write_2 --json");
    assert!(first["why"][0].as_str().expect("a reason").contains("for the first time"), "{first}");
    sandbox.outputs(&args(&["--restart", "--clean", "never"]));
    let why = |word: &str| moil(&sandbox, &format!("why store {word}")).stdout;
    assert_eq!(why("write_2"), "write[1] (write_2)\n  it differs from write[1]#1 in: input word\n");
    assert!(why("write[0]").contains("the result of write[0]#1 was used"), "{}", why("write[0]"));
    assert!(why("join").contains("join#1 failed: "), "{}", why("join"));
    let unknown = moil(&sandbox, "why store joni");
    assert_eq!(unknown.code, ExitCode::FAILURE);
    assert!(unknown.stderr.contains("did you mean join?"), "{}", unknown.stderr);
    let status = json(&sandbox, "status store --json --failIfNotComplete");
    assert_eq!(status["state"], "finished");
    assert_eq!((&status["steps"][0]["reused"], &status["steps"][0]["done"]), (&2.into(), &1.into()));
    let info = json(&sandbox, "debug-job store write_2 --printJobInfo");
    assert_eq!((&info["state"], info["attempts"].as_array().map(Vec::len)), (&"done".into(), Some(2)));
}

#[test]
fn stats_need_no_option_of_the_run() {
    let sandbox = words("a, b, c", 0, true);
    sandbox.failure(&args(&[]));
    let stats = json(&sandbox, "stats store --raw --categories time,memory");
    assert_eq!(stats["jobs"]["total_number"], 3);
    assert_eq!(stats["job_types"][0]["name"], "write");
    assert!(stats["job_types"][0]["max_memory"].as_f64().is_some_and(|memory| memory > 0.0), "{stats}");
    assert!(stats["jobs"].get("max_clock").is_none());
    let text = moil(&sandbox, "stats store --pretty").stdout;
    assert!(text.contains("write: 3 attempts finished") && text.contains("MiB"), "{text}");
    assert_eq!(moil(&sandbox, "stats store --categories tme").code, ExitCode::FAILURE);
    moil(&sandbox, "stats store --outputFile stats.txt");
    assert!(sandbox.read("stats.txt").starts_with("all jobs: 3 "));
}

#[test]
fn a_run_that_was_killed_is_interrupted_and_its_jobs_are_lost() {
    let sandbox = words("a, b", 30, false);
    let mut child = sandbox.program(&args(&[])).spawn().expect("it starts");
    eventually("a job runs", || {
        let status = moil(&sandbox, "status store --json");
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap_or_default();
        status["steps"][0]["running"].as_u64().is_some_and(|running| running > 0)
    });
    assert_eq!(json(&sandbox, "status store --json")["state"], "running");
    let running = moil(&sandbox, "status store --status").stdout;
    assert!(running.contains("running under ") && running.contains("attempt 1: running since "), "{running}");
    let killed = moil(&sandbox, "kill store --force");
    assert_eq!(killed.code, ExitCode::SUCCESS, "{}", killed.stderr);
    assert!(
        killed.stderr.contains("sent SIGKILL") && killed.stderr.contains("has ended"),
        "{}",
        killed.stderr
    );
    assert_eq!(child.wait().expect("it ended").code(), None);
    let status = moil(&sandbox, "status store --perJob").stdout;
    assert!(status.contains("state      interrupted: ") && status.contains("lost since"), "{status}");
    let again = moil(&sandbox, "kill store");
    assert!(again.stderr.contains("no leader is at work"), "{}", again.stderr);
}

#[test]
fn kill_lets_a_run_end_in_order_and_clean_asks_it_to_end_first() {
    let sandbox = words("a, b", 30, false);
    let start = |more: &[&str]| {
        let child = sandbox.program(&args(more)).spawn().expect("it starts");
        eventually("it runs", || moil(&sandbox, "status store").stdout.contains("running under"));
        child
    };
    let child = start(&[]);
    let killed = moil(&sandbox, "kill store");
    assert!(killed.stderr.contains("sent SIGTERM"), "{}", killed.stderr);
    let output = child.wait_with_output().expect("it ended");
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json(&sandbox, "status store --json")["state"], "interrupted");
    let child = start(&["--restart"]);
    let cleaned = moil(&sandbox, "clean store");
    assert_eq!(cleaned.code, ExitCode::SUCCESS, "{}", cleaned.stderr);
    assert_eq!(child.wait_with_output().expect("it ended").status.code(), Some(143));
    assert!(!sandbox.path("store").exists());
}

#[test]
fn clean_removes_what_is_damaged_and_nothing_else() {
    let sandbox = words("a", 0, true);
    sandbox.failure(&args(&[]));
    let run = sandbox.list("store").pop().expect("a run").into_string().expect("text");
    for group in sandbox.list(&format!("store/{run}/journal")) {
        sandbox.write(&format!("store/{run}/journal/{}", group.display()), "{");
    }
    let status = moil(&sandbox, "status store");
    assert_eq!(status.code, ExitCode::FAILURE);
    assert!(status.stderr.contains("damaged"), "{}", status.stderr);
    let cleaned = moil(&sandbox, "clean store --logInfo");
    assert_eq!(cleaned.code, ExitCode::SUCCESS, "{}", cleaned.stderr);
    assert!(cleaned.stderr.contains("removed the job store file:") && !sandbox.path("store").exists());
    let again = moil(&sandbox, "clean store");
    assert_eq!(again.code, ExitCode::SUCCESS);
    assert!(again.stderr.contains("nothing to remove"), "{}", again.stderr);
    std::fs::create_dir(sandbox.path("thesis")).expect("it is made");
    sandbox.write("thesis/years.txt", "x");
    assert_eq!(moil(&sandbox, "clean thesis").code, ExitCode::FAILURE);
    assert_eq!(sandbox.read("thesis/years.txt"), "x");
    for line in ["status store", "stats store", "why store job", "debug-job store job --printJobInfo"] {
        let answer = moil(&sandbox, line);
        assert_eq!(answer.code, ExitCode::FAILURE, "{line}");
        assert!(answer.stderr.contains("does not exist"), "{line}: {}", answer.stderr);
    }
    assert_eq!(moil(&sandbox, "status").code, ExitCode::USAGE);
    assert_eq!(moil(&sandbox, "kill store").code, ExitCode::SUCCESS);
}
