//! What is made of what the API server tells.

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as Occurrence, Pod};
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use moil_job::executor::Report;
use moil_job::failure::{Failure, FailureKind};
use tokio::time::Instant;

use super::{ASK, For, Lead};
use crate::cluster;
use crate::events::{self, Said};
use crate::logs;
use crate::names;
use crate::outcome::{Standing, has_no_store, standing};
use crate::waiting::Wait;

impl Lead {
    pub(super) fn pod(&mut self, event: Event<Pod>) {
        let (pod, is_gone) = match event {
            Event::Apply(pod) | Event::InitApply(pod) => (pod, false),
            Event::Delete(pod) => (pod, true),
            // Those that are not listed were deleted meanwhile.
            Event::Init => {
                self.listing = true;
                return self.pods.clear();
            }
            Event::InitDone => {
                self.listing = false;
                return self.find_lost();
            }
        };
        let Some(word) = pod.annotations().get(names::ATTEMPT).cloned() else { return };
        let standing = match (standing(&pod), is_gone) {
            (ended @ (Standing::Ended(_) | Standing::EndedItself(_)), _) => ended,
            (Standing::Leaving(_, failure), true) => Standing::Ended(failure),
            (_, true) => Standing::Ended(Failure::new(
                FailureKind::Lost,
                format!("its pod {} was deleted", pod.name_any()),
            )),
            (standing, false) => standing,
        };
        self.pods.insert(word.clone(), standing);
        if let Some(active) = self.ids.get(&word).and_then(|id| self.active.get_mut(id)) {
            active.turn = None;
            active.node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            active.storeless = has_no_store(&pod);
        }
        self.place(&word, &pod);
        // First, since one that has ended already has a log as well.
        self.follow(&word, &pod);
        self.look(&word);
        self.talk(&word, &pod);
        if is_gone {
            self.pods.remove(&word);
        }
    }

    /// Tells where an attempt is at work, once.
    fn place(&mut self, word: &str, pod: &Pod) {
        let Some(id) = self.ids.get(word).filter(|_| matches!(self.pods.get(word), Some(Standing::Running)))
        else {
            return;
        };
        let Some(active) = self.active.get_mut(id).filter(|active| active.place.is_none()) else { return };
        let node = active.node.as_deref().unwrap_or("a node without a name");
        let place: Arc<str> = format!("{} on {node}", pod.name_any()).into();
        active.place = Some(Arc::clone(&place));
        if let For::One(id) = id {
            (self.reporter)(Report::Placed(id.clone(), place));
        }
    }

    /// Begins to follow the log of a pod, if it is wanted and the pod has one.
    fn follow(&mut self, word: &str, pod: &Pod) {
        let has_log = matches!(
            self.pods.get(word),
            Some(Standing::Running | Standing::Ended(_) | Standing::EndedItself(_))
        );
        let Some(id) = self.ids.get(word).filter(|_| has_log && self.settings.live_logs) else { return };
        let Some(active) = self.active.get_mut(id).filter(|active| active.log.is_none() && !active.ending)
        else {
            return;
        };
        let (For::One(id), reporter) = (id.clone(), Arc::clone(&self.reporter)) else { return };
        let tell = move |line| reporter(Report::Output(id.clone(), line));
        active.log = Some(tokio::spawn(logs::follow(self.cluster.clone(), pod.name_any(), tell)));
    }

    /// After all pods were listed anew: an attempt without one may have lost it while nobody looked.
    fn find_lost(&mut self) {
        for (id, active) in &self.active {
            if let (Some(word), Some(job), false) = (&active.word, &active.job, active.ending)
                && !self.pods.contains_key(word)
            {
                self.expect_pod(id.clone(), job.clone());
            }
        }
    }

    pub(super) fn job(&mut self, event: Event<Job>) {
        let (job, is_gone) = match event {
            Event::Apply(job) | Event::InitApply(job) => (job, false),
            Event::Delete(job) => (job, true),
            Event::Init => return,
            Event::InitDone if self.listing => return,
            Event::InitDone => return self.find_lost(),
        };
        if is_gone {
            self.room.notify_one();
        }
        let id = job.annotations().get(names::ATTEMPT).and_then(|word| self.ids.get(word)).cloned();
        let Some(id) = id else { return };
        let Some(active) = self.active.get_mut(&id).filter(|active| !active.cancelled) else { return };
        if is_gone || job.metadata.deletion_timestamp.is_some() {
            active.removed = true;
            self.no_pod(&id, "its Job was deleted");
        } else {
            active.watched = true;
            if cluster::has_ended(&job) {
                self.no_pod(&id, "its Job is over, and its pod is gone");
            }
        }
    }

    pub(super) fn event(&mut self, event: &Occurrence) {
        let (Some((kind, name)), Some(said)) = (events::about(event), events::said(event)) else { return };
        let Some(id) = self.owner_of(kind, name) else { return };
        let Some(active) = self.active.get_mut(&id) else { return };
        let timeout = self.settings.pod_timeout;
        match said {
            // It counts only as long as there is no pod.
            Said::NoPodEver(_) | Said::NoPodYet(_) if active.turn.is_none() => {}
            Said::NoPodEver(words) => {
                let failure = Failure::new(FailureKind::Refused, "the cluster does not take its pod")
                    .with_cause(words)
                    .with_advice(
                        "see docs/kubernetes.md on what pods need, and the options of pods that change it",
                    );
                self.end(&id, failure, false);
            }
            Said::NoPodYet(words) => {
                self.roomless.insert(id.clone());
                self.make_room(Instant::now());
                if self.crowded.insert(events::gist(&words).to_owned()) {
                    self.note(&id, format!("waits: {words}"));
                }
            }
            Said::Note(words) => self.note(&id, words),
            Said::Trouble(words) => {
                active.heard = Some(words.clone());
                self.note(&id, format!("waits: {words}"));
            }
            Said::Fetching | Said::Fetched => {
                let is_over = said == Said::Fetched;
                if let Some(wait) = &mut active.wait {
                    wait.fetching(Instant::now(), timeout, is_over);
                    self.look_at(&id);
                }
            }
        }
    }

    /// The attempt that has no worker yet, by its Job, or by its pod, whose name begins with that.
    fn owner_of(&self, kind: &str, name: &str) -> Option<For> {
        let job = match kind {
            "Job" => name,
            "Pod" => name.rsplit_once('-')?.0,
            _ => return None,
        };
        self.idle.get(job).cloned()
    }

    /// Says why an attempt waits, once.
    fn note(&mut self, id: &For, text: String) {
        let Some(active) = self.active.get_mut(id) else { return };
        if active.said.as_ref() != Some(&text) {
            active.said = Some(text.clone());
            self.report_note(id, text);
        }
    }

    /// An attempt has a Job and no worker.
    pub(super) fn waits(&mut self, id: &For, job: &str) {
        self.idle.insert(job.to_owned(), id.clone());
        self.looks.push(Reverse((Instant::now() + ASK, id.clone())));
    }

    /// It has one, or needs none any more.
    pub(super) fn started(&mut self, job: Option<&str>) {
        if job.is_some_and(|job| self.idle.remove(job).is_some()) && self.idle.is_empty() {
            self.asking = false;
        }
    }

    /// Acts on how it stands with the pod of an attempt.
    pub(super) fn look(&mut self, word: &str) {
        let (Some(id), Some(standing)) = (self.ids.get(word).cloned(), self.pods.get(word).cloned()) else {
            return;
        };
        let Some(active) = self.active.get_mut(&id) else { return };
        let had_image =
            !matches!(active.wait.as_ref().map(|wait| &wait.why), Some(crate::waiting::Why::Image(_)));
        active.wait = Wait::after(active.wait.take(), &standing, Instant::now(), self.settings.pod_timeout);
        let job = active.job.clone();
        match standing {
            Standing::Waiting(Some(_)) => self.roomless.insert(id.clone()),
            _ => self.roomless.remove(&id),
        };
        self.look_at(&id);
        match standing {
            Standing::Ended(failure) => self.end(&id, failure, false),
            Standing::EndedItself(failure) => self.end(&id, failure, true),
            Standing::Running => self.started(job.as_deref()),
            Standing::Waiting(Some(why)) if !self.crowded.insert(why.clone()) => {}
            Standing::Waiting(Some(why)) | Standing::Starting(Some(why)) => {
                self.note(&id, format!("waits: {why}"))
            }
            Standing::NoImage(words) if had_image && self.crowded.insert(words.clone()) => {
                self.note(&id, format!("waits for the image of the worker: {words}"));
            }
            _ => {}
        }
    }

    /// Remembers when what an attempt waits for is to be given up.
    fn look_at(&mut self, id: &For) {
        let until = self.active.get(id).and_then(|active| active.wait.as_ref()?.until);
        if let Some(until) = until {
            self.looks.push(Reverse((until, id.clone())));
        }
    }

    /// The time to look at attempts has come: asks what Kubernetes says of those that have no worker, and gives up those
    /// whose wait is over.
    pub(super) fn look_again(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, _))) = self.looks.peek()
            && *at <= now
        {
            let Some(Reverse((_, id))) = self.looks.pop() else { return };
            let Some(active) = self.active.get_mut(&id) else { continue };
            if let Some(job) = active.job.clone().filter(|job| self.idle.contains_key(job)) {
                self.asking |= !self.deaf;
                // It may have been deleted before anybody watched it.
                if active.turn.is_some() && !active.watched {
                    self.expect_pod(id.clone(), job);
                }
            }
            let Some(active) = self.active.get_mut(&id) else { continue };
            let is_late = |wait: &mut Wait<Instant>| wait.until.is_some_and(|until| until <= now);
            if let Some(wait) = active.wait.take_if(is_late) {
                let timeout = self.settings.pod_timeout;
                let (node, heard) = (active.node.as_deref(), active.heard.as_deref());
                let failure = wait.given_up(&self.settings.image, node, heard, timeout);
                self.end(&id, failure, false);
            }
        }
    }
}
