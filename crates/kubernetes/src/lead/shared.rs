//! What is known of pods that take more than one attempt, and of these.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use moil_cwl::value::Value as CwlValue;
use moil_job::frames::Order;
use moil_job::result::Outcome;
use moil_job::spec::{Attempt, AttemptId, JobId};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Duration, Instant};

use super::adopting::Adopting;
use crate::pool::{Class, Load};

/// How many attempts are made ready at a time: their inputs may have to be brought to the store.
const WRITERS: usize = 16;

/// How many waiting jobs are looked at for one whose inputs a pod has.
const NEAR: usize = 16;

/// Of how many files it is known which pod has made them.
const MOST_FILES: usize = 50_000;

/// All that is known of pods that take more than one attempt.
pub(super) struct Serving {
    pub(super) queues: HashMap<Class, Queue>,
    pub(super) pods: BTreeMap<u64, Pod>,
    pub(super) attempts: HashMap<AttemptId, Served>,
    /// Attempts that a worker was told.
    pub(super) words: HashMap<Arc<str>, AttemptId>,
    /// Jobs whose next attempt is to be alone in its pod.
    pub(super) alone: HashSet<JobId>,
    /// Which pod has made a file.
    made: HashMap<Arc<str>, u64>,
    /// The number of the next pod.
    next: u64,
    /// Pods cannot be attached to.
    pub(super) is_off: bool,
    /// How many in turn could not be talked to since one could; `None`: none ever could.
    pub(super) unreachable: Option<u32>,
    pub(super) writers: Arc<Semaphore>,
    /// When to look again.
    pub(super) look: Option<Instant>,
    pub(super) adopting: Adopting,
    /// How many pods are being left to other runs.
    pub(super) leaving: usize,
    /// When pods that wait for other runs may be removed again to make room.
    pub(super) makes_room: Option<Instant>,
}

/// The jobs of a class.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<AttemptId>,
    /// Since when there is something that waits.
    pub(super) since: Option<Instant>,
    /// How many are over, and what they took.
    pub(super) over: usize,
    pub(super) took: Duration,
}

/// A pod that takes more than one attempt.
pub(super) struct Pod {
    /// `None`: an earlier leader's.
    pub(super) class: Option<Class>,
    /// How many attempts it has side by side at most.
    pub(super) slots: u64,
    /// Its name, once its worker is talked to.
    pub(super) name: Option<String>,
    /// Who talks to its worker.
    pub(super) orders: Option<UnboundedSender<Order>>,
    /// Since when it is tried to talk to its worker.
    pub(super) talked: Option<Instant>,
    /// Its worker was attached to, and has answered.
    pub(super) has_answered: bool,
    pub(super) attempts: HashSet<AttemptId>,
    /// The tools that its worker was told since the connection was made.
    pub(super) tools: HashSet<Arc<str>>,
    /// How many it was told in all.
    pub(super) told: usize,
    pub(super) since: Instant,
    /// Since when it has nothing to do.
    pub(super) idle: Option<Instant>,
    /// It gets no more attempts.
    pub(super) leaves: bool,
    /// It was told that its Job is made, and how many attempts it really takes.
    pub(super) is_made: bool,
    /// It is of another run, which is over.
    pub(super) was_kept: bool,
    /// Since when its worker is asked to wait for another run.
    pub(super) rests: Option<Instant>,
    /// What came of attempts that nobody has asked for yet.
    pub(super) unclaimed: HashMap<Arc<str>, Outcome>,
}

/// An attempt that shares a pod, or will.
pub(super) struct Served {
    /// `None`: an earlier leader has submitted it.
    pub(super) attempt: Option<Attempt>,
    pub(super) class: Option<Class>,
    pub(super) word: Arc<str>,
    /// What its worker is told; empty for a large one, which lies in the job store.
    pub(super) text: String,
    /// Its tool, if workers are told that.
    pub(super) tool: Option<Arc<str>>,
    pub(super) at: At,
    pub(super) is_cancelled: bool,
}

/// Where an attempt is.
pub(super) enum At {
    /// It is made ready.
    Writing,
    /// It waits for a pod.
    Waiting,
    /// A worker was told.
    In {
        pod: u64,
        since: Instant,
        /// Its tool is gone.
        has_ended: bool,
        sent: Sent,
    },
    /// Its worker is gone, from this node; somebody has removed its Job; it could not use the job store.
    Left { node: Option<String>, removed: bool, storeless: bool },
}

/// Whether an attempt has reached its worker.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sent {
    /// It may be on its way.
    Now,
    /// The worker did not know of it when it was asked last.
    Missed,
    /// It was sent through a connection that was cut.
    Before,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            pods: BTreeMap::new(),
            attempts: HashMap::new(),
            words: HashMap::new(),
            alone: HashSet::new(),
            made: HashMap::new(),
            next: 1,
            is_off: false,
            unreachable: None,
            writers: Arc::new(Semaphore::new(WRITERS)),
            look: None,
            adopting: Adopting::default(),
            leaving: 0,
            makes_room: None,
        }
    }
}

impl Pod {
    pub(super) fn new(class: Option<Class>, slots: u64) -> Self {
        Self {
            leaves: class.is_none(),
            is_made: class.is_none(),
            class,
            slots,
            name: None,
            orders: None,
            talked: None,
            has_answered: false,
            attempts: HashSet::new(),
            tools: HashSet::new(),
            told: 0,
            since: Instant::now(),
            idle: None,
            was_kept: false,
            rests: None,
            unclaimed: HashMap::new(),
        }
    }

    /// Tells an attempt, with its tool if that was not told since the connection was made.
    pub(super) fn begin(&mut self, served: &Served) {
        let tool = served.tool.clone().filter(|tool| self.tools.insert(Arc::clone(tool)));
        self.order(served.order(tool));
    }

    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // It is gone only with the pod.
            let _ = orders.send(order);
        }
    }
}

impl Served {
    /// The order to begin it.
    pub(super) fn order(&self, tool: Option<Arc<str>>) -> Order {
        Order::Run { word: Arc::clone(&self.word), attempt: self.text.clone(), tool }
    }
}

impl Serving {
    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty() && self.pods.is_empty() && self.leaving == 0
    }

    pub(super) fn has(&self, id: &AttemptId) -> bool {
        self.attempts.contains_key(id)
    }

    pub(super) fn attempts(&self) -> impl Iterator<Item = AttemptId> {
        self.attempts.keys().cloned()
    }

    /// When [`Lead::balance`] is to be called at the latest.
    pub(super) fn next_balance(&self) -> Option<Instant> {
        self.look
    }

    /// A number for a new pod.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Whether attempts of a class are being made ready.
    pub(super) fn is_writing(&self, class: &Class) -> bool {
        let is_writing =
            |served: &Served| matches!(served.at, At::Writing) && served.class.as_ref() == Some(class);
        self.attempts.values().any(is_writing)
    }

    /// How many more attempts a pod may have now.
    pub(super) fn free(&self, pod: &Pod) -> u64 {
        if !pod.has_answered || !pod.is_made || pod.leaves {
            return 0;
        }
        let is_busy = |id: &&AttemptId| {
            !matches!(self.attempts.get(id).map(|served| &served.at), Some(At::In { has_ended: true, .. }))
        };
        pod.slots.saturating_sub(pod.attempts.iter().filter(is_busy).count() as u64)
    }

    pub(super) fn load(&self, class: &Class, queue: &Queue, now: Instant) -> Load {
        let mut load = Load {
            waiting: queue.waiting.len(),
            waited: queue.since.map(|since| now - since).unwrap_or_default(),
            over: queue.over,
            took: queue.took,
            slots: class.slots(),
            ..Load::default()
        };
        for pod in self.pods.values().filter(|pod| pod.class.as_ref() == Some(class) && !pod.leaves) {
            load.pods += 1;
            load.room += pod.slots;
            if !pod.has_answered {
                load.starting += 1;
                load.expected += pod.slots;
            }
            for id in &pod.attempts {
                if let Some(Served { at: At::In { since, has_ended: false, .. }, .. }) = self.attempts.get(id)
                {
                    load.running += 1;
                    load.running_for += now - *since;
                }
            }
        }
        load
    }

    /// One of the first attempts that wait and for which a pod has room, that reads what this pod has made.
    pub(super) fn choose_near(&mut self, number: u64) -> Option<AttemptId> {
        if self.made.is_empty() {
            return None;
        }
        let class = self.pods.get(&number)?.class.as_ref()?;
        let is_near = |id: &AttemptId| {
            let attempt = self.attempts.get(id).and_then(|served| served.attempt.as_ref());
            attempt.is_some_and(|attempt| is_made_in(&attempt.job.inputs, number, &self.made))
        };
        let queues = self.queues.iter().filter(|(other, _)| class.has_room_for(other));
        let mut found = queues
            .filter_map(|(other, queue)| Some((other, queue.waiting.iter().take(NEAR).position(is_near)?)));
        let (class, place) = found.next().map(|(class, place)| (class.clone(), place))?;
        self.take(&class, place)
    }

    /// The attempt that a free pod is to have next: of its own class, else of one that it has room for.
    pub(super) fn choose(&mut self, number: u64) -> Option<AttemptId> {
        let class = self.pods.get(&number)?.class.as_ref()?;
        let has_some = |queue: &Queue| !queue.waiting.is_empty();
        let class = match self.queues.get(class).is_some_and(has_some) {
            true => class.clone(),
            false => {
                let others =
                    self.queues.iter().filter(|(other, queue)| has_some(queue) && class.has_room_for(other));
                // The largest one: others have more choice.
                others.map(|(other, _)| other).max()?.clone()
            }
        };
        self.take(&class, 0)
    }

    fn take(&mut self, class: &Class, place: usize) -> Option<AttemptId> {
        let queue = self.queues.get_mut(class)?;
        let taken = queue.waiting.remove(place);
        queue.since = (!queue.waiting.is_empty()).then(Instant::now);
        taken
    }

    /// Remembers which pod has made the files of an output object.
    pub(super) fn remember(&mut self, outputs: &CwlValue, pod: u64) {
        if self.made.len() > MOST_FILES {
            self.made.clear();
        }
        outputs.visit_files(&mut |item| {
            if let CwlValue::File(file) = item
                && let Some(location) = &file.location
            {
                self.made.insert(Arc::clone(location), pod);
            }
        });
    }
}

fn is_made_in(inputs: &CwlValue, pod: u64, made: &HashMap<Arc<str>, u64>) -> bool {
    let mut found = false;
    inputs.visit_files(&mut |item| {
        if let CwlValue::File(file) = item {
            found |= file.location.as_ref().is_some_and(|location| made.get(location) == Some(&pod));
        }
    });
    found
}
