//! Where jobs run.

use std::time::Duration;

use super::super::error::SettingsError;
use super::super::{Action, BatchSystem, Kubernetes, Store, value};
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
pub(super) fn check_store(batch: BatchSystem, store: &Store, action: Action) -> Result<(), SettingsError> {
    let (name, option) = match batch {
        BatchSystem::SingleMachine => return Ok(()),
        BatchSystem::Processes => ("processes", "--jobStore DIRECTORY"),
        BatchSystem::Kubernetes => ("kubernetes", "--jobStore aws:REGION:NAME"),
    };
    if store.locator.is_some() || action != Action::Run {
        return Ok(());
    }
    let error = UsageError::new(format!("--batchSystem {name} needs a job store"))
        .with_hint(format!("workers share nothing else with the leader: add {option}"));
    Err(SettingsError::Refused(error))
}

impl Source<'_> {
    pub(super) fn kubernetes(&self) -> Result<Kubernetes, UsageError> {
        Ok(Kubernetes {
            owner: self.owned("--kubernetesOwner"),
            context: self.owned("--kubernetesContext"),
            namespace: self.owned("--kubernetesNamespace"),
            host_path: self.owned("--kubernetesHostPath"),
            service_account: self.owned("--kubernetesServiceAccount"),
            pod_timeout: self.read("--kubernetesPodTimeout", value::seconds, Duration::from_secs(120))?,
            privileged: self.flag("--kubernetesPrivileged", false),
            seccomp: self.owned("--kubernetesSeccompProfile"),
            pod_security_context: self.path("--kubernetesPodSecurityContext"),
            security_context: self.path("--kubernetesSecurityContext"),
        })
    }
}
