//! The worker image: made here, run in pods of a real cluster. conformance/kubernetes has one.

// Whether there is one is known from the environment.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use toil_cwl_runner::commands;
use toil_cwl_runner::exit_code::ExitCode;

use super::call;

const MOIL: &str = env!("CARGO_BIN_EXE_moil");

/// The registry of the cluster; `None` where there is no cluster.
pub fn registry() -> Option<String> {
    if let Ok(registry) = std::env::var("MOIL_TEST_KUBERNETES") {
        return Some(registry);
    }
    let required = std::env::var("MOIL_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == "kubernetes"),
        "MOIL_TEST_KUBERNETES names no cluster, and MOIL_REQUIRE names kubernetes"
    );
    println!("skipped: MOIL_TEST_KUBERNETES names no cluster");
    None
}

/// `kubectl`, with a document on its standard input. What it prints, or what it complains of.
pub fn kubectl(words: &[&str], document: &str) -> Result<String, String> {
    let mut child = Command::new("kubectl")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is there");
    child.stdin.take().expect("it is piped").write_all(document.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// All that a tool needs: Apptainer runs an unpacked image with the words that moil uses.
const SCRIPT: &str = "set -e
id -u
toil-cwl-runner --print-supported-versions
moil --version
touch $HOME/mine /tmp/mine /var/lib/toil/mine
test -s /etc/ssl/certs/ca-certificates.crt
mkdir -p /tmp/image/bin /tmp/image/etc /tmp/image/tmp /tmp/image/proc /tmp/image/sys /tmp/image/dev
cp /usr/bin/busybox /tmp/image/bin/
ln -s busybox /tmp/image/bin/sh
touch /tmp/image/etc/passwd /tmp/image/etc/group /tmp/image/etc/hosts /tmp/image/etc/resolv.conf
echo words >/tmp/bound
apptainer --silent exec --contain --ipc --cleanenv --no-home --userns --net --network none --bind /tmp/bound:/etc/bound:ro \\
  /tmp/image sh -c 'busybox cat /etc/bound; echo \"in Apptainer\"'
";

/// An unprivileged pod that runs a script as this user, from its start to its end: its log.
fn run_pod(name: &str, image: &str, user: u32, script: &str) -> String {
    let pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsUser": user,
                "runAsGroup": user,
                "runAsNonRoot": true,
                "seccompProfile": {"type": "Unconfined"},
            },
            "containers": [{
                "name": "main",
                "image": image,
                "args": ["sh", "-c", script],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    kubectl(&["apply", "-f", "-"], &pod.to_string()).expect("the pod is made");
    let ended = kubectl(
        &[
            "wait",
            &format!("pod/{name}"),
            "--for=jsonpath={.status.containerStatuses[0].state.terminated}",
            "--timeout=600s",
        ],
        "",
    );
    let log = kubectl(&["logs", name], "");
    let state = kubectl(&["get", "pod", name, "-o", "jsonpath={.status}"], "");
    _ = kubectl(&["delete", "pod", name, "--now", "--wait=false"], "");
    assert!(ended.is_ok(), "{ended:?} {state:?}");
    log.unwrap_or_else(|error| panic!("{error} {state:?}"))
}

/// Makes the image of this moil and pushes it; gives its name with its digest.
pub fn push(place: &str) -> String {
    let pushed =
        Command::new(MOIL).args(["appliance", "push", place, "--insecure"]).output().expect("moil runs");
    let complaint = String::from_utf8_lossy(&pushed.stderr);
    assert!(pushed.status.success(), "{complaint}");
    let printed = String::from_utf8(pushed.stdout).expect("it is text");
    let image = printed.trim();
    assert!(image.starts_with(&format!("{place}@sha256:")), "{image}");
    image.to_owned()
}

#[test]
fn kubernetes_runs_the_appliance_as_any_user_without_capabilities() {
    let Some(registry) = registry() else { return };
    let image = &push(&format!("{registry}/test/moil:{}", std::process::id()));
    // The user of the image, and one whom it does not know.
    for user in [1000, 1_000_660_000] {
        let log = run_pod(&format!("appliance-{}-{user}", std::process::id()), image, user, SCRIPT);
        let version = "moil 0.1.0 (options of toil-cwl-runner 9.6.0)";
        assert_eq!(log, format!("{user}\nv1.0\nv1.1\nv1.2\n{version}\nwords\nin Apptainer\n"));
    }
}

/// The image has one program under all names.
#[test]
fn moil_is_the_runner_where_it_has_its_name() {
    let dir = tempfile::tempdir().expect("the directory is made");
    for (name, expected) in [("cwl-runner", true), ("toil-cwl-runner", true), ("toil", false)] {
        let link = dir.path().join(name);
        std::os::unix::fs::symlink(MOIL, &link).expect("the link is made");
        let output = Command::new(link).arg("--print-supported-versions").output().expect("it runs");
        assert_eq!(output.stdout == b"v1.0\nv1.1\nv1.2\n", expected, "{name}");
    }
}

#[test]
fn without_apptainer_there_is_no_appliance() {
    let dir = tempfile::tempdir().expect("the directory is made");
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).expect("the directory is made");
    for name in ["bash", "ldd"] {
        let found = std::env::split_paths("/usr/local/bin:/usr/bin:/bin").map(|folder| folder.join(name));
        let found = found.into_iter().find(|path| path.is_file()).expect("it is there");
        std::os::unix::fs::symlink(found, bin.join(name)).expect("the link is made");
    }
    let path = bin.to_str().expect("it is text").to_owned();
    let env = [("PATH", path.as_str())];
    let answer = call("moil", "appliance build image", &env, dir.path(), commands::run);
    assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::FAILURE, ""));
    assert!(answer.stderr.contains("Apptainer is not installed on this machine"), "{}", answer.stderr);
    assert!(!Path::new(dir.path()).join("image").join("index.json").exists());
}
