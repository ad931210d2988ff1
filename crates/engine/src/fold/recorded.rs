//! What a journal says of a run and its jobs: what `moil status` and `why` tell.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use moil_job::failure::{Failure, FailureKind};
use moil_job::key::{Key, NoKey};
use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::result::Usage;
use moil_job::spec::{AttemptId, Called, JobId};

/// The fold. Times are in milliseconds since 1970, by the clock of who wrote them.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// All leaders, in order.
    pub leaders: Vec<Leader>,
    /// All jobs that were begun or reused, in the order in which they first were.
    pub jobs: IndexMap<JobId, RecordedJob>,
    /// What failed where no attempt did, under the last leader.
    pub failures: Vec<(String, Failure)>,
    /// How the run ended under the last leader, and when.
    pub end: Option<(bool, u64)>,
    /// Whether the store is being removed.
    pub is_cleaning: bool,
    /// When the last record was written.
    pub last: u64,
    /// The steps with many elements under the last leader.
    large: IndexMap<Arc<str>, Elements>,
}

/// A leader of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Host and process.
    pub name: String,
    /// When it took over.
    pub at: u64,
}

/// How many elements of a step were announced, and of how many the step is over.
#[derive(Clone, Debug, Default)]
struct Elements {
    begun: usize,
    /// Of the instances that run, in the order in which they began.
    open: Vec<usize>,
}

/// A job.
#[derive(Clone, Debug)]
pub struct RecordedJob {
    /// What people call it.
    pub called: Called,
    /// Its attempts, in order.
    pub attempts: Vec<RecordedAttempt>,
    /// The recorded result that it was given last.
    pub reused: Option<Reused>,
}

/// A recorded result that counts for a job.
#[derive(Clone, Debug)]
pub struct Reused {
    /// Whose it is.
    pub from: AttemptId,
    /// When it was taken.
    pub at: u64,
    /// By which leader: an index into [`Recorded::leaders`].
    leader: usize,
}

/// An attempt.
#[derive(Clone, Debug)]
pub struct RecordedAttempt {
    /// Which try.
    pub number: u32,
    /// The job's key, or why it has none.
    pub key: Option<Result<Key, NoKey>>,
    /// What it may use.
    pub granted: Resources,
    /// Why it ran although its result was recorded.
    pub again: Option<String>,
    /// When it began to wait for its turn.
    pub recorded: u64,
    /// When it was handed to the executor.
    pub submitted: Option<u64>,
    /// Where it was at work, if that was told.
    pub place: Option<Arc<str>>,
    /// How it ended; `None` if nothing is known of that.
    pub end: Option<(AttemptEnd, u64)>,
    /// By which leader: an index into [`Recorded::leaders`].
    leader: usize,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum AttemptEnd {
    /// It did its work.
    Done(Usage),
    /// It failed; the next try comes in so many seconds, if there is one.
    Failed(Box<Failure>, Option<f64>),
}

/// How it stands with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It waits for its turn or its next try.
    Waiting,
    /// It runs.
    Running,
    /// It was run.
    Done,
    /// Its result was taken from what was recorded.
    Reused,
    /// It failed for good.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// Its leader ended while it waited or ran.
    Lost,
    /// It is of an earlier leader, and the run was finished without it.
    Obsolete,
}

impl JobState {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Reused => "reused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Obsolete => "obsolete",
        }
    }
}

/// The jobs of a step by their states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// Not begun, or between two tries.
    pub waiting: usize,
    /// At work.
    pub running: usize,
    /// Run.
    pub done: usize,
    /// Taken from what was recorded.
    pub reused: usize,
    /// Failed for good.
    pub failed: usize,
    /// Cancelled, or lost with their leader.
    pub cut_off: usize,
}

impl Recorded {
    /// What a journal says; each record comes with the time when it was written.
    pub fn of<'a>(records: impl IntoIterator<Item = (u64, &'a Record)>) -> Self {
        let mut recorded = Self::default();
        for (at, record) in records {
            recorded.take(at, record);
        }
        recorded
    }

    fn take(&mut self, at: u64, record: &Record) {
        self.last = self.last.max(at);
        match record {
            Record::TookOver { leader, .. } => {
                self.leaders.push(Leader { name: leader.clone(), at });
                self.end = None;
                self.failures.clear();
                self.large.clear();
            }
            Record::StepStarted { step, elements } => {
                let large = self.large.entry(Arc::clone(step)).or_default();
                large.begun += elements;
                large.open.push(*elements);
            }
            Record::StepFinished { step } => {
                if let Some(large) = self.large.get_mut(step)
                    && !large.open.is_empty()
                {
                    large.open.remove(0);
                }
            }
            Record::Failed { what, failure } => self.failures.push((what.clone(), failure.clone())),
            Record::AttemptStarted { attempt, key, called, granted, again } => {
                let leader = self.leader();
                let job = self.job(&attempt.job);
                if let Some(called) = called {
                    job.called = called.clone();
                }
                job.attempts.push(RecordedAttempt {
                    number: attempt.number,
                    key: key.clone(),
                    granted: *granted,
                    again: again.clone(),
                    recorded: at,
                    submitted: None,
                    place: None,
                    end: None,
                    leader,
                });
            }
            Record::AttemptSubmitted { attempt, at } => {
                if let Some(attempt) = self.attempt(attempt) {
                    attempt.submitted = Some(*at);
                }
            }
            Record::AttemptPlaced { attempt, place } => {
                if let Some(attempt) = self.attempt(attempt) {
                    attempt.place = Some(Arc::clone(place));
                }
            }
            Record::AttemptFailed { attempt, failure, retry } => {
                if let Some(attempt) = self.attempt(attempt) {
                    attempt.end = Some((AttemptEnd::Failed(Box::new(failure.clone()), *retry), at));
                }
            }
            Record::JobFinished { attempt, result } => {
                if let Some(attempt) = self.attempt(attempt) {
                    attempt.end = Some((AttemptEnd::Done(result.usage), at));
                }
            }
            Record::JobReused { job, from } => {
                let leader = self.leader();
                self.job(job).reused = Some(Reused { from: from.clone(), at, leader });
            }
            Record::RunFinished { success } => self.end = Some((*success, at)),
            Record::Cleaning { .. } => self.is_cleaning = true,
            Record::InputsImported { .. }
            | Record::InPlace { .. }
            | Record::Evaluated { .. }
            | Record::ExportPlanned { .. }
            | Record::Exported { .. } => {}
        }
    }

    fn leader(&self) -> usize {
        self.leaders.len().saturating_sub(1)
    }

    fn job(&mut self, id: &JobId) -> &mut RecordedJob {
        self.jobs.entry(id.clone()).or_insert_with(|| RecordedJob {
            called: id.called(),
            attempts: Vec::new(),
            reused: None,
        })
    }

    fn attempt(&mut self, id: &AttemptId) -> Option<&mut RecordedAttempt> {
        let job = self.jobs.get_mut(&id.job)?;
        job.attempts.iter_mut().rev().find(|attempt| attempt.number == id.number)
    }

    /// Whether the last leader went through with the run.
    pub fn is_success(&self) -> bool {
        self.end.is_some_and(|(success, _)| success)
    }

    /// How it stands with a job. `alive`: the last leader is at work.
    pub fn state(&self, job: &RecordedJob, alive: bool) -> JobState {
        let now = self.leader();
        if job.reused.as_ref().is_some_and(|reused| reused.leader == now) {
            return JobState::Reused;
        }
        let Some(last) = job.attempts.last() else { return JobState::Obsolete };
        let is_of_now = last.leader == now;
        match &last.end {
            _ if !is_of_now && self.is_success() => JobState::Obsolete,
            Some((AttemptEnd::Done(_), _)) => JobState::Done,
            _ if !is_of_now && alive => JobState::Waiting,
            Some((AttemptEnd::Failed(_, Some(_)), _)) if alive => JobState::Waiting,
            Some((AttemptEnd::Failed(failure, _), _)) if failure.kind == FailureKind::Cancelled => {
                JobState::Cancelled
            }
            Some((AttemptEnd::Failed(..), _)) => JobState::Failed,
            None if alive && last.submitted.is_some() => JobState::Running,
            None if alive => JobState::Waiting,
            None => JobState::Lost,
        }
    }

    /// The jobs of each step by their states, in the order in which the steps began. Of a step with many elements those
    /// that are not begun wait; some of them may turn out to be skipped.
    pub fn steps(&self, alive: bool) -> IndexMap<Arc<str>, StepCounts> {
        let mut steps: IndexMap<Arc<str>, StepCounts> = IndexMap::new();
        let mut begun: IndexMap<&str, usize> = IndexMap::new();
        for job in self.jobs.values() {
            let state = self.state(job, alive);
            let counts = steps.entry(Arc::clone(&job.called.step)).or_default();
            let count = match state {
                JobState::Waiting => &mut counts.waiting,
                JobState::Running => &mut counts.running,
                JobState::Done => &mut counts.done,
                JobState::Reused => &mut counts.reused,
                JobState::Failed => &mut counts.failed,
                JobState::Cancelled | JobState::Lost => &mut counts.cut_off,
                JobState::Obsolete => continue,
            };
            *count += 1;
            *begun.entry(&job.called.step).or_default() += 1;
        }
        for (step, large) in &self.large {
            if let Some(counts) = steps.get_mut(step) {
                let begun = begun.get(&**step).copied().unwrap_or_default();
                let open = large.open.iter().sum();
                counts.waiting += large.begun.saturating_sub(begun).min(open);
            }
        }
        steps.retain(|_, counts| *counts != StepCounts::default());
        steps
    }

    /// The jobs that a word means: the id of one, or the name that one or more have.
    pub fn find<'a>(&'a self, word: &str) -> Vec<(&'a JobId, &'a RecordedJob)> {
        let (id, _) = word.rsplit_once('#').filter(|(_, n)| n.parse::<u32>().is_ok()).unwrap_or((word, ""));
        if let Some((id, job)) = self.jobs.get_key_value(&JobId(id.into())) {
            return vec![(id, job)];
        }
        self.jobs.iter().filter(|(_, job)| *job.called.name == *id).collect()
    }

    /// Why a job was run or not, the last time that a leader came to it, in sentences.
    pub fn why(&self, id: &JobId, job: &RecordedJob) -> Vec<String> {
        let Some(last) = job.attempts.last() else {
            return job.reused.iter().map(|reused| reused_words(&reused.from)).collect();
        };
        if let Some(reused) = job.reused.as_ref().filter(|reused| reused.leader > last.leader) {
            return vec![reused_words(&reused.from)];
        }
        // What the call cache has counts as the result of an attempt of its own.
        let is_own = |reused: &Reused| {
            reused.leader == last.leader && reused.from.job == *id && reused.from.number == last.number
        };
        if job.reused.as_ref().is_some_and(is_own) {
            return vec!["it did not run: its result was in the call cache (--cachedir)".to_owned()];
        }
        let mut why = Vec::new();
        if let Some(reason) = &last.again {
            why.push(format!("its recorded result could not be used: {reason}"));
        }
        match &last.key {
            Some(Err(reason)) => why.push(format!("its result can never be used again: {reason}")),
            None => why.push("jobs of this run have no keys".to_owned()),
            Some(Ok(_)) => {}
        }
        if !why.is_empty() {
            return why;
        }
        let Some(before) = job.attempts.iter().rev().nth(1) else {
            return vec![format!("it ran for the first time: nothing was recorded for {id}")];
        };
        let name = AttemptId { job: id.clone(), number: before.number };
        match &before.end {
            Some((AttemptEnd::Failed(failure, _), _)) => {
                why.push(format!("{name} failed: {}", failure.message));
            }
            None => why.push(format!("{name} did not come to its end: its leader ended before")),
            Some((AttemptEnd::Done(_), _)) => {}
        }
        let done = job.attempts[..job.attempts.len() - 1].iter().rev();
        let done = done.into_iter().find(|attempt| matches!(attempt.end, Some((AttemptEnd::Done(_), _))));
        if let (Some(done), Some(Ok(key))) = (done, &last.key) {
            let name = AttemptId { job: id.clone(), number: done.number };
            match &done.key {
                Some(Ok(recorded)) => {
                    let differ = key.differences(recorded);
                    // A part that changed is in both lists of parts, one that came or went is in one.
                    let mut seen = HashSet::new();
                    let differ: Vec<&str> = differ.into_iter().filter(|part| seen.insert(*part)).collect();
                    match differ.is_empty() {
                        false => why.push(format!("it differs from {name} in: {}", differ.join(", "))),
                        true => {
                            why.push(format!("the result of {name} was used for another job, or not valid"))
                        }
                    }
                }
                Some(Err(reason)) => why.push(format!("the result of {name} could never be used: {reason}")),
                None => {}
            }
        }
        why
    }
}

fn reused_words(from: &AttemptId) -> String {
    format!("it did not run: the result of {from} was used, since its key is the same in all parts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_cwl::value::Value;
    use moil_job::key::Keys;
    use moil_job::result::JobResult;

    fn id(job: &str, number: u32) -> AttemptId {
        AttemptId { job: JobId(job.into()), number }
    }

    fn leader(name: &str) -> Record {
        Record::TookOver {
            leader: name.into(),
            host: name.into(),
            boot: String::new(),
            nonce: String::new(),
            void_from: None,
        }
    }

    fn started(job: &str, number: u32, key: Option<Result<Key, NoKey>>) -> Record {
        Record::AttemptStarted {
            attempt: id(job, number),
            key,
            called: None,
            granted: Resources { cores: 2.0, ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 },
            again: None,
        }
    }

    fn finished(job: &str, number: u32, seconds: u64) -> Record {
        let second = std::time::Duration::from_secs(1);
        let usage = Usage { wall: second * seconds as u32, cpu: second, ..Usage::default() };
        Record::JobFinished {
            attempt: id(job, number),
            result: JobResult {
                outputs: Value::Null,
                exit_code: 0,
                usage,
                updates: Vec::new(),
                logs: Vec::new(),
            },
        }
    }

    fn failed(job: &str, kind: FailureKind, retry: Option<f64>) -> Record {
        Record::AttemptFailed { attempt: id(job, 1), failure: Failure::new(kind, "it broke"), retry }
    }

    fn fold(records: &[Record]) -> Recorded {
        Recorded::of(records.iter().enumerate().map(|(at, record)| (at as u64 * 1000, record)))
    }

    fn key(tool: &str, word: &str) -> Option<Result<Key, NoKey>> {
        Some(Ok(Keys::new(&[7; 32]).key(&[("tool", tool), ("input word", word)])))
    }

    #[test]
    fn jobs_have_the_states_that_their_last_records_give_them() {
        let submitted = |job| Record::AttemptSubmitted { attempt: id(job, 1), at: 7 };
        let records = [
            leader("a:1"),
            Record::StepStarted { step: "w".into(), elements: 9 },
            started("w[0]", 1, None),
            started("w[1]", 1, None),
            started("w[2]", 1, None),
            started("w[3]", 1, None),
            started("w[4]", 1, None),
            started("w[5]", 1, None),
            submitted("w[0]"),
            finished("w[1]", 1, 1),
            failed("w[2]", FailureKind::BadOutput, None),
            failed("w[3]", FailureKind::System, Some(2.0)),
            failed("w[4]", FailureKind::Cancelled, None),
        ];
        let run = fold(&records);
        let states = |alive| run.jobs.values().map(|job| run.state(job, alive).word()).collect::<Vec<_>>();
        assert_eq!(states(true), ["running", "done", "failed", "waiting", "cancelled", "waiting"]);
        assert_eq!(states(false), ["lost", "done", "failed", "failed", "cancelled", "lost"]);
        let counts = StepCounts { waiting: 5, running: 1, done: 1, failed: 1, cut_off: 1, reused: 0 };
        assert_eq!(run.steps(true)["w"], counts);
    }

    #[test]
    fn a_later_leader_says_what_counts() {
        let mut records = vec![
            leader("a:1"),
            started("x", 1, None),
            finished("x", 1, 1),
            started("y", 1, None),
            started("old", 1, None),
            finished("old", 1, 1),
            leader("b:2"),
            Record::JobReused { job: JobId("x".into()), from: id("x", 1) },
        ];
        let states = |records: &[Record], alive| {
            let run = fold(records);
            run.jobs.values().map(|job| run.state(job, alive).word()).collect::<Vec<_>>()
        };
        assert_eq!(states(&records, true), ["reused", "waiting", "done"]);
        records.extend([started("y", 2, None), finished("y", 2, 1), Record::RunFinished { success: true }]);
        assert_eq!(states(&records, false), ["reused", "done", "obsolete"]);
    }

    #[test]
    fn why_names_the_parts_that_differ_or_the_reason() {
        let no_key = Some(Err(NoKey::WorkReuse));
        let run = fold(&[
            leader("a:1"),
            started("x", 1, key("t", "a")),
            finished("x", 1, 1),
            started("y", 1, no_key.clone()),
            started("z", 1, key("t", "a")),
            failed("z", FailureKind::BadInput, None),
            leader("b:2"),
            started("x", 2, key("t", "b")),
            started("y", 2, no_key),
            started("z", 2, key("t", "a")),
            started("new", 1, key("t", "a")),
            started("cached", 1, key("t", "a")),
            finished("cached", 1, 0),
            Record::JobReused { job: JobId("cached".into()), from: id("cached", 1) },
        ]);
        let why = |word: &str| {
            let found = run.find(word);
            assert_eq!(found.len(), 1, "{word}");
            run.why(found[0].0, found[0].1).join("; ")
        };
        assert_eq!(why("x"), "it differs from x#1 in: input word");
        assert!(why("y").contains("WorkReuse"), "{}", why("y"));
        assert_eq!(why("z#2"), "z#1 failed: it broke");
        assert!(why("new").contains("for the first time"));
        assert_eq!(why("cached"), "it did not run: its result was in the call cache (--cachedir)");
    }
}
