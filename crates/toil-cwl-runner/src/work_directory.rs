//! Where attempts work.

use std::fs;
use std::path::PathBuf;

use moil_job::failure::{Failure, FailureKind};

use crate::settings::{HandOver, Settings};

/// The run's own directory: everything that is made on the way is in it.
pub struct WorkDirectory {
    /// Absolute, without links.
    pub path: PathBuf,
    /// It is part of a job store, and stays as long as that.
    in_store: bool,
}

impl WorkDirectory {
    /// Makes it: in the job store, if that has a place for it, unless another one was asked for.
    ///
    /// # Errors
    /// The system's.
    pub fn make(settings: &Settings, in_store: Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(path) = in_store.filter(|_| !settings.files.place_is_given) {
            return Ok(Self { path, in_store: true });
        }
        let prefix = &settings.files.tmp_outdir;
        let failed = |error: std::io::Error| {
            let message = format!("cannot make a directory in {}", prefix.dir.display());
            Failure::new(FailureKind::System, message)
                .with_cause(error)
                .with_advice(
                    "choose another place with --workDir or --tmp-outdir-prefix; for pods, let their user write to the \
                     directory of --kubernetesHostPath",
                )
        };
        fs::create_dir_all(&prefix.dir).map_err(failed)?;
        let name = if prefix.name.is_empty() { "moil-" } else { &prefix.name };
        let directory = tempfile::Builder::new().prefix(name).tempdir_in(&prefix.dir).map_err(failed)?;
        // What keeps it or removes it is `clean`, which knows how the run ended.
        let path = fs::canonicalize(directory.keep()).map_err(failed)?;
        Ok(Self { path, in_store: false })
    }

    /// Removes it, unless something in it is still wanted: logs of failed jobs, outputs left in place.
    pub fn clean(self, settings: &Settings, all_is_well: bool) {
        if self.in_store {
            return;
        }
        let wanted =
            settings.files.keep_temporary || settings.files.hand_over == HandOver::Leave || !all_is_well;
        if wanted {
            // Nothing may have been kept; only empty directories go.
            _ = fs::remove_dir(self.path.join("jobs"));
            _ = fs::remove_dir(&self.path);
        } else {
            moil_worker::scratch::remove(&self.path);
        }
    }
}
