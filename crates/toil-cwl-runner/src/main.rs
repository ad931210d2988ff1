//! `toil-cwl-runner`, also under the name `cwl-runner`.

use std::process::ExitCode;

use moil_worker::spawner::Spawner;
use toil_cwl_runner::signals::Signals;
use toil_cwl_runner::{Invocation, report};

fn main() -> ExitCode {
    // The process that starts tools is forked here, before there is any thread and while this
    // process is small. Where that fails, a run says so when it needs it.
    let spawner = Spawner::start().ok();
    let signals = Signals::install().unwrap_or_default();
    let mut stdout = std::io::stdout();
    match Invocation::of_this_process(&mut stdout, spawner, signals) {
        Ok(invocation) => toil_cwl_runner::run(invocation).into(),
        Err(error) => report::no_current_directory("toil-cwl-runner", &error).into(),
    }
}
