//! The Job of an attempt: a pure function of the attempt and the settings.

use moil_job::resources::Resources;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::names;
use crate::settings::Settings;

/// How long a Job that is over is kept, in seconds, should nobody remove it.
const KEPT: u32 = 3600;

/// What a worker needs beside its tool, in MiB.
const OVERHEAD_MEMORY: u64 = 64;

/// What a pod needs beside the files of its job, in MiB.
const OVERHEAD_DISK: u64 = 256;

/// Where the files for AWS are seen in a pod.
const AWS: &str = "/var/run/secrets/moil/aws";

/// Where the secrets of a job are seen in a pod, in the file `secrets.json`.
const SECRETS: &str = "/var/run/secrets/moil/job";

/// The container of a pod.
pub const CONTAINER: &str = "worker";

/// What a Job is made for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The attempt, by its word.
    pub word: &'a str,
    /// What people call the job.
    pub step: &'a str,
    /// What it may use.
    pub granted: &'a Resources,
    /// The Secret with what its inputs hide.
    pub secrets: Option<&'a str>,
    /// Nodes on which earlier attempts at the job were lost: others are better.
    pub avoid: &'a [String],
}

/// The Job of an attempt, as JSON. `owner` is a reference to what owns it.
pub fn job(order: &Order<'_>, settings: &Settings, owner: &Value) -> Value {
    let Order { word, step, .. } = *order;
    let name = names::job(&settings.owner, &settings.run, word, step);
    let mut labels = labels(settings);
    labels.insert("moil/job".to_owned(), names::label(step).into());
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": labels,
            "ownerReferences": [owner],
            "annotations": {
                names::ATTEMPT: word,
                "moil/store": settings.store,
                "moil/step": step,
            },
        },
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT,
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        names::ATTEMPT: word,
                        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
                    },
                },
                "spec": pod(order, settings),
            },
        },
    });
    job["metadata"]["annotations"][names::DIGEST] = digest(&job).into();
    job
}

/// The labels of all that belongs to a run.
pub fn labels(settings: &Settings) -> Map<String, Value> {
    let mut labels = Map::new();
    for (name, value) in [
        ("app.kubernetes.io/name", "moil-worker"),
        ("app.kubernetes.io/managed-by", "moil"),
        ("moil/owner", &settings.owner),
        (names::RUN, &settings.run),
        (names::TOIL_RUN, &settings.run),
    ] {
        labels.insert(name.to_owned(), names::label(value).into());
    }
    labels
}

fn digest(job: &Value) -> String {
    names::hex(&Sha256::digest(job.to_string().as_bytes()))[..32].to_owned()
}

fn pod(order: &Order<'_>, settings: &Settings) -> Value {
    let mut volumes = vec![json!({"name": "work", "emptyDir": {}})];
    if let Some(path) = &settings.host_path {
        volumes[0] = json!({"name": "work", "hostPath": {"path": path, "type": "DirectoryOrCreate"}});
    }
    let mut mounts = vec![json!({"name": "work", "mountPath": settings.work_dir})];
    let mut environment: Vec<Value> =
        settings.environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    environment.push(json!({"name": "TOIL_WORKDIR", "value": settings.work_dir}));
    environment.push(json!({"name": "HOME", "value": settings.work_dir}));
    let mut command = settings.command.clone();
    command.extend(["--attempt".to_owned(), order.word.to_owned()]);
    if let Some(secret) = &settings.aws_secret {
        volumes.push(json!({"name": "aws", "secret": {"secretName": secret}}));
        mounts.push(json!({"name": "aws", "mountPath": AWS, "readOnly": true}));
        environment
            .push(json!({"name": "AWS_SHARED_CREDENTIALS_FILE", "value": format!("{AWS}/credentials")}));
        environment.push(json!({"name": "AWS_CONFIG_FILE", "value": format!("{AWS}/config")}));
    }
    if let Some(secret) = order.secrets {
        volumes.push(json!({"name": "job", "secret": {"secretName": secret}}));
        mounts.push(json!({"name": "job", "mountPath": SECRETS, "readOnly": true}));
        command.extend(["--secrets".to_owned(), format!("{SECRETS}/{SECRETS_KEY}")]);
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "securityContext": settings.pod_security_context.clone().unwrap_or_else(|| pod_security(settings)),
        "containers": [{
            "name": CONTAINER,
            "image": settings.image,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "command": command,
            "env": environment,
            "resources": resources(order.granted),
            "securityContext": settings.security_context.clone().unwrap_or_else(|| security(settings)),
            "volumeMounts": mounts,
        }],
        "volumes": volumes,
    });
    if !order.avoid.is_empty() {
        pod["affinity"] = elsewhere(order.avoid);
    }
    if let Some(account) = &settings.service_account {
        pod["serviceAccountName"] = account.as_str().into();
    }
    pod
}

/// A preference only: of a cluster with one node there is no other.
fn elsewhere(avoid: &[String]) -> Value {
    let expression = json!({"key": "kubernetes.io/hostname", "operator": "NotIn", "values": avoid});
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {"matchExpressions": [expression]}},
    ]}})
}

/// The key of a Secret with what a job's inputs hide.
pub const SECRETS_KEY: &str = "secrets.json";

/// User namespaces, in which tools run, are all the rights that a worker needs; the usual seccomp profile forbids them.
fn pod_security(settings: &Settings) -> Value {
    let seccomp = match settings.seccomp.as_str() {
        kind @ ("Unconfined" | "RuntimeDefault") => json!({"type": kind}),
        path => json!({"type": "Localhost", "localhostProfile": path}),
    };
    json!({"seccompProfile": seccomp})
}

fn security(settings: &Settings) -> Value {
    if settings.privileged {
        return json!({"privileged": true});
    }
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
}

/// Cores are asked for, and not limited: a limit would hold up the worker itself. Memory and disk are both.
fn resources(granted: &Resources) -> Value {
    let memory = format!("{}Mi", granted.ram_mib + OVERHEAD_MEMORY);
    let disk = format!("{}Mi", granted.disk_mib() + OVERHEAD_DISK);
    let mut limits = json!({"memory": memory, "ephemeral-storage": disk});
    let mut requests = limits.clone();
    requests["cpu"] = cores(granted.cores).into();
    if granted.gpus > 0 {
        for list in [&mut limits, &mut requests] {
            list["nvidia.com/gpu"] = granted.gpus.to_string().into();
        }
    }
    json!({"requests": requests, "limits": limits})
}

/// A number of cores in the notation of Kubernetes: whole thousandths.
fn cores(cores: f64) -> String {
    format!("{}m", (cores * 1000.0).ceil() as u64)
}
