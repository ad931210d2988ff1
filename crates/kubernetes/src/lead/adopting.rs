//! Pods of earlier leaders that take more than one attempt: what attempts they have is asked before anything is run
//! again. They finish what they have and end.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::time::{Duration, Instant};

use super::shared::Pod;
use super::{Active, For, Lead};

/// How long a worker may take to answer. One that does not is ended, so that nothing runs twice.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of such pods.
#[derive(Default)]
pub(super) struct Adopting {
    /// Those that have not answered.
    left: BTreeSet<u64>,
    /// When these are ended.
    until: Option<Instant>,
    /// Which pod has an attempt, by its word.
    has: HashMap<Arc<str>, u64>,
    /// Who waits for that.
    asked: Option<Sender<Vec<String>>>,
}

impl Adopting {
    pub(super) fn is_at_work(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn pod_of(&self, word: &str) -> Option<u64> {
        self.has.get(word).copied()
    }

    fn answer_if_all_is_known(&mut self) {
        if self.left.is_empty()
            && let Some(asked) = self.asked.take()
        {
            // Whoever asked waits for it.
            let _ = asked.send(self.has.keys().map(|word| word.to_string()).collect());
        }
    }
}

impl Lead {
    pub(super) fn adopt(&mut self, pods: Vec<(String, String)>, asked: Sender<Vec<String>>) {
        self.serving.adopting.asked = Some(asked);
        self.serving.adopting.until = Some(Instant::now() + PATIENCE);
        for (word, job) in pods {
            let number = self.serving.number();
            let id = For::Many(number);
            self.serving.pods.insert(number, Pod::new(None, 0));
            self.serving.adopting.left.insert(number);
            let active = Active { job: Some(job.clone()), word: Some(word.clone()), ..Active::default() };
            self.active.insert(id.clone(), active);
            self.ids.insert(word.clone(), id.clone());
            self.waits(&id, &job);
            self.look(&word);
            self.expect_pod(id, job);
        }
        self.serving.adopting.answer_if_all_is_known();
        self.balance();
    }

    /// A worker has told what attempts it has.
    pub(super) fn adopted(&mut self, number: u64, known: &[Arc<str>]) {
        let serving = &mut self.serving;
        if !serving.adopting.left.remove(&number) {
            return;
        }
        serving.adopting.has.extend(known.iter().map(|word| (Arc::clone(word), number)));
        serving.adopting.answer_if_all_is_known();
    }

    /// A pod is gone.
    pub(super) fn not_adopted(&mut self, number: u64) {
        self.serving.adopting.left.remove(&number);
        self.serving.adopting.answer_if_all_is_known();
    }

    /// Ends those that do not answer.
    pub(super) fn end_silent(&mut self, now: Instant) {
        let adopting = &mut self.serving.adopting;
        if adopting.left.is_empty() || adopting.until.is_none_or(|until| now < until) {
            return;
        }
        adopting.until = None;
        let left: Vec<u64> = adopting.left.iter().copied().collect();
        (self.warn)(format!("{} workers of an earlier leader do not answer: they are ended", left.len()));
        left.into_iter().for_each(|number| self.cancel_pod(&For::Many(number)));
    }
}
