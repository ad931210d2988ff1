//! What Kubernetes tells, in words that real clusters use.

use k8s_openapi::api::core::v1::Event;
use moil_kubernetes::events::{Said, about, gist, said};
use serde_json::json;

fn event(kind: &str, reason: &str, message: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {"name": "e"},
        "involvedObject": {"kind": kind, "name": "demo-toil-align-0123"},
        "reason": reason,
        "message": message,
    }))
    .expect("an event")
}

#[test]
fn what_passes_is_told_apart_from_what_does_not() {
    let quota = "Error creating: pods \"x-abc\" is forbidden: exceeded quota: few, requested: pods=1, used: pods=10, limited: pods=10";
    let webhook = "Error creating: Internal error occurred: failed calling webhook \"policy.example.org\": connection refused";
    let security = "Error creating: pods \"x-abc\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile";
    let denied = "Error creating: admission webhook \"policy.example.org\" denied the request: no host paths";
    let account = "Error creating: pods \"x-\" is forbidden: error looking up service account default/nobody: serviceaccount \"nobody\" not found";
    let none = "pod didn't trigger scale-up: 1 max node group size reached";
    let cases = [
        ("Job", "FailedCreate", quota, Some(Said::NoPodYet(quota.into()))),
        ("Job", "FailedCreate", webhook, Some(Said::NoPodYet(webhook.into()))),
        (
            "Job",
            "FailedCreate",
            "Error creating: timeout",
            Some(Said::NoPodYet("Error creating: timeout".into())),
        ),
        ("Job", "FailedCreate", security, Some(Said::NoPodEver(security.into()))),
        ("Job", "FailedCreate", denied, Some(Said::NoPodEver(denied.into()))),
        ("Job", "FailedCreate", account, Some(Said::NoPodEver(account.into()))),
        ("Job", "SuccessfulCreate", "Created pod: x", None),
        ("Pod", "Pulling", "Pulling image \"i\"", Some(Said::Fetching)),
        ("Pod", "Pulled", "Successfully pulled image", Some(Said::Fetched)),
        (
            "Pod",
            "NotTriggerScaleUp",
            none,
            Some(Said::Note(format!("the cluster will not grow for it: {none}"))),
        ),
        ("Pod", "TriggeredScaleUp", "a", Some(Said::Note("the cluster grows for it: a".into()))),
        ("Pod", "FailedMount", "MountVolume failed", Some(Said::Trouble("MountVolume failed".into()))),
        ("Pod", "Killing", "Stopping container", None),
    ];
    for (kind, reason, message, expected) in cases {
        let event = event(kind, reason, message);
        assert_eq!(said(&event), expected, "{reason}: {message}");
        assert_eq!(about(&event), Some((kind, "demo-toil-align-0123")));
    }
}

#[test]
fn reasons_that_are_told_once_have_no_names_and_numbers() {
    let cases = [
        (
            "Error creating: pods \"x-abc\" is forbidden: exceeded quota: few, requested: pods=1, used: pods=10, limited: pods=10",
            "exceeded quota: few",
        ),
        (
            "jobs.batch \"x\" is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch=2",
            "exceeded quota: few",
        ),
        ("Error creating: timeout", "Error creating: timeout"),
    ];
    for (words, expected) in cases {
        assert_eq!(gist(words), expected);
    }
}
