//! One run of the program, from the command line to the exit code.

use std::fs::OpenOptions;
use std::io::{Read, Write};

use crate::argparse::{self, Immediate};
use crate::environment::Environment;
use crate::exit_code::ExitCode;
use crate::help;
use crate::invocation::Invocation;
use crate::log::{Level, Log};
use crate::report;
use crate::settings::{self, Action, Settings};

/// The versions of CWL that can be run; one in development needs `--enable-dev`.
pub const SUPPORTED_VERSIONS: &[&str] = &["v1.0", "v1.1", "v1.2"];

/// `toil-cwl-runner`.
pub fn run(invocation: Invocation<'_>) -> ExitCode {
    let Invocation { program, args, cwd, env, mut stdin, stdout, mut stderr, stderr_is_terminal } =
        invocation;
    let environment = Environment::new(env);
    let mut fail = |error: &dyn std::fmt::Display, code: ExitCode| {
        _ = stderr.write_all(report::error(&program, error).as_bytes());
        code
    };
    let is_file = |word: &str| cwd.join(word).is_file();
    let parsed = match argparse::parse(&args, &is_file) {
        Ok(parsed) => parsed,
        Err(error) => return fail(&error, ExitCode::USAGE),
    };
    match parsed.immediate {
        Some(Immediate::Help) => return print(stdout, &help::text(&program, width(&environment))),
        Some(Immediate::Version) => return print(stdout, &format!("{}\n", help::version())),
        None => {}
    }
    if args.is_empty() {
        let usage = format!("no workflow is given\nusage: {program} {}", help::USAGE);
        return fail(&usage, ExitCode::USAGE);
    }
    let settings = match settings::resolve(parsed, &environment, &cwd, stderr_is_terminal) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, error.exit_code()),
    };
    let file = match &settings.log.file {
        Some(path) => match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Some(file),
            Err(error) => {
                let error = format!("cannot write the log file {}: {error}", path.display());
                return fail(&error, ExitCode::FAILURE);
            }
        },
        None => None,
    };
    let log = Log::new(settings.log.level, stderr, settings.log.colours, file);
    for note in &settings.notes {
        log.log(note.level, &note.text);
    }
    match settings.action {
        Action::PrintSupportedVersions => print(stdout, &format!("{}\n", SUPPORTED_VERSIONS.join("\n"))),
        _ => run_workflow(&settings, &mut *stdin, stdout, &log),
    }
}

/// The workflow itself.
fn run_workflow(
    settings: &Settings,
    _stdin: &mut (dyn Read + Send),
    _stdout: &mut dyn Write,
    log: &Log,
) -> ExitCode {
    log.log(Level::Critical, format_args!("cannot run {}: there is no engine yet", settings.workflow));
    ExitCode::FAILURE
}

/// Prints an answer. A reader who has gone away is no fault.
pub(crate) fn print(stdout: &mut dyn Write, text: &str) -> ExitCode {
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn width(environment: &Environment) -> usize {
    let columns = environment.known("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
    columns.unwrap_or(100)
}
