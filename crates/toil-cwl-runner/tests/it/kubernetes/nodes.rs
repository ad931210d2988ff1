//! A node that is lost while the cluster has others.

use std::process::Child;
use std::sync::PoisonError;

use serde_json::json;

use super::shared::{ALONE, Shared};
use super::space::{SAY, in_time};
use super::{CLUSTER, image, kubectl, lines, registry};

/// A node with room for one pod and without a kubelet, for pods that bear a taint with its name; goes with the test.
struct Ghost {
    name: String,
}

impl Ghost {
    fn new(name: &str) -> Self {
        let ghost = Self { name: format!("moil-{name}-{}", std::process::id()) };
        ghost.register();
        ghost
    }

    /// Its host has another name than the node, as in some clouds.
    fn register(&self) {
        let document = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": {
                "kubernetes.io/hostname": format!("host-of-{}", self.name), "kubernetes.io/os": "linux",
            }},
            "spec": {"taints": [{"key": self.name, "effect": "NoSchedule"}]},
        });
        kubectl(&["create", "-f", "-"], &document.to_string()).expect("the node is made");
        let much = json!({"cpu": "100", "memory": "1000Gi", "ephemeral-storage": "1000Gi", "pods": "1"});
        self.patch(&["node", &self.name], &json!({"capacity": much, "allocatable": much}));
        self.is_ready("True");
    }

    fn is_ready(&self, status: &str) {
        let ready = json!({"type": "Ready", "status": status, "reason": "Test", "message": ""});
        self.patch(&["node", &self.name], &json!({"conditions": [ready]}));
    }

    /// Sets the status of something, as a kubelet does.
    fn patch(&self, what: &[&str], status: &serde_json::Value) {
        let status = json!({"status": status}).to_string();
        let words =
            [&["patch", "--subresource=status", "--type=strategic", "--patch", &status], what].concat();
        kubectl(&words, "").expect("the status is set");
    }

    /// The pod that is on it, once there is one.
    fn pod(&self, shared: &Shared) -> String {
        let field = format!("--field-selector=spec.nodeName={}", self.name);
        let mut pod = String::new();
        in_time("it has a pod", 60, || {
            pod = shared.space.kubectl(&["get", "pods", &field, "-o", "name"], "").expect("pods are listed");
            !pod.is_empty()
        });
        pod.trim().to_owned()
    }

    /// Says that the pod is at work, which it never will be.
    fn runs(&self, shared: &Shared, pod: &str) {
        let state = json!({
            "name": "worker", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2030-01-01T00:00:00Z"}},
        });
        let status = json!({"phase": "Running", "containerStatuses": [state]});
        self.patch(&["--namespace", &shared.space.name, pod], &status);
    }

    fn delete(&self) -> Result<String, String> {
        kubectl(&["delete", "node", &self.name, "--ignore-not-found"], "")
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        let _ = self.delete();
    }
}

/// The real node takes no new pods as long as this is there.
struct Cordon;

impl Cordon {
    fn new() -> Self {
        kubectl(&["cordon", "node1"], "").expect("the node is cordoned");
        Self
    }
}

impl Drop for Cordon {
    fn drop(&mut self) {
        let _ = kubectl(&["uncordon", "node1"], "");
    }
}

/// How a node is lost.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    /// It is taken out of the cluster, and comes back when its pod is lost.
    Removed,
    /// It says nothing any more.
    Silent,
}

/// A run with three jobs, of which one has its pod on a node that will be lost.
struct Run {
    ghost: Ghost,
    shared: Shared,
    child: Child,
    loss: Loss,
}

impl Run {
    fn start(registry: &str, name: &str, loss: Loss, pod_per_job: bool) -> Self {
        let ghost = Ghost::new(name);
        let line = format!("while [ ! -e /marks/go ]; do sleep 1; done; {SAY}");
        let taint = format!("{}:NoSchedule", ghost.name);
        let brief = "{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}";
        let mode = format!("--kubernetesPodPerJob={pod_per_job}");
        let shared = Shared::new(name, registry, 3, Some(ALONE), &line).with(&[
            &mode,
            "--kubernetesPodTemplate",
            "template.json",
            "--kubernetesTolerations",
            &taint,
            "--kubernetesTolerations",
            brief,
        ]);
        let template = json!({"spec": {"terminationGracePeriodSeconds": 1}});
        shared.sandbox.write("template.json", template.to_string());
        let child = shared.start();
        let pod = ghost.pod(&shared);
        // A worker that shares its pod cannot be played: this one never begins.
        if pod_per_job {
            ghost.runs(&shared, &pod);
        }
        Self { ghost, shared, child, loss }
    }

    fn lose(&self) {
        self.shared.until_begun(2);
        match self.loss {
            Loss::Removed => _ = self.ghost.delete().expect("it is removed"),
            // What Kubernetes finds out after 50 s without a sign of life.
            Loss::Silent => self.ghost.is_ready("Unknown"),
        }
    }

    /// The job of the lost node runs on the other one; the others have not noticed.
    fn go_on(mut self) {
        let mut told = lines(&mut self.child);
        let mut said = Vec::new();
        let lost =
            told.by_ref().inspect(|line| said.push(line.clone())).find(|line| line.contains("] failed: "));
        let lost = lost.unwrap_or_else(|| panic!("{said:?}"));
        let node = &self.ghost.name;
        let why = match self.loss {
            Loss::Removed => format!("its node {node} is gone; attempt 2 of 6"),
            Loss::Silent => format!("its node {node} was lost or is not to be used; attempt 2 of 6"),
        };
        assert!(lost.contains(&why), "{said:?}");
        if self.loss == Loss::Removed {
            // It has room, and is not to have the next attempt.
            self.ghost.register();
        }
        self.shared.until_begun(3);
        std::fs::write(self.shared.sandbox.path("marks/go"), "").expect("written");
        said.extend(told);
        assert!(self.child.wait().expect("it ends").success(), "{said:?}");
        assert_eq!(said.iter().filter(|line| line.contains("] failed: ")).count(), 1, "{said:?}");
        self.shared.ran_once(3);
        if self.loss == Loss::Silent {
            // What nobody but the node could say.
            let words = ["delete", "pods", "--all", "--force", "--grace-period=0"];
            self.shared.space.kubectl(&words, "").expect("they are gone");
        }
        self.shared.is_clean();
    }
}

#[test]
fn kubernetes_nodes_that_are_lost_among_others_cost_no_tries_and_are_avoided() {
    let Some(registry) = registry() else { return };
    let _alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    image(&registry);
    let cordon = Cordon::new();
    let runs = [
        Run::start(&registry, "node-removed", Loss::Removed, true),
        Run::start(&registry, "node-removed-shared", Loss::Removed, false),
        Run::start(&registry, "node-silent", Loss::Silent, true),
    ];
    drop(cordon);
    runs.iter().for_each(Run::lose);
    std::thread::scope(|scope| {
        for run in runs {
            scope.spawn(|| run.go_on());
        }
    });
}
