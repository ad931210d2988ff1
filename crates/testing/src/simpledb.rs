//! SimpleDB in memory, for tests: the Query protocol of API version 2009-04-15 with its ten operations.
//!
//! All of the service is behind one lock, so conditional writes are atomic. A read that does not ask for
//! consistency sees what was there before the domain's latest write: the service may do that at any time.
//!
//! | module | holds |
//! |---|---|
//! | [`request`] | parameters, attributes and conditions of a request |
//! | [`signature`] | Signature Version 2, as it is checked |
//! | [`domain`] | the operations |
//! | [`select`] | the language of queries |

mod domain;
mod request;
mod select;
mod signature;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use crate::hooks::{Call, Hooks};
use crate::server::{Server, Service};
use domain::Domains;
use request::Parameters;

/// The access key that [`SimpleDbServer`] knows.
pub const ACCESS_KEY: &str = "AKTEST000001";
/// Its secret key.
pub const SECRET_KEY: &str = "secretsecret12345";

/// The attributes of an item: a set of values for each name.
pub type Attributes = BTreeMap<String, BTreeSet<String>>;

/// An error as the service tells it: HTTP status, code, message.
type Failure = (u16, &'static str, String);

/// A server of SimpleDB that runs until it is dropped.
pub struct SimpleDbServer {
    server: Server,
    domains: std::sync::Arc<Mutex<Domains>>,
}

impl SimpleDbServer {
    /// Starts one with no domains.
    #[must_use]
    pub fn start() -> Self {
        let domains = std::sync::Arc::new(Mutex::new(Domains::default()));
        let server = Server::start(Ipv4Addr::LOCALHOST.into(), Protocol(std::sync::Arc::clone(&domains)));
        Self { server, domains }
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

    /// All items of a domain; `None` if there is no such domain.
    #[must_use]
    pub fn items(&self, domain: &str) -> Option<BTreeMap<String, Attributes>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner).items(domain)
    }
}

struct Protocol(std::sync::Arc<Mutex<Domains>>);

impl Service for Protocol {
    fn call(&self, head: &Parts, body: Option<&[u8]>) -> Option<Call> {
        let parameters = Parameters::read(head, body?);
        let text = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
        let item = parameters.get("ItemName").or(parameters.get("Item.1.ItemName"));
        let item = item.map(|item| format!("/{item}")).unwrap_or_default();
        Some(Call { operation: text("Action"), target: text("DomainName") + &item })
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let (status, text) = match answer(&self.0, &head, &body) {
            Ok(text) => (200, text),
            Err((status, code, message)) => (status, error(code, &message)),
        };
        let mut response = Response::new(text.into());
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/xml"));
        response
    }

    fn error(&self, code: &str) -> String {
        error(code, "a test wants this error")
    }
}

fn answer(domains: &Mutex<Domains>, head: &Parts, body: &[u8]) -> Result<String, Failure> {
    if head.method != hyper::Method::POST {
        return Err((400, "InvalidHttpRequest", "only POST is understood".to_owned()));
    }
    let parameters = Parameters::read(head, body);
    signature::check(head, &parameters)?;
    if parameters.get("Version") != Some("2009-04-15") {
        return Err((400, "NoSuchVersion", "the version is 2009-04-15".to_owned()));
    }
    let action = parameters.needed("Action")?;
    let result = domains.lock().unwrap_or_else(PoisonError::into_inner).act(action, &parameters)?;
    Ok(format!(
        "<?xml version=\"1.0\"?>\n<{action}Response xmlns=\"http://sdb.amazonaws.com/doc/2009-04-15/\">{result}\
         <ResponseMetadata><RequestId>00000000-0000-0000-0000-000000000000</RequestId>\
         <BoxUsage>0.0000219907</BoxUsage></ResponseMetadata></{action}Response>"
    ))
}

fn error(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{}</Message>\
         <BoxUsage>0.0000219907</BoxUsage></Error></Errors>\
         <RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>",
        escape(message)
    )
}

/// Text as the content of an XML element.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
