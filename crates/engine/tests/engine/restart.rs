//! A leader that goes on with what an earlier one recorded.

use std::sync::Arc;

use moil_engine::keying::Keying;
use moil_job::failure::FailureKind;
use moil_job::identity::{Origin, Origins};
use moil_job::key::Keys;
use moil_job::record::Record;

use super::leader::{Act, Case, Ended, SCATTER, STEPS};

/// There are no files here.
struct NoFiles;

impl Origins for NoFiles {
    fn origin(&self, _: &str, _: Option<&str>) -> Result<Origin, String> {
        Err("there are no files here".to_owned())
    }
}

pub fn keys() -> Option<Arc<Keying>> {
    Some(Arc::new(Keying::new(Keys::new(&[7; 32]), Box::new(NoFiles), Box::new(|_| None), Vec::new())))
}

/// A run with what was recorded before; with all that is recorded after it.
fn run(text: &str, recorded: Vec<Record>, act: fn(&str) -> Act) -> (Ended, Vec<Record>) {
    let mut case = Case::new(text, move |attempt| act(&attempt.job.id.0));
    case.keys = keys();
    case.recorded.clone_from(&recorded);
    let store = Arc::clone(&case.store);
    let ended = case.run();
    let groups = store.groups.lock().expect("not poisoned");
    (ended, recorded.into_iter().chain(groups.iter().flatten().cloned()).collect())
}

pub fn submitted(ended: &Ended) -> Vec<&str> {
    let mut submitted: Vec<&str> = ended.log.iter().filter_map(|line| line.strip_prefix("submit ")).collect();
    submitted.sort_unstable();
    submitted
}

#[test]
fn a_finished_run_runs_nothing_again() {
    let (first, recorded) = run(STEPS, Vec::new(), |_| Act::Done);
    let (second, after) = run(STEPS, recorded.clone(), |_| Act::Done);
    assert_eq!(submitted(&second), [""; 0]);
    assert_eq!(second.end, first.end);
    assert_eq!(second.events.iter().filter(|event| event.starts_with("reused")).count(), 3);
    let new = &after[recorded.len()..];
    assert!(new.iter().all(|record| matches!(record, Record::JobReused { .. })), "{new:?}");
    assert_eq!(new.len(), 3);
}

#[test]
fn a_journal_cut_anywhere_gives_the_same_end_and_runs_no_finished_job_again() {
    let (whole, recorded) = run(SCATTER, Vec::new(), |_| Act::Done);
    for cut in 0..=recorded.len() {
        let before: Vec<Record> = recorded[..cut].to_vec();
        let finished: Vec<String> = before
            .iter()
            .filter_map(|record| match record {
                Record::JobFinished { attempt, .. } => Some(attempt.job.to_string()),
                _ => None,
            })
            .collect();
        let tried: Vec<String> = before
            .iter()
            .filter_map(|record| match record {
                Record::AttemptStarted { attempt, .. } => Some(attempt.to_string()),
                _ => None,
            })
            .collect();
        let (ended, _) = run(SCATTER, before, |_| Act::Done);
        // Attempts have their ids in their results here: those of attempts that were lost differ.
        let without_tries = |text: &str| text.replace("#2", "#1");
        assert_eq!(without_tries(&ended.end), without_tries(&whole.end), "cut at {cut}");
        for id in submitted(&ended) {
            assert!(!tried.contains(&id.to_owned()), "cut at {cut}: {id} is used twice");
            let job = id.split('#').next().expect("a job");
            assert!(!finished.contains(&job.to_owned()), "cut at {cut}: {id} was finished");
        }
    }
}

#[test]
fn what_failed_runs_again_and_the_rest_does_not() {
    let act = |id: &str| if id == "a[1]" { Act::Fail(FailureKind::BadInput) } else { Act::Done };
    let (first, recorded) = run(SCATTER, Vec::new(), act);
    assert_eq!(first.end, "failed");
    let (second, _) = run(SCATTER, recorded, |_| Act::Done);
    let again = submitted(&second);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again[0].starts_with("a[1]#") && again[1] == "b#1", "{again:?}");
}

#[test]
fn an_edited_step_runs_again_and_what_depends_on_it() {
    let (_, recorded) = run(STEPS, Vec::new(), |_| Act::Done);
    let edited = STEPS.replace(
        "b: {run: TOOL,",
        "b: {run: {class: CommandLineTool, baseCommand: y, inputs: {i: 'Any?'}, outputs: {o: 'Any?'}},",
    );
    let (ended, _) = run(&edited, recorded, |_| Act::Done);
    assert_eq!(submitted(&ended), ["b#2"]);
}

#[test]
fn a_step_that_moved_takes_the_result_of_its_old_place() {
    // Without equal jobs, of which another one's result might be taken.
    let (_, recorded) = run(SCATTER, Vec::new(), |_| Act::Done);
    let (ended, _) = run(&SCATTER.replace("a:", "first:").replace("a/o", "first/o"), recorded, |_| Act::Done);
    assert_eq!(submitted(&ended), [""; 0]);
}

#[test]
fn equal_jobs_do_not_share_a_result() {
    let one = "
class: Workflow
inputs: {x: Any}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a: {run: TOOL, in: {i: x}, out: [o]}
";
    let (_, recorded) = run(one, Vec::new(), |_| Act::Done);
    let two = format!("{one}  b: {{run: TOOL, in: {{i: x}}, out: [o]}}\n");
    let (ended, _) = run(&two, recorded, |_| Act::Done);
    assert_eq!(submitted(&ended).len(), 1);
}

#[test]
fn equal_jobs_have_a_result_each_wherever_the_journal_is_cut() {
    let equal = "
class: Workflow
inputs: {x: {type: {type: array, items: Any}}}
outputs: {r: {type: Any, outputSource: a/o}}
steps:
  a: {run: TOOL, in: {n: x, i: {valueFrom: equal}}, out: [o], scatter: n}
";
    let (_, recorded) = run(equal, Vec::new(), |_| Act::Done);
    for cut in 0..=recorded.len() {
        let (_, after) = run(equal, recorded[..cut].to_vec(), |_| Act::Done);
        let (third, _) = run(equal, after, |_| Act::Done);
        assert_eq!(submitted(&third), [""; 0], "cut at {cut}");
    }
}

/// Everything that expressions can do with the clock and random numbers, and jobs that depend on it.
const VOLATILE: &str = "
class: Workflow
inputs: {x: {type: {type: array, items: int}}}
outputs:
  b: {type: Any, outputSource: b/o}
  f: {type: Any, outputSource: f/o}
  s: {type: Any, outputSource: s/o}
  l: {type: Any, outputSource: l/o}
  m: {type: Any, outputSource: m/o}
steps:
  a: {run: TOOL, in: {n: x, i: {valueFrom: $(inputs.n + Math.random())}}, out: [o], scatter: n}
  b: {run: TOOL, in: {i: a/o}, out: [o]}
  e:
    run: {class: ExpressionTool, inputs: {i: Any}, outputs: {o: Any}, expression: '${ return {o: new Date() + Math.random()}; }'}
    in: {i: b/o}
    out: [o]
  f: {run: TOOL, in: {i: e/o}, out: [o]}
  s: {run: TOOL, in: {i: f/o}, out: [o], when: $(Math.random() < 0.5)}
  l:
    run: TOOL
    in: {i: x}
    out: [o]
    requirements:
      cwltool:Loop:
        loopWhen: $(inputs.i.length > 0)
        loop: {i: {valueFrom: '$(inputs.i.slice(1).map(function() { return Math.random(); }))'}}
        outputMethod: all
  m: {run: MEMORY, in: {i: x}, out: [o]}
";

fn volatile() -> String {
    let memory = "{class: CommandLineTool, baseCommand: y, inputs: {i: Any}, outputs: {o: Any}, \
                  requirements: {ResourceRequirement: {ramMin: '$(256 + Math.floor(Math.random() * 1000))'}}}";
    VOLATILE.replace("MEMORY", memory)
}

#[test]
fn what_random_numbers_gave_is_given_again_wherever_the_journal_is_cut() {
    let (whole, recorded) = run(&volatile(), Vec::new(), |_| Act::Done);
    assert_ne!(whole.end, "failed", "{:?}", whole.failures);
    for cut in 0..=recorded.len() {
        let before = recorded[..cut].to_vec();
        let finished: Vec<String> = before
            .iter()
            .filter_map(|record| match record {
                Record::JobFinished { attempt, .. } => Some(attempt.job.to_string()),
                _ => None,
            })
            .collect();
        let (ended, after) = run(&volatile(), before, |_| Act::Done);
        assert_ne!(ended.end, "failed", "cut at {cut}: {:?}", ended.failures);
        for id in submitted(&ended) {
            let job = id.split('#').next().expect("a job");
            assert!(!finished.contains(&job.to_owned()), "cut at {cut}: {id} was finished");
        }
        let (third, _) = run(&volatile(), after, |_| Act::Done);
        assert_eq!(submitted(&third), [""; 0], "cut at {cut}");
        assert_eq!(third.end, ended.end, "cut at {cut}");
    }
}

#[test]
fn an_edited_expression_is_evaluated_again() {
    let (_, recorded) = run(&volatile(), Vec::new(), |_| Act::Done);
    let edited = volatile().replace("inputs.n + Math", "inputs.n - Math");
    let (ended, _) = run(&edited, recorded, |_| Act::Done);
    let again = submitted(&ended);
    assert!(["a[0]#2", "a[1]#2", "a[2]#2", "b#2"].iter().all(|id| again.contains(id)), "{again:?}");
    assert!(!again.iter().any(|id| id.starts_with('l') || id.starts_with('m')), "{again:?}");
}

#[test]
fn equal_elements_keep_their_own_random_numbers() {
    let text = "
class: Workflow
inputs: {x: {type: {type: array, items: int}}}
outputs: {o: {type: Any, outputSource: b/o}}
steps:
  a:
    run: {class: ExpressionTool, inputs: {i: Any}, outputs: {o: Any}, expression: '${ return {o: [1, 1, 1]}; }'}
    in: {i: x}
    out: [o]
  b:
    run: {class: ExpressionTool, inputs: {i: Any}, outputs: {o: Any}, expression: '${ return {o: Math.random()}; }'}
    in: {i: a/o}
    out: [o]
    scatter: i
";
    let (first, recorded) = run(text, Vec::new(), |_| Act::Done);
    let (second, _) = run(text, recorded, |_| Act::Done);
    assert_ne!(first.end, "failed");
    assert_eq!(second.end, first.end);
}
