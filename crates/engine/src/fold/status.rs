//! Where the run stands, by step: what progress displays show.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use moil_job::event::{Event, Status};
use moil_job::spec::AttemptId;

/// The jobs of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Elements that were announced; jobs of nested workflows are counted as they come.
    pub total: usize,
    /// At work.
    pub running: usize,
    /// Done, skipped or reused.
    pub done: usize,
    /// Failed for good.
    pub failed: usize,
}

impl Counts {
    /// Neither begun nor over.
    pub fn waiting(&self) -> usize {
        self.total.saturating_sub(self.running + self.done + self.failed)
    }
}

/// The fold.
#[derive(Clone, Debug, Default)]
pub struct RunStatus {
    /// Steps with jobs of their own, in the order in which they began.
    pub steps: IndexMap<Arc<str>, Counts>,
    /// Where attempts are at work, as far as that was told.
    places: HashMap<AttemptId, Arc<str>>,
}

impl RunStatus {
    /// Takes one event in.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::StepStarted { step, elements } => {
                self.steps.entry(Arc::clone(step)).or_default().total += elements;
            }
            Event::JobStarted { step, .. } => {
                let counts = self.steps.entry(Arc::clone(step)).or_default();
                counts.running += 1;
                counts.total = counts.total.max(counts.running + counts.done + counts.failed);
            }
            Event::JobPlaced { attempt, place, .. } => {
                self.places.insert(attempt.clone(), Arc::clone(place));
            }
            Event::JobFinished { attempt, step, .. } => {
                self.places.remove(attempt);
                let counts = self.steps.entry(Arc::clone(step)).or_default();
                counts.running = counts.running.saturating_sub(1);
                counts.done += 1;
            }
            Event::JobFailed { attempt, step, retry, .. } => {
                self.places.remove(attempt);
                let counts = self.steps.entry(Arc::clone(step)).or_default();
                counts.running = counts.running.saturating_sub(1);
                counts.failed += usize::from(retry.is_none());
            }
            // Steps without jobs of their own (expressions, nested workflows, skipped ones) are done as a whole.
            Event::StepFinished { step, status } => {
                if let Some(counts) = self.steps.get_mut(step) {
                    let left = counts.waiting();
                    match status {
                        Status::Failed | Status::Cancelled => counts.failed += left,
                        Status::Success | Status::Skipped | Status::Reused => counts.done += left,
                    }
                }
            }
            Event::WorkflowStarted { .. }
            | Event::WorkflowFinished { .. }
            | Event::Note { .. }
            | Event::ToolOutput { .. }
            | Event::Console(_)
            | Event::Warning(_) => {}
        }
    }

    /// In how many places attempts are at work, as far as that was told.
    pub fn places(&self) -> usize {
        self.places.values().collect::<HashSet<_>>().len()
    }

    /// All steps together.
    pub fn total(&self) -> Counts {
        self.steps.values().fold(Counts::default(), |sum, counts| Counts {
            total: sum.total + counts.total,
            running: sum.running + counts.running,
            done: sum.done + counts.done,
            failed: sum.failed + counts.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_job::resources::Resources;
    use moil_job::spec::JobId;

    fn started(step: &str, job: &str) -> Event {
        Event::JobStarted {
            attempt: AttemptId { job: JobId(job.into()), number: 1 },
            name: job.into(),
            step: step.into(),
            granted: Resources { cores: 1.0, ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 },
        }
    }

    fn finished(step: &str, job: &str) -> Event {
        Event::JobFinished {
            attempt: AttemptId { job: JobId(job.into()), number: 1 },
            name: job.into(),
            step: step.into(),
            status: Status::Success,
            usage: None,
        }
    }

    #[test]
    fn jobs_move_from_waiting_to_running_to_done() {
        let mut status = RunStatus::default();
        status.take(&Event::StepStarted { step: "align".into(), elements: 3 });
        assert_eq!(status.total().waiting(), 3);
        status.take(&started("align", "align"));
        status.take(&finished("align", "align"));
        status.take(&started("align", "align_2"));
        assert_eq!(status.steps["align"], Counts { total: 3, running: 1, done: 1, failed: 0 });
    }

    #[test]
    fn places_are_counted_while_jobs_are_there() {
        let mut status = RunStatus::default();
        for (job, place) in [("a", "pod-1 on n"), ("b", "pod-1 on n"), ("c", "pod-2 on n")] {
            status.take(&started("s", job));
            let attempt = AttemptId { job: JobId(job.into()), number: 1 };
            status.take(&Event::JobPlaced { attempt, name: job.into(), place: place.into() });
        }
        assert_eq!(status.places(), 2);
        status.take(&finished("s", "a"));
        status.take(&finished("s", "c"));
        assert_eq!(status.places(), 1);
    }

    #[test]
    fn a_step_without_jobs_is_done_when_it_ends() {
        let mut status = RunStatus::default();
        status.take(&Event::StepStarted { step: "sum".into(), elements: 1 });
        status.take(&Event::StepFinished { step: "sum".into(), status: Status::Success });
        assert_eq!(status.total(), Counts { total: 1, running: 0, done: 1, failed: 0 });
    }
}
