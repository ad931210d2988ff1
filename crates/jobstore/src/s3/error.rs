//! What went wrong, and whether trying again helps.

use std::error::Error as StdError;
use std::fmt::Write;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// A request that failed for good.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{action} {target}: {reason}")]
pub struct Error {
    /// What was tried, as in `cannot read`.
    pub action: &'static str,
    /// With what, as in `s3://bucket/key`.
    pub target: String,
    /// The kind of reason.
    pub kind: Kind,
    /// The reason in the words of the server or the system, and what to do about it.
    pub reason: String,
}

/// The kind of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such object, or upload.
    NoObject,
    /// There is no such bucket (domain, of SimpleDB).
    NoBucket,
    /// The condition of a request did not hold.
    Precondition,
    /// The server is busy, or another request was in the way.
    Busy,
    /// There are too many requests: all should wait.
    SlowDown,
    /// The bucket is in another region, which is known now.
    Elsewhere,
    /// No answer came.
    Unreachable,
    /// No credentials, or those that are no longer valid.
    Credentials,
    /// The credentials do not allow it.
    Denied,
    /// Anything else that the server says.
    Refused,
    /// What came is not what was stored.
    Damaged,
    /// A file on this side.
    Local,
}

impl Kind {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Busy | Self::SlowDown | Self::Elsewhere | Self::Unreachable)
    }
}

impl Error {
    pub(crate) fn new(
        action: &'static str,
        target: impl Into<String>,
        kind: Kind,
        reason: impl Into<String>,
    ) -> Self {
        Self { action, target: target.into(), kind, reason: reason.into() }
    }

    /// From what the SDK says.
    pub(super) fn of<E>(action: &'static str, target: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let (kind, reason) = match error {
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                let code = refused.err().code().unwrap_or_default();
                (kind(status, code), words(status, code, refused.err().message()))
            }
            SdkError::TimeoutError(_) => (Kind::Unreachable, "no answer came in time".to_owned()),
            SdkError::ConstructionFailure(_) => (without_answer(error), chain(error)),
            _ => (without_answer(error), format!("no answer came: {}", chain(error))),
        };
        let advice = advice(kind);
        Self::new(action, target, kind, format!("{reason}{advice}"))
    }
}

/// The kind of an answer that is an error.
pub(crate) fn kind(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "NoSuchBucket") => Kind::NoBucket,
        // Answers to HEAD have no code.
        (404, _) => Kind::NoObject,
        (412, _) => Kind::Precondition,
        (_, "RequestTimeout" | "InternalError" | "ConditionalRequestConflict" | "OperationAborted") => {
            Kind::Busy
        }
        (_, "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded")
        | (429, _)
        | (503, "") => Kind::SlowDown,
        (408 | 500 | 502 | 503 | 504, _) => Kind::Busy,
        (_, "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired") => {
            Kind::Credentials
        }
        (_, "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch" | "InvalidClientTokenId") => {
            Kind::Credentials
        }
        (401 | 403, _) => Kind::Denied,
        _ => Kind::Refused,
    }
}

fn without_answer(error: &(dyn StdError + 'static)) -> Kind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return Kind::Credentials;
        }
        cause = error.source();
    }
    Kind::Unreachable
}

fn words(status: u16, code: &str, message: Option<&str>) -> String {
    let mut text = format!("the server answered {status}");
    if !code.is_empty() {
        let _ = write!(text, " {code}");
    }
    if let Some(message) = message.filter(|message| !message.is_empty() && *message != code) {
        let _ = write!(text, " ({message})");
    }
    text
}

/// An error and its causes, each said once.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    text
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Credentials => {
            "; please check the AWS credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of \
             this machine)"
        }
        Kind::Denied => "; please check what the credentials may do with this bucket",
        Kind::Unreachable => "; please check the network and the server's address",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        for (status, code, expected) in [
            (404, "NoSuchKey", Kind::NoObject),
            (404, "NoSuchBucket", Kind::NoBucket),
            (404, "", Kind::NoObject),
            (412, "PreconditionFailed", Kind::Precondition),
            (409, "ConditionalRequestConflict", Kind::Busy),
            (409, "BucketAlreadyOwnedByYou", Kind::Refused),
            (503, "SlowDown", Kind::SlowDown),
            (503, "", Kind::SlowDown),
            (503, "ServiceUnavailable", Kind::Busy),
            (400, "RequestTimeout", Kind::Busy),
            (400, "ExpiredToken", Kind::Credentials),
            (403, "SignatureDoesNotMatch", Kind::Credentials),
            (403, "AccessDenied", Kind::Denied),
            (400, "EntityTooLarge", Kind::Refused),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn the_words_of_a_server_are_kept() {
        assert_eq!(
            words(503, "SlowDown", Some("Reduce your rate")),
            "the server answered 503 SlowDown (Reduce your rate)"
        );
        assert_eq!(words(500, "", None), "the server answered 500");
    }
}
