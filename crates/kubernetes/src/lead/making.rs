//! Making what an attempt needs in the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use moil_job::exchange::Exchange;
use moil_job::failure::{Failure, FailureKind};
use moil_job::spec::Attempt;
use moil_job::wire;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Duration, sleep};

use super::{Active, Lead, Told};
use crate::cluster::{Cluster, Created};
use crate::manifest::{self, Order};
use crate::names;
use crate::settings::Settings;

/// How long to wait before a namespace that had no room is asked again, if none of our Jobs goes before.
const NO_ROOM: Duration = Duration::from_secs(30);

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

/// What makes one attempt's Job.
struct Maker {
    attempt: Attempt,
    avoid: Vec<String>,
    exchange: Arc<dyn Exchange>,
    cluster: Cluster,
    settings: Arc<Settings>,
    owner: Arc<Value>,
    stop: Arc<Stop>,
    room: Arc<Notify>,
    told: UnboundedSender<Told>,
}

/// An attempt's word, Job and Secret.
type Made = (String, String, Option<String>);

impl Lead {
    pub(super) fn submit(&mut self, attempt: Attempt) {
        if self.active.contains_key(&attempt.id) {
            return;
        }
        let active = Active::default();
        let stop = Arc::clone(&active.stop);
        self.active.insert(attempt.id.clone(), active);
        let avoid = self.avoid.get(&attempt.id.job).into_iter().flatten().cloned().collect();
        let id = attempt.id.clone();
        let (making, told) = (Arc::clone(&self.making), self.told.clone());
        let maker = Maker {
            attempt,
            avoid,
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
                Err(error) => Err(Box::new(defect(&error))),
            };
            let _ = told.send(match made {
                Ok(((word, job, secret), turn)) => Told::Made { id, word, job, secret, turn },
                Err(failure) => Told::NotMade { id, failure },
            });
        });
    }
}

impl Maker {
    async fn make(self) -> Result<Made, Box<Failure>> {
        if self.stop.is_wanted() {
            return Err(Box::new(was_cancelled()));
        }
        let Self { attempt, settings, cluster, owner, .. } = &self;
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
        let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut said = false;
        loop {
            if self.stop.is_wanted() {
                return Err(Box::new(was_cancelled()));
            }
            match cluster.make(&job).await {
                Created::Done => return Ok((word, name, secret)),
                Created::Refused(failure) => return Err(failure),
                Created::NoRoom(words) => {
                    if !std::mem::replace(&mut said, true) {
                        let text = format!("waits for room in the namespace: {words}");
                        let _ = self.told.send(Told::Note { id: attempt.id.clone(), text });
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
}

pub(super) fn was_cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "it was cancelled")
}

pub(super) fn defect(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, "moil failed while it saw to a job").with_cause(error)
}
