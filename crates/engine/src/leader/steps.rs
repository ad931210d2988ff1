//! What is told of a run, and what is recorded of steps and inputs.

use std::sync::Arc;

use moil_job::event::Event;
use moil_job::record::Record;

use super::{Helpers, Leader};

impl Leader<'_> {
    /// Tells something, after what the plan has to tell.
    pub(super) fn plan_event(&mut self, event: Event) {
        self.tell_events();
        (self.helpers.events)(&event);
    }

    pub(super) fn tell_events(&mut self) {
        for event in self.plan.take_events() {
            self.note_step(&event);
            (self.helpers.events)(&event);
        }
    }

    /// Of inputs that were brought away it is noted where they are, for a leader that does not see them.
    pub(super) fn note_imports(&mut self) {
        let Helpers { journal: Some(journal), exchange: Some(exchange), .. } = &mut self.helpers else {
            return;
        };
        let files = exchange.imported();
        if !files.is_empty() {
            journal.note(Record::InputsImported { files });
        }
    }

    /// Of a step with many elements it is noted how many: jobs that are not begun have no records of their own.
    fn note_step(&mut self, event: &Event) {
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
