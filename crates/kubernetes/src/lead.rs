//! The task that owns all that is known of pods: it makes Jobs, watches their pods, and tells what comes of them.

mod adopting;
mod keeping;
mod making;
mod serving;
mod shared;
mod unreachable;
mod watching;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::Event as Occurrence;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use moil_job::exchange::{self, Exchange};
use moil_job::executor::{Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::Outcome;
use moil_job::spec::{Attempt, AttemptId, JobId};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use self::making::{Made, Stop};
use self::shared::Serving;
use crate::cluster::{self, Cluster, Silence};
use crate::outcome::Standing;
use crate::room::Room;
use crate::settings::Settings;
use crate::stream::Heard;
use crate::waiting::Wait;

/// How many Jobs there are at most that have no pod yet.
const WITHOUT_POD: usize = 24;

/// After how long without a pod at work it is asked what Kubernetes says.
const ASK: Duration = Duration::from_secs(5);

/// How long the last lines of a tool are waited for, once its end is known.
const LAST_LINES: Duration = Duration::from_secs(3);

/// What the leader asks for.
pub enum Command {
    /// Begin attempts.
    Submit(Vec<Attempt>),
    /// End attempts.
    Cancel(Vec<AttemptId>),
    /// Go on with an attempt of an earlier leader.
    Attach {
        /// Its word.
        word: String,
        /// Its Job, if it has one of its own.
        job: Option<String>,
        /// Which one.
        attempt: AttemptId,
    },
    /// Find out what attempts pods of earlier leaders have that take more than one: pods by their words, with their Jobs.
    /// Their attempts are told.
    Adopt(Vec<(String, String)>, Sender<Vec<String>>),
    /// End all, remove all, and say when that is done.
    ShutDown(Sender<()>),
}

/// What a pod is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum For {
    /// One attempt.
    One(AttemptId),
    /// Attempts of a class, one after the other: by its number.
    Many(u64),
}

/// What tasks of this one tell it.
enum Told {
    /// The Job of an attempt is there.
    Made {
        id: For,
        made: Made,
        turn: OwnedSemaphorePermit,
    },
    /// It will not be.
    NotMade {
        id: For,
        failure: Box<Failure>,
    },
    Spoilt(For),
    /// What came of an attempt.
    Over {
        id: AttemptId,
        outcome: Outcome,
    },
    /// The namespace has no room for a Job, in the server's words.
    NoRoom {
        id: For,
        words: String,
    },
    /// A Job is removed or over; if it has no pod, none will come.
    NoPod {
        id: For,
        why: &'static str,
    },
    /// An attempt is ready to be told to a worker.
    Written {
        id: AttemptId,
        written: Result<exchange::Told, Box<Failure>>,
    },
    /// From a worker that takes more than one.
    Heard {
        pod: u64,
        heard: Heard,
    },
    /// A pod that waits for another run is out of the books.
    Kept,
    /// The pods that wait for another run do not make enough room.
    TooLittleRoom,
}

/// A pod that is wanted, or there: of an attempt that was submitted or attached to and not reported, or of many.
#[derive(Default)]
struct Active {
    word: Option<String>,
    job: Option<String>,
    secret: Option<String>,
    cancelled: bool,
    /// The same, for the task that makes its Job.
    stop: Arc<Stop>,
    /// What its jobs may use.
    room: Room,
    /// Its turn to be without a pod.
    turn: Option<OwnedSemaphorePermit>,
    /// Its result is being read.
    ending: bool,
    /// It ended before it was told that its Job is made, and whether by itself: what is told then counts first.
    ended: Option<(Failure, bool)>,
    /// The watch has told of its Job, and will tell of its end.
    watched: bool,
    /// Somebody has removed its Job.
    removed: bool,
    /// Its worker could not use the job store.
    storeless: bool,
    /// The node of its pod.
    node: Option<String>,
    /// Its pod and node, for people, once its worker was at work.
    place: Option<Arc<str>>,
    /// What it waits for that has an end.
    wait: Option<Wait<Instant>>,
    /// What was said last of why it waits.
    said: Option<String>,
    /// What Kubernetes told last of its pod.
    heard: Option<String>,
    /// Who follows the log of its pod.
    log: Option<JoinHandle<()>>,
}

/// The task.
pub struct Lead {
    cluster: Cluster,
    settings: Arc<Settings>,
    owner: Arc<Value>,
    exchange: Arc<dyn Exchange>,
    reporter: Reporter,
    warn: Arc<dyn Fn(String) + Send + Sync>,
    /// Why no attempt can begin or go on any more.
    barred: Option<Failure>,
    active: HashMap<For, Active>,
    /// Whose word it is.
    ids: HashMap<String, For>,
    /// How it stands with pods, by the words of their attempts.
    pods: HashMap<String, Standing>,
    /// They are being listed: of one that is not there yet nothing is known.
    listing: bool,
    /// What has a Job and no worker, by these Jobs.
    idle: HashMap<String, For>,
    /// When to look at one of them again.
    looks: BinaryHeap<Reverse<(Instant, For)>>,
    /// Kubernetes is asked what it says.
    asking: bool,
    /// It does not say: the leader may not see its events.
    deaf: bool,
    /// Why pods found no node, no room or no image: each reason is told once in a run, and not for each job of a scatter.
    crowded: HashSet<String>,
    /// What finds no room in the cluster or the namespace.
    roomless: HashSet<For>,
    /// The nodes on which attempts at a job were lost.
    avoid: HashMap<JobId, BTreeSet<String>>,
    /// Jobs whose last attempt somebody has removed.
    removed: HashSet<JobId>,
    /// Jobs whose last attempt had a worker that could not use the job store.
    storeless: HashSet<JobId>,
    making: Arc<Semaphore>,
    /// A Job is gone, so that there may be room for another.
    room: Arc<Notify>,
    /// Pods that take more than one attempt, and these.
    serving: Serving,
    told: UnboundedSender<Told>,
    hear: Option<UnboundedReceiver<Told>>,
    /// Who waits for the end.
    closing: Option<Sender<()>>,
}

impl Lead {
    /// A task that has not begun.
    pub fn new(
        cluster: Cluster,
        settings: Settings,
        owner: Value,
        exchange: Arc<dyn Exchange>,
        reporter: Reporter,
        warn: Arc<dyn Fn(String) + Send + Sync>,
    ) -> Self {
        let (told, hear) = unbounded_channel();
        Self {
            cluster,
            settings: Arc::new(settings),
            owner: Arc::new(owner),
            exchange,
            reporter,
            warn,
            barred: None,
            active: HashMap::new(),
            ids: HashMap::new(),
            pods: HashMap::new(),
            listing: true,
            idle: HashMap::new(),
            looks: BinaryHeap::new(),
            asking: false,
            deaf: false,
            crowded: HashSet::new(),
            roomless: HashSet::new(),
            avoid: HashMap::new(),
            removed: HashSet::new(),
            storeless: HashSet::new(),
            making: Arc::new(Semaphore::new(WITHOUT_POD)),
            room: Arc::new(Notify::new()),
            serving: Serving::default(),
            told,
            hear: Some(hear),
            closing: None,
        }
    }

    /// Works until it is told to end.
    pub async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let Some(mut hear) = self.hear.take() else { return };
        let config = watcher::Config::default().labels(&cluster::selector(&self.settings.run));
        let watched = |cluster: &Cluster| {
            let pods = watch(cluster.pods(), config.clone()).default_backoff().boxed();
            (pods, watch(cluster.jobs(), config.clone()).default_backoff().boxed())
        };
        let (mut pods, mut jobs) = watched(&self.cluster);
        let mut events: Option<BoxStream<'_, watcher::Result<Event<Occurrence>>>> = None;
        // Of pods and of Jobs.
        let mut refused: [Option<Instant>; 2] = [None; 2];
        let mut lost: Option<(usize, watcher::Error)> = None;
        loop {
            if let Some((which, error)) = lost.take() {
                let silence = cluster::silence(&error);
                if silence == Silence::Stranger && self.cluster.renew().await {
                    (pods, jobs) = watched(&self.cluster);
                } else if !cluster::is_over_for_now(&error) {
                    self.cluster.is_silent(silence, &cluster::words(&error));
                }
                let since = refused[which].filter(|_| silence == Silence::Forbidden);
                refused[which] = (silence == Silence::Forbidden).then(|| since.unwrap_or_else(Instant::now));
                if refused[which].is_some_and(|since| since.elapsed() >= cluster::REFUSED) {
                    self.bar(&error);
                }
            }
            if self.closing.is_some() && self.active.is_empty() && self.serving.is_empty() {
                break;
            }
            match (self.asking, &events) {
                (true, None) => {
                    let config = watcher::Config::default();
                    events = Some(watch(self.cluster.events(), config).default_backoff().boxed());
                }
                (false, Some(_)) => events = None,
                _ => {}
            }
            let next_look = self.looks.peek().map(|Reverse((at, _))| *at);
            let next_balance = self.serving.next_balance();
            let next_event = async {
                match &mut events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some(told) = hear.recv() => self.told(told),
                Some(event) = pods.next() => match event {
                    Ok(event) => {
                        // A list begins before it is asked for.
                        if !matches!(event, Event::Init) {
                            self.cluster.answers();
                            refused[0] = None;
                        }
                        self.pod(event);
                    }
                    // It is tried again, for as long as it takes.
                    Err(error) => lost = Some((0, error)),
                },
                Some(event) = jobs.next() => match event {
                    Ok(event) => {
                        if !matches!(event, Event::Init) {
                            refused[1] = None;
                        }
                        self.job(event);
                    }
                    Err(error) => lost = Some((1, error)),
                },
                Some(event) = next_event => match event {
                    Ok(Event::Apply(event) | Event::InitApply(event)) => self.event(&event),
                    Ok(_) => {}
                    // They make messages better, and nothing depends on them.
                    Err(error) => {
                        self.deaf = cluster::is_forbidden(&error);
                        self.asking = !self.deaf;
                    }
                },
                () = sleep_until(next_balance.unwrap_or_else(Instant::now)), if next_balance.is_some() => self.balance(),
                () = sleep_until(next_look.unwrap_or_else(Instant::now)), if next_look.is_some() => self.look_again(),
            }
        }
        if let Err(failure) = self.cluster.disown(&self.settings).await {
            self.cluster.complain(&failure);
        }
        if let Some(done) = self.closing {
            let _ = done.send(());
        }
    }

    /// What becomes of attempts can be seen no more: all end.
    fn bar(&mut self, error: &watcher::Error) {
        let failure = self.cluster.may_not_watch(error);
        self.barred = Some(failure.clone());
        let ids = self.attempts();
        ids.iter().for_each(|id| self.over(id, Outcome::Failed(Box::new(failure.clone()))));
        let pods: Vec<u64> = self.serving.pods.keys().copied().collect();
        pods.into_iter().for_each(|pod| self.pod_ended(pod, failure.clone(), true));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Submit(attempts) => attempts.into_iter().for_each(|attempt| self.submit(attempt)),
            Command::Cancel(ids) => ids.into_iter().for_each(|id| self.cancel(id)),
            Command::Adopt(pods, answer) => self.adopt(pods, answer),
            Command::Attach { word, job: None, attempt } => self.claim(word, attempt),
            Command::Attach { word, job: Some(job), attempt } => {
                let attempt = For::One(attempt);
                let active = Active { job: Some(job.clone()), word: Some(word.clone()), ..Active::default() };
                self.active.insert(attempt.clone(), active);
                self.ids.insert(word.clone(), attempt.clone());
                self.waits(&attempt, &job);
                self.look(&word);
                self.expect_pod(attempt, job);
            }
            Command::ShutDown(done) => {
                self.closing = Some(done);
                self.attempts().into_iter().for_each(|id| self.cancel(id));
                self.close_pods();
            }
        }
    }

    /// All attempts that are not over.
    fn attempts(&self) -> Vec<AttemptId> {
        let ids = self.active.keys().filter_map(|id| match id {
            For::One(id) => Some(id.clone()),
            For::Many(_) => None,
        });
        ids.chain(self.serving.attempts()).collect()
    }

    fn cancel(&mut self, id: AttemptId) {
        if self.cancel_served(&id) {
            return;
        }
        self.cancel_pod(&For::One(id));
    }

    /// Removes what has a pod of its own, or will have one.
    fn cancel_pod(&mut self, id: &For) {
        let Some(active) = self.active.get_mut(id) else { return };
        if std::mem::replace(&mut active.cancelled, true) {
            return;
        }
        // One that is still being made is removed when it is there, if it will be.
        active.stop.stop();
        if let Some(job) = active.job.clone() {
            self.remove(id.clone(), job);
        }
    }

    /// Removes a Job; its pod has its time to end.
    fn remove(&self, id: For, job: String) {
        let (cluster, told) = (self.cluster.clone(), self.told.clone());
        tokio::spawn(async move {
            if let Err(failure) = cluster.remove_job(&job).await {
                cluster.complain(&failure);
            }
            let _ = told.send(Told::NoPod { id, why: "its Job was removed" });
        });
    }

    /// Finds out whether a Job that was there before has a pod still to come.
    fn expect_pod(&self, id: For, job: String) {
        let (cluster, told) = (self.cluster.clone(), self.told.clone());
        tokio::spawn(async move {
            if matches!(cluster.is_over(&job).await, Ok(true)) {
                let _ = told.send(Told::NoPod { id, why: "its Job is over or gone, and so is its pod" });
            }
        });
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Made { id, made, turn } => self.made(&id, made, turn),
            Told::NotMade { id: For::One(id), failure } => self.over(&id, Outcome::Failed(failure)),
            Told::NotMade { id: For::Many(pod), failure } => self.pod_ended(pod, *failure, true),
            Told::Spoilt(id) => self.spoilt(&id),
            Told::Over { id, outcome } => self.over(&id, outcome),
            Told::NoRoom { id, words } => self.no_room(id, &words),
            Told::NoPod { id, why } => self.no_pod(&id, why),
            Told::Written { id, written } => self.written(&id, written),
            Told::Heard { pod, heard } => self.heard(pod, heard),
            Told::Kept => self.serving.leaving -= 1,
            Told::TooLittleRoom => self.too_little_room(),
        }
    }

    /// No pod will come, if none is there. While pods are listed that is asked again when all are known.
    fn no_pod(&mut self, id: &For, why: &str) {
        let Some(active) = self.active.get(id).filter(|_| !self.listing) else { return };
        let has_pod = active.word.as_ref().is_some_and(|word| self.pods.contains_key(word));
        if !has_pod {
            self.end(id, Failure::new(FailureKind::Lost, why), false);
        }
    }

    /// A worker is gone, or will not come: what it left is what came of the attempt, and else `failure` is, also where it
    /// left no more than that it was asked to end. `by_itself`: nobody has asked it to.
    fn end(&mut self, id: &For, failure: Failure, by_itself: bool) {
        let Some(active) = self.active.get_mut(id) else { return };
        let Some(word) = active.word.clone() else { return };
        if active.job.is_none() {
            active.ended.get_or_insert((failure, by_itself));
            return;
        }
        if std::mem::replace(&mut active.ending, true) {
            return;
        }
        match id {
            For::Many(pod) => self.pod_ended(*pod, failure, by_itself),
            For::One(id) => {
                let log = active.log.take();
                self.find_outcome(id.clone(), word, log, failure, by_itself);
            }
        }
    }

    /// Finds out what came of an attempt whose worker is gone.
    fn find_outcome(
        &self,
        id: AttemptId,
        word: String,
        log: Option<JoinHandle<()>>,
        failure: Failure,
        by_itself: bool,
    ) {
        let (told, exchange) = (self.told.clone(), Arc::clone(&self.exchange));
        tokio::spawn(async move {
            let asked = id.clone();
            let read = tokio::task::spawn_blocking(move || exchange.outcome(&word, &asked));
            let outcome = match read.await.unwrap_or_else(|error| Err(making::defect(&error))) {
                Ok(Some(Outcome::Failed(left))) if left.kind == FailureKind::Lost && !by_itself => {
                    Outcome::Failed(Box::new(failure))
                }
                Ok(Some(outcome)) => outcome,
                Ok(None) => Outcome::Failed(Box::new(failure)),
                Err(failure) => Outcome::Failed(Box::new(failure)),
            };
            if let Some(mut log) = log
                && timeout(LAST_LINES, &mut log).await.is_err()
            {
                log.abort();
            }
            let _ = told.send(Told::Over { id, outcome });
        });
    }

    fn over(&mut self, id: &AttemptId, outcome: Outcome) {
        let active = match self.served_over(id) {
            Some(active) => active,
            None => {
                let Some(mut active) = self.forget(&For::One(id.clone())) else { return };
                if let Some(log) = active.log.take() {
                    log.abort();
                }
                active
            }
        };
        let outcome = match outcome {
            Outcome::Failed(failure) if failure.kind == FailureKind::Lost => {
                Outcome::Failed(Box::new(self.lost(id, &active, *failure)))
            }
            Outcome::Failed(_) if active.cancelled => Outcome::Failed(Box::new(making::was_cancelled())),
            outcome => {
                self.removed.remove(&id.job);
                self.storeless.remove(&id.job);
                if matches!(outcome, Outcome::Done(_)) {
                    self.avoid.remove(&id.job);
                }
                outcome
            }
        };
        self.clear_away(active);
        (self.reporter)(Report::Finished(id.clone(), outcome));
        self.balance();
    }

    /// Takes what is known of a pod out of the books.
    fn forget(&mut self, id: &For) -> Option<Active> {
        let active = self.active.remove(id)?;
        self.roomless.remove(id);
        self.started(active.job.as_deref());
        if let Some(word) = &active.word {
            self.ids.remove(word);
            self.pods.remove(word);
        }
        Some(active)
    }

    /// Removes from the cluster what was made for an attempt.
    fn clear_away(&self, active: Active) {
        let cluster = self.cluster.clone();
        tokio::spawn(async move {
            if let Some(secret) = &active.secret
                && let Err(failure) = cluster.forget_secrets(secret).await
            {
                cluster.complain(&failure);
            }
            if let Some(job) = active.job.filter(|_| !active.cancelled && !active.removed)
                && let Err(failure) = cluster.remove_job(&job).await
            {
                cluster.complain(&failure);
            }
        });
    }

    /// Tells people something of an attempt, or of the first one that waits for a pod.
    fn report_note(&self, id: &For, text: String) {
        let attempt = match id {
            For::One(id) => Some(id.clone()),
            For::Many(pod) => self.first_waiting(*pod),
        };
        if let Some(id) = attempt {
            (self.reporter)(Report::Note(id, text));
        }
    }

    /// What is told of a lost attempt, and what the next one has from it.
    fn lost(&mut self, id: &AttemptId, active: &Active, failure: Failure) -> Failure {
        if active.cancelled {
            return making::was_cancelled();
        }
        if active.removed {
            // Once may be a slip, or a cluster that cleans up.
            return match self.removed.insert(id.job.clone()) {
                true => Failure { message: "its Job was deleted".to_owned(), ..failure },
                false => Failure::new(
                    FailureKind::Refused,
                    "its Job was deleted twice: that is taken for the wish that it does not run",
                ),
            };
        }
        self.removed.remove(&id.job);
        if let Some(node) = &active.node {
            self.avoid.entry(id.job.clone()).or_default().insert(node.clone());
        }
        if !active.storeless {
            self.storeless.remove(&id.job);
        } else if !self.storeless.insert(id.job.clone()) {
            // Both were refused, or tried for a minute, and the leader itself can use it.
            return Failure { kind: FailureKind::Refused, ..failure };
        }
        failure
    }
}
