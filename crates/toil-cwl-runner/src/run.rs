//! One run of the program, from the command line to the exit code.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use moil_cwl::inherit::Inherited;
use moil_cwl::value::Value;
use moil_cwl::{deps, features, process_inputs};
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::remote::Remote;
use moil_salad::diagnostic::{Diagnostic, Severity, has_errors};
use moil_worker::spawner::Spawner;

use crate::argparse::{self, Immediate};
use crate::assemble::{self, Finished, Surroundings};
use crate::aws;
use crate::definition::{self, Definition};
use crate::environment::Environment;
use crate::exit_code::ExitCode;
use crate::given::Given;
use crate::help;
use crate::inputs::Fallback;
use crate::invocation::Invocation;
use crate::job_store::{Ended, JobStore, Opened};
use crate::log::{Level, Log};
use crate::log_file::LogFile;
use crate::prints::PartError;
use crate::settings::{self, Action, BatchSystem, Settings, SettingsError};
use crate::signals::Signals;
use crate::{failure_report, home, inputs, prints, report, tls};

/// The versions of CWL that can be run; one in development needs `--enable-dev`.
pub const SUPPORTED_VERSIONS: &[&str] = &["v1.0", "v1.1", "v1.2"];

/// `toil-cwl-runner`.
pub fn run(invocation: Invocation<'_>) -> ExitCode {
    let Invocation {
        program,
        executable,
        args,
        cwd,
        env,
        mut stdin,
        stdout,
        mut stderr,
        stderr_is_terminal,
        spawner,
        signals,
    } = invocation;
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
    if let Some(what) = parsed.immediate {
        let text = match what {
            Immediate::Help => help::text(&program, width(&environment)),
            Immediate::Version => format!("{}\n", help::version()),
        };
        return match try_print(stdout, &text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format_args!("cannot write to stdout: {error}"), ExitCode::FAILURE),
        };
    }
    if args.is_empty() {
        let usage = format!("no workflow is given\nusage: {program} {}", help::USAGE);
        return fail(&usage, ExitCode::USAGE);
    }
    let resolve = |stored: Vec<Given>| {
        let mut parsed = parsed.clone();
        parsed.given.extend(stored);
        settings::resolve(parsed, &environment, &cwd, stderr_is_terminal)
    };
    let settings = match resolve(Vec::new()) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, error.exit_code()),
    };
    let file = match &settings.log.file {
        Some(path) => match LogFile::open(path, settings.log.rotating) {
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
        Action::PrintSupportedVersions => {
            print(stdout, &format!("{}\n", SUPPORTED_VERSIONS.join("\n")), &log)
        }
        _ => {
            let mut streams = Streams { stdin: &mut *stdin, stdout };
            workflow(settings, &resolve, &mut streams, (spawner, executable.as_deref()), &signals, &log)
        }
    }
}

/// What a run reads and prints.
struct Streams<'a> {
    stdin: &'a mut (dyn Read + Send),
    stdout: &'a mut dyn Write,
}

/// The settings of the command line, with those that a job store keeps for what it does not say.
type Resolve<'a> = dyn Fn(Vec<Given>) -> Result<Settings, SettingsError> + 'a;

/// A run that goes on by what its job store keeps of it.
struct Resumed {
    settings: Settings,
    store: JobStore,
    definition: Definition,
}

/// Takes documents and options from the job store.
///
/// # Errors
/// What is there cannot be used, or is no more than an output object.
fn resume(
    settings: &Settings,
    resolve: &Resolve<'_>,
    why: &str,
    opened: Opened,
    log: &Log,
) -> Result<Result<Resumed, Box<Ended>>, Failure> {
    let store = match opened {
        Opened::Run(store) => *store,
        Opened::Finished(ended) => return Ok(Err(ended)),
        Opened::None => return Err(Failure::new(FailureKind::Internal, "there is no job store")),
    };
    let missing = || {
        let message =
            format!("{why}, and the job store {} does not keep the documents of its run", store.name());
        Failure::new(FailureKind::BadInput, message).with_advice("give the workflow and its inputs again")
    };
    let definition = store.definition().and_then(|definition| definition.ok_or_else(missing));
    let definition = definition.map_err(|failure| store.unless_taken(failure))?;
    log.warning(format_args!(
        "{why}: the run goes on with {} as the job store keeps it",
        definition.process()
    ));
    let resolved = resolve(definition.options());
    let resolved = resolved.map_err(|error| Failure::new(FailureKind::BadInput, error.to_string()))?;
    let inputs = settings.inputs.clone();
    let settings = Settings { workflow: definition.process().to_owned(), inputs, ..resolved };
    definition.lacks(&settings).iter().for_each(|sentence| log.warning(sentence));
    Ok(Ok(Resumed { settings, store, definition }))
}

/// Everything that needs a document.
fn workflow(
    settings: Settings,
    resolve: &Resolve<'_>,
    streams: &mut Streams<'_>,
    (spawner, executable): (Option<Spawner>, Option<&Path>),
    signals: &Signals,
    log: &Log,
) -> ExitCode {
    let buckets = match aws::buckets(&settings) {
        Ok(buckets) => buckets,
        Err(failure) => {
            tell(log, "run", &failure);
            return ExitCode::FAILURE;
        }
    };
    let certificates = tls::certificate_files(&settings.environment, &settings.cwd);
    let mut remote = buckets.for_remote(Remote::new(certificates));
    let mut resumed = None;
    if let Some(why) = definition::why_needed(&settings)
        && let Some(opened) = home::check_that_it_stays(&settings)
            .and_then(|()| JobStore::open_existing(&settings, &buckets, log))
            .transpose()
    {
        match opened.and_then(|opened| resume(&settings, resolve, &why, opened, log)) {
            Ok(Ok(found)) => resumed = Some(found),
            Ok(Err(ended)) => return said_again(&settings, &ended, streams.stdout, log),
            Err(failure) => {
                tell(log, "run", &failure);
                return ExitCode::FAILURE;
            }
        }
    }
    if resumed.is_none() && settings.workflow.is_empty() && settings.action == Action::Run {
        log.error("no workflow is given, and there is no run in the job store to go on with");
        return ExitCode::USAGE;
    }
    let (settings, store, definition) = match resumed {
        None => (settings, None, None),
        Some(Resumed { settings, store, definition }) => {
            remote = remote.with_texts(definition.texts());
            (settings, Some(store), Some(definition))
        }
    };
    let remote = Arc::new(remote);
    let settings = &assemble::follow_tool(settings, &remote);
    let loaded = assemble::load_document(settings, &remote);
    if let Action::Validate { json: true } = settings.action {
        let (diagnostics, code) = match loaded {
            Ok(loaded) => (loaded.warnings, ExitCode::SUCCESS),
            Err(diagnostics) => validated(diagnostics),
        };
        let printed = print(streams.stdout, &report::diagnostics_json(&diagnostics), log);
        return if code == ExitCode::SUCCESS { printed } else { code };
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            let (diagnostics, code) = match settings.action {
                Action::Validate { .. } => validated(diagnostics),
                _ => (diagnostics, ExitCode::FAILURE),
            };
            log.text(&report::diagnostics(&diagnostics));
            return code;
        }
    };
    if log.enabled(Level::Warning) && !loaded.warnings.is_empty() {
        log.text(&report::diagnostics(&loaded.warnings));
    }
    let loaded = match prints::part_of(loaded, &settings.part) {
        Ok(loaded) => loaded,
        Err(error) => {
            log.error(&error);
            if let PartError::Document(diagnostics) = &error {
                log.text(&report::diagnostics(diagnostics));
            }
            return ExitCode::FAILURE;
        }
    };
    match prints::answer(settings, &loaded) {
        Some(Ok(text)) => return print(streams.stdout, &text, log),
        Some(Err(error)) => {
            log.error(error);
            return ExitCode::FAILURE;
        }
        None => {}
    }
    // Before the inputs, since what stands for their secrets must be the same for every leader.
    let opened = match (store, settings.action) {
        (Some(store), _) => Ok(Opened::Run(Box::new(store))),
        (None, Action::Run) => {
            home::check_that_it_stays(settings).and_then(|()| JobStore::open(settings, &buckets, log))
        }
        (None, _) => Ok(Opened::None),
    };
    let store = match opened {
        Ok(Opened::None) => None,
        Ok(Opened::Run(store)) => Some(*store),
        Ok(Opened::Finished(ended)) => return said_again(settings, &ended, streams.stdout, log),
        Err(failure) => {
            tell(log, "run", &failure);
            return ExitCode::FAILURE;
        }
    };
    if let Some(store) = &store {
        remote.look_in(store.elsewhere());
    }
    let key = store.as_ref().map(JobStore::secret);
    let fallback = Fallback { store: store.as_ref(), definition: definition.as_ref() };
    let prepared = inputs::prepare(settings, &loaded, &remote, key, fallback, streams.stdin, log);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(refused) => {
            // Other codes say what nobody can have taken away.
            let failure = match &store {
                Some(store) if refused.code == ExitCode::FAILURE => store.unless_taken(refused.failure),
                _ => refused.failure,
            };
            tell(log, "inputs", &failure);
            return refused.code;
        }
    };
    if let Action::PrintInputDependencies { relative_to_cwd } = settings.action {
        let directory = prints::directory(settings, &prepared.location, relative_to_cwd);
        let values = match process_inputs::with_defaults(loaded.process.common(), &prepared.values) {
            Ok(values) => Value::map(values),
            Err(error) => {
                tell(log, "inputs", &error.into());
                return ExitCode::FAILURE;
            }
        };
        let text = deps::input_deps(&values, &prepared.location, &directory);
        return print(streams.stdout, &format!("{text}\n"), log);
    }
    if let Action::Validate { .. } = settings.action {
        log.info(format_args!("{} is valid CWL.", settings.workflow));
        return ExitCode::SUCCESS;
    }
    let unmet = features::check_to_run(&loaded.process, &Inherited::default());
    if !unmet.is_empty() {
        log.text(&report::diagnostics(&unmet));
        return ExitCode::FAILURE;
    }
    if let Err(refused) = inputs::check_complete(loaded.process.common(), &prepared.values) {
        tell(log, "inputs", &refused.failure);
        return refused.code;
    }
    let spawner = match spawner.map_or_else(Spawner::start, Ok) {
        Ok(spawner) => spawner,
        Err(error) => {
            log.critical(format_args!("cannot start the process that starts tools: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let surroundings = Surroundings { spawner, signals, executable, log };
    match assemble::run(settings, &loaded, prepared, &remote, store, &surroundings) {
        Ok(mut finished) => {
            let store = finished.store.take();
            let code = finish(settings, &finished, streams.stdout, log);
            // What could not be handed over is not lost: it is still recorded.
            let outputs = finished.outputs.as_ref().filter(|_| code == ExitCode::SUCCESS);
            match store.map(|store| store.close(settings, outputs, log)) {
                Some(Err(failure)) => {
                    tell(log, "run", &failure);
                    if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
                }
                _ => code,
            }
        }
        Err(failure) => {
            tell(log, "run", &failure);
            ExitCode::FAILURE
        }
    }
}

/// What `--validate` says about a document that cannot be run. To have no main process is no fault of a
/// document: its processes may be named one by one.
fn validated(mut diagnostics: Vec<Diagnostic>) -> (Vec<Diagnostic>, ExitCode) {
    for diagnostic in &mut diagnostics {
        if diagnostic.code == "no-main" {
            diagnostic.severity = Severity::Warning;
        }
    }
    let code = if has_errors(&diagnostics) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    (diagnostics, code)
}

/// Tells the output object of a run that was a success before, and removes what is left of it.
fn said_again(settings: &Settings, ended: &Ended, stdout: &mut dyn Write, log: &Log) -> ExitCode {
    let outputs = Some(ended.outputs.clone());
    let code = finish(settings, &Finished { outputs, ..Finished::default() }, stdout, log);
    if code != ExitCode::SUCCESS {
        return code;
    }
    match ended.remove() {
        Ok(()) => code,
        Err(failure) => {
            tell(log, "run", &failure);
            ExitCode::FAILURE
        }
    }
}

fn finish(settings: &Settings, finished: &Finished, stdout: &mut dyn Write, log: &Log) -> ExitCode {
    let Some(outputs) = &finished.outputs else {
        if let Some(signal) = finished.signal {
            let name = match signal {
                libc::SIGTERM => "SIGTERM",
                libc::SIGHUP => "SIGHUP",
                _ => "SIGINT",
            };
            let tools = match (settings.batch, signal) {
                (BatchSystem::Kubernetes, libc::SIGTERM) => "pods are left at work for the next leader",
                _ => "all tools were stopped",
            };
            log.error(format_args!("ended by {name}: {tools}, no outputs were written"));
        }
        return match finished.signal {
            Some(libc::SIGTERM) => ExitCode::TERMINATED,
            Some(libc::SIGHUP) => ExitCode::HUNG_UP,
            Some(_) => ExitCode::INTERRUPTED,
            None if finished.unsupported => ExitCode::UNSUPPORTED,
            None => ExitCode::FAILURE,
        };
    };
    let text = format!("{}\n", moil_cwl::print::pretty(outputs));
    match &settings.files.summary {
        Some(path) => match std::fs::write(path, &text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log.error(format_args!("cannot write {}: {error}", path.display()));
                ExitCode::FAILURE
            }
        },
        None => match try_print(stdout, &text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log.error(format_args!("cannot print the output object: {error}"));
                ExitCode::FAILURE
            }
        },
    }
}

/// Logs a failure in its few lines.
fn tell(log: &Log, what: &str, failure: &Failure) {
    for line in failure_report::lines(what, failure) {
        log.error(line);
    }
}

/// Prints an answer, or says why that cannot be done.
pub(crate) fn print(stdout: &mut dyn Write, text: &str, log: &Log) -> ExitCode {
    try_print(stdout, text).map_or_else(
        |error| {
            log.error(format_args!("cannot write to stdout: {error}"));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Prints an answer. A reader who has gone away is no fault.
///
/// # Errors
/// The system's.
pub(crate) fn try_print(stdout: &mut dyn Write, text: &str) -> std::io::Result<()> {
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn width(environment: &Environment) -> usize {
    let columns = environment.known("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
    columns.unwrap_or(100)
}
