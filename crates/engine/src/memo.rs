//! What earlier leaders of a run recorded: results by the keys of their jobs, each for at most one job.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use moil_cwl::error::Error;
use moil_cwl::files::Files;
use moil_cwl::value::Value;
use moil_job::key::Key;
use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::result::JobResult;
use moil_job::spec::{AttemptId, JobId};

/// The results that may be used again.
#[derive(Debug, Default)]
pub struct Memo {
    /// By the hash of the key.
    results: HashMap<String, VecDeque<Recorded>>,
    /// What was started and has no recorded end, by the hash of the key.
    unfinished: HashMap<String, Vec<Unfinished>>,
    /// How often each job was tried: the numbers of attempts go on from there.
    tries: HashMap<JobId, u32>,
    /// What evaluations gave that give something else each time, by what they were made of.
    evaluated: HashMap<String, Vec<(JobId, Value)>>,
}

/// A result and whose it was.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The attempt that gave it.
    pub attempt: AttemptId,
    /// What it gave.
    pub result: JobResult,
}

/// An attempt that was started, and of which no end is recorded: a worker elsewhere may be at it, or have left a result.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// The leader's that started it.
    pub term: Arc<str>,
    /// Which one.
    pub attempt: AttemptId,
    /// What it may use.
    pub granted: Resources,
}

impl Memo {
    /// What a journal says: its records, each with the term of its leader.
    pub fn of(records: impl IntoIterator<Item = (Arc<str>, Record)>) -> Self {
        let mut memo = Self::default();
        let mut open: HashMap<AttemptId, (Key, Arc<str>, Resources)> = HashMap::new();
        for (term, record) in records {
            match record {
                Record::AttemptStarted { attempt, key, granted, .. } => {
                    let tries = memo.tries.entry(attempt.job.clone()).or_default();
                    *tries = attempt.number.max(*tries);
                    open.extend(key.and_then(Result::ok).map(|key| (attempt, (key, term, granted))));
                }
                Record::JobFinished { attempt, result } => {
                    if let Some((key, ..)) = open.remove(&attempt) {
                        memo.results.entry(key.hash).or_default().push_back(Recorded { attempt, result });
                    }
                }
                Record::AttemptFailed { attempt, .. } => drop(open.remove(&attempt)),
                Record::Evaluated { at, what, value } => {
                    memo.evaluated.entry(what).or_default().push((at, value));
                }
                Record::InPlace { locations, .. } => memo.forget(&locations),
                _ => {}
            }
        }
        for (attempt, (key, term, granted)) in open {
            memo.unfinished.entry(key.hash).or_default().push(Unfinished { term, attempt, granted });
        }
        memo
    }

    /// Forgets results with files that were changed after them.
    fn forget(&mut self, changed: &[Arc<str>]) {
        let is_changed = |location: &str| {
            changed.iter().any(|changed| {
                location == &**changed || is_below(location, changed) || is_below(changed, location)
            })
        };
        for results in self.results.values_mut() {
            results.retain(|recorded| {
                let mut any = false;
                recorded.result.outputs.visit_files(&mut |item| {
                    any |= location_of(item).is_some_and(|location| is_changed(location));
                });
                !any
            });
        }
    }

    /// Takes a result that a job of this key gave; one of a job at the same position first.
    pub fn take(&mut self, key: &Key, job: &JobId) -> Option<Recorded> {
        self.take_own(key, job).or_else(|| self.results.get_mut(&key.hash)?.pop_front())
    }

    /// Takes a result of this key that the job at this position gave.
    pub fn take_own(&mut self, key: &Key, job: &JobId) -> Option<Recorded> {
        let results = self.results.get_mut(&key.hash)?;
        let index = results.iter().position(|recorded| recorded.attempt.job == *job)?;
        results.remove(index)
    }

    /// Takes an attempt at a job of this key that may not be over; one at the same position first.
    pub fn take_unfinished(&mut self, key: &Key, job: &JobId) -> Option<Unfinished> {
        let attempts = self.unfinished.get_mut(&key.hash)?;
        let index = attempts.iter().position(|unfinished| unfinished.attempt.job == *job).unwrap_or(0);
        if attempts.is_empty() { None } else { Some(attempts.swap_remove(index)) }
    }

    /// Takes what an evaluation gave that was made of the same; one at the same position first, and what `usable`
    /// refuses never.
    pub fn take_evaluated(
        &mut self,
        what: &str,
        at: &JobId,
        usable: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let recorded = self.evaluated.get_mut(what)?;
        recorded.retain(|(_, value)| usable(value));
        let index = recorded.iter().position(|(position, _)| position == at).unwrap_or(0);
        if recorded.is_empty() { None } else { Some(recorded.remove(index).1) }
    }

    /// How often a job was tried before.
    pub fn tries(&self, job: &JobId) -> u32 {
        self.tries.get(job).copied().unwrap_or_default()
    }
}

/// The locations of all files and directories in a value.
pub(crate) fn locations(value: &Value) -> Vec<Arc<str>> {
    let mut locations = Vec::new();
    value.visit_files(&mut |item| locations.extend(location_of(item).cloned()));
    locations
}

fn location_of(item: &Value) -> Option<&Arc<str>> {
    match item {
        Value::File(file) => file.location.as_ref(),
        Value::Directory(directory) => directory.location.as_ref(),
        _ => None,
    }
}

/// Whether a location lies in a directory.
fn is_below(location: &str, directory: &str) -> bool {
    location.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// What keeps a result from being used again: a file or directory of it that is gone or has another size. `None`: it
/// can be used.
///
/// # Errors
/// Where that cannot be found out.
pub fn missing(outputs: &Value, files: &dyn Files) -> Result<Option<String>, Error> {
    let mut missing = None;
    let mut failed = None;
    outputs.visit_files(&mut |item| {
        if missing.is_some() || failed.is_some() {
            return;
        }
        let (location, is_directory, size) = match item {
            Value::File(file) => (&file.location, false, file.size),
            Value::Directory(directory) => (&directory.location, true, None),
            _ => return,
        };
        let Some(location) = location else { return };
        match files.stat(location) {
            Ok(Some(stat))
                if stat.is_directory == is_directory && size.is_none_or(|size| size == stat.size) =>
            {
                // Computed only where there is a reason to doubt.
                if let (Value::File(file), Ok(Some(checksum))) = (item, files.checksum(location))
                    && file.checksum.as_ref().is_some_and(|recorded| *recorded != checksum)
                {
                    missing = Some(format!("{location} has changed"));
                }
            }
            Ok(Some(_)) => missing = Some(format!("{location} has changed")),
            Ok(None) => missing = Some(format!("{location} is gone")),
            Err(error) => failed = Some(error),
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(missing),
    }
}
