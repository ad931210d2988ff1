//! Running jobs in other processes: what the executor of the worker crate is told.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use moil_job::executor::Reporter;
use moil_job::failure::{Failure, FailureKind};
use moil_worker::processes::{ProcessExecutor, WorkerProgram};

use crate::job_store::JobStore;
use crate::settings::Settings;
use crate::worker_form::WorkerForm;

/// The program that has the command `worker`.
const PROGRAM: &str = "moil";

/// The executor whose workers are processes of this machine. `executable` is this program, beside which theirs lies.
///
/// # Errors
/// It is not there; the job store refuses the workers' settings.
pub fn processes(
    settings: &Settings,
    store: &JobStore,
    executable: Option<&Path>,
    reporter: Reporter,
) -> Result<ProcessExecutor, Failure> {
    let program = executable.map(|executable| executable.with_file_name(PROGRAM));
    let program = program.filter(|program| program.is_file()).ok_or_else(|| {
        Failure::new(FailureKind::System, "the program moil, which runs workers, is not beside this one")
            .with_advice("install both programs in one directory")
    })?;
    store.keep_settings(&WorkerForm::of(settings)?.write())?;
    let mut args: Vec<OsString> = ["worker", "--store", store.name()].map(OsString::from).into();
    if let Some(key) = &settings.store.encryption_key {
        args.extend(["--sseKey".into(), key.into()]);
    }
    let environment = settings.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let set = settings.tools.set.iter().map(|(name, value)| (name.into(), value.clone()));
    let program = WorkerProgram { program, args, environment: environment.chain(set).collect() };
    Ok(ProcessExecutor::new(program, store.exchange() as Arc<_>, reporter))
}
