//! Results that the call cache has, and results for it.

use std::sync::Arc;
use std::time::Duration;

use moil_cwl::value::Value;
use moil_job::event::{Event, Status};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::result::JobResult;
use moil_job::spec::{AttemptId, JobId};

use super::{Entry, Leader};
use crate::evaluator::Task;
use crate::memo;
use crate::plan::Run;

impl Leader<'_> {
    /// A job's result was looked for in the cache.
    pub(super) fn found(&mut self, run: Run, found: Result<Option<Box<JobResult>>, String>) {
        let id = JobId(run.path.as_str().into());
        match found {
            Ok(Some(result)) => self.take_cached(run, id, *result),
            Ok(None) => self.queue_new(run, id, None),
            Err(words) => {
                self.plan_event(Event::Warning(words));
                self.queue_new(run, id, None);
            }
        }
    }

    /// The result counts as that of an attempt that took no time, so that a later leader has it without the cache.
    fn take_cached(&mut self, run: Run, id: JobId, result: JobResult) {
        let resources = run.resources;
        let entry = self.entry(run, id, None);
        let mut entry = Entry { attempts: entry.attempts + 1, ..entry };
        let attempt = entry.attempt();
        if let Some(journal) = &mut self.helpers.journal {
            journal.note(entry.record(resources));
            let record = Record::JobFinished { attempt: attempt.clone(), result: result.clone() };
            journal.add_work(record, Duration::ZERO);
            journal.note(Record::JobReused { job: entry.job.id.clone(), from: attempt.clone() });
        }
        let name = Arc::clone(&entry.job.name);
        self.plan_event(Event::Note { name: Arc::clone(&name), text: "result from the cache".to_owned() });
        let step = Arc::clone(&entry.step);
        self.plan_event(Event::JobFinished { attempt, name, step, status: Status::Reused, usage: None });
        self.learn(&result.outputs);
        self.plan.finished(entry.element, result.outputs);
    }

    /// Copies a result into the cache. It counts when it is there, or cannot be.
    pub(super) fn keep(&mut self, attempt: AttemptId, entry: Entry, key: String, result: JobResult) {
        self.keeping.insert(attempt.clone(), entry);
        self.evaluate(Task::Keep { attempt, key, result: Box::new(result) });
    }

    pub(super) fn kept(&mut self, attempt: AttemptId, result: JobResult, failed: Option<String>) {
        let Some(entry) = self.keeping.remove(&attempt) else { return };
        if let Some(words) = failed {
            let name = &entry.job.name;
            self.plan_event(Event::Warning(format!("the result of job {name} is not in the cache: {words}")));
        }
        // What is not recorded has not happened.
        if self.refusal.is_none() {
            self.done(attempt, entry, result);
        }
    }

    /// Takes note of what a job made, for keys.
    pub(super) fn learn(&self, outputs: &Value) {
        let of_cache = self.helpers.cache.as_ref().map(|cached| &cached.keys);
        for keys in self.helpers.keys.iter().chain(of_cache) {
            keys.learn(outputs);
        }
    }

    /// Why a job must not run: it would change files that belong to the cache, and so to other runs.
    pub(super) fn change_of_cache(&self, entry: &Entry) -> Option<Failure> {
        let cached = self.helpers.cache.as_ref().filter(|_| entry.job.tool.effective.inplace_update)?;
        let location =
            memo::locations(&entry.job.inputs).into_iter().find(|location| cached.cache.has(location))?;
        let message =
            format!("job {} would change {location} in place, which belongs to the cache", entry.job.name);
        Some(
            Failure::new(FailureKind::BadInput, message)
                .with_advice("run it without --cachedir, or without InplaceUpdateRequirement"),
        )
    }
}
