//! Many pods at a time.

use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster;
use super::faults::ended;
use super::space::{SAY, Space, in_time, scatter};

/// What leaders ask of the API server in a namespace, by the cluster's audit log: verbs and resources.
fn requests(space: &Space) -> Vec<String> {
    let log = std::env::var("MOIL_TEST_KUBERNETES_AUDIT").expect("it is set in the cluster's network");
    let log = std::fs::read_to_string(log).expect("it is there");
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = entries.filter(|entry| {
        let agent = entry["userAgent"].as_str().unwrap_or_default();
        entry["objectRef"]["namespace"] == space.name.as_str() && agent.starts_with("moil/")
    });
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ours.map(|entry| format!("{} {}", word(&entry["verb"]), word(&entry["objectRef"]["resource"]))).collect()
}

/// The most pods that there were at a time, but for those that go, looked at again and again until a run has ended.
fn most_pods(space: &Space, child: &mut Child) -> usize {
    let mut most = 0;
    let of_pod = "{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}";
    let template = format!("go-template={{{{range .items}}}}{of_pod}{{{{end}}}}");
    let alive = "--field-selector=status.phase!=Succeeded,status.phase!=Failed";
    while child.try_wait().expect("it can be asked").is_none() {
        let list = space.kubectl(&["get", "pods", alive, "-o", &template], "").expect("pods are listed");
        most = most.max(list.split_whitespace().count());
        std::thread::sleep(Duration::from_millis(300));
    }
    most
}

#[test]
fn kubernetes_two_hundred_jobs_wait_for_a_quota_of_ten_pods() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("crowd", &[]);
    space.apply(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "10"}},
    }));
    let sandbox = scatter(200, SAY);
    let mut child = space.program(&sandbox, &registry, &[]).spawn().expect("it starts");
    let most = most_pods(&space, &mut child);
    let said = ended(child, 0);
    assert!((2..=10).contains(&most), "{most}: {said}");
    assert!(!said.contains("] failed: "), "{said}");
    // Once, and not for each job, or each time that Kubernetes tries.
    assert_eq!(said.matches("exceeded quota: few").count(), 1, "{said}");
    in_time("nothing is left", 30, || space.is_clean());
    // Nothing is asked again and again.
    let requests = requests(&space);
    for (request, most) in [("create jobs", 200), ("delete jobs", 200), ("get jobs", 10), ("list pods", 5)] {
        let count = requests.iter().filter(|made| *made == request).count();
        assert!(count <= most, "{request}: {count}");
    }
    assert!(requests.len() < 430, "{}", requests.len());
}
