//! Where the outputs of attempts are kept beyond them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spec::AttemptId;
use crate::update::Update;

/// Keeps files and directories under locations at which everybody who works on the run finds them. Calls block.
pub trait Contents: Send + Sync {
    /// Keeps a file or directory that an attempt made, with all that is in it. Gives its location: that of what is
    /// in a directory follows from it, name by name. With a [`root`](Self::root) it is moved, and nothing at `path` may be
    /// used afterwards; without one what is at `path` is the caller's, and the same as what is kept.
    ///
    /// # Errors
    /// What was being done, and the underlying system's words.
    fn keep(&self, attempt: &AttemptId, path: &Path) -> Result<String, ContentsError>;

    /// Keeps new versions of what was kept and an attempt changed: what was at each location is at the path now. Gives
    /// where they are; what was not made by an attempt of the run has no new version. With a [`root`](Self::root) things
    /// are changed where they are, and this is not asked for.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    fn update(
        &self,
        _attempt: &AttemptId,
        _changed: &[(Arc<str>, PathBuf)],
    ) -> Result<Vec<Update>, ContentsError> {
        Ok(Vec::new())
    }

    /// The directory of this machine below which all lies that is kept, if there is one.
    fn root(&self) -> Option<&Path> {
        None
    }
}

/// Why something could not be kept.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {operation}: {reason}")]
pub struct ContentsError {
    /// What was being done: `move the output /a/b to the job store`.
    pub operation: String,
    /// The underlying system's words.
    pub reason: String,
}
