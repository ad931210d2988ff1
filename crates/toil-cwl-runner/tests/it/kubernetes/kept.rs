//! Pods that wait for the next run when theirs is over.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::clean::clean;
use super::faults::ended;
use super::shared::{ALONE, Shared};
use super::space::{SAY, in_time};
use super::unreliable::{Fault, Proxy, Rule};
use super::{cluster, kubectl, told};

/// One job whose pod is kept, and that tells where it ran.
fn kept(name: &str, registry: &str) -> Shared {
    let line = format!("hostname >>/marks/where; {SAY}");
    Shared::new(name, registry, 1, Some(ALONE), &line).with(&["--kubernetesPodKeep", "600"])
}

impl Shared {
    /// A run of its own: its number makes its store.
    fn run(&self, number: usize, more: &[&str]) -> Child {
        self.command_of(number, more).spawn().expect("it starts")
    }

    fn command_of(&self, number: usize, more: &[&str]) -> Command {
        let store = format!("aws:us-east-1:{}-{number}-{}", self.space.name, std::process::id());
        let words: Vec<&str> = ["--jobStore", &store].iter().chain(more).copied().collect();
        self.command(&words)
    }

    /// What jobs of later runs ask for.
    fn wants(&self, before: &str, after: &str) {
        let document = self.sandbox.read("main.cwl");
        assert!(document.contains(before), "{document}");
        self.sandbox.write("main.cwl", document.replace(before, after));
    }

    /// The pods of all runs, in their order.
    fn pods_of_runs(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.sandbox.path("marks/where")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
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

/// A pod goes between the two changes that take it over, and after the second one, before that is answered: what the watch
/// tells comes first.
#[test]
fn kubernetes_kept_pods_that_go_while_they_are_taken_over_cost_no_attempt() {
    let Some((registry, _whole)) = cluster() else { return };
    for (name, has) in [("kept-gone", "/jobs"), ("kept-going", "/pods")] {
        let shared = kept(name, &registry);
        ended(shared.run(1, &[]), 0);
        let late = Fault::LateAnswer(Duration::from_secs(20));
        let proxy =
            Proxy::start(&shared.space.name, vec![Rule { begins: "PATCH", has, times: 1, fault: late }]);
        shared.sandbox.write("proxy", proxy.kubeconfig());
        let proxied = shared.sandbox.path("proxy");
        let other = shared.command_of(2, &[]).env("KUBECONFIG", proxied).spawn().expect("it starts");
        in_time("it is taken over", 60, || proxy.left() == 0 && shared.waiting().is_empty());
        let pods = shared.pods_of_runs();
        kubectl(&["-n", &shared.space.name, "delete", "pod", &pods[0], "--now"], "").expect("deleted");
        let said = ended(other, 0);
        assert!(!said.contains("attempt 2"), "{name}: {said}");
        assert_eq!(shared.pods_of_runs().len(), 2, "{name}: it ran once");
    }
}

#[test]
fn kubernetes_kept_pods_are_taken_over_where_the_answer_to_that_is_lost() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = kept("kept-lost", &registry);
    ended(shared.run(1, &[]), 0);
    let rule = Rule { begins: "PATCH", has: "/jobs", times: 1, fault: Fault::LoseAnswer };
    let proxy = Proxy::start(&shared.space.name, vec![rule]);
    shared.sandbox.write("proxy", proxy.kubeconfig());
    let proxied = shared.sandbox.path("proxy");
    ended(shared.command_of(2, &[]).env("KUBECONFIG", proxied).spawn().expect("it starts"), 0);
    assert_eq!(proxy.left(), 0, "an answer was lost");
    let pods = shared.pods_of_runs();
    assert_eq!(pods[0], pods[1]);
    assert_eq!(shared.waiting().len(), 1, "it waits for the next run");
}

#[test]
fn kubernetes_kept_pods_make_room_for_others() {
    let Some((registry, _whole)) = cluster() else { return };
    let shared = kept("kept-room", &registry);
    ended(shared.run(1, &[]), 0);
    let first = shared.waiting();
    // Less than half of that pod is wanted now, so that there is another one.
    shared.wants("ramMin: 1500", "ramMin: 600");
    ended(shared.run(2, &[]), 0);
    assert_eq!(shared.waiting().len(), 2);
    // Neither is like the next one. There is room for two pods, and one of the two is enough.
    shared.wants("ramMin: 600", "ramMin: 1500");
    shared.space.quota(&serde_json::json!({"pods": "2"}));
    ended(shared.run(3, &["--kubernetesJobLabels", "a=b"]), 0);
    let pods = shared.pods_of_runs();
    assert!(pods[0] != pods[1] && pods[1] != pods[2] && pods[0] != pods[2], "{pods:?}");
    let waiting = shared.waiting();
    assert!(waiting.len() == 2 && !waiting.contains(&first[0]), "the first one is gone: {waiting:?}");
}

#[test]
fn kubernetes_kept_pods_that_were_taken_over_make_no_room() {
    let Some((registry, _whole)) = cluster() else { return };
    let line = format!("hostname >>/marks/where; until [ -e /marks/go ]; do sleep 0.1; done; {SAY}");
    let shared =
        Shared::new("kept-late", &registry, 1, Some(ALONE), &line).with(&["--kubernetesPodKeep", "600"]);
    shared.sandbox.write("marks/go", "");
    ended(shared.run(1, &[]), 0);
    // A larger pod finds no room, and its leader is about to remove the one that waits.
    shared.space.quota(&serde_json::json!({"pods": "1"}));
    let document = shared.sandbox.read("main.cwl");
    shared.wants("ramMin: 1500", "ramMin: 1600");
    let delay = Duration::from_secs(20);
    let slow = Rule { begins: "DELETE", has: "/jobs", times: 99, fault: Fault::Delay(delay) };
    let proxy = Proxy::start(&shared.space.name, vec![slow]);
    shared.sandbox.write("proxy", proxy.kubeconfig());
    let proxied = shared.sandbox.path("proxy");
    let larger = shared.command_of(2, &[]).env("KUBECONFIG", proxied).spawn().expect("it starts");
    in_time("it is about to", 60, || proxy.left() < 99);
    // Then another run takes over that pod.
    std::fs::remove_file(shared.sandbox.path("marks/go")).expect("it is there");
    shared.sandbox.write("main.cwl", document);
    let other = shared.run(3, &[]);
    in_time("its job is at work", 60, || shared.pods_of_runs().len() == 2);
    std::thread::sleep(delay + Duration::from_secs(1));
    shared.sandbox.write("marks/go", "");
    ended(other, 0);
    ended(larger, 0);
    let pods = shared.pods_of_runs();
    assert!(pods.len() == 3 && pods[0] == pods[1], "each job ran once: {pods:?}");
}

#[test]
fn kubernetes_kept_pods_and_small_ones_stand_back_where_others_find_no_room() {
    let Some((registry, _whole)) = cluster() else { return };
    let line = format!("hostname >>/marks/where; until [ -e /marks/go ]; do sleep 0.1; done; {SAY}");
    let shared =
        Shared::new("kept-crowd", &registry, 1, Some(ALONE), &line).with(&["--kubernetesPodKeep", "600"]);
    // Two have no room on the node.
    let machine = std::fs::read_to_string("/proc/meminfo").expect("it is there");
    let total = machine.split_whitespace().nth(1).and_then(|total| total.parse::<u64>().ok()).expect("KiB");
    let large = format!("ramMin: {}", total / 1024 * 6 / 10);
    shared.wants("ramMin: 1500", &large);
    let first = shared.run(1, &[]);
    in_time("its job is at work", 60, || shared.pods_of_runs().len() == 1);
    let second = shared.run(2, &["--kubernetesJobLabels", "a=b"]);
    let reasons = r#"jsonpath={.items[*].status.conditions[?(@.type=="PodScheduled")].reason}"#;
    let words = ["get", "pods", "-o", reasons];
    in_time("it finds no room", 60, || {
        shared.space.kubectl(&words, "").is_ok_and(|reasons| reasons.contains("Unschedulable"))
    });
    // Small ones, of which there may always be one, stand back.
    shared.wants(&large, "ramMin: 100");
    let third = shared.run(3, &["--kubernetesJobLabels", "a=b"]);
    std::thread::sleep(Duration::from_secs(3));
    let pods = shared.space.kubectl(&["get", "pods", "-o", "name"], "").expect("they are listed");
    assert_eq!(pods.lines().count(), 2, "{pods}");
    shared.sandbox.write("marks/go", "");
    ended(first, 0);
    assert_eq!(shared.waiting(), Vec::<String>::new());
    ended(second, 0);
    ended(third, 0);
    assert_eq!(shared.waiting().len(), 2, "nobody waits for room any more");
}

#[test]
fn kubernetes_kept_pods_take_jobs_of_another_size() {
    let Some((registry, _whole)) = cluster() else { return };
    let small = "{coresMin: 0.1, ramMin: 200, tmpdirMin: 10, outdirMin: 10}";
    let line = format!("hostname >>/marks/where; until [ -e /marks/go ]; do sleep 0.1; done; {SAY}");
    let shared =
        Shared::new("kept-size", &registry, 1, Some(small), &line).with(&["--kubernetesPodKeep", "600"]);
    // Jobs of runs at the same time, which end when all have begun.
    let mut number = 0;
    let mut run = |runs: usize, jobs: &str| {
        _ = std::fs::remove_file(shared.sandbox.path("marks/go"));
        shared.sandbox.write("job.yml", format!("numbers: [{jobs}]"));
        let before = shared.pods_of_runs().len();
        let children: Vec<Child> = (0..runs)
            .map(|_| {
                number += 1;
                shared.run(number, &[])
            })
            .collect();
        let count = runs * jobs.split(',').count();
        in_time("all have begun", 60, || shared.pods_of_runs().len() == before + count);
        shared.sandbox.write("marks/go", "");
        children.into_iter().for_each(|child| drop(ended(child, 0)));
        shared.pods_of_runs().split_off(before)
    };
    let two = run(2, "0");
    assert_ne!(two[0], two[1]);
    let three = run(1, "0, 1, 2");
    let all: HashSet<&String> = two.iter().chain(&three).collect();
    assert_eq!(all.len(), 3, "two pods of one job each, and one more: {two:?} {three:?}");
    shared.wants("ramMin: 200", "ramMin: 120");
    let smaller = run(1, "0");
    assert!(all.contains(&smaller[0]), "{smaller:?} {all:?}");
    shared.wants("ramMin: 120", "ramMin: 90");
    let much_smaller = run(1, "0");
    assert!(!all.contains(&much_smaller[0]), "{much_smaller:?} {all:?}");
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
