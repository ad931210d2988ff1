//! The leader with an executor that does as it is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moil_cwl::expression::Limits;
use moil_cwl::ontology::LazyOntology;
use moil_cwl::process_inputs::InputOptions;
use moil_cwl::resource_request::Defaults;
use moil_cwl::value::Value;
use moil_engine::admission::Capacity;
use moil_engine::caching::Cached;
use moil_engine::evaluator::{Evaluators, Settings};
use moil_engine::graph::Node;
use moil_engine::journal::Journal;
use moil_engine::keying::Keying;
use moil_engine::leader::{Helpers, Leader, Message, Policy, RunEnd};
use moil_engine::memo::Memo;
use moil_engine::plan::Plan;
use moil_engine::retry::RetryPolicy;
use moil_job::event::{Event, Status};
use moil_job::exchange::Exchange;
use moil_job::executor::{Executor, Report};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::result::{JobResult, Outcome, Usage};
use moil_job::secret::SecretStore;
use moil_job::spec::{Attempt, AttemptId, JobId};
use moil_job::store::{Store, StoreError};

use super::fixture::{Memory, load, node, outputs, values};

/// What the executor does with an attempt.
pub enum Act {
    /// Reports that it is done.
    Done,
    /// Reports a failure.
    Fail(FailureKind),
    /// Reports that it is done, twice, and a job that nobody knows.
    DoneTwice,
    /// Runs until it is cancelled.
    Hold,
    /// Runs, and is never heard of again.
    Silence,
    /// Sends a message to the leader, and runs until it is cancelled.
    Send(Vec<Message>),
}

/// What a run was, and how it went.
pub struct Case {
    pub node: Arc<Node>,
    pub inputs: &'static str,
    pub policy: Policy,
    pub store: Arc<FakeStore>,
    /// What an earlier leader recorded.
    pub recorded: Vec<Record>,
    /// Where results of workers elsewhere lie.
    pub exchange: Option<Arc<dyn Exchange>>,
    /// The attempts of an earlier leader that the executor knows, by their words; it reports them done.
    pub at_work: Vec<&'static str>,
    /// Makes keys; none where it is `None`.
    pub keys: Option<Arc<Keying>>,
    /// A call cache.
    pub cache: Option<Cached>,
    pub act: Box<dyn FnMut(&Attempt) -> Act + Send>,
}

pub struct Ended {
    /// `submit a#1`, `cancel a#1`, `attach 1-a/a#1`, `leave`, `shut down`.
    pub log: Vec<String>,
    /// `output JSON` or `failed`, and what failed.
    pub end: String,
    pub failures: Vec<String>,
    pub interrupted: bool,
    pub refusal: Option<StoreError>,
    /// Memory granted to each attempt.
    pub memory: Vec<u64>,
    /// `started a#1`, `finished a#1`, `failed a#1`.
    pub events: Vec<String>,
}

/// A journal that refuses its n-th group.
#[derive(Default)]
pub struct FakeStore {
    pub refuse_from: Option<usize>,
    pub fenced: bool,
    pub groups: Mutex<Vec<Vec<Record>>>,
    pub refused: AtomicBool,
    pub asked_again: AtomicBool,
}

impl Store for FakeStore {
    fn is_durable(&self) -> bool {
        true
    }

    fn append(&self, group: &[Record]) -> Result<(), StoreError> {
        let mut groups = self.groups.lock().expect("not poisoned");
        if self.refuse_from.is_some_and(|from| groups.len() >= from) {
            if self.refused.swap(true, Ordering::SeqCst) {
                self.asked_again.store(true, Ordering::SeqCst);
            }
            return Err(match self.fenced {
                true => StoreError::Fenced { leader: "other:7".into() },
                false => StoreError::Failed { operation: "append".into(), reason: "disk full".into() },
            });
        }
        groups.push(group.to_vec());
        Ok(())
    }
}

struct Fake {
    at_work: Vec<&'static str>,
    act: Box<dyn FnMut(&Attempt) -> Act + Send>,
    held: HashMap<AttemptId, ()>,
    log: Vec<String>,
    memory: Vec<u64>,
    reply: Sender<Message>,
}

impl Fake {
    fn report(&self, id: &AttemptId, outcome: Outcome) {
        _ = self.reply.send(Message::Report(Report::Finished(id.clone(), outcome)));
    }
}

pub fn done(id: &AttemptId) -> Outcome {
    let outputs = outputs(Value::string(id.to_string()));
    Outcome::Done(JobResult {
        outputs,
        exit_code: 0,
        usage: Usage::default(),
        updates: Vec::new(),
        logs: Vec::new(),
    })
}

fn failed(kind: FailureKind) -> Outcome {
    Outcome::Failed(Box::new(Failure::new(kind, "it failed")))
}

impl Executor for Fake {
    fn submit(&mut self, attempts: Vec<Attempt>) {
        for attempt in attempts {
            self.log.push(format!("submit {}", attempt.id));
            self.memory.push(attempt.granted.ram_mib);
            match (self.act)(&attempt) {
                Act::Done => self.report(&attempt.id, done(&attempt.id)),
                Act::Fail(kind) => self.report(&attempt.id, failed(kind)),
                Act::DoneTwice => {
                    self.report(&attempt.id, done(&attempt.id));
                    self.report(&attempt.id, failed(FailureKind::Lost));
                    let unknown = AttemptId { job: JobId("nobody".into()), number: 3 };
                    self.report(&unknown, done(&unknown));
                }
                Act::Hold => _ = self.held.insert(attempt.id, ()),
                Act::Silence => {}
                Act::Send(messages) => {
                    self.held.insert(attempt.id, ());
                    messages.into_iter().for_each(|message| _ = self.reply.send(message));
                }
            }
        }
    }

    fn cancel(&mut self, attempts: &[AttemptId]) {
        for id in attempts {
            self.log.push(format!("cancel {id}"));
            if self.held.remove(id).is_some() {
                self.report(id, failed(FailureKind::Cancelled));
            }
        }
    }

    fn attach(&mut self, word: &str, attempt: &AttemptId) -> bool {
        self.log.push(format!("attach {word}"));
        let known = self.at_work.contains(&word);
        if known {
            self.report(attempt, done(attempt));
        }
        known
    }

    fn leave(&mut self) {
        self.log.push("leave".to_owned());
    }

    fn shut_down(&mut self) {
        self.log.push("shut down".to_owned());
    }
}

pub const POLICY: Policy = Policy {
    capacity: Capacity { cores: 8.0, ram_mib: 4096, disk_mib: 1 << 20, gpus: 0, jobs: 8 },
    retry: RetryPolicy {
        count: 2,
        losses: 3,
        backoff: Duration::from_millis(1),
        factor: 2.0,
        double_memory: true,
    },
    stop_on_first_failure: false,
};

/// A run of `a`, `b` after it, and `c`.
pub const STEPS: &str = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: b/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o]}
  b: {run: TOOL, in: {i: a/o}, out: [o]}
  c: {run: TOOL, in: {i: x}, out: [o]}
";

/// Gives what depends on its inputs alone, as tools do.
pub const SCATTER: &str = "
class: Workflow
inputs: {x: {type: {type: array, items: int}}}
outputs: {r: {type: Any, outputSource: b/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o], scatter: i}
  b: {run: TOOL, in: {i: a/o}, out: [o]}
";

impl Case {
    pub fn new(text: &str, act: impl FnMut(&Attempt) -> Act + Send + 'static) -> Self {
        let store = Arc::default();
        Self {
            node: node(text),
            inputs: r#"{"x": [1, 2, 3]}"#,
            policy: POLICY,
            store,
            recorded: Vec::new(),
            exchange: None,
            at_work: Vec::new(),
            keys: None,
            cache: None,
            act: Box::new(act),
        }
    }

    /// Runs it; a run that takes two minutes hangs.
    pub fn run(self) -> Ended {
        let (ended, wait) = channel();
        std::thread::spawn(move || ended.send(self.lead()));
        wait.recv_timeout(Duration::from_secs(120)).expect("the leader hangs or panicked")
    }

    fn lead(self) -> Ended {
        let (sender, messages) = channel();
        let secrets = Arc::new(SecretStore::new(&[7; 32]));
        let settings = Settings {
            limits: Limits::default(),
            console: None,
            files: Box::new(Memory(String::new())),
            defaults: Defaults::default(),
            inputs: InputOptions {
                ontology: Arc::new(LazyOntology::new(Vec::new())),
                fetch: Arc::new(Memory(String::new())),
            },
            secrets: Arc::clone(&secrets),
            load: Box::new(load),
            keys: self.keys.clone(),
            exchange: self.exchange.clone(),
            cache: self.cache.clone(),
            loop_limit: 5,
            threads: 2,
        };
        let evaluators = Evaluators::start(settings, &sender).expect("threads");
        let journal = Journal::start(self.store, sender.clone()).expect("a thread");
        let mut executor = Fake {
            at_work: self.at_work,
            act: self.act,
            held: HashMap::new(),
            log: Vec::new(),
            memory: Vec::new(),
            reply: sender,
        };
        let mut events = Vec::new();
        let mut hear = |event: &Event| match event {
            Event::JobStarted { attempt, .. } => events.push(format!("started {attempt}")),
            Event::JobFinished { attempt, status: Status::Reused, .. } => {
                events.push(format!("reused {attempt}"))
            }
            Event::JobFinished { attempt, .. } => events.push(format!("finished {attempt}")),
            Event::JobFailed { attempt, .. } => events.push(format!("failed {attempt}")),
            _ => {}
        };
        let plan = Plan::new(self.node, values(self.inputs));
        let helpers = Helpers {
            evaluators: &evaluators,
            executor: &mut executor,
            secrets,
            journal: Some(journal),
            memo: Memo::of(self.recorded.into_iter().map(|record| ("1-a".into(), record))),
            exchange: self.exchange,
            keys: self.keys,
            cache: self.cache,
            events: &mut hear,
        };
        let RunEnd { outputs, failures, interrupted, refusal } =
            Leader::new(plan, self.policy, helpers).run(&messages);
        Ended {
            log: executor.log,
            memory: executor.memory,
            end: outputs.map_or_else(|| "failed".to_owned(), |value| moil_cwl::print::compact(&value)),
            failures: failures.iter().map(|(what, failure)| format!("{what}: {}", failure.message)).collect(),
            interrupted,
            refusal,
            events,
        }
    }
}

const TOOL: &str = "class: CommandLineTool\nbaseCommand: x\ninputs: {x: Any}\noutputs: {o: Any}";

fn is(attempt: &Attempt, id: &str) -> bool {
    attempt.id.to_string() == id
}

const TOOL_FAILED: FailureKind = FailureKind::ToolFailed { exit_code: 1, temporary: false };

#[test]
fn a_run_submits_each_job_once_and_shuts_down() {
    let ended = Case::new(STEPS, |_| Act::Done).run();
    assert_eq!(ended.end, r#"{"r":"b#1"}"#);
    let mut submitted = ended.log.clone();
    submitted.sort();
    assert_eq!(submitted, ["shut down", "submit a#1", "submit b#1", "submit c#1"]);
    assert_eq!(ended.log.last().map(String::as_str), Some("shut down"));
    assert_eq!(ended.failures, [""; 0]);
}

#[test]
fn a_failed_job_is_tried_again_under_a_new_number() {
    let act = |attempt: &Attempt| if attempt.id.number < 3 { Act::Fail(TOOL_FAILED) } else { Act::Done };
    let ended = Case::new(STEPS, act).run();
    assert_eq!(ended.end, r#"{"r":"b#3"}"#);
    let of_a: Vec<&String> = ended.log.iter().filter(|line| line.contains(" a#")).collect();
    assert_eq!(of_a, ["submit a#1", "submit a#2", "submit a#3"]);
    assert_eq!(ended.failures, [""; 0]);
}

#[test]
fn tries_are_finite_and_the_last_failure_is_told_once() {
    let act = |attempt: &Attempt| if &*attempt.job.id.0 == "a" { Act::Fail(TOOL_FAILED) } else { Act::Done };
    let ended = Case::new(STEPS, act).run();
    assert_eq!((ended.end.as_str(), ended.failures), ("failed", vec!["job a: it failed".to_owned()]));
    assert_eq!(ended.log.iter().filter(|line| line.contains("submit a#")).count(), 3);
    assert!(!ended.log.iter().any(|line| line.contains("submit b#")), "b needs a");
    assert!(ended.log.iter().any(|line| line.contains("submit c#1")), "c does not");
}

#[test]
fn losses_have_tries_of_their_own() {
    let act = |attempt: &Attempt| match attempt.id.number {
        1..=3 => Act::Fail(FailureKind::Lost),
        4..=5 => Act::Fail(TOOL_FAILED),
        _ => Act::Done,
    };
    let ended = Case::new(TOOL, act).run();
    assert_eq!(ended.end, r#"{"o":"main.cwl#6"}"#);
    let lost = |_: &Attempt| Act::Fail(FailureKind::Lost);
    let ended = Case::new(TOOL, lost).run();
    assert_eq!((ended.end.as_str(), ended.memory.len()), ("failed", 4));
}

#[test]
fn a_job_that_ran_out_of_memory_gets_twice_as_much_each_time() {
    let act = |attempt: &Attempt| match attempt.id.number {
        1..=2 => Act::Fail(FailureKind::OutOfMemory),
        _ => Act::Done,
    };
    let ended = Case::new(TOOL, act).run();
    assert_eq!((ended.memory, ended.end.as_str()), (vec![256, 512, 1024], r#"{"o":"main.cwl#3"}"#));
}

#[test]
fn a_job_that_needs_more_memory_than_there_is_gets_all_of_it_once() {
    let mut case = Case::new(TOOL, |_| Act::Fail(FailureKind::OutOfMemory));
    case.policy.capacity.ram_mib = 600;
    let ended = case.run();
    assert_eq!((ended.memory, ended.end.as_str()), (vec![256, 512, 600], "failed"));
}

#[test]
fn reports_that_come_twice_or_from_nobody_change_nothing() {
    let ended = Case::new(STEPS, |_| Act::DoneTwice).run();
    assert_eq!(ended.end, r#"{"r":"b#1"}"#);
    assert_eq!(ended.events.iter().filter(|event| event.starts_with("finished")).count(), 3);
    assert_eq!(ended.memory.len(), 3, "nothing runs twice");
}

#[test]
fn a_job_that_never_fits_fails_by_itself() {
    let text = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: b/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o], requirements: {ResourceRequirement: {coresMin: 9}}}
  b: {run: TOOL, in: {i: x}, out: [o]}
";
    let ended = Case::new(text, |_| Act::Done).run();
    assert_eq!(ended.log, ["submit b#1", "shut down"]);
    assert_eq!(
        ended.failures,
        ["job a: job a asks for 9 cores, but only 8 may be used here (see --maxCores, --scale)"]
    );
}

#[test]
fn room_for_less_than_one_job_is_room_for_one() {
    let mut case = Case::new(STEPS, |_| Act::Done);
    case.policy.capacity.jobs = 0;
    assert_eq!(case.run().end, r#"{"r":"b#1"}"#);
}

#[test]
fn a_large_scatter_runs_each_element_once() {
    let text = "
class: Workflow
inputs: {x: {type: {type: array, items: int}}}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o], scatter: i}
";
    let list: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let mut case = Case::new(text, |attempt| {
        if attempt.id.number == 1 && attempt.id.job.0.contains('7') {
            Act::Fail(FailureKind::Lost)
        } else {
            Act::Done
        }
    });
    case.inputs = Box::leak(format!(r#"{{"x": [{}]}}"#, list.join(", ")).into_boxed_str());
    let ended = case.run();
    let mut submitted: Vec<&String> = ended.log.iter().filter(|line| line.starts_with("submit")).collect();
    assert_eq!(submitted.len(), 1000 + 271);
    submitted.sort();
    submitted.dedup();
    assert_eq!(submitted.len(), 1000 + 271);
    assert!(ended.end.contains("\"a[7]#2\"") && ended.end.contains("\"a[8]#1\""), "{}", ended.end);
}

#[test]
fn a_cancelled_attempt_that_finished_first_is_no_failure() {
    let ended = Case::new(STEPS, |attempt| match is(attempt, "a#1") {
        true => Act::Fail(FailureKind::Cancelled),
        false => Act::Done,
    })
    .run();
    assert_eq!((ended.end.as_str(), ended.failures.len()), ("failed", 0));
}
