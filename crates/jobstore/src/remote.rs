//! Documents and files by their location, whatever the scheme.
//!
//! [`Remote`] is what the binary hands to the loader (as
//! [`moil_salad::fetch::Fetch`]) and to the pure functions (as
//! [`moil_cwl::files::Files`]). A text that came over the network or through a
//! pipe is kept, so that a document that is named often is fetched once.

pub mod elsewhere;
pub mod http;
pub mod identity;
pub mod local;
#[cfg(feature = "aws")]
mod s3;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use moil_cwl::error::Error;
use moil_cwl::files::{Entry, Files, Stat};
use moil_salad::fetch::Fetch;

use elsewhere::Elsewhere;
use http::Http;

/// The largest document that is taken into memory, in bytes.
const DOCUMENT_LIMIT: u64 = 256 << 20;

/// Reads local and remote files.
#[derive(Default)]
pub struct Remote {
    http: Http,
    #[cfg(feature = "aws")]
    s3: Option<crate::s3::S3>,
    #[cfg(feature = "aws")]
    stores: s3::Stores,
    /// Texts that are kept, by URI.
    texts: Mutex<HashMap<String, Result<String, String>>>,
    elsewhere: OnceLock<Arc<Elsewhere>>,
}

/// Nothing is.
static NOWHERE: LazyLock<Elsewhere> = LazyLock::new(Elsewhere::default);

impl Remote {
    /// Trusts the servers whose certificates are signed by one in these PEM files; none: by one that Mozilla trusts.
    pub fn new(certificates: Vec<PathBuf>) -> Self {
        Self { http: Http::new(certificates), ..Self::default() }
    }

    /// The same, which reaches `s3:` locations with this client.
    #[cfg(feature = "aws")]
    #[must_use]
    pub fn with_s3(self, s3: crate::s3::S3) -> Self {
        Self { s3: Some(s3), ..self }
    }

    /// The same, which has these texts whatever lies at their URIs now; the reason where one is not to be had.
    #[must_use]
    pub fn with_texts(self, texts: HashMap<String, Result<String, String>>) -> Self {
        Self { texts: Mutex::new(texts), ..self }
    }

    /// From now on looks there for what is gone from its place. This is said once, before anything is looked for.
    pub fn look_in(&self, elsewhere: Arc<Elsewhere>) {
        _ = self.elsewhere.set(elsewhere);
    }

    /// Where what is gone from its place may be.
    pub fn elsewhere(&self) -> &Elsewhere {
        self.elsewhere.get().map_or(&NOWHERE, |elsewhere| elsewhere)
    }

    /// Whether a file or directory of this machine, or a part of it, is to be had elsewhere only.
    pub fn is_elsewhere(&self, location: &str) -> bool {
        let elsewhere = self.elsewhere();
        let path = || moil_cwl::location::file_path(location).map(PathBuf::from);
        !elsewhere.is_empty()
            && path().is_some_and(|path| elsewhere.location(&path).is_some() || elsewhere.is_torn(&path))
    }

    /// The location that a file or directory has in place of its own.
    fn other(&self, location: &str) -> Option<String> {
        let elsewhere = self.elsewhere.get().filter(|elsewhere| !elsewhere.is_empty())?;
        elsewhere.location(Path::new(&moil_cwl::location::file_path(location)?))
    }

    /// A bucket of the server that `s3:` locations are reached at, if one is.
    #[cfg(feature = "aws")]
    pub fn bucket(&self, name: &str) -> Option<crate::s3::Bucket> {
        Some(self.s3.as_ref()?.bucket(name))
    }

    /// Copies a file, wherever it is, to a key of a bucket: within the service where it can be. What has to pass through
    /// this machine without being on it lies in the directory `scratch` on its way. Gives the size in bytes, and the
    /// checksum where it is known.
    ///
    /// # Errors
    /// [`Error::File`] with the server's or the system's words.
    #[cfg(feature = "aws")]
    pub fn copy_to(
        &self,
        location: &str,
        bucket: &crate::s3::Bucket,
        key: &str,
        scratch: &Path,
    ) -> Result<(u64, Option<String>), Error> {
        if let Some(s3) = self.s3(location) {
            return s3.copy(location, bucket, key).map_err(|reason| failed(location, reason));
        }
        let upload = |path: &Path| {
            let content = bucket.upload(key, path).map_err(|error| failed(location, error.to_string()))?;
            Ok((content.size, Some(content.checksum)))
        };
        if let Some(path) = moil_cwl::location::file_path(location) {
            return upload(Path::new(&path));
        }
        let passing =
            tempfile::NamedTempFile::new_in(scratch).map_err(|error| failed(location, error.to_string()))?;
        let path = passing.path().with_extension("passing");
        let done = self.download(location, &path).and_then(|()| upload(&path));
        _ = std::fs::remove_file(&path);
        done
    }

    /// What changes with the content of a file on a server; `None` where the server does not say.
    ///
    /// # Errors
    /// [`Error::File`] with the server's words.
    pub fn validator(&self, location: &str) -> Result<Option<String>, Error> {
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.validator(location).map_err(|reason| failed(location, reason));
        }
        #[cfg(not(feature = "aws"))]
        let _ = location;
        Ok(None)
    }

    /// Whether a location is that of a file in a bucket.
    #[cfg(feature = "aws")]
    fn s3(&self, location: &str) -> Option<s3::Objects<'_>> {
        location.starts_with("s3:").then_some(())?;
        Some(s3::Objects(self.s3.as_ref()?, &self.stores))
    }

    /// Brings a directory to a local path that is free, if it is one that can come as a whole. Says whether it is.
    ///
    /// # Errors
    /// As [`Remote::download`].
    pub fn download_directory(&self, location: &str, to: &Path) -> Result<bool, Error> {
        if let Some(other) = self.other(location) {
            return self.download_directory(&other, to);
        }
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.download_directory(location, to).map_err(|reason| failed(location, reason));
        }
        let _ = (location, to);
        Ok(false)
    }

    /// As [`Remote::download`], if what is there has this ETag. Says whether it has.
    ///
    /// # Errors
    /// As [`Remote::download`].
    pub fn download_version(&self, location: &str, etag: &str, to: &Path) -> Result<bool, Error> {
        if let Some(other) = self.other(location) {
            return self.download_version(&other, etag, to);
        }
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.download_version(location, etag, to).map_err(|reason| failed(location, reason));
        }
        if is_http(location) {
            self.http.download_version(location, etag, to).map_err(|reason| failed(location, reason))
        } else {
            Ok(false)
        }
    }

    /// Brings a remote file to a local path.
    ///
    /// # Errors
    /// [`Error::File`] with the server's or the system's words.
    pub fn download(&self, location: &str, to: &Path) -> Result<(), Error> {
        if let Some(other) = self.other(location) {
            return self.download(&other, to);
        }
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.download(location, to).map_err(|reason| failed(location, reason));
        }
        if is_http(location) {
            self.http.download(location, to).map_err(|reason| failed(location, reason))
        } else if let Some(path) = moil_cwl::location::file_path(location) {
            std::fs::copy(path, to).map(drop).map_err(|error| failed(location, error.to_string()))
        } else {
            Err(unknown(location))
        }
    }
}

impl Fetch for Remote {
    fn text(&self, uri: &str) -> Result<String, String> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(uri) {
            return text.clone();
        }
        // A pipe, such as `<(command)` of a shell, can be read once only.
        let text = match is_http(uri) {
            true => self.http.text(uri),
            false if local::is_pipe(uri) => local::text(uri),
            false => {
                drop(texts);
                return local::text(uri);
            }
        };
        texts.insert(uri.to_owned(), text.clone());
        text
    }

    fn exists(&self, uri: &str) -> bool {
        if let Some(text) = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(uri) {
            return text.is_ok();
        }
        if is_http(uri) { matches!(self.http.stat(uri), Ok(Some(_))) } else { local::exists(uri) }
    }
}

impl Files for Remote {
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error> {
        if let Some(other) = self.other(location) {
            return self.stat(&other);
        }
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.stat(location).map_err(|reason| failed(location, reason));
        }
        if is_http(location) {
            self.http.stat(location).map_err(|reason| failed(location, reason))
        } else {
            local::stat(location)
        }
    }

    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error> {
        if let Some(other) = self.other(location) {
            return self.read_prefix(&other, limit);
        }
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.read_prefix(location, limit).map_err(|reason| failed(location, reason));
        }
        if is_http(location) {
            self.http.read_prefix(location, limit).map_err(|reason| failed(location, reason))
        } else {
            local::read_prefix(location, limit)
        }
    }

    fn list(&self, location: &str) -> Result<Vec<Entry>, Error> {
        if let Some(other) = self.other(location) {
            let mut entries = self.list(&other)?;
            for entry in &mut entries {
                entry.location = moil_cwl::location::child(location, &entry.name);
            }
            return Ok(entries);
        }
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.list(location).map_err(|reason| failed(location, reason));
        }
        if is_http(location) {
            Err(failed(location, "directories cannot be listed over http".to_owned()))
        } else {
            let mut entries = local::list(location)?;
            if let Some(path) = moil_cwl::location::file_path(location) {
                for name in self.elsewhere().gone_from(Path::new(&path)) {
                    let location = moil_cwl::location::child(location, name);
                    if let Some(stat) = self.stat(&location)? {
                        entries.push(Entry { location, name: name.to_owned(), stat });
                    }
                }
                entries.sort_by(|a, b| a.name.cmp(&b.name));
            }
            Ok(entries)
        }
    }
}

/// Whether a location is reached over http.
pub fn is_http(location: &str) -> bool {
    location.starts_with("http://") || location.starts_with("https://")
}

fn failed(location: &str, reason: String) -> Error {
    Error::File { location: location.to_owned(), reason }
}

fn unknown(location: &str) -> Error {
    let scheme = location.split(':').next().unwrap_or_default();
    if cfg!(not(feature = "aws")) && scheme == "s3" {
        return failed(location, "this program was built without S3 (its feature aws)".to_owned());
    }
    failed(location, format!("files of the kind {scheme}: cannot be read"))
}
