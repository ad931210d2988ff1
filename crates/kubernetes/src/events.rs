//! What Kubernetes tells of Jobs and pods that have not begun, read from its events.

use k8s_openapi::api::core::v1::Event;

/// What an event means for an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The pod of a Job cannot be made now; it is tried again.
    NoPodYet(String),
    /// The pod of a Job cannot be made as it is asked for.
    NoPodEver(String),
    /// The image of a pod is being fetched.
    Fetching,
    /// It is there.
    Fetched,
    /// Something that people should know of a pod that waits.
    Note(String),
    /// Something that went wrong with a pod; its node tries again.
    Trouble(String),
}

/// Of what kind the object of an event is, and its name.
pub fn about(event: &Event) -> Option<(&str, &str)> {
    Some((event.involved_object.kind.as_deref()?, event.involved_object.name.as_deref()?))
}

/// Reads an event. `None` for those that change nothing.
pub fn said(event: &Event) -> Option<Said> {
    let (kind, _) = about(event)?;
    let words = event.message.clone().unwrap_or_default();
    Some(match (kind, event.reason.as_deref()?) {
        ("Job", "FailedCreate") => no_pod(words),
        ("Pod", "Pulling") => Said::Fetching,
        ("Pod", "Pulled") => Said::Fetched,
        ("Pod", "TriggeredScaleUp") => Said::Note(format!("the cluster grows for it: {words}")),
        ("Pod", "NotTriggerScaleUp") => Said::Note(format!("the cluster will not grow for it: {words}")),
        ("Pod", "FailedMount" | "FailedAttachVolume" | "FailedCreatePodSandBox" | "FailedBinding") => {
            Said::Trouble(words)
        }
        _ => return None,
    })
}

/// What words on something that cannot be made have in common for all that fail so: not its name, and no numbers.
pub fn gist(words: &str) -> &str {
    let words = words.rsplit(" is forbidden: ").next().unwrap_or(words);
    words.split(',').next().unwrap_or(words)
}

/// A quota has room again when something ends, and a webhook may come back; rules stay as they are.
fn no_pod(words: String) -> Said {
    let rules =
        ["violates PodSecurity", "denied the request", "denied request", "is forbidden", "is invalid"];
    let passes = ["exceeded quota", "failed calling webhook", "try again later"];
    match passes.iter().all(|pass| !words.contains(pass)) && rules.iter().any(|rule| words.contains(rule)) {
        true => Said::NoPodEver(words),
        false => Said::NoPodYet(words),
    }
}
