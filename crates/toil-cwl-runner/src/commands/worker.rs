//! `moil worker`: one attempt of a run that is led elsewhere.

use std::io::{Read as _, Write};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use moil_cwl::expression::Evaluator;
use moil_job::executor::{Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::Outcome;
use moil_job::secret::Secrets;
use moil_job::spec::Attempt;
use moil_job::wire;
use moil_jobstore::exchange;
use moil_jobstore::heartbeat;
use moil_jobstore::ledger::Ledger;
use moil_jobstore::names::{self, Term};
use moil_jobstore::nonce::nonce;
use moil_jobstore::place::ForWorker;
use moil_jobstore::records::{Records, RecordsError};
use moil_jobstore::remote::Remote;
use moil_jobstore::results::Results;
use moil_worker::cancel::Cancel;
use moil_worker::config::WorkerConfig;
use moil_worker::run;
use moil_worker::spare::Spare;
use moil_worker::spawner::Spawner;

use super::memory_guard::MemoryGuard;
use super::words::{self, Asked, Shape};
use super::{finish, store};
use crate::assemble;
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::job_store::{self, place_failure};
use crate::log::Log;
use crate::signals::Signals;
use crate::work_directory::WorkDirectory;
use crate::worker_form::WorkerForm;
use crate::{aws, mpi_config, tls};

const WORKER: Shape = Shape {
    help: "Runs one attempt at a job, and leaves what came of it in the job store. The leader starts it; by hand it
is of use to see what a worker sees. The secrets of the job are read from standard input, as JSON.

Usage: moil worker --store STORE --attempt WORD

Options:
      --attempt WORD  The attempt, as the leader calls it.
      --late TIME     After this time (seconds since 1970) begin only if a leader of the run gives signs of life.
      --secrets FILE  Read the secrets of the job from a file.
  -h, --help          Print this help and exit.
",
    words: &["the job store"],
    flags: &[],
    values: &[&["--attempt"], &["--late"], &["--secrets"]],
    lists: &[],
};

/// `moil worker`. Its exit code is 0 if there is a result, whatever that says: of a tool's failure the leader learns from
/// the job store.
pub(super) fn run(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &WORKER) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let mut secrets = String::new();
    let read = match asked.value("--secrets") {
        Some(path) => std::fs::read_to_string(asked.settings.cwd.join(path)).map(|text| secrets = text),
        None => invocation.stdin.read_to_string(&mut secrets).map(drop),
    };
    let log = asked.log.clone();
    let signals = std::mem::take(&mut invocation.signals);
    let spawner = invocation.spawner.take();
    let done = match read {
        Err(error) => {
            Err(Failure::new(FailureKind::System, "the secrets of the job cannot be read").with_cause(error))
        }
        Ok(()) => carry_out(asked, &secrets, spawner, &signals, invocation.stdout),
    };
    finish(&log, "worker", done)
}

fn carry_out(
    asked: Asked,
    secrets: &str,
    spawner: Option<Spawner>,
    signals: &Signals,
    stdout: &mut dyn Write,
) -> Result<(), Failure> {
    let word = asked.value("--attempt").ok_or_else(|| {
        Failure::new(FailureKind::BadInput, "--attempt is missing")
            .with_advice("--help shows how it is written")
    })?;
    let unknown = || {
        let message = format!("{word} is not the word of an attempt");
        Failure::new(FailureKind::BadInput, message).with_advice("the leader's log has it: TERM/JOB.NUMBER")
    };
    let term: Term = word.split_once('/').and_then(|(term, _)| term.parse().ok()).ok_or_else(unknown)?;
    let late = asked.value("--late").map(str::parse::<u64>).transpose();
    let late = late.map_err(|error| {
        Failure::new(FailureKind::BadInput, "--late is not a number of seconds").with_cause(error)
    })?;
    let secrets = match secrets.trim() {
        "" => Secrets::default(),
        text => wire::read_secrets(text)
            .map_err(|error| Failure::new(FailureKind::BadInput, error.to_string()))?,
    };
    let mut settings = asked.settings.clone();
    let buckets = aws::buckets(&settings)?;
    let place = job_store::place(&settings, &buckets)?.ok_or_else(|| store::missing(&settings))?;
    let ForWorker { records, contents, directory, .. } =
        place.for_worker(&term).map_err(|error| place_failure(&error))?;
    // There it may work, if no other place was asked for.
    let place = directory.map(|directory| directory.join("work").join(term.to_string()));
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(FailureKind::System, format!("the attempt {word} cannot be had")).with_cause(error)
    };
    let form = records.get(&names::settings(&term)).map_err(|error| failed(&error))?;
    let form = form.ok_or_else(|| failed(&"its leader has left no settings in the job store"))?;
    let mpi = WorkerForm::read(&form)?.apply(&mut settings);
    let attempt = exchange::find(&*records, word, secrets).map_err(|error| failed(&error))?;
    // What a worker says belongs to no other: the same worker may try to publish twice.
    let nonce = nonce();
    let results = Results::new(Arc::clone(&records));
    if results.of(word, &attempt.id).map_err(|error| failed(&error))?.is_some() {
        return Ok(());
    }
    if let Some(late) = late
        && now() > late
    {
        look_for_leader(&*records, word)?;
    }
    let certificates = tls::certificate_files(&settings.environment, &settings.cwd);
    let remote = Arc::new(buckets.for_remote(Remote::new(certificates)));
    let spawner = spawner.map_or_else(Spawner::start, Ok).map_err(|error| {
        Failure::new(FailureKind::System, "cannot start the process that starts tools").with_cause(error)
    })?;
    let work = WorkDirectory::make(&settings, place)?;
    let mut config = assemble::worker_config(&settings, &work.path, &remote, spawner.clone())?;
    if let Some((name, text)) = mpi {
        config.mpi = mpi_config::parse(&name, text, &settings.environment)?;
    }
    config.containers = crate::containers::finder(&settings, &asked.log);
    config.contents = Some(contents);
    let cancel = Cancel::new();
    let _guard = {
        let (cancel, grace) = (cancel.clone(), config.grace);
        signals.handle(move |_| cancel.cancel(grace))
    };
    let memory = MemoryGuard::start(cancel.clone(), asked.log.clone());
    let outcome = run_attempt(attempt.clone(), config, cancel.clone(), stdout, &asked.log)?;
    let outcome = match (outcome, memory.failure()) {
        (Outcome::Failed(_), Some(failure)) => Outcome::Failed(Box::new(failure)),
        (outcome, _) => outcome,
    };
    let outcome = match outcome {
        // Who it was that ended the worker, the leader knows.
        Outcome::Failed(failure) if cancel.is_cancelled() && failure.kind != FailureKind::OutOfMemory => {
            Outcome::Failed(Box::new(Failure::new(
                FailureKind::Lost,
                "the worker was asked to end before its tool was through",
            )))
        }
        outcome => outcome,
    };
    let all_is_well = matches!(outcome, Outcome::Done(_));
    let published = results.publish(word, &attempt.id, &nonce, &outcome);
    spawner.shut_down();
    work.clean(&settings, all_is_well);
    published.map(drop).map_err(|error| {
        Failure::new(FailureKind::System, format!("the result of {word} cannot be stored")).with_cause(error)
    })
}

/// How old the last sign of life of a leader may be, in seconds: several are missing then, and clocks may differ.
const SILENCE: u64 = 300;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A worker that begins late may be one that nobody waits for any more.
fn look_for_leader(records: &dyn Records, word: &str) -> Result<(), Failure> {
    let unreadable = |error: RecordsError| {
        Failure::new(FailureKind::System, "the signs of life of the leader cannot be read").with_cause(error)
    };
    // The leader that asked for it may have been followed by another one.
    let last = Ledger::last_leader(records).map_err(unreadable)?;
    let beat = match &last {
        Some((term, _)) => heartbeat::last_beat(records, term).map_err(unreadable)?,
        None => None,
    };
    if beat.is_some_and(|beat| now().saturating_sub(beat.at) <= SILENCE) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Lost,
        format!("{word} does not begin: no leader of its run gives signs of life"),
    )
    .with_advice("go on with the run by --restart; --orphanTimeout says when workers look for a leader"))
}

/// Runs the attempt in a thread with a large stack, and tells what it reports: a tool's lines to standard output, where
/// the leader finds them; all else to the log.
fn run_attempt(
    attempt: Attempt,
    config: WorkerConfig,
    cancel: Cancel,
    stdout: &mut dyn Write,
    log: &Log,
) -> Result<Outcome, Failure> {
    let (sender, reports) = channel();
    let sender = Mutex::new(sender);
    let reporter: Reporter = Arc::new(move |report| {
        // Nobody listens any more only when the program ends.
        _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(report);
    });
    let no_thread = |error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error);
    let thread = std::thread::Builder::new()
        .name("worker".to_owned())
        .stack_size(config.stack_size)
        .spawn(move || {
            let evaluator = Evaluator::new(config.limits);
            let stop = cancel.clone();
            evaluator.stop_when(Some(Box::new(move || stop.is_cancelled())));
            run::run(&attempt, &config, &evaluator, &Spare::default(), &cancel, &reporter)
        })
        .map_err(no_thread)?;
    for report in reports {
        match report {
            Report::Output(_, line) => _ = writeln!(stdout, "{line}"),
            Report::Note(_, text) => log.info(text),
            Report::ToolEnded(_) | Report::Finished(..) => {}
        }
    }
    thread.join().map_err(|_| {
        Failure::new(FailureKind::Internal, "moil failed while it ran the job")
            .with_advice("this is a defect of moil: please report it with the document and the inputs")
    })
}
