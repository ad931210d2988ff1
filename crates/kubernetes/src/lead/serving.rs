//! Attempts that share pods: they wait for one, are told to its worker, and the worker's answers are heard.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod as KubernetesPod;
use kube::ResourceExt as _;
use moil_job::exchange;
use moil_job::executor::Report;
use moil_job::failure::{Failure, FailureKind};
use moil_job::frames::{self, Answer, Leader, Order, Run};
use moil_job::result::Outcome;
use moil_job::spec::{Attempt, AttemptId};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Duration, Instant};

use super::making::{self, What};
use super::shared::{At, Pod, Sent, Served, Serving};
use super::{Active, For, Lead, Told};
use crate::names;
use crate::outcome::{Standing, lost, on};
use crate::pool::Class;
use crate::stream::{self, Heard};

/// How often it is looked what is to be done while something waits.
const LOOK: Duration = Duration::from_secs(1);

/// How long jobs wait for others of their class that are being made ready, before pods are made for them.
const TOGETHER: Duration = Duration::from_millis(300);

/// The longest text of an attempt, in bytes, that is not left in the job store.
const LARGE: usize = 64 << 10;

/// After so many attempts a pod goes.
const MOST_ATTEMPTS: usize = 5000;

/// How long a pod that was kept after another run may take to answer: one that does not is none.
const KEPT_ANSWERS: Duration = Duration::from_secs(10);

/// After this time a pod gets no more attempts.
const MOST_AGE: Duration = Duration::from_secs(6 * 3600);

impl Lead {
    /// Lets an attempt wait for a pod that takes more than one. `false`: it is to have one of its own.
    pub(super) fn serve(&mut self, attempt: &Attempt) -> bool {
        if self.serving.is_off || self.serving.alone.contains(&attempt.id.job) {
            return false;
        }
        let Some(class) = Class::of(attempt, &self.settings) else { return false };
        let served = Served {
            attempt: Some(attempt.clone()),
            class: Some(class),
            word: "".into(),
            text: String::new(),
            tool: None,
            at: At::Writing,
            is_cancelled: false,
        };
        self.serving.attempts.insert(attempt.id.clone(), served);
        let (writers, exchange, told) =
            (Arc::clone(&self.serving.writers), Arc::clone(&self.exchange), self.told.clone());
        let attempt = attempt.clone();
        tokio::spawn(async move {
            // It is never closed.
            let Ok(_turn) = writers.acquire_owned().await else { return };
            let id = attempt.id.clone();
            let write = move || match exchange.write(&attempt)? {
                // As many as wait are kept in memory.
                told if told.attempt.len() > LARGE => {
                    let word = exchange.hand_over(&attempt)?;
                    Ok(exchange::Told { word, attempt: String::new(), tool: None })
                }
                told => Ok(told),
            };
            let written = tokio::task::spawn_blocking(write).await;
            let written = written.unwrap_or_else(|error| Err(making::defect(&error))).map_err(Box::new);
            let _ = told.send(Told::Written { id, written });
        });
        true
    }

    /// An attempt is ready to be told.
    pub(super) fn written(&mut self, id: &AttemptId, written: Result<exchange::Told, Box<Failure>>) {
        let Some(served) = self.serving.attempts.get_mut(id) else { return };
        let told = match written {
            Ok(told) => told,
            Err(failure) => return self.over(id, Outcome::Failed(failure)),
        };
        (served.word, served.text, served.tool) = (told.word.into(), told.attempt, told.tool);
        served.at = At::Waiting;
        let Some(class) = served.class.clone() else { return };
        if self.serving.is_off {
            return self.alone(id);
        }
        let queue = self.serving.queues.entry(class).or_default();
        queue.waiting.push_back(id.clone());
        queue.since.get_or_insert_with(Instant::now);
        self.balance();
    }

    /// An attempt that waits gets a pod of its own.
    pub(super) fn alone(&mut self, id: &AttemptId) {
        if let Some(attempt) = self.serving.attempts.remove(id).and_then(|served| served.attempt) {
            let avoid = Vec::new();
            self.make(For::One(attempt.id.clone()), What::One(Box::new(attempt)), avoid);
        }
    }

    /// Gives free pods what waits, makes pods, and lets go of those that have nothing to do.
    pub(super) fn balance(&mut self) {
        let now = Instant::now();
        self.end_silent(now);
        self.give_up_silent(now);
        let numbers: Vec<u64> = self.serving.pods.keys().copied().collect();
        // Whose inputs are in a free pod goes there; then whoever is first goes wherever there is room.
        for choose in [Serving::choose_near, Serving::choose] {
            for &number in &numbers {
                while self.serving.pods.get(&number).is_some_and(|pod| self.serving.free(pod) > 0)
                    && let Some(id) = choose(&mut self.serving, number)
                {
                    self.tell(number, &id);
                }
            }
        }
        let is_scarce = numbers.iter().any(|number| self.roomless.contains(&For::Many(*number)));
        numbers.iter().for_each(|number| self.look_at_idle(*number, now));
        if self.closing.is_none() {
            let serving = &self.serving;
            let wanted = serving.queues.iter().filter(|(class, queue)| {
                // Those that come a moment later may be small enough for the same pod.
                let is_new = queue.since.is_some_and(|since| now - since < TOGETHER);
                !(queue.waiting.is_empty() || is_new && serving.is_writing(class))
            });
            let wanted =
                wanted.map(|(class, queue)| (class.clone(), serving.load(class, queue, now).wanted()));
            for (class, pods) in wanted.collect::<Vec<_>>() {
                pods.into_iter().for_each(|slots| self.make_pod(&class, slots));
            }
        }
        self.let_go(now, is_scarce);
        let may_make_room = !self.roomless.is_empty() && !self.settings.pod_keep.is_zero();
        if may_make_room {
            self.make_room(now);
        }
        let waits = self.serving.queues.values().any(|queue| !queue.waiting.is_empty());
        let is_idle = self.serving.pods.values().any(|pod| pod.idle.is_some());
        let is_adopting = self.serving.adopting.is_at_work();
        let rests = self.serving.pods.values().any(|pod| pod.rests.is_some());
        let is_due = waits || is_idle || is_adopting || rests || may_make_room;
        self.serving.look = is_due.then(|| now + LOOK);
    }

    /// Tells a worker to begin an attempt.
    fn tell(&mut self, number: u64, id: &AttemptId) {
        let (Some(pod), Some(served)) =
            (self.serving.pods.get_mut(&number), self.serving.attempts.get_mut(id))
        else {
            return;
        };
        served.at = At::In { pod: number, since: Instant::now(), has_ended: false, sent: Sent::Now };
        pod.attempts.insert(id.clone());
        pod.told += 1;
        pod.idle = None;
        pod.begin(served);
        self.serving.words.insert(Arc::clone(&served.word), id.clone());
        if let Some(place) = self.active.get(&For::Many(number)).and_then(|active| active.place.clone()) {
            (self.reporter)(Report::Placed(id.clone(), place));
        }
    }

    fn make_pod(&mut self, class: &Class, slots: u64) {
        let number = self.serving.number();
        self.serving.pods.insert(number, Pod::new(Some(class.clone()), slots));
        let word = names::pod_word(&self.settings.term, number);
        let id = For::Many(number);
        self.make(id.clone(), What::Many { word: word.clone(), class: class.clone(), slots }, Vec::new());
        // One that is taken over is seen with this word before it is told that it was, and not again.
        self.ids.insert(word.clone(), id.clone());
        if let Some(active) = self.active.get_mut(&id) {
            active.word = Some(word);
        }
    }

    fn look_at_idle(&mut self, number: u64, now: Instant) {
        let Some(pod) = self.serving.pods.get_mut(&number) else { return };
        let is_idle = pod.has_answered && pod.class.is_some() && pod.attempts.is_empty();
        pod.idle = is_idle.then(|| pod.idle.unwrap_or(now));
        pod.leaves |= pod.told >= MOST_ATTEMPTS || now - pod.since > MOST_AGE;
    }

    /// Removes pods that have nothing to do: at once where others find no room, or where they have not begun and what they
    /// were made for is done.
    fn let_go(&mut self, now: Instant, is_scarce: bool) {
        let serving = &self.serving;
        let gone = serving.pods.iter().filter(|(number, pod)| {
            let Some(class) = &pod.class else { return false };
            if let Some(since) = pod.rests {
                return Self::does_not_rest(since, now);
            }
            let waits = serving.queues.get(class).is_some_and(|queue| !queue.waiting.is_empty());
            if !pod.has_answered {
                let is_late = pod.was_kept && now - pod.since > KEPT_ANSWERS;
                let is_roomless = self.roomless.contains(&For::Many(**number));
                return is_late || self.closing.is_none() && !waits && is_roomless;
            }
            let is_over = |since: Instant| is_scarce || pod.leaves || now - since >= self.settings.pod_idle;
            pod.idle.is_some_and(is_over)
        });
        for number in gone.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.close_pod(number);
        }
    }

    /// Removes a pod that has no attempts.
    pub(super) fn close_pod(&mut self, number: u64) {
        let id = For::Many(number);
        if self.serving.pods.remove(&number).is_none() {
            return;
        }
        match self.active.get(&id).is_some_and(|active| active.job.is_some()) {
            true => {
                if let Some(active) = self.forget(&id) {
                    self.clear_away(active);
                }
            }
            // It is removed when it is there, if it will be.
            false => self.cancel_pod(&id),
        }
    }

    /// Removes all pods; those that have attempts when these are over. Those that may be left to other runs are, if there is
    /// to be any.
    pub(super) fn close_pods(&mut self) {
        for number in self.serving.pods.keys().copied().collect::<Vec<_>>() {
            if self.lets_rest(number) {
                continue;
            }
            match self.serving.pods.get(&number).is_some_and(|pod| pod.attempts.is_empty()) {
                true => self.close_pod(number),
                false => self.cancel_pod(&For::Many(number)),
            }
        }
        self.balance();
    }

    /// Begins to talk to the worker of a pod that takes more than one attempt, if it is at work.
    pub(super) fn talk(&mut self, word: &str, pod: &KubernetesPod) {
        let Some(&For::Many(number)) = self.ids.get(word) else { return };
        let Some(serving) = self.serving.pods.get_mut(&number) else { return };
        let is_running = matches!(self.pods.get(word), Some(Standing::Running));
        // Its worker has been asked to end, and begins nothing any more.
        serving.leaves |= matches!(self.pods.get(word), Some(Standing::Leaving(..)));
        if !is_running || serving.orders.is_some() {
            return;
        }
        let (orders, receiver) = unbounded_channel();
        serving.orders = Some(orders);
        serving.talked = Some(Instant::now());
        serving.name = Some(pod.name_any());
        let told = self.told.clone();
        let hear = move |heard| {
            let _ = told.send(Told::Heard { pod: number, heard });
        };
        let leader = Leader { term: self.settings.term.clone(), mark: self.settings.mark.clone() };
        let hello = Order::Hello {
            version: frames::VERSION,
            lines: self.settings.live_logs,
            run: Run {
                store: self.settings.store.clone(),
                number: self.settings.run.clone(),
                by_number: self.settings.by_number,
            },
            settings: self.exchange.settings(),
        };
        let talk = stream::talk(self.cluster.clone(), pod.name_any(), leader, hello, receiver, hear);
        tokio::spawn(talk);
    }

    /// What a worker says.
    pub(super) fn heard(&mut self, number: u64, heard: Heard) {
        let Some(pod) = self.serving.pods.get_mut(&number) else { return };
        let answer = match heard {
            Heard::Answer(answer) => answer,
            Heard::Attached => {
                pod.tools.clear();
                for id in &pod.attempts {
                    if let Some(Served { at: At::In { sent, .. }, .. }) = self.serving.attempts.get_mut(id) {
                        *sent = Sent::Before;
                    }
                }
                return;
            }
            Heard::Forbidden(words) => {
                return self.switch_off(number, &format!("the leader cannot attach to pods: {words}"));
            }
            Heard::Unreachable(words) => return self.unreachable(number, &words),
        };
        match answer {
            Answer::Here { attempts, keeps_apart, .. } => {
                if !keeps_apart {
                    let why =
                        "workers cannot keep jobs apart, since user namespaces and mounts are not allowed";
                    return self.switch_off(number, why);
                }
                self.here(number, &attempts);
            }
            Answer::Line { word, text } => {
                if let Some(id) = self.serving.words.get(&word) {
                    (self.reporter)(Report::Output(id.clone(), text));
                }
            }
            Answer::Note { word, text } => {
                if let Some(id) = self.serving.words.get(&word) {
                    (self.reporter)(Report::Note(id.clone(), text));
                }
            }
            Answer::ToolEnded { word } => self.tool_ended(&word),
            Answer::Finished { word, outcome } => self.finished(number, word, *outcome),
            Answer::Rests => self.rests(number),
        }
    }

    /// A worker tells what attempts it has: those that it does not know of are told again.
    fn here(&mut self, number: u64, known: &[Arc<str>]) {
        let Some(pod) = self.serving.pods.get_mut(&number) else { return };
        let is_first = !std::mem::replace(&mut pod.has_answered, true);
        if is_first {
            self.serving.unreachable = Some(0);
        }
        for id in &pod.attempts {
            let Some(served) = self.serving.attempts.get_mut(id) else { continue };
            let At::In { sent, .. } = &mut served.at else { continue };
            let is_anew = *sent != Sent::Now;
            if known.contains(&served.word) {
                *sent = Sent::Now;
            } else if std::mem::replace(sent, Sent::Missed) != Sent::Now {
                *sent = Sent::Now;
                // What was told of the tool may be lost as well.
                pod.order(served.order(served.tool.clone()));
            }
            // So may be that it is to end.
            if is_anew && served.is_cancelled {
                pod.order(Order::Cancel { word: Arc::clone(&served.word) });
            }
        }
        if pod.class.is_none() {
            pod.order(Order::Finish);
        }
        self.adopted(number, known);
        if is_first {
            self.balance();
        }
    }

    fn tool_ended(&mut self, word: &str) {
        let Some(id) = self.serving.words.get(word).cloned() else { return };
        let Some(served) = self.serving.attempts.get_mut(&id) else { return };
        let At::In { has_ended, since, .. } = &mut served.at else { return };
        if std::mem::replace(has_ended, true) {
            return;
        }
        let took = since.elapsed();
        if let Some(queue) = served.class.as_ref().and_then(|class| self.serving.queues.get_mut(class)) {
            queue.over += 1;
            queue.took += took;
        }
        (self.reporter)(Report::ToolEnded(id));
        self.balance();
    }

    /// An attempt is over, and its result is stored.
    fn finished(&mut self, number: u64, word: Arc<str>, outcome: Outcome) {
        let Some(pod) = self.serving.pods.get_mut(&number) else { return };
        let Some(id) = self.serving.words.get(&word).cloned() else {
            match &pod.class {
                // It was heard before.
                Some(_) => pod.order(Order::Taken { word }),
                // This leader has just begun, and may ask for it yet.
                None => _ = pod.unclaimed.insert(word, outcome),
            }
            return;
        };
        pod.order(Order::Taken { word: Arc::clone(&word) });
        let is_cancelled = self.serving.attempts.get(&id).is_some_and(|served| served.is_cancelled);
        if matches!(&outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Lost) && !is_cancelled
        {
            // Somebody has asked the worker to end: who that was its pod tells when it is gone.
            pod.leaves = true;
            return;
        }
        // What ended it may be wrong with the pod.
        pod.leaves |= matches!(&outcome, Outcome::Failed(failure) if matches!(
            failure.kind,
            FailureKind::OutOfMemory | FailureKind::OutOfDisk | FailureKind::System | FailureKind::Internal
        ));
        let outcome = match outcome {
            Outcome::Failed(failure)
                if failure.kind == FailureKind::OutOfMemory && pod.attempts.len() > 1 =>
            {
                Outcome::Failed(Box::new(self.in_company(&id, *failure)))
            }
            outcome => outcome,
        };
        if let Outcome::Done(result) = &outcome {
            self.serving.remember(&result.outputs, number);
        }
        self.tool_ended(&word);
        self.over(&id, outcome);
    }

    /// The failure of an attempt for want of memory that shared its pod: whose fault it was shows when it is alone.
    fn in_company(&mut self, id: &AttemptId, failure: Failure) -> Failure {
        self.serving.alone.insert(id.job.clone());
        let message = format!("{} while other jobs ran in its pod: it is tried alone", failure.message);
        Failure { cause: failure.cause, ..Failure::new(FailureKind::Lost, message) }
    }

    /// Takes an attempt that is over out of the books: what is known of where it ran. `None`: it has a pod of its own.
    pub(super) fn served_over(&mut self, id: &AttemptId) -> Option<Active> {
        let served = self.serving.attempts.remove(id)?;
        self.serving.words.remove(&served.word);
        let mut active = Active { cancelled: served.is_cancelled, ..Active::default() };
        match served.at {
            At::Writing => {}
            At::Waiting => {
                let queue = served.class.as_ref().and_then(|class| self.serving.queues.get_mut(class));
                if let Some(queue) = queue {
                    queue.waiting.retain(|waiting| waiting != id);
                    queue.since = queue.since.filter(|_| !queue.waiting.is_empty());
                }
            }
            At::In { pod: number, .. } => {
                active.node = self.active.get(&For::Many(number)).and_then(|pod| pod.node.clone());
                if let Some(pod) = self.serving.pods.get_mut(&number) {
                    pod.attempts.remove(id);
                }
            }
            At::Left { node, removed, storeless } => {
                active = Active { node, removed, storeless, ..active };
            }
        }
        Some(active)
    }

    /// Ends an attempt that shares a pod, or waits for one. `false`: it has a pod of its own.
    pub(super) fn cancel_served(&mut self, id: &AttemptId) -> bool {
        let Some(served) = self.serving.attempts.get_mut(id) else { return false };
        let is_first = !std::mem::replace(&mut served.is_cancelled, true);
        match served.at {
            At::Writing | At::Waiting => self.over(id, Outcome::Failed(Box::new(making::was_cancelled()))),
            At::In { pod, .. } if is_first => {
                if let Some(pod) = self.serving.pods.get(&pod) {
                    pod.order(Order::Cancel { word: Arc::clone(&served.word) });
                }
            }
            At::In { .. } | At::Left { .. } => {}
        }
        true
    }

    /// A pod is gone, or will not come: what its attempts left is what came of them, and else `failure` is.
    pub(super) fn pod_ended(&mut self, number: u64, failure: Failure, by_itself: bool) {
        let active = self.forget(&For::Many(number)).unwrap_or_default();
        let Active { removed, storeless, cancelled, .. } = active;
        let node = active.node.clone();
        self.clear_away(active);
        self.not_adopted(number);
        let Some(pod) = self.serving.pods.remove(&number) else { return };
        let is_shared = pod.attempts.len() > 1;
        for id in &pod.attempts {
            let Some(served) = self.serving.attempts.get_mut(id) else { continue };
            served.at = At::Left { node: node.clone(), removed, storeless };
            let word = served.word.to_string();
            let failure = match failure.kind {
                FailureKind::OutOfMemory if is_shared => self.in_company(id, failure.clone()),
                _ => failure.clone(),
            };
            self.find_outcome(id.clone(), word, None, failure, by_itself);
        }
        // One that never took an attempt has failed for the first that waits for it, unless it was another run's.
        let waiting = pod.class.as_ref().and_then(|class| self.serving.queues.get(class));
        let waiting = waiting.and_then(|queue| queue.waiting.front().cloned());
        if let Some(id) = waiting.filter(|_| pod.told == 0 && !cancelled && !pod.was_kept)
            && let Some(served) = self.serving.attempts.get_mut(&id)
        {
            served.at = At::Left { node, removed, storeless };
            let queue = served.class.as_ref().and_then(|class| self.serving.queues.get_mut(class));
            if let Some(queue) = queue {
                queue.waiting.pop_front();
            }
            self.over(&id, Outcome::Failed(Box::new(failure)));
        }
        self.balance();
    }

    /// The first attempt that waits for a pod of the class of this one.
    pub(super) fn first_waiting(&self, number: u64) -> Option<AttemptId> {
        let class = self.serving.pods.get(&number)?.class.as_ref()?;
        self.serving.queues.get(class)?.waiting.front().cloned()
    }

    /// An attempt of an earlier leader, which one of its pods has, or had.
    pub(super) fn claim(&mut self, word: String, id: AttemptId) {
        let word: Arc<str> = word.into();
        let number = self.serving.adopting.pod_of(&word);
        let at = match number.filter(|number| self.serving.pods.contains_key(number)) {
            Some(pod) => At::In { pod, since: Instant::now(), has_ended: false, sent: Sent::Now },
            None => At::Left { node: None, removed: false, storeless: false },
        };
        let (number, is_left) = match at {
            At::In { pod, .. } => (pod, false),
            _ => (0, true),
        };
        let served = Served {
            attempt: None,
            class: None,
            word: Arc::clone(&word),
            text: String::new(),
            tool: None,
            at,
            is_cancelled: false,
        };
        self.serving.attempts.insert(id.clone(), served);
        if is_left {
            let failure = lost(&on("the worker of an earlier leader is gone", None), None);
            return self.find_outcome(id, word.to_string(), None, failure, true);
        }
        self.serving.words.insert(Arc::clone(&word), id.clone());
        let Some(pod) = self.serving.pods.get_mut(&number) else { return };
        pod.attempts.insert(id);
        if let Some(outcome) = pod.unclaimed.remove(&word) {
            self.finished(number, word, outcome);
        }
    }
}
