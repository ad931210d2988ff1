//! What is recorded of steps.

use std::sync::Arc;

use moil_job::event::Event;
use moil_job::record::Record;

use super::Leader;

impl Leader<'_> {
    /// Of a step with many elements it is noted how many: jobs that are not begun have no records of their own.
    pub(super) fn note_step(&mut self, event: &Event) {
        let Some(journal) = &mut self.helpers.journal else { return };
        match event {
            Event::StepStarted { step, elements } if *elements > 1 => {
                self.large_steps.insert(Arc::clone(step));
                journal.note(Record::StepStarted { step: Arc::clone(step), elements: *elements });
            }
            Event::StepFinished { step, .. } if self.large_steps.remove(step) => {
                journal.note(Record::StepFinished { step: Arc::clone(step) });
            }
            _ => {}
        }
    }
}
