//! Whether a cluster has what a run needs: told line by line, with what to do where something is missing.
//!
//! | module | holds |
//! |---|---|
//! | [`rights`] | what a leader must be allowed to do |
//! | [`secret`] | the Secret with credentials for AWS |
//! | [`security`] | the level of Pod Security, against what pods ask for |
//! | `gather` | asking the API server |
//! | `pod` | one pod, made as those of jobs are, that looks around |

mod gather;
mod pod;
pub mod rights;
pub mod secret;
pub mod security;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moil_job::failure::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::cluster::Cluster;
use crate::settings::Settings;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is as it must be.
    #[serde(rename = "ok")]
    Ok,
    /// It is not.
    #[serde(rename = "failed")]
    Failed,
    /// It could not be looked at, or it depends on the workflow whether it matters.
    #[serde(rename = "cannot tell")]
    CannotTell,
}

/// One line of what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    #[serde(rename = "check")]
    pub what: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub advice: Option<String>,
}

impl Check {
    /// A check without advice.
    pub fn new(what: &str, verdict: Verdict, found: impl Into<String>) -> Self {
        Self { what: what.to_owned(), verdict, found: found.into(), advice: None }
    }

    /// Something is as it must be.
    pub fn ok(what: &str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Ok, found)
    }

    /// Something is not.
    pub fn failed(what: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(what, Verdict::Failed, found) }
    }

    /// It cannot be told.
    pub fn unknown(what: &str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::CannotTell, found)
    }

    /// A failure as the end of a check.
    pub fn of(what: &str, failure: Failure) -> Self {
        let found = match failure.cause {
            Some(cause) => format!("{}: {cause}", failure.message),
            None => failure.message,
        };
        Self { advice: failure.advice, ..Self::new(what, Verdict::Failed, found) }
    }
}

/// The wish that it ends. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(Arc<(AtomicBool, Notify)>);

impl Stop {
    /// Asks for the end.
    pub fn stop(&self) {
        self.0.0.store(true, Ordering::Relaxed);
        self.0.1.notify_one();
    }

    /// Whether that was asked for.
    pub fn is_wanted(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }

    async fn wanted(&self) {
        while !self.is_wanted() {
            self.0.1.notified().await;
        }
    }
}

/// Looks at one cluster.
pub struct Doctor {
    runtime: Runtime,
    cluster: Cluster,
    stop: Stop,
}

impl Doctor {
    /// Finds the cluster that the settings name. `warn` is told when the server is silent.
    ///
    /// # Errors
    /// There is none.
    pub fn new(
        settings: &Settings,
        stop: Stop,
        warn: Arc<dyn Fn(String) + Send + Sync>,
    ) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kubernetes")
            .enable_all()
            .build()
            .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))?;
        let cluster = runtime.block_on(Cluster::connect(settings, warn))?;
        Ok(Self { runtime, cluster, stop })
    }

    /// What the API server says: who we are, what we may do, the Secret, the level of Pod Security. Nothing is changed.
    /// Says with it whether a pod can be made.
    pub fn look(&self, settings: &Settings) -> (Vec<Check>, bool) {
        self.runtime.block_on(async {
            tokio::select! {
                found = gather::look(&self.cluster, settings) => found,
                () = self.stop.wanted() => (Vec::new(), false),
            }
        })
    }

    /// Makes one pod as those of jobs are made, and reads the checks that it prints, one as JSON on each line. Whatever
    /// was made is removed, also when the end is asked for.
    pub fn look_in_a_pod(&self, settings: &Settings) -> Vec<Check> {
        self.runtime.block_on(pod::look(&self.cluster, settings, &self.stop))
    }
}
