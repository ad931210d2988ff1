//! Evaluations that would give something else another time: what an earlier leader recorded counts, or else it is
//! recorded now. Nothing need wait for that: all records of what follows from it come after it.

use moil_cwl::value::{Value, ValueMap};
use moil_job::record::Record;
use moil_job::spec::JobId;

use super::Leader;
use crate::evaluator::{Observed, Task};
use crate::plan::{ElementRef, Prepared};
use crate::replay::{self, Evaluated};

impl Leader<'_> {
    pub(super) fn observed(&mut self, element: ElementRef, (prepared, evaluated): Observed<Prepared>) {
        let recorded = evaluated.and_then(|evaluated| self.recorded(element, evaluated));
        let recorded = recorded.and_then(|value| replay::read(&value)).zip(self.plan.body(element.step));
        match (recorded, prepared) {
            (Some((prepared, body)), _) => self.evaluate(Task::Key { element, body, prepared }),
            (None, Ok(prepared)) => self.plan.prepared(element, prepared),
            (None, Err(failure)) => self.element_failed(element, failure),
        }
    }

    pub(super) fn observed_round(
        &mut self,
        element: ElementRef,
        (next, evaluated): Observed<Option<ValueMap>>,
    ) {
        let recorded = evaluated.and_then(|evaluated| self.recorded(element, evaluated));
        match (recorded.and_then(|value| replay::read_round(&value)), next) {
            (Some(inputs), _) | (None, Ok(inputs)) => self.plan.next_round(element, inputs),
            (None, Err(failure)) => self.element_failed(element, failure),
        }
    }

    /// What an earlier leader recorded of such an evaluation; if there is nothing, this one is recorded.
    fn recorded(&mut self, element: ElementRef, evaluated: Evaluated) -> Option<Value> {
        let at = JobId(self.plan.element_path(element).into());
        let Evaluated { what, value } = evaluated;
        // The values of secrets that an earlier leader made up went with it.
        let secrets = &self.helpers.secrets;
        let recorded = self.helpers.memo.take_evaluated(&what, &at, |value| secrets.knows(value));
        if let (None, Some(journal), Some(value)) = (&recorded, &mut self.helpers.journal, value) {
            journal.note(Record::Evaluated { at, what, value });
        }
        recorded
    }
}
