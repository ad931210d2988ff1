//! The leader: one thread owns all run state.
//!
//! It takes all waiting messages, tells the plan, pulls what is to be done
//! while its window has room, admits jobs, journals one group, and acts.
//! Nothing else touches the plan, the books or the executor.

mod cached;
mod earlier;
mod entry;
mod failures;
mod replaying;
mod steps;

use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use moil_cwl::expression::ConsoleText;
use moil_cwl::value::Value;
use moil_job::event::{Event, Retry, Status};
use moil_job::exchange::Exchange;
use moil_job::executor::{Executor, Report};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::result::{JobResult, Outcome};
use moil_job::secret::SecretStore;
use moil_job::spec::{Attempt, AttemptId, Job, JobId};
use moil_job::store::StoreError;

use crate::admission::{Admission, Capacity};
use crate::caching::Cached;
use crate::evaluator::{Answer, Evaluators, Task};
use crate::journal::{Journal, Written};
use crate::keying::Keying;
use crate::memo::{self, Memo};
use crate::plan::{Command, ElementRef, End, Plan, Run};
use crate::retry::{RetryPolicy, Tries};
use crate::updates::Updates;
use entry::{Delayed, Entry};

/// What reaches the leader.
#[derive(Debug)]
pub enum Message {
    /// From the evaluators.
    Answer(Box<Answer>),
    /// From the executor.
    Report(Report),
    /// From the journal.
    Written(Written),
    /// An expression wrote to its console, here or in a worker.
    Console(ConsoleText),
    /// Something that people should know, and that stops nothing.
    Warning(String),
    /// A signal: end what runs and stop. A second one stops without waiting.
    Interrupt,
    /// Stop at once, and leave at work what can do without a leader: another one is to come.
    Leave,
}

/// How the leader decides.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// What all running jobs together may use.
    pub capacity: Capacity,
    /// Whether and when failed jobs are tried again.
    pub retry: RetryPolicy,
    /// `--stopOnFirstFailure`: the first job that fails for good ends the run, and its siblings.
    pub stop_on_first_failure: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// The output object, before export; `None` if the run failed.
    pub outputs: Option<Value>,
    /// What failed for good, with the job or step that it happened to, in order.
    pub failures: Vec<(String, Arc<Failure>)>,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Why the store refused a record, if it did (somebody else may have taken over the run): nothing may be done any more.
    pub refusal: Option<StoreError>,
}

/// What a leader needs to work with.
pub struct Helpers<'a> {
    /// Evaluate, prepare and look.
    pub evaluators: &'a Evaluators,
    /// Runs attempts.
    pub executor: &'a mut dyn Executor,
    /// The secrets that inputs mention.
    pub secrets: Arc<SecretStore>,
    /// Where everything is recorded; `None` where nothing outlives the leader.
    pub journal: Option<Journal>,
    /// What earlier leaders recorded.
    pub memo: Memo,
    /// Where workers in other processes leave results; `None` where there never were any.
    pub exchange: Option<Arc<dyn Exchange>>,
    /// Learns what jobs made, where their results are recorded.
    pub keys: Option<Arc<Keying>>,
    /// The call cache.
    pub cache: Option<Cached>,
    /// Told what happens.
    pub events: &'a mut dyn FnMut(&Event),
}

/// How many commands may be under way before jobs are admitted: enough to keep evaluators and
/// executor busy, few enough that a large scatter costs no memory for elements not yet begun.
const WINDOW: usize = 64;

/// With fewer jobs than this that are recorded and wait for their turn, more are recorded.
const LOW: usize = 16;

/// How many messages are taken before acting, so that a flood of them does not delay new work.
const BATCH: usize = 256;

/// One run's leader.
pub struct Leader<'a> {
    plan: Plan,
    policy: Policy,
    admission: Admission<Entry>,
    helpers: Helpers<'a>,
    evaluating: usize,
    /// Attempts whose record, of this number, may not be stored yet.
    unrecorded: VecDeque<(u64, Entry, Resources)>,
    running: HashMap<AttemptId, (Entry, Resources)>,
    /// Those among `running` whose tools have ended: what they were granted was given back.
    finishing: HashSet<AttemptId>,
    /// Those that are done, and whose results are being copied into the cache.
    keeping: HashMap<AttemptId, Entry>,
    delayed: BinaryHeap<Delayed>,
    failures: Vec<(String, Arc<Failure>)>,
    /// The steps with many elements that have begun.
    large_steps: HashSet<Arc<str>>,
    updates: Updates,
    stopping: bool,
    /// The store refused a record: from then on nothing is recorded, and so nothing is done.
    refusal: Option<StoreError>,
    /// It goes, and leaves at work what can do without it.
    leaving: bool,
    interrupts: u32,
}

impl<'a> Leader<'a> {
    /// A leader for a plan.
    pub fn new(plan: Plan, policy: Policy, helpers: Helpers<'a>) -> Self {
        Self {
            plan,
            policy,
            admission: Admission::new(policy.capacity),
            helpers,
            evaluating: 0,
            unrecorded: VecDeque::new(),
            running: HashMap::new(),
            finishing: HashSet::new(),
            keeping: HashMap::new(),
            delayed: BinaryHeap::new(),
            failures: Vec::new(),
            large_steps: HashSet::new(),
            updates: Updates::default(),
            stopping: false,
            refusal: None,
            leaving: false,
            interrupts: 0,
        }
    }

    /// Runs until the plan has ended, or nothing more can be done, or a signal says so.
    pub fn run(mut self, messages: &Receiver<Message>) -> RunEnd {
        loop {
            self.pull();
            self.start_jobs();
            self.note_imports();
            if let Some(journal) = &mut self.helpers.journal {
                // Attempts are recorded some at a time, before the executor could run out of them.
                let few = !self.unrecorded.is_empty() && self.admission.waiting() < LOW;
                match few || journal.notes_wait() == Some(Duration::ZERO) {
                    true => journal.flush_notes(),
                    false => journal.flush(),
                }
            }
            self.tell_events();
            for (what, failure) in self.plan.take_failures() {
                self.note_failure(what, failure);
            }
            // Whoever may not record may not end what runs, either: it may be another leader's now.
            if self.refusal.is_some() || self.leaving || self.is_over() {
                break;
            }
            match self.wait(messages) {
                Ok(message) => {
                    self.take(message);
                    messages.try_iter().take(BATCH).for_each(|message| self.take(message));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.fail_run(Failure::new(FailureKind::Internal, "the leader lost its helpers"));
                    break;
                }
            }
            if self.interrupts > 1 {
                break;
            }
        }
        match self.refusal.is_some() || self.leaving {
            true => self.helpers.executor.leave(),
            false => self.helpers.executor.shut_down(),
        }
        self.tell_events();
        let outputs = match self.plan.end() {
            Some(End::Success(outputs)) if !self.stopping => Some(self.updates.followed(outputs)),
            _ => None,
        };
        RunEnd { outputs, failures: self.failures, interrupted: self.interrupts > 0, refusal: self.refusal }
    }

    fn is_over(&mut self) -> bool {
        // Evaluations change nothing outside, so that stopping need not wait for them.
        let evaluating = self.evaluating > 0 && !self.stopping;
        let waiting = self.admission.waiting() + self.unrecorded.len() + self.delayed.len();
        let nothing_to_come = self.stopping || self.plan.end().is_some() || waiting == 0;
        let working = evaluating || !self.running.is_empty() || !self.keeping.is_empty();
        let idle = !working && nothing_to_come;
        match &mut self.helpers.journal {
            Some(journal) if idle => {
                journal.flush_notes();
                journal.is_idle()
            }
            _ => idle,
        }
    }

    fn wait(&mut self, messages: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let next_try = self.delayed.peek().filter(|_| !self.stopping);
        let next_try = next_try.map(|delayed| delayed.at.saturating_duration_since(Instant::now()));
        let notes = self.helpers.journal.as_ref().and_then(Journal::notes_wait);
        match next_try.into_iter().chain(notes).min() {
            Some(longest) => messages.recv_timeout(longest),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn pull(&mut self) {
        while !self.stopping && self.evaluating + self.unrecorded.len() + self.admission.waiting() < WINDOW {
            let Some(command) = self.plan.next_command() else { break };
            match command {
                Command::Merge { step, node, mut sources } => {
                    self.updates.follow(sources.iter_mut().flatten());
                    self.evaluate(Task::Merge { step, node, sources });
                }
                Command::Prepare { element, node, body, inputs, round } => {
                    self.evaluate(Task::Prepare { element, node, body, inputs, round });
                }
                Command::NextRound { element, node, mut inputs, mut outputs, rounds } => {
                    self.updates.follow(inputs.values_mut().chain([&mut outputs]));
                    self.evaluate(Task::NextRound { element, node, inputs, outputs, rounds });
                }
                Command::Generate { element, generator, given, outputs } => {
                    self.evaluate(Task::Generate { element, generator, given, outputs });
                }
                Command::Run(run) => self.queue(*run),
            }
        }
    }

    fn evaluate(&mut self, task: Task) {
        self.evaluating += 1;
        self.helpers.evaluators.submit(task);
    }

    fn entry(&self, run: Run, id: JobId, again: Option<String>) -> Entry {
        let resources = run.resources;
        let (key, no_key) = match run.key {
            Some(Ok(key)) => (Some(key), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        Entry {
            attempts: self.helpers.memo.tries(&id),
            job: Arc::new(Job {
                id,
                name: run.name.into(),
                tool: run.tool,
                inputs: run.inputs,
                requested: resources,
                key,
            }),
            element: run.element,
            step: run.step_name,
            no_key,
            again,
            cache_key: run.cache_key,
            tries: Tries::default(),
        }
    }

    fn queue_new(&mut self, run: Run, id: JobId, again: Option<String>) {
        let resources = run.resources;
        let entry = self.entry(run, id, again);
        if let Some(failure) = self.change_of_cache(&entry) {
            self.record_failure(&format!("job {}", entry.job.name), &failure);
            self.give_up(&entry, Arc::new(failure));
            return;
        }
        match self.admission.refusal(&resources) {
            None => self.record_attempt(entry, resources),
            Some(words) => {
                let failure = Failure::new(FailureKind::System, format!("job {} {words}", entry.job.name));
                self.record_failure(&format!("job {}", entry.job.name), &failure);
                self.give_up(&entry, Arc::new(failure));
            }
        }
    }

    /// An attempt has its id, and is recorded, before it waits for its turn: so starting it waits for no disk.
    fn record_attempt(&mut self, mut entry: Entry, resources: Resources) {
        entry.attempts += 1;
        match &mut self.helpers.journal {
            None => self.admission.push(entry, resources),
            Some(journal) => {
                if entry.job.tool.effective.inplace_update {
                    let locations = memo::locations(&entry.job.inputs);
                    journal.add(Record::InPlace { attempt: entry.attempt(), locations });
                }
                let record = entry.record(resources);
                let number = journal.note(record);
                self.unrecorded.push_back((number, entry, resources));
            }
        }
    }

    fn start_jobs(&mut self) {
        if self.stopping {
            return;
        }
        let now = Instant::now();
        while self.delayed.peek().is_some_and(|delayed| delayed.at <= now) {
            if let Some(delayed) = self.delayed.pop() {
                self.record_attempt(delayed.entry, delayed.resources);
            }
        }
        let mut attempts = Vec::new();
        for (entry, granted) in self.admission.admit() {
            let (id, job) = (entry.attempt(), Arc::clone(&entry.job));
            let secrets = self.helpers.secrets.mentioned(&job.inputs);
            attempts.push(Attempt { id: id.clone(), job, granted, secrets });
            self.running.insert(id.clone(), (entry, granted));
            if let Some(journal) = &mut self.helpers.journal {
                let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                journal.note(Record::AttemptSubmitted { attempt: id.clone(), at: at as u64 });
            }
            self.tell_started(&id);
        }
        if !attempts.is_empty() {
            self.helpers.executor.submit(attempts);
        }
    }

    fn tell_started(&mut self, attempt: &AttemptId) {
        if let Some((entry, granted)) = self.running.get(attempt) {
            let (name, step) = (Arc::clone(&entry.job.name), Arc::clone(&entry.step));
            let granted = *granted;
            self.plan_event(Event::JobStarted { attempt: attempt.clone(), name, step, granted });
        }
    }

    fn written(&mut self, written: Written) {
        let Some(journal) = &mut self.helpers.journal else { return };
        if let Err(error) = journal.take(written) {
            self.refusal = Some(error.clone());
            let failure = Failure::new(FailureKind::System, "the job store refused a record");
            self.fail_run(failure.with_cause(error));
            return;
        }
        while self.unrecorded.front().is_some_and(|(number, ..)| journal.is_stored(*number)) {
            if let Some((_, entry, resources)) = self.unrecorded.pop_front() {
                self.admission.push(entry, resources);
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Answer(answer) => {
                self.evaluating -= 1;
                self.answer(*answer);
            }
            Message::Report(Report::Note(attempt, text)) => {
                if let Some((entry, _)) = self.running.get(&attempt) {
                    let name = Arc::clone(&entry.job.name);
                    self.plan_event(Event::Note { name, text });
                }
            }
            Message::Report(Report::Placed(attempt, place)) => {
                let Some((entry, _)) = self.running.get(&attempt) else { return };
                let name = Arc::clone(&entry.job.name);
                if let Some(journal) = &mut self.helpers.journal {
                    let (attempt, place) = (attempt.clone(), Arc::clone(&place));
                    journal.note(Record::AttemptPlaced { attempt, place });
                }
                self.plan_event(Event::JobPlaced { attempt, name, place });
            }
            Message::Report(Report::Output(attempt, line)) => {
                if let Some((entry, _)) = self.running.get(&attempt) {
                    let name = Arc::clone(&entry.job.name);
                    self.plan_event(Event::ToolOutput { name, line });
                }
            }
            Message::Written(written) => self.written(written),
            Message::Report(Report::ToolEnded(attempt)) => self.tool_ended(attempt),
            Message::Report(Report::Finished(attempt, outcome)) => self.finished(attempt, outcome),
            Message::Console(text) => self.plan_event(Event::Console(text)),
            Message::Warning(text) => self.plan_event(Event::Warning(text)),
            Message::Interrupt => {
                self.interrupts += 1;
                self.stop();
            }
            Message::Leave => {
                self.interrupts += 1;
                self.leaving = true;
                self.stop();
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Merged(step, Ok(inputs)) => self.plan.merged(step, inputs),
            Answer::MergedAndPrepared(step, inputs, body, prepared) => {
                let element = self.plan.merged_and_prepared(step, inputs, body);
                self.answer(Answer::Prepared(element, prepared));
            }
            Answer::Merged(step, Err(failure)) => {
                let name = self.plan.step_name(step);
                self.note_failure(format!("step {name}"), failure);
                self.plan.merge_failed(step);
            }
            Answer::Prepared(element, prepared) => self.observed(element, prepared),
            Answer::Verified { run, recorded, missing: None } => self.reuse(*run, *recorded),
            Answer::Verified { run, recorded, missing: Some(why) } => self.lost(*run, *recorded, &why),
            Answer::Recovered { run, unfinished, found } => self.recovered(*run, unfinished, found),
            Answer::NextRound(element, next) => self.observed_round(element, next),
            Answer::Found { run, found } => self.found(*run, found),
            Answer::Kept { attempt, result, failed } => self.kept(attempt, *result, failed),
            Answer::Generated(element, Ok(generated)) => self.plan.generated(element, generated),
            Answer::Generated(element, Err(failure)) => self.element_failed(element, failure),
        }
    }

    fn element_failed(&mut self, element: ElementRef, failure: Failure) {
        self.note_failure(format!("step {}", self.plan.element_path(element)), failure);
        self.plan.failed(element);
    }

    /// The next tool starts while the outputs of this one are collected, unless collecting falls behind.
    fn tool_ended(&mut self, attempt: AttemptId) {
        let Some((_, granted)) = self.running.get(&attempt) else { return };
        if self.finishing.len() < self.admission.running() && !self.finishing.contains(&attempt) {
            self.admission.release(granted);
            self.finishing.insert(attempt);
        }
    }

    fn finished(&mut self, attempt: AttemptId, outcome: Outcome) {
        let Some((mut entry, granted)) = self.running.remove(&attempt) else { return };
        if !self.finishing.remove(&attempt) {
            self.admission.release(&granted);
        }
        match outcome {
            // What is not recorded has not happened.
            Outcome::Done(_) if self.refusal.is_some() => {}
            Outcome::Done(result) => match entry.cache_key.take() {
                Some(key) => self.keep(attempt, entry, key, result),
                None => self.done(attempt, entry, result),
            },
            Outcome::Failed(failure) => self.attempt_failed(attempt, entry, granted, Arc::from(failure)),
        }
    }

    fn done(&mut self, attempt: AttemptId, entry: Entry, result: JobResult) {
        let name = Arc::clone(&entry.job.name);
        self.succeeded(attempt, name, entry.step, entry.element, result);
    }

    fn succeeded(
        &mut self,
        attempt: AttemptId,
        name: Arc<str>,
        step: Arc<str>,
        element: ElementRef,
        result: JobResult,
    ) {
        // What depends on it is recorded after it, so that nothing needs to wait here.
        if let Some(journal) = &mut self.helpers.journal {
            let record = Record::JobFinished { attempt: attempt.clone(), result: result.clone() };
            journal.add_work(record, result.usage.wall);
        }
        let (status, usage) = (Status::Success, Some(result.usage));
        self.plan_event(Event::JobFinished { attempt, name, step, status, usage });
        self.learn(&result.outputs);
        self.updates.learn(&result.updates);
        self.plan.finished(element, result.outputs);
    }

    fn attempt_failed(
        &mut self,
        attempt: AttemptId,
        mut entry: Entry,
        granted: Resources,
        failure: Arc<Failure>,
    ) {
        let again = match self.stopping {
            true => None,
            false => self.policy.retry.after(&failure.kind, &mut entry.tries, granted, &self.policy.capacity),
        };
        if let Some(journal) = &mut self.helpers.journal {
            journal.add(Record::AttemptFailed {
                attempt: attempt.clone(),
                failure: (*failure).clone(),
                retry: again.map(|(wait, _)| wait.as_secs_f64()),
            });
        }
        self.plan_event(Event::JobFailed {
            attempt,
            name: Arc::clone(&entry.job.name),
            step: Arc::clone(&entry.step),
            failure: Arc::clone(&failure),
            retry: again.map(|(wait, resources)| Retry {
                wait: wait.as_secs_f64(),
                number: Some(self.policy.retry.number(&failure.kind, &entry.tries)),
                more: (resources != granted).then_some(resources),
            }),
        });
        match again {
            Some((wait, resources)) => {
                self.delayed.push(Delayed { at: Instant::now() + wait, entry, resources });
            }
            None => self.give_up(&entry, failure),
        }
    }

    fn give_up(&mut self, entry: &Entry, failure: Arc<Failure>) {
        if failure.kind != FailureKind::Cancelled {
            self.failures.push((format!("job {}", entry.job.name), failure));
        }
        self.plan.failed(entry.element);
        if self.policy.stop_on_first_failure {
            self.stop();
        }
    }

    /// Starts nothing more and cancels what runs; each attempt is still reported.
    fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.admission.drain();
        self.unrecorded.clear();
        self.delayed.clear();
        if self.refusal.is_some() || self.leaving {
            return;
        }
        let running: Vec<AttemptId> = self.running.keys().cloned().collect();
        self.helpers.executor.cancel(&running);
    }
}
