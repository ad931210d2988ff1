//! Runs one after the other at one place, and what belongs to a run besides its journal.

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use moil_cwl::value::Value;
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::result::{JobResult, Outcome, Usage};
use moil_job::spec::{AttemptId, JobId};
use moil_jobstore::heartbeat::{Heartbeat, Sign, ask_to_end, last_beat, take_away};
use moil_jobstore::ledger::{Info, Ledger, OpenError};
use moil_jobstore::names::{Term, word};
use moil_jobstore::records::Records;
use moil_jobstore::results::{Published, Results};
use moil_jobstore::runs;
use moil_jobstore::who::Who;

use crate::faulty::{Fault, Faulty};
use crate::places::{self, Factory};

#[test]
fn memory() {
    suite(&places::memory);
}

#[test]
fn file() {
    suite(&places::file);
}

#[cfg(feature = "aws")]
#[test]
fn s3() {
    suite(&places::s3);
}

#[cfg(feature = "aws")]
#[test]
fn simpledb() {
    suite(&places::simpledb);
}

/// Everything that is promised of runs at one place, of results and of heartbeats.
pub fn suite(make: Factory) {
    let cases: &[fn(Factory)] = &[
        of_many_who_make_a_run_one_succeeds,
        a_run_is_made_whatever_fails,
        a_store_made_again_is_safe_from_stragglers_of_the_one_before,
        what_was_half_removed_is_removed_before_a_new_run,
        a_run_of_which_only_the_first_record_is_left_is_one_that_has_just_begun,
        what_went_along_is_found_and_can_be_replaced_and_deleted,
        a_pointer_of_another_run_at_the_same_place_is_left_alone,
        the_first_result_of_an_attempt_stays,
        results_come_back_as_they_were,
        a_leader_gives_signs_of_life_and_hears_that_it_should_end,
    ];
    for case in cases {
        case(make);
    }
}

fn id(name: &str) -> AttemptId {
    AttemptId { job: JobId(name.into()), number: 1 }
}

fn started(name: &str) -> Record {
    Record::AttemptStarted {
        attempt: id(name),
        key: None,
        called: None,
        granted: Resources { cores: 1.0, ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 },
        again: None,
    }
}

fn done(text: &str) -> Outcome {
    let outputs = Value::map([("out".into(), Value::from(text))].into_iter().collect());
    Outcome::Done(JobResult {
        outputs,
        exit_code: 0,
        usage: Usage::default(),
        updates: Vec::new(),
        logs: Vec::new(),
    })
}

fn of_many_who_make_a_run_one_succeeds(make: Factory) {
    let place = make();
    for _ in 0..3 {
        let start = Arc::new(Barrier::new(4));
        let makers: Vec<_> = (0..4)
            .map(|_| {
                let (root, start) = (place.open(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    runs::create(&root, &Who::here())
                })
            })
            .collect();
        let made: Vec<_> = makers.into_iter().map(|maker| maker.join().expect("a maker")).collect();
        let lost = made.iter().filter(|made| matches!(made, Err(OpenError::Exists))).count();
        assert_eq!(lost, 3);
        let leader = made.into_iter().find_map(Result::ok).expect("one");
        leader.append(&[started("a")]).expect("it leads");
        let current = runs::current(&place.open()).expect("there");
        let (info, replay) = Ledger::read(&*current, &Who::here()).expect("read");
        assert_eq!((&info, replay.entries.len()), (leader.info(), 2));
        let pointer = runs::find(&*place.open()).expect("there");
        leader.clean().expect("cleaned");
        runs::forget(&*place.open(), &pointer, None).expect("forgotten");
        assert_eq!(runs::current(&place.open()).err(), Some(OpenError::Missing));
    }
}

fn a_run_is_made_whatever_fails(make: Factory) {
    for lost in [true, false] {
        for call in 0.. {
            let place = make();
            let faulty = Faulty::at(place.open(), call, if lost { Fault::LoseAnswer } else { Fault::Fail });
            let root: Arc<dyn Records> = Arc::clone(&faulty) as _;
            match runs::create(&root, &Who::here()) {
                Ok(leader) => leader.append(&[started("a")]).expect("it leads"),
                // Reading is not tried again; then there is no run, or one that can be taken over.
                Err(OpenError::Records(_)) => match runs::create(&place.open(), &Who::here()) {
                    Err(OpenError::Exists) => {
                        drop(Ledger::take_over(runs::current(&place.open()).expect("there"), &Who::here()))
                    }
                    made => drop(made.expect("made")),
                },
                Err(error) => panic!("call {call}: {error}"),
            }
            if faulty.calls() <= call {
                break;
            }
        }
    }
}

fn a_store_made_again_is_safe_from_stragglers_of_the_one_before(make: Factory) {
    let place = make();
    let old = runs::create(&place.open(), &Who::here()).expect("made");
    old.append(&[started("old")]).expect("appended");
    let worker = Results::new(Arc::clone(old.records()));
    let pointer = runs::find(&*place.open()).expect("there");
    runs::clean(&place.open(), &Who::here()).expect("cleaned");
    let new = runs::create(&place.open(), &Who::here()).expect("made again");
    new.append(&[started("new")]).expect("appended");
    // The old leader and an old worker have slept through all this.
    assert!(old.append(&[started("late")]).is_err());
    let _ = worker.publish(&word(old.term(), &id("new")), &id("new"), "old worker", &done("old"));
    assert!(old.clean().is_err());
    assert_eq!(old.is_there(), Ok(false));
    assert_eq!(runs::forget(&*place.open(), &pointer, None), Ok(()));
    let current = runs::current(&place.open()).expect("there");
    let (info, replay) = Ledger::read(&*current, &Who::here()).expect("read");
    assert_eq!(info.run, new.info().run);
    assert_eq!(replay.entries.last().map(|entry| &entry.record), Some(&started("new")));
    assert_eq!(Results::new(current).of(&word(new.term(), &id("new")), &id("new")), Ok(None));
    new.append(&[started("more")]).expect("it leads on");
}

fn what_was_half_removed_is_removed_before_a_new_run(make: Factory) {
    for call in 0.. {
        let place = make();
        let old = runs::create(&place.open(), &Who::here()).expect("made");
        old.append(&[started("old")]).expect("appended");
        let faulty = Faulty::at(place.open(), call, Fault::Fail);
        let root: Arc<dyn Records> = Arc::clone(&faulty) as _;
        let cleaned = runs::clean(&root, &Who::here());
        match runs::create(&place.open(), &Who::here()) {
            Ok(new) => new.append(&[started("new")]).expect("it leads"),
            Err(OpenError::Exists) => assert!(cleaned.is_err(), "call {call}"),
            Err(error) => panic!("call {call}: {error}"),
        }
        if faulty.calls() <= call {
            assert!(cleaned.is_ok());
            break;
        }
    }
}

fn a_run_of_which_only_the_first_record_is_left_is_one_that_has_just_begun(make: Factory) {
    let place = make();
    let old = runs::create(&place.open(), &Who::here()).expect("made");
    old.append(&[started("old")]).expect("appended");
    // By somebody's hand: who removes a run says so first.
    old.records().delete(&old.records().list("", None).expect("listed")).expect("deleted");
    assert_eq!(runs::create(&place.open(), &Who::here()).err(), Some(OpenError::Exists));
    let (_, replay) =
        Ledger::take_over(runs::current(&place.open()).expect("there"), &Who::here()).expect("taken over");
    assert_eq!(replay.entries.len(), 1);
    runs::clean(&place.open(), &Who::here()).expect("cleaned");
    runs::create(&place.open(), &Who::here()).expect("made").append(&[started("new")]).expect("it leads");
}

fn what_went_along_is_found_and_can_be_replaced_and_deleted(make: Factory) {
    let place = make();
    let root = place.open();
    let new = runs::begin(&root, &|_| Ok(())).expect("begun");
    let leader = new.lead(&Who::here()).expect("led");
    let large = vec![b'x'; 100_000];
    let term = leader.term().clone();
    leader.define(&large).expect("held");
    let heartbeat = |every| Heartbeat::start(Arc::clone(leader.records()), &term, Who::here(), every, |_| ());
    heartbeat(Duration::from_secs(60)).expect("started").leave();
    assert_eq!(root.list("", None), Ok(Vec::new()), "nothing is stored");
    assert_eq!(runs::find(&*root).err(), Some(OpenError::Missing));
    new.store(&|name, bytes| root.put_if_absent(name, bytes)).expect("stored");
    // What is large is by itself.
    assert_eq!(root.list("", None).expect("listed").len(), 2);
    let there = || runs::current(&place.open()).expect("there");
    let beat = || last_beat(&*there(), &term).expect("read").map(|beat| beat.count);
    let (_, replay) = Ledger::read(&*there(), &Who::here()).expect("read");
    assert_eq!(Ledger::definition(&*there(), &replay), Ok(Some(large)));
    assert_eq!(Ledger::last_leader(&*there()).expect("read").map(|(term, _)| term), Some(term.clone()));
    assert_eq!(beat(), Some(1));
    // Its end is told, although what went along stays.
    drop(heartbeat(Duration::from_secs(60)));
    assert_eq!(beat(), None);
    heartbeat(Duration::from_secs(60)).expect("started").leave();
    assert_eq!(beat(), Some(1));
    take_away(&**leader.records(), &term).expect("taken away");
    assert_eq!(beat(), None);
    let pointer = runs::find(&*root).expect("there");
    runs::forget(&*root, &pointer, None).expect("forgotten");
    assert_eq!(leader.is_there(), Ok(false));
}

/// Somebody has removed all that was there with other tools.
fn a_pointer_of_another_run_at_the_same_place_is_left_alone(make: Factory) {
    let place = make();
    let old = runs::create(&place.open(), &Who::here()).expect("made");
    let pointer = runs::find(&*place.open()).expect("there");
    place.open().delete(&place.open().list("", None).expect("listed")).expect("deleted");
    let new = runs::create(&place.open(), &Who::here()).expect("made");
    assert_eq!(old.is_there(), Ok(false));
    runs::forget(&*place.open(), &pointer, None).expect("nothing is said");
    assert_eq!(runs::find(&*place.open()).expect("there").run, new.info().run);
}

fn the_first_result_of_an_attempt_stays(make: Factory) {
    let place = make();
    let leader = Ledger::create(place.open(), Info::new(&Who::here()), &Who::here()).expect("made");
    let (term, job) = (leader.term(), id("align[3]/sort"));
    let name = word(term, &job);
    let results = Results::new(place.open());
    assert_eq!(results.of(&name, &job), Ok(None));
    // The answer to the first worker is lost; it asks again, and a second worker comes too late.
    let first = Results::new(Faulty::at(place.open(), 0, Fault::LoseAnswer));
    assert_eq!(first.publish(&name, &job, "first", &done("first")), Ok(Published::Ours));
    assert_eq!(first.publish(&name, &job, "first", &done("first")), Ok(Published::Ours));
    assert_eq!(results.publish(&name, &job, "second", &done("second")), Ok(Published::Others));
    assert_eq!(results.of(&name, &job), Ok(Some(done("first"))));
    // The same attempt of a leader whose term a power cut undid is another one.
    let other = Term::new(term.epoch, "0123456789abcdef");
    assert_eq!(results.of(&word(&other, &job), &job), Ok(None));
}

fn results_come_back_as_they_were(make: Factory) {
    let place = make();
    let leader = Ledger::create(place.open(), Info::new(&Who::here()), &Who::here()).expect("made");
    let results = Results::new(place.open());
    let outputs = moil_cwl::json::parse(
        r#"{"out": {"class": "File", "location": "file:///a", "size": 3}, "n": 1.10, "big": 100000000000000000000000000000, "$int": "x"}"#,
    )
    .expect("JSON");
    let usage = Usage { wall: Duration::from_millis(1234), peak_memory: u64::MAX, ..Usage::default() };
    let failure = Failure::new(FailureKind::OutOfMemory, "no more").with_advice("more").with_cause("kernel");
    let outcomes = [
        Outcome::Done(JobResult { outputs, exit_code: 7, usage, updates: Vec::new(), logs: Vec::new() }),
        Outcome::Failed(Box::new(failure)),
    ];
    for (number, outcome) in outcomes.iter().enumerate() {
        let job = id(&number.to_string());
        let name = word(leader.term(), &job);
        results.publish(&name, &job, "worker", outcome).expect("published");
        let there = results.of(&name, &job).expect("read").expect("there");
        assert_eq!(format!("{there:?}"), format!("{outcome:?}"));
        if let Outcome::Done(result) = outcome {
            let record = Record::JobFinished { attempt: job, result: result.clone() };
            leader.append(std::slice::from_ref(&record)).expect("appended");
            let (_, replay) = Ledger::read(&*place.open(), &Who::here()).expect("read");
            assert_eq!(replay.entries.last().map(|entry| &entry.record), Some(&record));
        }
    }
}

fn a_leader_gives_signs_of_life_and_hears_that_it_should_end(make: Factory) {
    let place = make();
    let leader = Ledger::create(place.open(), Info::new(&Who::here()), &Who::here()).expect("made");
    let term = leader.term().clone();
    let beat = || last_beat(&*place.open(), &term).expect("read");
    assert_eq!(beat(), None);
    let (tell, told) = channel();
    let heartbeat =
        Heartbeat::start(place.open(), &term, Who::here(), Duration::from_millis(5), move |sign| {
            let _ = tell.send(sign);
        })
        .expect("started");
    let first = beat().expect("there at once");
    assert_eq!(first.who, Who::here());
    while beat().expect("there").count == first.count {
        thread::yield_now();
    }
    let asker = Who { host: "elsewhere".to_owned(), ..Who::here() };
    ask_to_end(&*place.open(), &term, &asker).expect("asked");
    ask_to_end(&*place.open(), &term, &Who::here()).expect("asked again");
    assert_eq!(told.recv(), Ok(Sign::Kill { by: asker.name() }));
    drop(heartbeat);
    assert_eq!(beat(), None, "nobody waits for a leader that has ended");
    assert!(told.recv().is_err(), "it is told once");
    let heartbeat = Heartbeat::start(place.open(), &term, Who::here(), Duration::from_secs(60), |_| ());
    heartbeat.expect("started").leave();
    assert_eq!(beat().map(|beat| beat.count), Some(1), "it goes with the run");
    take_away(&*place.open(), &term).expect("or by itself");
    assert_eq!(beat(), None);
    let led = || Ledger::last_leader(&*place.open()).expect("read").map(|(term, _)| term);
    assert_eq!(led(), Some(term));
    leader.append(&[Record::RunFinished { success: true }]).expect("appended");
    assert_eq!(led(), None, "who has only to tell that it is over is left alone");
}

#[test]
fn a_leader_is_waited_for_only_as_long_as_it_may_be_alive() {
    let (here, elsewhere) = (Who::here(), Who { namespace: "another".to_owned(), ..Who::here() });
    let mut child = std::process::Command::new("true").spawn().expect("started");
    child.wait().expect("ended");
    let ended = Who { pid: child.id(), ..here.clone() };
    let beat = |who: &Who| moil_jobstore::heartbeat::Beat { who: who.clone(), count: 1, at: 1000, every: 10 };
    for (who, now, patience) in [
        (&here, 1000, 30),
        (&elsewhere, 1005, 25),
        (&elsewhere, 1030, 0),
        (&elsewhere, 5000, 0),
        // Its clock is ahead of ours.
        (&elsewhere, 900, 30),
        (&ended, 1000, 0),
    ] {
        assert_eq!(beat(who).patience(&here, now), patience, "{now}");
    }
}
