//! Files over http and https.

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::identity::Identity;
use moil_cwl::files::Stat;
use ureq::Agent;
use ureq::Body;
use ureq::ResponseExt as _;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// How often a request is made before it counts as failed.
const TRIES: u32 = 4;

/// How long to wait before the second one.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// How long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Http {
    /// Files with the certificates that are trusted; empty: those of Mozilla.
    certificates: Vec<PathBuf>,
    /// Made when it is first used: reading certificates takes milliseconds.
    agent: OnceLock<Result<Agent, String>>,
}

impl Http {
    pub(super) fn new(certificates: Vec<PathBuf>) -> Self {
        Self { certificates, agent: OnceLock::new() }
    }

    fn agent(&self) -> Result<&Agent, String> {
        let agent = self.agent.get_or_init(|| {
            let mut config = Agent::config_builder()
                .timeout_connect(Some(Duration::from_secs(30)))
                .timeout_recv_response(Some(SILENCE))
                .timeout_per_read(Some(SILENCE))
                .http_status_as_error(false)
                .user_agent("moil");
            if let Some(tls) = tls(&self.certificates)? {
                config = config.tls_config(tls);
            }
            Ok(config.build().into())
        });
        agent.as_ref().map_err(String::clone)
    }

    pub(super) fn text(&self, uri: &str) -> Result<String, String> {
        self.again(uri, None, |response| {
            response
                .into_body()
                .into_with_config()
                .limit(super::DOCUMENT_LIMIT)
                .read_to_string()
                .map_err(words)
        })
    }

    /// `None` where the server says that there is nothing.
    pub(super) fn stat(&self, uri: &str) -> Result<Option<Stat>, String> {
        let agent = self.agent()?;
        let response = retried(|| agent.head(uri).call())?;
        match response.status().as_u16() {
            200..=299 => {
                let length = header(&response, "content-length");
                let size = length.and_then(|text| text.parse().ok()).unwrap_or(0);
                Ok(Some(Stat { is_directory: false, size }))
            }
            404 | 410 => Ok(None),
            // Some servers refuse HEAD for what they give to GET.
            403 | 405 | 501 => self.get(uri, Some(1)).map(|_| Some(Stat { is_directory: false, size: 0 })),
            _ => Err(refused(&response)),
        }
    }

    pub(super) fn read_prefix(&self, uri: &str, limit: u64) -> Result<Vec<u8>, String> {
        self.again(uri, Some(limit), |response| {
            let mut bytes = Vec::new();
            let mut body = response.into_body();
            body.as_reader().take(limit).read_to_end(&mut bytes).map_err(io_words)?;
            Ok(bytes)
        })
    }

    /// What the server tells of a file, if that is a strong ETag (RFC 9110 §8.8.1) of what is at this very address, and nobody
    /// is asked to forget it.
    pub(super) fn identity(&self, uri: &str) -> Option<Identity> {
        let agent = self.agent().ok()?;
        let response = retried(|| agent.head(uri).call()).ok()?;
        let asked: Uri = uri.parse().ok()?;
        let etag = etag(&response).filter(|etag| etag.starts_with('"'))?.to_owned();
        let is_certain = response.status().as_u16() == 200
            && *response.get_uri() == asked
            && !response.headers().contains_key("content-encoding")
            && !header(&response, "cache-control").is_some_and(|words| words.contains("no-store"));
        let size = header(&response, "content-length").and_then(|length| length.parse().ok());
        is_certain.then(|| Identity {
            name: format!("{uri} {etag} {size:?}"),
            sha256: None,
            size,
            etag: Some(etag),
        })
    }

    /// Whether what came has this ETag.
    pub(super) fn download_version(&self, uri: &str, wanted: &str, to: &Path) -> Result<bool, String> {
        self.download_if(uri, to, |response| etag(response) == Some(wanted))
    }

    pub(super) fn download(&self, uri: &str, to: &Path) -> Result<(), String> {
        self.download_if(uri, to, |_| true).map(drop)
    }

    /// To a name of its own first, so that half a file never looks like a whole one. Says whether it was wanted.
    fn download_if(
        &self,
        uri: &str,
        to: &Path,
        wanted: impl Fn(&Response<Body>) -> bool,
    ) -> Result<bool, String> {
        let mut partial = to.as_os_str().to_owned();
        partial.push(".part");
        let came = self.again(uri, None, |response| {
            if !wanted(&response) {
                return Ok(false);
            }
            let length: Option<u64> = header(&response, "content-length").and_then(|text| text.parse().ok());
            let encoded = response.headers().contains_key("content-encoding");
            let copied = fs::File::create(&partial)
                .and_then(|mut file| io::copy(&mut response.into_body().as_reader(), &mut file))
                .map_err(io_words)?;
            match length {
                Some(length) if length != copied && !encoded => {
                    Err(format!("the connection ended after {copied} of {length} bytes"))
                }
                _ => Ok(true),
            }
        })?;
        if came {
            fs::rename(&partial, to).map_err(|error| error.to_string())?;
        }
        Ok(came)
    }

    /// Gets something and reads it; once more from the start where the connection broke in the middle.
    fn again<T>(
        &self,
        uri: &str,
        limit: Option<u64>,
        mut read: impl FnMut(Response<Body>) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            if let Ok(done) = read(self.get(uri, limit)?) {
                return Ok(done);
            }
            std::thread::sleep(wait);
            wait *= 3;
        }
        read(self.get(uri, limit)?)
    }

    fn get(&self, uri: &str, limit: Option<u64>) -> Result<Response<Body>, String> {
        let agent = self.agent()?;
        let response = retried(|| {
            let request = agent.get(uri);
            match limit {
                Some(limit) => request.header("range", format!("bytes=0-{}", limit.saturating_sub(1))).call(),
                None => request.call(),
            }
        })?;
        if response.status().is_success() { Ok(response) } else { Err(refused(&response)) }
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn etag(response: &Response<Body>) -> Option<&str> {
    header(response, "etag")
}

/// Again after a lost connection and after 429 and 5xx, with growing waits.
fn retried(
    mut request: impl FnMut() -> Result<Response<Body>, ureq::Error>,
) -> Result<Response<Body>, String> {
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match request() {
            Ok(response) if !matches!(response.status().as_u16(), 429 | 500 | 502 | 503 | 504) => {
                return Ok(response);
            }
            Ok(_) => {}
            Err(error) if is_final(&error) => return Err(words(error)),
            Err(_) => {}
        }
        std::thread::sleep(wait);
        wait *= 3;
    }
    request().map_err(words)
}

/// Whether trying again is no use.
fn is_final(error: &ureq::Error) -> bool {
    match error {
        // A certificate that is not trusted.
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        ureq::Error::BadUri(_)
        | ureq::Error::HostNotFound
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::TooManyRedirects => true,
        _ => false,
    }
}

/// Trust in the certificates of these files; `None` for the usual trust.
pub(crate) fn tls(files: &[PathBuf]) -> Result<Option<TlsConfig>, String> {
    if files.is_empty() {
        return Ok(None);
    }
    let roots = RootCerts::Specific(Arc::new(read_certificates(files)?));
    Ok(Some(TlsConfig::builder().root_certs(roots).build()))
}

fn read_certificates(files: &[PathBuf]) -> Result<Vec<Certificate<'static>>, String> {
    let mut certificates = Vec::new();
    for file in files {
        let failed = |reason: String| format!("cannot read the certificates in {}: {reason}", file.display());
        let pem = fs::read(file).map_err(|error| failed(error.to_string()))?;
        for item in parse_pem(&pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|error| failed(error.to_string()))? {
                certificates.push(certificate);
            }
        }
    }
    if certificates.is_empty() {
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        return Err(format!("there are no certificates in {}", names.join(", ")));
    }
    Ok(certificates)
}

fn refused(response: &Response<Body>) -> String {
    format!("the server answered {}", response.status())
}

fn words(error: ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "no host of that name was found".to_owned(),
        ureq::Error::Timeout(_) => "the server did not answer in time".to_owned(),
        ureq::Error::Io(error) => io_words(error),
        other => other.to_string(),
    }
}

fn io_words(error: io::Error) -> String {
    let words = error.to_string();
    match error.downcast::<ureq::Error>() {
        Ok(ureq::Error::Io(_)) => words,
        Ok(inner) => self::words(inner),
        Err(_) if words.contains("CaUsedAsEndEntity") => {
            "the server's certificate is one for signing others (CA:TRUE), which servers may not use".to_owned()
        }
        Err(_) if words.contains("UnknownIssuer") => {
            "the server's certificate is signed by nobody who is trusted; SSL_CERT_FILE can name a file with more \
             certificates"
                .to_owned()
        }
        Err(_) => words,
    }
}
