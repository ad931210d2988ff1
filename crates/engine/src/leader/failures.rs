//! Failures that are no attempt's: they are recorded, and may end the run.

use std::sync::Arc;

use moil_job::failure::Failure;
use moil_job::record::Record;

use super::Leader;

impl Leader<'_> {
    pub(super) fn record_failure(&mut self, what: &str, failure: &Failure) {
        if let Some(journal) = &mut self.helpers.journal {
            journal.add(Record::Failed { what: what.to_owned(), failure: failure.clone() });
        }
    }

    pub(super) fn note_failure(&mut self, what: String, failure: Failure) {
        self.record_failure(&what, &failure);
        self.failures.push((what, Arc::new(failure)));
        if self.policy.stop_on_first_failure {
            self.stop();
        }
    }

    pub(super) fn fail_run(&mut self, failure: Failure) {
        self.failures.push(("run".to_owned(), Arc::new(failure)));
        self.stop();
    }
}
