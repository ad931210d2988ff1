//! Runs on a real cluster, with the image and the S3 server of conformance/kubernetes.

// Whether there is one is known from the environment.
#![allow(clippy::disallowed_methods)]

mod caching;
mod clean;
mod crowds;
mod doctor;
mod faults;
mod guide;
mod identity;
mod kept;
mod leader;
mod messages;
mod nodes;
mod options;
mod outages;
mod requests;
mod rights;
mod shared;
mod space;
mod unreliable;

use std::io::BufRead as _;
use std::process::{Child, Command, Output};
use std::sync::{OnceLock, RwLock, RwLockReadGuard};

use super::appliance::{kubectl, push, registry};
use super::sandbox::{Sandbox, eventually};

/// Each word in a pod of its own, together with the text of a file and what is told of a secret; then all lines together.
const WORDS: &str = r#"
cwlVersion: v1.2
class: Workflow
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
requirements:
  ScatterFeatureRequirement: {}
  ResourceRequirement: {coresMin: 0.1, ramMin: 50, tmpdirMin: 10, outdirMin: 10}
hints: {"cwltool:Secrets": {secrets: [pw]}}
inputs: {words: "string[]", file: File, pw: string}
outputs:
  all: {type: File, outputSource: join/all}
steps:
  write:
    scatter: word
    in: {word: words, file: file, pw: pw}
    out: [one]
    run:
      class: CommandLineTool
      hints: {"cwltool:Secrets": {secrets: [pw]}}
      requirements: {EnvVarRequirement: {envDef: {PW: $(inputs.pw)}}}
      baseCommand: [sh, -c, 'sleep SECONDS; echo $0 $(cat $1) ${#PW}']
      inputs:
        word: {type: string, inputBinding: {position: 1}}
        file: {type: File, inputBinding: {position: 2}}
        pw: string
      outputs: {one: stdout}
      stdout: word.txt
  join:
    in: {ones: write/one}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {ones: {type: 'File[]', inputBinding: {position: 1}}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

/// Held by those that need the cluster whole; those that break it hold all of it.
static CLUSTER: RwLock<()> = RwLock::new(());

/// The cluster's registry, and the whole cluster for as long as this is kept.
fn cluster() -> Option<(String, RwLockReadGuard<'static, ()>)> {
    let registry = registry()?;
    Some((registry, CLUSTER.read().unwrap_or_else(std::sync::PoisonError::into_inner)))
}

/// The Secret that opens the cluster's S3.
fn secret() -> serde_json::Value {
    let credentials = "[default]\naws_access_key_id = test\naws_secret_access_key = test\n";
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "aws-credentials"},
        "stringData": {"credentials": credentials},
    })
}

/// The image of this moil in the cluster's registry, and the Secret.
fn image(registry: &str) -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        kubectl(&["apply", "-f", "-"], &secret().to_string()).expect("the Secret is made");
        push(&format!("{registry}/test/runs:{}", std::process::id()))
    })
}

/// What a program says, line by line.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let stderr = child.stderr.take().expect("it is piped");
    std::io::BufReader::new(stderr).lines().map_while(Result::ok)
}

/// A sandbox whose jobs take that many seconds.
fn words(seconds: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("main.cwl", WORDS.replace("SECONDS", &seconds.to_string()));
    sandbox.write("file.txt", "text");
    sandbox.write("job.yml", "words: [a, b, c]\nfile: {class: File, path: file.txt}\npw: hunter2\n");
    sandbox
}

const ALL: &str = "a text 7\nb text 7\nc text 7\n";

/// The program with all that it needs to find the cluster; `name` is that of the job store and of the owner.
fn program(sandbox: &Sandbox, registry: &str, name: &str, more: &[&str]) -> Command {
    let store = format!("aws:us-east-1:{name}-{}", std::process::id());
    let common =
        ["--batchSystem", "kubernetes", "--jobStore", &store, "--outdir", "out", "--retryCount", "0"];
    let words: Vec<&str> =
        common.into_iter().chain(more.iter().copied()).chain(["main.cwl", "job.yml"]).collect();
    let mut command = sandbox.program(&words);
    let variable = |name: &str| std::env::var(name).expect("it is set in the cluster's network");
    command
        .env("KUBECONFIG", variable("KUBECONFIG"))
        .env("AWS_ENDPOINT_URL", variable("MOIL_TEST_KUBERNETES_S3"))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("TOIL_AWS_SECRET_NAME", "aws-credentials")
        .env("TOIL_APPLIANCE_SELF", image(registry))
        // Those that are about shared pods ask for these.
        .env("TOIL_KUBERNETES_POD_PER_JOB", "true")
        .env("TOIL_KUBERNETES_OWNER", name);
    command
}

fn end(child: Child) -> Output {
    child.wait_with_output().expect("it ends")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Pods of an owner: their names and phases.
fn pods(owner: &str) -> Vec<String> {
    let columns = "custom-columns=NAME:.metadata.name,PHASE:.status.phase";
    let words = ["get", "pods", "-l", &format!("moil/owner={owner}"), "--no-headers", "-o", columns];
    let list = kubectl(&words, "").expect("pods are listed");
    let mut pods: Vec<String> = list.lines().map(str::to_owned).collect();
    pods.sort();
    pods
}

fn running(owner: &str) -> usize {
    pods(owner).iter().filter(|pod| pod.ends_with("Running")).count()
}

/// Whether anything of an owner is left.
fn left(owner: &str) -> String {
    let label = format!("moil/owner={owner}");
    let words = ["get", "jobs,pods,secrets,configmaps", "-l", &label, "-o", "name"];
    kubectl(&words, "").expect("they are listed")
}

#[test]
fn kubernetes_runs_a_workflow_with_inputs_and_secrets() {
    let Some((registry, _whole)) = cluster() else { return };
    let (sandbox, owner) = (words(2), "moil-plain");
    let child = program(&sandbox, &registry, owner, &[]).spawn().expect("it starts");
    eventually("pods are at work", || running(owner) > 0);
    let label = format!("moil/owner={owner}");
    let specs = kubectl(&["get", "jobs,pods,configmaps", "-l", &label, "-o", "yaml"], "").expect("listed");
    assert!(specs.contains("moil/attempt") && !specs.contains("hunter2"));
    let output = end(child);
    assert!(output.status.success(), "{}", told(&output));
    assert!(!told(&output).contains("hunter2"));
    assert_eq!(sandbox.read("out/all.txt"), ALL);
    eventually("nothing is left", || left(owner).is_empty());
}

#[test]
fn kubernetes_leaders_follow_one_another_and_nothing_runs_twice() {
    let Some((registry, _whole)) = cluster() else { return };
    for (owner, signal) in [("moil-killed", "-KILL"), ("moil-drained", "-TERM")] {
        let sandbox = words(20);
        let child = program(&sandbox, &registry, owner, &[]).spawn().expect("it starts");
        eventually("all pods are at work", || running(owner) == 3);
        let before = pods(owner);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
        let first = end(child);
        assert_eq!(pods(owner), before, "{}", told(&first));
        let output = end(program(&sandbox, &registry, owner, &["--restart"]).spawn().expect("it starts"));
        assert!(output.status.success(), "{}", told(&output));
        let attached = told(&output).matches("is still running, started by an earlier leader").count();
        assert_eq!(attached, 3, "{}", told(&output));
        assert_eq!(sandbox.read("out/all.txt"), ALL);
        eventually("nothing is left", || left(owner).is_empty());
    }
}

#[test]
fn kubernetes_pods_that_ended_without_a_leader_count() {
    let Some((registry, _whole)) = cluster() else { return };
    let (sandbox, owner) = (words(15), "moil-alone");
    let child = program(&sandbox, &registry, owner, &[]).spawn().expect("it starts");
    eventually("all pods are at work", || running(owner) == 3);
    let killed = Command::new("kill").args(["-KILL", &child.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    end(child);
    eventually("all have ended", || running(owner) == 0);
    // Even their Jobs are gone: the results are in the store.
    kubectl(&["delete", "jobs", "-l", &format!("moil/owner={owner}"), "--wait"], "")
        .expect("they are deleted");
    let output = end(program(&sandbox, &registry, owner, &["--restart"]).spawn().expect("it starts"));
    assert!(output.status.success(), "{}", told(&output));
    let started = told(&output).matches("still running").count();
    assert_eq!(started, 0, "{}", told(&output));
    assert_eq!(sandbox.read("out/all.txt"), ALL);
    eventually("nothing is left", || left(owner).is_empty());
}

#[test]
fn kubernetes_says_why_a_job_failed() {
    let Some((registry, _whole)) = cluster() else { return };
    let sandbox = Sandbox::with(
        "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: [sh, -c, 'echo trouble >&2; exit 7']\ninputs: []\n\
         outputs: []\n\
         requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 50, tmpdirMin: 10, outdirMin: 10}}\n",
    );
    sandbox.write("job.yml", "{}\n");
    let owner = "moil-code";
    let options = ["--clean", "always", "--writeLogs", "logs"];
    let output = end(program(&sandbox, &registry, owner, &options).spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    for expected in ["exited with code 7", "| trouble"] {
        assert!(told(&output).contains(expected), "{expected}: {}", told(&output));
    }
    assert_eq!(sandbox.read("logs/main.cwl.stderr_000.log"), "trouble\n");
    eventually("nothing is left", || left(owner).is_empty());
    // Whoever deletes a pod is not taken for the tool.
    let (sandbox, owner) = (words(60), "moil-deleted");
    let child = program(&sandbox, &registry, owner, &["--stopOnFirstFailure"]).spawn().expect("it starts");
    eventually("all pods are at work", || running(owner) == 3);
    kubectl(&["delete", "pods", "-l", &format!("moil/owner={owner}"), "--now", "--wait=false"], "")
        .expect("deleted");
    eventually("they are replaced", || running(owner) == 3);
    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(asked.expect("kill is there").success());
    let output = end(child);
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    eventually("nothing is left", || left(owner).is_empty());
}

/// One request to the cluster's S3, which checks no signatures: the body of the answer.
fn request(address: &str, method: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};

    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.contains(" 200 "), "{method} {path}: {answer}");
    body.to_owned()
}
