//! A leader that goes on where workers of an earlier one are still at work, or have left results that it did not hear of.

use std::sync::Arc;

use moil_job::exchange::{Exchange, Told};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::result::Outcome;
use moil_job::spec::{Attempt, AttemptId};

use super::leader::{Act, Case, Ended, SCATTER, done};
use super::restart::{keys, submitted};

type Results = fn(&AttemptId) -> Option<Outcome>;

/// Results by attempts.
struct Left(Results);

impl Exchange for Left {
    fn hand_over(&self, _: &Attempt) -> Result<String, Failure> {
        Err(Failure::new(FailureKind::Internal, "nothing is handed over here"))
    }

    fn write(&self, _: &Attempt) -> Result<Told, Failure> {
        Err(Failure::new(FailureKind::Internal, "nothing is written here"))
    }

    fn word(&self, term: &str, attempt: &AttemptId) -> String {
        format!("{term}/{attempt}")
    }

    fn outcome(&self, word: &str, attempt: &AttemptId) -> Result<Option<Outcome>, Failure> {
        assert_eq!(word, self.word("1-a", attempt));
        Ok((self.0)(attempt))
    }
}

fn case(recorded: &[Record], results: Results) -> Case {
    let mut case = Case::new(SCATTER, |_| Act::Done);
    case.keys = keys();
    case.recorded = recorded.to_vec();
    case.exchange = Some(Arc::new(Left(results)));
    case
}

/// All that a run records, and what it came to.
fn recorded() -> (Ended, Vec<Record>) {
    let case = case(&[], |_| None);
    let store = Arc::clone(&case.store);
    let ended = case.run();
    let groups = store.groups.lock().expect("not poisoned");
    (ended, groups.iter().flatten().cloned().collect())
}

/// The records of a leader that began the first step and saw no end of it.
fn begun() -> Vec<Record> {
    let (_, mut records) = recorded();
    records.retain(
        |record| matches!(record, Record::AttemptStarted { attempt, .. } if attempt.job.0.starts_with('a')),
    );
    assert_eq!(started(&records).len(), 3);
    records
}

fn started(records: &[Record]) -> Vec<String> {
    let started = |record: &Record| match record {
        Record::AttemptStarted { attempt, .. } => Some(attempt.to_string()),
        _ => None,
    };
    records.iter().filter_map(started).collect()
}

#[test]
fn wherever_the_journal_was_cut_a_result_that_was_left_is_taken() {
    let (whole, records) = recorded();
    for cut in 0..=records.len() {
        let before = &records[..cut];
        let ended = case(before, |attempt| Some(done(attempt))).run();
        assert_eq!(ended.end, whole.end, "cut at {cut}");
        for id in submitted(&ended) {
            assert!(!started(before).contains(&id.replace("#2", "#1")), "cut at {cut}: {id} ran twice");
        }
    }
}

#[test]
fn wherever_the_journal_was_cut_what_is_at_work_is_attached() {
    let (whole, records) = recorded();
    for cut in 0..=records.len() {
        let before = &records[..cut];
        let mut case = case(before, |_| None);
        case.at_work = vec!["1-a/a[0]#1", "1-a/a[1]#1", "1-a/a[2]#1", "1-a/b#1"];
        let ended = case.run();
        assert_eq!(ended.end, whole.end, "cut at {cut}");
        for id in submitted(&ended) {
            assert!(!started(before).contains(&id.replace("#2", "#1")), "cut at {cut}: {id} ran twice");
        }
    }
}

#[test]
fn without_result_or_worker_an_attempt_is_made_anew_under_a_new_number() {
    let begun = begun();
    let ended = case(&begun, |_| None).run();
    let again = submitted(&ended);
    assert_eq!(again, ["a[0]#2", "a[1]#2", "a[2]#2", "b#1"]);
}

#[test]
fn a_failure_that_was_left_is_recorded_and_the_job_tried_again() {
    let begun = begun();
    let failed = |attempt: &AttemptId| {
        let failure = Failure::new(FailureKind::BadOutput, "no output");
        (attempt.to_string() == "a[1]#1").then_some(Outcome::Failed(Box::new(failure)))
    };
    let case = case(&begun, failed);
    let store = Arc::clone(&case.store);
    let ended = case.run();
    assert!(ended.failures.is_empty() && ended.end != "failed", "{:?}", ended.failures);
    assert!(submitted(&ended).contains(&"a[1]#2"));
    let groups = store.groups.lock().expect("not poisoned");
    let recorded = |record: &Record| matches!(record, Record::AttemptFailed { attempt, .. } if attempt.to_string() == "a[1]#1");
    assert!(groups.iter().flatten().any(recorded));
}

#[test]
fn a_result_whose_files_are_gone_is_not_taken() {
    let begun = begun();
    let gone = |attempt: &AttemptId| match done(attempt) {
        Outcome::Done(mut result) => {
            result.outputs =
                moil_cwl::json::parse(r#"{"o": {"class": "File", "location": "file:///gone"}}"#).ok()?;
            Some(Outcome::Done(result))
        }
        failed => Some(failed),
    };
    let ended = case(&begun, gone).run();
    assert!(submitted(&ended).contains(&"a[0]#2"));
}
