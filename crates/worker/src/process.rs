//! The tool's process: its command line, environment and streams, and waiting for its end.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use moil_cwl::environment;
use moil_cwl::expression::Context;
use moil_cwl::inherit::Effective;
use moil_cwl::number::Number;
use moil_cwl::staging::{StagingEntry, StagingSource};
use moil_cwl::streams::Streams;
use moil_cwl::text::NumberOrText;
use moil_cwl::value::Value;
use moil_job::failure::{Failure, FailureKind};

use crate::attempt_dir::AttemptDir;
use crate::cancel::{Cancel, Deaf, Ending};
use crate::config::WorkerConfig;
use crate::files;
use crate::live::Follower;
use crate::place::Place;
use crate::spawner::{self, Command, Exit, Running, Stage};
use crate::system::{self, Result};

/// How often a log is looked at for live output.
const LIVE_INTERVAL: Duration = Duration::from_millis(100);

/// How the tool's process ended.
pub(crate) struct End {
    /// Its status and what it took.
    pub(crate) exit: Exit,
    /// Whether it was ended because its time was over.
    pub(crate) timed_out: bool,
}

/// The tool's environment: what the host hands over, then `HOME` and `TMPDIR`, then what the document demands
/// (CWL v1.2 CommandLineTool §"Runtime environment", §"EnvVarRequirement").
///
/// # Errors
/// What expressions give.
pub(crate) fn environment(
    config: &WorkerConfig,
    place: &Place,
    effective: &Effective,
    context: &Context<'_>,
    mpi: bool,
) -> Result<Vec<(OsString, OsString)>> {
    let required = environment::variables(effective, context).map_err(boxed)?;
    let mpi = if mpi { [config.mpi.pass.as_slice(), config.mpi.set.as_slice()] } else { [[].as_slice(); 2] };
    let mut variables: Vec<(OsString, OsString)> =
        Vec::with_capacity(config.host_environment.len() + 2 + required.len());
    let mut set =
        |name: OsString, value: OsString| match variables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => variables.push((name, value)),
        };
    // A container has programs of its own.
    let host = config.host_environment.iter().filter(|(name, _)| !place.is_container() || name != "PATH");
    for (name, value) in host {
        set(name.clone(), value.clone());
    }
    set("HOME".into(), place.out.clone().into());
    set("TMPDIR".into(), place.tmp.clone().into());
    for (name, value) in required {
        set((*name).into(), (*value).into());
    }
    for (name, value) in mpi.into_iter().flatten() {
        set(name.clone(), value.clone());
    }
    Ok(variables)
}

/// What is written before the command line of an MPI program; nothing where MPIRequirement asks for no processes.
///
/// # Errors
/// What the expression gives; a number of processes that is none.
pub(crate) fn mpi_prefix(
    config: &WorkerConfig,
    effective: &Effective,
    context: &Context<'_>,
) -> Result<Vec<String>> {
    let value = match &effective.mpi {
        None => return Ok(Vec::new()),
        Some(NumberOrText::Number(number)) => Value::Number(number.clone()),
        Some(NumberOrText::Text(text)) => context.evaluate(text, &Value::Null).map_err(boxed)?,
    };
    let processes = match &value {
        Value::Null => i64::from(config.mpi.default_nproc),
        Value::Number(Number::Int(processes)) if *processes >= 0 => *processes,
        _ => {
            let message = "`processes` of MPIRequirement must be a whole number that is not negative";
            return Err(Box::new(Failure::new(FailureKind::BadInput, message)));
        }
    };
    if processes == 0 {
        return Ok(Vec::new());
    }
    let mut prefix = vec![config.mpi.runner.clone(), config.mpi.nproc_flag.clone(), processes.to_string()];
    prefix.extend(config.mpi.extra_flags.iter().cloned());
    Ok(prefix)
}

/// Where a tool's standard streams go.
pub(crate) struct StreamPaths {
    /// What is read.
    pub(crate) stdin: Option<PathBuf>,
    /// The output file, or the log.
    pub(crate) stdout: PathBuf,
    /// The output file, or the log.
    pub(crate) stderr: PathBuf,
}

/// The paths of a tool's streams, the directories above output files made.
///
/// # Errors
/// Where a directory cannot be made.
pub(crate) fn stream_paths(
    streams: &Streams,
    dirs: &AttemptDir,
    place: &Place,
    staged: &[StagingEntry],
) -> Result<StreamPaths> {
    let input = |path: &String| {
        let path = if path.starts_with('/') { path.clone() } else { format!("{}/{path}", place.out) };
        // On this machine a place for a mount is an empty file.
        let source = staged.iter().find(|entry| entry.target == path && !entry.writable);
        match source.map(|entry| &entry.source) {
            Some(StagingSource::Location { location, .. }) if place.is_container() => {
                files::path_of(location).ok()
            }
            _ => None,
        }
        .unwrap_or_else(|| place.on_host(&path))
    };
    let output = |name: &Option<String>, log: PathBuf| -> Result<PathBuf> {
        let Some(name) = name else { return Ok(log) };
        let path = dirs.out.join(name);
        if name.contains('/')
            && let Some(parent) = path.parent()
        {
            std::fs::create_dir_all(parent)
                .map_err(|error| system::failure("make the directory", parent, &error))?;
        }
        // Nothing may be written through a link to an input that was staged under this name.
        if std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
            std::fs::remove_file(&path).map_err(|error| system::failure("replace", &path, &error))?;
        }
        Ok(path)
    };
    Ok(StreamPaths {
        stdin: streams.stdin.as_ref().map(input),
        stdout: output(&streams.stdout, dirs.stdout_log())?,
        stderr: output(&streams.stderr, dirs.stderr_log())?,
    })
}

/// What is looked at while a command runs.
pub(crate) struct Beside<'a> {
    /// Logs whose lines are told as they come.
    pub(crate) logs: &'a [&'a Path],
    /// Whether what runs does not heed SIGTERM.
    pub(crate) deaf: Option<Deaf>,
    /// What is called about once in this time.
    pub(crate) look: Option<(Duration, &'a dyn Fn())>,
}

/// Runs a command to its end.
///
/// # Errors
/// [`FailureKind::CannotStart`] and its kin; [`FailureKind::Cancelled`].
pub(crate) fn run(
    config: &WorkerConfig,
    command: &Command,
    limit: Option<Duration>,
    cancel: &Cancel,
    beside: Beside<'_>,
    tell: &mut dyn FnMut(String),
) -> Result<End> {
    cancel.check()?;
    let running = config.spawner.spawn(command).map_err(|error| cannot_start(command, error))?;
    let ending = Ending { killer: running.killer(), deaf: beside.deaf.clone() };
    cancel.attach(ending.clone());
    let end = wait(config, &running, &ending, limit, &beside, tell);
    cancel.detach();
    cancel.check()?;
    let (exit, timed_out) = end;
    let exit = exit.map_err(|error| cannot_start(command, error))?;
    Ok(End { exit, timed_out })
}

fn wait(
    config: &WorkerConfig,
    running: &Running,
    ending: &Ending,
    limit: Option<Duration>,
    beside: &Beside<'_>,
    tell: &mut dyn FnMut(String),
) -> (std::result::Result<Exit, spawner::Error>, bool) {
    let start = Instant::now();
    let mut looked = start;
    let mut followers: Vec<Follower> =
        beside.logs.iter().filter(|_| config.live_output).map(|log| Follower::new(log)).collect();
    let mut timed_out = false;
    let end = loop {
        let left = limit.filter(|_| !timed_out).map(|limit| limit.saturating_sub(start.elapsed()));
        let live = (!followers.is_empty()).then_some(LIVE_INTERVAL);
        let pause = [left, live, beside.look.map(|(every, _)| every)].into_iter().flatten().min();
        match running.wait(pause) {
            Some(end) => break end,
            None => followers.iter_mut().for_each(|follower| follower.tell_new(tell)),
        }
        if !timed_out && limit.is_some_and(|limit| start.elapsed() >= limit) {
            timed_out = true;
            ending.end(config.grace);
        }
        if let Some((every, look)) = beside.look
            && looked.elapsed() >= every
        {
            look();
            looked = Instant::now();
        }
    };
    followers.into_iter().for_each(|follower| follower.tell_rest(tell));
    (end, timed_out)
}

/// Why a command did not run, for people.
fn cannot_start(command: &Command, error: spawner::Error) -> Box<Failure> {
    let program = command.argv.first().map(|word| word.display().to_string()).unwrap_or_default();
    Box::new(match error {
        spawner::Error::Lost => {
            Failure::new(FailureKind::Lost, "the process that watches over the tool was killed")
                .with_advice("the machine may be out of memory: run fewer jobs at a time")
        }
        spawner::Error::Start { stage: Stage::Program, error } => {
            let advice = program_advice(&program, command, &error);
            Failure::new(FailureKind::CannotStart, format!("cannot start the program {program}"))
                .with_cause(error)
                .with_advice(advice)
        }
        spawner::Error::Start { stage: Stage::Stdin, error } => {
            let path = command.stdin.clone().unwrap_or_default();
            Failure::new(FailureKind::BadInput, format!("cannot open {} as standard input", path.display()))
                .with_cause(error)
        }
        spawner::Error::Start { stage, error } => {
            let kind = system::kind(&error);
            let failure = Failure::new(kind, stage.to_string()).with_cause(error);
            if stage == Stage::Fork {
                failure.with_advice(
                    "the limit of processes may be reached (see ulimit -u): run fewer jobs at a time",
                )
            } else {
                failure
            }
        }
    })
}

fn program_advice(program: &str, command: &Command, error: &io::Error) -> String {
    let is_path = program.contains('/');
    let path = command.cwd.join(program);
    match error.raw_os_error() {
        Some(libc::ENOENT) if is_path && path.exists() => {
            "the file is there, but the interpreter that its first line names is not: install it, or correct the line"
                .to_owned()
        }
        Some(libc::ENOENT) if is_path => "check the path in baseCommand".to_owned(),
        Some(libc::ENOENT) => {
            "install it, put its directory into PATH, or let the tool run in a container (DockerRequirement)".to_owned()
        }
        Some(libc::EACCES) => format!("make it executable: chmod +x {program}"),
        Some(libc::ENOEXEC) => {
            "it is no program for this machine, or a script whose first line is not `#!` and its interpreter".to_owned()
        }
        Some(libc::E2BIG) => {
            "the command line is longer than the system allows: hand the values over in a file (InitialWorkDirRequirement)"
                .to_owned()
        }
        _ => "look at the program and its permissions".to_owned(),
    }
}

/// An error of the pure functions as a failure.
pub(crate) fn boxed(error: moil_cwl::error::Error) -> Box<Failure> {
    Box::new(Failure::from(error))
}
