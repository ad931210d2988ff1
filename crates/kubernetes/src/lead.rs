//! The task that owns all that is known of pods: it makes Jobs, watches their pods, and tells what comes of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use moil_job::exchange::Exchange;
use moil_job::executor::{Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::Outcome;
use moil_job::spec::{Attempt, AttemptId};
use moil_job::wire;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::cluster::{self, Cluster, Created};
use crate::manifest::{self, Order};
use crate::names;
use crate::outcome::{Standing, standing};
use crate::settings::Settings;

/// How many Jobs are made at a time.
const MAKING: usize = 8;

/// How long to wait before a namespace that had no room is asked again.
const NO_ROOM: Duration = Duration::from_secs(5);

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
        /// Its Job.
        job: String,
        /// Which one.
        attempt: AttemptId,
    },
    /// End all, remove all, and say when that is done.
    ShutDown(Sender<()>),
}

/// What tasks of this one tell it.
enum Told {
    /// The Job of an attempt is there.
    Made { id: AttemptId, word: String, job: String, secret: Option<String> },
    /// It will not be.
    NotMade { id: AttemptId, failure: Box<Failure> },
    /// What came of an attempt.
    Over { id: AttemptId, outcome: Outcome },
    /// Something that people should know of an attempt.
    Note { id: AttemptId, text: String },
    /// A Job is removed or over; if it has no pod, none will come.
    NoPod { id: AttemptId },
}

/// An attempt that was submitted or attached to, and not reported.
#[derive(Default)]
struct Active {
    word: Option<String>,
    job: Option<String>,
    secret: Option<String>,
    cancelled: bool,
    /// The same, for the task that makes its Job.
    stop: Arc<AtomicBool>,
    /// Its result is being read.
    ending: bool,
    /// What was said last of why it waits.
    said: Option<String>,
    /// Since when its image cannot be had.
    no_image: Option<(Instant, String)>,
}

/// The task.
pub struct Lead {
    cluster: Cluster,
    settings: Arc<Settings>,
    owner: Arc<Value>,
    exchange: Arc<dyn Exchange>,
    reporter: Reporter,
    warn: Arc<dyn Fn(String) + Send + Sync>,
    active: HashMap<AttemptId, Active>,
    /// Whose attempt a word is.
    ids: HashMap<String, AttemptId>,
    /// How it stands with pods, by the words of their attempts.
    pods: HashMap<String, Standing>,
    making: Arc<Semaphore>,
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
            active: HashMap::new(),
            ids: HashMap::new(),
            pods: HashMap::new(),
            making: Arc::new(Semaphore::new(MAKING)),
            told,
            hear: Some(hear),
            closing: None,
        }
    }

    /// Works until it is told to end.
    pub async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let Some(mut hear) = self.hear.take() else { return };
        let config = watcher::Config::default().labels(&cluster::selector(&self.settings.run));
        let mut pods = std::pin::pin!(watch(self.cluster.pods(), config).default_backoff());
        let mut warned = false;
        loop {
            if self.closing.is_some() && self.active.is_empty() {
                break;
            }
            let deadline = self.next_deadline();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some(told) = hear.recv() => self.told(told),
                Some(event) = pods.next() => match event {
                    Ok(event) => {
                        warned = false;
                        self.pod(event);
                    }
                    // It is tried again, for as long as it takes.
                    Err(error) if !std::mem::replace(&mut warned, true) => {
                        (self.warn)(format!("the pods of this run cannot be watched now: {error}"));
                    }
                    Err(_) => {}
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.give_up_images(),
            }
        }
        if let Err(failure) = self.cluster.disown(&self.settings).await {
            (self.warn)(failure.message);
        }
        if let Some(done) = self.closing {
            let _ = done.send(());
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Submit(attempts) => attempts.into_iter().for_each(|attempt| self.submit(attempt)),
            Command::Cancel(ids) => ids.iter().for_each(|id| self.cancel(id)),
            Command::Attach { word, job, attempt } => {
                let active = Active { job: Some(job.clone()), word: Some(word.clone()), ..Active::default() };
                self.active.insert(attempt.clone(), active);
                self.ids.insert(word.clone(), attempt.clone());
                self.look(&word);
                self.expect_pod(attempt, job);
            }
            Command::ShutDown(done) => {
                let ids: Vec<AttemptId> = self.active.keys().cloned().collect();
                ids.iter().for_each(|id| self.cancel(id));
                self.closing = Some(done);
            }
        }
    }

    fn submit(&mut self, attempt: Attempt) {
        if self.active.contains_key(&attempt.id) {
            return;
        }
        let active = Active::default();
        let stop = Arc::clone(&active.stop);
        self.active.insert(attempt.id.clone(), active);
        let (cluster, settings, owner) =
            (self.cluster.clone(), Arc::clone(&self.settings), Arc::clone(&self.owner));
        let (exchange, making, told) =
            (Arc::clone(&self.exchange), Arc::clone(&self.making), self.told.clone());
        tokio::spawn(async move {
            // It is never closed.
            let _turn = making.acquire().await;
            let id = attempt.id.clone();
            let made = make(&attempt, exchange, &cluster, &settings, &owner, &told, &stop).await;
            let _ = told.send(match made {
                Ok((word, job, secret)) => Told::Made { id, word, job, secret },
                Err(failure) => Told::NotMade { id, failure },
            });
        });
    }

    fn cancel(&mut self, id: &AttemptId) {
        let Some(active) = self.active.get_mut(id) else { return };
        if std::mem::replace(&mut active.cancelled, true) {
            return;
        }
        // One that is still being made is removed when it is there, if it will be.
        active.stop.store(true, Ordering::Relaxed);
        if let Some(job) = active.job.clone() {
            self.remove(id.clone(), job);
        }
    }

    /// Removes a Job; its pod has its time to end.
    fn remove(&self, id: AttemptId, job: String) {
        let (cluster, told, warn) = (self.cluster.clone(), self.told.clone(), Arc::clone(&self.warn));
        tokio::spawn(async move {
            if let Err(failure) = cluster.remove_job(&job).await {
                warn(failure.message);
            }
            let _ = told.send(Told::NoPod { id });
        });
    }

    /// Finds out whether a Job that was there before has a pod still to come.
    fn expect_pod(&self, id: AttemptId, job: String) {
        let (cluster, told) = (self.cluster.clone(), self.told.clone());
        tokio::spawn(async move {
            if matches!(cluster.is_over(&job).await, Ok(true)) {
                let _ = told.send(Told::NoPod { id });
            }
        });
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Made { id, word, job, secret } => {
                let Some(active) = self.active.get_mut(&id) else { return };
                active.word = Some(word.clone());
                active.job = Some(job.clone());
                active.secret = secret;
                let cancelled = active.cancelled;
                self.ids.insert(word.clone(), id.clone());
                match cancelled {
                    true => self.remove(id, job),
                    false => self.look(&word),
                }
            }
            Told::NotMade { id, failure } => self.over(&id, Outcome::Failed(failure)),
            Told::Over { id, outcome } => self.over(&id, outcome),
            Told::Note { id, text } => {
                if self.active.contains_key(&id) {
                    (self.reporter)(Report::Note(id, text));
                }
            }
            Told::NoPod { id } => {
                let Some(active) = self.active.get(&id) else { return };
                let has_pod = active.word.as_ref().is_some_and(|word| self.pods.contains_key(word));
                if !has_pod {
                    self.end(&id, Failure::new(FailureKind::Lost, "its Job was removed"));
                }
            }
        }
    }

    fn pod(&mut self, event: Event<Pod>) {
        let (pod, is_gone) = match event {
            Event::Apply(pod) | Event::InitApply(pod) => (pod, false),
            Event::Delete(pod) => (pod, true),
            // Those that are not listed were deleted meanwhile.
            Event::Init => return self.pods.clear(),
            Event::InitDone => return self.find_lost(),
        };
        let Some(word) = pod.annotations().get(names::ATTEMPT).cloned() else { return };
        match (standing(&pod), is_gone) {
            (Standing::Ended(failure), _) => drop(self.pods.insert(word.clone(), Standing::Ended(failure))),
            (_, true) => {
                let gone = Failure::new(FailureKind::Lost, format!("its pod {} was deleted", pod.name_any()));
                self.pods.insert(word.clone(), Standing::Ended(gone));
            }
            (standing, false) => drop(self.pods.insert(word.clone(), standing)),
        }
        self.look(&word);
        if is_gone {
            self.pods.remove(&word);
        }
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

    /// Acts on how it stands with the pod of an attempt.
    fn look(&mut self, word: &str) {
        let (Some(id), Some(standing)) = (self.ids.get(word).cloned(), self.pods.get(word).cloned()) else {
            return;
        };
        let Some(active) = self.active.get_mut(&id) else { return };
        if !matches!(standing, Standing::NoImage(_)) {
            active.no_image = None;
        }
        match standing {
            Standing::Ended(failure) => self.end(&id, failure),
            Standing::Running => active.said = None,
            Standing::Waiting(why) => {
                if why != active.said {
                    active.said.clone_from(&why);
                    if let Some(why) = why {
                        (self.reporter)(Report::Note(id, format!("waits: {why}")));
                    }
                }
            }
            Standing::NoImage(words) => {
                if active.no_image.is_none() {
                    (self.reporter)(Report::Note(id, format!("waits for the image of the worker: {words}")));
                }
                let since = active.no_image.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                active.no_image = Some((since, words));
            }
        }
    }

    /// A worker is gone, or will not come: what it left is what came of the attempt, and else `failure` is.
    fn end(&mut self, id: &AttemptId, failure: Failure) {
        let Some(active) = self.active.get_mut(id) else { return };
        let Some(word) = active.word.clone() else { return };
        if std::mem::replace(&mut active.ending, true) {
            return;
        }
        let cancelled = active.cancelled;
        let (exchange, told, id) = (Arc::clone(&self.exchange), self.told.clone(), id.clone());
        tokio::task::spawn_blocking(move || {
            let outcome = match exchange.outcome(&word, &id) {
                Ok(Some(Outcome::Failed(left)))
                    if left.kind == FailureKind::Lost && failure.kind != FailureKind::Lost =>
                {
                    Outcome::Failed(Box::new(failure))
                }
                Ok(Some(outcome)) => outcome,
                Ok(None) => Outcome::Failed(Box::new(failure)),
                Err(failure) => Outcome::Failed(Box::new(failure)),
            };
            let outcome = match outcome {
                Outcome::Failed(failure) if cancelled && failure.kind == FailureKind::Lost => {
                    Outcome::Failed(Box::new(was_cancelled()))
                }
                outcome => outcome,
            };
            let _ = told.send(Told::Over { id, outcome });
        });
    }

    fn over(&mut self, id: &AttemptId, outcome: Outcome) {
        let Some(active) = self.active.remove(id) else { return };
        if let Some(word) = &active.word {
            self.ids.remove(word);
            self.pods.remove(word);
        }
        let (cluster, warn) = (self.cluster.clone(), Arc::clone(&self.warn));
        tokio::spawn(async move {
            if let Some(secret) = &active.secret
                && let Err(failure) = cluster.forget_secrets(secret).await
            {
                warn(failure.message);
            }
            if let Some(job) = active.job.filter(|_| !active.cancelled)
                && let Err(failure) = cluster.remove_job(&job).await
            {
                warn(failure.message);
            }
        });
        (self.reporter)(Report::Finished(id.clone(), outcome));
    }

    /// When the next attempt is given up whose image cannot be had.
    fn next_deadline(&self) -> Option<Instant> {
        let since =
            self.active.values().filter_map(|active| active.no_image.as_ref()).map(|(since, _)| *since).min();
        since.map(|since| since + self.settings.pod_timeout)
    }

    fn give_up_images(&mut self) {
        let now = Instant::now();
        let late = |active: &Active| {
            let (since, words) = active.no_image.as_ref()?;
            (*since + self.settings.pod_timeout <= now).then(|| words.clone())
        };
        let late: Vec<(AttemptId, String)> =
            self.active.iter().filter_map(|(id, active)| Some((id.clone(), late(active)?))).collect();
        for (id, words) in late {
            let failure = Failure::new(
                FailureKind::Image,
                format!("the image of the worker, {}, cannot be had", self.settings.image),
            )
            .with_cause(words)
            .with_advice("correct TOIL_APPLIANCE_SELF, or push the image: moil appliance push");
            self.over(&id, Outcome::Failed(Box::new(failure)));
        }
    }
}

fn was_cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "it was cancelled")
}

/// Makes all that an attempt needs in the cluster: gives its word, its Job, and its Secret.
async fn make(
    attempt: &Attempt,
    exchange: Arc<dyn Exchange>,
    cluster: &Cluster,
    settings: &Settings,
    owner: &Value,
    told: &UnboundedSender<Told>,
    stop: &AtomicBool,
) -> Result<(String, String, Option<String>), Box<Failure>> {
    let handed = attempt.clone();
    let word = tokio::task::spawn_blocking(move || exchange.hand_over(&handed)).await;
    let word = word.map_err(|error| {
        Box::new(
            Failure::new(FailureKind::Internal, "moil failed while it handed over a job").with_cause(error),
        )
    })??;
    let secret = match attempt.secrets.is_empty() {
        true => None,
        false => Some(names::job(&settings.owner, &settings.run, &word, "secrets")),
    };
    if let Some(secret) = &secret {
        let text = String::from_utf8_lossy(&wire::write_secrets(&attempt.secrets)).into_owned();
        cluster.keep_secrets(secret, &text, settings, owner).await?;
    }
    let order =
        Order { word: &word, step: &attempt.job.name, granted: &attempt.granted, secrets: secret.as_deref() };
    let job = manifest::job(&order, settings, owner);
    let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut said = false;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Box::new(was_cancelled()));
        }
        match cluster.make(&job).await {
            Created::Done => return Ok((word, name, secret)),
            Created::Refused(failure) => return Err(failure),
            Created::NoRoom(words) => {
                if !std::mem::replace(&mut said, true) {
                    let text = format!("waits for room in the namespace: {words}");
                    let _ = told.send(Told::Note { id: attempt.id.clone(), text });
                }
                sleep(NO_ROOM).await;
            }
        }
    }
}
