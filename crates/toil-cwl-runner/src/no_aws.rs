//! In the place of `aws`, where the program is built without that feature: it says so.

use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::locator::Locator;
use moil_jobstore::place::Place;
use moil_jobstore::remote::Remote;

use crate::settings::Settings;

/// Nothing reaches buckets.
#[derive(Clone)]
pub struct Buckets;

/// Nothing reaches buckets.
///
/// # Errors
/// None.
pub fn buckets(_: &Settings) -> Result<Buckets, Failure> {
    Ok(Buckets)
}

/// What is told of whatever is in a bucket.
pub(crate) fn without(what: &str) -> Failure {
    Failure::new(FailureKind::BadInput, format!("{what} cannot be reached"))
        .with_cause("this program was built without S3 (its feature aws)")
        .with_advice("use the program as it is built by default, or files of this machine")
}

impl Buckets {
    /// The same reader of files.
    pub fn for_remote(&self, remote: Remote) -> Remote {
        remote
    }

    /// There is no place in a bucket.
    ///
    /// # Errors
    /// The locator names one.
    pub fn place(&self, _: &Settings, locator: &Locator) -> Result<Option<Place>, Failure> {
        match locator {
            Locator::File(_) => Ok(None),
            Locator::Aws { .. } | Locator::S3 { .. } => Err(without(&format!("the job store {locator}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use crate::exit_code::ExitCode;
    use crate::invocation::{Capture, Invocation};

    const TOOL: &str =
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: {f: File?}, outputs: []}";

    /// Runs a tool in an empty directory; gives what is said.
    fn run(line: &str) -> (ExitCode, String) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("main.cwl"), TOOL).expect("it is written");
        let stderr = Capture::default();
        let code = crate::run(Invocation {
            program: "toil-cwl-runner".to_owned(),
            args: line.split_whitespace().map(OsString::from).collect(),
            cwd: dir.path().to_owned(),
            env: Vec::new(),
            stdin: Box::new(std::io::empty()),
            stdout: &mut Vec::new(),
            stderr: Box::new(stderr.clone()),
            stderr_is_terminal: false,
            spawner: None,
            executable: None,
            signals: Default::default(),
        });
        (code, stderr.text())
    }

    #[test]
    fn what_is_in_a_bucket_is_told_to_be_out_of_reach() {
        for line in [
            "--jobStore aws:us-west-2:abc main.cwl",
            "--jobStore s3://bucket/x main.cwl",
            "--outdir s3://bucket/x main.cwl",
            "--cachedir s3://bucket/x main.cwl",
            "main.cwl --f s3://bucket/x",
        ] {
            let (code, told) = run(line);
            assert_eq!(code, ExitCode::FAILURE, "{line}");
            assert!(told.contains("this program was built without S3 (its feature aws)"), "{line}: {told}");
        }
        assert_eq!(run("--jobStore store main.cwl").0, ExitCode::SUCCESS);
    }
}
