//! S3 in memory, for tests.
//!
//! The crate `s3s` speaks the protocol: signatures (version 4), XML, chunked bodies. Here are the buckets and
//! objects. A request's body is read before the store is locked, so conditional writes are atomic.
//!
//! | module | holds |
//! |---|---|
//! | [`access`] | who may do what, and where |
//! | [`call`] | which operation an HTTP request is |
//! | [`state`] | buckets, objects, unfinished uploads |
//! | [`object`] | conditions, encryption and checksums of objects |
//! | [`buckets`], [`objects`], [`multipart`] | the operations |

mod access;
mod buckets;
mod call;
mod multipart;
mod object;
mod objects;
mod operations;
mod state;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::hooks::{Call, Hooks};
use crate::server::{Server, Service, collect};
pub use state::BucketFacts;
use state::State;

/// The access key that [`S3Server`] knows.
pub const ACCESS_KEY: &str = "AKTEST000001";
/// Its secret key.
pub const SECRET_KEY: &str = "secretsecret12345";

/// Ways in which servers differ from S3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// As S3 itself.
    #[default]
    Aws,
    /// Conditional writes succeed always (garage).
    IgnoresConditions,
    /// `If-Match` with a quoted ETag never holds for writes (old Ceph RGW).
    UnquotedETags,
}

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it treats conditions.
    pub flavour: Flavour,
    /// The size in bytes below which a part that is not the last is refused; S3: 5 MiB.
    pub smallest_part: u64,
    /// How many keys a listing has at most; S3: 1000.
    pub page: usize,
    /// Whether requests for a bucket of another region are refused, as S3 does; servers of others seldom do.
    pub regions: bool,
    /// A bucket that everybody may read, also who signs nothing.
    pub public: Option<String>,
    /// Where it listens.
    pub address: IpAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flavour: Flavour::Aws,
            smallest_part: 5 << 20,
            page: 1000,
            regions: false,
            public: None,
            address: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// A server of S3 that runs until it is dropped. Buckets are part of the path, not of the host.
pub struct S3Server {
    server: Server,
    state: Arc<State>,
}

impl S3Server {
    /// Starts one that behaves as S3 does.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts one that differs from S3.
    #[must_use]
    pub fn with(options: Options) -> Self {
        let (address, state) = (options.address, Arc::new(State::new(options)));
        let mut builder = S3ServiceBuilder::new(operations::Operations(Arc::clone(&state)));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_access(access::Access(Arc::clone(&state)));
        let server = Server::start(address, Protocol(builder.build(), Arc::clone(&state)));
        Self { server, state }
    }

    /// Its address, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// What was asked of it, and its faults to come.
    #[must_use]
    pub fn hooks(&self) -> &Hooks {
        &self.server.hooks
    }

    /// What is known of a bucket; `None` if there is none of this name.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Option<BucketFacts> {
        self.state.lock().get(name).map(|bucket| bucket.facts.clone())
    }

    /// All objects of a bucket; empty also if there is no such bucket.
    #[must_use]
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let buckets = self.state.lock();
        let objects = buckets.get(bucket).into_iter().flat_map(|bucket| &bucket.objects);
        objects.map(|(key, object)| (key.clone(), object.bytes.to_vec())).collect()
    }

    /// How an object is encrypted: the algorithm that the server applies, or `SSE-C`; `None` for neither.
    #[must_use]
    pub fn encryption(&self, bucket: &str, key: &str) -> Option<String> {
        self.state.lock().get(bucket)?.objects.get(key)?.encryption.name()
    }

    /// How many multipart uploads of a bucket are neither completed nor aborted.
    #[must_use]
    pub fn unfinished_uploads(&self, bucket: &str) -> usize {
        self.state.lock().get(bucket).map_or(0, |bucket| bucket.uploads.len())
    }

    /// Changes an object's bytes behind everybody's back: its ETag stays.
    ///
    /// # Panics
    /// If there is no such object.
    pub fn damage(&self, bucket: &str, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut buckets = self.state.lock();
        let object = buckets.get_mut(bucket).and_then(|bucket| bucket.objects.get_mut(key)).unwrap();
        let mut bytes = object.bytes.to_vec();
        change(&mut bytes);
        let mut damaged = (**object).clone();
        damaged.bytes = bytes.into();
        *object = Arc::new(damaged);
    }
}

struct Protocol(S3Service, Arc<State>);

impl Service for Protocol {
    fn call(&self, head: &Parts, _body: Option<&[u8]>) -> Option<Call> {
        Some(call::call(head))
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        if let Some(region) = access::other_region(&self.1, request.uri().path(), request.headers()) {
            let mut answer = Response::new(self.error("PermanentRedirect").into());
            *answer.status_mut() = hyper::StatusCode::MOVED_PERMANENTLY;
            answer.headers_mut().extend(
                HeaderValue::from_str(&region)
                    .map(|region| (HeaderName::from_static("x-amz-bucket-region"), region)),
            );
            return answer;
        }
        match self.0.call(request.map(s3s::Body::from)).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                Response::from_parts(head, collect(body).await)
            }
            Err(_) => {
                let mut answer = Response::new(Bytes::new());
                *answer.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
        }
    }

    fn error(&self, code: &str) -> String {
        format!("<Error><Code>{code}</Code><Message>a test wants this error</Message></Error>")
    }
}
