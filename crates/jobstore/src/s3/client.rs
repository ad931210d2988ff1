//! The client as a whole, and how requests are made again.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials as Keys;
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
use super::settings::{Credentials, Encryption, Patience, Settings};

/// How long a server may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// How long before their end keys are asked for anew.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// A client of one server. Cheap to clone; may be used by many threads at once, but not from asynchronous code.
#[derive(Clone)]
pub struct S3(Arc<Shared>);

struct Shared {
    settings: Settings,
    started: OnceLock<Result<Started, Error>>,
}

struct Started {
    runtime: Runtime,
    client: Client,
    provider: Option<SharedCredentialsProvider>,
    keys: Mutex<Option<Keys>>,
}

impl S3 {
    /// A client that does nothing until it is used.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared { settings, started: OnceLock::new() }))
    }

    /// One of the server's buckets, whether it is there or not.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Bucket {
        Bucket { s3: self.clone(), name: name.to_owned() }
    }

    /// What it was given.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
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
        let mut kept = started.keys.lock().unwrap_or_else(PoisonError::into_inner);
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
    pub(super) fn block_on<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let started = self.started()?;
        started.runtime.block_on(work(started.client.clone()))
    }

    /// One request, made again as the settings say.
    pub(super) fn request<T, F>(&self, mut once: impl FnMut(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let patience = self.0.settings.patience;
        self.block_on(|client| async move { retried(patience, || once(client.clone())).await })
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
    Ok(Started { runtime, client, provider, keys: Mutex::default() })
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
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Credentials::Keys { access, secret, session } = &settings.credentials {
        let keys = Keys::new(access, secret, session.clone(), None, "moil");
        loader = loader.credentials_provider(keys);
    }
    let shared = loader.load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&shared);
    if shared.region().is_none() {
        config = config.region(Region::new("us-east-1"));
    }
    if shared.endpoint_url().is_some() {
        // Names of hosts for each bucket are rare there, and checksums in new places are refused.
        config = config
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok((Client::from_conf(config.build()), shared.credentials_provider()))
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

/// Makes a request until it succeeds, fails for good, or patience ends.
pub(super) async fn retried<T, F>(patience: Patience, mut once: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for wait in patience.waits() {
        match once().await {
            Err(error) if error.kind.is_passing() => tokio::time::sleep(wait).await,
            done => return done,
        }
    }
    once().await.map_err(|error| patience.given_up(error))
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
