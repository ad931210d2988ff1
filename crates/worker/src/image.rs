//! Whether this machine can give a job what it requires.

use std::path::Path;

use moil_cwl::inherit::Effective;
use moil_job::failure::{Failure, FailureKind};

use crate::config::WorkerConfig;
use crate::system::Result;

/// Refuses what cannot be had. `ShmSize` and SoftwareRequirement ask for nothing outside a container or a
/// package manager, and are met by whatever is there, as with cwltool.
///
/// # Errors
/// [`FailureKind::Unsupported`].
pub(crate) fn check(effective: &Effective, config: &WorkerConfig) -> Result<()> {
    if let Some((place, name)) = effective.unknown.first() {
        return Err(Box::new(Failure {
            place: Some(place.to_string()),
            ..unsupported(format!("the requirement {name} is not known"))
                .with_advice("if the tool works without it, move it from requirements to hints")
        }));
    }
    if effective.cuda.is_some() && !has_program(config, "nvidia-smi") {
        return Err(Box::new(
            unsupported("the tool needs a CUDA device, and nvidia-smi is not installed here".to_owned())
                .with_advice("run it on a machine with an NVIDIA driver"),
        ));
    }
    Ok(())
}

fn unsupported(message: String) -> Failure {
    Failure::new(FailureKind::Unsupported, message)
}

/// Whether a program is in the `PATH` that tools get.
fn has_program(config: &WorkerConfig, name: &str) -> bool {
    let path = config.host_environment.iter().find(|(variable, _)| variable == "PATH");
    path.is_some_and(|(_, value)| {
        std::env::split_paths(value).any(|directory| Path::new(&directory).join(name).is_file())
    })
}
