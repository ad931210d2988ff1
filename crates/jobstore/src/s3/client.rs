//! The client as a whole.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use tokio::runtime::Runtime;

use super::bucket::Bucket;
use super::error::{Error, Kind};
use super::pace::Pace;
use super::settings::{Credentials, Encryption, Settings};

/// How long a server may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// How long before their end keys are asked for anew.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// The region of requests where none is known.
const USUAL_REGION: &str = "us-east-1";

/// A client of one server. Cheap to clone; may be used by many threads at once, but not from asynchronous code.
#[derive(Clone)]
pub struct S3(Arc<Shared>);

struct Shared {
    settings: Settings,
    started: OnceLock<Result<Started, Error>>,
    /// The regions of buckets that are not where the client is.
    regions: Mutex<HashMap<String, String>>,
    /// Clients for these regions.
    others: Mutex<HashMap<String, Client>>,
    pace: Pace,
    /// Whether an upload in parts was begun, which may have been left unfinished.
    in_parts: AtomicBool,
}

struct Started {
    runtime: Runtime,
    client: Client,
    provider: Option<SharedCredentialsProvider>,
    keys: Mutex<Option<Keys>>,
    /// No credentials were found: requests are not signed, and only public buckets can be read.
    anonymous: bool,
}

impl S3 {
    /// A client that does nothing until it is used.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared {
            settings,
            started: OnceLock::new(),
            regions: Mutex::default(),
            others: Mutex::default(),
            pace: Pace::default(),
            in_parts: AtomicBool::new(false),
        }))
    }

    /// One of the server's buckets, whether it is there or not.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Bucket {
        Bucket { s3: self.clone(), name: name.to_owned(), keyless: false }
    }

    /// What it was given.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn begins_in_parts(&self) {
        self.0.in_parts.store(true, Ordering::Relaxed);
    }

    /// Whether this client has begun to upload anything in parts.
    pub(crate) fn has_begun_in_parts(&self) -> bool {
        self.0.in_parts.load(Ordering::Relaxed)
    }

    pub(super) fn encryption(&self) -> &Encryption {
        &self.0.settings.encryption
    }

    fn started(&self) -> Result<&Started, Error> {
        self.0.started.get_or_init(|| start(&self.0.settings)).as_ref().map_err(Clone::clone)
    }

    /// The keys that requests are signed with, for a service that the SDK does not know.
    pub(crate) fn keys(&self) -> Result<Keys, Error> {
        let started = self.started()?;
        let mut kept = lock(&started.keys);
        let soon = SystemTime::now() + RENEWED_BEFORE;
        if let Some(keys) = &*kept
            && keys.expiry().is_none_or(|expiry| expiry > soon)
        {
            return Ok(keys.clone());
        }
        let none = |reason: String| Error::new("cannot find", "AWS credentials", Kind::Credentials, reason);
        let provider =
            started.provider.as_ref().ok_or_else(|| none("there is no source of them".to_owned()))?;
        let keys = started
            .runtime
            .block_on(provider.provide_credentials())
            .map_err(|error| none(super::error::chain(&error)))?;
        *kept = Some(keys.clone());
        Ok(keys)
    }

    /// Runs something asynchronous to its end on this thread.
    pub(super) fn block_on<T, F>(&self, work: impl FnOnce() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.started()?.runtime.block_on(work())
    }

    /// The client for a bucket: of the region in which it is, as far as that is known.
    pub(super) fn client(&self, bucket: &str) -> Result<Client, Error> {
        let started = self.started()?;
        let Some(region) = lock(&self.0.regions).get(bucket).cloned() else {
            return Ok(started.client.clone());
        };
        let mut others = lock(&self.0.others);
        let client = others.entry(region).or_insert_with_key(|region| {
            let config = started.client.config().to_builder().region(Region::new(region.clone()));
            Client::from_conf(config.build())
        });
        Ok(client.clone())
    }

    /// Notes where a bucket is. Says whether that was not known.
    pub(super) fn learn(&self, bucket: &str, region: &str) -> bool {
        let Ok(started) = self.started() else { return false };
        let mut regions = lock(&self.0.regions);
        let own = || started.client.config().region().map(ToString::to_string);
        if regions.get(bucket).cloned().or_else(own).as_deref() == Some(region) {
            return false;
        }
        regions.insert(bucket.to_owned(), region.to_owned());
        true
    }

    /// Whether requests are not signed.
    pub(super) fn is_anonymous(&self) -> bool {
        self.started().is_ok_and(|started| started.anonymous)
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.0.pace
    }
}

fn start(settings: &Settings) -> Result<Started, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("s3")
        .enable_all()
        .build()
        .map_err(|error| Error::new("cannot start", "the client of S3", Kind::Local, error.to_string()))?;
    let (client, provider) = runtime.block_on(client(settings))?;
    Ok(Started { runtime, client, anonymous: provider.is_none(), provider, keys: Mutex::default() })
}

async fn client(settings: &Settings) -> Result<(Client, Option<SharedCredentialsProvider>), Error> {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECTING).read_timeout(SILENCE).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls(settings)?)
                .build_https(),
        )
        // We retry by ourselves: the SDK does not retry 409, and hides whether an answer was lost.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    } else if settings.endpoint.is_some() || matches!(settings.credentials, Credentials::Keys { .. }) {
        // The usual search ends at the address of instance metadata, where mostly nobody answers: that takes seconds. In
        // which region a bucket is, AWS says itself; to other servers it is a word.
        let known = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        loader = loader.region(known.or_else(Region::from_static(USUAL_REGION)));
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Credentials::Keys { access, secret, session } = &settings.credentials {
        let keys = Keys::new(access, secret, session.clone(), None, "moil");
        loader = loader.credentials_provider(keys);
    }
    let mut shared = loader.load().await;
    let mut provider = shared.credentials_provider();
    if let Some(source) = &provider
        && matches!(source.provide_credentials().await, Err(CredentialsError::CredentialsNotLoaded(_)))
    {
        let mut without = shared.into_builder();
        without.set_credentials_provider(None);
        shared = without.build();
        provider = None;
    }
    let mut config = aws_sdk_s3::config::Builder::from(&shared);
    if provider.is_none() {
        config = config.allow_no_auth();
    }
    if shared.region().is_none() {
        config = config.region(Region::from_static(USUAL_REGION));
    }
    if shared.endpoint_url().is_some() {
        // Names of hosts for each bucket are rare there, and checksums in new places are refused.
        config = config
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok((Client::from_conf(config.build()), provider))
}

fn tls(settings: &Settings) -> Result<TlsContext, Error> {
    let mut store = TrustStore::default();
    if !settings.certificates.is_empty() {
        store = TrustStore::empty();
        for path in &settings.certificates {
            let failed = |reason: std::io::Error| {
                Error::new(
                    "cannot read the certificates in",
                    path.display().to_string(),
                    Kind::Local,
                    reason.to_string(),
                )
            };
            store = store.with_pem_certificate(fs::read(path).map_err(failed)?);
        }
    }
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .map_err(|error| Error::new("cannot start", "the client of S3", Kind::Local, error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs work side by side, so much at once, and takes the results in order. The first error ends it all.
/// `next` says `None` when there is nothing more to do, and goes on saying so.
pub(super) async fn in_order<T: Send + 'static, F>(
    at_once: usize,
    mut next: impl FnMut() -> Result<Option<F>, Error>,
    mut take: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut running: VecDeque<Task<T>> = VecDeque::new();
    loop {
        while running.len() < at_once
            && let Some(work) = next()?
        {
            running.push_back(Task(tokio::spawn(work)));
        }
        let Some(mut first) = running.pop_front() else { return Ok(()) };
        let done = (&mut first.0).await;
        take(done.map_err(|error| Error::new("lost", "a transfer", Kind::Refused, error.to_string()))??)?;
    }
}

/// A task that ends when nobody waits for it any more.
struct Task<T>(tokio::task::JoinHandle<Result<T, Error>>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
