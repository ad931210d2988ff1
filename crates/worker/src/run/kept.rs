//! What stays of an attempt, and what goes: outputs, logs, directories.

use std::path::{Path, PathBuf};

use moil_cwl::process::Version;
use moil_cwl::resource_request::with_exit_code;
use moil_cwl::staging::StagingSource;
use moil_cwl::value::Value;
use moil_job::executor::Report;
use moil_job::result::JobResult;

use super::{Prepared, Run};
use crate::attempt_dir::AttemptDir;
use crate::measure::Measures;
use crate::system::Result;
use crate::{collect, files, in_place, keep, kept_logs, publish, scratch};

/// Below the work root: output files whose attempts left nothing else.
const SHELF: &str = "outputs";

impl Run<'_> {
    pub(super) fn outputs(
        &self,
        dirs: &AttemptDir,
        prepared: &Prepared,
        exit_code: i32,
    ) -> Result<(Value, u64)> {
        self.cancel.check()?;
        // `exitCode` came with v1.1.
        let runtime = match self.effective().version {
            Version::V1_0 => prepared.runtime.clone(),
            _ => with_exit_code(&prepared.runtime, i64::from(exit_code)),
        };
        let context = self.context(&prepared.inputs, &runtime);
        let measures = Measures::new(self.config.checksums, self.cancel);
        let outputs = collect::collect(
            self.tool(),
            self.effective(),
            &context,
            dirs,
            &prepared.place,
            &prepared.staged,
            &measures,
        );
        // What kept the outputs from being collected may be no more than that nobody wants them.
        self.cancel.check()?;
        let outputs = self.masks.hide_in_outputs(&outputs?);
        publish::publish(&outputs, &dirs.out, &measures, self.cancel)
    }

    /// Brings the outputs to where they are kept.
    pub(super) fn keep(&self, prepared: &Prepared, mut result: JobResult) -> Result<JobResult> {
        if let Some(contents) = &self.config.contents {
            let made = &self.config.work_root;
            let left = |location: &str, path: &Path| self.config.adopt(location, path);
            let (updates, updated) = in_place::keep(&prepared.privates, &self.attempt.id, &**contents)?;
            let kept = keep::Keeping { made, attempt: &self.attempt.id, contents: &**contents, left: &left };
            result.outputs = kept.keep(&result.outputs, updated, self.cancel)?;
            result.updates = updates;
        }
        Ok(result)
    }

    /// Removes the files that were made with secrets, unless they are outputs: nothing of them is to stay on the
    /// disk, whatever becomes of the directory.
    fn remove_secrets(&self, prepared: &Prepared, result: Option<&JobResult>) {
        for entry in &prepared.staged {
            let StagingSource::Literal(text) = &entry.source else { continue };
            let path = prepared.place.on_host(&entry.target);
            let is_output = |result: &JobResult| holds(&result.outputs, &path);
            if self.attempt.secrets.are_in(text) && !result.is_some_and(is_output) {
                // The tool may have removed it.
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    /// Leaves logs for the leader, if it wants them.
    fn leave_logs(&self, prepared: &Prepared, result: &mut Result<JobResult>) {
        let wanted = self.config.left_logs.has(result.is_err()) && !self.cancel.is_cancelled();
        let Some(contents) = self.config.contents.as_deref().filter(|_| wanted) else { return };
        let (most, scratch) = (self.config.max_log_size, &self.config.work_root);
        let leave = |log: &PathBuf| match kept_logs::leave(log, self.attempt, most, contents, scratch) {
            Ok(left) => left,
            Err(error) => {
                // The job is over, and need not fail for that.
                let text = format!("its log cannot be left for the leader: {error}");
                (self.reporter)(Report::Note(self.attempt.id.clone(), text));
                None
            }
        };
        let left = prepared.logs.iter().filter_map(leave).collect();
        match result {
            Ok(result) => result.logs = left,
            Err(failure) => failure.logs = left,
        }
    }

    /// Keeps what is wanted beyond the attempt and removes what is not; gives the outputs their last place.
    pub(super) fn clean_up(
        &self,
        dirs: &AttemptDir,
        prepared: &Prepared,
        result: &mut Result<JobResult>,
    ) -> Result<()> {
        prepared.logs.iter().for_each(|log| self.masks.hide_in_log(log));
        self.remove_secrets(prepared, result.as_ref().ok());
        for kept in self.config.kept_logs.iter().filter(|kept| kept.all || result.is_err()) {
            for log in &prepared.logs {
                // The job is over: a log that cannot be copied is no reason for it to fail.
                let _ = kept.keep(log, &self.attempt.job.name);
            }
        }
        self.leave_logs(prepared, result);
        if self.config.leave_tmpdir {
            return Ok(());
        }
        // Elsewhere nothing would remove it in the end.
        if !dirs.tmp.starts_with(&dirs.root) {
            scratch::remove(&dirs.tmp);
        }
        match result {
            Ok(result) => {
                let shelf = self.config.work_root.join(SHELF);
                if self.config.apart.is_none()
                    && !self.job.tool.with_siblings
                    && !prepared.place.is_container()
                    && prepared.privates.is_empty()
                    && let Some(moved) = self.spare.keep(dirs, &result.outputs, &prepared.staged, &shelf)?
                {
                    result.outputs = moved;
                    return Ok(());
                }
                scratch::remove(&dirs.tmp);
                for log in &prepared.logs {
                    // What stays does no harm.
                    let _ = std::fs::remove_file(log);
                }
                let mut wanted = files::paths_of(&result.outputs);
                wanted.extend(prepared.privates.iter().map(|private| private.path.clone()));
                if !self.job.tool.with_siblings {
                    scratch::remove_but(&dirs.out, &wanted);
                }
                // A literal among the inputs may be an output as well.
                if !prepared.staged.is_empty() && !wanted.iter().any(|path| path.starts_with(&dirs.inputs)) {
                    scratch::remove(&dirs.inputs);
                }
            }
            Err(_) => {
                scratch::remove(&dirs.tmp);
                scratch::remove(&dirs.inputs);
                for log in &prepared.logs {
                    let _ = scratch::shorten_log(log, self.config.max_log_size);
                }
            }
        }
        Ok(())
    }
}

/// Whether a file is one of a value, or in a directory of it, or what a link in its place leads to.
fn holds(value: &Value, file: &Path) -> bool {
    files::paths_of(value).iter().any(|path| {
        file.starts_with(path) || std::fs::canonicalize(path).is_ok_and(|path| file.starts_with(path))
    })
}
