//! Files over http and https.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use moil_cwl::files::Stat;
use ureq::Agent;
use ureq::Body;
use ureq::http::Response;

/// The largest document that is taken into memory.
const DOCUMENT_LIMIT: u64 = 256 << 20;

/// How often a request is made before it counts as failed.
const TRIES: u32 = 4;

pub(super) struct Http {
    agent: Agent,
}

impl Default for Http {
    fn default() -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .user_agent("moil")
            .build();
        Self { agent: config.into() }
    }
}

impl Http {
    pub(super) fn text(&self, uri: &str) -> Result<String, String> {
        let response = self.get(uri, None)?;
        response.into_body().into_with_config().limit(DOCUMENT_LIMIT).read_to_string().map_err(words)
    }

    /// `None` where the server says that there is nothing.
    pub(super) fn stat(&self, uri: &str) -> Result<Option<Stat>, String> {
        let response = retried(|| self.agent.head(uri).call())?;
        match response.status().as_u16() {
            200..=299 => {
                let length = response.headers().get("content-length");
                let size = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
                Ok(Some(Stat { is_directory: false, size }))
            }
            404 | 410 => Ok(None),
            // Some servers refuse HEAD for what they give to GET.
            403 | 405 | 501 => self.get(uri, Some(1)).map(|_| Some(Stat { is_directory: false, size: 0 })),
            _ => Err(refused(&response)),
        }
    }

    pub(super) fn read_prefix(&self, uri: &str, limit: u64) -> Result<Vec<u8>, String> {
        let response = self.get(uri, Some(limit))?;
        let mut bytes = Vec::new();
        let mut body = response.into_body();
        body.as_reader().take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// To a name of its own first, so that half a file never looks like a whole one.
    pub(super) fn download(&self, uri: &str, to: &Path) -> Result<(), String> {
        let mut partial = to.as_os_str().to_owned();
        partial.push(".part");
        let response = self.get(uri, None)?;
        let length = response.headers().get("content-length");
        let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let encoded = response.headers().contains_key("content-encoding");
        let copied = fs::File::create(&partial)
            .and_then(|mut file| io::copy(&mut response.into_body().as_reader(), &mut file))
            .map_err(|error| error.to_string())?;
        match length {
            Some(length) if length != copied && !encoded => {
                Err(format!("the connection ended after {copied} of {length} bytes"))
            }
            _ => fs::rename(&partial, to).map_err(|error| error.to_string()),
        }
    }

    fn get(&self, uri: &str, limit: Option<u64>) -> Result<Response<Body>, String> {
        let response = retried(|| {
            let request = self.agent.get(uri);
            match limit {
                Some(limit) => request.header("range", format!("bytes=0-{}", limit.saturating_sub(1))).call(),
                None => request.call(),
            }
        })?;
        if response.status().is_success() { Ok(response) } else { Err(refused(&response)) }
    }
}

/// Again after a lost connection and after 429 and 5xx, with growing waits.
fn retried(
    mut request: impl FnMut() -> Result<Response<Body>, ureq::Error>,
) -> Result<Response<Body>, String> {
    let mut wait = Duration::from_millis(250);
    for _ in 1..TRIES {
        match request() {
            Ok(response) if !matches!(response.status().as_u16(), 429 | 500 | 502 | 503 | 504) => {
                return Ok(response);
            }
            Ok(_) => {}
            Err(error @ (ureq::Error::BadUri(_) | ureq::Error::HostNotFound | ureq::Error::Tls(_))) => {
                return Err(words(error));
            }
            Err(_) => {}
        }
        std::thread::sleep(wait);
        wait *= 3;
    }
    request().map_err(words)
}

fn refused(response: &Response<Body>) -> String {
    format!("the server answered {}", response.status())
}

fn words(error: ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "no host of that name was found".to_owned(),
        ureq::Error::Timeout(_) => "the server did not answer in time".to_owned(),
        other => other.to_string(),
    }
}
