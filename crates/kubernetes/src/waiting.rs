//! How long what a pod waits for may take, and what is said when that is over.

use std::time::Duration;

use moil_job::failure::{Failure, FailureKind};

use crate::outcome::{Standing, lost, on};

/// How long a node may be silent after the time that a pod had to end.
const SILENCE: Duration = Duration::from_secs(60);

/// What a pod waits for that has an end.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// Its image, in the words of the node.
    Image(String),
    /// Its node, to make it ready.
    Start(Option<String>),
    /// Its node, to say that it is gone; what is told else.
    Leave(Failure),
}

/// One such wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait<Instant> {
    /// For what.
    pub why: Why,
    /// When it is given up; `None` while an image is being fetched.
    pub until: Option<Instant>,
}

impl<Instant: Copy + std::ops::Add<Duration, Output = Instant>> Wait<Instant> {
    /// The wait of a pod that stands so: the one that it is in already, if it is the same.
    pub fn after(
        current: Option<Self>,
        standing: &Standing,
        now: Instant,
        timeout: Duration,
    ) -> Option<Self> {
        let (why, allowed) = match standing {
            Standing::NoImage(words) => (Why::Image(words.clone()), timeout),
            Standing::Starting(words) => (Why::Start(words.clone()), timeout),
            Standing::Leaving(grace, failure) => (Why::Leave(failure.clone()), *grace + SILENCE),
            Standing::Waiting(_) | Standing::Running | Standing::Ended(_) | Standing::EndedItself(_) => {
                return None;
            }
        };
        let until = match current {
            Some(current) if std::mem::discriminant(&current.why) == std::mem::discriminant(&why) => {
                current.until
            }
            _ => Some(now + allowed),
        };
        Some(Self { why, until })
    }

    /// The image of the pod is being fetched, or that has come to its end: this takes as long as it takes.
    pub fn fetching(&mut self, now: Instant, timeout: Duration, is_over: bool) {
        if matches!(self.why, Why::Start(_)) {
            self.until = is_over.then(|| now + timeout);
        }
    }

    /// What is told when it is given up. `heard` is the last that Kubernetes said of it, `node` where it is.
    pub fn given_up(
        self,
        image: &str,
        node: Option<&str>,
        heard: Option<&str>,
        timeout: Duration,
    ) -> Failure {
        match self.why {
            Why::Image(words) => {
                Failure::new(FailureKind::Image, format!("the image of the worker, {image}, cannot be had"))
                    .with_cause(words)
                    .with_advice("correct TOIL_APPLIANCE_SELF, or push the image: moil appliance push")
            }
            Why::Start(Some(words)) => {
                Failure::new(FailureKind::Refused, on("its container cannot be made", node)).with_cause(words)
            }
            Why::Start(None) => {
                let message = format!("its pod did not start within {} s", timeout.as_secs());
                let failure = lost(&on(&message, node), heard.map(str::to_owned));
                failure.with_advice("--kubernetesPodTimeout gives pods more time")
            }
            Why::Leave(failure) => {
                let silent = match node {
                    Some(node) => format!("{node} does not say that it is gone"),
                    None => "nobody says that it is gone".to_owned(),
                };
                let words = failure.cause.clone();
                let cause = words.map_or_else(|| silent.clone(), |words| format!("{words}; {silent}"));
                failure.with_cause(cause)
            }
        }
    }
}
