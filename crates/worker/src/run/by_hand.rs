//! A job whose inputs are put in place for somebody who runs its tool by hand.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moil_cwl::expression::Evaluator;
use moil_job::executor::Reporter;
use moil_job::spec::Attempt;

use super::Run;
use crate::attempt_dir::AttemptDir;
use crate::cancel::Cancel;
use crate::config::WorkerConfig;
use crate::container::Container;
use crate::secrets::Masks;
use crate::spare::Spare;
use crate::system::{self, Result};

/// What it takes to run the tool of a job.
#[derive(Debug)]
pub struct ByHand {
    /// The words of the command: the tool's, or those of the engine that runs its container.
    pub argv: Vec<OsString>,
    /// What has to be in its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether nothing else may be in it: so with tools that run without a container.
    pub is_whole_environment: bool,
    /// Where it has to be started.
    pub cwd: PathBuf,
    /// What it reads.
    pub stdin: Option<PathBuf>,
    /// Whether it reads that through a pipe.
    pub through_pipe: bool,
    /// The output file that its standard output is.
    pub stdout: Option<PathBuf>,
    /// The output file that its standard error is.
    pub stderr: Option<PathBuf>,
    /// Whether it runs in a container.
    pub in_container: bool,
    /// How long it may take.
    pub limit: Option<Duration>,
}

/// Puts copies of all inputs of an attempt in place below a directory (`in`, `out`, `tmp`), with what its tool wants in
/// its output directory. Images are fetched. The directory holds all that is needed afterwards but the image.
///
/// # Errors
/// As for an attempt that does not get to its tool.
pub fn lay_out(
    attempt: &Attempt,
    config: &WorkerConfig,
    evaluator: &Evaluator,
    directory: &Path,
    cancel: &Cancel,
    reporter: &Reporter,
) -> Result<ByHand> {
    let masks = Masks::of(&attempt.secrets);
    let spare = Spare::default();
    let run = Run {
        attempt,
        job: &attempt.job,
        config,
        evaluator,
        spare: &spare,
        cancel,
        reporter,
        masks: &masks,
        by_hand: true,
    };
    let dirs = AttemptDir {
        root: directory.to_owned(),
        out: directory.join("out"),
        tmp: directory.join("tmp"),
        inputs: directory.join("in"),
    };
    for made in [&dirs.out, &dirs.tmp, &dirs.inputs] {
        fs::create_dir_all(made).map_err(|error| system::failure("make the directory", made, &error))?;
    }
    let prepared = run.prepare(&dirs)?;
    let command = prepared.command;
    let not_a_log = |path: PathBuf| (!prepared.logs.contains(&path)).then_some(path);
    let own = prepared.container.as_ref().map(Container::environment).unwrap_or_default();
    Ok(ByHand {
        argv: command.argv,
        environment: command.environment.into_iter().filter(|variable| !own.contains(variable)).collect(),
        is_whole_environment: prepared.container.is_none(),
        cwd: command.cwd,
        stdin: command.stdin,
        through_pipe: command.through_pipe,
        stdout: not_a_log(command.stdout),
        stderr: not_a_log(command.stderr),
        in_container: prepared.container.is_some(),
        limit: prepared.limit,
    })
}
