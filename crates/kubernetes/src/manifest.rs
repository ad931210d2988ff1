//! The Job of an attempt: a pure function of the attempt and the settings.

use std::collections::HashSet;

use moil_cwl::value::Value as CwlValue;
use moil_job::resources::Resources;
use moil_job::spec::Attempt;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::names;
use crate::placement;
use crate::room::Room;
use crate::settings::{Settings, VolumeSource};
use crate::template;

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

/// The volume with the secrets of a job.
pub const SECRETS_VOLUME: &str = "job";

/// What a Job is made for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The attempt, by its word, or what names a pod that takes more than one.
    pub word: &'a str,
    /// How many bytes of its attempts it may keep, if it takes more than one.
    pub serves: Option<u64>,
    /// What people call the job.
    pub step: &'a str,
    /// What it may use.
    pub granted: &'a Resources,
    /// The Secret with what its inputs hide.
    pub secrets: Option<&'a str>,
    /// Nodes on which earlier attempts at the job were lost: others are better.
    pub avoid: &'a [String],
    /// Bytes of its inputs, as far as they are known.
    pub inputs: u64,
    /// Its tool names an image.
    pub has_image: bool,
    /// Whether it may be on nodes that can be taken away, if its document says so.
    pub preemptible: Option<bool>,
    /// A worker that begins after this time looks first whether its leader lives; in seconds since 1970.
    pub late: Option<u64>,
}

impl<'a> Order<'a> {
    /// What the Job of an attempt is made for.
    pub fn of(word: &'a str, attempt: &'a Attempt, secrets: Option<&'a str>, avoid: &'a [String]) -> Self {
        Self {
            word,
            serves: None,
            step: &attempt.job.name,
            granted: &attempt.granted,
            secrets,
            avoid,
            inputs: bytes(&attempt.job.inputs),
            has_image: attempt.job.tool.effective.docker.is_some(),
            preemptible: attempt.job.tool.effective.preemptible,
            late: None,
        }
    }
}

/// Bytes of all files of an input object whose sizes are known, each once.
pub(crate) fn bytes(inputs: &CwlValue) -> u64 {
    let (mut seen, mut bytes) = (HashSet::new(), 0_u64);
    inputs.visit_files(&mut |item| {
        if let CwlValue::File(file) = item
            && file.location.as_ref().is_none_or(|location| seen.insert(location))
        {
            bytes = bytes.saturating_add(file.size.unwrap_or(0));
        }
    });
    bytes
}

/// The Job of an attempt, as JSON. `owner` is a reference to what owns it.
pub fn job(order: &Order<'_>, settings: &Settings, owner: &Value) -> Value {
    let Order { word, step, .. } = *order;
    let name = names::job(&settings.owner, &settings.run, word, step);
    let mut labels = labels(settings);
    labels.insert("moil/job".to_owned(), names::label(step).into());
    for (key, value) in &settings.job_labels {
        labels.insert(key.clone(), value.as_str().into());
    }
    let mut annotations = json!({
        names::ATTEMPT: word,
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    });
    if let Some(profile) = &settings.apparmor {
        let profile = match profile.as_str() {
            "Unconfined" => "unconfined".to_owned(),
            "RuntimeDefault" => "runtime/default".to_owned(),
            path => format!("localhost/{path}"),
        };
        // Before 1.30 there is no field for it. Where there is one, both must say the same.
        annotations[format!("container.apparmor.security.beta.kubernetes.io/{CONTAINER}")] = profile.into();
    }
    let mut template = json!({
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": pod(order, settings),
    });
    if let Some(wanted) = &settings.template {
        template::merge(&mut template, wanted);
    }
    if let Some(queue) = &settings.queue {
        // Kueue itself suspends such a Job, and lets it go when its turn comes.
        labels.insert(names::QUEUE.to_owned(), queue.as_str().into());
    }
    let mut notes = json!({
        names::ATTEMPT: word,
        "moil/store": settings.store,
        "moil/step": step,
    });
    if order.serves.is_some() {
        labels.insert(names::LIKE.to_owned(), likeness(&template, order, settings).into());
        notes[names::ROOM] = Room::of(order.granted).to_string().into();
    }
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": labels,
            "ownerReferences": [owner],
            "annotations": notes,
        },
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT,
            "template": template,
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
        (names::OWNER, &settings.owner),
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

/// What pods have in common that could take the place of each other: all but whose run they are of, and how much room they
/// have. Where people say themselves how much pods ask for, that is not known from the jobs, and must be the same.
fn likeness(template: &Value, order: &Order<'_>, settings: &Settings) -> String {
    let mut template = template.clone();
    let empty = Resources { cores: 0.0, ram_mib: 0, tmpdir_mib: 0, outdir_mib: 0, gpus: order.granted.gpus };
    let own = resources(order, settings);
    for container in template["spec"]["containers"].as_array_mut().into_iter().flatten() {
        if container["name"] == CONTAINER && container["resources"] == own {
            container["resources"] = resources(&Order { granted: &empty, ..*order }, settings);
        }
    }
    let metadata = [("labels", names::RUN), ("labels", names::TOIL_RUN), ("annotations", names::ATTEMPT)];
    for (kind, name) in metadata {
        if let Some(all) = template["metadata"][kind].as_object_mut() {
            all.remove(name);
        }
    }
    digest(&template)
}

fn pod(order: &Order<'_>, settings: &Settings) -> Value {
    let mut volumes = vec![match &settings.host_path {
        Some(path) => json!({"name": "work", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}),
        None => json!({"name": "work", "emptyDir": {}}),
    }];
    let mut mounts = vec![json!({"name": "work", "mountPath": settings.work_dir})];
    let mut environment = settings.environment.clone();
    environment.push(("TOIL_WORKDIR".to_owned(), settings.work_dir.clone()));
    environment.push(("HOME".to_owned(), home(settings)));
    let mut args = match order.serves {
        None => [&settings.command[..], &["--attempt".to_owned(), order.word.to_owned()]].concat(),
        Some(room) => {
            let words = ["--serve", "--room", &room.to_string()].map(str::to_owned);
            [&settings.serving_command[..], &words].concat()
        }
    };
    if let Some(late) = order.late {
        args.extend(["--late".to_owned(), late.to_string()]);
    }
    if let Some(secret) = &settings.aws_secret {
        volumes.push(json!({"name": "aws", "secret": {"secretName": secret}}));
        mounts.push(json!({"name": "aws", "mountPath": AWS, "readOnly": true}));
        environment.push(("AWS_SHARED_CREDENTIALS_FILE".to_owned(), format!("{AWS}/credentials")));
        environment.push(("AWS_CONFIG_FILE".to_owned(), format!("{AWS}/config")));
    }
    if let Some(secret) = order.secrets {
        volumes.push(json!({"name": SECRETS_VOLUME, "secret": {"secretName": secret}}));
        mounts.push(json!({"name": SECRETS_VOLUME, "mountPath": SECRETS, "readOnly": true}));
        args.extend(["--secrets".to_owned(), format!("{SECRETS}/{SECRETS_KEY}")]);
    }
    for (number, volume) in settings.volumes.iter().enumerate() {
        let name = format!("volume-{}", number + 1);
        let (kind, source) = match &volume.source {
            // One that is missing is told, and not made as an empty directory.
            VolumeSource::HostPath(path) => ("hostPath", json!({"path": path, "type": "Directory"})),
            VolumeSource::Claim(claim) => ("persistentVolumeClaim", json!({"claimName": claim})),
            VolumeSource::Secret(secret) => ("secret", json!({"secretName": secret})),
            VolumeSource::ConfigMap(map) => ("configMap", json!({"name": map})),
        };
        let mut mount = json!({"name": name, "mountPath": volume.path});
        if volume.read_only {
            mount["readOnly"] = true.into();
        }
        volumes.push(json!({"name": name, kind: source}));
        mounts.push(mount);
    }
    let mut container = json!({
        "name": CONTAINER,
        "image": settings.image,
        // The image's entry point makes any user known to Apptainer.
        "args": args,
        "env": variables(environment),
        "resources": resources(order, settings),
        "securityContext": container_security(settings),
        "volumeMounts": mounts,
        // What an image without moil says, or a worker that found no store.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if order.serves.is_some() {
        // It stays open when a leader goes: the next one attaches to it.
        container["stdin"] = true.into();
    }
    if !settings.secret_environment.is_empty() {
        let of = |secret: &String| json!({"secretRef": {"name": secret}});
        container["envFrom"] = settings.secret_environment.iter().map(of).collect();
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "securityContext": settings.pod_security_context.clone().unwrap_or_else(|| pod_security(settings)),
        "containers": [container],
        "volumes": volumes,
    });
    if let Some(account) = &settings.service_account {
        pod["serviceAccountName"] = account.as_str().into();
    }
    if let Some(class) = &settings.priority_class {
        pod["priorityClassName"] = class.as_str().into();
    }
    if !settings.pull_secrets.is_empty() {
        let of = |secret: &String| json!({"name": secret});
        pod["imagePullSecrets"] = settings.pull_secrets.iter().map(of).collect();
    }
    if settings.host_path.is_some() {
        pod["initContainers"] = json!([share(settings)]);
    }
    placement::place(&mut pod, order, settings);
    pod
}

/// Where a worker keeps images: each owner in a folder of its own, where a directory is shared.
fn home(settings: &Settings) -> String {
    match &settings.host_path {
        Some(_) => format!("{}/{}", settings.work_dir, names::owner(&settings.owner)),
        None => settings.work_dir.clone(),
    }
}

/// Opens a directory of the node that Kubernetes has made, as root's alone, to the users of pods. One that people have
/// made stays as it is.
fn share(settings: &Settings) -> Value {
    let script = "[ \"$(stat -c %u:%a \"$0\")\" != 0:755 ] || chmod 1777 \"$0\"";
    let little = json!({"cpu": "10m", "memory": "32Mi"});
    json!({
        "name": "share",
        "image": settings.image,
        "args": ["sh", "-c", script, settings.work_dir],
        "resources": {"requests": little, "limits": {"memory": "32Mi"}},
        "securityContext": {
            "runAsUser": 0,
            "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "work", "mountPath": settings.work_dir}],
    })
}

/// Variables as Kubernetes writes them. Of those with one name the last one counts.
fn variables(environment: Vec<(String, String)>) -> Vec<Value> {
    let mut last: Vec<(String, String)> = Vec::with_capacity(environment.len());
    for (name, value) in environment {
        last.retain(|(known, _)| *known != name);
        last.push((name, value));
    }
    last.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// The key of a Secret with what a job's inputs hide.
pub const SECRETS_KEY: &str = "secrets.json";

/// User namespaces, in which tools run, are all the rights that a worker needs; the usual seccomp profile forbids them.
fn pod_security(settings: &Settings) -> Value {
    json!({"seccompProfile": profile(&settings.seccomp)})
}

fn container_security(settings: &Settings) -> Value {
    let mut security = match &settings.security_context {
        Some(security) => security.clone(),
        None if settings.privileged => json!({"privileged": true}),
        None => json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
    };
    if let Some(apparmor) = &settings.apparmor {
        security["appArmorProfile"] = profile(apparmor);
    }
    security
}

/// A profile of seccomp or AppArmor.
fn profile(name: &str) -> Value {
    match name {
        kind @ ("Unconfined" | "RuntimeDefault") => json!({"type": kind}),
        path => json!({"type": "Localhost", "localhostProfile": path}),
    }
}

/// Cores are asked for, and not limited: a limit would hold up the worker itself. Memory and disk are both.
fn resources(order: &Order<'_>, settings: &Settings) -> Value {
    let granted = order.granted;
    let memory = format!("{}Mi", granted.ram_mib + OVERHEAD_MEMORY);
    let mut disk = granted.disk_mib().saturating_add(OVERHEAD_DISK);
    if let Some(room) = order.serves {
        disk = disk.saturating_add(room.div_ceil(1 << 20));
    }
    if !settings.sees_inputs {
        disk = disk.saturating_add(order.inputs.div_ceil(1 << 20));
    }
    // With a directory of the node, images lie there.
    if settings.host_path.is_none() && (order.has_image || settings.has_default_image) {
        disk = disk.saturating_add(settings.image_disk_mib);
    }
    let mut limits = json!({"memory": memory, "ephemeral-storage": format!("{disk}Mi")});
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use moil_cwl::value::{Directory, File};

    #[test]
    fn bytes_of_inputs_are_counted_once() {
        let file = |location: &str, size: u64, beside: Vec<CwlValue>| {
            CwlValue::File(Arc::new(File {
                location: Some(location.into()),
                size: Some(size),
                secondary_files: Arc::new(beside),
                ..File::default()
            }))
        };
        let directory = CwlValue::Directory(Arc::new(Directory {
            listing: Some(Arc::new(vec![file("s3://b/d", 1000, Vec::new())])),
            ..Directory::default()
        }));
        let reads = file("s3://b/a", 1, vec![file("s3://b/i", 10, Vec::new())]);
        let inputs = CwlValue::list(vec![reads.clone(), reads, file("s3://b/c", 100, Vec::new()), directory]);
        assert_eq!(bytes(&inputs), 1111);
        assert_eq!(bytes(&CwlValue::Null), 0);
    }
}
