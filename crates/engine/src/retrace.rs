//! The way back to one job of a run: the plan is gone through once more with the results that were recorded, until that
//! job is prepared. Nothing runs, and nothing is recorded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use moil_cwl::value::{Value, ValueMap};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::result::JobResult;
use moil_job::secret::SecretStore;
use moil_job::spec::{AttemptId, Job, JobId};

use crate::evaluator::{Answer, Evaluators, Observed, Task};
use crate::keying::Keying;
use crate::leader::Message;
use crate::memo::Memo;
use crate::plan::{Command, ElementRef, Plan, Prepared, Run};
use crate::replay;
use crate::updates::Updates;

/// How many evaluations may be under way.
const WINDOW: usize = 64;

/// How many records of a journal are those of the leader that had a job last, and of the leaders before; `None` if none
/// had it.
pub fn last_had<'a>(records: impl IntoIterator<Item = &'a Record>, wanted: &JobId) -> Option<usize> {
    let (mut count, mut end, mut has) = (0, None, false);
    for record in records {
        match record {
            Record::TookOver { .. } => {
                end = if has { Some(count) } else { end };
                has = false;
            }
            Record::AttemptStarted { attempt, .. } => has |= attempt.job == *wanted,
            Record::JobReused { job, .. } => has |= job == wanted,
            _ => {}
        }
        count += 1;
    }
    if has { Some(count) } else { end }
}

/// What a journal says that leads to a job.
pub struct Trail {
    /// The results of jobs under the last leader, by their positions.
    results: HashMap<JobId, JobResult>,
    /// What the last attempts at jobs were granted.
    granted: HashMap<JobId, (AttemptId, Resources)>,
    /// What evaluations gave that give something else another time.
    evaluated: Memo,
}

impl Trail {
    /// What records say, each with the term of its leader.
    pub fn of<'a>(records: impl IntoIterator<Item = (Arc<str>, &'a Record)>) -> Self {
        let mut trail = Self { results: HashMap::new(), granted: HashMap::new(), evaluated: Memo::default() };
        let mut known: HashMap<&AttemptId, &JobResult> = HashMap::new();
        let mut evaluated = Vec::new();
        for (term, record) in records {
            match record {
                // What another leader planned may have been of other documents.
                Record::TookOver { .. } => trail.results.clear(),
                Record::AttemptStarted { attempt, granted, .. } => {
                    trail.granted.insert(attempt.job.clone(), (attempt.clone(), *granted));
                }
                Record::JobFinished { attempt, result } => {
                    known.insert(attempt, result);
                    trail.results.insert(attempt.job.clone(), result.clone());
                }
                Record::JobReused { job, from } => {
                    let result = known.get(from).map(|result| (*result).clone());
                    trail.results.extend(result.map(|result| (job.clone(), result)));
                }
                Record::Evaluated { .. } => evaluated.push((term, record.clone())),
                _ => {}
            }
        }
        trail.evaluated = Memo::of(evaluated);
        trail
    }

    /// The last attempt at a job, and what it was granted.
    pub fn last_attempt(&self, job: &JobId) -> Option<&(AttemptId, Resources)> {
        self.granted.get(job)
    }
}

/// What is needed to go through a plan.
pub struct Retracing<'a> {
    /// Evaluate and prepare; their answers come as messages.
    pub evaluators: &'a Evaluators,
    /// Where they come.
    pub messages: &'a Receiver<Message>,
    /// Learns what jobs made.
    pub keys: Arc<Keying>,
    /// The secrets that inputs mention.
    pub secrets: Arc<SecretStore>,
}

/// Finds a job: with its inputs, as it was handed to an executor.
///
/// # Errors
/// The way to it is lost: a job before it has no result, or something cannot be evaluated any more.
pub fn job(plan: Plan, trail: Trail, wanted: &JobId, helpers: &Retracing<'_>) -> Result<Job, Failure> {
    let mut search = Search {
        plan,
        trail,
        helpers,
        updates: Updates::default(),
        evaluating: 0,
        missing: None,
        failures: VecDeque::new(),
    };
    search.find(wanted)
}

struct Search<'a> {
    plan: Plan,
    trail: Trail,
    helpers: &'a Retracing<'a>,
    updates: Updates,
    evaluating: usize,
    /// The first job without a result.
    missing: Option<String>,
    failures: VecDeque<(String, Failure)>,
}

impl Search<'_> {
    fn find(&mut self, wanted: &JobId) -> Result<Job, Failure> {
        loop {
            while self.evaluating < WINDOW
                && let Some(command) = self.plan.next_command()
            {
                let task = match command {
                    Command::Merge { step, node, mut sources } => {
                        self.updates.follow(sources.iter_mut().flatten());
                        Task::Merge { step, node, sources }
                    }
                    Command::Prepare { element, node, body, inputs, round } => {
                        Task::Prepare { element, node, body, inputs, round }
                    }
                    Command::NextRound { element, node, mut inputs, mut outputs, rounds } => {
                        self.updates.follow(inputs.values_mut().chain([&mut outputs]));
                        Task::NextRound { element, node, inputs, outputs, rounds }
                    }
                    Command::Generate { element, generator, given, outputs } => {
                        Task::Generate { element, generator, given, outputs }
                    }
                    Command::Run(run) if run.path == *wanted.0 => return Ok(job_of(*run)),
                    Command::Run(run) => {
                        self.pass(*run);
                        continue;
                    }
                };
                self.evaluate(task);
            }
            self.plan.take_events();
            self.failures.extend(self.plan.take_failures());
            if self.evaluating == 0 {
                return Err(self.lost(wanted));
            }
            match self.helpers.messages.recv() {
                Ok(Message::Answer(answer)) => {
                    self.evaluating -= 1;
                    self.answer(*answer);
                }
                Ok(_) => {}
                Err(_) => return Err(Failure::new(FailureKind::Internal, "the evaluators are gone")),
            }
        }
    }

    fn evaluate(&mut self, task: Task) {
        self.evaluating += 1;
        self.helpers.evaluators.submit(task);
    }

    /// A job on the way. Without a result what depends on it is not come by.
    fn pass(&mut self, run: Run) {
        match self.trail.results.get(&JobId(run.path.as_str().into())) {
            Some(result) => {
                self.helpers.keys.learn(&result.outputs);
                self.updates.learn(&result.updates);
                self.plan.finished(run.element, result.outputs.clone());
            }
            None => {
                self.missing.get_or_insert(run.path);
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Merged(step, Ok(inputs)) => self.plan.merged(step, inputs),
            Answer::Merged(step, Err(failure)) => {
                self.failures.push_back((format!("step {}", self.plan.step_name(step)), failure));
                self.plan.merge_failed(step);
            }
            Answer::MergedAndPrepared(step, inputs, body, prepared) => {
                let element = self.plan.merged_and_prepared(step, inputs, body);
                self.prepared(element, prepared);
            }
            Answer::Prepared(element, prepared) => self.prepared(element, prepared),
            Answer::NextRound(element, next) => self.next_round(element, next),
            Answer::Generated(element, Ok(generated)) => self.plan.generated(element, generated),
            Answer::Generated(element, Err(failure)) => self.failed(element, failure),
            // Nothing else was asked for.
            Answer::Verified { .. }
            | Answer::Recovered { .. }
            | Answer::Found { .. }
            | Answer::Kept { .. } => {}
        }
    }

    fn prepared(&mut self, element: ElementRef, (prepared, evaluated): Observed<Prepared>) {
        let recorded = evaluated.and_then(|evaluated| self.recorded(element, &evaluated.what));
        let recorded = recorded.and_then(|value| replay::read(&value)).zip(self.plan.body(element.step));
        match (recorded, prepared) {
            (Some((prepared, body)), _) => self.evaluate(Task::Key { element, body, prepared }),
            (None, Ok(prepared)) => self.plan.prepared(element, prepared),
            (None, Err(failure)) => self.failed(element, failure),
        }
    }

    fn next_round(&mut self, element: ElementRef, (next, evaluated): Observed<Option<ValueMap>>) {
        let recorded = evaluated.and_then(|evaluated| self.recorded(element, &evaluated.what));
        match (recorded.and_then(|value| replay::read_round(&value)), next) {
            (Some(inputs), _) | (None, Ok(inputs)) => self.plan.next_round(element, inputs),
            (None, Err(failure)) => self.failed(element, failure),
        }
    }

    fn recorded(&mut self, element: ElementRef, what: &str) -> Option<Value> {
        let at = JobId(self.plan.element_path(element).into());
        let secrets = &self.helpers.secrets;
        self.trail.evaluated.take_evaluated(what, &at, |value| secrets.knows(value))
    }

    fn failed(&mut self, element: ElementRef, failure: Failure) {
        self.failures.push_back((format!("step {}", self.plan.element_path(element)), failure));
        self.plan.failed(element);
    }

    fn lost(&mut self, wanted: &JobId) -> Failure {
        let message = format!("the inputs of {wanted} cannot be found again");
        let failure = match (self.failures.pop_front(), &self.missing) {
            (Some((what, failure)), _) => {
                Failure { message: format!("{message}: {what}: {}", failure.message), ..failure }
            }
            (None, Some(missing)) => Failure::new(FailureKind::BadInput, message)
                .with_cause(format!("{missing}, on the way to it, has no result")),
            (None, None) => Failure::new(FailureKind::BadInput, message)
                .with_cause("the workflow ends without it: documents or inputs are others than the job had"),
        };
        if failure.advice.is_some() {
            return failure;
        }
        failure.with_advice("--printJobInfo shows what is recorded of it")
    }
}

fn job_of(run: Run) -> Job {
    Job {
        id: JobId(run.path.into()),
        name: run.name.into(),
        tool: run.tool,
        inputs: run.inputs,
        requested: run.resources,
        key: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_job::result::Usage;

    fn id(job: &str, number: u32) -> AttemptId {
        AttemptId { job: JobId(job.into()), number }
    }

    fn leader() -> Record {
        let [leader, host, boot, nonce] = [(); 4].map(|()| String::new());
        Record::TookOver { leader, host, boot, nonce, void_from: None }
    }

    fn started(job: &str, number: u32) -> Record {
        let granted =
            Resources { cores: f64::from(number), ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 };
        Record::AttemptStarted { attempt: id(job, number), key: None, called: None, granted, again: None }
    }

    fn done(job: &str, number: u32, outputs: &str) -> Record {
        let result = JobResult {
            outputs: Value::from(outputs),
            exit_code: 0,
            usage: Usage::default(),
            updates: Vec::new(),
            logs: Vec::new(),
        };
        Record::JobFinished { attempt: id(job, number), result }
    }

    fn reused(job: &str, from: AttemptId) -> Record {
        Record::JobReused { job: JobId(job.into()), from }
    }

    #[test]
    fn the_last_leader_that_had_a_job_is_the_one_that_counts() {
        let records = [
            leader(),
            started("a", 1),
            leader(),
            reused("a", id("a", 1)),
            started("b", 1),
            leader(),
            started("c", 1),
        ];
        for (job, end) in [("a", Some(5)), ("b", Some(5)), ("c", Some(7)), ("d", None)] {
            assert_eq!(last_had(&records, &JobId(job.into())), end, "{job}");
        }
    }

    #[test]
    fn results_count_under_the_leader_that_took_them() {
        let records = [
            leader(),
            started("a", 1),
            done("a", 1, "old"),
            started("x", 1),
            done("x", 1, "of x"),
            leader(),
            started("a", 2),
            done("a", 2, "new"),
            // One of an equal job at another position.
            reused("b", id("a", 1)),
        ];
        let trail = Trail::of(records.iter().map(|record| ("1-a".into(), record)));
        let outputs =
            |job: &str| trail.results.get(&JobId(job.into())).and_then(|result| result.outputs.as_str());
        assert_eq!([outputs("a"), outputs("b"), outputs("x")], [Some("new"), Some("old"), None]);
        let last =
            trail.last_attempt(&JobId("a".into())).map(|(attempt, granted)| (attempt.number, granted.cores));
        assert_eq!(last, Some((2, 2.0)));
    }
}
