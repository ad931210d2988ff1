//! How S3 is reached, from options and environment.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;

use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::bucket_store::BucketPlace;
use moil_jobstore::locator;
use moil_jobstore::s3::settings::{Credentials, Encryption};
use moil_jobstore::s3::{S3, Settings as S3Settings};

use crate::settings::{Locator, Settings};
use crate::tls;

/// A client of S3, which does nothing until it is used.
///
/// # Errors
/// The key for encryption cannot be read.
pub fn client(settings: &Settings) -> Result<S3, Failure> {
    let region = match &settings.store.locator {
        Locator::Bucket(locator::Locator::Aws { region, .. }) => Some(region.clone()),
        _ => text(settings, "AWS_REGION").or_else(|| text(settings, "AWS_DEFAULT_REGION")),
    };
    Ok(S3::new(S3Settings {
        region,
        endpoint: endpoint(settings),
        credentials: credentials(settings),
        certificates: tls::certificate_files(&settings.environment, &settings.cwd),
        encryption: encryption(settings)?,
        ..S3Settings::default()
    }))
}

/// The place of a job store in a bucket; `None` if the locator names none.
pub fn place(settings: &Settings, locator: &locator::Locator, s3: &S3) -> Option<BucketPlace> {
    let simpledb = text(settings, "AWS_ENDPOINT_URL_SIMPLEDB").or_else(|| text(settings, "AWS_ENDPOINT_URL"));
    BucketPlace::of(locator, s3, simpledb.as_deref())
}

/// Tags of buckets that are made: `TOIL_AWS_TAGS`, and `TOIL_OWNER_TAG` as `Owner`.
///
/// # Errors
/// The tags are not JSON.
pub fn tags(settings: &Settings) -> Result<BTreeMap<String, String>, Failure> {
    let mut tags = BTreeMap::new();
    if let Some(text) = settings.environment.known("TOIL_AWS_TAGS").and_then(OsStr::to_str) {
        tags = serde_json::from_str(text).map_err(|error| {
            Failure::new(FailureKind::BadInput, "TOIL_AWS_TAGS cannot be read")
                .with_cause(error)
                .with_advice("write it as JSON: {\"Name\": \"value\"}")
        })?;
    }
    if let Some(owner) = settings.environment.known("TOIL_OWNER_TAG").and_then(OsStr::to_str) {
        tags.insert("Owner".to_owned(), owner.to_owned());
    }
    Ok(tags)
}

fn text(settings: &Settings, name: &str) -> Option<String> {
    let value = settings.environment.get(name)?.to_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn endpoint(settings: &Settings) -> Option<String> {
    let environment = &settings.environment;
    let known = |name| environment.known(name).and_then(OsStr::to_str);
    match known("TOIL_S3_HOST") {
        Some(host) => {
            let scheme = match known("TOIL_S3_USE_SSL") {
                Some(text) if text.eq_ignore_ascii_case("false") || text == "0" => "http",
                _ => "https",
            };
            let port = known("TOIL_S3_PORT").map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{scheme}://{host}{port}"))
        }
        None => text(settings, "AWS_ENDPOINT_URL_S3").or_else(|| text(settings, "AWS_ENDPOINT_URL")),
    }
}

/// Keys in the environment come first in the SDK's chain as well; all else is left to it.
fn credentials(settings: &Settings) -> Credentials {
    let profile = text(settings, "TOIL_AWS_PROFILE").or_else(|| text(settings, "AWS_PROFILE"));
    match (text(settings, "AWS_ACCESS_KEY_ID"), text(settings, "AWS_SECRET_ACCESS_KEY")) {
        (Some(access), Some(secret)) if profile.is_none() => {
            Credentials::Keys { access, secret, session: text(settings, "AWS_SESSION_TOKEN") }
        }
        _ => Credentials::Chain,
    }
}

fn encryption(settings: &Settings) -> Result<Encryption, Failure> {
    let Some(path) = &settings.store.encryption_key else { return Ok(Encryption::Bucket) };
    let failed = |cause: String| {
        Failure::new(
            FailureKind::BadInput,
            format!("cannot use the key for encryption in {}", path.display()),
        )
        .with_cause(cause)
        .with_advice("--sseKey wants a file of exactly 32 bytes")
    };
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let length = bytes.len();
    let key = <[u8; 32]>::try_from(bytes).map_err(|_| failed(format!("it has {length} bytes")))?;
    Ok(Encryption::Customer(key))
}
