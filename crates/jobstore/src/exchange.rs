//! What leaders and workers in other processes pass each other through the job store: tools, each once; attempts;
//! and what came of these ([`crate::results`]).

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use moil_cwl::inherit::Effective;
use moil_cwl::requirement::WorkDirEntry;
use moil_cwl::value::Value;
use moil_job::exchange::{Exchange, Told};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Imported;
use moil_job::result::Outcome;
use moil_job::secret::Secrets;
use moil_job::spec::{Attempt, AttemptId, Job, JobTool};
use moil_job::wire::{self, WireError, WrittenTool};

use crate::names::{self, Term};
use crate::records::{Records, RecordsError};
use crate::results::Results;

/// Brings the files of an input object to where workers can have them.
pub type Bring = dyn Fn(&Value) -> Result<Value, Failure> + Send + Sync;

/// The most bytes that a tool and settings may have to go with each attempt, and settings to be told to workers. What makes a
/// run takes along as much: those who do not see that are told.
pub(crate) const LITTLE: usize = 64 << 10;

/// The leader's side.
pub struct StoreExchange {
    records: Arc<dyn Records>,
    results: Results,
    term: Term,
    bring: Option<Box<Bring>>,
    /// What that has brought and nobody was told of.
    imported: Arc<Mutex<Vec<Imported>>>,
    /// The tools of jobs, as long as more of theirs are to come.
    tools: Mutex<Vec<(Weak<JobTool>, Arc<Written>)>>,
    /// The leader's settings for workers, where these go with each attempt.
    settings: Option<OnceLock<String>>,
}

/// A tool as workers get it.
struct Written {
    hash: String,
    text: Arc<str>,
    /// It goes with attempts; else it is stored by itself.
    goes_along: bool,
    /// It is stored by itself.
    is_stored: Mutex<bool>,
}

impl StoreExchange {
    /// The side of the leader of a term. `bring` is `None` where workers see all files that the leader sees.
    #[must_use]
    pub fn new(records: Arc<dyn Records>, term: Term, bring: Option<Box<Bring>>) -> Self {
        let results = Results::new(Arc::clone(&records));
        Self {
            records,
            results,
            term,
            bring,
            imported: Arc::default(),
            tools: Mutex::default(),
            settings: None,
        }
    }

    /// The same, where what an attempt needs is stored together with it, if it is little: for records of which each costs
    /// a request.
    #[must_use]
    pub fn in_one(self) -> Self {
        Self { settings: Some(OnceLock::new()), ..self }
    }

    /// The leader's settings for workers, which are stored: they need not be read again.
    pub fn knows_settings(&self, text: &str) {
        if let Some(known) = &self.settings {
            // They are said once.
            let _ = known.set(text.to_owned());
        }
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

    /// A tool, which is stored from now on, or goes with its attempts.
    fn tool(&self, tool: &Arc<JobTool>) -> Result<Arc<Written>, Failure> {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        tools.retain(|(known, _)| known.strong_count() > 0);
        let known = tools.iter().find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(tool)));
        if let Some((_, written)) = known {
            return Ok(Arc::clone(written));
        }
        let brought = self.brought(tool)?;
        let WrittenTool { hash, text } =
            wire::write_tool(brought.as_ref().unwrap_or(tool)).map_err(|error| unwritable(&error))?;
        let goes_along =
            self.little_settings()?.is_some_and(|settings| settings.len() + text.len() <= LITTLE);
        let written = Arc::new(Written { hash, text: text.into(), goes_along, is_stored: Mutex::new(false) });
        tools.push((Arc::downgrade(tool), Arc::clone(&written)));
        Ok(written)
    }

    /// Leaves a tool in the store, once.
    fn store(&self, tool: &Written) -> Result<(), Failure> {
        // Others of the step need it as well, and wait for whoever does it.
        let mut is_stored = tool.is_stored.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_stored {
            let name = names::tool(&tool.hash);
            self.records.put_if_absent(&name, tool.text.as_bytes()).map_err(|error| unstored(&error))?;
            *is_stored = true;
        }
        Ok(())
    }

    /// The word of an attempt, its text, and its tool.
    fn written(&self, attempt: &Attempt) -> Result<(String, String, Arc<Written>), Failure> {
        let tool = self.tool(&attempt.job.tool)?;
        let brought = match &self.bring {
            None => None,
            Some(bring) => {
                let job = Job { inputs: bring(&attempt.job.inputs)?, ..(*attempt.job).clone() };
                Some(Attempt { job: Arc::new(job), ..attempt.clone() })
            }
        };
        let text = wire::write_attempt(brought.as_ref().unwrap_or(attempt), &tool.hash)
            .map_err(|error| unwritable(&error))?;
        Ok((names::word(&self.term, &attempt.id), text, tool))
    }

    /// The leader's settings, if they go with attempts: where they are large, they are read.
    fn little_settings(&self) -> Result<Option<&str>, Failure> {
        Ok(self.known_settings()?.filter(|settings| settings.len() <= LITTLE))
    }

    fn known_settings(&self) -> Result<Option<&str>, Failure> {
        let Some(known) = &self.settings else { return Ok(None) };
        if let Some(settings) = known.get() {
            return Ok(Some(settings));
        }
        let bytes = self.records.get(&names::settings(&self.term)).map_err(|error| unstored(&error))?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(text.map(|text| known.get_or_init(|| text).as_str()))
    }
}

impl Exchange for StoreExchange {
    fn hand_over(&self, attempt: &Attempt) -> Result<String, Failure> {
        let (word, mut text, tool) = self.written(attempt)?;
        let beside = if tool.goes_along { &*tool.text } else { "" };
        if !tool.goes_along {
            self.store(&tool)?;
        }
        if let Some(settings) = self.little_settings()? {
            text.push_str(&format!("\n{beside}\n{settings}"));
        }
        // Whoever finds it there already has written the same: no other leader has this term.
        self.records
            .put_if_absent(&names::attempt(&word), text.as_bytes())
            .map_err(|error| unstored(&error))?;
        Ok(word)
    }

    fn write(&self, attempt: &Attempt) -> Result<Told, Failure> {
        let (word, attempt, tool) = self.written(attempt)?;
        let text = tool.goes_along.then(|| Arc::clone(&tool.text));
        if text.is_none() {
            self.store(&tool)?;
        }
        Ok(Told { word, attempt, tool: text })
    }

    fn settings(&self) -> Option<String> {
        // They were kept before anybody could be told.
        let known = self.settings.as_ref().and_then(OnceLock::get);
        known.filter(|settings| settings.len() <= LITTLE).cloned()
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

/// What a worker is given.
#[derive(Debug)]
pub struct HandedOver {
    /// The attempt, with the secrets that travelled beside it.
    pub attempt: Attempt,
    /// The leader's settings; `None` if there are none.
    pub settings: Option<Vec<u8>>,
}

/// The worker's side: what was handed over under a word, which is of a leader's term.
///
/// # Errors
/// It is not there, or cannot be used.
pub fn find(
    records: &dyn Records,
    term: &Term,
    word: &str,
    secrets: Secrets,
) -> Result<HandedOver, NoAttempt> {
    // What is no UTF-8 is no JSON either, and is told as that.
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let written = records.get(&names::attempt(word))?.map(text);
    let written = written.ok_or_else(|| NoAttempt::Unknown { word: word.to_owned() })?;
    // JSON is written without line breaks.
    let mut lines = written.splitn(3, '\n');
    let attempt = wire::read_attempt(lines.next().unwrap_or_default())?;
    let hash = attempt.tool().to_owned();
    let tool = match lines.next() {
        Some(tool) if !tool.is_empty() => wire::read_tool(tool, &hash)?,
        _ => {
            let tool = records.get(&names::tool(&hash))?.map(text);
            wire::read_tool(&tool.ok_or_else(|| NoAttempt::NoTool { hash: hash.clone() })?, &hash)?
        }
    };
    let settings = match lines.next() {
        Some(settings) => Some(settings.as_bytes().to_owned()),
        None => records.get(&names::settings(term))?,
    };
    Ok(HandedOver { attempt: attempt.with(Arc::new(tool), secrets), settings })
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
