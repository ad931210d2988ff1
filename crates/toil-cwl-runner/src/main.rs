//! `toil-cwl-runner`, also under the name `cwl-runner`.

use std::process::ExitCode;

use toil_cwl_runner::{Invocation, report};

fn main() -> ExitCode {
    // The process that starts tools is forked here, before there is any thread.
    let mut stdout = std::io::stdout();
    match Invocation::of_this_process(&mut stdout) {
        Ok(invocation) => toil_cwl_runner::run(invocation).into(),
        Err(error) => report::no_current_directory("toil-cwl-runner", &error).into(),
    }
}
