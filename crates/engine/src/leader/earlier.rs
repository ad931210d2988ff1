//! What earlier leaders of the run have recorded or begun, and this one need not do again.

use std::sync::Arc;

use moil_job::event::{Event, Retry, Status};
use moil_job::record::Record;
use moil_job::spec::JobId;

use super::Leader;
use crate::evaluator::{Found, Task};
use crate::memo::{Recorded, Unfinished};
use crate::plan::Run;

impl Leader<'_> {
    /// Takes a recorded result, if there is one for the job and it still exists; else the job is to run.
    pub(super) fn queue(&mut self, run: Run) {
        let id = JobId(run.path.as_str().into());
        let key = run.key.as_ref().and_then(|key| key.as_ref().ok());
        if let Some(recorded) = key.and_then(|key| self.helpers.memo.take(key, &id)) {
            return self.evaluate(Task::Verify { run: Box::new(run), recorded: Box::new(recorded) });
        }
        let unfinished = key.and_then(|key| self.helpers.memo.take_unfinished(key, &id));
        match (unfinished, &self.helpers.exchange) {
            (Some(unfinished), Some(exchange)) => {
                let word = exchange.word(&unfinished.term, &unfinished.attempt);
                // First the executor: what it does not know may have left its result, and else will leave none.
                if self.helpers.executor.attach(&word, &unfinished.attempt) {
                    self.attached(run, id, unfinished);
                } else {
                    self.evaluate(Task::Recover { run: Box::new(run), unfinished, word });
                }
            }
            _ if run.cache_key.is_some() => self.evaluate(Task::Find { run: Box::new(run) }),
            _ => self.queue_new(run, id, None),
        }
    }

    /// An attempt that an earlier leader started is at work.
    fn attached(&mut self, run: Run, id: JobId, unfinished: Unfinished) {
        let Unfinished { attempt, granted, .. } = unfinished;
        let entry = self.entry(run, id, None);
        self.admission.take(&granted);
        self.plan_event(Event::Note {
            name: Arc::clone(&entry.job.name),
            text: "is still running, started by an earlier leader".to_owned(),
        });
        self.running.insert(attempt.clone(), (entry, granted));
        self.tell_started(&attempt);
    }

    pub(super) fn recovered(&mut self, run: Run, unfinished: Unfinished, found: Found) {
        let attempt = unfinished.attempt;
        let id = JobId(run.path.as_str().into());
        match found {
            Found::Nothing => self.queue_new(run, id, None),
            Found::Spoilt(why) => self.queue_new(run, id, Some(format!("{why} of {attempt}"))),
            Found::Failed(failure) => {
                if let Some(journal) = &mut self.helpers.journal {
                    let failure = (*failure).clone();
                    let retry = Some(0.0);
                    journal.add(Record::AttemptFailed { attempt: attempt.clone(), failure, retry });
                }
                let (name, step) = (run.name.as_str().into(), Arc::clone(&run.step_name));
                let (failure, retry) =
                    (Arc::from(failure), Some(Retry { wait: 0.0, number: None, more: None }));
                self.plan_event(Event::JobFailed { attempt, name, step, failure, retry });
                self.queue_new(run, id, None);
            }
            Found::Result(result) => {
                let name = Arc::from(run.name.as_str());
                self.succeeded(attempt, name, Arc::clone(&run.step_name), run.element, *result);
            }
        }
    }

    /// A recorded result cannot be used. Another one of the same job may, since a leader in between had it run again.
    pub(super) fn lost(&mut self, run: Run, recorded: Recorded, why: &str) {
        let id = JobId(run.path.as_str().into());
        let key = run.key.as_ref().and_then(|key| key.as_ref().ok());
        if let Some(other) = key.and_then(|key| self.helpers.memo.take_own(key, &id)) {
            return self.evaluate(Task::Verify { run: Box::new(run), recorded: Box::new(other) });
        }
        let why = format!("{why} of {}", recorded.attempt);
        let text = format!("runs again: {why}");
        self.plan_event(Event::Note { name: run.name.as_str().into(), text });
        self.queue_new(run, id, Some(why));
    }

    pub(super) fn reuse(&mut self, run: Run, recorded: Recorded) {
        if let Some(journal) = &mut self.helpers.journal {
            let job = JobId(run.path.as_str().into());
            journal.note(Record::JobReused { job, from: recorded.attempt.clone() });
        }
        self.plan_event(Event::JobFinished {
            attempt: recorded.attempt,
            name: run.name.into(),
            step: run.step_name,
            status: Status::Reused,
            usage: None,
        });
        self.learn(&recorded.result.outputs);
        self.plan.finished(run.element, recorded.result.outputs);
    }
}
