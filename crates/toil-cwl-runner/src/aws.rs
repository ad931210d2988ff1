//! How S3 is reached, from options and environment.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;

use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::bucket_store::BucketPlace;
use moil_jobstore::locator::Locator;
use moil_jobstore::place::Place;
use moil_jobstore::remote::Remote;
use moil_jobstore::s3::settings::{Credentials, Encryption};
use moil_jobstore::s3::{S3, Settings as S3Settings};

use crate::settings::Settings;
use crate::tls;

/// What reaches buckets; it does nothing until it is used.
#[derive(Clone)]
pub struct Buckets(S3);

/// What reaches the buckets that the settings name.
///
/// # Errors
/// The key for encryption cannot be read.
pub fn buckets(settings: &Settings) -> Result<Buckets, Failure> {
    let region = match &settings.store.locator {
        Some(Locator::Aws { region, .. }) => Some(region.clone()),
        _ => text(settings, "AWS_REGION").or_else(|| text(settings, "AWS_DEFAULT_REGION")),
    };
    Ok(Buckets(S3::new(S3Settings {
        region,
        endpoint: endpoint(settings),
        credentials: credentials(settings),
        certificates: tls::certificate_files(&settings.environment, &settings.cwd),
        encryption: encryption(settings)?,
        ..S3Settings::default()
    })))
}

impl Buckets {
    /// The same reader of files, which reads those in buckets as well.
    pub fn for_remote(&self, remote: Remote) -> Remote {
        remote.with_s3(self.0.clone())
    }

    /// The place of a job store in a bucket; `None` if the locator names none.
    ///
    /// # Errors
    /// The tags of new buckets are not JSON.
    pub fn place(&self, settings: &Settings, locator: &Locator) -> Result<Option<Place>, Failure> {
        let simpledb =
            text(settings, "AWS_ENDPOINT_URL_SIMPLEDB").or_else(|| text(settings, "AWS_ENDPOINT_URL"));
        let Some(place) = BucketPlace::of(locator, &self.0, simpledb.as_deref()) else { return Ok(None) };
        Ok(Some(Place::Bucket(place.to_make(settings.store.records, tags(settings)?))))
    }
}

/// Tags of buckets that are made: `TOIL_AWS_TAGS`, and `TOIL_OWNER_TAG` as `Owner`.
///
/// # Errors
/// The tags are not JSON.
fn tags(settings: &Settings) -> Result<BTreeMap<String, String>, Failure> {
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
