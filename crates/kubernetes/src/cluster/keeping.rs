//! Jobs whose pods wait for another run: they belong to none, and whoever is the first to put his name on one has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use moil_job::failure::Failure;
use serde_json::{Value, json};

use super::{Cluster, has_ended, is_conflict, is_gone, is_refused};
use crate::names;

/// A pod that waits no longer than this is left alone: it may be gone before it hears of us. In seconds.
const AT_LEAST: u64 = 2;

/// The oldest pod that is taken over.
const MOST_AGE: Duration = Duration::from_secs(6 * 3600);

impl Cluster {
    /// Leaves a Job and its pod, which waits until then (in seconds since 1970), to other runs.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn keep(&self, job: &str, pod: &str, until: u64) -> Result<(), Failure> {
        // Whoever takes over the Job puts his name on the pod as well, and so that of this run goes first.
        let nobodys = json!({"metadata": {"labels": {names::RUN: null, names::TOIL_RUN: null}}});
        self.change::<Pod>(pod, &nobodys)
            .await
            .map_err(|error| self.failure("leave to other runs the pod", pod, &error))?;
        let change = json!({
            "metadata": {
                "labels": {names::RUN: null, names::TOIL_RUN: null, names::KEPT: "true"},
                "annotations": {names::KEPT_POD: pod, names::KEPT_UNTIL: until.to_string()},
                "ownerReferences": null,
            },
            // When the worker has waited long enough it ends, and nothing stays.
            "spec": {"ttlSecondsAfterFinished": 0},
        });
        let kept = self.change::<Job>(job, &change).await;
        kept.map(drop).map_err(|error| self.failure("leave to other runs the Job", job, &error))
    }

    /// Takes over a Job whose pod waits, and that is like this one: its name.
    pub async fn take_over(&self, job: &Value) -> Option<String> {
        let like = job["metadata"]["labels"][names::LIKE].as_str()?;
        let waiting = format!("{}={like},{}=true", names::LIKE, names::KEPT);
        let parameters = ListParams::default().labels(&waiting);
        // Without it pods are made as ever.
        let found = self.patient(|| async { self.jobs().list(&parameters).await }).await.ok()?.items;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut found: Vec<Job> = found.into_iter().filter(|job| waits(job, now)).collect();
        // Those that look at the same time should not all want the same one.
        let word = job["metadata"]["name"].as_str().unwrap_or_default();
        let start = word.bytes().map(usize::from).sum::<usize>() % found.len().max(1);
        found.rotate_left(start);
        for there in found {
            let (name, pod) = (there.name_any(), there.annotations().get(names::KEPT_POD)?.clone());
            match self.change::<Job>(&name, &as_ours(job, there.resource_version())).await {
                Ok(_) => {}
                Err(error) if is_conflict(&error) || is_gone(&error) => continue,
                Err(error) => {
                    self.complain(&self.failure("take over the Job", &name, &error));
                    return None;
                }
            }
            let template = &job["spec"]["template"]["metadata"];
            let ours = json!({"metadata": {
                "labels": template["labels"],
                "annotations": {names::ATTEMPT: template["annotations"][names::ATTEMPT]},
            }});
            match self.change::<Pod>(&pod, &ours).await {
                Ok(pod) if pod.metadata.deletion_timestamp.is_none() => return Some(name),
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => self.complain(&self.failure("take over the pod", &pod, &error)),
            }
            if let Err(failure) = self.remove_job(&name).await {
                self.complain(&failure);
            }
        }
        None
    }

    /// Removes Jobs whose pods wait, of those that are selected, and says how many these were.
    pub(crate) async fn remove_waiting(&self, selector: &str) -> Result<usize, Failure> {
        let parameters = ListParams::default().labels(&format!("{selector},{}=true", names::KEPT));
        let found = match self.patient(|| async { self.jobs().list(&parameters).await }).await {
            // People may clean without it: such pods end by themselves.
            Err(error) if is_refused(&error) => return Ok(0),
            found => found.map_err(|error| self.failure("list the Jobs of", selector, &error))?.items,
        };
        for job in &found {
            self.remove_job(&job.name_any()).await?;
        }
        Ok(found.len())
    }
}

/// Whether a pod of a Job waits, and will for a moment.
fn waits(job: &Job, now: Duration) -> bool {
    let until = job.annotations().get(names::KEPT_UNTIL).and_then(|until| until.parse::<u64>().ok());
    let made = job.creation_timestamp().map_or(0, |made| made.0.as_second());
    let is_old = now.as_secs().saturating_sub(u64::try_from(made).unwrap_or(0)) > MOST_AGE.as_secs();
    let lasts = until.is_some_and(|until| until > now.as_secs() + AT_LEAST);
    lasts && !is_old && job.metadata.deletion_timestamp.is_none() && !has_ended(job)
}

/// The change that makes another Job, of this version, one of the run of `job`.
fn as_ours(job: &Value, version: Option<String>) -> Value {
    let metadata = &job["metadata"];
    let mut labels = metadata["labels"].clone();
    labels[names::KEPT] = Value::Null;
    let mut annotations = metadata["annotations"].clone();
    (annotations[names::KEPT_POD], annotations[names::KEPT_UNTIL]) = (Value::Null, Value::Null);
    json!({
        "metadata": {
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": metadata["ownerReferences"],
            "resourceVersion": version,
        },
        "spec": {"ttlSecondsAfterFinished": job["spec"]["ttlSecondsAfterFinished"]},
    })
}
