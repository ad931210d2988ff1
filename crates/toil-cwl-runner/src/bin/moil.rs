//! `moil`, also under the name `toil` for the commands that Toil has. Under the name of the runner it is that: so one
//! program is enough in the worker image.

use std::process::ExitCode;

use moil_worker::spawner::Spawner;
use toil_cwl_runner::signals::Blocked;
use toil_cwl_runner::{Invocation, commands, report};

fn main() -> ExitCode {
    // Signals are blocked before there is any thread that they could go to. Then the process that
    // starts tools is forked, while this one is small. Where that fails, a run says so when it needs it.
    let blocked = Blocked::new();
    let spawner = Spawner::start().ok();
    let signals = blocked.and_then(Blocked::listen).unwrap_or_default();
    let mut stdout = std::io::stdout();
    match Invocation::of_this_process(&mut stdout, spawner, signals) {
        Ok(invocation) if matches!(invocation.program.as_str(), "toil-cwl-runner" | "cwl-runner") => {
            toil_cwl_runner::run(invocation).into()
        }
        Ok(invocation) => commands::run(invocation).into(),
        Err(error) => report::no_current_directory("moil", &error).into(),
    }
}
