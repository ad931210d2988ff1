//! Leaders in the cluster: examples/kubernetes as it stands, but for names.

use std::path::Path;

use serde_json::json;

use super::space::{Space, in_time};
use super::{cluster, image};

/// A file of examples/kubernetes.
pub fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes").join(name);
    std::fs::read_to_string(path).expect("it is there")
}

/// Two jobs, one after the other, and a file in the end.
const WORKFLOW: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements:
  ResourceRequirement: {coresMin: 0.05, ramMin: 32, tmpdirMin: 10, outdirMin: 10}
inputs: {word: string}
outputs: {text: {type: File, outputSource: shout/text}}
steps:
  say:
    in: {word: word}
    out: [text]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep 25; echo $0']
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {text: stdout}
      stdout: said.txt
  shout:
    in: {text: say/text}
    out: [text]
    run:
      class: CommandLineTool
      baseCommand: [tr, a-z, A-Z]
      inputs: {text: File}
      stdin: $(inputs.text.path)
      outputs: {text: stdout}
      stdout: shouted.txt
"#;

#[test]
fn kubernetes_leaders_in_the_cluster_are_replaced_and_go_on() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("inside", &[]);
    let server = std::env::var("MOIL_TEST_KUBERNETES_S3").expect("it is set in the cluster's network");
    let bucket = format!("{}-results", space.name);
    let address = server.trim_start_matches("http://");
    super::request(address, "PUT", &format!("/{bucket}"));
    // As people have it who use another server than that of AWS.
    space.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws-credentials"}, "stringData": {
            "credentials": "[default]\naws_access_key_id = test\naws_secret_access_key = test\n",
            "config": format!("[default]\nregion = us-west-2\nendpoint_url = {server}\n"),
        },
    }));
    space.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "workflow"},
        "data": {"scatter.cwl": WORKFLOW, "job.yml": "word: hello\n"},
    }));
    for file in ["leader-role.yaml", "people-role.yaml", "worker-account.yaml"] {
        space.kubectl(&["apply", "-f", "-"], &example(file)).expect("it is applied");
    }
    let leader = example("leader.yaml")
        .replace("registry.example.org/moil/appliance:1", image(&registry))
        .replace("demo-run", &space.name)
        .replace("demo-results", &bucket);
    space.kubectl(&["apply", "-f", "-"], &leader).expect("it is applied");

    let worker = || space.pods("Running").into_iter().find(|pod| pod.contains("-toil-pod-"));
    let logs = || space.kubectl(&["logs", "job/moil-leader", "--all-pods=true", "--prefix"], "");
    let mut tries = 0..300;
    while worker().is_none() {
        assert!(tries.next().is_some(), "no worker is at work: {:?}", logs());
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let before = worker();
    let pods = space.pods("Running");
    let first = pods.iter().find(|pod| pod.starts_with("pod/moil-leader-")).expect("there is one");
    // As when its node is drained: it gets SIGTERM, and leaves its workers at work.
    space.kubectl(&["delete", first, "--wait=true"], "").expect("it is deleted");
    assert_eq!(worker(), before);
    let wait = ["wait", "job/moil-leader", "--for=condition=complete", "--timeout=600s"];
    let done = space.kubectl(&wait, "");
    let said = logs().expect("they have logs");
    assert!(done.is_ok(), "{done:?}: {said}");
    assert!(said.contains("is still running, started by an earlier leader"), "{said}");
    assert_eq!(super::request(address, "GET", &format!("/{bucket}/run/shouted.txt")), "HELLO\n");
    in_time("nothing is left of the workers", 60, || space.is_clean());
}

#[test]
fn kubernetes_outputs_that_would_go_with_the_leader_are_refused() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("outdir", &[]);
    let image = image(&registry);
    let run = |name: &str, outdir: &str| {
        let document = "{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [], steps: []}";
        let line = format!(
            "echo '{document}' >x.cwl && exec toil-cwl-runner --batchSystem=kubernetes --jobStore=aws:us-west-2:none \
             --outdir={outdir} x.cwl"
        );
        let words = ["sh", "-c", &line];
        space.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "main", "image": image, "args": words,
                    "env": [{"name": "TOIL_APPLIANCE_SELF", "value": image}],
                    "volumeMounts": [{"name": "gone", "mountPath": "/gone"}],
                }],
                "volumes": [{"name": "gone", "emptyDir": {}}],
            },
        }));
        let mut said = String::new();
        in_time("it has ended", 60, || {
            said = space.kubectl(&["logs", name], "").unwrap_or_default();
            space.pods("Failed").iter().any(|pod| pod.ends_with(name))
        });
        space.kubectl(&["logs", name], "").expect("a log")
    };
    for (name, outdir) in [("root", "/tmp/out"), ("empty-dir", "/gone/out")] {
        let said = run(name, outdir);
        assert!(said.contains("goes with the leader's pod") && said.contains("s3://"), "{said}");
    }
}
