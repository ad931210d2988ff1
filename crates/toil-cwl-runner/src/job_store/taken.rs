//! What a leader is told whose run is another one's now, or gone.

use moil_job::failure::{Failure, FailureKind};
use moil_job::store::StoreError;

use super::JobStore;

impl JobStore {
    /// What is told of something that failed when the run was at its end: most often, if that is so, that another leader
    /// has taken over.
    pub fn unless_fenced(&self, failure: Failure) -> Failure {
        match self.kept.ledger().probe() {
            Err(StoreError::Fenced { leader }) => fenced(&leader),
            _ if self.kept.is_removed() => self.removed(),
            _ => failure,
        }
    }

    /// Why the store has refused a record, if it was that the run is another leader's, or gone.
    pub fn taken(&self, refusal: &StoreError) -> Option<Failure> {
        match refusal {
            StoreError::Fenced { leader } => Some(fenced(leader)),
            StoreError::Failed { .. } => self.kept.is_removed().then(|| self.removed()),
        }
    }

    pub(super) fn removed(&self) -> Failure {
        let message =
            format!("the job store {} was removed by somebody else while this run was at work", self.name);
        Failure::new(FailureKind::System, message).with_advice(
            "another leader has finished the run, or somebody has given it up; this one has stopped",
        )
    }
}

/// What is told when nothing can be recorded.
pub(super) fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Fenced { leader } => fenced(&leader),
        error @ StoreError::Failed { .. } => {
            Failure::new(FailureKind::System, "the job store refused a record").with_cause(error)
        }
    }
}

/// The failure of a leader that is none any more.
pub(super) fn fenced(leader: &str) -> Failure {
    Failure::new(FailureKind::System, format!("another leader ({leader}) has taken over this run"))
        .with_advice("this one has stopped; nothing of the run was changed by it since")
}
