//! What a job left in its output directory, as the tool saw it.

use crate::error::Error;

/// A view of the output directory. Paths are absolute and as the tool saw them (inside a container, where
/// there was one), normalised, and within the output directory. Blocking.
pub trait Tree {
    /// The entries of a directory, in any order; empty where there is no directory, or only a link to one.
    ///
    /// # Errors
    /// [`Error::File`], also for names that are not UTF-8.
    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, Error>;

    /// What is at a path, links not followed; the directories on the way are no links. `None`: nothing is there.
    ///
    /// # Errors
    /// [`Error::File`].
    fn stat(&self, path: &str) -> Result<Option<Kind>, Error>;
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// The name without directories.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with content.
    File {
        /// In bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link that the tool made.
    Link {
        /// What it says, unchanged: relative to its directory, or absolute as the tool saw it.
        target: String,
    },
    /// An input that was staged here (as a link or mount) and that the tool did not replace.
    Input,
    /// A socket, pipe or device.
    Other,
}
