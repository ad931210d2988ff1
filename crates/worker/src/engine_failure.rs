//! Telling a failure of the engine of containers from one of the tool in it: both end with an exit code.

use moil_job::failure::{Failure, FailureKind};

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// Singularity or Apptainer.
    Apptainer,
    /// Docker's client.
    Docker,
    /// Podman.
    Podman,
}

/// How the lines begin in which Singularity and Apptainer say why they failed.
const FATAL: &str = "FATAL:   ";
/// What engines say where the tool's program is not in the image, or cannot be run.
const NO_PROGRAM: [&str; 3] = ["executable file not found", "permission denied", "no such file or directory"];
/// What Docker's client says where the daemon ended before the container did.
const LOST: &str = "error waiting for container: ";

impl Speaker {
    /// Whether the engine ends with this code when it cannot do what it was asked to. A tool may end with the same.
    pub(crate) fn may_have_failed(self, exit_code: i32) -> bool {
        match self {
            Self::Apptainer => exit_code == 255,
            // 125 is the engine's own failure; 126 and 127 are the program's.
            Self::Docker | Self::Podman => (125..=127).contains(&exit_code),
        }
    }

    /// The failure of the engine itself, where the last lines before such a code speak of one.
    pub(crate) fn failure(self, job: &str, last_lines: &[String]) -> Option<Failure> {
        match self {
            Self::Apptainer => {
                let said = last_lines.last()?.strip_prefix(FATAL)?.trim();
                let words = said.to_lowercase();
                // What goes wrong while the container is made says so.
                let is_program = !words.contains("container creation failed")
                    && !words.starts_with("while ")
                    && NO_PROGRAM
                        .iter()
                        .any(|sign| words.ends_with(sign) || words.contains("executable file not found"));
                Some(if is_program { cannot_start(job, said) } else { engine_failed(job, said) })
            }
            // Some advice may follow.
            Self::Docker => last_lines.iter().rev().find_map(|line| {
                if let Some((_, said)) = line.split_once(LOST)
                    && line.starts_with("time=")
                    && !said.starts_with("context canceled")
                {
                    return Some(lost(job, said.trim_end_matches('"')));
                }
                let said = line.strip_prefix("docker: ")?;
                Some(of_runtime(job, said.strip_prefix("Error response from daemon: ").unwrap_or(said)))
            }),
            Self::Podman => {
                last_lines.iter().rev().find_map(|line| Some(of_runtime(job, line.strip_prefix("Error: ")?)))
            }
        }
    }
}

/// What Docker and Podman hand on from what starts the program (runc, crun).
fn of_runtime(job: &str, said: &str) -> Failure {
    let said = said.trim_end().trim_end_matches('.');
    let program = said.rsplit_once("exec: ").or_else(|| said.split_once("crun: ")).and_then(|(_, words)| {
        let ends = NO_PROGRAM.iter().filter_map(|sign| {
            let at = words.to_lowercase().find(sign)?;
            // The path that was looked in belongs to it.
            let rest = words.get(at + sign.len()..)?;
            Some(at + sign.len() + rest.find(": ").unwrap_or(rest.len()))
        });
        words.get(..ends.min()?)
    });
    match program {
        Some(program) => cannot_start(job, program),
        None => engine_failed(job, said),
    }
}

/// The failure where the daemon that ran the container is gone: another attempt may do better.
pub(crate) fn lost(job: &str, said: &str) -> Failure {
    Failure::new(
        FailureKind::Lost,
        format!("the daemon that ran the container of {job} does not answer any more"),
    )
    .with_cause(said)
    .with_advice("look whether it was stopped or crashed; its log may tell")
}

fn cannot_start(job: &str, said: &str) -> Failure {
    let message = format!("the program of {job} cannot be started in its container");
    Failure::new(FailureKind::CannotStart, message)
        .with_cause(said)
        .with_advice("look whether the image has the program of baseCommand, and whether it may be run")
}

fn engine_failed(job: &str, said: &str) -> Failure {
    let message = format!("the container engine failed, not the tool of {job}");
    let failure = Failure::new(FailureKind::System, message).with_cause(said);
    if said.contains("Docker daemon") {
        return failure.with_advice("look whether the daemon runs, and whether you may use it");
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_is_told_from_what_tools_say() {
        let check = |line: &str| Speaker::Apptainer.failure("step", &["before".to_owned(), line.to_owned()]);
        for line in [
            "FATAL:   \"nosuch\": executable file not found in $PATH",
            "FATAL:   permission denied",
            "FATAL:   stat /opt/x: no such file or directory",
        ] {
            assert_eq!(check(line).unwrap().kind, FailureKind::CannotStart, "{line}");
        }
        for line in [
            "FATAL:   container creation failed: mount hook function failure: mount /x->/x error: no such file or directory",
            "FATAL:   While checking container encryption: could not open image /x.sif: permission denied",
        ] {
            let failure = check(line).unwrap();
            assert_eq!(failure.kind, FailureKind::System, "{line}");
            assert_eq!(failure.cause.as_deref(), line.strip_prefix(FATAL));
        }
        assert_eq!(check("fatal: permission denied"), None);
        assert_eq!(Speaker::Apptainer.failure("step", &[]), None);
    }

    #[test]
    fn docker_and_podman_say_it_in_their_own_ways() {
        use Speaker::{Docker, Podman};
        let shim = "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc \
             create failed: unable to start container process: exec: ";
        let podman = "Error: runc: runc create failed: unable to start container process: exec: ";
        for (speaker, line, cause) in [
            (Docker, format!("{shim}\"x\": executable file not found in $PATH: unknown."), "\"x\": executable file not found in $PATH"),
            (Docker, format!("{shim}\"/x\": stat /x: no such file or directory: unknown"), "\"/x\": stat /x: no such file or directory"),
            (Docker, format!("{shim}\"/etc\": permission denied: unknown."), "\"/etc\": permission denied"),
            (Podman, format!("{podman}\"/etc\": permission denied: OCI permission denied"), "\"/etc\": permission denied"),
            (
                Podman,
                format!("{podman}\"x\": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found"),
                "\"x\": executable file not found in $PATH",
            ),
            (
                Podman,
                "Error: crun: executable file `x` not found in $PATH: No such file or directory: OCI runtime attempted".to_owned(),
                "executable file `x` not found in $PATH: No such file or directory",
            ),
        ] {
            let said = [line, String::new(), "Run 'docker run --help' for more information".to_owned()];
            let failure = speaker.failure("step", &said).unwrap();
            assert_eq!((failure.kind, failure.cause.as_deref()), (FailureKind::CannotStart, Some(cause)));
        }
        for (speaker, line, kind, cause) in [
            (
                Docker,
                "docker: Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /x.",
                FailureKind::System,
                "invalid mount config for type \"bind\": bind source path does not exist: /x",
            ),
            (
                Docker,
                "docker: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?.",
                FailureKind::System,
                "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
            ),
            (
                Docker,
                "time=\"2026-11-28T05:42:43Z\" level=error msg=\"error waiting for container: unexpected EOF\"",
                FailureKind::Lost,
                "unexpected EOF",
            ),
            (
                Podman,
                "Error: statfs /x: no such file or directory",
                FailureKind::System,
                "statfs /x: no such file or directory",
            ),
        ] {
            let failure = speaker.failure("step", &[line.to_owned()]).unwrap();
            assert_eq!((failure.kind, failure.cause.as_deref()), (kind, Some(cause)));
        }
        for line in ["mine", "", "docker:", "sh: 1: x: not found"] {
            assert_eq!(Docker.failure("step", &[line.to_owned()]), None, "{line}");
            assert_eq!(Podman.failure("step", &[line.to_owned()]), None, "{line}");
        }
    }
}
