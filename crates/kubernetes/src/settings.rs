//! What the binary decides once for all pods of a run.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// Where workers work, as in Toil's image.
pub const WORK_DIR: &str = "/var/lib/toil";

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
    /// The words of a worker that takes more than one attempt: what its run is, its leader tells it.
    pub serving_command: Vec<String>,
    /// The job store is asked for the run by its number.
    pub by_number: bool,
    /// Variables of the worker. They can be read by whoever can read pods: no secrets.
    pub environment: Vec<(String, String)>,
    /// The service account of pods; `None` for the namespace's default.
    pub service_account: Option<String>,
    /// The region of AWS in which the job store is; `None`: none, or not known.
    pub region: Option<String>,
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
    /// `Unconfined`, `RuntimeDefault`, or the name of a profile of the node; `None` for what the node does by itself.
    pub apparmor: Option<String>,
    /// The security context of pods, in the place of ours.
    pub pod_security_context: Option<Value>,
    /// The security context of containers, in the place of ours.
    pub security_context: Option<Value>,
    /// Labels that a node must have.
    pub node_selector: Vec<(String, String)>,
    /// Taints that pods bear, as objects of Kubernetes.
    pub tolerations: Vec<Value>,
    /// The priority class of pods.
    pub priority_class: Option<String>,
    /// Secrets with credentials for the registry of the image.
    pub pull_secrets: Vec<String>,
    /// Secrets whose keys become variables of the worker.
    pub secret_environment: Vec<String>,
    /// What else pods see of the cluster.
    pub volumes: Vec<Volume>,
    /// Labels of Jobs and pods beside ours.
    pub job_labels: Vec<(String, String)>,
    /// The queue of Kueue in which Jobs wait.
    pub queue: Option<String>,
    /// Jobs may run on nodes that can be taken away at any time, unless their documents say otherwise.
    pub preemptible: bool,
    /// Disk for the image of a tool, in MiB, where images are kept in the pod.
    pub image_disk_mib: u64,
    /// Tools that name no image run in one all the same.
    pub has_default_image: bool,
    /// Workers see the inputs where they are, and need no disk for copies.
    pub sees_inputs: bool,
    /// Fields of pods, as [`crate::template::check`] gave them.
    pub template: Option<Value>,
    /// How long a pod may be about to start, once it has a node and its image.
    pub pod_timeout: Duration,
    /// Workers that begin later than this after their Jobs were made do so only if their leader lives; `None`: always.
    pub orphan_timeout: Option<Duration>,
    /// What workers say is told while they say it.
    pub live_logs: bool,
    /// Each attempt has a pod of its own.
    pub pod_per_job: bool,
    /// How long a pod that takes more than one job stays when there is nothing for it.
    pub pod_idle: Duration,
    /// How long such a pod waits for the next run when this one is over; zero: it goes with it.
    pub pod_keep: Duration,
    /// The leader's term.
    pub term: String,
    /// Letters and digits that nobody else knows, by which the leader knows what its workers say.
    pub mark: String,
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
            serving_command: command.clone(),
            command,
            by_number: false,
            environment: Vec::new(),
            service_account: None,
            region: None,
            aws_secret: None,
            host_path: None,
            work_dir: WORK_DIR.to_owned(),
            privileged: false,
            seccomp: "Unconfined".to_owned(),
            apparmor: None,
            pod_security_context: None,
            security_context: None,
            node_selector: Vec::new(),
            tolerations: Vec::new(),
            priority_class: None,
            pull_secrets: Vec::new(),
            secret_environment: Vec::new(),
            volumes: Vec::new(),
            job_labels: Vec::new(),
            queue: None,
            preemptible: false,
            image_disk_mib: 0,
            has_default_image: false,
            sees_inputs: false,
            template: None,
            pod_timeout: Duration::from_secs(120),
            orphan_timeout: None,
            live_logs: false,
            pod_per_job: false,
            pod_idle: Duration::from_secs(10),
            pod_keep: Duration::ZERO,
            term: String::new(),
            mark: String::new(),
        }
    }
}

/// Something that pods see beside what every pod has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What it is.
    pub source: VolumeSource,
    /// Where it is seen in pods: an absolute path.
    pub path: String,
    /// Nothing can be written there.
    pub read_only: bool,
}

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// A directory of the nodes.
    HostPath(String),
    /// A PersistentVolumeClaim.
    Claim(String),
    /// A Secret.
    Secret(String),
    /// A ConfigMap.
    ConfigMap(String),
}
