//! Pods that outlive their run, and wait for the next one (`--kubernetesPodKeep`).

use std::sync::Arc;

use moil_job::frames::Order;
use tokio::time::{Duration, Instant};

use super::{For, Lead, Told};
use crate::cluster::removal::Whose;
use crate::events;
use crate::room::Wanted;

/// How long a worker may take to be ready for another run.
const PATIENCE: Duration = Duration::from_secs(10);

/// After as many pods were removed as others need, when to look whether more have to go: by then they are gone.
const AGAIN: Duration = Duration::from_secs(5);

/// The same, when there were too few.
const SOON: Duration = Duration::from_secs(1);

impl Lead {
    /// Asks the worker of a pod to wait for another run. `false`: it is not to, or the pod may have something to do.
    pub(super) fn lets_rest(&mut self, number: u64) -> bool {
        let seconds = self.settings.pod_keep.as_secs();
        let Some(pod) = self.serving.pods.get_mut(&number).filter(|_| seconds > 0) else { return false };
        if pod.class.is_none() || pod.leaves || !pod.is_made || !pod.has_answered || !pod.attempts.is_empty()
        {
            return false;
        }
        pod.leaves = true;
        pod.rests = Some(Instant::now());
        pod.order(Order::Rest { seconds });
        true
    }

    /// Whether a worker has taken too long to say that it waits.
    pub(super) fn does_not_rest(since: Instant, now: Instant) -> bool {
        now - since > PATIENCE
    }

    /// Where pods find no room, those of the same owner that wait for another run make some.
    pub(super) fn make_room(&mut self, now: Instant) {
        if self.settings.pod_keep.is_zero() || self.serving.makes_room.is_some_and(|next| now < next) {
            return;
        }
        self.serving.makes_room = Some(now + AGAIN);
        let roomless = self.roomless.iter().filter_map(|id| self.active.get(id));
        let wanted = roomless.fold(Wanted::default(), |wanted, active| wanted.and(active.room));
        let (cluster, owner, told) = (self.cluster.clone(), self.settings.owner.clone(), self.told.clone());
        tokio::spawn(async move {
            let selector = Whose { owner: Some(&owner), run: None }.selector();
            match cluster.make_room(&selector, wanted).await {
                Ok(true) => {}
                Ok(false) => _ = told.send(Told::TooLittleRoom),
                Err(failure) => cluster.complain(&failure),
            }
        });
    }

    /// The pods that could make room were too few: another one may come at any time.
    pub(super) fn too_little_room(&mut self) {
        self.serving.makes_room = Some(Instant::now() + SOON);
    }

    /// The namespace has no room for a Job, in the server's words.
    pub(super) fn no_room(&mut self, id: For, words: &str) {
        if !self.active.contains_key(&id) {
            return;
        }
        self.roomless.insert(id.clone());
        self.make_room(Instant::now());
        if self.crowded.insert(events::gist(words).to_owned()) {
            self.report_note(&id, format!("waits for room in the namespace: {words}"));
        }
    }

    /// A worker waits for another run: its pod is this one's no more.
    pub(super) fn rests(&mut self, number: u64) {
        let Some(pod) = self.serving.pods.get(&number).filter(|pod| pod.rests.is_some()) else { return };
        let Some(name) = pod.name.clone() else { return };
        self.serving.pods.remove(&number);
        let Some(job) = self.forget(&For::Many(number)).and_then(|active| active.job) else { return };
        self.serving.leaving += 1;
        let settings = Arc::clone(&self.settings);
        let (cluster, told) = (self.cluster.clone(), self.told.clone());
        tokio::spawn(async move {
            // Handed from run to run, it would never go, and those that wait for room never begin.
            let mut is_kept = !cluster.is_crowded(&settings).await;
            if is_kept && let Err(failure) = cluster.keep(&job, &name, settings.pod_keep).await {
                cluster.complain(&failure);
                is_kept = false;
            }
            if !is_kept && let Err(failure) = cluster.remove_job(&job).await {
                cluster.complain(&failure);
            }
            let _ = told.send(Told::Kept);
        });
    }
}
