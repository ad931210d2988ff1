//! `moil worker`: attempts of a run that is led elsewhere: one, or those that its leader asks for.

mod reach;
mod serve;
mod serving;
mod speaker;
mod station;

use std::io::{Read as _, Write};
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moil_cwl::expression::Evaluator;
use moil_job::executor::{Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::Outcome;
use moil_job::secret::Secrets;
use moil_job::spec::Attempt;
use moil_job::wire;
use moil_jobstore::exchange::{self, HandedOver};
use moil_jobstore::heartbeat;
use moil_jobstore::ledger::Ledger;
use moil_jobstore::names::Term;
use moil_jobstore::nonce::nonce;
use moil_jobstore::records::{Records, RecordsError};
use moil_worker::cancel::Cancel;
use moil_worker::config::WorkerConfig;
use moil_worker::run;
use moil_worker::spare::Spare;
use moil_worker::spawner::Spawner;

use self::station::Station;
use super::memory_guard::MemoryGuard;
use super::words::{self, Asked, Shape};
use super::{code, tell};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::log::Log;
use crate::signals::Signals;

const WORKER: Shape = Shape {
    help: "Runs one attempt at a job, and leaves what came of it in the job store. The leader starts it; by hand it
is of use to see what a worker sees. The secrets of the job are read from standard input, as JSON.

With --serve it runs the attempts that a leader asks for on standard input, and tells what comes of them on standard
output, until it is told to end or no leader has asked for anything for some minutes. The leader says where the job store is.

Usage: moil worker --store STORE --attempt WORD
       moil worker --serve

Options:
      --attempt WORD  The attempt, as the leader calls it.
      --run NUMBER    The run that is there, as the leader knows it: it is not looked for.
      --late TIME     After this time (seconds since 1970) begin only if a leader of the run gives signs of life.
      --mark MARK     With --rests: whom to tell that the worker waits.
      --rests SECONDS With --serve: how long to wait for a leader (a worker that goes on after a run sets this itself).
      --room BYTES    With --serve: how much of what attempts fetched and left is kept for later ones.
      --secrets FILE  Read the secrets of the job from a file.
      --serve         Run more than one attempt.
  -h, --help          Print this help and exit.
",
    words: &["the job store"],
    flags: &[],
    values: &[&["--attempt"], &["--run"], &["--late"], &["--secrets"]],
    lists: &[],
};

const SERVING: Shape = Shape {
    help: WORKER.help,
    words: &[],
    flags: &[&[SERVE]],
    values: &[&["--mark"], &[RESTS], &["--room"]],
    lists: &[],
};

const SERVE: &str = "--serve";

const RESTS: &str = "--rests";

/// Why a worker ended without a result, and its exit code.
struct Ended {
    failure: Failure,
    code: ExitCode,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self { code: code(&failure), failure }
    }
}

/// The end of a worker that cannot have from the job store what it needs to begin.
fn no_store(failure: Failure) -> Ended {
    Ended { failure, code: ExitCode::NO_STORE }
}

/// `moil worker`. Its exit code is 0 if there is a result, whatever that says: of a tool's failure the leader learns from
/// the job store.
pub(super) fn run(mut invocation: Invocation<'_>) -> ExitCode {
    let serves = invocation.args.iter().any(|word| word == SERVE);
    let itself = invocation.executable.as_ref().filter(|_| serves).map(|executable| {
        let mut itself = Command::new(executable);
        // What it said of its last wait, it says anew.
        itself.arg("worker").args(invocation.args.iter().take_while(|word| *word != RESTS));
        itself
    });
    let asked = match words::read(&mut invocation, if serves { &SERVING } else { &WORKER }) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    if serves {
        let log = asked.log.clone();
        let signals = std::mem::take(&mut invocation.signals);
        let spawner = invocation.spawner.take();
        let done = serve::serve(&asked, itself, spawner, &signals);
        return end(&log, done);
    }
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
            let failure = Failure::new(FailureKind::System, "the secrets of the job cannot be read");
            Err(failure.with_cause(error).into())
        }
        Ok(()) => carry_out(asked, &secrets, spawner, &signals, invocation.stdout),
    };
    end(&log, done)
}

fn end(log: &Log, done: Result<(), Ended>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended { failure, code }) => {
            tell(log, "worker", &failure);
            code
        }
    }
}

fn carry_out(
    asked: Asked,
    secrets: &str,
    spawner: Option<Spawner>,
    signals: &Signals,
    stdout: &mut dyn Write,
) -> Result<(), Ended> {
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
    let failed = |cause: String| {
        Failure::new(FailureKind::System, format!("the attempt {word} cannot be had")).with_cause(cause)
    };
    let station = Station::find(asked.settings.clone(), asked.value("--run"), &term).map_err(no_store)?;
    let found = exchange::find(&*station.records, &term, word, secrets);
    let HandedOver { attempt, settings: form } =
        found.map_err(|error| no_store(failed(error.to_string())))?;
    let station = station.told(form, &failed).map_err(no_store)?;
    // What a worker says belongs to no other: the same worker may try to publish twice.
    let nonce = nonce();
    let results = station.results.clone();
    // In a bucket the look costs each job a request, and a second worker of an attempt spoils nothing: its result is not the
    // first, and it changes no files in place.
    if station.is_in_directory()
        && results.of(word, &attempt.id).map_err(|error| failed(error.to_string()))?.is_some()
    {
        return Ok(());
    }
    if let Some(late) = late
        && now() > late
    {
        look_for_leader(&*station.records, word)?;
    }
    let (bench, settings) = station.bench(spawner, 0, &asked.log)?;
    let config = bench.config.clone();
    let cancel = Cancel::new();
    let _guard = {
        let (cancel, grace) = (cancel.clone(), config.grace);
        signals.handle(move |_| cancel.cancel(grace))
    };
    let memory = {
        let cancel = cancel.clone();
        // It has had three minutes.
        MemoryGuard::start(move || cancel.cancel(Duration::ZERO), asked.log.clone())
    };
    let outcome = run_attempt(attempt.clone(), config, cancel.clone(), stdout, &asked.log)?;
    let outcome = as_worker(outcome, cancel.is_cancelled(), &memory);
    let all_is_well = matches!(outcome, Outcome::Done(_));
    let published = results.publish(word, &attempt.id, &nonce, &outcome);
    bench.close(&settings, all_is_well);
    published.map(drop).map_err(|error| {
        let message = format!("the result of {word} cannot be stored");
        Failure::new(FailureKind::System, message).with_cause(error).into()
    })
}

/// An outcome as it is left for the leader: who it was that ended the worker, the leader knows.
fn as_worker(outcome: Outcome, is_cancelled: bool, memory: &MemoryGuard) -> Outcome {
    match (outcome, memory.failure()) {
        (Outcome::Failed(told), Some(failure)) => {
            Outcome::Failed(Box::new(Failure { logs: told.logs, ..failure }))
        }
        (Outcome::Failed(failure), None) if is_cancelled && failure.kind != FailureKind::OutOfMemory => {
            Outcome::Failed(Box::new(Failure::new(
                FailureKind::Lost,
                "the worker was asked to end before its tool was through",
            )))
        }
        (outcome, _) => outcome,
    }
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
            Report::Placed(..) | Report::ToolEnded(_) | Report::Finished(..) => {}
        }
    }
    thread.join().map_err(|_| {
        Failure::new(FailureKind::Internal, "moil failed while it ran the job")
            .with_advice("this is a defect of moil: please report it with the document and the inputs")
    })
}
