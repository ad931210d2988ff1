//! The threads that evaluate: they merge the sources of steps, prepare
//! elements and run expression tools. Pure work, one evaluator per thread.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use moil_cwl::canonical;
use moil_cwl::expression::{Context, Evaluator, Limits, Listener};
use moil_cwl::expression_tool;
use moil_cwl::files::Files;
use moil_cwl::inherit::Effective;
use moil_cwl::prepare;
use moil_cwl::process_inputs::{self, InputOptions};
use moil_cwl::resource_request::{self, Defaults};
use moil_cwl::scatter::Scatter;
use moil_cwl::value::{Value, ValueMap};
use moil_job::exchange::Exchange;
use moil_job::failure::{Failure, FailureKind};
use moil_job::resources::Resources;
use moil_job::result::{JobResult, Outcome};
use moil_job::secret::SecretStore;
use moil_job::spec::AttemptId;

use crate::caching::{self, Cached};
use crate::generator::{Generated, Generator, Load};
use crate::graph::{Body, Node};
use crate::keying::Keying;
use crate::leader::Message;
use crate::memo::{self, Recorded, Unfinished};
use crate::plan::{ElementRef, Prepared, Run, StepInputs, StepRef};
use crate::replay::{self, Evaluated};

/// What evaluators are asked for; see [`crate::plan::Command`].
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of the commands")]
pub enum Task {
    /// Merge the sources of a step.
    Merge { step: StepRef, node: Arc<Node>, sources: Vec<Vec<Value>> },
    /// Prepare an element.
    Prepare { element: ElementRef, node: Arc<Node>, body: Body, inputs: StepInputs, round: u32 },
    /// Find the next round of a loop.
    NextRound { element: ElementRef, node: Arc<Node>, inputs: ValueMap, outputs: Value, rounds: u32 },
    /// Find out whether a recorded result still exists.
    Verify { run: Box<Run>, recorded: Box<Recorded> },
    /// Ask for the result of an attempt of an earlier leader.
    Recover { run: Box<Run>, unfinished: Unfinished, word: String },
    /// Give what an earlier leader recorded of an element its key.
    Key { element: ElementRef, body: Body, prepared: Prepared },
    /// Find the result of a job in the call cache.
    Find { run: Box<Run> },
    /// Keep a result in the call cache.
    Keep { attempt: AttemptId, key: String, result: Box<JobResult> },
    /// Load the process that a generator made.
    Generate { element: ElementRef, generator: Arc<Generator>, given: ValueMap, outputs: Value },
}

/// What they answer.
#[derive(Debug)]
pub enum Answer {
    /// To [`Task::Merge`].
    Merged(StepRef, Result<StepInputs, Failure>),
    /// To [`Task::Merge`], where the step is not scattered: with what preparing its only element gave.
    MergedAndPrepared(StepRef, StepInputs, Body, Observed<Prepared>),
    /// To [`Task::Prepare`] and [`Task::Key`].
    Prepared(ElementRef, Observed<Prepared>),
    /// To [`Task::NextRound`]: `None` when the loop is over.
    NextRound(ElementRef, Observed<Option<ValueMap>>),
    /// To [`Task::Verify`]: what is missing, if the result cannot be used.
    #[expect(missing_docs, reason = "the fields are those of the task")]
    Verified { run: Box<Run>, recorded: Box<Recorded>, missing: Option<String> },
    /// To [`Task::Recover`].
    #[expect(missing_docs, reason = "the fields are those of the task")]
    Recovered { run: Box<Run>, unfinished: Unfinished, found: Found },
    /// To [`Task::Find`]: the result, if there is one, or why the cache cannot be used.
    #[expect(missing_docs, reason = "the fields are those of the task")]
    Found { run: Box<Run>, found: Result<Option<Box<JobResult>>, String> },
    /// To [`Task::Keep`]: the result with its files in the cache, or as it was and why it could not be kept.
    #[expect(missing_docs, reason = "the fields are those of the task")]
    Kept { attempt: AttemptId, result: Box<JobResult>, failed: Option<String> },
    /// To [`Task::Generate`].
    Generated(ElementRef, Result<Generated, Failure>),
}

/// What is found of an attempt of an earlier leader.
#[derive(Debug)]
pub enum Found {
    /// No result.
    Nothing,
    /// A result that can be used.
    Result(Box<JobResult>),
    /// Why it failed.
    Failed(Box<Failure>),
    /// A result that cannot be used, and why.
    Spoilt(String),
}

/// What an evaluation gave, and, where it would give something else another time and that matters, how it is recorded.
pub type Observed<T> = (Result<T, Failure>, Option<Evaluated>);

/// What evaluators need to know of the run.
pub struct Settings {
    /// Limits of one evaluation.
    pub limits: Limits,
    /// Told what expressions write; without it they have no console.
    pub console: Option<Listener>,
    /// How files are seen.
    pub files: Box<dyn Files + Send>,
    /// What a job gets where its document does not say.
    pub defaults: Defaults,
    /// How input objects are checked.
    pub inputs: InputOptions,
    /// The secrets of the run.
    pub secrets: Arc<SecretStore>,
    /// How the documents of generated processes are loaded.
    pub load: Box<Load>,
    /// Makes the keys of jobs; `None` where nothing is recorded.
    pub keys: Option<Arc<Keying>>,
    /// Where workers in other processes leave results; `None` where there never were any.
    pub exchange: Option<Arc<dyn Exchange>>,
    /// The call cache.
    pub cache: Option<Cached>,
    /// `--cwl-loop-iteration-limit`.
    pub loop_limit: u32,
    /// How many threads evaluate.
    pub threads: usize,
}

/// The threads. Dropping this ends them; nobody waits for one that still evaluates, since it changes nothing.
pub struct Evaluators {
    queue: Arc<Queue>,
}

/// What is to be done. One thread is woken for each task, not one after the other as with a channel behind a lock.
#[derive(Default)]
struct Queue {
    tasks: Mutex<VecDeque<Task>>,
    added: Condvar,
    stop: AtomicBool,
}

impl Queue {
    fn tasks(&self) -> MutexGuard<'_, VecDeque<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The next task; `None` when there will be none.
    fn next(&self) -> Option<Task> {
        let mut tasks = self.tasks();
        loop {
            if self.is_stopped() {
                return None;
            }
            if let Some(task) = tasks.pop_front() {
                return Some(task);
            }
            tasks = self.added.wait(tasks).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Stacks are large, since JavaScript libraries recurse.
const STACK: usize = 64 << 20;

impl Evaluators {
    /// Starts the threads; answers go to `reply`.
    ///
    /// # Errors
    /// The system's, where it gives no threads.
    pub fn start(settings: Settings, reply: &Sender<Message>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let settings = Arc::new(settings);
        for number in 0..settings.threads.max(1) {
            let (queue, settings, reply) = (Arc::clone(&queue), Arc::clone(&settings), reply.clone());
            std::thread::Builder::new()
                .name(format!("evaluator-{number}"))
                .stack_size(STACK)
                .spawn(move || work(&queue, &settings, &reply))?;
        }
        Ok(Self { queue })
    }

    /// Hands a task to the next free thread.
    pub fn submit(&self, task: Task) {
        self.queue.tasks().push_back(task);
        self.queue.added.notify_one();
    }
}

impl Drop for Evaluators {
    fn drop(&mut self) {
        // Under the lock, so that no thread is between looking and waiting.
        let tasks = self.queue.tasks();
        self.queue.stop.store(true, Ordering::Relaxed);
        drop(tasks);
        self.queue.added.notify_all();
    }
}

fn work(queue: &Arc<Queue>, settings: &Settings, reply: &Sender<Message>) {
    let evaluator = Evaluator::new(settings.limits);
    evaluator.listen(settings.console.clone());
    let stopped = Arc::clone(queue);
    evaluator.stop_when(Some(Box::new(move || stopped.is_stopped())));
    let worker = Worker { evaluator: &evaluator, settings };
    while let Some(task) = queue.next() {
        let answer = worker.answer(task);
        if reply.send(Message::Answer(Box::new(answer))).is_err() {
            return;
        }
    }
}

struct Worker<'a> {
    evaluator: &'a Evaluator,
    settings: &'a Settings,
}

impl Worker<'_> {
    fn answer(&self, task: Task) -> Answer {
        match task {
            Task::Merge { step, node, sources } => {
                let merge = || self.merge(&node, &sources).map(|inputs| (inputs, node.body()));
                match guarded(merge) {
                    // Nothing else can come next: a way to the leader and back is saved.
                    Ok((inputs, body)) if inputs.scatter.is_none() => {
                        let prepared = self.observe_prepare(&node, &body, &inputs, 0, 0);
                        Answer::MergedAndPrepared(step, inputs, body, prepared)
                    }
                    Ok((inputs, _)) => Answer::Merged(step, Ok(inputs)),
                    Err(failure) => Answer::Merged(step, Err(failure)),
                }
            }
            Task::Prepare { element, node, body, inputs, round } => {
                let prepared = self.observe_prepare(&node, &body, &inputs, element.element, round);
                Answer::Prepared(element, prepared)
            }
            Task::Key { element, body, prepared } => {
                Answer::Prepared(element, (guarded(|| self.with_key(&body, prepared)), None))
            }
            Task::NextRound { element, node, inputs, outputs, rounds } => {
                Answer::NextRound(element, self.observe_next_round(&node, &inputs, &outputs, rounds))
            }
            Task::Verify { run, recorded } => {
                let verify = || Ok(memo::missing(&recorded.result.outputs, &*self.settings.files)?);
                let missing = guarded(verify).unwrap_or_else(|failure| Some(failure.message));
                Answer::Verified { run, recorded, missing }
            }
            Task::Recover { run, unfinished, word } => {
                let found = guarded(|| self.recover(&unfinished, &word));
                let found = found.unwrap_or_else(|failure| Found::Spoilt(failure.message));
                Answer::Recovered { run, unfinished, found }
            }
            Task::Find { run } => {
                let find = || match (&self.settings.cache, &run.cache_key) {
                    (Some(cache), Some(key)) => Ok(cache.find(key, &*self.settings.files)?.map(Box::new)),
                    _ => Ok(None),
                };
                let found = guarded(find).map_err(|failure| caching::words(&failure));
                Answer::Found { run, found }
            }
            Task::Keep { attempt, key, result } => {
                let keep = || match &self.settings.cache {
                    Some(cache) => cache.keep(&key, &result, &*self.settings.files),
                    None => Ok(None),
                };
                match guarded(keep) {
                    Ok(kept) => Answer::Kept { attempt, result: kept.map_or(result, Box::new), failed: None },
                    Err(failure) => Answer::Kept { attempt, result, failed: Some(caching::words(&failure)) },
                }
            }
            Task::Generate { element, generator, given, outputs } => {
                let generate = || generator.generate(&given, &outputs, &*self.settings.load);
                Answer::Generated(element, guarded(generate))
            }
        }
    }

    fn recover(&self, unfinished: &Unfinished, word: &str) -> Result<Found, Failure> {
        let Some(exchange) = &self.settings.exchange else { return Ok(Found::Nothing) };
        Ok(match exchange.outcome(word, &unfinished.attempt)? {
            None => Found::Nothing,
            Some(Outcome::Failed(failure)) => Found::Failed(failure),
            Some(Outcome::Done(result)) => match memo::missing(&result.outputs, &*self.settings.files)? {
                None => Found::Result(Box::new(result)),
                Some(missing) => Found::Spoilt(missing),
            },
        })
    }

    fn merge(&self, node: &Node, sources: &[Vec<Value>]) -> Result<StepInputs, Failure> {
        let step = node.step().ok_or_else(no_step)?;
        let values = prepare::step_inputs(step, sources, &*self.settings.files)?;
        let scatter = Scatter::new(step, &values)?.map(Arc::new);
        Ok(StepInputs { values: Arc::new(values), scatter })
    }

    fn observe_prepare(
        &self,
        node: &Node,
        body: &Body,
        inputs: &StepInputs,
        element: usize,
        round: u32,
    ) -> Observed<Prepared> {
        let prepare = || guarded(|| self.prepare(node, body, inputs, element, round));
        let (prepared, repeatable) = self.evaluator.observe(prepare);
        let what = match &self.settings.keys {
            Some(keys) if !repeatable => {
                let expression = match body {
                    Body::Expression(tool, _) => Some(&tool.expression),
                    _ => None,
                };
                let step = (node.step(), &*node.effective);
                let process = Some((body.common(), &**body.effective()));
                let given = match &inputs.scatter {
                    Some(scatter) => scatter.pick(&inputs.values, element),
                    None => (*inputs.values).clone(),
                };
                let defaults = format!("{:?}", self.settings.defaults);
                let round = format!("prepare {round}");
                canonical::preparation(step, process, expression)
                    .and_then(|text| self.name(keys, &[&round, &text, &defaults], Value::map(given)))
            }
            _ => None,
        };
        let value = |what| Evaluated { what, value: prepared.as_ref().ok().map(replay::written) };
        let evaluated = what.map(value);
        let with_key = prepared.and_then(|prepared| guarded(|| self.with_key(body, prepared)));
        (with_key, evaluated)
    }

    fn observe_next_round(
        &self,
        node: &Node,
        inputs: &ValueMap,
        outputs: &Value,
        rounds: u32,
    ) -> Observed<Option<ValueMap>> {
        let next = || guarded(|| self.next_round(node, inputs, outputs, rounds));
        let (next, repeatable) = self.evaluator.observe(next);
        let what = match &self.settings.keys {
            Some(keys) if !repeatable => {
                let values = [("inputs", Value::map(inputs.clone())), ("outputs", outputs.clone())];
                let rounds = format!("round {rounds}");
                canonical::preparation((node.step(), &node.effective), None, None)
                    .and_then(|text| self.name(keys, &[&rounds, &text], replay::seen(values)))
            }
            _ => None,
        };
        let value = next.as_ref().ok().map(|inputs| replay::written_round(inputs.as_ref()));
        (next, what.map(|what| Evaluated { what, value }))
    }

    fn name(&self, keys: &Keying, texts: &[&str], values: Value) -> Option<String> {
        keys.evaluation(texts, &values, &self.settings.secrets.mentioned(&values))
    }

    /// Gives a job its key, where jobs have keys.
    fn with_key(&self, body: &Body, prepared: Prepared) -> Result<Prepared, Failure> {
        Ok(match (prepared, body) {
            (Prepared::Job { inputs, resources, round, .. }, Body::Tool(tool)) => {
                let secrets = self.settings.secrets.mentioned(&inputs);
                let context = self.context(&inputs, body.effective());
                let key = match &self.settings.keys {
                    Some(keys) => Some(keys.key(tool, &context, &secrets, resources)?),
                    None => None,
                };
                let cache_key = match &self.settings.cache {
                    // What a tool made of secrets does not outlive the run.
                    Some(cache) if secrets.is_empty() => {
                        cache.keys.key(tool, &context, &secrets, resources)?.ok().map(|key| key.hash)
                    }
                    _ => None,
                };
                Prepared::Job { inputs, resources, key, cache_key, round }
            }
            (prepared, _) => prepared,
        })
    }

    /// The keys of jobs are left out.
    fn prepare(
        &self,
        node: &Node,
        body: &Body,
        inputs: &StepInputs,
        element: usize,
        round: u32,
    ) -> Result<Prepared, Failure> {
        let files = &*self.settings.files;
        // The inputs of later rounds are complete: valueFrom and scatter are over.
        let mut given = match node.step() {
            Some(step) if round == 0 => {
                let scatter = inputs.scatter.as_deref().map(|scatter| (scatter, element));
                let prepared = prepare::element_inputs(
                    step,
                    &inputs.values,
                    scatter,
                    self.evaluator,
                    &node.effective,
                    files,
                )?;
                if prepared.skipped {
                    return Ok(Prepared::Skipped);
                }
                prepared.inputs
            }
            _ => (*inputs.values).clone(),
        };
        let is_loop = node.step().is_some_and(|step| step.loop_.is_some());
        let effective = body.effective();
        // Before anything is checked, since messages show values; and again for what defaults brought.
        let own = [&node.effective, effective].map(|effective| effective.secrets.as_deref());
        for names in own.into_iter().flatten() {
            self.settings.secrets.hide_inputs(names, &mut given)?;
        }
        let own_ontology = node.ontology().map(|ontology| InputOptions {
            ontology: Arc::clone(ontology),
            fetch: Arc::clone(&self.settings.inputs.fetch),
        });
        let complete = process_inputs::process_inputs(
            body.common(),
            effective,
            &given,
            self.evaluator,
            files,
            own_ontology.as_ref().unwrap_or(&self.settings.inputs),
            node.is_outermost,
        )?;
        let mut inputs = complete.inputs;
        if let (Some(names), Some(complete)) = (&effective.secrets, inputs.as_map()) {
            let mut complete = complete.clone();
            self.settings.secrets.hide_inputs(names, &mut complete)?;
            inputs = Value::map(complete);
        }
        refuse_unknown(effective)?;
        let round = is_loop.then(|| given.clone());
        match body {
            Body::Tool(_) => {
                let context = self.context(&inputs, effective);
                let request = resource_request::request(effective, &context, self.settings.defaults)?;
                let resources = Resources {
                    cores: request.cores,
                    ram_mib: request.ram_mib,
                    tmpdir_mib: request.tmpdir_mib,
                    outdir_mib: request.outdir_mib,
                    gpus: request
                        .gpus
                        .as_ref()
                        .map_or(0, |gpus| u32::try_from(gpus.count).unwrap_or(u32::MAX)),
                };
                Ok(Prepared::Job { inputs, resources, key: None, cache_key: None, round })
            }
            Body::Workflow(_) => Ok(Prepared::Workflow { inputs, round }),
            Body::Generator(_) => {
                // What it does not declare may be for the process that it makes.
                let mut all = given;
                all.extend(inputs.as_map().cloned().unwrap_or_default());
                Ok(Prepared::Generator { inputs: all, round })
            }
            Body::Expression(tool, effective) => {
                let context = self.context(&inputs, effective);
                let request = resource_request::request(effective, &context, self.settings.defaults)?;
                // An expression has no directories of its own.
                let runtime = resource_request::runtime(&request, "", "");
                let outputs = expression_tool::run(tool, effective, &inputs, self.evaluator, &runtime)?;
                Ok(Prepared::Outputs { outputs, round })
            }
            Body::Operation(process, _) => {
                let id = &process.common().id;
                Err(unsupported(&process.common().place, format!("running the Operation {id}")))
            }
        }
    }

    fn next_round(
        &self,
        node: &Node,
        inputs: &ValueMap,
        outputs: &Value,
        rounds: u32,
    ) -> Result<Option<ValueMap>, Failure> {
        let step = node.step().ok_or_else(no_step)?;
        let Some(loop_) = &step.loop_ else { return Ok(None) };
        let next = prepare::next_round(
            loop_,
            step,
            inputs,
            outputs,
            self.evaluator,
            &node.effective,
            &*self.settings.files,
        )?;
        if next.is_some() && rounds >= self.settings.loop_limit {
            let message = format!("the loop of step {} has not ended after {rounds} rounds", step.name);
            return Err(Failure::new(FailureKind::BadInput, message)
                .with_advice("raise --cwl-loop-iteration-limit, or look at the condition of the loop"));
        }
        Ok(next)
    }

    fn context<'a>(&'a self, inputs: &'a Value, effective: &'a Effective) -> Context<'a> {
        static NULL: Value = Value::Null;
        Context {
            evaluator: self.evaluator,
            inputs,
            runtime: &NULL,
            javascript: effective.javascript.as_ref(),
            version: effective.version,
        }
    }
}

fn refuse_unknown(effective: &Effective) -> Result<(), Failure> {
    match effective.unknown.first() {
        Some((place, class)) => Err(unsupported(place, format!("the requirement {class}"))),
        None => Ok(()),
    }
}

fn unsupported(place: &moil_salad::source::Place, what: String) -> Failure {
    moil_cwl::error::Error::Unsupported { place: Some(place.clone()), what }.into()
}

fn no_step() -> Failure {
    Failure::new(FailureKind::Internal, "a step was expected")
}

/// A panic is a defect, but it must not hang the run.
fn guarded<T>(act: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Failure::new(FailureKind::Internal, "a defect of moil: please report it")
            .with_cause(words.unwrap_or_default()))
    })
}
