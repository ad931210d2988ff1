//! One pod that looks around, made as those of jobs are.

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::LogParams;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use moil_job::failure::{Failure, FailureKind};
use moil_job::resources::Resources;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep_until};

use super::{Check, Stop};
use crate::cluster::{self, Cluster, Created};
use crate::events::{self, Said};
use crate::manifest::{self as job, CONTAINER, Order};
use crate::outcome::{Standing, standing};
use crate::settings::Settings;
use crate::waiting::Wait;

/// What the lines of a pod that did not come so far are called.
const TITLE: &str = "pod";

/// How long it may be at work.
const AT_WORK: Duration = Duration::from_secs(300);

/// What it asks for: enough for Apptainer.
const GRANTED: Resources = Resources { cores: 0.1, ram_mib: 192, tmpdir_mib: 64, outdir_mib: 64, gpus: 0 };

/// Its Job. `owner` is a reference to what owns it.
pub(super) fn manifest(settings: &Settings, owner: &Value) -> Value {
    let order = Order {
        serves: None,
        word: "doctor",
        step: "doctor",
        granted: &GRANTED,
        secrets: None,
        avoid: &[],
        inputs: 0,
        has_image: false,
        preemptible: None,
        late: None,
    };
    job::job(&order, settings, owner)
}

/// Makes it, waits for its end, reads its log, removes all again.
pub(super) async fn look(cluster: &Cluster, settings: &Settings, stop: &Stop) -> Vec<Check> {
    if stop.is_wanted() {
        return Vec::new();
    }
    let found = tokio::select! {
        found = run(cluster, settings) => found,
        () = stop.wanted() => Ok(Vec::new()),
    };
    let mut checks = found.unwrap_or_else(|failure| vec![Check::of(TITLE, *failure)]);
    // The Job and its pod belong to it.
    if let Err(failure) = cluster.disown(settings).await {
        checks.push(Check::of("removing the pod", failure));
    }
    checks
}

async fn run(cluster: &Cluster, settings: &Settings) -> Result<Vec<Check>, Box<Failure>> {
    let owner = cluster.own(settings).await?;
    match cluster.make(&manifest(settings, &owner)).await {
        Created::Done => {}
        Created::NoRoom(words) => {
            let failure = Failure::new(FailureKind::Refused, "there is no room in the namespace now");
            return Err(Box::new(failure.with_cause(words)));
        }
        Created::Refused(failure) => return Err(failure),
    }
    let end = wait(cluster, settings).await?;
    let parameters = LogParams { container: Some(CONTAINER.to_owned()), ..LogParams::default() };
    let log = cluster.patient(|| async { cluster.pods().logs(&end.pod, &parameters).await }).await;
    let log = log.map_err(|error| {
        Box::new(Failure::new(FailureKind::System, "the log of the pod cannot be read").with_cause(error))
    })?;
    let mut checks = read(&log);
    match end.failure {
        // What it says last is often the reason.
        Some(failure) => checks.push(Check::of(TITLE, with_last_line(failure, &log))),
        None if checks.is_empty() => {
            let failure = Failure::new(FailureKind::Refused, "the pod ended without a word").with_advice(
                "the image of TOIL_APPLIANCE_SELF must have this version of moil: moil appliance push",
            );
            checks.push(Check::of(TITLE, with_last_line(failure, &log)));
        }
        None => {}
    }
    Ok(checks)
}

/// How it ended.
struct End {
    pod: String,
    /// `None` if it got to its end.
    failure: Option<Failure>,
}

async fn wait(cluster: &Cluster, settings: &Settings) -> Result<End, Box<Failure>> {
    let timeout = settings.pod_timeout;
    let config = watcher::Config::default().labels(&cluster::selector(&settings.run));
    let mut pods = watch(cluster.pods(), config).default_backoff().boxed();
    let mut told = watch(cluster.events(), watcher::Config::default()).default_backoff().boxed();
    let mut name: Option<String> = None;
    let mut node: Option<String> = None;
    let mut heard: Option<String> = None;
    let mut waits: Option<Wait<Instant>> = None;
    let mut began: Option<Instant> = None;
    // Without a pod, or without a node for it.
    let placed_until = Instant::now() + timeout;
    let job = manifest(settings, &Value::Null)["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    loop {
        let until = match (&waits, began) {
            (_, Some(began)) => began + AT_WORK,
            // While an image is being fetched there is no end to it.
            (Some(wait), None) => wait.until.unwrap_or_else(|| Instant::now() + AT_WORK),
            (None, None) => placed_until,
        };
        tokio::select! {
            Some(event) = pods.next() => {
                let (pod, is_gone) = match event {
                    Ok(Event::Apply(pod) | Event::InitApply(pod)) => (pod, false),
                    Ok(Event::Delete(pod)) => (pod, true),
                    _ => continue,
                };
                node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
                let standing = standing(&pod);
                waits = Wait::after(waits, &standing, Instant::now(), timeout);
                match standing {
                    Standing::Ended(failure) | Standing::EndedItself(failure) => {
                        let failure = (!is_success(&pod)).then_some(failure);
                        return match began.is_some() || has_run(&pod) {
                            true => Ok(End { pod: pod.name_any(), failure }),
                            // It has no log.
                            false => Err(Box::new(failure.unwrap_or_else(|| gone("it ended at once")))),
                        };
                    }
                    Standing::Running => began = began.or_else(|| Some(Instant::now())),
                    Standing::Waiting(Some(words)) => heard = Some(words),
                    _ if is_gone => return Err(Box::new(gone("it was deleted"))),
                    _ => {}
                }
                name = Some(pod.name_any());
            }
            Some(event) = told.next() => {
                // They make messages better, and nothing depends on them.
                let Ok(Event::Apply(event) | Event::InitApply(event)) = event else { continue };
                let about = events::about(&event);
                let ours = about == Some(("Job", job.as_str()))
                    || name.as_deref().is_some_and(|name| about == Some(("Pod", name)));
                let Some(said) = events::said(&event).filter(|_| ours) else { continue };
                match said {
                    Said::NoPodEver(words) if name.is_none() => {
                        let failure = Failure::new(FailureKind::Refused, "the cluster does not take the pod");
                        return Err(Box::new(failure.with_cause(words).with_advice(
                            "see docs/kubernetes.md on what pods need, and the options of pods that change it",
                        )));
                    }
                    Said::NoPodEver(words) | Said::NoPodYet(words) | Said::Note(words) | Said::Trouble(words) => {
                        heard = Some(words);
                    }
                    Said::Fetching | Said::Fetched => {
                        if let Some(wait) = &mut waits {
                            wait.fetching(Instant::now(), timeout, said == Said::Fetched);
                        }
                    }
                }
            }
            () = sleep_until(until) => {
                let failure = match waits.take() {
                    Some(wait) => wait.given_up(&settings.image, node.as_deref(), heard.as_deref(), timeout),
                    None if began.is_some() => gone("it was at work for five minutes, and not at its end"),
                    None => {
                        let what = if name.is_some() { "no node takes it" } else { "there is none" };
                        let failure = gone(&format!("{what} after {} s", timeout.as_secs()));
                        Failure { cause: heard.clone(), ..failure }
                    }
                };
                return Err(Box::new(failure));
            }
        }
    }
}

fn gone(what: &str) -> Failure {
    Failure::new(FailureKind::Lost, what)
}

/// The code with which the container of a pod ended.
fn code(pod: &Pod) -> Option<i32> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    Some(statuses.first()?.state.as_ref()?.terminated.as_ref()?.exit_code)
}

fn is_success(pod: &Pod) -> bool {
    code(pod) == Some(0)
}

fn has_run(pod: &Pod) -> bool {
    let failed_to = ["ContainerCannotRun", "StartError"];
    let reason = || {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        statuses.first()?.state.as_ref()?.terminated.as_ref()?.reason.clone()
    };
    code(pod).is_some() && reason().is_none_or(|reason| !failed_to.contains(&reason.as_str()))
}

/// The checks in a log; other lines are left out.
fn read(log: &str) -> Vec<Check> {
    let read = |line| serde_json::from_str::<Check>(line).ok();
    log.lines()
        .filter_map(read)
        .map(|check| Check { what: format!("{TITLE}: {}", check.what), ..check })
        .collect()
}

fn with_last_line(failure: Failure, log: &str) -> Failure {
    let last = log.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with('{'));
    match last {
        Some(line) if failure.cause.is_none() => failure.with_cause(line),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn of_a_log_only_checks_are_taken() {
        let log = "moil-entry: hello\n{\"check\":\"FUSE\",\"verdict\":\"ok\",\"found\":\"there\"}\n{\"check\":1}\n\
                   {\"check\":\"disk\",\"verdict\":\"cannot tell\",\"found\":\"x\",\"advice\":\"y\"}\nlast words\n";
        let checks = read(log);
        assert_eq!(checks[0], Check::ok("pod: FUSE", "there"));
        assert_eq!((checks[1].verdict, checks[1].advice.as_deref()), (Verdict::CannotTell, Some("y")));
        assert_eq!(checks.len(), 2);
        assert_eq!(with_last_line(gone("x"), log).cause.as_deref(), Some("last words"));
        assert_eq!(with_last_line(gone("x"), &log[..0]).cause, None);
    }
}
