//! Making what an attempt needs in the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use moil_job::exchange::Exchange;
use moil_job::executor::Report;
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::Outcome;
use moil_job::spec::Attempt;
use moil_job::wire;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Duration, Instant, sleep};

use super::{Active, For, Lead, Told};
use crate::cluster::keeping::Spoilt;
use crate::cluster::{Cluster, Created};
use crate::manifest::{self, Order};
use crate::names;
use crate::pool::{self, Class};
use crate::room::Room;
use crate::settings::Settings;

/// How long to wait before a namespace that had no room is asked again, if none of our Jobs goes before.
const NO_ROOM: Duration = Duration::from_secs(30);

/// How long a new pod waits until those of other runs have found room.
const COURTESY: Duration = Duration::from_secs(10);

/// How often it looks whether they have.
const LOOK: Duration = Duration::from_millis(250);

/// The wish that an attempt does not begin.
#[derive(Default)]
pub(super) struct Stop {
    is_wanted: AtomicBool,
    wake: Notify,
}

impl Stop {
    pub(super) fn stop(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }
}

/// What a Job is made for.
pub(super) enum What {
    /// An attempt.
    One(Box<Attempt>),
    /// Those of a class that are told to a worker; by the word of its pod.
    Many { word: String, class: Class, slots: u64 },
}

/// What makes one Job.
struct Maker {
    what: What,
    avoid: Vec<String>,
    id: For,
    exchange: Arc<dyn Exchange>,
    cluster: Cluster,
    settings: Arc<Settings>,
    owner: Arc<Value>,
    stop: Arc<Stop>,
    room: Arc<Notify>,
    told: UnboundedSender<Told>,
}

/// A Job that is there.
pub(super) struct Made {
    /// The word of its attempt or pod.
    pub(super) word: String,
    pub(super) job: String,
    pub(super) secret: Option<String>,
    /// It is another run's, which is over, and has room for so many attempts side by side.
    pub(super) kept: Option<u64>,
}

/// Why there is no Job.
enum NotMade {
    Failed(Box<Failure>),
    /// Another pod is to be made, with another word.
    Spoilt,
}

impl Lead {
    pub(super) fn submit(&mut self, attempt: Attempt) {
        let id = For::One(attempt.id.clone());
        if self.active.contains_key(&id) || self.serving.has(&attempt.id) {
            return;
        }
        if let Some(failure) = &self.barred {
            let outcome = Outcome::Failed(Box::new(failure.clone()));
            return (self.reporter)(Report::Finished(attempt.id, outcome));
        }
        let avoid: Vec<String> = self.avoid.get(&attempt.id.job).into_iter().flatten().cloned().collect();
        if avoid.is_empty() && self.serve(&attempt) {
            return;
        }
        self.make(id, What::One(Box::new(attempt)), avoid);
    }

    /// Makes a Job, when it is its turn.
    pub(super) fn make(&mut self, id: For, what: What, avoid: Vec<String>) {
        let room = match &what {
            What::One(attempt) => Room::of(&attempt.granted),
            What::Many { class, slots, .. } => Room::of(&class.granted(*slots)),
        };
        let active = Active { room, ..Active::default() };
        let stop = Arc::clone(&active.stop);
        self.active.insert(id.clone(), active);
        let (making, told) = (Arc::clone(&self.making), self.told.clone());
        let maker = Maker {
            what,
            avoid,
            id: id.clone(),
            exchange: Arc::clone(&self.exchange),
            cluster: self.cluster.clone(),
            settings: Arc::clone(&self.settings),
            owner: Arc::clone(&self.owner),
            stop,
            room: Arc::clone(&self.room),
            told: told.clone(),
        };
        tokio::spawn(async move {
            let made = match making.acquire_owned().await {
                Ok(turn) => maker.make().await.map(|made| (made, turn)),
                // It is never closed.
                Err(error) => Err(NotMade::Failed(Box::new(defect(&error)))),
            };
            let _ = told.send(match made {
                Ok((made, turn)) => Told::Made { id, made, turn },
                Err(NotMade::Failed(failure)) => Told::NotMade { id, failure },
                Err(NotMade::Spoilt) => Told::Spoilt(id),
            });
        });
    }
}

impl Lead {
    /// A Job is there.
    pub(super) fn made(&mut self, id: &For, made: Made, turn: OwnedSemaphorePermit) {
        let Made { word, job, secret, kept } = made;
        let Some(active) = self.active.get_mut(id) else { return };
        let pod = match id {
            For::Many(pod) => self.serving.pods.get_mut(pod),
            For::One(_) => None,
        };
        let is_pod = pod.is_some();
        if let Some(pod) = pod {
            pod.is_made = true;
            if let Some(slots) = kept {
                // From now on it has its time to answer.
                (pod.was_kept, pod.slots, pod.since) = (true, slots, Instant::now());
            }
        }
        self.roomless.remove(id);
        active.word = Some(word.clone());
        active.job = Some(job.clone());
        active.secret = secret;
        active.turn = Some(turn).filter(|_| !self.pods.contains_key(&word));
        // Its end may have been told when it could not be told from a pod that is still to come.
        active.watched &= active.turn.is_none();
        let (cancelled, ended) = (active.cancelled, active.ended.take());
        self.ids.insert(word.clone(), id.clone());
        self.waits(id, &job);
        match cancelled {
            true => self.remove(id.clone(), job),
            false => self.look(&word),
        }
        if let Some((failure, by_itself)) = ended {
            self.end(id, failure, by_itself);
        } else if is_pod {
            // It may have less room than was wanted, and its worker may have answered.
            self.balance();
        }
    }

    /// A pod was gone when it was taken over.
    pub(super) fn spoilt(&mut self, id: &For) {
        let For::Many(number) = *id else { return };
        if let Some(pod) = self.serving.pods.get_mut(&number) {
            pod.was_kept = true;
        }
        self.pod_ended(number, Failure::new(FailureKind::Lost, "its pod was gone"), true);
    }
}

impl Maker {
    async fn make(self) -> Result<Made, NotMade> {
        if self.stop.is_wanted() {
            return Err(NotMade::Failed(Box::new(was_cancelled())));
        }
        let (word, job, secret) = match &self.what {
            What::One(attempt) => self.for_attempt(attempt).await.map_err(NotMade::Failed)?,
            What::Many { word, class, slots } => {
                let job = self.for_many(word, class, *slots);
                let each = Room::of(&class.granted(1));
                if let Some((name, slots)) = self.take_over(&job, each, *slots).await? {
                    return Ok(Made { word: word.clone(), job: name, secret: None, kept: Some(slots) });
                }
                (word.clone(), job, None)
            }
        };
        let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut said = false;
        loop {
            if self.stop.is_wanted() {
                return Err(NotMade::Failed(Box::new(was_cancelled())));
            }
            match self.cluster.make(&job).await {
                Created::Done => return Ok(Made { word, job: name, secret, kept: None }),
                Created::Refused(failure) => return Err(NotMade::Failed(failure)),
                Created::NoRoom(words) => {
                    if !std::mem::replace(&mut said, true) {
                        let _ = self.told.send(Told::NoRoom { id: self.id.clone(), words });
                    }
                    tokio::select! {
                        () = self.room.notified() => {}
                        () = self.stop.wake.notified() => {}
                        () = sleep(NO_ROOM) => {}
                    }
                }
            }
        }
    }

    /// Takes over a pod that another run has left. Where there is none, and another run waits for room, that is let go first:
    /// of pods that are small there may always be one, and a large one never finds room.
    async fn take_over(&self, job: &Value, each: Room, slots: u64) -> Result<Option<(String, u64)>, NotMade> {
        if self.settings.pod_keep.is_zero() {
            return Ok(None);
        }
        let until = Instant::now() + COURTESY;
        loop {
            let found = self.cluster.take_over(job, each, slots).await.map_err(|Spoilt| NotMade::Spoilt)?;
            let is_late = self.stop.is_wanted() || Instant::now() > until;
            if found.is_some() || is_late || !self.cluster.is_crowded(&self.settings).await {
                return Ok(found);
            }
            sleep(LOOK).await;
        }
    }

    /// Hands an attempt over, and gives its word, its Job and its Secret.
    async fn for_attempt(&self, attempt: &Attempt) -> Result<(String, Value, Option<String>), Box<Failure>> {
        let Self { settings, cluster, owner, .. } = self;
        let (handed, exchange) = (attempt.clone(), Arc::clone(&self.exchange));
        let word = tokio::task::spawn_blocking(move || exchange.hand_over(&handed)).await;
        let word = word.map_err(|error| Box::new(defect(&error)))??;
        let secret = match attempt.secrets.is_empty() {
            true => None,
            false => Some(names::job(&settings.owner, &settings.run, &word, "secrets")),
        };
        if let Some(secret) = &secret {
            let text = String::from_utf8_lossy(&wire::write_secrets(&attempt.secrets)).into_owned();
            cluster.keep_secrets(secret, &text, settings, owner).await?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let order = Order {
            late: settings.orphan_timeout.map(|timeout| (now + timeout).as_secs()),
            ..Order::of(&word, attempt, secret.as_deref(), &self.avoid)
        };
        let job = manifest::job(&order, settings, owner);
        Ok((word, job, secret))
    }

    /// The Job of a pod that takes more than one.
    fn for_many(&self, word: &str, class: &Class, slots: u64) -> Value {
        let granted = class.granted(slots);
        let order = Order {
            word,
            serves: Some(pool::KEPT),
            step: "pod",
            granted: &granted,
            secrets: None,
            avoid: &[],
            inputs: 0,
            has_image: class.has_image(),
            preemptible: class.preemptible(),
            late: None,
        };
        manifest::job(&order, &self.settings, &self.owner)
    }
}

pub(super) fn was_cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "it was cancelled")
}

pub(super) fn defect(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, "moil failed while it saw to a job").with_cause(error)
}
