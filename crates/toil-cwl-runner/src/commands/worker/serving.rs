//! A worker at work for a run: the attempts that its leader asks for, and what comes of them. The result of an attempt is
//! in the job store before it is told.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moil_cwl::value::Value;
use moil_job::executor::{Executor as _, Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::frames::{self, Answer, Leader, Order, Ordered, Run};
use moil_job::result::Outcome;
use moil_job::secret::Secrets;
use moil_job::spec::{Attempt, AttemptId, JobTool};
use moil_job::wire;
use moil_jobstore::exchange::{self, NoAttempt};
use moil_jobstore::names::{self, Term};
use moil_jobstore::nonce::nonce;
use moil_jobstore::records::Records;
use moil_jobstore::results::Results;
use moil_kubernetes::logs::Rate;
use moil_worker::apart::Apart;
use moil_worker::downloads::Downloads;
use moil_worker::local::LocalExecutor;
use moil_worker::spawner::Spawner;

use super::super::memory_guard::MemoryGuard;
use super::super::words::Asked;
use super::reach::Reach;
use super::serve::{ALONE, Event, alone, tell};
use super::speaker::Speaker;
use super::station::{Bench, Station};
use super::{Ended, as_worker, no_store};
use crate::exit_code::ExitCode;
use crate::given::{Given, Layer};
use crate::log::Log;
use crate::options;
use crate::settings::Settings;

/// An attempt at work.
struct Active {
    word: Arc<str>,
    /// Its input object.
    inputs: Value,
    rate: Rate,
}

/// A worker at work.
pub(super) struct Serving<'a> {
    run: Run,
    executor: LocalExecutor,
    bench: Bench,
    settings: Settings,
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
    reach: Reach,
    sender: Sender<Event>,
    /// Who it works for.
    term: Term,
    leader: Leader,
    keeps_apart: bool,
    lines: bool,
    /// When it last heard of the leader.
    heard: Instant,
    finishing: bool,
    /// How long to wait for another run.
    rest: Option<Duration>,
    speaker: &'a mut Speaker,
    log: &'a Log,
}

/// Why there is nothing more to do for a run.
pub(super) enum End {
    /// The worker was told to end.
    Finished,
    /// The run is over, and the worker may wait so long for another one. The leader with this mark asked it to.
    Rests(Duration, String),
}

/// What a leader says first.
pub(super) struct Hello {
    pub leader: Leader,
    pub term: Term,
    pub lines: bool,
    pub run: Run,
    pub settings: Option<String>,
}

impl Hello {
    /// `None`: it is something else.
    pub(super) fn of(line: &[u8], log: &Log) -> Option<Self> {
        let Some(Ordered { leader, order }) = frames::read_order(line) else {
            no_order(line, log);
            return None;
        };
        let Order::Hello { version, lines, run, settings } = order else { return None };
        look_at_version(version, log);
        Some(Self { term: leader.term.parse().ok()?, leader, lines, run, settings })
    }
}

fn no_order(line: &[u8], log: &Log) {
    // A new connection begins with an empty one, after which nothing of the last one counts.
    if !line.trim_ascii().is_empty() {
        log.info("a line that is no order was left out");
    }
}

fn look_at_version(version: u32, log: &Log) {
    if version > frames::VERSION {
        log.warning("the leader is of a newer moil: leader and workers must be of one version");
    }
}

fn job_store(locator: &str) -> Result<Given, Failure> {
    let option = options::find("--jobStore")
        .ok_or_else(|| Failure::new(FailureKind::Internal, "there is no option for job stores"))?;
    let (spelled, value) = (option.key.to_owned(), locator.to_owned());
    Ok(Given { option, spelled, value, layer: Layer::CommandLine })
}

/// Publishes what comes of attempts, and tells whoever has the receiver of `sender`.
fn reporter(
    results: Results,
    reach: Reach,
    sender: Sender<Event>,
    words: Words,
    memory: Arc<MemoryGuard>,
) -> Reporter {
    let (sender, nonce) = (Mutex::new(sender), nonce());
    Arc::new(move |report| match report {
        Report::Finished(id, outcome) => {
            let known = words.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let Some(Word { word, is_cancelled, is_left }) = known else { return };
            if is_left && !matches!(outcome, Outcome::Done(_)) {
                return;
            }
            let outcome = as_worker(outcome, is_cancelled, &memory);
            let published = results.publish(&word, &id, &nonce, &outcome).inspect(|_| reach.stored());
            let unstored = published.err().map(|error| {
                Failure::new(FailureKind::System, format!("the result of {word} cannot be stored"))
                    .with_cause(error)
            });
            tell(&sender, Event::Over(id, outcome, unstored));
        }
        report => tell(&sender, Event::Report(report)),
    })
}

type Words = Arc<Mutex<HashMap<AttemptId, Word>>>;

/// An attempt, as those know it who publish what comes of it.
struct Word {
    word: Arc<str>,
    is_cancelled: bool,
    /// The worker ends, and not for its sake: what becomes of it by that is not what came of it.
    is_left: bool,
}

impl<'a> Serving<'a> {
    /// Finds the run of a leader, and gets ready for its attempts.
    pub(super) fn begin(
        asked: &'a Asked,
        hello: Hello,
        spawner: Option<Spawner>,
        sender: Sender<Event>,
        memory: Arc<MemoryGuard>,
        speaker: &'a mut Speaker,
    ) -> Result<Self, Ended> {
        let Hello { leader, term, lines, run, settings: told } = hello;
        let failed = |cause: String| {
            Failure::new(FailureKind::System, format!("the run of the leader {term} cannot be had"))
                .with_cause(cause)
        };
        let room = asked.value("--room").map(str::parse::<u64>).transpose().map_err(|error| {
            Failure::new(FailureKind::BadInput, "--room is not a number of bytes").with_cause(error)
        })?;
        let room = room.unwrap_or(0);
        let settings = asked.settings_with(vec![job_store(&run.store)?])?;
        let number = run.by_number.then_some(run.number.as_str());
        let station = Station::find(settings, number, &term).map_err(no_store)?;
        let reach = Reach::default();
        let form = match told {
            Some(told) => Some(told.into_bytes()),
            None => {
                let form = station.records.get(&names::settings(&term)).inspect(|_| reach.is_seen());
                form.map_err(|error| no_store(failed(error.to_string())))?
            }
        };
        let station = station.told(form, &failed).map_err(no_store)?;
        let (records, results) = (Arc::clone(&station.records), station.results.clone());
        let (mut bench, settings) = station.bench(spawner, room, &asked.log)?;
        bench.config.live_output = true;
        bench.config.apart = Apart::new(&bench.config.spawner, &bench.config.work_root)
            .map_err(|failure| *failure)?
            .map(Arc::new);
        let words: Words = Arc::default();
        let reporter = reporter(results, reach.clone(), sender.clone(), Arc::clone(&words), memory);
        Ok(Self {
            run,
            executor: LocalExecutor::new(bench.config.clone(), reporter).map_err(|failure| *failure)?,
            records,
            downloads: Arc::clone(&bench.config.downloads),
            room,
            tools: HashMap::new(),
            active: HashMap::new(),
            words,
            ended: HashMap::new(),
            over: HashSet::new(),
            reach,
            sender,
            term,
            leader,
            keeps_apart: bench.config.apart.is_some(),
            lines,
            heard: Instant::now(),
            finishing: false,
            rest: None,
            bench,
            settings,
            speaker,
            log: &asked.log,
        })
    }

    /// Works until the leader has nothing more to do, or is not heard of any more. What is left then is removed.
    pub(super) fn work(mut self, events: &Receiver<Event>) -> Result<End, Ended> {
        self.here();
        let end = self.until_the_end(events);
        if end.is_err() {
            let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
            words.values_mut().for_each(|word| word.is_left = true);
        }
        self.executor.shut_down();
        self.bench.close(&self.settings, true);
        end
    }

    fn until_the_end(&mut self, events: &Receiver<Event>) -> Result<End, Ended> {
        loop {
            if self.active.is_empty() {
                if self.finishing {
                    return Ok(End::Finished);
                }
                if let Some(rest) = self.rest {
                    return Ok(End::Rests(rest, self.leader.mark.clone()));
                }
            }
            // Who has slept hears first what was said meanwhile.
            let event = match events.try_recv() {
                Err(TryRecvError::Empty) if self.active.is_empty() && self.heard.elapsed() >= ALONE => {
                    return Err(alone().into());
                }
                Err(TryRecvError::Empty) => events.recv_timeout(ALONE),
                event => event.map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Line(line)) => match frames::read_order(&line) {
                    Some(ordered) => self.ordered(ordered)?,
                    None => no_order(&line, self.log),
                },
                // A leader may come that attaches to it anew; without it ends by itself.
                Ok(Event::InputEnded) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Report(report)) => self.report(report),
                Ok(Event::Over(id, outcome, unstored)) => self.over(&id, outcome, unstored)?,
                Ok(Event::Signal) => self.end_all(true),
                Ok(Event::Stuck) => self.end_all(false),
                Ok(Event::NoStore(failure)) if !self.reach.is_known() => return Err(no_store(failure)),
                Ok(Event::NoStore(_)) => {}
                // The thread that reads has a sender for as long as there is input.
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Finished),
            }
        }
    }

    fn ordered(&mut self, Ordered { leader, order }: Ordered) -> Result<(), Ended> {
        if let Order::Hello { version, lines, run, settings: _ } = &order {
            let Ok(term) = leader.term.parse::<Term>() else { return Ok(()) };
            // A leader that was paused does not know yet that it has been followed.
            if *run != self.run || term.epoch < self.term.epoch {
                return Ok(());
            }
            look_at_version(*version, self.log);
            (self.term, self.leader, self.lines) = (term, leader, *lines);
            self.heard = Instant::now();
            self.here();
            return Ok(());
        }
        // Whoever has not said hello last is not its leader, or not any more.
        if leader != self.leader {
            return Ok(());
        }
        self.heard = Instant::now();
        match order {
            Order::Hello { .. } => {}
            Order::Alive => self.here(),
            Order::Run { word, attempt, tool } => self.begin_attempt(word, &attempt, tool.as_deref())?,
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
            Order::Rest { seconds } => {
                self.rest = self.active.is_empty().then(|| Duration::from_secs(seconds));
            }
        }
        Ok(())
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

    fn begin_attempt(&mut self, word: Arc<str>, text: &str, tool: Option<&str>) -> Result<(), Ended> {
        if self.over.contains(&word) || self.active.values().any(|active| active.word == word) {
            return Ok(());
        }
        let attempt = match self.read(&word, text, tool) {
            Ok(Some(attempt)) => attempt,
            // The line with its tool is lost. The leader tells again what is not heard of.
            Ok(None) => return Ok(()),
            Err(ended) if ended.code == ExitCode::NO_STORE && !self.reach.is_known() => return Err(ended),
            Err(Ended { failure, .. }) => {
                // Who it is cannot be told, and so not stored: the leader hears it, and it is no end of the attempt.
                let outcome = Outcome::Failed(Box::new(failure));
                self.ended.insert(Arc::clone(&word), outcome.clone());
                self.finished(word, outcome);
                return Ok(());
            }
        };
        if self.active.contains_key(&attempt.id) || self.finishing || !self.keeps_apart {
            return Ok(());
        }
        let mut needed: Vec<&Value> = self.active.values().map(|active| &active.inputs).collect();
        needed.push(&attempt.job.inputs);
        self.downloads.make_room(&needed, self.room);
        let (id, inputs) = (attempt.id.clone(), attempt.job.inputs.clone());
        let known = Word { word: Arc::clone(&word), is_cancelled: false, is_left: false };
        self.words.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), known);
        self.active.insert(id, Active { word, inputs, rate: Rate::new(Instant::now().into()) });
        self.reach.begins(&self.records, &self.sender);
        self.executor.submit(vec![attempt]);
        Ok(())
    }

    /// An attempt; `None` if its tool is not known.
    fn read(&mut self, word: &str, text: &str, tool: Option<&str>) -> Result<Option<Attempt>, Ended> {
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::new(FailureKind::System, "the worker cannot use the attempt").with_cause(error)
        };
        let reach = self.reach.clone();
        let unread = move |error: NoAttempt| match &error {
            NoAttempt::Records(_) => no_store(unusable(&error)),
            _ => {
                reach.is_seen();
                unusable(&error).into()
            }
        };
        if text.is_empty() {
            let term = word.split_once('/').and_then(|(term, _)| term.parse().ok());
            let term: Term = term.ok_or_else(|| unusable(&"its word has no term"))?;
            let found = exchange::find(&*self.records, &term, word, Secrets::default());
            return found.inspect(|_| self.reach.is_seen()).map(|found| Some(found.attempt)).map_err(unread);
        }
        let written = wire::read_attempt(text).map_err(|error| unusable(&error))?;
        let found = match (self.tools.get(written.tool()), tool) {
            (Some(known), _) => return Ok(Some(written.with(Arc::clone(known), Secrets::default()))),
            (None, Some(tool)) => wire::read_tool(tool, written.tool()).map_err(|error| unusable(&error))?,
            (None, None) => match exchange::find_tool(&*self.records, written.tool()) {
                Ok(tool) => {
                    self.reach.is_seen();
                    tool
                }
                Err(NoAttempt::NoTool { .. }) => {
                    self.reach.is_seen();
                    return Ok(None);
                }
                Err(error) => return Err(unread(error)),
            },
        };
        let tool = Arc::new(found);
        self.tools.insert(written.tool().to_owned(), Arc::clone(&tool));
        Ok(Some(written.with(tool, Secrets::default())))
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

    fn over(&mut self, id: &AttemptId, outcome: Outcome, unstored: Option<Failure>) -> Result<(), Ended> {
        let Some(mut active) = self.active.remove(id) else { return Ok(()) };
        if self.lines {
            let mut told = Vec::new();
            active.rate.close(&mut |text| told.push(text));
            let word = &active.word;
            told.into_iter().for_each(|text| self.answer(&Answer::Line { word: Arc::clone(word), text }));
        }
        // What is not stored is not told: another leader would not know of it.
        if let Some(failure) = unstored {
            let is_plain = self.reach.has_stored() || self.finishing;
            return Err(if is_plain { failure.into() } else { no_store(failure) });
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
        let left_out = self.speaker.say(&self.leader.mark, answer);
        if left_out > 0 {
            self.log.warning(format_args!(
                "{left_out} lines for the leader were left out, since nobody took them"
            ));
        }
    }
}
