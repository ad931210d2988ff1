//! Parts of the cluster that go away while a run is at work. Each of these tests has the cluster for itself.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::faults::{ended, signal};
use super::space::{SAY, Space, in_time, scatter};
use super::{CLUSTER, kubectl, lines, registry};

/// Ends, starts, pauses or resumes a component.
pub fn component(what: &str, name: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/kubernetes/cluster.sh");
    let done = Command::new(script).args([what, name]).status().expect("bash is there");
    assert!(done.success(), "{what} {name}");
}

/// A component that was killed; it is started when this goes, also where the test fails.
struct Down(&'static str);

impl Down {
    fn now(name: &'static str) -> Self {
        component("kill", name);
        Self(name)
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        component("start", self.0);
    }
}

/// Runs that are at work: so many jobs of so many seconds.
fn at_work(
    space: &Space,
    registry: &str,
    times: usize,
    seconds: u32,
    more: &[&str],
) -> (Child, crate::sandbox::Sandbox) {
    let sandbox = scatter(times, &format!("sleep {seconds}; {SAY}"));
    let child = space.program(&sandbox, registry, more).spawn().expect("it starts");
    in_time("all are at work", 90, || space.pods("Running").len() == times);
    (child, sandbox)
}

fn nothing_failed(said: &str) {
    assert!(!said.contains("] failed: ") && !said.contains("attempt 2"), "{said}");
}

#[test]
fn kubernetes_runs_outlive_the_api_server() {
    let Some(registry) = registry() else { return };
    let _alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    let space = Space::new("server", &[]);
    let (child, _sandbox) = at_work(&space, &registry, 3, 12, &["--realTimeLogging"]);
    component("kill", "apiserver");
    // Pods end meanwhile.
    std::thread::sleep(Duration::from_secs(15));
    component("start", "apiserver");
    let said = ended(child, 0);
    nothing_failed(&said);
    assert!(said.contains("the API server does not answer") && said.contains("answers again"), "{said}");
    in_time("nothing is left", 60, || space.is_clean());
}

#[test]
fn kubernetes_runs_outlive_s3_for_a_minute() {
    let Some(registry) = registry() else { return };
    let _alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    let space = Space::new("s3", &[]);
    let (child, _sandbox) = at_work(&space, &registry, 3, 20, &[]);
    component("pause", "s3");
    std::thread::sleep(Duration::from_secs(60));
    component("resume", "s3");
    nothing_failed(&ended(child, 0));
}

#[test]
fn kubernetes_leaders_that_lose_their_rights_go_on_with_new_ones() {
    let Some(registry) = registry() else { return };
    let _alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    let space = Space::new("token", &[]);
    let sandbox = scatter(2, &format!("sleep 15; {SAY}"));
    let kubeconfig = |token: &str| {
        let path = std::env::var("KUBECONFIG").expect("it is set in the cluster's network");
        let text = std::fs::read_to_string(path).expect("it is there");
        let begin = text.find("token: \"").expect("it has a token") + 8;
        let end = begin + text[begin..].find('"').expect("it ends");
        sandbox.write("kubeconfig", format!("{}{token}{}", &text[..begin], &text[end..]));
    };
    let token = |name: &str| {
        let annotations = json!({"kubernetes.io/service-account.name": "moil-leader"});
        space.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": name, "annotations": annotations},
        }));
        let mut token = String::new();
        in_time("there is a token", 30, || {
            let words = ["get", "secret", name, "-o", "go-template={{.data.token | base64decode}}"];
            token = space.kubectl(&words, "").unwrap_or_default();
            token.starts_with("ey")
        });
        token
    };
    let leader = |more: &[&str]| {
        let mut program = space.program(&sandbox, &registry, more);
        program.env("KUBECONFIG", sandbox.path("kubeconfig")).spawn().expect("it starts")
    };
    let role = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes/leader-role.yaml"),
    );
    let role = role.expect("it is there");

    // An account without rights: what is missing, and what gives it.
    space.kubectl(&["create", "serviceaccount", "moil-leader"], "").expect("made");
    kubeconfig(&token("first"));
    let said = ended(leader(&[]), 1);
    assert!(said.contains("cannot create resource \"configmaps\""), "{said}");
    assert!(said.contains("leader-role.yaml"), "{said}");

    // With the Role as it is printed all works; then its token ends.
    space.kubectl(&["apply", "-f", "-"], &role).expect("applied");
    let mut child = leader(&["--restart=auto", "--realTimeLogging"]);
    let mut told = lines(&mut child);
    in_time("both are at work", 60, || space.pods("Running").len() == 2);
    space.kubectl(&["delete", "secret", "first"], "").expect("deleted");
    // Watches that were opened before go on: they are cut.
    component("kill", "apiserver");
    component("start", "apiserver");
    let asked = told.find(|line| line.contains("renew them where KUBECONFIG says"));
    assert!(asked.is_some(), "it says so");
    in_time("the server is back", 30, || kubectl(&["get", "nodes"], "").is_ok());
    kubeconfig(&token("second"));
    let rest: Vec<String> = told.collect();
    assert!(child.wait().expect("it ends").success(), "{rest:?}");
    nothing_failed(&rest.join("\n"));
    in_time("nothing is left", 60, || space.is_clean());
}

#[test]
fn kubernetes_second_leaders_take_over_and_first_ones_let_go() {
    let Some(registry) = registry() else { return };
    let _whole = CLUSTER.read().unwrap_or_else(PoisonError::into_inner);
    let space = Space::new("two", &[]);
    let (first, sandbox) = at_work(&space, &registry, 10, 75, &[]);
    let before = space.pods("Running");
    let mut second = space.program(&sandbox, &registry, &["--restart"]).spawn().expect("it starts");
    // As long as it shows signs of life, the first one is waited for.
    signal(&first, "-STOP");
    let mut told = lines(&mut second);
    let mut said = Vec::new();
    for line in &mut told {
        said.push(line);
        if said[said.len() - 1].contains("still running, started by an earlier leader") {
            break;
        }
    }
    signal(&first, "-CONT");
    let first = ended(first, 1);
    assert!(first.contains("another leader"), "{first}");
    said.extend(told);
    let said = said.join("\n");
    assert!(second.wait().expect("it ends").success(), "{said}");
    assert_eq!(
        said.matches("is still running, started by an earlier leader").count(),
        before.len(),
        "{said}"
    );
    nothing_failed(&said);
    in_time("nothing is left", 60, || space.is_clean());
}

#[test]
fn kubernetes_nodes_that_fall_silent_are_given_up() {
    let Some(registry) = registry() else { return };
    let _alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    let space = Space::new("node", &[]);
    // Its first attempt would take for ever.
    let sandbox = scatter(1, &format!("[ -e /shared/mark ] || {{ touch /shared/mark; sleep 6000; }}; {SAY}"));
    std::fs::create_dir(sandbox.path("shared")).expect("made");
    let opened = Command::new("chmod").arg("-R").arg("a+rwX").arg(sandbox.path("")).status();
    assert!(opened.expect("chmod is there").success());
    let shared = format!("{}:/shared", sandbox.path("shared").display());
    let options = ["--kubernetesVolume", &shared];
    let mut child = space.program(&sandbox, &registry, &options).spawn().expect("it starts");
    let is_at_work = || sandbox.path("shared/mark").exists() && space.pods("Running").len() == 1;
    in_time("it is at work", 60, is_at_work);
    let down = Down::now("kubelet");
    // What Kubernetes does after five minutes, where it has other nodes.
    let pod = space.pods("Running").remove(0);
    space.kubectl(&["delete", &pod, "--wait=false"], "").expect("it is asked to go");
    let mut told = lines(&mut child);
    let lost = told.find(|line| line.contains("] failed: ")).expect("it is told");
    drop(down);
    assert!(lost.contains("its pod was deleted on node1; attempt 2 of 6"), "{lost}");
    let rest: Vec<String> = told.collect();
    assert!(child.wait().expect("it ends").success(), "{rest:?}");
    in_time("nothing is left", 120, || space.is_clean());
}

/// A node that is to be left; this is taken back when this goes, also where the test fails.
struct Left(&'static [&'static str]);

impl Drop for Left {
    fn drop(&mut self) {
        let _ = kubectl(self.0, "");
    }
}

#[test]
fn kubernetes_nodes_that_are_tainted_or_drained_lose_pods_and_no_tries() {
    let Some(registry) = registry() else { return };
    let _alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    let space = Space::new("drain", &[]);
    let ours = "--pod-selector=app.kubernetes.io/managed-by=moil";
    for (words, back, cause, wait) in [
        (
            &["taint", "nodes", "node1", "moil-test=yes:NoExecute"][..],
            &["taint", "nodes", "node1", "moil-test=yes:NoExecute-"][..],
            "its node node1 was lost or is not to be used",
            "untolerated taint",
        ),
        (
            &["drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--force", ours],
            &["uncordon", "node1"],
            "its pod was evicted, as when a node is drained on node1",
            "unschedulable",
        ),
    ] {
        let (mut child, _sandbox) = at_work(&space, &registry, 3, 15, &[]);
        let left = Left(back);
        kubectl(words, "").expect("kubectl is there");
        let told = lines(&mut child);
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let hear = Arc::clone(&said);
        let reader = std::thread::spawn(move || told.for_each(|line| hear.lock().expect("whole").push(line)));
        // All are told, and what they wait for.
        let all = |said: &[String]| {
            let lost = said.iter().filter(|line| line.contains(cause) && line.contains("attempt 2 of 6"));
            lost.count() == 3 && said.iter().any(|line| line.contains(wait))
        };
        let began = Instant::now();
        while !all(&said.lock().expect("whole")) {
            assert!(began.elapsed() < Duration::from_secs(120), "{:?}", said.lock());
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(left);
        assert!(child.wait().expect("it ends").success(), "{:?}", said.lock());
        reader.join().expect("it has read all");
        in_time("nothing is left", 60, || space.is_clean());
    }

    // Pods that bear the taint stay, and others come.
    let options = ["--kubernetesTolerations", "moil-test=yes:NoExecute", "--maxJobs", "3"];
    let sandbox = scatter(5, &format!("sleep 8; {SAY}"));
    let child = space.program(&sandbox, &registry, &options).spawn().expect("it starts");
    in_time("three are at work", 90, || space.pods("Running").len() == 3);
    let _left = Left(&["taint", "nodes", "node1", "moil-test=yes:NoExecute-"]);
    kubectl(&["taint", "nodes", "node1", "moil-test=yes:NoExecute"], "").expect("it is tainted");
    nothing_failed(&ended(child, 0));
    in_time("nothing is left", 60, || space.is_clean());
}
