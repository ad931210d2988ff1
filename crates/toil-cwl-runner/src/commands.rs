//! `moil COMMAND`.

use std::fmt::Write as _;

use crate::exit_code::ExitCode;
use crate::help;
use crate::images;
use crate::invocation::Invocation;
use crate::report;
use crate::run as workflow;
use crate::suggest;

/// One command of `moil`.
struct Entry {
    name: &'static str,
    about: &'static str,
}

const COMMANDS: &[Entry] = &[
    Entry { name: "run", about: "Run a workflow; the same as toil-cwl-runner." },
    Entry { name: "clean", about: "Delete a job store and what belongs to it. [not supported yet]" },
    Entry { name: "kill", about: "End a run. [not supported yet]" },
    Entry { name: "status", about: "Show what a run is doing. [not supported yet]" },
    Entry { name: "stats", about: "Show what a run used. [not supported yet]" },
    Entry { name: "why", about: "Show why a job ran again or did not. [not supported yet]" },
    Entry { name: "images", about: "Manage the images of containers: list, pull, verify, prune." },
    Entry { name: "doctor", about: "Check what a run needs. [not supported yet]" },
    Entry { name: "worker", about: "Run one job; for the leader. [not supported yet]" },
];

/// Runs a command of `moil`.
pub fn run(mut invocation: Invocation<'_>) -> ExitCode {
    let command = if invocation.args.is_empty() {
        None
    } else {
        Some(invocation.args.remove(0).to_string_lossy().into_owned())
    };
    match command.as_deref() {
        Some("run") => {
            invocation.program.push_str(" run");
            workflow::run(invocation)
        }
        Some("images") => images::run(invocation),
        Some("--help" | "-h" | "help") => answer(&mut invocation, &help_text()),
        Some("--version") => answer(&mut invocation, &format!("{}\n", help::version())),
        Some(name) if COMMANDS.iter().any(|command| command.name == name) => {
            let text = report::error(&invocation.program, &format_args!("'{name}' is not supported yet"));
            complain(&mut invocation, &text, ExitCode::FAILURE)
        }
        Some(name) => {
            let hint = match suggest::nearest(name, COMMANDS.iter().map(|command| command.name)) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("'{} --help' lists them", invocation.program),
            };
            let text =
                report::error(&invocation.program, &format_args!("unknown command '{name}'\n  hint: {hint}"));
            complain(&mut invocation, &text, ExitCode::USAGE)
        }
        None => complain(&mut invocation, &help_text(), ExitCode::USAGE),
    }
}

fn help_text() -> String {
    let mut text = "Runs CWL workflows.\n\nUsage: moil COMMAND [OPTIONS]\n\nCommands:\n".to_owned();
    for command in COMMANDS {
        _ = writeln!(text, "  {:<8} {}", command.name, command.about);
    }
    text.push_str("\nOptions:\n  -h, --help     Print this help and exit.\n      --version  Print the version and exit.\n");
    text
}

pub(crate) fn answer(invocation: &mut Invocation<'_>, text: &str) -> ExitCode {
    match workflow::try_print(invocation.stdout, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = report::error(&invocation.program, &format_args!("cannot write to stdout: {error}"));
            complain(invocation, &text, ExitCode::FAILURE)
        }
    }
}

fn complain(invocation: &mut Invocation<'_>, text: &str, code: ExitCode) -> ExitCode {
    _ = invocation.stderr.write_all(text.as_bytes());
    code
}
