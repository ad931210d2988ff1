//! A worker that takes more than one job: what it hears on standard input and tells on standard output
//! (`moil_job::frames`). It begins without a run, which the first leader to say hello brings, and may wait for another one
//! when that is over.

use std::io::BufRead as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moil_job::executor::Report;
use moil_job::failure::{Failure, FailureKind};
use moil_job::frames::Answer;
use moil_job::result::Outcome;
use moil_job::spec::AttemptId;
use moil_worker::spawner::Spawner;

use super::super::memory_guard::MemoryGuard;
use super::super::words::Asked;
use super::Ended;
use super::serving::{End, Hello, Serving};
use super::speaker::Speaker;
use crate::log::Log;
use crate::signals::Signals;

/// After so long without a word of a leader, and without an attempt at work, a worker ends.
pub(super) const ALONE: Duration = Duration::from_secs(300);

/// The most bytes of a line of the leader.
const LONGEST_LINE: u64 = 64 << 20;

/// What happens to a worker.
pub(super) enum Event {
    /// A line of the leader.
    Line(Vec<u8>),
    /// There will be no more of them.
    InputEnded,
    /// From an attempt that goes on.
    Report(Report),
    /// An attempt is over, and that is stored, unless there is a failure.
    Over(AttemptId, Outcome, Option<Failure>),
    /// SIGTERM and its like.
    Signal,
    /// The tools are stuck at the limit of memory.
    Stuck,
    /// The job store cannot be used.
    NoStore(Failure),
}

/// Works for the leaders of a run, and perhaps for those of others after it: then as a new program, `itself`.
pub(super) fn serve(
    asked: &Asked,
    itself: Option<Command>,
    spawner: Option<Spawner>,
    signals: &Signals,
) -> Result<(), Ended> {
    let mut speaker = Speaker::start().map_err(no_thread)?;
    let end = serve_run(asked, spawner, signals, &mut speaker);
    speaker.finish();
    match end? {
        End::Finished => Ok(()),
        // Nothing of the run that is over is left in memory then.
        End::Rests(rest, mark) => {
            let cannot = |cause: String| {
                Failure::new(FailureKind::System, "the worker cannot begin anew").with_cause(cause)
            };
            let mut itself = itself.ok_or_else(|| cannot("its program is not known".to_owned()))?;
            itself.args([super::RESTS, &rest.as_secs().to_string(), "--mark", &mark]);
            Err(cannot(itself.exec().to_string()).into())
        }
    }
}

fn no_thread(error: std::io::Error) -> Failure {
    Failure::new(FailureKind::System, "cannot start threads").with_cause(error)
}

/// The same, for the leaders of one run.
fn serve_run(
    asked: &Asked,
    spawner: Option<Spawner>,
    signals: &Signals,
    speaker: &mut Speaker,
) -> Result<End, Ended> {
    let rests = asked.value(super::RESTS).map(str::parse::<u64>).transpose().map_err(|error| {
        Failure::new(FailureKind::BadInput, "--rests is not a number of seconds").with_cause(error)
    })?;
    let (sender, events) = channel();
    let _guard = {
        let sender = Mutex::new(sender.clone());
        signals.handle(move |_| tell(&sender, Event::Signal))
    };
    let memory = Arc::new({
        let sender = Mutex::new(sender.clone());
        MemoryGuard::start(move || tell(&sender, Event::Stuck), asked.log.clone())
    });
    listen(sender.clone()).map_err(no_thread)?;
    if let Some(mark) = asked.value("--mark") {
        speaker.say(mark, &Answer::Rests);
    }
    let patience = rests.map_or(ALONE, Duration::from_secs);
    let hello = match first_hello(&events, Instant::now() + patience, &asked.log) {
        First::Hello(hello) => hello,
        First::Signal => return Ok(End::Finished),
        First::Nobody => return rests.map(|_| End::Finished).ok_or_else(|| alone().into()),
    };
    Serving::begin(asked, hello, spawner, sender, memory, speaker)?.work(&events)
}

/// What comes first.
enum First {
    Hello(Hello),
    Signal,
    Nobody,
}

fn first_hello(events: &Receiver<Event>, until: Instant, log: &Log) -> First {
    loop {
        match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Event::Line(line)) => {
                if let Some(hello) = Hello::of(&line, log) {
                    return First::Hello(hello);
                }
            }
            Ok(Event::Signal | Event::Stuck) => return First::Signal,
            Ok(Event::InputEnded | Event::Report(_) | Event::Over(..) | Event::NoStore(_)) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return First::Nobody,
        }
    }
}

pub(super) fn alone() -> Failure {
    Failure::new(FailureKind::Lost, "no leader of the run has asked for anything for minutes")
}

pub(super) fn tell(sender: &Mutex<Sender<Event>>, event: Event) {
    // Nobody listens any more only when the program ends.
    _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(event);
}

/// Reads lines for as long as there is input. The thread ends with the program: nobody can call it back from its read.
fn listen(sender: Sender<Event>) -> std::io::Result<()> {
    let read = move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let mut bounded = std::io::Read::take(&mut input, LONGEST_LINE);
            match bounded.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => _ = sender.send(Event::Line(line)),
            }
        }
        _ = sender.send(Event::InputEnded);
    };
    std::thread::Builder::new().name("orders".to_owned()).spawn(read).map(drop)
}
