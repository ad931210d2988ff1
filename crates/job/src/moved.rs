//! Files that export takes out of the job store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file that was to be moved. If the run is taken up again its result is wanted where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Where it was: absolute.
    pub from: PathBuf,
    /// Where it was to go.
    pub to: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its time of modification, in nanoseconds since 1970; what has another one is another file.
    pub modified: i128,
}
