//! A worker that takes more than one job: what it hears on standard input and tells on standard output
//! (`moil_job::frames`). The result of an attempt is in the job store before it is told.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moil_cwl::value::Value;
use moil_job::executor::{Executor as _, Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::frames::{self, Answer, Leader, Order, Ordered};
use moil_job::result::Outcome;
use moil_job::secret::Secrets;
use moil_job::spec::{Attempt, AttemptId, JobTool};
use moil_job::wire;
use moil_jobstore::exchange;
use moil_jobstore::names::{self, Term};
use moil_jobstore::nonce::nonce;
use moil_jobstore::records::Records;
use moil_kubernetes::logs::Rate;
use moil_worker::apart::Apart;
use moil_worker::downloads::Downloads;
use moil_worker::local::LocalExecutor;
use moil_worker::spawner::Spawner;

use super::super::memory_guard::MemoryGuard;
use super::super::words::Asked;
use super::as_worker;
use super::station::Station;
use crate::log::Log;
use crate::signals::Signals;

/// After so long without a word of a leader, and without an attempt at work, a worker ends.
const ALONE: Duration = Duration::from_secs(300);

/// The most bytes of a line of the leader.
const LONGEST_LINE: u64 = 64 << 20;

/// What happens to a worker.
enum Event {
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
}

/// An attempt at work.
struct Active {
    word: Arc<str>,
    /// Its input object.
    inputs: Value,
    rate: Rate,
}

/// A worker at work.
struct Serving<'a> {
    executor: LocalExecutor,
    records: Arc<dyn Records>,
    downloads: Arc<Downloads>,
    room: u64,
    /// Tools by their hashes.
    tools: HashMap<String, Arc<JobTool>>,
    active: HashMap<AttemptId, Active>,
    /// The words of attempts at work, for those who publish what comes of them.
    words: Words,
    /// What came of attempts, until the leader has heard it.
    ended: HashMap<Arc<str>, Outcome>,
    /// All that are over: an old order may come late.
    over: HashSet<Arc<str>>,
    /// Who it works for.
    leader: Option<(Term, Leader)>,
    keeps_apart: bool,
    lines: bool,
    /// When it last heard of the leader.
    heard: Instant,
    finishing: bool,
    stdout: &'a mut dyn Write,
    log: &'a Log,
}

type Words = Arc<Mutex<HashMap<AttemptId, Word>>>;

/// An attempt, as those know it who publish what comes of it.
struct Word {
    word: Arc<str>,
    is_cancelled: bool,
}

/// Works for the leader of a term, or a later one.
pub(super) fn serve(
    asked: &Asked,
    term: &str,
    spawner: Option<Spawner>,
    signals: &Signals,
    stdout: &mut dyn Write,
) -> Result<(), Failure> {
    let first: Term = term.parse().map_err(|()| {
        let message = format!("{term} is not the term of a leader");
        Failure::new(FailureKind::BadInput, message).with_advice("the leader starts such workers itself")
    })?;
    let room = asked.value("--room").map(str::parse::<u64>).transpose().map_err(|error| {
        Failure::new(FailureKind::BadInput, "--room is not a number of bytes").with_cause(error)
    })?;
    let room = room.unwrap_or(0);
    let failed = |cause: String| {
        Failure::new(FailureKind::System, format!("the run of the leader {term} cannot be had"))
            .with_cause(cause)
    };
    let station = Station::find(asked, &first)?;
    let form = station.records.get(&names::settings(&first)).map_err(|error| failed(error.to_string()))?;
    let station = station.told(form, &failed)?;
    let (records, results) = (Arc::clone(&station.records), station.results.clone());
    let (mut bench, settings) = station.bench(spawner, room, &asked.log)?;
    bench.config.live_output = true;
    bench.config.apart =
        Apart::new(&bench.config.spawner, &bench.config.work_root).map_err(|failure| *failure)?.map(Arc::new);
    let keeps_apart = bench.config.apart.is_some();
    let (sender, events) = channel();
    let _guard = {
        let sender = Mutex::new(sender.clone());
        signals.handle(move |_| tell(&sender, Event::Signal))
    };
    let memory = Arc::new({
        let sender = Mutex::new(sender.clone());
        MemoryGuard::start(move || tell(&sender, Event::Stuck), asked.log.clone())
    });
    listen(sender.clone())
        .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))?;
    let words: Words = Arc::default();
    let reporter: Reporter = {
        let (sender, words, nonce) = (Mutex::new(sender), Arc::clone(&words), nonce());
        Arc::new(move |report| match report {
            Report::Finished(id, outcome) => {
                let known = words.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                let Some(Word { word, is_cancelled }) = known else { return };
                let outcome = as_worker(outcome, is_cancelled, &memory);
                let published = results.publish(&word, &id, &nonce, &outcome);
                let unstored = published.err().map(|error| {
                    Failure::new(FailureKind::System, format!("the result of {word} cannot be stored"))
                        .with_cause(error)
                });
                tell(&sender, Event::Over(id, outcome, unstored));
            }
            report => tell(&sender, Event::Report(report)),
        })
    };
    let downloads = Arc::clone(&bench.config.downloads);
    let executor = LocalExecutor::new(bench.config.clone(), reporter).map_err(|failure| *failure)?;
    let serving = Serving {
        executor,
        records,
        downloads,
        room,
        tools: HashMap::new(),
        active: HashMap::new(),
        words,
        ended: HashMap::new(),
        over: HashSet::new(),
        leader: None,
        keeps_apart,
        lines: false,
        heard: Instant::now(),
        finishing: false,
        stdout,
        log: &asked.log,
    };
    let done = serving.work(&first, &events);
    bench.close(&settings, true);
    done
}

fn tell(sender: &Mutex<Sender<Event>>, event: Event) {
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

impl Serving<'_> {
    fn work(mut self, first: &Term, events: &Receiver<Event>) -> Result<(), Failure> {
        loop {
            if self.active.is_empty() && (self.finishing || self.heard.elapsed() >= ALONE) {
                self.executor.shut_down();
                return match self.finishing {
                    true => Ok(()),
                    false => Err(Failure::new(
                        FailureKind::Lost,
                        "no leader of the run has asked for anything for minutes",
                    )),
                };
            }
            match events.recv_timeout(ALONE) {
                Ok(Event::Line(line)) => match frames::read_order(&line) {
                    Some(ordered) => self.ordered(first, ordered),
                    None => self.log.info("a line that is no order was left out"),
                },
                // A leader may come that attaches to it anew; without it ends by itself.
                Ok(Event::InputEnded) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Report(report)) => self.report(report),
                Ok(Event::Over(id, outcome, unstored)) => self.over(&id, outcome, unstored)?,
                Ok(Event::Signal) => self.end_all(true),
                Ok(Event::Stuck) => self.end_all(false),
                // The thread that reads has a sender for as long as there is input.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn ordered(&mut self, first: &Term, Ordered { leader, order }: Ordered) {
        let Ok(term) = leader.term.parse::<Term>() else { return };
        let last = self.leader.as_ref().map_or(first, |(term, _)| term);
        // A leader that was paused does not know yet that it has been followed.
        if term.epoch < last.epoch {
            return;
        }
        let is_new = self.leader.as_ref().is_none_or(|(_, known)| *known != leader);
        if is_new {
            self.leader = Some((term, leader));
        }
        self.heard = Instant::now();
        match order {
            Order::Hello { version, lines } => {
                if version > frames::VERSION {
                    self.log
                        .warning("the leader is of a newer moil: leader and workers must be of one version");
                }
                self.lines = lines;
                self.here();
            }
            Order::Alive => self.here(),
            Order::Run { word, attempt } => self.begin(word, &attempt),
            Order::Cancel { word } => {
                let ids: Vec<AttemptId> = self
                    .active
                    .iter()
                    .filter(|(_, active)| active.word == word)
                    .map(|(id, _)| id.clone())
                    .collect();
                self.cancel(&ids);
            }
            Order::Taken { word } => _ = self.ended.remove(&word),
            Order::Finish => self.finishing = true,
        }
    }

    fn cancel(&mut self, ids: &[AttemptId]) {
        for id in ids {
            if let Some(known) = self.words.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
                known.is_cancelled = true;
            }
        }
        self.executor.cancel(ids);
    }

    /// Ends all attempts. `is_asked`: whoever ended the worker did it, not the attempts themselves.
    fn end_all(&mut self, is_asked: bool) {
        self.finishing = true;
        let ids: Vec<AttemptId> = self.active.keys().cloned().collect();
        match is_asked {
            true => self.cancel(&ids),
            false => self.executor.cancel(&ids),
        }
    }

    fn begin(&mut self, word: Arc<str>, text: &str) {
        if self.over.contains(&word) || self.active.values().any(|active| active.word == word) {
            return;
        }
        let attempt = match self.read(&word, text) {
            Ok(attempt) => attempt,
            Err(failure) => {
                // Who it is cannot be told, and so not stored: the leader hears it, and it is no end of the attempt.
                let outcome = Outcome::Failed(Box::new(failure));
                self.ended.insert(Arc::clone(&word), outcome.clone());
                return self.finished(word, outcome);
            }
        };
        if self.active.contains_key(&attempt.id) || self.finishing || !self.keeps_apart {
            return;
        }
        let mut needed: Vec<&Value> = self.active.values().map(|active| &active.inputs).collect();
        needed.push(&attempt.job.inputs);
        self.downloads.make_room(&needed, self.room);
        let (id, inputs) = (attempt.id.clone(), attempt.job.inputs.clone());
        let known = Word { word: Arc::clone(&word), is_cancelled: false };
        self.words.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), known);
        self.active.insert(id, Active { word, inputs, rate: Rate::new(Instant::now().into()) });
        self.executor.submit(vec![attempt]);
    }

    fn read(&mut self, word: &str, text: &str) -> Result<Attempt, Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::new(FailureKind::System, "the worker cannot use the attempt").with_cause(error)
        };
        if text.is_empty() {
            let term = word.split_once('/').and_then(|(term, _)| term.parse().ok());
            let term: Term = term.ok_or_else(|| unusable(&"its word has no term"))?;
            let found = exchange::find(&*self.records, &term, word, Secrets::default());
            return found.map(|found| found.attempt).map_err(|error| unusable(&error));
        }
        let written = wire::read_attempt(text).map_err(|error| unusable(&error))?;
        let tool = match self.tools.get(written.tool()) {
            Some(tool) => Arc::clone(tool),
            None => {
                let tool = exchange::find_tool(&*self.records, written.tool());
                let tool = Arc::new(tool.map_err(|error| unusable(&error))?);
                self.tools.insert(written.tool().to_owned(), Arc::clone(&tool));
                tool
            }
        };
        Ok(written.with(tool, Secrets::default()))
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Output(id, text) => {
                let Some(active) = self.active.get_mut(&id) else { return };
                self.log.text(&format!("{text}\n"));
                if self.lines {
                    let word = Arc::clone(&active.word);
                    let mut told = Vec::new();
                    active.rate.tell(Instant::now().into(), text, &mut |text| told.push(text));
                    told.into_iter()
                        .for_each(|text| self.answer(&Answer::Line { word: Arc::clone(&word), text }));
                }
            }
            Report::Note(id, text) => {
                let Some(word) = self.word(&id) else { return };
                self.log.info(&text);
                self.answer(&Answer::Note { word, text });
            }
            Report::ToolEnded(id) => {
                if let Some(word) = self.word(&id) {
                    self.answer(&Answer::ToolEnded { word });
                }
            }
            // The end comes as `Event::Over`; places are the leader's affair.
            Report::Finished(..) | Report::Placed(..) => {}
        }
    }

    fn word(&self, id: &AttemptId) -> Option<Arc<str>> {
        self.active.get(id).map(|active| Arc::clone(&active.word))
    }

    fn over(&mut self, id: &AttemptId, outcome: Outcome, unstored: Option<Failure>) -> Result<(), Failure> {
        let Some(mut active) = self.active.remove(id) else { return Ok(()) };
        if self.lines {
            let mut told = Vec::new();
            active.rate.close(&mut |text| told.push(text));
            let word = &active.word;
            told.into_iter().for_each(|text| self.answer(&Answer::Line { word: Arc::clone(word), text }));
        }
        // What is not stored is not told: another leader would not know of it.
        if let Some(failure) = unstored {
            return Err(failure);
        }
        self.over.insert(Arc::clone(&active.word));
        self.ended.insert(Arc::clone(&active.word), outcome.clone());
        self.finished(active.word, outcome);
        Ok(())
    }

    fn finished(&mut self, word: Arc<str>, outcome: Outcome) {
        self.answer(&Answer::Finished { word, outcome: Box::new(outcome) });
    }

    /// Tells what attempts it has, and once more what came of those that nobody has taken: that may not have arrived.
    fn here(&mut self) {
        let attempts = self.active.values().map(|active| &active.word).chain(self.ended.keys());
        let attempts = attempts.cloned().collect();
        self.answer(&Answer::Here { version: frames::VERSION, attempts, keeps_apart: self.keeps_apart });
        let ended = self.ended.iter().map(|(word, end)| (Arc::clone(word), end.clone()));
        ended.collect::<Vec<_>>().into_iter().for_each(|(word, outcome)| self.finished(word, outcome));
    }

    fn answer(&mut self, answer: &Answer) {
        let Some((_, leader)) = &self.leader else { return };
        let line = frames::write_answer(&leader.mark, answer);
        // Whoever has cut it attaches again.
        _ = self.stdout.write_all(line.as_bytes()).and_then(|()| self.stdout.flush());
    }
}
