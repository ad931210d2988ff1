//! Whether a registry answers.

use std::path::PathBuf;
use std::time::Duration;

use ureq::{Agent, Proxy};

use crate::registry::trust;

/// How long it may take to connect, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks what every registry answers (OCI distribution specification, `GET /v2/`): gives the status, whatever that is. `base`
/// is `https://HOST`. `proxy` is the URL of a proxy; `certificates` are files with those that are trusted, none: those of
/// Mozilla.
///
/// # Errors
/// A sentence that says why there is no answer.
pub fn ask(base: &str, proxy: Option<&str>, certificates: &[PathBuf]) -> Result<u16, String> {
    let proxy = proxy.map(Proxy::new).transpose().map_err(|error| error.to_string())?;
    let mut config = Agent::config_builder()
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(3)
        .proxy(proxy)
        .user_agent("moil");
    if base.starts_with("https:") && !certificates.is_empty() {
        config = config.tls_config(trust(certificates).map_err(|error| error.to_string())?);
    }
    let agent: Agent = config.build().into();
    let answer = agent.get(format!("{base}/v2/")).call().map_err(|error| error.to_string())?;
    Ok(answer.status().as_u16())
}
