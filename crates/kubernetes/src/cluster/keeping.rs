//! Jobs whose pods wait for another run: they belong to none, and whoever is the first to put his name on one has it.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use moil_job::failure::Failure;
use serde_json::{Value, json};

use super::removal::Whose;
use super::{Cluster, has_ended, is_answer, is_conflict, is_gone, is_refused};
use crate::names;
use crate::outcome::{Standing, standing};
use crate::room::{Room, Waiting, Wanted};
use crate::settings::Settings;

/// A pod that waits no longer than this is left alone: it may be gone before it hears of us. In seconds.
const AT_LEAST: u64 = 2;

/// The oldest pod that is taken over.
const MOST_AGE: Duration = Duration::from_secs(6 * 3600);

/// For how long a pod that finds no node has the others of its owner stand back.
const YIELDS: Duration = Duration::from_secs(30);

/// A word that stands on a Job whose pod was gone when it was taken over: what is told of that Job must not be taken for news
/// of another one.
pub struct Spoilt;

impl Cluster {
    /// Leaves a Job and its pod, which waits for so long, to other runs.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn keep(&self, job: &str, pod: &str, wait: Duration) -> Result<(), Failure> {
        let now = now();
        // Whoever takes over the Job puts his name on the pod as well, and so that of this run goes first.
        let nobodys = json!({"metadata": {"labels": {names::RUN: null, names::TOIL_RUN: null}}});
        self.change::<Pod>(pod, &nobodys)
            .await
            .map_err(|error| self.failure("leave to other runs the pod", pod, &error))?;
        let change = json!({
            "metadata": {
                "labels": {names::RUN: null, names::TOIL_RUN: null, names::KEPT: "true"},
                "annotations": {
                    names::KEPT_POD: pod,
                    names::KEPT_SINCE: now.as_secs().to_string(),
                    names::KEPT_UNTIL: (now + wait).as_secs().to_string(),
                },
                "ownerReferences": null,
            },
            // When the worker has waited long enough it ends, and nothing stays.
            "spec": {"ttlSecondsAfterFinished": 0},
        });
        let kept = self.change::<Job>(job, &change).await;
        kept.map(drop).map_err(|error| self.failure("leave to other runs the Job", job, &error))
    }

    /// Takes over a Job whose pod waits, is like that of this one, and has room for attempts that want `each`, at most so
    /// many side by side: its name, and for how many. `Err`: one that was taken over was gone just then, with the word of
    /// this one.
    pub async fn take_over(
        &self,
        job: &Value,
        each: Room,
        most: u64,
    ) -> Result<Option<(String, u64)>, Spoilt> {
        let Some(like) = job["metadata"]["labels"][names::LIKE].as_str() else { return Ok(None) };
        let waiting = format!("{}={like},{}=true", names::LIKE, names::KEPT);
        let parameters = ListParams::default().labels(&waiting);
        // Without it pods are made as ever.
        let found = self.patient(|| async { self.jobs().list(&parameters).await }).await;
        let now = now();
        let found = found.into_iter().flatten().filter(|job| waits(job, now));
        let found = found.map(|job| (room(&job).holds(each, most), job));
        let mut found: Vec<(u64, Job)> = found.filter(|(count, _)| *count > 0).collect();
        // Of those that do, the one that has waited for the shortest time: who is not needed any more is seen by its wait.
        found.sort_by_key(|(count, job)| Reverse((*count, seconds(job, names::KEPT_SINCE))));
        for (count, there) in found {
            let Some(pod) = there.annotations().get(names::KEPT_POD).cloned() else { continue };
            let name = there.name_any();
            match self.change::<Job>(&name, &as_ours(job, there.resource_version())).await {
                Ok(_) => {}
                // The answer to a change that was made may have been lost.
                Err(error) if is_conflict(&error) && self.has_word_of(job, &name).await => {}
                Err(error) if is_conflict(&error) || is_gone(&error) => continue,
                Err(error) => {
                    self.complain(&self.failure("take over the Job", &name, &error));
                    return if is_answer(&error) { Ok(None) } else { Err(Spoilt) };
                }
            }
            let template = &job["spec"]["template"]["metadata"];
            let ours = json!({"metadata": {
                "labels": template["labels"],
                "annotations": {names::ATTEMPT: template["annotations"][names::ATTEMPT]},
            }});
            match self.change::<Pod>(&pod, &ours).await {
                Ok(pod) if pod.metadata.deletion_timestamp.is_none() => return Ok(Some((name, count))),
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => self.complain(&self.failure("take over the pod", &pod, &error)),
            }
            if let Err(failure) = self.remove_job(&name).await {
                self.complain(&failure);
            }
            return Err(Spoilt);
        }
        Ok(None)
    }

    /// Whether a Job has the word of ours.
    async fn has_word_of(&self, job: &Value, name: &str) -> bool {
        let there = self.patient(|| self.get::<Job>(name)).await;
        let word = job["metadata"]["annotations"][names::ATTEMPT].as_str();
        there.is_ok_and(|there| there.annotations().get(names::ATTEMPT).map(String::as_str) == word)
    }

    /// Whether pods of other runs of the owner have found no node in the last moments. Those that wait for longer need more
    /// than one owner can give.
    pub async fn is_crowded(&self, settings: &Settings) -> bool {
        let owner = Whose { owner: Some(&settings.owner), run: None }.selector();
        let others = format!("{owner},{}!={}", names::RUN, names::label(&settings.run));
        let parameters = ListParams::default().labels(&others).fields("spec.nodeName=");
        let found = self.patient(|| async { self.pods().list(&parameters).await }).await;
        let now = now();
        let is_in_need = |pod: &Pod| {
            now.saturating_sub(made(pod)) < YIELDS && matches!(standing(pod), Standing::Waiting(Some(_)))
        };
        // Who is in need of room looks for pods that wait as well.
        found.is_ok_and(|pods| pods.iter().any(is_in_need))
    }

    /// Removes all Jobs whose pods wait, of those that are selected. Says how many these were.
    pub(crate) async fn remove_waiting(&self, selector: &str) -> Result<usize, Failure> {
        let all = self.waiting(selector).await?;
        self.remove_still_waiting(all.iter()).await
    }

    /// Removes of them as many as others need, and says whether they are enough.
    pub(crate) async fn make_room(&self, selector: &str, wanted: Wanted) -> Result<bool, Failure> {
        let all = self.waiting(selector).await?;
        let now = now().as_secs();
        let waiting = all.iter().map(|job| Waiting {
            job: job.name_any(),
            room: room(job),
            waited: Duration::from_secs(now.saturating_sub(seconds(job, names::KEPT_SINCE))),
        });
        let (gone, are_enough) = wanted.from(waiting.collect());
        self.remove_still_waiting(all.iter().filter(|job| gone.contains(&job.name_any()))).await?;
        Ok(are_enough)
    }

    async fn waiting(&self, selector: &str) -> Result<Vec<Job>, Failure> {
        let parameters = ListParams::default().labels(&format!("{selector},{}=true", names::KEPT));
        let mut found = match self.patient(|| async { self.jobs().list(&parameters).await }).await {
            // People may clean without it: such pods end by themselves.
            Err(error) if is_refused(&error) => Vec::new(),
            found => found.map_err(|error| self.failure("list the Jobs of", selector, &error))?.items,
        };
        found.retain(|job| job.metadata.deletion_timestamp.is_none());
        Ok(found)
    }

    /// One that has been taken over in the meantime is at work.
    async fn remove_still_waiting(&self, jobs: impl Iterator<Item = &Job>) -> Result<usize, Failure> {
        let mut count = 0;
        for job in jobs {
            let is_gone = self.delete_version::<Job>(&job.name_any(), job.resource_version()).await?;
            count += usize::from(is_gone);
        }
        Ok(count)
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What the jobs of its pod may use; nothing, if it does not say.
fn room(job: &Job) -> Room {
    job.annotations().get(names::ROOM).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A time that a Job is annotated with, in seconds since 1970; 0 if it is not.
fn seconds(job: &Job, name: &str) -> u64 {
    job.annotations().get(name).and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

/// When it was made, since 1970.
fn made(object: &impl kube::Resource<DynamicType = ()>) -> Duration {
    let made = object.creation_timestamp().map_or(0, |made| made.0.as_second());
    Duration::from_secs(u64::try_from(made).unwrap_or(0))
}

/// Whether a pod of a Job waits, and will for a moment.
fn waits(job: &Job, now: Duration) -> bool {
    let is_old = now.saturating_sub(made(job)) > MOST_AGE;
    let lasts = seconds(job, names::KEPT_UNTIL) > now.as_secs() + AT_LEAST;
    lasts && !is_old && job.metadata.deletion_timestamp.is_none() && !has_ended(job)
}

/// The change that makes another Job, of this version, one of the run of `job`.
fn as_ours(job: &Value, version: Option<String>) -> Value {
    let metadata = &job["metadata"];
    let mut labels = metadata["labels"].clone();
    labels[names::KEPT] = Value::Null;
    let mut annotations = metadata["annotations"].clone();
    for name in [names::KEPT_POD, names::KEPT_SINCE, names::KEPT_UNTIL] {
        annotations[name] = Value::Null;
    }
    // It stays what it is.
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(names::ROOM);
    }
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
