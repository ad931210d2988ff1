//! `moil`, also under the name `toil` for the commands that Toil has.

use std::process::ExitCode;

use toil_cwl_runner::{Invocation, commands, report};

fn main() -> ExitCode {
    // The process that starts tools is forked here, before there is any thread.
    let mut stdout = std::io::stdout();
    match Invocation::of_this_process(&mut stdout) {
        Ok(invocation) => commands::run(invocation).into(),
        Err(error) => report::no_current_directory("moil", &error).into(),
    }
}
