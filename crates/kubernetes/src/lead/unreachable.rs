//! Pods whose workers cannot be talked to.

use moil_job::spec::AttemptId;
use tokio::time::{Duration, Instant};

use super::{For, Lead};

/// How long a worker may take to answer, from when its pod is at work: one that was not told its settings may try for a minute to read them.
const PATIENCE: Duration = Duration::from_secs(180);

/// After so many in turn it is taken for the way of the cluster.
const MOST: u32 = 3;

impl Lead {
    /// Gives up pods that are at work, and whose workers do not answer.
    pub(super) fn give_up_silent(&mut self, now: Instant) {
        let is_silent = |talked: Instant| now - talked > PATIENCE;
        let pods = self.serving.pods.iter().filter(|(_, pod)| !pod.has_answered && pod.class.is_some());
        let silent = pods.filter(|(_, pod)| pod.talked.is_some_and(is_silent));
        for number in silent.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.unreachable(number, "its worker does not answer");
        }
    }

    /// A pod cannot be talked to. Where others can, it may be the fault of its node, and another one takes its place.
    pub(super) fn unreachable(&mut self, number: u64, words: &str) {
        let Some(pod) = self.serving.pods.get(&number).filter(|pod| !pod.has_answered) else { return };
        let count = self.serving.unreachable.map(|count| count + 1);
        self.serving.unreachable = count;
        if count.is_none_or(|count| count >= MOST) {
            return self.switch_off(number, &format!("the leader cannot attach to pods: {words}"));
        }
        // Those of an earlier leader, which may be at work, have a time of their own.
        if pod.class.is_some() {
            let name = pod.name.as_deref().unwrap_or_default();
            let node = self.active.get(&For::Many(number)).and_then(|active| active.node.as_deref());
            let place = node.map(|node| format!(" on {node}")).unwrap_or_default();
            (self.warn)(format!("the pod {name}{place} cannot be attached to, and is given up: {words}"));
            self.close_pod(number);
            self.balance();
        }
    }

    /// Pods cannot take more than one attempt: from now on each has one of its own.
    pub(super) fn switch_off(&mut self, number: u64, words: &str) {
        if !std::mem::replace(&mut self.serving.is_off, true) {
            (self.warn)(format!(
                "each job has a pod of its own: {words} (see \"Pods that take more than one job\" in docs/kubernetes.md; --kubernetesPodPerJob asks for this without a warning)"
            ));
        }
        let waiting: Vec<AttemptId> =
            self.serving.queues.drain().flat_map(|(_, queue)| queue.waiting).collect();
        waiting.iter().for_each(|id| self.alone(id));
        for (other, pod) in &mut self.serving.pods {
            pod.leaves |= *other == number || pod.has_answered;
        }
        let unattached = self.serving.pods.iter().filter(|(_, pod)| !pod.has_answered && pod.class.is_some());
        let unattached: Vec<u64> = unattached.map(|(number, _)| *number).collect();
        unattached.into_iter().for_each(|number| self.close_pod(number));
        self.balance();
    }
}
