//! `moil doctor --batchSystem kubernetes`: where all is well, and where something is missing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::faults::signal;
use super::space::{Space, in_time};
use super::{cluster, end, told};
use crate::sandbox::Sandbox;

/// `moil doctor` where a run would find cluster and store, with these words and variables.
fn doctor(
    space: &Space,
    sandbox: &Sandbox,
    registry: &str,
    words: &[&str],
    more: &[(&str, &str)],
) -> Command {
    let like = space.program(sandbox, registry, &[]);
    let store = format!("aws:us-east-1:{}-{}", space.name, std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_moil"));
    command
        .args(["doctor", "--batchSystem", "kubernetes", "--jobStore", &store])
        .args(["--kubernetesNamespace", &space.name])
        .args(words)
        .current_dir(sandbox.path("."))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in like.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.envs(more.iter().copied());
    command
}

/// What it found.
struct Found {
    checks: Vec<Value>,
    code: Option<i32>,
}

impl Found {
    fn of(mut command: Command) -> Self {
        let output = end(command.arg("--json").spawn().expect("it starts"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error}: {text} {}", told(&output));
        });
        let checks = json["checks"].as_array().expect("a list").clone();
        Self { checks, code: output.status.code() }
    }

    fn texts(&self, verdict: &str) -> Vec<String> {
        let of = |check: &&Value| check["verdict"] == verdict;
        self.checks.iter().filter(of).map(ToString::to_string).collect()
    }

    /// The text of a check, which had this end.
    #[track_caller]
    fn text(&self, what: &str, verdict: &str) -> String {
        let check = self.checks.iter().find(|check| check["check"] == what);
        let check = check.unwrap_or_else(|| panic!("{what}: {:?}", self.checks));
        assert_eq!(check["verdict"], verdict, "{check}");
        check.to_string()
    }
}

#[test]
fn kubernetes_doctor_finds_all_well_and_leaves_nothing() {
    let Some((registry, _whole)) = cluster() else { return };
    let (space, sandbox) = (Space::new("doctor-well", &[]), Sandbox::new());
    let image = format!("{registry}/library/busybox:latest");
    let found = Found::of(doctor(&space, &sandbox, &registry, &["--image", &image], &[]));
    assert_eq!(found.texts("failed"), Vec::<String>::new());
    assert_eq!(found.code, Some(0));
    for (what, words) in [
        ("cluster", "Kubernetes v1."),
        ("rights: jobs", "create, get, list, watch, delete"),
        ("Pod Security", "any pod"),
        ("Secret aws-credentials", "keys in the profile [default]"),
        ("worker image", "test/runs"),
        ("job store", "conditional puts are honoured"),
        ("pod: work directory", "GiB are free in /var/lib/toil, and the user 1000 may write"),
        ("pod: user namespaces", "can be made"),
        ("pod: mounts in them", "can be made"),
        ("pod: confinement", "no seccomp filter"),
        ("pod: Apptainer", "runs tools"),
        ("pod: memory", "limit 256 MiB, cgroup v"),
        ("pod: job store", "conditional puts are honoured"),
    ] {
        let text = found.text(what, "ok");
        assert!(text.contains(words), "{words}: {text}");
    }
    found.text("pod: FUSE", "ok");
    // That of the test cluster has no certificate.
    let registry_text = found.text("pod: registry", "cannot tell");
    assert!(registry_text.contains("and answers by http only"), "{registry_text}");
    in_time("nothing is left", 60, || space.is_clean());
    // For people, and a registry that is not there.
    let words = ["--image", "no.such.host.invalid/x:1"];
    let output = end(doctor(&space, &sandbox, &registry, &words, &[]).spawn().expect("it starts"));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{table}");
    let line = table.lines().find(|line| line.contains("pod: registry")).expect("there is a line");
    assert!(line.starts_with("failed ") && line.contains("no.such.host.invalid is not found"), "{table}");
    assert!(table.ends_with("\n1 check failed.\n") && table.contains("try: check DNS"), "{table}");
}

#[test]
fn kubernetes_doctor_tells_rights_that_are_missing_or_in_the_wrong_namespace() {
    let Some((registry, _whole)) = cluster() else { return };
    let (space, other) = (Space::new("doctor-rights", &[]), Space::new("doctor-other", &[]));
    let sandbox = Sandbox::new();
    let role = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes/leader-role.yaml");
    let role = std::fs::read_to_string(role).expect("it is there");
    // The account is of the other namespace, and so is the Role.
    let path = other.account(&role, &sandbox);
    let variables = [("KUBECONFIG", path.to_str().expect("a text"))];
    let found = Found::of(doctor(&space, &sandbox, &registry, &[], &variables));
    assert_eq!(found.code, Some(1));
    let text = found.text("cluster", "ok");
    assert!(text.contains(&format!("as system:serviceaccount:{}:moil-leader", other.name)), "{text}");
    let text = found.text("rights: jobs", "failed");
    assert!(text.contains("not allowed: create, get, list, watch, delete"), "{text}");
    let words = format!("the rights are there in the namespace {}", other.name);
    assert!(text.contains(&words) && text.contains("leader-role.yaml"), "{text}");
    assert!(found.text("pod", "cannot tell").contains("for want of rights"));
    // The rights of the Role are enough for all that is to be known.
    let bind = format!("--serviceaccount={}:moil-leader", other.name);
    let before = role.split("\n---\n").find(|text| text.contains("\nkind: Role\n")).expect("a Role");
    space.kubectl(&["apply", "-f", "-"], before).expect("it is applied");
    space
        .kubectl(&["create", "rolebinding", "leaders", "--role=moil-leader", &bind], "")
        .expect("it is bound");
    let found = Found::of(doctor(&space, &sandbox, &registry, &[], &variables));
    assert_eq!((found.texts("failed"), found.code), (Vec::new(), Some(0)));
    for what in ["Pod Security", "Secret aws-credentials"] {
        found.text(what, "cannot tell");
    }
    found.text("pod: job store", "ok");
    in_time("nothing is left", 60, || space.is_clean());
}

#[test]
fn kubernetes_doctor_tells_what_a_level_of_pod_security_forbids() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("doctor-level", &[("pod-security.kubernetes.io/enforce", "restricted")]);
    let sandbox = Sandbox::new();
    let found = Found::of(doctor(&space, &sandbox, &registry, &[], &[]));
    assert_eq!(found.code, Some(1));
    let text = found.text("Pod Security", "failed");
    assert!(text.contains("--kubernetesSeccompProfile"), "{text}");
    let text = found.text("pod", "failed");
    assert!(text.contains("violates PodSecurity \\\"restricted:latest\\\""), "{text}");
    // With what the level wants, pods start, and no tool with an image can run in them.
    sandbox.write(
        "pod.json",
        r#"{"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}"#,
    );
    let words = ["--kubernetesPodSecurityContext", "pod.json"];
    let found = Found::of(doctor(&space, &sandbox, &registry, &words, &[]));
    found.text("Pod Security", "ok");
    let failed = found.texts("failed");
    assert_eq!((failed.len(), found.code), (1, Some(1)), "{failed:?}");
    let text = found.text("pod: user namespaces", "failed");
    assert!(text.contains("seccomp forbids them"), "{text}");
    in_time("nothing is left", 60, || space.is_clean());
}

#[test]
fn kubernetes_doctor_tells_of_secrets_images_and_variables_that_are_not_right() {
    let Some((registry, _whole)) = cluster() else { return };
    let (space, sandbox) = (Space::new("doctor-wrong", &[]), Sandbox::new());
    space.kubectl(&["delete", "secret", "aws-credentials"], "").expect("deleted");
    space.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws-credentials"},
        "stringData": {"creds": "[default]\n"},
    }));
    let missing = format!("{registry}/test/none:1");
    let variables = [("TOIL_APPLIANCE_SELF", missing.as_str())];
    let found = Found::of(doctor(&space, &sandbox, &registry, &["--kubernetesPodTimeout", "25"], &variables));
    assert_eq!(found.code, Some(1));
    let text = found.text("Secret aws-credentials", "failed");
    assert!(text.contains("it has no key credentials, only creds"), "{text}");
    let text = found.text("pod", "failed");
    assert!(text.contains("cannot be had") && text.contains("not found"), "{text}");
    in_time("nothing is left", 60, || space.is_clean());
    // Without an image, all else is looked at.
    let found = Found::of(doctor(&space, &sandbox, &registry, &[], &[("TOIL_APPLIANCE_SELF", "")]));
    assert!(found.text("worker image", "failed").contains("moil appliance push"));
    found.text("rights: jobs", "ok");
    found.text("pod", "cannot tell");
    // A directory of the node that is root's alone.
    let (space, mine) = (Space::new("doctor-mine", &[]), sandbox.path("mine"));
    std::fs::create_dir(&mine).expect("it is made");
    std::fs::set_permissions(&mine, std::fs::Permissions::from_mode(0o700)).expect("it is closed");
    let words = ["--kubernetesHostPath", mine.to_str().expect("a text")];
    let found = Found::of(doctor(&space, &sandbox, &registry, &words, &[]));
    let text = found.text("pod: work directory", "failed");
    assert!(text.contains("the user 1000 cannot write to /var/lib/toil: Permission denied"), "{text}");
    assert!(text.contains("chmod 1777") && found.texts("failed").len() == 1, "{:?}", found.checks);
    // Ctrl-C, while the pod waits for its image.
    let child = doctor(&space, &sandbox, &registry, &[], &variables).spawn().expect("it starts");
    in_time("its pod is there", 60, || !space.pods("Pending").is_empty());
    signal(&child, "-INT");
    assert_eq!(end(child).status.code(), Some(130));
    in_time("nothing is left", 60, || space.is_clean());
}
