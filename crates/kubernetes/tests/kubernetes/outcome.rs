//! What pods say, as a real cluster says it, and what is made of it.

use k8s_openapi::api::core::v1::Pod;
use moil_kubernetes::outcome::{Standing, standing};
use serde_json::{Value, json};

use crate::told;

fn pod(status: Value) -> Pod {
    let limits = json!({"memory": "4160Mi"});
    let spec =
        json!({"nodeName": "node-7", "containers": [{"name": "worker", "resources": {"limits": limits}}]});
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec, "status": status})).expect("a pod")
}

fn with_state(phase: &str, state: Value) -> Pod {
    pod(json!({"phase": phase, "containerStatuses": [{
        "name": "worker", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    }]}))
}

fn without_node(mut pod: Pod) -> Pod {
    pod.spec.as_mut().expect("there is one").node_name = None;
    pod
}

/// A pod that another container prepares.
fn preparing(phase: &str, state: Value) -> Pod {
    let status = |name: &str, state: Value| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    pod(json!({
        "phase": phase,
        "containerStatuses": [status("worker", json!({"waiting": {"reason": "PodInitializing"}}))],
        "initContainerStatuses": [status("share", state)],
    }))
}

#[test]
fn what_prepares_a_pod_counts_for_it() {
    let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
    assert_eq!(standing(&preparing("Pending", waiting)), Standing::NoImage("not found".into()));
    assert_eq!(standing(&preparing("Pending", json!({"running": {}}))), Standing::Starting(None));
}

#[test]
fn what_has_not_begun_says_why() {
    let unschedulable = "0/1 nodes are available: 1 Insufficient memory.";
    let condition = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unschedulable}]);
    let cases = [
        (
            without_node(pod(json!({"phase": "Pending", "conditions": condition}))),
            Standing::Waiting(Some(unschedulable.into())),
        ),
        (pod(json!({"phase": "Pending"})), Standing::Starting(None)),
        (without_node(pod(json!({}))), Standing::Waiting(None)),
        (
            with_state("Pending", json!({"waiting": {"reason": "ContainerCreating"}})),
            Standing::Starting(None),
        ),
        (
            with_state(
                "Pending",
                json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"s\" not found"}}),
            ),
            Standing::Starting(Some("secret \"s\" not found".into())),
        ),
        (
            with_state(
                "Pending",
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}),
            ),
            Standing::NoImage("Back-off pulling image".into()),
        ),
        (
            with_state("Pending", json!({"waiting": {"reason": "ErrImagePull"}})),
            Standing::NoImage("ErrImagePull".into()),
        ),
        (with_state("Running", json!({"running": {}})), Standing::Running),
    ];
    for (pod, expected) in cases {
        assert_eq!(standing(&pod), expected, "{:?}", pod.status);
    }
}

#[test]
fn what_has_ended_says_how() {
    let terminated = |reason: &str, code: i32, message: &str| {
        with_state("Failed", json!({"terminated": {"reason": reason, "exitCode": code, "message": message}}))
    };
    let disruption = |reason: &str| {
        let condition = json!([{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "words of Kubernetes"}]);
        let state = json!({"terminated": {"reason": "Error", "exitCode": 137}});
        pod(json!({"phase": "Failed", "conditions": condition, "containerStatuses": [{
            "name": "worker", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        }]}))
    };
    let evicted = |words: &str| pod(json!({"phase": "Failed", "reason": "Evicted", "message": words}));
    let no_program = "exec: \"moil\": executable file not found in $PATH";
    let cases = [
        terminated("OOMKilled", 137, ""),
        terminated("Error", 1, "worker failed: cannot start threads"),
        terminated(
            "Error",
            69,
            "[now] [E] worker failed: it cannot be had\n[now] [E]   because  no answer\n[now] [E]   try      x\n",
        ),
        terminated("Error", 69, "worker failed: there is no job store"),
        terminated("Completed", 0, ""),
        terminated("Error", 127, "sh: moil: not found"),
        terminated("Error", 2, "sh: 0: cannot open moil"),
        terminated("Error", 2, "moil worker: error: unrecognized arguments: --late"),
        terminated("StartError", 128, no_program),
        evicted("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "),
        evicted("The node was low on resource: memory."),
        disruption("PreemptionByScheduler"),
        disruption("EvictionByEvictionAPI"),
        disruption("DeletionByTaintManager"),
        disruption("DeletionByPodGC"),
        disruption("TerminationByKubelet"),
        disruption("SomethingNew"),
        pod(json!({"phase": "Failed"})),
        pod(
            json!({"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}),
        ),
        preparing("Failed", json!({"terminated": {"exitCode": 2, "message": "no such directory"}})),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|pod| match standing(pod) {
            Standing::Ended(failure) | Standing::EndedItself(failure) => told(&failure),
            other => panic!("{other:?}: {:?}", pod.status),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn what_is_removed_has_its_time_to_end_and_says_why() {
    let mut leaving = with_state("Running", json!({"running": {}}));
    leaving.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time"));
    leaving.metadata.deletion_grace_period_seconds = Some(7);
    let Standing::Leaving(grace, failure) = standing(&leaving) else { panic!("{:?}", standing(&leaving)) };
    assert_eq!((grace.as_secs(), failure.message.as_str()), (7, "its pod was deleted on node-7"));
    let condition =
        json!([{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]);
    leaving.status.as_mut().expect("there is one").conditions =
        serde_json::from_value(condition).expect("conditions");
    let Standing::Leaving(_, failure) = standing(&leaving) else { panic!("{:?}", standing(&leaving)) };
    assert_eq!(failure.message, "its node node-7 was lost or is not to be used");

    // The worker says only that it was asked to end.
    let mut ended = with_state("Failed", json!({"terminated": {"reason": "Completed", "exitCode": 0}}));
    assert!(matches!(standing(&ended), Standing::EndedItself(_)));
    ended.metadata.deletion_timestamp = leaving.metadata.deletion_timestamp;
    let Standing::Ended(failure) = standing(&ended) else { panic!("{:?}", standing(&ended)) };
    assert_eq!(failure.message, "its pod was deleted on node-7");
}
