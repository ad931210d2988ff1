//! What goes wrong on a cluster, and what is said of it. Each test has a namespace of its own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

use serde_json::json;

use super::messages::assert_told;
use super::space::{SAY, Space, in_time, scatter};
use super::{Sandbox, cluster, end, kubectl, told};

/// What the program said, after it ended with this code.
#[track_caller]
pub fn ended(child: Child, code: i32) -> String {
    let output = end(child);
    assert_eq!(output.status.code(), Some(code), "{}", told(&output));
    told(&output)
}

pub fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

#[test]
fn kubernetes_quotas_are_waited_for() {
    let Some((registry, _whole)) = cluster() else { return };
    for (name, limits) in [("pods", json!({"pods": "2"})), ("jobs", json!({"count/jobs.batch": "2"}))] {
        let space = Space::new(&format!("quota-{name}"), &[]);
        space.quota(&limits);
        let sandbox = scatter(8, &format!("sleep 1; {SAY}"));
        let said = ended(space.program(&sandbox, &registry, &[]).spawn().expect("it starts"), 0);
        assert_told(&format!("quota_of_{name}"), "exceeded quota", &said);
        in_time("nothing is left", 30, || space.is_clean());
    }
}

#[test]
fn kubernetes_security_levels_work_or_say_what_is_to_be_done() {
    let Some((registry, _whole)) = cluster() else { return };
    for level in ["baseline", "restricted"] {
        let space = Space::new(level, &[("pod-security.kubernetes.io/enforce", level)]);
        let sandbox = scatter(1, SAY);
        let refused = space.program(&sandbox, &registry, &["--clean", "always"]).spawn().expect("it starts");
        let said = ended(refused, 1);
        assert_told(&format!("security_level_{level}"), "violates", &said);
        let context =
            r#"{"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}"#;
        sandbox.write("pod.json", context);
        let words = ["--kubernetesPodSecurityContext", "pod.json"];
        ended(space.program(&sandbox, &registry, &words).spawn().expect("it starts"), 0);
    }
}

#[test]
fn kubernetes_memory_that_is_not_enough_is_told_and_doubled() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("memory", &[]);
    // With 64 MiB for the worker. The kernel takes the tool, or what is easier to spare: the worker, where the tool keeps
    // little in its own memory.
    let tool = "a=$(head -c 80000000 /dev/zero | tr '\\0' x) && echo -n $0";
    let shared =
        "echo 1000 >/proc/1/oom_score_adj; dd if=/dev/zero of=/dev/shm/x bs=1M count=62 && echo -n $0";
    for (whose, line, ram) in [("tool", tool, 32), ("worker", shared, 2)] {
        let sandbox = scatter(1, line);
        let document = sandbox.read("main.cwl").replace("ramMin: 32", &format!("ramMin: {ram}"));
        sandbox.write("main.cwl", document);
        let words_of_retries = ["--retryCount", "3", "--doubleMem", "--retryBackoffSeconds", "0"];
        let child = space.program(&sandbox, &registry, &words_of_retries).spawn().expect("it starts");
        let said = ended(child, 0);
        assert_told(&format!("out_of_memory_{whose}"), "attempt 2", &said);
        in_time("nothing is left", 30, || space.is_clean());
    }
}

/// An image of busybox with another entry point, in the registry.
fn with_entry_point(registry: &str, name: &str, entry: &str) -> String {
    let sandbox = Sandbox::new();
    let (layout, image) =
        (format!("oci:{}:1", sandbox.path("oci").display()), format!("{registry}/{name}:1"));
    let run = |program: &str, words: &[&str]| {
        let done = Command::new(program).args(words).status().expect("it is there");
        assert!(done.success(), "{program} {words:?}");
    };
    let source = format!("docker://{registry}/library/busybox:latest");
    run("skopeo", &["copy", "--quiet", "--src-tls-verify=false", &source, &layout]);
    let local = layout.trim_start_matches("oci:");
    run("umoci", &["config", "--image", local, "--config.entrypoint", entry]);
    run("skopeo", &["copy", "--quiet", "--dest-tls-verify=false", &layout, &format!("docker://{image}")]);
    image
}

#[test]
fn kubernetes_images_whose_entry_point_does_not_run_its_words_are_told_and_not_tried_again() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("entry", &[]);
    for (entry, code) in [("busybox", 127), ("true", 0), ("sh", 2)] {
        let image = with_entry_point(&registry, &format!("test/entry-{entry}"), entry);
        let sandbox = scatter(1, SAY);
        let mut program = space.program(&sandbox, &registry, &["--clean", "always", "--retryCount", "3"]);
        let said = ended(program.env("TOIL_APPLIANCE_SELF", image).spawn().expect("it starts"), 1);
        let told = format!("the worker's image did not run moil: its container ended with code {code}");
        for words in [&told, "TOIL_APPLIANCE_SELF", "moil appliance push", "run the words that it is given"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!said.contains("attempt 2"), "{said}");
        in_time("nothing is left", 30, || space.is_clean());
    }
}

#[test]
fn kubernetes_images_that_cannot_be_had_or_have_no_moil_are_told() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("images", &[]);
    let (missing, empty) = (format!("{registry}/test/none:1"), format!("{registry}/library/busybox:latest"));
    for (what, image) in [("missing_image", missing), ("image_without_moil", empty)] {
        let sandbox = scatter(1, SAY);
        let options = ["--clean", "always", "--kubernetesPodTimeout", "8"];
        let mut program = space.program(&sandbox, &registry, &options);
        let said = ended(program.env("TOIL_APPLIANCE_SELF", image).spawn().expect("it starts"), 1);
        assert_told(what, "waits for the image", &said);
        in_time("nothing is left", 30, || space.is_clean());
    }
}

/// Leads to the cluster's S3, and is seen by the leader alone: an address of this host.
fn only_here() -> String {
    let server = std::env::var("MOIL_TEST_KUBERNETES_S3").expect("it is set in the cluster's network");
    let server = server.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let hand_on = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            // Whoever is cut off notices.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&server).expect("it listens");
            let [back, answers] = [&client, &server].map(|stream| stream.try_clone().expect("a handle"));
            hand_on(client, server);
            hand_on(answers, back);
        }
    });
    address
}

#[test]
fn kubernetes_job_stores_that_pods_do_not_reach_are_told() {
    let Some((registry, _whole)) = cluster() else { return };
    let address = only_here();
    let runs = ["true", "false"].map(|pod_per_job| {
        let space = Space::new(&format!("unreached-{pod_per_job}"), &[]);
        let sandbox = scatter(1, SAY);
        let mode = format!("--kubernetesPodPerJob={pod_per_job}");
        let mut program = space.program(&sandbox, &registry, &["--clean", "always", &mode]);
        let child = program.env("AWS_ENDPOINT_URL", &address).spawn().expect("it starts");
        (space, sandbox, child)
    });
    for (space, _sandbox, child) in runs {
        let said = ended(child, 1).replace(&address, "http://127.0.0.1:PORT");
        // What is said of a pod that is slow to come is not the matter here.
        let slow = |line: &&str| !line.contains("] waits: ") && !line.contains("the API server");
        let said: Vec<&str> = said.lines().filter(slow).collect();
        assert_told("unreached_job_store", "", &said.join("\n"));
        in_time("nothing is left", 30, || space.is_clean());
    }
}

/// The scheduler's words.
const FITS_NOWHERE: &str = "nodes are available";

#[test]
fn kubernetes_what_fits_nowhere_is_told_at_once() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("large", &[]);
    let sandbox = scatter(1, SAY);
    let large = sandbox.read("main.cwl").replace("ramMin: 32", "ramMin: 900000");
    sandbox.write("main.cwl", large);
    let mut child = space.program(&sandbox, &registry, &["--clean", "always"]).spawn().expect("it starts");
    let mut told = super::lines(&mut child);
    let mut said: Vec<String> = Vec::new();
    let is_told =
        told.by_ref().inspect(|line| said.push(line.clone())).any(|line| line.contains(FITS_NOWHERE));
    assert!(is_told, "{said:?}");
    signal(&child, "-INT");
    said.extend(told);
    assert_eq!(end(child).status.code(), Some(130), "{said:?}");
    assert_told("too_large", FITS_NOWHERE, &said.join("\n"));
    in_time("nothing is left", 30, || space.is_clean());
}

#[test]
fn kubernetes_jobs_that_are_deleted_are_made_again_once() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("deleted", &[]);
    let sandbox = scatter(1, &format!("sleep 600; {SAY}"));
    let child = space.program(&sandbox, &registry, &["--clean", "always"]).spawn().expect("it starts");
    let mut before = Vec::new();
    for _ in 0..2 {
        in_time("another Job is at work", 60, || space.jobs() != before && !space.pods("Running").is_empty());
        before = space.jobs();
        space.kubectl(&["delete", "--wait=false", &before.concat()], "").expect("it is deleted");
        in_time("it is gone", 60, || space.pods("Running").is_empty());
    }
    let said = ended(child, 1);
    assert_told("deleted_by_hand", "was deleted", &said);
    in_time("nothing is left", 60, || space.is_clean());
}

#[test]
fn kubernetes_evicted_pods_are_replaced() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("evicted", &[]);
    let sandbox = scatter(2, &format!("sleep 20; {SAY}"));
    let child = space.program(&sandbox, &registry, &[]).spawn().expect("it starts");
    in_time("both are at work", 60, || space.pods("Running").len() == 2);
    let pod = space.pods("Running").remove(0).replace("pod/", "");
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", space.name);
    kubectl(&["create", "--raw", &path, "-f", "-"], &eviction.to_string()).expect("it is evicted");
    let said = ended(child, 0);
    assert_told("evicted", "was evicted", &said);
    in_time("nothing is left", 30, || space.is_clean());
}

#[test]
fn kubernetes_tools_can_be_heard_while_they_work() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("heard", &[]);
    let sandbox = scatter(2, "echo begun $0 >&2; sleep 8; echo ended $0 >&2; echo -n $0");
    let mut child = space.program(&sandbox, &registry, &["--realTimeLogging"]).spawn().expect("it starts");
    let mut lines = super::lines(&mut child);
    let heard = lines.find(|line| line.contains("begun 1")).expect("it is heard");
    assert!(heard.contains("[say_2] begun 1"), "{heard}");
    assert!(!space.pods("Running").is_empty(), "before its end");
    let rest: Vec<String> = lines.collect();
    assert!(end(child).status.success());
    for number in ["0", "1"] {
        let line = format!("ended {number}");
        assert_eq!(rest.iter().filter(|told| told.contains(&line)).count(), 1, "{rest:?}");
    }
}

#[test]
fn kubernetes_owners_do_not_see_one_another() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("owners", &[]);
    let run = |owner: &str, seconds: u32| {
        let sandbox = scatter(1, &format!("sleep {seconds}; {SAY}"));
        let store = format!("aws:us-east-1:{}-{owner}", space.name);
        let mut program = space.program(&sandbox, &registry, &["--jobStore", &store]);
        (program.env("TOIL_KUBERNETES_OWNER", owner).spawn().expect("it starts"), sandbox)
    };
    let (first, _ada) = run("ada", 600);
    in_time("it is at work", 60, || space.pods("Running").len() == 1);
    let (second, _bob) = run("bob", 1);
    ended(second, 0);
    in_time("the other's pod goes on, and is the only one", 30, || space.pods("Running").len() == 1);
    assert!(space.pods("Running")[0].starts_with("pod/ada-toil-say-"));
    signal(&first, "-INT");
    ended(first, 130);
    in_time("nothing is left", 60, || space.is_clean());
}
