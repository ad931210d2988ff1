//! `moil`, also under the name `toil` for the commands that Toil has.

use std::process::ExitCode;

use moil_worker::spawner::Spawner;
use toil_cwl_runner::signals::Signals;
use toil_cwl_runner::{Invocation, commands, report};

fn main() -> ExitCode {
    // The process that starts tools is forked here, before there is any thread and while this
    // process is small. Where that fails, a run says so when it needs it.
    let spawner = Spawner::start().ok();
    let signals = Signals::install().unwrap_or_default();
    let mut stdout = std::io::stdout();
    match Invocation::of_this_process(&mut stdout, spawner, signals) {
        Ok(invocation) => commands::run(invocation).into(),
        Err(error) => report::no_current_directory("moil", &error).into(),
    }
}
