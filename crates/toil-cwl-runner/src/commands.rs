//! `moil COMMAND`, also under the name `toil` for the commands that Toil has.
//!
//! | module | holds |
//! |---|---|
//! | `appliance` | `appliance` |
//! | `doctor` | `doctor` |
//! | `words` | the command lines of commands on job stores |
//! | `store` | job stores as those see them who do not lead a run |
//! | `end` | `kill`, `clean` |
//! | `status` | `status` |
//! | `stats` | `stats` |
//! | `why` | `why` |
//! | `debug_job` | `debug-job`; `by_hand`: the files with which a job is run by hand |
//! | `worker` | `worker` |

mod appliance;
mod by_hand;
mod debug_job;
mod doctor;
mod end;
mod memory_guard;
mod stats;
mod status;
mod store;
mod why;
mod words;
mod worker;

use std::fmt::Write as _;

use moil_job::failure::{Failure, FailureKind};

use crate::exit_code::ExitCode;
use crate::failure_report;
use crate::help;
use crate::images;
use crate::invocation::Invocation;
use crate::log::Log;
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
    Entry { name: "status", about: "Show how it stands with a run." },
    Entry { name: "stats", about: "Show what the jobs of a run used." },
    Entry { name: "why", about: "Show why a job ran again or did not." },
    Entry {
        name: "debug-job",
        about: "Show what is recorded of a job, or bring it to a directory to run by hand.",
    },
    Entry { name: "kill", about: "End a run." },
    Entry { name: "clean", about: "Remove a job store and all that belongs to it." },
    Entry { name: "images", about: "Manage the images of containers: list, pull, verify, prune." },
    Entry { name: "appliance", about: "Make the image of worker pods: push, build." },
    Entry { name: "doctor", about: "Check whether there is what a run needs." },
    Entry { name: "worker", about: "Run one job; for the leader." },
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
        Some("appliance") => {
            invocation.program.push_str(" appliance");
            appliance::run(invocation)
        }
        Some(name) if on_store(name).is_some() => {
            invocation.program.push(' ');
            invocation.program.push_str(name);
            on_store(name).map_or(ExitCode::USAGE, |command| command(invocation))
        }
        Some("--help" | "-h" | "help") => answer(&mut invocation, &help_text()),
        Some("--version") => answer(&mut invocation, &format!("{}\n", help::version())),
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

/// The commands that read their words alike.
fn on_store(name: &str) -> Option<fn(Invocation<'_>) -> ExitCode> {
    Some(match name {
        "status" => status::run,
        "stats" => stats::run,
        "why" => why::why,
        "debug-job" => debug_job::debug,
        "kill" => end::kill,
        "clean" => end::clean,
        "worker" => worker::run,
        "doctor" => doctor::run,
        _ => return None,
    })
}

/// Says what failed, in a few lines.
fn tell(log: &Log, command: &str, failure: &Failure) {
    failure_report::lines(command, failure).iter().for_each(|line| log.error(line));
}

/// The exit code of a command.
fn finish(log: &Log, command: &str, done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(log, command, &failure);
            code(&failure)
        }
    }
}

fn code(failure: &Failure) -> ExitCode {
    if failure.kind == FailureKind::Unsupported { ExitCode::UNSUPPORTED } else { ExitCode::FAILURE }
}

fn help_text() -> String {
    let mut text = "Runs CWL workflows.\n\nUsage: moil COMMAND [OPTIONS]\n\nCommands:\n".to_owned();
    for command in COMMANDS {
        _ = writeln!(text, "  {:<9} {}", command.name, command.about);
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
