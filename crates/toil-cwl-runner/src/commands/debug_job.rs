//! `moil debug-job`: what is recorded of a job, and the job itself in a directory where it can be run by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

use moil_cwl::expression::Evaluator;
use moil_cwl::inherit::Inherited;
use moil_cwl::location;
use moil_cwl::value::Value;
use moil_engine::evaluator::Evaluators;
use moil_engine::export::undo::{self, MovedAway};
use moil_engine::graph::Node;
use moil_engine::plan::Plan;
use moil_engine::retrace::{self, Retracing, Trail};
use moil_job::executor::{Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::spec::{Attempt, AttemptId, JobId};
use moil_jobstore::ledger::Ledger;
use moil_jobstore::names::Term;
use moil_jobstore::origins::Made;
use moil_jobstore::place::{ForWorker, Place};
use moil_jobstore::remote::Remote;
use moil_jobstore::remote::elsewhere::Elsewhere;
use moil_jobstore::who::Who;
use moil_worker::cancel::Cancel;
use moil_worker::run::lay_out;
use moil_worker::spawner::Spawner;
use serde_json::json;

use super::words::{self, Asked, Shape};
use super::{by_hand, finish, status, store};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::job_store::{self, place_failure};
use crate::run::print;
use crate::settings::{Settings, value};
use crate::{assemble, aws, containers, generated, inputs, keys, prints, report, tls};

const DEBUG: Shape = Shape {
    help: "Shows all that is recorded of a job, or brings it to a directory where it can be run by hand: copies of its
inputs, and its exact command as a script. That works for jobs that are finished, too. Nothing of the run changes.

Usage: moil debug-job STORE JOB --printJobInfo
       moil debug-job STORE JOB --retrieveTaskDirectory DIR

JOB is a job's name or position: align_3, align[2].

Options:
      --printJobInfo                Print what is recorded as JSON.
      --retrieveTaskDirectory DIR   Bring the job to this directory, which is made: `sh DIR/run.sh` runs it.
  -h, --help                        Print this help and exit.

Options of the run that its job store does not keep, such as --setEnv, --podman or --disable-pull, may be given again.
",
    words: &["the job store", "the job"],
    flags: &[&["--printJobInfo"]],
    values: &[&["--retrieveTaskDirectory"]],
    lists: &[],
};

/// `moil debug-job`.
pub(super) fn debug(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &DEBUG) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let directory = asked.value("--retrieveTaskDirectory");
    let directory = directory.map(|directory| value::without_dots(&asked.settings.cwd.join(directory)));
    let told = match (&directory, asked.has("--printJobInfo")) {
        (None, false) => Err(Failure::new(FailureKind::BadInput, "it is not said what to do with the job")
            .with_advice("give --printJobInfo, or --retrieveTaskDirectory DIR")),
        (None, true) => info(&asked),
        (Some(directory), info_too) => {
            let before = if info_too { info(&asked) } else { Ok(String::new()) };
            before.and_then(|info| {
                retrieve(&asked, directory, invocation.spawner.take())?;
                asked.log.info(format_args!("the job can be run by hand: sh {}/run.sh", directory.display()));
                Ok(info)
            })
        }
    };
    match told {
        Ok(text) => print(invocation.stdout, &text, &asked.log),
        Err(failure) => finish(&asked.log, "debug-job", Err(failure)),
    }
}

/// All that is recorded of the job.
fn info(asked: &Asked) -> Result<String, Failure> {
    let seen = store::look(&asked.settings)?;
    let (id, job) = seen.job(word(asked))?;
    let mut info = status::job_json(&seen, id, job);
    let attempts = job.attempts.iter().map(|attempt| {
        json!({
            "attempt": attempt.number,
            "recorded": attempt.recorded,
            "submitted": attempt.submitted,
            "key": attempt.key.as_ref().and_then(|key| key.as_ref().ok()),
            "no_key": attempt.key.as_ref().and_then(|key| Some(key.as_ref().err()?.to_string())),
            "again": attempt.again,
        })
    });
    info["attempts"] = attempts.collect();
    info["why_it_ran"] = json!(seen.recorded.why(id, job));
    Ok(format!("{info:#}\n"))
}

fn word(asked: &Asked) -> &str {
    asked.words.first().map_or("", String::as_str)
}

/// Brings the job to a directory.
fn retrieve(asked: &Asked, directory: &Path, spawner: Option<Spawner>) -> Result<(), Failure> {
    let system = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(FailureKind::System, what.to_owned()).with_cause(error)
    };
    let id = {
        let seen = store::look(&asked.settings)?;
        seen.job(word(asked))?.0.clone()
    };
    make_empty(directory)?;
    let spawner = spawner
        .map_or_else(Spawner::start, Ok)
        .map_err(|error| system("cannot start the process that starts tools", &error))?;
    let work = directory.join(".work");
    let (attempt, settings, remote) = find(asked, &id)?;
    let mut config = assemble::worker_config(&settings, &work, &remote, spawner.clone())?;
    config.containers = containers::finder(&settings, &asked.log);
    let log = asked.log.clone();
    let reporter: Reporter = Arc::new(move |report| {
        if let Report::Note(_, text) = report {
            log.info(text);
        }
    });
    // Expressions and values nest deeply.
    let laid_out = std::thread::scope(|scope| {
        let lay_out = || {
            let evaluator = Evaluator::new(config.limits);
            lay_out(&attempt, &config, &evaluator, directory, &Cancel::new(), &reporter)
        };
        let thread = std::thread::Builder::new().stack_size(config.stack_size).spawn_scoped(scope, lay_out);
        let thread = thread.map_err(|error| system("cannot start threads", &error))?;
        let done = thread.join().map_err(|_| Failure::new(FailureKind::Internal, "a defect of moil"))?;
        done.map_err(|failure| *failure)
    });
    spawner.shut_down();
    // What was fetched is copied.
    moil_worker::scratch::remove(&work);
    by_hand::write(directory, &attempt, &laid_out?)
        .map_err(|error| system(&format!("cannot write to {}", directory.display()), &error))
}

/// Makes a directory that has nothing in it.
fn make_empty(directory: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot make the directory {}", directory.display());
        Failure::new(FailureKind::System, message).with_cause(error)
    };
    fs::create_dir_all(directory).map_err(failed)?;
    if fs::read_dir(directory).map_err(failed)?.next().is_some() {
        let message = format!("the directory {} is not empty", directory.display());
        return Err(Failure::new(FailureKind::BadInput, message).with_advice("choose a new one"));
    }
    Ok(())
}

/// What is at the place of the store.
struct Kept {
    settings: Settings,
    secret: [u8; 32],
    trail: Trail,
    definition: crate::definition::Definition,
    directory: Option<PathBuf>,
    files_in_bucket: Option<String>,
    elsewhere: Elsewhere,
    /// Outputs of jobs that were moved, and are not what they were.
    lost: Vec<PathBuf>,
}

/// Reads what the last leader that had the job knew.
fn kept(asked: &Asked, place: &Place, id: &JobId) -> Result<Kept, Failure> {
    let records = place.records().map_err(|error| place_failure(&error))?;
    let (info, mut replay) = Ledger::read(&*records, &Who::here()).map_err(|error| {
        let message = format!("cannot read the job store {}", store::name(&asked.settings));
        Failure::new(FailureKind::System, message).with_cause(error)
    })?;
    // Of exports the last one counts, whoever did it.
    let moves = replay.entries.iter().rev().find_map(|entry| match &entry.record {
        Record::ExportPlanned { moves, .. } => Some(undo::moved_away(moves)),
        _ => None,
    });
    let MovedAway { there, lost } = moves.unwrap_or_default();
    let imported = replay.entries.iter().filter_map(|entry| match &entry.record {
        Record::InputsImported { files } => Some(files),
        _ => None,
    });
    let elsewhere = Elsewhere::imported(imported.flatten()).with_moved(there);
    let end = retrace::last_had(replay.entries.iter().map(|entry| &entry.record), id);
    replay.entries.truncate(end.unwrap_or(usize::MAX));
    let definition = job_store::definition_of(&*records, &replay)?.ok_or_else(|| {
        Failure::new(FailureKind::BadInput, "the job store does not keep the definition of its run")
            .with_advice("an older moil made it; --printJobInfo shows what is recorded of the job")
    })?;
    let settings = asked.settings_with(definition.options())?;
    definition.lacks(&settings).iter().for_each(|sentence| asked.log.warning(sentence));
    let term = replay.last_leader().map(|(term, _)| term.clone()).unwrap_or_else(|| Term::new(0, ""));
    let ForWorker { directory, files_in_bucket, .. } =
        place.for_worker(None, &term).map_err(|error| place_failure(&error))?;
    Ok(Kept {
        settings: Settings { workflow: definition.process().to_owned(), ..settings },
        secret: job_store::secret_of(&info),
        trail: Trail::of(
            replay.entries.iter().map(|entry| (Arc::from(entry.term.to_string()), &entry.record)),
        ),
        definition,
        directory,
        files_in_bucket,
        elsewhere,
        lost,
    })
}

/// Whether nothing of a job's inputs is among the outputs that were moved and are lost.
fn check_whole(inputs: &Value, lost: &[PathBuf]) -> Result<(), Failure> {
    let mut found = None;
    inputs.visit_files(&mut |item| {
        let location = match item {
            Value::File(file) => &file.location,
            Value::Directory(directory) => &directory.location,
            _ => return,
        };
        let path = location.as_deref().and_then(location::file_path);
        found =
            found.take().or_else(|| path.and_then(|path| lost.iter().find(|lost| lost.starts_with(&path))));
    });
    let Some(lost) = found else { return Ok(()) };
    let message =
        format!("an input was moved by the export, and is no longer what it was: {}", lost.display());
    Err(Failure::new(FailureKind::BadInput, message).with_advice("a run with --restart makes it anew"))
}

/// Finds the last attempt at the job.
fn find(asked: &Asked, id: &JobId) -> Result<(Attempt, Settings, Arc<Remote>), Failure> {
    let buckets = aws::buckets(&asked.settings)?;
    let place =
        job_store::place(&asked.settings, &buckets)?.ok_or_else(|| store::missing(&asked.settings))?;
    let Kept { settings, secret, trail, definition, directory, files_in_bucket, elsewhere, lost } =
        kept(asked, &place, id)?;
    let certificates = tls::certificate_files(&settings.environment, &settings.cwd);
    let remote = buckets.for_remote(Remote::new(certificates)).with_texts(definition.texts());
    remote.look_in(Arc::new(elsewhere));
    let remote = Arc::new(remote);
    let faulty = |faults: &str| {
        Failure::new(FailureKind::BadInput, "the documents that the job store keeps cannot be used")
            .with_cause(faults.trim_end())
    };
    let loaded = assemble::load_document(&settings, &remote)
        .map_err(|diagnostics| faulty(&report::diagnostics(&diagnostics)))?;
    let loaded = prints::part_of(loaded, &settings.part).map_err(|error| faulty(&error.to_string()))?;
    let prepared = inputs::as_stored(&settings, &loaded, &remote, secret, &definition.inputs, &asked.log)?;
    let (sender, messages) = channel();
    let load = generated::loader(&settings, &remote, sender.clone());
    let mut evaluation = assemble::evaluator_settings(&settings, &loaded, &remote, &prepared.secrets, load);
    let made = Made::new(directory.into_iter().collect(), files_in_bucket.into_iter().collect());
    let keys = Arc::new(keys::looking(&settings, &secret, made, &remote));
    evaluation.keys = Some(Arc::clone(&keys));
    let evaluators = Evaluators::start(evaluation, &sender)
        .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))?;
    let inherited = Inherited::root(prepared.requirements);
    let main = Arc::new(Node::main(&loaded.process, &inherited, prepared.overrides));
    let plan = Plan::new(main, prepared.values);
    let last = trail.last_attempt(id).cloned();
    let helpers = Retracing {
        evaluators: &evaluators,
        messages: &messages,
        keys,
        secrets: Arc::clone(&prepared.secrets),
    };
    let job = retrace::job(plan, trail, id, &helpers)?;
    check_whole(&job.inputs, &lost)?;
    let (attempt, granted) =
        last.unwrap_or_else(|| (AttemptId { job: id.clone(), number: 0 }, job.requested));
    let secrets = prepared.secrets.mentioned(&job.inputs);
    Ok((Attempt { id: attempt, job: Arc::new(job), granted, secrets }, settings, remote))
}
