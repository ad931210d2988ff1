//! What leaders and workers in other processes pass each other through the job store: tools, each once; attempts;
//! and what came of these ([`crate::results`]).

use std::sync::{Arc, Mutex, PoisonError, Weak};

use moil_cwl::inherit::Effective;
use moil_cwl::requirement::WorkDirEntry;
use moil_cwl::value::Value;
use moil_job::exchange::Exchange;
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Imported;
use moil_job::result::Outcome;
use moil_job::secret::Secrets;
use moil_job::spec::{Attempt, AttemptId, Job, JobTool};
use moil_job::wire::{self, WireError};

use crate::names::{self, Term};
use crate::records::{Records, RecordsError};
use crate::results::Results;

/// Brings the files of an input object to where workers can have them.
pub type Bring = dyn Fn(&Value) -> Result<Value, Failure> + Send + Sync;

/// The leader's side.
pub struct StoreExchange {
    records: Arc<dyn Records>,
    results: Results,
    term: Term,
    bring: Option<Box<Bring>>,
    /// What that has brought and nobody was told of.
    imported: Arc<Mutex<Vec<Imported>>>,
    /// The tools that were stored, with their hashes, as long as jobs of theirs are to come.
    tools: Mutex<Vec<(Weak<JobTool>, Arc<str>)>>,
}

impl StoreExchange {
    /// The side of the leader of a term. `bring` is `None` where workers see all files that the leader sees.
    #[must_use]
    pub fn new(records: Arc<dyn Records>, term: Term, bring: Option<Box<Bring>>) -> Self {
        let results = Results::new(Arc::clone(&records));
        Self { records, results, term, bring, imported: Arc::default(), tools: Mutex::default() }
    }

    /// The same, where `bring` says here what it has brought.
    #[must_use]
    pub fn telling(self, imported: Arc<Mutex<Vec<Imported>>>) -> Self {
        Self { imported, ..self }
    }

    /// The tool with the files that its document itself names brought to where workers can have them: those that
    /// InitialWorkDirRequirement lists. `None` if it is the same.
    fn brought(&self, tool: &JobTool) -> Result<Option<JobTool>, Failure> {
        let (Some(bring), Some(listing)) = (&self.bring, &tool.effective.initial_work_dir) else {
            return Ok(None);
        };
        if !listing.iter().any(|entry| matches!(entry, WorkDirEntry::Value(_))) {
            return Ok(None);
        }
        let entries = listing.iter().map(|entry| match entry {
            WorkDirEntry::Value(value) => bring(value).map(WorkDirEntry::Value),
            other => Ok(other.clone()),
        });
        let listing = entries.collect::<Result<Vec<_>, Failure>>()?;
        let effective = Effective { initial_work_dir: Some(Arc::new(listing)), ..(*tool.effective).clone() };
        Ok(Some(JobTool { effective: Arc::new(effective), ..tool.clone() }))
    }

    /// The hash of a tool, which is stored from now on.
    fn tool(&self, tool: &Arc<JobTool>) -> Result<Arc<str>, Failure> {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        tools.retain(|(known, _)| known.strong_count() > 0);
        let known = tools.iter().find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(tool)));
        if let Some((_, hash)) = known {
            return Ok(Arc::clone(hash));
        }
        let brought = self.brought(tool)?;
        let written =
            wire::write_tool(brought.as_ref().unwrap_or(tool)).map_err(|error| unwritable(&error))?;
        let name = names::tool(&written.hash);
        self.records.put_if_absent(&name, written.text.as_bytes()).map_err(|error| unstored(&error))?;
        let hash: Arc<str> = written.hash.into();
        tools.push((Arc::downgrade(tool), Arc::clone(&hash)));
        Ok(hash)
    }
}

impl Exchange for StoreExchange {
    fn hand_over(&self, attempt: &Attempt) -> Result<String, Failure> {
        let (word, text) = self.write(attempt)?;
        // Whoever finds it there already has written the same: no other leader has this term.
        self.records
            .put_if_absent(&names::attempt(&word), text.as_bytes())
            .map_err(|error| unstored(&error))?;
        Ok(word)
    }

    fn write(&self, attempt: &Attempt) -> Result<(String, String), Failure> {
        let tool = self.tool(&attempt.job.tool)?;
        let brought = match &self.bring {
            None => None,
            Some(bring) => {
                let job = Job { inputs: bring(&attempt.job.inputs)?, ..(*attempt.job).clone() };
                Some(Attempt { job: Arc::new(job), ..attempt.clone() })
            }
        };
        let text = wire::write_attempt(brought.as_ref().unwrap_or(attempt), &tool)
            .map_err(|error| unwritable(&error))?;
        Ok((names::word(&self.term, &attempt.id), text))
    }

    fn imported(&self) -> Vec<Imported> {
        std::mem::take(&mut self.imported.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn word(&self, term: &str, attempt: &AttemptId) -> String {
        names::word_in(term, attempt)
    }

    fn outcome(&self, word: &str, attempt: &AttemptId) -> Result<Option<Outcome>, Failure> {
        self.results.of(word, attempt).map_err(|error| {
            Failure::new(FailureKind::System, "the result of a worker cannot be read").with_cause(error)
        })
    }
}

fn unwritable(error: &WireError) -> Failure {
    Failure::new(FailureKind::Unsupported, "a job cannot be given to a worker in another process")
        .with_cause(error)
        .with_advice("it can be run on this machine: --batchSystem single_machine")
}

fn unstored(error: &RecordsError) -> Failure {
    Failure::new(FailureKind::System, "a job cannot be left in the job store for its worker")
        .with_cause(error)
}

/// Why a worker cannot have an attempt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAttempt {
    /// Nothing is there under its word.
    #[error(
        "there is no attempt {word} in the job store: its run is over, or another run has taken its place"
    )]
    Unknown {
        /// The word.
        word: String,
    },
    /// Nothing is there under the hash of its tool.
    #[error("the tool {hash} is not in the job store: its run is being removed")]
    NoTool {
        /// The hash.
        hash: String,
    },
    /// What is there cannot be used.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The store cannot be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// The worker's side: the attempt of a word, with the secrets that travelled beside it.
///
/// # Errors
/// It is not there, or cannot be used.
pub fn find(records: &dyn Records, word: &str, secrets: Secrets) -> Result<Attempt, NoAttempt> {
    let written = text(records, &names::attempt(word))?;
    let written = written.ok_or_else(|| NoAttempt::Unknown { word: word.to_owned() })?;
    let attempt = wire::read_attempt(&written)?;
    let tool = find_tool(records, attempt.tool())?;
    Ok(attempt.with(Arc::new(tool), secrets))
}

/// The tool of a hash.
///
/// # Errors
/// It is not there, or cannot be used.
pub fn find_tool(records: &dyn Records, hash: &str) -> Result<JobTool, NoAttempt> {
    let tool = text(records, &names::tool(hash))?;
    let tool = tool.ok_or_else(|| NoAttempt::NoTool { hash: hash.to_owned() })?;
    Ok(wire::read_tool(&tool, hash)?)
}

/// What is no UTF-8 is no JSON either, and is told as that.
fn text(records: &dyn Records, name: &str) -> Result<Option<String>, RecordsError> {
    Ok(records.get(name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
