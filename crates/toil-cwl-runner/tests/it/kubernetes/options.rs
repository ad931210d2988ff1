//! What options make of pods.

use serde_json::{Value, json};

use super::faults::ended;
use super::space::{SAY, Space, scatter};
use super::{Sandbox, cluster, end, eventually, kubectl, left, program, told};

/// Says what a pod sees of a variable and three files.
const LOOK: &str = r#"
cwlVersion: v1.2
class: CommandLineTool
requirements:
  ResourceRequirement: {coresMin: 0.1, ramMin: 50, tmpdirMin: 10, outdirMin: 10}
baseCommand: [sh, -c, 'echo $FROM_SECRET $(cat /conf/word) $(cat /secret/word) $(cat /node/word); touch /claim/touched; sleep 3']
inputs: {large: "File?"}
outputs: {said: stdout}
stdout: said.txt
"#;

const TEMPLATE: &str = "
kind: Pod
metadata: {annotations: {example.com/cost: genomes}}
spec:
  hostname: worker-of-moil
  containers:
  - name: worker
    resources: {limits: {cpu: 2}}
    env: [{name: FROM_TEMPLATE, value: 'yes'}]
";

/// What the options of the test name.
fn objects(name: &str, folder: &str) -> String {
    let claim = |class: &str| json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeName": name});
    let mut bound = claim("");
    bound["resources"] = json!({"requests": {"storage": "1Mi"}});
    let list = [
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 7}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"word": "hidden", "FROM_SECRET": "told"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"word": "known"}}),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                "hostPath": {"path": folder},
            },
        }),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": bound}),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": list}).to_string()
}

/// Pods of an owner.
fn specs(owner: &str) -> Vec<Value> {
    let words = ["get", "pods", "-l", &format!("moil/owner={owner}"), "-o", "json"];
    let list: Value = serde_json::from_str(&kubectl(&words, "").expect("listed")).expect("JSON");
    list["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn kubernetes_pods_are_what_all_options_together_make_of_them() {
    let Some((registry, _whole)) = cluster() else { return };
    let (sandbox, owner) = (Sandbox::with(LOOK), "moil-options");
    sandbox.write("job.yml", "large: {class: File, path: large}\n");
    sandbox.write("large", vec![0; 3 << 20]);
    sandbox.write("template.yml", TEMPLATE);
    sandbox.write("pod.yml", "runAsUser: 1001\nfsGroup: 1001\nseccompProfile: {type: Unconfined}\n");
    for name in ["node", "claim"] {
        std::fs::create_dir(sandbox.path(name)).expect("it is made");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(sandbox.path(name), mode).expect("it is changed");
    }
    sandbox.write("node/word", "local");
    let name = format!("moil-options-{}", std::process::id());
    let objects = objects(&name, &sandbox.path("claim").display().to_string());
    kubectl(&["apply", "-f", "-"], &objects).expect("they are made");
    let volumes = format!(
        "pvc:{name}:/claim,secret:{name}:/secret,configMap:{name}:/conf,{}:/node:ro",
        sandbox.path("node").display()
    );
    let options = [
        "--kubernetesAppArmorProfile=Unconfined",
        "--kubernetesNodeSelector=kubernetes.io/os=linux",
        "--kubernetesTolerations=batch=yes:NoSchedule",
        "--kubernetesTolerations={key: gpu, operator: Exists}",
        &format!("--kubernetesPriorityClass={name}"),
        "--kubernetesImagePullSecrets=one,two",
        &format!("--kubernetesEnvFromSecret={name}"),
        &format!("--kubernetesVolume={volumes}"),
        "--kubernetesJobLabels=team=genomes",
        "--kubernetesQueueName=night",
        "--kubernetesPodTemplate=template.yml",
        "--kubernetesPodSecurityContext=pod.yml",
        "--kubernetesServiceAccount=default",
        "--defaultPreemptible",
        "--preserve-environment=FROM_SECRET",
    ];
    let child = program(&sandbox, &registry, owner, &options).spawn().expect("it starts");
    eventually("its pod is there", || !specs(owner).is_empty());
    let pod = specs(owner).remove(0);
    let jobs =
        kubectl(&["get", "jobs", "-l", &format!("moil/owner={owner}"), "-o", "json"], "").expect("listed");
    let output = end(child);
    let _ = kubectl(&["delete", "--wait=false", "-f", "-"], &objects);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(sandbox.read("out/said.txt"), "told known hidden local\n");
    assert!(sandbox.path("claim/touched").exists());
    let (meta, spec) = (&pod["metadata"], &pod["spec"]);
    let worker = &spec["containers"][0];
    assert_eq!(worker["command"], Value::Null, "the entry point is the image's");
    assert_eq!(worker["securityContext"]["appArmorProfile"], json!({"type": "Unconfined"}));
    assert_eq!(worker["resources"]["limits"]["cpu"], "2");
    assert_eq!(worker["resources"]["limits"]["ephemeral-storage"], format!("{}Mi", 10 + 10 + 256 + 3));
    assert_eq!(worker["envFrom"][0]["secretRef"]["name"], name.as_str());
    assert_eq!(spec["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
    assert_eq!((&spec["priorityClassName"], &spec["priority"]), (&json!(name), &json!(7)));
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "one"}, {"name": "two"}]));
    assert_eq!(
        (&spec["hostname"], &spec["serviceAccountName"]),
        (&json!("worker-of-moil"), &json!("default"))
    );
    assert_eq!(spec["securityContext"]["runAsUser"], 1001);
    let tolerations: Vec<&str> = spec["tolerations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["key"].as_str())
        .collect();
    for key in ["batch", "gpu", "cloud.google.com/gke-preemptible"] {
        assert!(tolerations.contains(&key), "{tolerations:?}");
    }
    assert!(spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"].is_array());
    assert_eq!(
        (&meta["labels"]["team"], &meta["annotations"]["example.com/cost"]),
        (&json!("genomes"), &json!("genomes"))
    );
    let jobs: Value = serde_json::from_str(&jobs).expect("JSON");
    assert_eq!(jobs["items"][0]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "night");
    eventually("nothing is left", || left(owner).is_empty());
}

/// Sees an input that pods do not see where it lies, one that they see, and what another pod left.
const SHARED: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 50, tmpdirMin: 10, outdirMin: 10}}
inputs: {near: File, far: Directory}
outputs: {all: {type: File, outputSource: second/all}}
steps:
  first:
    in: {near: near, far: far}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat $0 $1/inner']
      inputs: {near: {type: File, inputBinding: {position: 1}}, far: {type: Directory, inputBinding: {position: 2}}}
      outputs: {one: stdout}
      stdout: one.txt
  second:
    in: {one: first/one}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: [cat]
      inputs: {one: {type: File, inputBinding: {position: 1}}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

#[test]
fn kubernetes_runs_with_a_directory_that_pods_see() {
    let Some((registry, _whole)) = cluster() else { return };
    let (sandbox, owner) = (Sandbox::with(SHARED), "moil-directory");
    std::fs::create_dir_all(sandbox.path("shared/in")).expect("it is made");
    std::fs::create_dir(sandbox.path("far")).expect("it is made");
    sandbox.write("shared/in/near.txt", "near\n");
    sandbox.write("far/inner", "far\n");
    sandbox.write(
        "job.yml",
        "near: {class: File, path: shared/in/near.txt}\nfar: {class: Directory, path: far}\n",
    );
    // Whoever leads must let the pods' user write.
    sandbox.write("pod.yml", "runAsUser: 0\nseccompProfile: {type: Unconfined}\n");
    let shared = sandbox.path("shared").display().to_string();
    let options = [
        "--jobStore",
        &format!("{shared}/store"),
        "--kubernetesVolume",
        &format!("{shared}:{shared}"),
        "--kubernetesPodSecurityContext=pod.yml",
    ];
    let output = end(program(&sandbox, &registry, owner, &options).spawn().expect("it starts"));
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(sandbox.read("out/all.txt"), "near\nfar\n");
    assert_eq!(sandbox.read("far/inner"), "far\n");
    assert_eq!(sandbox.list("shared"), ["in"]);
    eventually("nothing is left", || left(owner).is_empty());
}

#[test]
fn kubernetes_directories_of_nodes_are_made_and_can_be_used_by_any_user() {
    let Some((registry, _whole)) = cluster() else { return };
    let (sandbox, owner) = (Sandbox::with(SHARED), "moil-node");
    std::fs::create_dir(sandbox.path("far")).expect("it is made");
    sandbox.write("near.txt", "near\n");
    sandbox.write("far/inner", "far\n");
    sandbox.write("job.yml", "near: {class: File, path: near.txt}\nfar: {class: Directory, path: far}\n");
    let node = sandbox.path("node").display().to_string();
    let options = ["--kubernetesHostPath", &node];
    let output = end(program(&sandbox, &registry, owner, &options).spawn().expect("it starts"));
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(sandbox.read("out/all.txt"), "near\nfar\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&node).expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o7777, 0o1777);
    assert_eq!(sandbox.list("node"), [owner], "nothing is left behind but what later runs may want");
    eventually("nothing is left", || left(owner).is_empty());
}

#[test]
fn kubernetes_a_job_store_in_another_region_than_the_nodes_is_told_once() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("region", &[]);
    // A node keeps what it is once it is known.
    let node = r#"{"metadata": {"labels": {"topology.kubernetes.io/region": "eu-central-1"}}, "spec": {"providerID": "aws:///eu-central-1a/i-0"}}"#;
    kubectl(&["patch", "node", "node1", "-p", node], "").expect("it is changed");
    let sandbox = scatter(3, SAY);
    let said = ended(space.program(&sandbox, &registry, &[]).spawn().expect("it starts"), 0);
    let words = "the job store is in us-east-1 and the nodes are in eu-central-1";
    assert_eq!(said.matches(words).count(), 1, "{said}");
    let near = format!("aws:eu-central-1:{}", space.name);
    let said =
        ended(space.program(&sandbox, &registry, &["--jobStore", &near]).spawn().expect("it starts"), 0);
    kubectl(&["label", "node", "node1", "topology.kubernetes.io/region-"], "").expect("it is changed");
    assert!(!said.contains("the nodes are in"), "{said}");
}

#[test]
fn kubernetes_a_directory_of_the_node_that_pods_may_not_use_is_told() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("closed", &[]);
    let sandbox = scatter(1, SAY);
    std::fs::create_dir(sandbox.path("node")).expect("it is made");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(sandbox.path("node"), mode).expect("it is changed");
    let node = sandbox.path("node").display().to_string();
    let options = ["--kubernetesHostPath", &node, "--retryBackoffSeconds", "0", "--clean", "always"];
    let said = ended(space.program(&sandbox, &registry, &options).spawn().expect("it starts"), 1);
    for words in ["cannot make a directory in /var/lib/toil", "Permission denied", "--kubernetesHostPath"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
