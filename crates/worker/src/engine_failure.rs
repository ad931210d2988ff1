//! Telling a failure of the engine of containers from one of the tool in it: both end with an exit code.

use moil_job::failure::{Failure, FailureKind};

/// What Singularity and Apptainer exit with when they cannot do what they were asked to.
pub(crate) const CODE: i32 = 255;
/// How the lines begin in which they say why.
const MARK: &str = "FATAL:   ";
/// What they say where the tool's program is not in the image, or cannot be run.
const NO_PROGRAM: [&str; 3] = ["executable file not found", "permission denied", "no such file or directory"];

/// The failure of the engine itself, where the last lines before [`CODE`] speak of one. A tool may end with the same
/// code.
pub(crate) fn of(job: &str, last_lines: &[String]) -> Option<Failure> {
    let said = last_lines.last().and_then(|line| line.strip_prefix(MARK))?.trim().to_owned();
    let words = said.to_lowercase();
    // What goes wrong while the container is made says so.
    let is_program = !words.contains("container creation failed")
        && !words.starts_with("while ")
        && NO_PROGRAM.iter().any(|sign| words.ends_with(sign) || words.contains("executable file not found"));
    Some(if is_program {
        Failure::new(
            FailureKind::CannotStart,
            format!("the program of {job} cannot be started in its container"),
        )
        .with_cause(said)
        .with_advice("look whether the image has the program of baseCommand, and whether it may be run")
    } else {
        Failure::new(FailureKind::System, format!("the container engine failed, not the tool of {job}"))
            .with_cause(said)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_is_told_from_what_tools_say() {
        let check = |line: &str| of("step", &["before".to_owned(), line.to_owned()]);
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
            assert_eq!(failure.cause.as_deref(), line.strip_prefix(MARK));
        }
        assert_eq!(check("fatal: permission denied"), None);
        assert_eq!(of("step", &[]), None);
    }
}
