//! Interrupts, refusing stores, and stopping at the first failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moil_engine::leader::Message;
use moil_job::failure::FailureKind;
use moil_job::record::Record;
use moil_job::spec::Attempt;
use moil_job::store::StoreError;

use super::leader::{Act, Case, FakeStore, STEPS};

fn of(attempt: &Attempt) -> &str {
    &attempt.job.id.0
}

#[test]
fn an_interrupt_cancels_what_runs_and_starts_nothing_more() {
    let ended = Case::new(STEPS, |attempt| match of(attempt) {
        "a" => Act::Hold,
        _ => Act::Send(vec![Message::Interrupt]),
    })
    .run();
    assert!(ended.interrupted);
    assert_eq!((ended.end.as_str(), ended.failures.len()), ("failed", 0));
    let mut log = ended.log;
    assert_eq!(log.pop().as_deref(), Some("shut down"));
    log.retain(|line| !line.starts_with("submit"));
    log.sort();
    assert_eq!(log.len(), ended.memory.len(), "all that ran was cancelled: {log:?}");
}

#[test]
fn a_leader_that_is_to_leave_cancels_nothing() {
    let ended = Case::new(STEPS, |attempt| match of(attempt) {
        "a" => Act::Hold,
        _ => Act::Send(vec![Message::Leave]),
    })
    .run();
    assert!(ended.interrupted && ended.failures.is_empty());
    let (last, before) = ended.log.split_last().expect("something was done");
    assert_eq!(last, "leave");
    assert!(before.iter().all(|line| line.starts_with("submit")), "{before:?}");
}

#[test]
fn a_second_interrupt_waits_for_nobody() {
    let ended = Case::new(STEPS, |attempt| match of(attempt) {
        "a" => Act::Silence,
        _ => Act::Send(vec![Message::Interrupt, Message::Interrupt]),
    })
    .run();
    assert!(ended.interrupted);
    assert_eq!(ended.log.last().map(String::as_str), Some("shut down"));
}

#[test]
fn an_interrupt_does_not_wait_for_an_expression() {
    let text = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: b/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o]}
  b: {run: TOOL, in: {i: {source: a/o, valueFrom: '${ while (true) {} }'}}, out: [o]}
  c: {run: TOOL, in: {i: a/o}, out: [o]}
";
    let ended = Case::new(text, |attempt| match of(attempt) {
        "a" => Act::Done,
        _ => Act::Send(vec![Message::Interrupt]),
    })
    .run();
    assert!(ended.interrupted);
}

#[test]
fn stopping_at_the_first_failure_cancels_its_siblings() {
    let text = "
class: Workflow
inputs: {x: {type: {type: array, items: int}}}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o], scatter: i}
";
    let mut case = Case::new(text, |attempt| match of(attempt) {
        "a[2]" => Act::Fail(FailureKind::BadOutput),
        _ => Act::Hold,
    });
    case.policy.stop_on_first_failure = true;
    let ended = case.run();
    assert_eq!(ended.failures, ["job a_3: it failed"]);
    assert_eq!((ended.end.as_str(), ended.interrupted), ("failed", false));
    let count = |word: &str| ended.log.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("cancel"), count("submit") - 1);
}

#[test]
fn a_store_that_refuses_ends_the_run_and_is_not_asked_again() {
    for (refuse_from, fenced) in [(0, false), (0, true), (1, false), (2, true)] {
        let mut case = Case::new(STEPS, |_| Act::Done);
        let store = Arc::new(FakeStore { refuse_from: Some(refuse_from), fenced, ..FakeStore::default() });
        case.store = Arc::clone(&store);
        let ended = case.run();
        assert_eq!(ended.end, "failed");
        assert_eq!(ended.failures, ["run: the job store refused a record"], "{refuse_from}");
        assert!(store.refused.load(Ordering::SeqCst) && !store.asked_again.load(Ordering::SeqCst));
        let recorded: Vec<String> = started(&store);
        let submitted: Vec<String> =
            ended.log.iter().filter_map(|line| line.strip_prefix("submit ")).map(str::to_owned).collect();
        assert!(
            submitted.iter().all(|id| recorded.contains(id)),
            "nothing is submitted that is not recorded"
        );
        match (ended.refusal, fenced) {
            (Some(StoreError::Fenced { leader }), true) => assert_eq!(leader, "other:7"),
            (Some(StoreError::Failed { .. }), false) => {}
            (other, _) => panic!("{other:?}"),
        }
        let (last, before) = ended.log.split_last().expect("something was done");
        assert_eq!(last, "leave", "what runs may be another leader's now");
        assert!(!before.iter().any(|line| line.starts_with("cancel")), "{before:?}");
        let told: Vec<&str> =
            ended.events.iter().filter_map(|event| event.strip_prefix("started ")).collect();
        assert_eq!(told, submitted, "and nothing is said to have started");
    }
}

fn started(store: &FakeStore) -> Vec<String> {
    let groups = store.groups.lock().expect("not poisoned");
    let attempt = |record: &Record| match record {
        Record::AttemptStarted { attempt, .. } => Some(attempt.to_string()),
        _ => None,
    };
    groups.iter().flatten().filter_map(attempt).collect()
}

#[test]
fn each_job_is_recorded_as_finished_before_the_next_depends_on_it() {
    let case = Case::new(STEPS, |_| Act::Done);
    let store = Arc::clone(&case.store);
    case.run();
    let groups = store.groups.lock().expect("not poisoned");
    let flat: Vec<String> = groups
        .iter()
        .flatten()
        .filter_map(|record| match record {
            Record::AttemptStarted { attempt, .. } => Some(format!("start {attempt}")),
            Record::JobFinished { attempt, .. } => Some(format!("finish {attempt}")),
            _ => None,
        })
        .collect();
    let at = |line: &str| flat.iter().position(|other| other == line).expect(line);
    assert_eq!(flat.len(), 6);
    assert!(at("start a#1") < at("finish a#1") && at("finish a#1") < at("start b#1"), "{flat:?}");
}

#[test]
fn an_expression_that_fails_is_told_with_its_step() {
    let text = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a: {run: TOOL, in: {i: {source: x, valueFrom: '${ throw 1 }'}}, out: [o]}
";
    let ended = Case::new(text, |_| Act::Done).run();
    assert_eq!((ended.end.as_str(), ended.log.len()), ("failed", 1));
    assert!(ended.failures[0].starts_with("step a: cannot evaluate"), "{:?}", ended.failures);
}

#[test]
fn an_endless_loop_of_a_step_is_ended_by_the_limit() {
    let text = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a:
    run: TOOL
    in: {i: x}
    out: [o]
    requirements:
      cwltool:Loop: {loopWhen: $(true), loop: {i: o}, outputMethod: last}
";
    let ended = Case::new(text, |_| Act::Done).run();
    assert_eq!(ended.failures, ["step a@5: the loop of step a has not ended after 5 rounds"]);
    assert_eq!(ended.memory.len(), 5);
}
