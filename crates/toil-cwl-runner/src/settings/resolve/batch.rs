//! Where jobs run.

use moil_jobstore::locator::Locator;
use moil_kubernetes::settings::WORK_DIR;

use super::super::error::SettingsError;
use super::super::{Action, BatchSystem, Kubernetes, Store};
use super::Source;
use crate::argparse::UsageError;

/// Toil's others.
const OTHER_BATCH_SYSTEMS: &[&str] = &[
    "aws_batch",
    "grid_engine",
    "gridEngine",
    "htcondor",
    "lsf",
    "mesos",
    "parasol",
    "slurm",
    "tes",
    "torque",
];

/// Which batch system is asked for.
///
/// # Errors
/// There is none of this name, or none of ours.
pub(super) fn batch_system(source: &Source<'_>) -> Result<BatchSystem, SettingsError> {
    let Some(given) = source.given.last("--batchSystem") else { return Ok(BatchSystem::SingleMachine) };
    let (spelled, name) = (&given.spelled, given.value.as_str());
    match name {
        "single_machine" | "singleMachine" => Ok(BatchSystem::SingleMachine),
        "processes" => Ok(BatchSystem::Processes),
        "kubernetes" => Ok(BatchSystem::Kubernetes),
        other if OTHER_BATCH_SYSTEMS.contains(&other) => Err(SettingsError::Refused(
            UsageError::new(format!("{spelled} {other} is not supported"))
                .with_hint("jobs run on this machine (single_machine) or on Kubernetes (kubernetes)"),
        )),
        other => {
            let known = ["single_machine", "kubernetes"].into_iter();
            let hint = match crate::suggest::nearest(other, known) {
                Some(name) => format!("did you mean {name}?"),
                None => "choose single_machine or kubernetes".to_owned(),
            };
            let error = UsageError::new(format!("{spelled} '{other}' is unknown"));
            Err(error.with_hint(hint).into())
        }
    }
}

/// Whether there is what workers share with the leader.
///
/// # Errors
/// There is nothing.
pub(super) fn check_store(
    batch: BatchSystem,
    store: &Store,
    kubernetes: &Kubernetes,
    action: Action,
) -> Result<(), SettingsError> {
    let (name, option) = match batch {
        BatchSystem::SingleMachine => return Ok(()),
        BatchSystem::Processes => ("processes", "--jobStore DIRECTORY"),
        BatchSystem::Kubernetes => ("kubernetes", "--jobStore aws:REGION:NAME"),
    };
    if action != Action::Run {
        return Ok(());
    }
    let refused =
        |message: String, hint: String| Err(SettingsError::Refused(UsageError::new(message).with_hint(hint)));
    match &store.locator {
        None => refused(
            format!("--batchSystem {name} needs a job store"),
            format!("workers share nothing else with the leader: add {option}"),
        ),
        Some(Locator::File(path)) if batch == BatchSystem::Kubernetes && !kubernetes.shares(path, true) => {
            refused(
                format!("pods do not see the job store {}", path.display()),
                format!(
                    "use {option}, or a directory that leader and pods see under one path: below that of \
                 --kubernetesVolume SOURCE:DIRECTORY, or below {WORK_DIR} with --kubernetesHostPath"
                ),
            )
        }
        Some(_) => Ok(()),
    }
}
