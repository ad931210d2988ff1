//! How it stands with an attempt, read from its pod: from status, container state and conditions, never guessed.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use moil_job::exchange::NO_STORE;
use moil_job::failure::{Failure, FailureKind};

/// How it stands with a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It has no node, and why, in the words of the scheduler.
    Waiting(Option<String>),
    /// It has a node, which makes it ready, or cannot, in its words.
    Starting(Option<String>),
    /// It cannot begin, since its image cannot be had, in the words of Kubernetes. It is tried again for some time.
    NoImage(String),
    /// Its worker is at work.
    Running,
    /// It is being removed, and has so long to end; if its node does not say more, this is why.
    Leaving(Duration, Failure),
    /// Its worker is gone, since Kubernetes or somebody ended it. If it left no result, or only says that it was asked to
    /// end, this is why.
    Ended(Failure),
    /// Its worker has ended by itself. If it left no result, this is why.
    EndedItself(Failure),
}

/// What a container says that waits for its image.
const IMAGE: &[&str] = &["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

/// What a container says that cannot begin; its node tries again.
const CANNOT_BEGIN: &[&str] = &["CreateContainerConfigError", "CreateContainerError", "RunContainerError"];

/// How long a pod that is removed has to end, where it does not say, in seconds.
const GRACE: i64 = 30;

/// Reads a pod.
pub fn standing(pod: &Pod) -> Standing {
    let status = pod.status.clone().unwrap_or_default();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let state = status.container_statuses.iter().flatten().next().and_then(|status| status.state.clone());
    if let Some(terminated) = state.as_ref().and_then(|state| state.terminated.as_ref()) {
        if let Some(failure) = disrupted(pod) {
            return Standing::Ended(failure);
        }
        let failure = terminated_failure(
            terminated.reason.as_deref(),
            terminated.exit_code,
            terminated.message.as_deref(),
            node.as_deref(),
            memory_limit(pod).as_deref(),
        );
        let by_itself = matches!(failure.kind, FailureKind::Lost | FailureKind::Refused);
        return match (by_itself, pod.metadata.deletion_timestamp.is_some()) {
            (true, true) => Standing::Ended(lost(&on("its pod was deleted", node.as_deref()), None)),
            (true, false) => Standing::EndedItself(failure),
            (false, _) => Standing::Ended(failure),
        };
    }
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return Standing::Ended(disrupted(pod).or_else(|| not_prepared(pod)).unwrap_or_else(|| {
            let refused = status.reason.as_deref().map(|reason| format!("its pod did not start ({reason})"));
            let what = refused.unwrap_or_else(|| "its pod ended without a word".to_owned());
            lost(&on(&what, node.as_deref()), status.message)
        }));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(GRACE);
        let failure =
            disrupted(pod).unwrap_or_else(|| lost(&on("its pod was deleted", node.as_deref()), None));
        return Standing::Leaving(Duration::from_secs(grace.unsigned_abs()), failure);
    }
    // While others prepare the pod, what they wait for is what it waits for.
    let prepare = status.init_container_statuses.iter().flatten().filter_map(|status| status.state.clone());
    let state = match state {
        Some(ContainerState { running: Some(_), .. }) => state,
        _ => prepare.into_iter().find(|state| state.waiting.is_some()).or(state),
    };
    match state {
        Some(ContainerState { running: Some(_), .. }) => Standing::Running,
        Some(ContainerState { waiting: Some(waiting), .. }) => {
            let reason = waiting.reason.unwrap_or_default();
            let words = waiting.message.unwrap_or_else(|| reason.clone());
            if IMAGE.contains(&reason.as_str()) {
                Standing::NoImage(words)
            } else if CANNOT_BEGIN.contains(&reason.as_str()) {
                Standing::Starting(Some(words))
            } else {
                Standing::Starting(None)
            }
        }
        _ if node.is_some() => Standing::Starting(None),
        _ => Standing::Waiting(unschedulable(pod)),
    }
}

/// Why a pod ended before its worker began: a container that prepares it failed.
fn not_prepared(pod: &Pod) -> Option<Failure> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    let (status, ended) = statuses.iter().find_map(|status| {
        let ended = status.state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then_some((status, ended))
    })?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let message =
        format!("the init container {} of its pod ended with code {}", status.name, ended.exit_code);
    let failure = Failure::new(FailureKind::System, on(&message, node));
    Some(match ended.message.as_deref().or(ended.reason.as_deref()) {
        Some(words) => failure.with_cause(words),
        None => failure,
    })
}

/// The scheduler's words on a pod that has no node.
fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    (scheduled.status == "False").then(|| scheduled.message.clone())?
}

/// Why Kubernetes itself ended a pod, if it did.
fn disrupted(pod: &Pod) -> Option<Failure> {
    let status = pod.status.as_ref()?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let words = status.message.as_deref().map(|words| words.trim().to_owned());
    if status.reason.as_deref() == Some("Evicted") {
        // The pod's own fault, if it went over its limit; the node's, if that was short of something.
        let own = words.as_deref().is_some_and(|words| {
            words.contains("ephemeral local storage usage exceeds")
                || words.contains("exceeds the total limit")
        });
        return Some(match own {
            true => Failure {
                kind: FailureKind::OutOfDisk,
                message: on("it used more disk than it was granted", node),
                cause: words,
                advice: Some("ask for more with tmpdirMin and outdirMin of ResourceRequirement".to_owned()),
                ..Failure::new(FailureKind::OutOfDisk, "")
            },
            false => lost(&on("its pod was evicted", node), words),
        });
    }
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")?;
    let named = node.map(|node| format!(" {node}")).unwrap_or_default();
    let message = match condition.reason.as_deref() {
        Some("PreemptionByScheduler") => on("its pod had to make room for one of higher priority", node),
        Some("EvictionByEvictionAPI") => on("its pod was evicted, as when a node is drained", node),
        Some("DeletionByTaintManager") => format!("its node{named} was lost or is not to be used"),
        Some("DeletionByPodGC") => format!("its node{named} is gone"),
        Some("TerminationByKubelet") => format!("its node{named} ended its pod"),
        _ => on("its pod was ended by Kubernetes", node),
    };
    Some(lost(&message, condition.message.clone().or(words)))
}

/// How a container ends whose image has no worker of ours: its entry point did something else with its words (0), took
/// them for what they are not (2, also of a worker that does not know them), or found no such program.
const NO_WORKER: &[i32] = &[0, 2, 126, 127];

/// How a worker of ours begins that complains.
const OURS: &str = "moil worker: ";

/// What to do about an image that is none for workers.
const IMAGE_ADVICE: &str =
    "the image must have moil inside: see TOIL_APPLIANCE_SELF and `moil appliance push`";

/// What to do where workers find no job store, or may not use it.
const STORE_ADVICE: &str = "see that pods reach its server (AWS_ENDPOINT_URL, or another one for pods by --setEnv), and what \
    is in the Secret of TOIL_AWS_SECRET_NAME; `moil doctor --batchSystem kubernetes` looks at both from a pod";

/// Whether the worker of a pod could not use the job store.
pub fn has_no_store(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let ended =
        statuses.into_iter().flatten().filter_map(|status| status.state.as_ref()?.terminated.as_ref());
    ended.map(|ended| ended.exit_code).next() == Some(i32::from(NO_STORE))
}

/// A failure of a worker that ended by itself and left no result.
fn terminated_failure(
    reason: Option<&str>,
    code: i32,
    message: Option<&str>,
    node: Option<&str>,
    limit: Option<&str>,
) -> Failure {
    match reason {
        Some("OOMKilled") => {
            let at = limit.map(|limit| format!(" at {limit}")).unwrap_or_default();
            Failure::new(FailureKind::OutOfMemory, on(&format!("out of memory{at}"), node)).with_advice(
                "ask for more with ramMin of ResourceRequirement, or let retries have more: --doubleMem",
            )
        }
        Some("ContainerCannotRun" | "StartError") => {
            let failure =
                Failure::new(FailureKind::Refused, on("the worker cannot be started in its image", node))
                    .with_advice(IMAGE_ADVICE);
            Failure { cause: message.map(str::to_owned), ..failure }
        }
        _ if NO_WORKER.contains(&code) && !message.is_some_and(|words| words.contains(OURS)) => {
            let what = format!("the worker's image did not run moil: its container ended with code {code}");
            let failure = Failure::new(FailureKind::Refused, on(&what, node))
                .with_advice(format!("{IMAGE_ADVICE}; an entry point must run the words that it is given"));
            Failure {
                cause: message.map(str::trim).filter(|words| !words.is_empty()).map(str::to_owned),
                ..failure
            }
        }
        _ if code == i32::from(NO_STORE) => {
            let what = on("the job store cannot be used from its pod", node);
            lost(&what, message.map(|log| why(log).to_owned())).with_advice(STORE_ADVICE)
        }
        _ => lost(
            &on(&format!("its worker ended with code {code} and left no result"), node),
            message.map(str::to_owned),
        ),
    }
}

/// Why a worker failed, by the last lines of its log.
fn why(log: &str) -> &str {
    let line = log.lines().filter_map(|line| line.split_once("  because ")).next_back();
    line.map_or(log, |(_, why)| why).trim()
}

/// The limit that ours has, in GiB for people.
fn memory_limit(pod: &Pod) -> Option<String> {
    let limits = pod.spec.as_ref()?.containers.first()?.resources.as_ref()?.limits.as_ref()?;
    let limit = &limits.get("memory")?.0;
    let mib = limit.strip_suffix("Mi").and_then(|number| number.parse::<f64>().ok());
    Some(match mib {
        Some(mib) if mib >= 1000.0 => format!("{:.1} GiB", mib / 1024.0),
        Some(mib) => format!("{mib} MiB"),
        None => limit.clone(),
    })
}

pub(crate) fn on(what: &str, node: Option<&str>) -> String {
    match node {
        Some(node) => format!("{what} on {node}"),
        None => what.to_owned(),
    }
}

pub(crate) fn lost(message: &str, words: Option<String>) -> Failure {
    Failure { cause: words.filter(|words| !words.is_empty()), ..Failure::new(FailureKind::Lost, message) }
}
