//! What is known of a content before it is fetched, where that is certain.

use super::{Remote, is_http};

/// What tells the content of a file or directory from any other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Two contents that differ have two names.
    pub name: String,
    /// The SHA-256 of a file in hexadecimal digits.
    pub sha256: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// The ETag, quotes and all, of what may be replaced.
    pub etag: Option<String>,
}

impl Remote {
    /// The identity of a file, or of a directory that comes as a whole. `None` where nothing certain is known, also of what
    /// is encrypted with our own key: nobody else is to have it.
    pub fn identity(&self, location: &str, as_directory: bool) -> Option<Identity> {
        if let Some(other) = self.other(location) {
            return self.identity(&other, as_directory);
        }
        #[cfg(feature = "aws")]
        if let Some(s3) = self.s3(location) {
            return s3.identity(location, as_directory);
        }
        (!as_directory && is_http(location)).then(|| self.http.identity(location))?
    }
}
