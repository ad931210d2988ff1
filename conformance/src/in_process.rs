//! moil as a runner in this process: no program to start, so a suite costs what its jobs cost.

use std::path::PathBuf;
use std::time::Instant;

use toil_cwl_runner::Invocation;
use toil_cwl_runner::invocation::Capture;

use crate::runner::{Answer, Exit, Request, Runner};

/// moil in this process. It cannot enforce a timeout: a test that hangs hangs the driver.
pub struct InProcess;

impl Runner for InProcess {
    // The environment of the driver is that of the runs, as it would be for a program.
    #[allow(clippy::disallowed_methods)]
    fn run(&self, request: &Request) -> Answer {
        let started = Instant::now();
        let mut stdout = Vec::new();
        let stderr = Capture::default();
        let code = toil_cwl_runner::run(Invocation {
            program: "toil-cwl-runner".to_owned(),
            executable: None,
            args: request.args.iter().map(Into::into).collect(),
            cwd: PathBuf::from(&request.cwd),
            env: std::env::vars_os().collect(),
            stdin: Box::new(std::io::empty()),
            stdout: &mut stdout,
            stderr: Box::new(stderr.clone()),
            stderr_is_terminal: false,
            spawner: None,
            signals: Default::default(),
        });
        Answer {
            exit: Exit::Code(code.0.into()),
            stdout,
            stderr: stderr.text().into_bytes(),
            wall: started.elapsed(),
        }
    }

    fn version(&self) -> String {
        format!("moil {} in process", env!("CARGO_PKG_VERSION"))
    }
}
