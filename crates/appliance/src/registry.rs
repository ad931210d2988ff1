//! The HTTP API of registries (OCI distribution specification): blobs and manifests are put there.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Request, Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, SendBody};

use crate::challenge::{self, Challenge};
use crate::credentials::{self, Credentials, Places};
use crate::error::ApplianceError;
use crate::layout::{Blob, Layout};
use crate::reference::Reference;

/// How often something is asked before it counts as failed.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How long a registry may take for an answer; it may copy a layer first.
const SILENCE: Duration = Duration::from_secs(300);
/// How much of a refusal is told.
const WORDS: u64 = 2000;

/// How a registry is reached.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Without TLS.
    pub plain: bool,
    /// Files with trusted certificates; empty: those of Mozilla.
    pub certificates: Vec<PathBuf>,
    /// Where credentials are.
    pub places: Places,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes that were brought there; what was there already is not.
    pub bytes: u64,
}

/// Brings an image into a registry. `told` hears of each blob before it goes.
///
/// # Errors
/// The registry cannot be reached, or refuses.
pub fn push(
    layout: &Layout,
    reference: &Reference,
    access: &Access,
    told: &mut dyn FnMut(&Blob),
) -> Result<Pushed, ApplianceError> {
    let mut client = Client::new(reference, access)?;
    let mut pushed = Pushed::default();
    for blob in &layout.blobs {
        if client.has(blob)? {
            continue;
        }
        told(blob);
        client.put_blob(blob, || File::open(layout.path(blob)))?;
        pushed.bytes += blob.size;
    }
    let path = layout.path(&layout.manifest);
    let manifest = fs::read(&path).map_err(|error| ApplianceError::read(&path, error))?;
    client.put_manifest(&layout.manifest, &manifest)?;
    Ok(pushed)
}

struct Client<'a> {
    agent: Agent,
    reference: &'a Reference,
    /// `https://HOST`.
    base: String,
    credentials: Option<Credentials>,
    /// The header `Authorization`, once the registry has asked for it.
    authorization: Option<String>,
}

impl<'a> Client<'a> {
    fn new(reference: &'a Reference, access: &Access) -> Result<Self, ApplianceError> {
        let mut config = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(SILENCE))
            .http_status_as_error(false)
            // An answer may lead to another host, which must not see credentials.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("moil");
        if !access.plain && !access.certificates.is_empty() {
            config = config.tls_config(trust(&access.certificates)?);
        }
        Ok(Self {
            agent: config.build().into(),
            reference,
            base: format!("{}://{}", if access.plain { "http" } else { "https" }, reference.host()),
            credentials: credentials::find(&access.places, reference)?,
            authorization: None,
        })
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.base, self.reference.name)
    }

    fn has(&mut self, blob: &Blob) -> Result<bool, ApplianceError> {
        let url = self.url(&format!("blobs/{}", blob.digest));
        let response = self.ask("HEAD", &url, None, || Ok(SendBody::none()))?;
        match response.status() {
            StatusCode::OK => Ok(true),
            // Where blobs are kept elsewhere.
            status if status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused("looking for a layer", response)),
        }
    }

    fn put_blob(&mut self, blob: &Blob, open: impl Fn() -> io::Result<File>) -> Result<(), ApplianceError> {
        let url = self.url("blobs/uploads/");
        let response = self.ask("POST", &url, None, || Ok(SendBody::none()))?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refused("beginning an upload", response));
        }
        let Some(place) = header(&response, "location") else {
            return Err(self.refused("beginning an upload", response));
        };
        let place = if place.starts_with('/') { format!("{}{place}", self.base) } else { place };
        let separator = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{separator}digest={}", blob.digest);
        let response = self.ask("PUT", &url, Some(("application/octet-stream", blob.size)), || {
            open().map(SendBody::from_owned_reader)
        })?;
        match response.status() {
            StatusCode::CREATED => Ok(()),
            _ => Err(self.refused("putting a layer", response)),
        }
    }

    fn put_manifest(&mut self, blob: &Blob, bytes: &[u8]) -> Result<(), ApplianceError> {
        let url = self.url(&format!("manifests/{}", self.reference.tag));
        let response = self.ask("PUT", &url, Some((blob.media_type, blob.size)), || {
            Ok(SendBody::from_owned_reader(io::Cursor::new(bytes.to_vec())))
        })?;
        match response.status() {
            StatusCode::CREATED => Ok(()),
            _ => Err(self.refused("putting the manifest", response)),
        }
    }

    /// Makes a request; again after a lost connection, where the server is busy, and with credentials where those are
    /// asked for. `content` is the kind and the size of the body.
    fn ask<'b>(
        &mut self,
        method: &str,
        url: &str,
        content: Option<(&str, u64)>,
        body: impl Fn() -> io::Result<SendBody<'b>>,
    ) -> Result<Response<Body>, ApplianceError> {
        let mut wait = FIRST_WAIT;
        let mut asked_for_credentials = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = Request::builder().method(method).uri(url);
            if let Some(authorization) = self.authorization.as_ref().filter(|_| url.starts_with(&self.base)) {
                request = request.header("authorization", authorization);
            }
            if let Some((kind, size)) = content {
                request = request.header("content-type", kind).header("content-length", size);
            } else if method == "POST" {
                request = request.header("content-length", 0);
            }
            let request = body()
                .map_err(|error| error.to_string())
                .and_then(|body| request.body(body).map_err(|error| error.to_string()))
                .map_err(|words| self.unreachable(words))?;
            match self.agent.run(request) {
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !asked_for_credentials => {
                    asked_for_credentials = true;
                    tries = 0;
                    match header(&response, "www-authenticate").as_deref().and_then(challenge::parse) {
                        Some(challenge) => match self.answer(&challenge)? {
                            Some(authorization) => self.authorization = Some(authorization),
                            None => return Ok(response),
                        },
                        None => return Ok(response),
                    }
                    continue;
                }
                Ok(response)
                    if tries >= TRIES
                        || !matches!(response.status().as_u16(), 429 | 500 | 502 | 503 | 504) =>
                {
                    return Ok(response);
                }
                Ok(_) => {}
                Err(error) if tries >= TRIES || is_final(&error) => {
                    return Err(self.unreachable(words(error)));
                }
                Err(_) => {}
            }
            std::thread::sleep(wait);
            wait *= 3;
        }
    }

    /// The header that answers a challenge; `None` where nothing is known that could.
    fn answer(&self, challenge: &Challenge) -> Result<Option<String>, ApplianceError> {
        let (realm, service, scope) = match challenge {
            Challenge::Basic => return Ok(self.credentials.as_ref().and_then(Credentials::basic)),
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
        };
        let own = format!("repository:{}:pull,push", self.reference.name);
        let scope = scope.as_deref().filter(|scope| scope.contains("push")).unwrap_or(&own);
        let service = service.as_deref().unwrap_or_default();
        let sent = match &self.credentials {
            Some(Credentials::Identity(token)) => self.agent.post(realm).send_form([
                ("grant_type", "refresh_token"),
                ("service", service),
                ("client_id", "moil"),
                ("scope", scope),
                ("refresh_token", token),
            ]),
            known => {
                let mut request = self.agent.get(realm).query("service", service).query("scope", scope);
                if let Some(basic) = known.as_ref().and_then(Credentials::basic) {
                    request = request.header("authorization", basic);
                }
                request.call()
            }
        };
        let mut response = sent.map_err(|error| self.unreachable(format!("{realm}: {}", words(error))))?;
        if !response.status().is_success() {
            return Err(self.refused("giving a token", response));
        }
        let said = response.body_mut().read_to_string().unwrap_or_default();
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|key| said[*key].as_str());
        Ok(token.map(|token| format!("Bearer {token}")))
    }

    fn unreachable(&self, words: String) -> ApplianceError {
        ApplianceError::Unreachable { registry: self.reference.registry.clone(), words }
    }

    fn refused(&self, what: &'static str, mut response: Response<Body>) -> ApplianceError {
        let status = response.status().as_u16();
        let said = response.body_mut().with_config().limit(WORDS).read_to_string().unwrap_or_default();
        let registry = self.reference.registry.clone();
        ApplianceError::Refused { registry, what, status, words: errors(&said) }
    }
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// The registry's words in its list of errors.
fn errors(said: &str) -> String {
    let parsed: Value = serde_json::from_str(said).unwrap_or_default();
    let list = parsed["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let words: Vec<&str> =
        list.iter().filter_map(|error| error["message"].as_str().or(error["code"].as_str())).collect();
    if words.is_empty() { said.lines().next().unwrap_or_default().to_owned() } else { words.join("; ") }
}

/// Whether trying again is no use.
fn is_final(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::ConnectionRefused)
        }
        ureq::Error::BadUri(_) | ureq::Error::HostNotFound | ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
            true
        }
        _ => false,
    }
}

fn words(error: ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "no host of that name was found".to_owned(),
        ureq::Error::Timeout(_) => "the server did not answer in time".to_owned(),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            format!("no TLS can be agreed on: {error}")
        }
        other => other.to_string(),
    }
}

pub(crate) fn trust(files: &[PathBuf]) -> Result<TlsConfig, ApplianceError> {
    let mut certificates = Vec::new();
    for file in files {
        let pem = fs::read(file).map_err(|error| ApplianceError::read(file, error))?;
        for item in parse_pem(&pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                Ok(_) => {}
                Err(error) => return Err(ApplianceError::read(file, io::Error::other(error.to_string()))),
            }
        }
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_s_words_are_found() {
        let said =
            r#"{"errors":[{"code":"DENIED","message":"requested access is denied"},{"code":"UNKNOWN"}]}"#;
        assert_eq!(errors(said), "requested access is denied; UNKNOWN");
        assert_eq!(errors("<html>\n<p>no"), "<html>");
        assert_eq!(errors(""), "");
    }
}
