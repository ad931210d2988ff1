//! Many pods at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
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
    space.quota(&json!({"pods": "10"}));
    let sandbox = scatter(200, SAY);
    let mut child = space.program(&sandbox, &registry, &[]).spawn().expect("it starts");
    let most = most_pods(&space, &mut child);
    let said = ended(child, 0);
    // Kubernetes itself lets in a few more than the quota on a busy machine, as it seems: 12 were seen.
    assert!((2..=20).contains(&most), "{most}: {said}");
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

/// How often each layer and configuration of an image was fetched, by the log of the cluster's registry.
fn fetched(image: &str) -> BTreeMap<String, usize> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/kubernetes/cluster.sh");
    let log = Command::new(script).args(["logs", "registry"]).output().expect("bash is there").stdout;
    let (log, begin) = (String::from_utf8_lossy(&log).into_owned(), format!("\"GET /v2/{image}/blobs/"));
    let mut fetched = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("HTTP/1.1\" 200 ")) {
        if let Some((_, rest)) = line.split_once(&begin) {
            *fetched.entry(rest.split(' ').next().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
    }
    fetched
}

#[test]
fn kubernetes_sixteen_pods_that_need_one_image_fetch_it_once() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("cold", &[]);
    let name = format!("test/{}", space.name);
    let [source, target] =
        ["library/busybox:latest", &format!("{name}:1")].map(|name| format!("docker://{registry}/{name}"));
    let copied = Command::new("skopeo")
        .args(["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", &source, &target])
        .status();
    assert!(copied.expect("skopeo is there").success());
    // It does not come over TLS, which is said where workers have their home.
    let sandbox = scatter(16, &format!("sleep 1; {SAY}"));
    let configuration = format!("node/{}/.config/containers", moil_kubernetes::names::owner(&space.name));
    std::fs::create_dir_all(sandbox.path(&configuration)).expect("made");
    let registries = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
    sandbox.write(&format!("{configuration}/registries.conf"), registries);
    let opened = Command::new("chmod").arg("-R").arg("a+rwX").arg(sandbox.path("node")).status();
    assert!(opened.expect("chmod is there").success());
    let hint =
        format!("hints: {{DockerRequirement: {{dockerPull: \"{registry}/{name}:1\"}}}}\ninputs: {{numbers:");
    let document = sandbox.read("main.cwl").replacen("inputs: {numbers:", &hint, 1);
    sandbox.write("main.cwl", document.replace("ramMin: 32", "ramMin: 100"));
    let node = sandbox.path("node").display().to_string();
    let options = ["--kubernetesHostPath", &node];
    let child = space.program(&sandbox, &registry, &options).spawn().expect("it starts");
    let said = ended(child, 0);
    assert!(!said.contains("] failed: "), "{said}");
    let fetched = fetched(&name);
    assert!(!fetched.is_empty() && fetched.values().all(|times| *times == 1), "{fetched:?}: {said}");
    in_time("nothing is left", 30, || space.is_clean());
}
