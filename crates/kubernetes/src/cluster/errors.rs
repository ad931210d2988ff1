//! What it means when the API server refuses, or is not there. Pure.

use std::time::Duration;

use kube::client::UpgradeConnectionError;
use kube::runtime::watcher;

use super::Silence;

/// The longest pause that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Whether there is one of this name already, or it was changed meanwhile.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether a call can be right when it is made again, and when that should be, if the server says so.
pub(super) fn passes(error: &kube::Error) -> Option<Option<Duration>> {
    match error {
        kube::Error::Api(status) if status.code == 429 || status.code >= 500 => {
            let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            Some((seconds > 0).then(|| Duration::from_secs(seconds.into()).min(LONGEST_ASKED)))
        }
        kube::Error::Api(status) if status.code == 401 => Some(None),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => Some(None),
        _ => None,
    }
}

/// Whether the server does not know who asks.
pub(super) fn is_unauthorized(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 401)
}

/// Whether what was asked for is not there.
pub fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether no worker can be attached to: a right is missing, or what lies between does not let such connections through.
pub(crate) fn attach_refused(error: &kube::Error) -> bool {
    let code = match error {
        kube::Error::Api(status) => status.code,
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => code.as_u16(),
        kube::Error::UpgradeConnection(_) => return true,
        _ => return false,
    };
    matches!(code, 403 | 405)
}

/// Whether the server, or what lies between, has answered.
pub(crate) fn is_answer(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(_) | kube::Error::UpgradeConnection(_))
}

/// Whether a right is missing.
pub(crate) fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// What a server says to a watch that it does not serve, or what else is wrong with that.
pub fn words(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The server's code for a watch that it does not serve.
fn refusal(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// Whether a watch fails for want of a right.
pub fn is_forbidden(error: &watcher::Error) -> bool {
    refusal(error) == Some(403)
}

/// Why a watch fails.
pub fn silence(error: &watcher::Error) -> Silence {
    match refusal(error) {
        Some(401) => Silence::Stranger,
        Some(403) => Silence::Forbidden,
        _ => Silence::NoAnswer,
    }
}

/// Whether a watch has only to be begun anew, which happens from time to time.
pub fn is_over_for_now(error: &watcher::Error) -> bool {
    refusal(error) == Some(410)
}
