//! What workers leave in the store: one result for each attempt, written once.

use std::sync::Arc;

use moil_job::result::Outcome;
use moil_job::spec::AttemptId;
use serde::{Deserialize, Serialize};

use crate::names;
use crate::records::{Put, Records, RecordsError};

/// A result as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    attempt: AttemptId,
    /// Of the worker: an attempt may run twice, where a pod is started again.
    nonce: String,
    outcome: Outcome,
}

/// Results of one run.
#[derive(Clone)]
pub struct Results {
    records: Arc<dyn Records>,
}

/// Whose result an attempt has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The one that was published.
    Ours,
    /// Another worker's, which was faster. Outputs that go with ours are nobody's.
    Others,
}

impl Results {
    /// Results among the records of a run.
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Publishes what came of an attempt, by its word. The first result of an attempt is its outcome,
    /// for ever. The nonce is the worker's own; a worker that tries again gives the same.
    ///
    /// # Errors
    /// The result may be stored or not; it can be published again.
    pub fn publish(
        &self,
        word: &str,
        attempt: &AttemptId,
        nonce: &str,
        outcome: &Outcome,
    ) -> Result<Published, RecordsError> {
        let name = names::result(word);
        let stored = Stored { attempt: attempt.clone(), nonce: nonce.to_owned(), outcome: outcome.clone() };
        let bytes = serde_json::to_vec(&stored).map_err(|error| RecordsError::Failed {
            operation: "write",
            name: name.clone(),
            reason: error.to_string(),
        })?;
        let answer = self.records.put_if_absent(&name, &bytes);
        if answer == Ok(Put::Stored) {
            return Ok(Published::Ours);
        }
        match self.read(&name)? {
            Some(there) if there.nonce == nonce => Ok(Published::Ours),
            Some(_) => Ok(Published::Others),
            None => Err(answer.err().unwrap_or(RecordsError::Failed {
                operation: "store",
                name,
                reason: "the job store is being removed".to_owned(),
            })),
        }
    }

    /// What came of an attempt, by its word, if it has left a result.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(&self, word: &str, attempt: &AttemptId) -> Result<Option<Outcome>, RecordsError> {
        let name = names::result(word);
        match self.read(&name)? {
            Some(there) if there.attempt == *attempt => Ok(Some(there.outcome)),
            Some(_) => Err(damaged(&name, "it is another attempt's")),
            None => Ok(None),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Stored>, RecordsError> {
        let Some(bytes) = self.records.get(name)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(name, &error.to_string()))
    }
}

fn damaged(name: &str, reason: &str) -> RecordsError {
    RecordsError::Damaged {
        name: name.to_owned(),
        reason: reason.to_owned(),
        advice: "delete it, and the job runs again".to_owned(),
    }
}
