//! Pods that wait for the next run when theirs is over.

use std::path::Path;
use std::process::{Child, Command};

use super::clean::clean;
use super::faults::ended;
use super::shared::{ALONE, Shared};
use super::space::{SAY, in_time};
use super::{cluster, kubectl, told};

/// One job whose pod is kept, and that tells where it ran.
fn kept(name: &str, registry: &str) -> Shared {
    let line = format!("hostname >>/marks/where; {SAY}");
    Shared::new(name, registry, 1, Some(ALONE), &line).with(&["--kubernetesPodKeep", "60"])
}

impl Shared {
    /// A run of its own: its number makes its store.
    fn run(&self, number: usize, more: &[&str]) -> Child {
        let store = format!("aws:us-east-1:{}-{number}-{}", self.space.name, std::process::id());
        let words: Vec<&str> = ["--jobStore", &store].iter().chain(more).copied().collect();
        self.command(&words).spawn().expect("it starts")
    }

    /// The pods of all runs, in their order.
    fn pods_of_runs(&self) -> Vec<String> {
        self.sandbox.read("marks/where").lines().map(str::to_owned).collect()
    }

    /// Pods that wait for a run.
    fn waiting(&self) -> Vec<String> {
        let words = ["get", "jobs", "-l", "moil/kept", "-o", "name"];
        let list = self.space.kubectl(&words, "").expect("Jobs are listed");
        list.lines().map(str::to_owned).collect()
    }
}

#[test]
fn kubernetes_kept_pods_take_the_next_run_of_their_owner_and_settings() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = kept("kept", &registry);
    ended(shared.run(1, &[]), 0);
    assert_eq!(shared.waiting().len(), 1, "when the run has ended, its pod waits");
    let maps = ["get", "configmaps", "-l", "app.kubernetes.io/managed-by=moil", "-o", "name"];
    assert_eq!(shared.space.kubectl(&maps, "").expect("listed"), "", "nothing else is left");
    ended(shared.run(2, &[]), 0);
    ended(shared.run(3, &["--kubernetesOwner", "other"]), 0);
    ended(shared.run(4, &["--kubernetesJobLabels", "a=b"]), 0);
    // It goes with this one.
    ended(shared.run(5, &["--kubernetesPodKeep", "0"]), 0);
    let pods = shared.pods_of_runs();
    assert_eq!(pods[0], pods[1], "{pods:?}");
    assert!(pods[2] != pods[0] && pods[3] != pods[0] && pods[2] != pods[3], "{pods:?}");
    assert!(!pods[..4].contains(&pods[4]), "it takes over none that it would not keep: {pods:?}");
    assert_eq!(shared.waiting().len(), 3);
    let of = |owner: &str| {
        let words = ["--kubernetes", "--owner", owner, "--kubernetesNamespace", &shared.space.name];
        told(&clean(&shared.space, &shared.sandbox, &registry, &words, &[]))
    };
    assert!(of("other").contains("removed 1 pods that waited for a run"));
    assert_eq!(shared.waiting().len(), 2);
    ended(shared.run(6, &["--kubernetesPodKeep", "1"]), 0);
    assert_eq!(shared.pods_of_runs()[5], pods[0]);
    of(&shared.space.name);
    in_time("the last one goes by itself", 60, || shared.space.is_clean());
}

#[test]
fn kubernetes_kept_pods_are_taken_over_by_one_of_two_runs() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = kept("kept-two", &registry);
    ended(shared.run(1, &[]), 0);
    let runs = [2, 3, 4].map(|number| shared.run(number, &[]));
    for run in runs {
        ended(run, 0);
    }
    let pods = shared.pods_of_runs();
    assert_eq!(pods.len(), 4, "each ran once: {pods:?}");
    assert!(pods[1..].contains(&pods[0]), "{pods:?}");
    assert_eq!(shared.waiting().len(), 3, "each had one: {pods:?}");
}

#[test]
fn kubernetes_kept_pods_that_do_not_answer_or_are_gone_cost_no_attempt() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = kept("kept-dead", &registry);
    ended(shared.run(1, &[]), 0);
    let worker = shared.worker().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &worker]).status().expect("kill is there").success());
    };
    signal("-STOP");
    ended(shared.run(2, &[]), 0);
    signal("-CONT");
    let pods = shared.pods_of_runs();
    assert_ne!(pods[0], pods[1]);
    in_time("the first one is removed", 60, || shared.waiting().len() == 1);
    kubectl(&["-n", &shared.space.name, "delete", "pod", &pods[1], "--now"], "").expect("deleted");
    let said = ended(shared.run(3, &[]), 0);
    assert!(!said.contains("attempt 2"), "{said}");
    assert_eq!(shared.pods_of_runs().len(), 3, "it ran once");
}

#[test]
fn kubernetes_kept_pods_make_room_for_others() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = kept("kept-room", &registry);
    ended(shared.run(1, &[]), 0);
    // The next pod is of another size, and there is room for one.
    shared.space.quota(&serde_json::json!({"pods": "1"}));
    shared.sandbox.write("main.cwl", shared.sandbox.read("main.cwl").replace("ramMin: 1500", "ramMin: 1400"));
    ended(shared.run(2, &[]), 0);
    let pods = shared.pods_of_runs();
    assert_ne!(pods[0], pods[1]);
    assert_eq!(shared.waiting().len(), 1, "the first one is gone");
}

#[test]
fn kubernetes_kept_pods_need_the_right_to_be_renamed() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = kept("kept-rights", &registry);
    let role = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes/leader-role.yaml");
    let role = std::fs::read_to_string(role).expect("it is there").replace("[patch]", "[get]");
    let account = shared.space.account(&role, &shared.sandbox);
    let child = shared.command(&[]).env("KUBECONFIG", account).spawn().expect("it starts");
    let said = ended(child, 0);
    assert_eq!(said.matches("cannot leave to other runs the pod").count(), 1, "{said}");
    shared.is_clean();
}
