//! What the binary decides once for all pods of a run.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// How pods are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The first part of all names; any text.
    pub owner: String,
    /// The run, as its job store calls it.
    pub run: String,
    /// The job store, for people.
    pub store: String,
    /// The files of `KUBECONFIG`, or `~/.kube/config`: those that are there. None: the pod's own cluster.
    pub kubeconfigs: Vec<PathBuf>,
    /// The context of the kubeconfig; `None` for its current one, or the pod's own cluster.
    pub context: Option<String>,
    /// The namespace; `None` for that of the context or pod.
    pub namespace: Option<String>,
    /// The image that workers run in.
    pub image: String,
    /// The words of the worker before those of its attempt.
    pub command: Vec<String>,
    /// Variables of the worker. They can be read by whoever can read pods: no secrets.
    pub environment: Vec<(String, String)>,
    /// The service account of pods; `None` for the namespace's default.
    pub service_account: Option<String>,
    /// The Secret with the files `credentials` and `config` for AWS.
    pub aws_secret: Option<String>,
    /// A directory of the node that its pods share, in the place of one of their own.
    pub host_path: Option<String>,
    /// Where that, or a pod's own directory, is seen in the pod.
    pub work_dir: String,
    /// Pods have all rights of their node.
    pub privileged: bool,
    /// `Unconfined`, `RuntimeDefault`, or the path of a profile of the node.
    pub seccomp: String,
    /// The security context of pods, in the place of ours.
    pub pod_security_context: Option<Value>,
    /// The security context of containers, in the place of ours.
    pub security_context: Option<Value>,
    /// How long a pod may be about to start, once it has a node and its image.
    pub pod_timeout: Duration,
    /// What workers say is told while they say it.
    pub live_logs: bool,
}

impl Settings {
    /// Settings with nothing but what has no default.
    pub fn new(owner: &str, run: &str, store: &str, image: &str, command: Vec<String>) -> Self {
        Self {
            owner: owner.to_owned(),
            run: run.to_owned(),
            store: store.to_owned(),
            kubeconfigs: Vec::new(),
            context: None,
            namespace: None,
            image: image.to_owned(),
            command,
            environment: Vec::new(),
            service_account: None,
            aws_secret: None,
            host_path: None,
            work_dir: "/var/lib/toil".to_owned(),
            privileged: false,
            seccomp: "Unconfined".to_owned(),
            pod_security_context: None,
            security_context: None,
            pod_timeout: Duration::from_secs(120),
            live_logs: false,
        }
    }
}
