//! How the pure functions see files.

use std::sync::Arc;

use crate::error::Error;

/// Files by location. Blocking, and small: everything else about files is the worker's business.
pub trait Files: Sync {
    /// What is at a location.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be found out. Not being there is no error.
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error>;

    /// The first `limit` bytes.
    ///
    /// # Errors
    /// [`Error::File`].
    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error>;

    /// The checksum of a file (`sha1$…`); `None` where none are computed.
    ///
    /// # Errors
    /// [`Error::File`].
    fn checksum(&self, _location: &str) -> Result<Option<Arc<str>>, Error> {
        Ok(None)
    }

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// [`Error::File`].
    fn list(&self, location: &str) -> Result<Vec<Entry>, Error>;
}

/// What is at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Size in bytes; 0 for directories.
    pub size: u64,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The full location.
    pub location: String,
    /// The name.
    pub name: String,
    /// What it is.
    pub stat: Stat,
}

/// The most that `loadContents` may read (CWL v1.2 §"loadContents"): 64 KiB.
pub const LOAD_CONTENTS_LIMIT: u64 = 64 * 1024;

impl<T: Files + Send> Files for Arc<T> {
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error> {
        (**self).stat(location)
    }

    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error> {
        (**self).read_prefix(location, limit)
    }

    fn checksum(&self, location: &str) -> Result<Option<Arc<str>>, Error> {
        (**self).checksum(location)
    }

    fn list(&self, location: &str) -> Result<Vec<Entry>, Error> {
        (**self).list(location)
    }
}
