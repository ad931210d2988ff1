//! Pods that take one job after the other.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::PoisonError;
use std::time::Duration;

use super::faults::{ended, signal};
use super::outages::component;
use super::space::{SAY, Space, in_time, scatter};
use super::{CLUSTER, cluster, end, lines, registry, told};
use crate::sandbox::Sandbox;

/// One job at a time in a pod, and room for ten such pods.
pub const ALONE: &str = "{coresMin: 0.1, ramMin: 1500, tmpdirMin: 10, outdirMin: 10}";

/// A run whose jobs share pods.
pub struct Shared {
    pub space: Space,
    pub sandbox: Sandbox,
    registry: String,
    more: Vec<String>,
}

impl Shared {
    /// Jobs that leave marks (`$0` is their number) and run a line of the shell.
    pub fn new(name: &str, registry: &str, times: usize, resources: Option<&str>, line: &str) -> Self {
        let space = Space::new(name, &[]);
        let sandbox = scatter(times, &format!("echo $0 >>/marks/begun; {line}"));
        if let Some(resources) = resources {
            let document = sandbox.read("main.cwl");
            let small = "{coresMin: 0.05, ramMin: 32, tmpdirMin: 10, outdirMin: 10}";
            assert!(document.contains(small));
            sandbox.write("main.cwl", document.replace(small, resources));
        }
        let marks = sandbox.path("marks");
        std::fs::create_dir(&marks).expect("made");
        std::fs::set_permissions(&marks, std::fs::Permissions::from_mode(0o777)).expect("opened");
        let more = vec![
            "--kubernetesPodPerJob=false".to_owned(),
            "--kubernetesVolume".to_owned(),
            format!("{}:/marks", marks.display()),
        ];
        Self { space, sandbox, registry: registry.to_owned(), more }
    }

    pub fn with(mut self, more: &[&str]) -> Self {
        self.more.extend(more.iter().map(|word| (*word).to_owned()));
        self
    }

    pub fn command(&self, more: &[&str]) -> Command {
        let words: Vec<&str> = self.more.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.space.program(&self.sandbox, &self.registry, &words)
    }

    pub fn start(&self) -> Child {
        self.command(&[]).spawn().expect("it starts")
    }

    /// The numbers of all jobs that began, in their order.
    fn begun(&self) -> Vec<usize> {
        let text = std::fs::read_to_string(self.sandbox.path("marks/begun")).unwrap_or_default();
        text.lines().map(|line| line.parse().expect("a number")).collect()
    }

    pub fn until_begun(&self, count: usize) {
        in_time(&format!("{count} have begun"), 120, || self.begun().len() >= count);
    }

    /// All jobs began once.
    #[track_caller]
    pub fn ran_once(&self, times: usize) {
        let mut begun = self.begun();
        begun.sort_unstable();
        assert_eq!(begun, (0..times).collect::<Vec<_>>());
    }

    fn store(&self) -> String {
        format!("aws:us-east-1:{}-{}", self.space.name, std::process::id())
    }

    /// What `moil status` says.
    fn status(&self) -> String {
        let mut status = Command::new(env!("CARGO_BIN_EXE_moil"));
        status.args(["status", &self.store(), "--status"]);
        let server = std::env::var("MOIL_TEST_KUBERNETES_S3").expect("it is set in the cluster's network");
        status
            .env("AWS_ENDPOINT_URL", server)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        String::from_utf8_lossy(&status.output().expect("it runs").stdout).into_owned()
    }

    /// The process of a worker in one of its pods.
    pub fn worker(&self) -> u32 {
        let mut found = None;
        in_time("there is a worker", 60, || {
            let listed = Command::new("pgrep").args(["-f", "--", "worker --serve"]).output();
            let listed = String::from_utf8_lossy(&listed.expect("pgrep is there").stdout).into_owned();
            let pods = self.space.pods("Running");
            // The spawner is a child of it.
            found = listed.lines().filter_map(|line| line.parse::<u32>().ok()).find(|process| {
                let its_root = Path::new("/proc").join(process.to_string()).join("root");
                let name = std::fs::read_to_string(its_root.join("etc/hostname"));
                name.is_ok_and(|name| pods.contains(&format!("pod/{}", name.trim())))
            });
            found.is_some()
        });
        found.expect("there is one")
    }

    pub fn is_clean(&self) {
        in_time("nothing is left", 60, || self.space.is_clean());
    }
}

fn made(said: &str) -> Vec<usize> {
    let outputs: serde_json::Value = serde_json::from_str(said).expect("an output object");
    let all = outputs["all"].as_array().expect("a list");
    all.iter().map(|word| word.as_str().and_then(|word| word.parse().ok()).expect("a number")).collect()
}

#[test]
fn kubernetes_shared_pods_take_one_job_after_the_other() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = Shared::new("shared", &registry, 60, Some(ALONE), SAY);
    let mut child = shared.start();
    let stdout = child.stdout.take().expect("it is piped");
    let outputs = std::thread::spawn(move || std::io::read_to_string(stdout).expect("it is read"));
    in_time("there are pods", 60, || !shared.space.jobs().is_empty());
    let said = ended(child, 0);
    assert_eq!(made(&outputs.join().expect("it ends")), (0..60).collect::<Vec<_>>());
    shared.ran_once(60);
    assert!(!said.contains("attempt 2"), "{said}");
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_whose_worker_is_killed_lose_one_attempt() {
    let Some((registry, _whole)) = cluster() else { return };
    let line = format!("[ -e /marks/second ] || sleep 600; {SAY}");
    let shared = Shared::new("shared-killed", &registry, 2, Some(ALONE), &line);
    let child = shared.start();
    shared.until_begun(2);
    std::fs::write(shared.sandbox.path("marks/second"), "").expect("written");
    for _ in 0..2 {
        let killed = Command::new("kill").args(["-KILL", &shared.worker().to_string()]).status();
        assert!(killed.expect("kill is there").success());
        std::thread::sleep(Duration::from_secs(2));
    }
    // A worker is no tool: this takes nothing from --retryCount, which is 0.
    let said = ended(child, 0);
    assert!(said.contains("its worker ended with code 137 and left no result"), "{said}");
    assert_eq!(shared.begun().len(), 4, "{:?}", shared.begun());
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_that_are_deleted_or_drained_are_replaced() {
    let Some((registry, _whole)) = cluster() else { return };
    let line = format!("[ -e /marks/second ] || sleep 600; {SAY}");
    let shared = Shared::new("shared-deleted", &registry, 2, Some(ALONE), &line);
    let child = shared.start();
    shared.until_begun(2);
    std::fs::write(shared.sandbox.path("marks/second"), "").expect("written");
    let pods = shared.space.pods("Running");
    assert_eq!(pods.len(), 2, "{pods:?}");
    shared.space.kubectl(&["delete", &pods[0], "--wait=false"], "").expect("deleted");
    // As `kubectl drain` does it.
    let name = pods[1].trim_start_matches("pod/");
    let eviction = serde_json::json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": shared.space.name},
    });
    let path = format!("/api/v1/namespaces/{}/pods/{name}/eviction", shared.space.name);
    shared.space.kubectl(&["create", "--raw", &path, "-f", "-"], &eviction.to_string()).expect("evicted");
    let said = ended(child, 0);
    assert!(said.contains("its pod was deleted"), "{said}");
    assert!(said.contains("its pod was evicted, as when a node is drained"), "{said}");
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_go_after_a_job_that_wanted_too_much_memory() {
    let Some((registry, _whole)) = cluster() else { return };
    // Most of a core each: one at a time in a pod.
    let resources = "{coresMin: 0.8, ramMin: 32, tmpdirMin: 10, outdirMin: 10}";
    let line = format!("[ $0 != 2 ] || a=$(head -c 80000000 /dev/zero | tr '\\0' x) && {SAY}");
    let shared = Shared::new("shared-memory", &registry, 5, Some(resources), &line).with(&[
        "--doubleMem",
        "--retryCount",
        "2",
        "--retryBackoffSeconds",
        "0",
    ]);
    let said = ended(shared.start(), 0);
    assert!(said.contains("attempt 2 of 3 with 64 MiB"), "{said}");
    // The kernel may have taken the worker first.
    let (again, mut others): (Vec<usize>, Vec<usize>) =
        shared.begun().into_iter().partition(|number| *number == 2);
    others.sort_unstable();
    assert!(others == [0, 1, 3, 4] && again.len() >= 2, "{others:?} {again:?}");
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_do_not_blame_one_job_for_the_memory_of_another() {
    let Some((registry, _whole)) = cluster() else { return };
    // All side by side in one pod, until that has no memory left.
    let hog = "sleep 2; a=$(head -c 400000000 /dev/zero | tr '\\0' x)";
    let line = format!("if [ $0 = 2 ]; then {hog}; else sleep 15; fi && {SAY}");
    let shared = Shared::new("shared-company", &registry, 4, None, &line);
    let company = "while other jobs ran in its pod: it is tried alone";
    let run = || ended(shared.command(&["--clean", "always"]).spawn().expect("it starts"), 1);
    // On a very busy machine jobs come one after the other, and the first one may have a pod of its own.
    let said = (0..3).map(|_| run()).find(|said| said.contains(company)).expect("it was in company");
    // --retryCount is 0: it is told once it was alone, and of the others nothing.
    let told: Vec<&str> = said.lines().filter(|line| line.contains("[E] job ")).collect();
    assert!(
        told.len() == 1 && told[0].contains("job say_3 failed: ") && told[0].contains("memory"),
        "{said}"
    );
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_outlive_the_api_server_and_nothing_runs_twice() {
    let Some(registry) = registry() else { return };
    let _alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    let shared = Shared::new("shared-server", &registry, 10, Some(ALONE), &format!("sleep 25; {SAY}"));
    let child = shared.start();
    shared.until_begun(10);
    component("kill", "apiserver");
    std::thread::sleep(Duration::from_secs(5));
    component("start", "apiserver");
    let said = ended(child, 0);
    assert!(!said.contains("] failed: ") && !said.contains("attempt 2"), "{said}");
    shared.ran_once(10);
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_are_taken_over_by_the_next_leader() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = Shared::new("shared-over", &registry, 12, Some(ALONE), &format!("sleep 20; {SAY}"));
    let child = shared.start();
    shared.until_begun(10);
    // People can see which pod has which job.
    in_time("the status tells of pods", 10, || shared.status().contains("pods with jobs at work: "));
    let status = shared.status();
    assert!(status.contains("-toil-pod-") && status.contains(" on node1: say"), "{status}");
    signal(&child, "-KILL");
    drop(child);
    let said = ended(shared.command(&["--restart"]).spawn().expect("it starts"), 0);
    let attached = said.matches("is still running, started by an earlier leader").count();
    assert!(attached > 0, "{said}");
    shared.ran_once(12);
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_without_a_leader_leave_what_they_had() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = Shared::new(
        "shared-left",
        &registry,
        3,
        Some(ALONE),
        &format!("sleep 5; echo $0 >>/marks/ended; {SAY}"),
    );
    let child = shared.start();
    shared.until_begun(3);
    signal(&child, "-KILL");
    drop(child);
    let ended_jobs = || std::fs::read_to_string(shared.sandbox.path("marks/ended")).unwrap_or_default();
    in_time("all have ended", 60, || ended_jobs().lines().count() == 3);
    // Their workers store what came of them.
    std::thread::sleep(Duration::from_secs(10));
    // They wait for another leader; this time somebody removes them before.
    let label = "app.kubernetes.io/managed-by=moil";
    shared.space.kubectl(&["delete", "jobs", "-l", label, "--wait"], "").expect("deleted");
    let said = ended(shared.command(&["--restart"]).spawn().expect("it starts"), 0);
    assert!(!said.contains("is still running"), "{said}");
    shared.ran_once(3);
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_do_not_listen_to_tools_that_write_into_the_workers_output() {
    let Some((registry, _whole)) = cluster() else { return };
    let line = format!(
        "for p in /proc/[0-9]*; do [ ! -p $p/fd/1 ] || (printf 'garbage\\n{{\"mark\":\"' >$p/fd/1; head -c 3000 /dev/urandom >$p/fd/1) 2>/dev/null; \
         done; {SAY}"
    );
    let shared = Shared::new("shared-garbage", &registry, 6, Some(ALONE), &line);
    let said = ended(shared.start(), 0);
    shared.ran_once(6);
    assert!(!said.contains("attempt 2"), "{said}");
}

#[test]
fn kubernetes_shared_pods_do_not_choke_on_what_tools_say() {
    let Some((registry, _whole)) = cluster() else { return };
    // 100 MB; the last line is told.
    let line = format!(
        "yes 0123456789012345678901234567890123456789012345678 | head -n 2000000 >&2; echo at last >&2; {SAY}"
    );
    let shared = Shared::new("shared-loud", &registry, 1, Some(ALONE), &line).with(&["--realTimeLogging"]);
    let said = ended(shared.start(), 0);
    assert!(said.contains("lines are left out: they came too fast"), "no line is left out");
    assert!(said.len() < 30_000_000, "{} bytes", said.len());
    shared.ran_once(1);
}

#[test]
fn kubernetes_shared_pods_are_not_made_without_the_right_to_attach() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = Shared::new("shared-rights", &registry, 3, None, SAY);
    let role = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes/leader-role.yaml");
    let role = std::fs::read_to_string(role).expect("it is there").replace("pods/attach", "pods/none");
    let account = shared.space.account(&role, &shared.sandbox);
    let child = shared.command(&[]).env("KUBECONFIG", account).spawn().expect("it starts");
    let said = ended(child, 0);
    assert_eq!(
        said.matches("each job has a pod of its own: the leader cannot attach to pods").count(),
        1,
        "{said}"
    );
    shared.ran_once(3);
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_end_with_their_leader() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = Shared::new("shared-end", &registry, 12, Some(ALONE), "sleep 600");
    let mut child = shared.start();
    let told = lines(&mut child);
    shared.until_begun(6);
    signal(&child, "-INT");
    let said: Vec<String> = told.collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{said:?}");
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_listen_to_the_last_of_two_leaders() {
    let Some((registry, _whole)) = cluster() else { return };
    let line = format!("while [ ! -e /marks/go ]; do sleep 1; done; {SAY}");
    let shared = Shared::new("shared-two", &registry, 6, Some(ALONE), &line);
    let first = shared.start();
    shared.until_begun(6);
    signal(&first, "-STOP");
    let mut second = shared.command(&["--restart"]).spawn().expect("it starts");
    let mut told = lines(&mut second);
    // It waits until the first one gives no signs of life any more.
    assert!(
        told.any(|line| line.contains("is still running, started by an earlier leader")),
        "it takes over"
    );
    signal(&first, "-CONT");
    std::thread::sleep(Duration::from_secs(5));
    std::fs::write(shared.sandbox.path("marks/go"), "").expect("written");
    let rest: Vec<String> = told.collect();
    assert!(second.wait().expect("it ends").success(), "{rest:?}");
    let said = ended(first, 1);
    assert!(said.contains("another leader"), "{said}");
    shared.ran_once(6);
    shared.is_clean();
}

#[test]
fn kubernetes_shared_pods_get_jobs_that_read_what_they_have_made() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = Shared::new("shared-near", &registry, 3, Some(ALONE), SAY);
    let together = |mark: &str| {
        format!("echo >>/marks/{mark}; until [ $(wc -l </marks/{mark}) -ge 3 ]; do sleep 0.1; done; hostname")
    };
    // Each pod has one job of each step, and those of the second one come in another order.
    let document = format!(
        r#"
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {{}}
  InlineJavascriptRequirement: {{}}
  ResourceRequirement: {ALONE}
inputs: {{numbers: "int[]"}}
outputs: {{all: {{type: "File[]", outputSource: read/pods}}}}
steps:
  make:
    scatter: number
    in: {{number: numbers}}
    out: [made]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, '{make}']
      inputs: {{number: int}}
      outputs: {{made: {{type: stdout}}}}
  turn:
    in: {{files: make/made}}
    out: [files]
    run:
      class: ExpressionTool
      inputs: {{files: "File[]"}}
      outputs: {{files: "File[]"}}
      expression: '$({{"files": [inputs.files[1], inputs.files[2], inputs.files[0]]}})'
  read:
    scatter: file
    in: {{file: turn/files}}
    out: [pods]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat $0; {read}']
      inputs: {{file: {{type: File, inputBinding: {{position: 1}}}}}}
      outputs: {{pods: {{type: stdout}}}}
"#,
        make = together("made"),
        read = together("read"),
    );
    shared.sandbox.write("main.cwl", document);
    let output = end(shared.start());
    assert!(output.status.success(), "{}", told(&output));
    let outputs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an output object");
    let mut pods = HashSet::new();
    for file in outputs["all"].as_array().expect("a list") {
        let text = std::fs::read_to_string(file["path"].as_str().expect("a path")).expect("it is there");
        let (made, read) = text.split_once('\n').expect("two lines");
        assert_eq!(made, read.trim());
        pods.insert(made.to_owned());
    }
    assert_eq!(pods.len(), 3);
}
