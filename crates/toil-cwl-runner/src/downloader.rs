//! Fetches what jobs need and is not on this machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use moil_cwl::error::Error;
use moil_cwl::files::{Entry, Files};
use moil_jobstore::remote::{self, Remote};
use moil_worker::cancel::Cancel;
use moil_worker::downloads::{Download, Identity};

/// Fetches what is not on this machine.
pub struct Downloader(pub Arc<Remote>);

impl Download for Downloader {
    fn is_elsewhere(&self, location: &str) -> bool {
        self.0.is_elsewhere(location)
    }

    fn identify(&self, location: &str, as_directory: bool) -> Option<Identity> {
        let identity = self.0.identity(location, as_directory)?;
        Some(Identity {
            name: identity.name,
            sha256: identity.sha256,
            size: identity.size,
            version: identity.etag,
        })
    }

    fn download_version(
        &self,
        location: &str,
        identity: &Identity,
        to: &Path,
        cancel: &Cancel,
    ) -> Result<bool, String> {
        let Some(version) = identity.version.clone() else {
            return self.download(location, to, cancel).map(|()| true);
        };
        let (remote, location, to) = (Arc::clone(&self.0), location.to_owned(), to.to_owned());
        patiently(cancel, move || remote.download_version(&location, &version, &to))
    }

    fn list(&self, location: &str) -> Result<Option<Vec<Entry>>, String> {
        if remote::is_http(location) {
            return Ok(None);
        }
        Files::list(&*self.0, location).map(Some).map_err(|error| error.to_string())
    }

    fn download(&self, location: &str, to: &Path, cancel: &Cancel) -> Result<(), String> {
        let (remote, location, to) = (Arc::clone(&self.0), location.to_owned(), to.to_owned());
        patiently(cancel, move || remote.download(&location, &to))
    }

    fn download_directory(&self, location: &str, to: &Path, cancel: &Cancel) -> Result<bool, String> {
        let (remote, location, to) = (Arc::clone(&self.0), location.to_owned(), to.to_owned());
        patiently(cancel, move || remote.download_directory(&location, &to))
    }
}

/// Waits for something on a thread of its own: a server may be silent for a minute, and whoever cancels should not wait
/// for it.
fn patiently<T: Send + 'static>(
    cancel: &Cancel,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, String> {
    let (sender, done) = channel();
    std::thread::Builder::new()
        .name("download".to_owned())
        .spawn(move || sender.send(work()))
        .map_err(|error| error.to_string())?;
    loop {
        match done.recv_timeout(Duration::from_millis(100)) {
            Ok(result) => return result.map_err(|error| error.to_string()),
            Err(RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
            Err(_) => return Err("it was given up".to_owned()),
        }
    }
}
