//! Stores in buckets that are made, removed and made again, with faults and sleepers at every request.

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use moil_job::record::Record;
use moil_job::spec::{AttemptId, JobId};
use moil_job::store::{Store, StoreError};
use moil_jobstore::bucket_store::BucketPlace;
use moil_jobstore::ledger::OpenError;
use moil_jobstore::locator::Locator;
use moil_jobstore::place::{Kept, Place, PlaceError};
use moil_jobstore::s3::S3;
use moil_jobstore::who::Who;
use moil_testing::hooks::{Call, Fault, Gate};
use moil_testing::s3::{Flavour, Options, S3Server};

use super::s3::settings;

const KINDS: [&str; 2] = ["s3://shared/run", "aws:eu-central-1:run"];

/// Places, and whether there was a store before.
const PLACES: [(&str, bool); 3] = [(KINDS[0], false), (KINDS[0], true), (KINDS[1], false)];

const DENIED: Fault = Fault::Refuse { status: 403, code: "AccessDenied" };

/// A server with a bucket of somebody's.
fn server() -> S3Server {
    let server = S3Server::start();
    let bucket = S3::new(settings(&server)).bucket("shared");
    bucket.make(None).expect("a bucket");
    bucket.put("run-of-others", b"x").expect("an object");
    server
}

/// The same, where there was a store before.
fn server_with(locator: &str, before: bool) -> S3Server {
    let server = server();
    if before {
        make(&server, locator, "x").remove(None).expect("removed");
    }
    server.hooks().forget_calls();
    server
}

fn place(server: &S3Server, locator: &str) -> Place {
    let locator = Locator::parse(locator, Path::new("/")).expect("a locator");
    Place::Bucket(BucketPlace::of(&locator, &S3::new(settings(server)), None).expect("a bucket"))
}

fn job(name: &str) -> Record {
    super::ledger::started(AttemptId { job: JobId(name.into()), number: 1 })
}

/// Makes a store, and the run that is there then.
fn create(server: &S3Server, locator: &str) -> Result<Kept, PlaceError> {
    let kept = place(server, locator).create(&Who::here())?;
    kept.establish(true).map(|()| kept)
}

/// Makes a store in which something has happened.
fn make(server: &S3Server, locator: &str, name: &str) -> Kept {
    let kept = create(server, locator).expect("made");
    kept.append(&[job(name)]).expect("appended");
    let directory = tempfile::tempdir().expect("a directory");
    // No record could have such a name.
    let output = directory.path().join("an output #1.txt");
    std::fs::write(&output, name).expect("written");
    kept.contents().keep(&AttemptId { job: JobId(name.into()), number: 1 }, &output).expect("kept");
    kept
}

/// Whether somebody can go on with a store in which this has happened.
fn goes_on(server: &S3Server, locator: &str, name: &str) -> bool {
    let (kept, replay) = match place(server, locator).restart(&Who::here()) {
        Ok(taken) => taken,
        Err(error) => panic!("{locator}, {name}: {error}"),
    };
    kept.append(&[job("more")]).expect("it leads");
    replay.entries.iter().any(|entry| entry.record == job(name))
}

fn reason(error: &PlaceError) -> OpenError {
    error.reason().cloned().unwrap_or_else(|| panic!("{error}"))
}

/// How many requests something makes.
fn requests(server: &S3Server, act: impl FnOnce()) -> u64 {
    let before = server.hooks().calls().len();
    act();
    (server.hooks().calls().len() - before) as u64
}

/// Nothing of a store is left but, in a bucket of others, what says that it was there.
fn check_gone(server: &S3Server, locator: &str, context: &str) {
    assert!(server.bucket("run--toil").is_none(), "{context}");
    let left: Vec<String> = server.objects("shared").into_keys().collect();
    let of_store = left.iter().filter(|key| *key != "run-of-others").collect::<Vec<_>>();
    match locator.starts_with("s3:") {
        true => assert!(of_store.len() == 1 && of_store[0].starts_with("run/runs/"), "{context}: {left:?}"),
        false => assert!(of_store.is_empty(), "{context}: {left:?}"),
    }
    assert!(left.contains(&"run-of-others".to_owned()), "{context}: {left:?}");
}

#[test]
fn who_makes_a_store_may_die_after_every_request() {
    for (locator, before) in PLACES {
        let whole = {
            let server = server_with(locator, before);
            requests(&server, || drop(create(&server, locator).expect("made")))
        };
        for at in 0..whole {
            let server = server_with(locator, before);
            server.hooks().inject(at..u64::MAX, |_| true, DENIED);
            let made = create(&server, locator);
            assert!(made.is_err(), "{locator}, request {at}");
            server.hooks().heal();
            // No run is there, or a whole one.
            match place(&server, locator).restart(&Who::here()) {
                Ok((kept, _)) => {
                    // In a bucket of our own it is asked afterwards whether its marker is the same, and no other run is there.
                    let last = if locator.starts_with("aws:") { whole - 3 } else { whole - 1 };
                    assert!(at >= last, "{locator}, request {at}");
                    kept.remove(None).expect("removed");
                }
                Err(error) => assert_eq!(reason(&error), OpenError::Missing, "{locator}, request {at}"),
            }
            let kept = make(&server, locator, "a");
            if let Some(facts) = server.bucket("run--toil") {
                assert!(facts.is_private && facts.sweep_uploads_days.is_some(), "request {at}");
            }
            kept.remove(None).expect("removed");
            let garbage =
                server.objects("shared").into_keys().filter(|key| key.starts_with("run/run-")).count();
            assert!(garbage <= 2, "{locator}, request {at}");
            assert!(server.bucket("run--toil").is_none(), "{locator}, request {at}");
        }
    }
}

#[test]
fn of_a_store_that_is_given_up_before_its_run_is_there_nothing_stays() {
    for locator in KINDS {
        let server = server();
        let kept = place(&server, locator).create(&Who::here()).expect("begun");
        assert_eq!(server.objects("shared").len(), 1, "{locator}");
        kept.remove(None).expect("removed");
        assert_eq!(server.objects("shared").len(), 1, "{locator}");
        assert!(server.bucket("run--toil").is_none(), "{locator}");
        // Who dies before that leaves a bucket, which can be used and removed.
        drop(place(&server, locator).create(&Who::here()).expect("begun"));
        let cleaned = place(&server, locator).clean(&Who::here());
        assert_eq!(cleaned.is_ok(), locator.starts_with("aws:"), "{locator}");
        assert!(server.bucket("run--toil").is_none(), "{locator}");
        // Nor does it take one away in which another run is by now.
        let kept = place(&server, locator).create(&Who::here()).expect("begun");
        drop(make(&server, locator, "b"));
        assert_eq!(reason(&kept.establish(true).expect_err("refused")), OpenError::Exists, "{locator}");
        kept.remove(None).expect("nothing to remove");
        let is_marked = server.objects("run--toil").contains_key("moil/records");
        assert_eq!(is_marked, locator.starts_with("aws:"));
        assert!(goes_on(&server, locator, "b"), "{locator}");
    }
}

#[test]
fn every_answer_may_be_lost_once_when_a_store_is_made_and_removed() {
    for locator in KINDS {
        for at in 0.. {
            let server = server();
            server.hooks().forget_calls();
            server.hooks().inject(at..at + 1, |_| true, Fault::LoseAnswer);
            let kept = make(&server, locator, "a");
            kept.remove(None).expect("removed");
            check_gone(&server, locator, &format!("{locator}, request {at}"));
            if server.hooks().calls().len() as u64 <= at {
                break;
            }
        }
    }
}

/// What is half removed is known as that by whoever comes: a plain start, `moil clean`, and a restart.
#[test]
fn who_removes_a_store_may_die_after_every_request() {
    for locator in KINDS {
        let whole = {
            let server = server();
            let kept = make(&server, locator, "a");
            requests(&server, || kept.remove(None).expect("removed"))
        };
        for at in 1..whole {
            for next in ["start", "clean", "restart"] {
                let context = format!("{locator}, request {at}, {next}");
                let server = server();
                let kept = make(&server, locator, "a");
                server.hooks().inject(at..u64::MAX, |_| true, DENIED);
                assert!(kept.remove(None).is_err(), "{context}");
                server.hooks().heal();
                match next {
                    "start" => {
                        drop(make(&server, locator, "b"));
                        assert!(goes_on(&server, locator, "b"), "{context}");
                    }
                    "clean" => {
                        place(&server, locator).clean(&Who::here()).expect("cleaned");
                        check_gone(&server, locator, &context);
                    }
                    _ => {
                        let error =
                            place(&server, locator).restart(&Who::here()).err().expect("it is refused");
                        let expected = [OpenError::Cleaning, OpenError::Missing];
                        assert!(expected.contains(&reason(&error)), "{context}: {error}");
                    }
                }
            }
        }
    }
}

/// Its store is removed meanwhile by somebody else, and another is made at the same place.
#[test]
fn who_slept_while_removing_a_store_touches_nothing_of_the_next_one() {
    for locator in KINDS {
        let (whole, last) = {
            let server = server();
            let kept = make(&server, locator, "a");
            server.hooks().forget_calls();
            kept.remove(None).expect("removed");
            let calls = server.hooks().calls();
            // In a bucket of our own the next store's pointer and marker have the same keys: it cannot be asked for them and
            // have them deleted in one.
            let last = calls.iter().rposition(|call| call.is("DeleteObjects"));
            (calls.len(), last.filter(|_| locator.starts_with("aws:")))
        };
        let at = (0..whole).filter(|at| Some(*at) != last);
        for (at, is_cleaned) in at.flat_map(|at| [(at, true), (at, false)]) {
            let context = format!("{locator}, request {at}, cleaned: {is_cleaned}");
            let server = server();
            let kept = make(&server, locator, "a");
            let gate = Gate::default();
            server.hooks().inject(at as u64..at as u64 + 1, |_| true, Fault::PauseBefore(gate.clone()));
            let is_made = thread::scope(|scope| {
                let sleeper = scope.spawn(|| kept.remove(None));
                gate.wait_for_call();
                if is_cleaned && let Err(error) = place(&server, locator).clean(&Who::here()) {
                    assert_eq!(reason(&error), OpenError::Missing, "{context}");
                }
                let is_made = match create(&server, locator) {
                    Ok(kept) => kept.append(&[job("b")]).is_ok(),
                    // Its removal is not recorded yet.
                    Err(error) => {
                        assert!(!is_cleaned && at == 0, "{context}: {error}");
                        assert_eq!(reason(&error), OpenError::Exists, "{context}");
                        false
                    }
                };
                let before = server.objects("shared").into_iter().chain(server.objects("run--toil"));
                gate.open();
                let _ = sleeper.join().expect("it wakes");
                let after = [server.objects("shared"), server.objects("run--toil")];
                for (key, bytes) in before.filter(|(key, _)| is_made && !key.contains("/runs/")) {
                    let there = after.iter().any(|objects| objects.get(&key) == Some(&bytes));
                    // What is left of the first one may go.
                    assert!(there || !is_cleaned && !key.ends_with("/records"), "{context}: {key}");
                }
                is_made
            });
            if is_made {
                assert!(goes_on(&server, locator, "b"), "{context}");
                place(&server, locator).clean(&Who::here()).expect("cleaned");
                // What stragglers leave in a bucket that stays, stays.
                assert!(server.bucket("run--toil").is_none(), "{context}");
            }
        }
    }
}

/// What stragglers of a run leave after it was removed is no sign that its removal was not finished; where it was not, its
/// output object is still told.
#[test]
fn what_comes_after_the_removal_of_a_run_does_not_bring_back_its_outputs() {
    let outputs = || Some(moil_cwl::value::Value::Bool(true));
    for (finished, locator) in [(true, KINDS[0]), (false, KINDS[0]), (false, KINDS[1])] {
        let server = server();
        let kept = make(&server, locator, "a");
        let is_delete = |call: &Call| call.is("DeleteObjects");
        if !finished {
            server.hooks().inject(0..u64::MAX, is_delete, DENIED);
        }
        assert_eq!(kept.remove(outputs()).is_ok(), finished);
        server.hooks().heal();
        let late = kept.ledger().records().put_if_absent("results/late", b"x");
        late.expect("it is stored, and nobody looks");
        // As one that slept would.
        kept.append(&[job("late"), kept.ledger().retirement(Some(moil_cwl::value::Value::Bool(false)))])
            .expect("it is stored");
        let told = place(&server, locator).outputs_of_removed().expect("asked");
        assert_eq!(told, outputs().filter(|_| !finished), "{locator}, finished: {finished}");
        let error = place(&server, locator).restart(&Who::here()).err().expect("it is refused");
        let expected = if finished { OpenError::Missing } else { OpenError::Cleaning };
        assert_eq!(reason(&error), expected, "{locator}");
        drop(make(&server, locator, "b"));
        assert!(goes_on(&server, locator, "b"), "{locator}");
    }
}

/// Who slept before he removed what was left of the store before may have taken it.
#[test]
fn a_run_whose_marker_was_taken_is_not_run_over_by_another() {
    let (locator, server) = (KINDS[1], server());
    drop(make(&server, locator, "a"));
    S3::new(settings(&server)).bucket("run--toil").delete(&["moil/records".to_owned()]).expect("deleted");
    let error = create(&server, locator).err().expect("it is refused");
    assert_eq!(reason(&error), OpenError::Exists);
    assert!(goes_on(&server, locator, "a"));
    place(&server, locator).clean(&Who::here()).expect("cleaned");
    check_gone(&server, locator, locator);
}

/// A run that is about to be made is not in the way of one that goes, nor the other way round.
#[test]
fn what_is_removed_with_the_last_run_does_not_refuse_the_next_one() {
    let (locator, server) = (KINDS[0], server());
    for _ in 0..2 {
        make(&server, locator, "x").remove(None).expect("removed");
    }
    let third = make(&server, locator, "third");
    let gate = Gate::default();
    server.hooks().inject(0..1, |call| call.is("DeleteObjects"), Fault::PauseBefore(gate.clone()));
    thread::scope(|scope| {
        let remover = scope.spawn(|| third.remove(None));
        gate.wait_for_call();
        let next = place(&server, locator).create(&Who::here()).expect("begun");
        gate.open();
        remover.join().expect("it ends").expect("removed");
        next.establish(true).expect("made");
        next.check_current().expect("it is there");
    });
}

/// As before, and the other has not been announced when it wakes.
#[test]
fn who_slept_while_removing_a_store_touches_nothing_of_one_that_is_being_made() {
    let (locator, server) = ("aws:eu-central-1:run", server());
    let kept = make(&server, locator, "a");
    let (remover, maker) = (Gate::default(), Gate::default());
    let is_list = |call: &Call| call.is("ListObjectsV2");
    server.hooks().inject(0..1, is_list, Fault::PauseBefore(remover.clone()));
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| kept.remove(None));
        remover.wait_for_call();
        place(&server, locator).clean(&Who::here()).expect("cleaned");
        let is_pointer = |call: &Call| call.is("PutObject") && call.target.contains("/runs/");
        server.hooks().inject(0..2, is_pointer, Fault::PauseBefore(maker.clone()));
        let making = scope.spawn(|| make(&server, locator, "b"));
        maker.wait_for_call();
        remover.open();
        sleeper.join().expect("it wakes").expect("it has nothing to do");
        maker.open();
        making.join().expect("it is made").check_current().expect("it is there");
    });
    assert!(goes_on(&server, locator, "b"));
}

#[test]
fn a_leader_that_slept_through_the_removal_of_its_store_learns_of_it() {
    for locator in KINDS {
        for by_hand in [false, true] {
            let server = server();
            let old = make(&server, locator, "a");
            old.check_current().expect("it is there");
            match by_hand {
                false => place(&server, locator).clean(&Who::here()).expect("removed"),
                true => {
                    for name in ["shared", "run--toil"] {
                        let keys: Vec<String> = server.objects(name).into_keys().collect();
                        S3::new(settings(&server)).bucket(name).delete(&keys).expect("deleted");
                    }
                }
            }
            assert!(old.is_removed() && old.check_current().is_err(), "{locator}");
            drop(make(&server, locator, "b"));
            assert!(old.is_removed() && old.check_current().is_err(), "{locator}");
            let _ = old.remove(None);
            assert!(goes_on(&server, locator, "b"), "{locator}");
        }
    }
}

/// How far a leader comes with the end of its run: it begins to act outside, tells a success, removes the store.
fn end(kept: &Kept, done: &Mutex<Vec<&'static str>>) -> Result<(), StoreError> {
    let did = |what| done.lock().expect("done").push(what);
    kept.append(&[job("planned")])?;
    kept.check_current()?;
    did("acts");
    kept.append(&[Record::RunFinished { success: true }, kept.retirement(None).expect("a record")])?;
    kept.check_current()?;
    did("tells");
    kept.remove(None)?;
    did("removes");
    Ok(())
}

/// Meanwhile its run is finished by another leader, or given up, and a new one is made at the same place.
#[test]
fn a_leader_that_slept_while_it_ended_its_run_does_nothing_more() {
    for locator in KINDS {
        let calls = {
            let server = server();
            let kept = make(&server, locator, "a");
            server.hooks().forget_calls();
            end(&kept, &Mutex::default()).expect("it ends");
            check_gone(&server, locator, locator);
            server.hooks().calls()
        };
        let last = calls.iter().rposition(|call| call.is("DeleteObjects"));
        let last = last.filter(|_| locator.starts_with("aws:"));
        let looks: Vec<usize> = (0..calls.len()).filter(|at| calls[*at].is("GetObject")).collect();
        for at in (0..calls.len()).filter(|at| Some(*at) != last) {
            for others in ["finish", "clean", "clean and make another"] {
                let context = format!("{locator}, request {at}, others {others}");
                let server = server();
                let kept = make(&server, locator, "a");
                let (gate, done) = (Gate::default(), Mutex::default());
                server.hooks().inject(at as u64..at as u64 + 1, |_| true, Fault::PauseBefore(gate.clone()));
                thread::scope(|scope| {
                    let sleeper = scope.spawn(|| end(&kept, &done));
                    gate.wait_for_call();
                    match others {
                        "finish" => match place(&server, locator).restart(&Who::here()) {
                            Ok((other, _)) => end(&other, &Mutex::default()).expect("it ends"),
                            // The other one has recorded its end.
                            Err(error) => assert!(
                                [OpenError::Cleaning, OpenError::Missing].contains(&reason(&error)),
                                "{context}: {error}"
                            ),
                        },
                        _ => match place(&server, locator).clean(&Who::here()) {
                            Ok(()) => {}
                            Err(error) => assert_eq!(reason(&error), OpenError::Missing, "{context}"),
                        },
                    }
                    if others == "clean and make another" {
                        drop(make(&server, locator, "b"));
                    }
                    gate.open();
                    let _ = sleeper.join().expect("it wakes");
                });
                let done = done.into_inner().expect("done");
                if at <= looks[0] {
                    assert_eq!(done, [""; 0], "{context}");
                } else if at <= looks[1] && (others != "finish" || at < looks[1]) {
                    assert_eq!(done, ["acts"], "{context}");
                }
                if others == "clean and make another" {
                    assert!(goes_on(&server, locator, "b"), "{context}");
                }
            }
        }
    }
}

/// Meanwhile another run is made, and stays, or goes, or goes and is followed by a third, or that goes as well.
#[test]
fn who_slept_while_making_a_store_has_it_or_is_told_that_there_is_one() {
    // At a place that had one before there is one request that makes a run; at others there are two at the same time.
    for (locator, before) in PLACES {
        let prepared = || server_with(locator, before);
        let calls = {
            let server = prepared();
            drop(create(&server, locator).expect("made"));
            server.hooks().calls()
        };
        let is_pointer = |call: &Call| call.is("PutObject") && call.target.contains("/runs/");
        for (at, call) in calls.iter().enumerate() {
            for others in ["stays", "goes", "is followed", "is followed by one that goes"] {
                let context = format!("{locator}, request {at}, the other run {others}");
                let server = prepared();
                let gates = [Gate::default(), Gate::default()];
                let count = if is_pointer(call) && !before { 2 } else { 1 };
                for (number, gate) in (0..).zip(&gates[..count]) {
                    let pause = Fault::PauseBefore(gate.clone());
                    match is_pointer(call) {
                        true => server.hooks().inject(number..number + 1, is_pointer, pause),
                        false => server.hooks().inject(at as u64..at as u64 + 1, |_| true, pause),
                    }
                }
                who_slept(&server, locator, others, &gates[..count], &context);
            }
        }
    }
}

/// Somebody makes a store and comes to the gates; others do as is said, and the gates are opened.
fn who_slept(server: &S3Server, locator: &str, others: &str, gates: &[Gate], context: &str) {
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| create(server, locator));
        gates.iter().for_each(Gate::wait_for_call);
        let other = match create(server, locator) {
            Ok(kept) => kept,
            Err(error) => {
                assert_eq!(reason(&error), OpenError::Exists, "{context}");
                gates.iter().for_each(Gate::open);
                let kept = sleeper.join().expect("it wakes").expect("it has it");
                return kept.check_current().expect("it is there");
            }
        };
        other.append(&[job("a")]).expect("appended");
        let third = (others != "stays").then(|| other.remove(None).expect("removed"));
        let third = third.filter(|()| others != "goes").map(|()| make(server, locator, "c"));
        let third = third.filter(|third| match others {
            "is followed" => true,
            _ => third.remove(None).is_err(),
        });
        gates.iter().for_each(Gate::open);
        let made = sleeper.join().expect("it wakes");
        let there = [made.as_ref().ok(), Some(&other).filter(|_| others == "stays"), third.as_ref()];
        let there: Vec<&Kept> = there.into_iter().flatten().collect();
        let found = there.iter().filter(|kept| !kept.is_removed()).count();
        assert!(found <= 1 && found == there.len(), "{context}: {found} of {}", there.len());
        there.iter().for_each(|kept| kept.check_current().expect("it is there"));
    });
}

/// What an attempt of a run leaves when that is being removed goes with it.
#[test]
fn what_comes_late_does_not_keep_a_bucket_of_our_own() {
    let (locator, server) = ("aws:eu-central-1:run", server());
    let kept = make(&server, locator, "a");
    let (contents, gate) = (kept.contents(), Gate::default());
    let is_removal = |call: &Call| call.is("DeleteBucket");
    server.hooks().inject(0..1, is_removal, Fault::PauseBefore(gate.clone()));
    let directory = tempfile::tempdir().expect("a directory");
    let late = directory.path().join("late");
    std::fs::write(&late, "x").expect("written");
    thread::scope(|scope| {
        let remover = scope.spawn(|| kept.remove(None));
        gate.wait_for_call();
        contents.keep(&AttemptId { job: JobId("late".into()), number: 1 }, &late).expect("kept");
        gate.open();
        remover.join().expect("it ends").expect("removed");
    });
    check_gone(&server, locator, locator);
}

/// A run of which nothing is left but the record that says where it is cannot be reached any more, and was in the way of
/// all others: it was told that it is there, and that it is not.
#[test]
fn a_run_whose_objects_are_gone_is_in_nobodys_way() {
    for locator in KINDS {
        let server = server();
        drop(make(&server, locator, "a"));
        for name in ["shared", "run--toil"] {
            let keys = server.objects(name).into_keys().filter(|key| key.contains("/run-"));
            S3::new(settings(&server)).bucket(name).delete(&keys.collect::<Vec<_>>()).expect("deleted");
        }
        place(&server, locator).clean(&Who::here()).expect("cleaned");
        check_gone(&server, locator, locator);
    }
}

#[test]
fn a_server_that_ignores_conditions_gets_no_store() {
    let server = S3Server::with(Options { flavour: Flavour::IgnoresConditions, ..Options::default() });
    S3::new(settings(&server)).bucket("shared").make(None).expect("a bucket");
    for locator in KINDS {
        let error = create(&server, locator).err().expect("it is refused");
        assert!(error.to_string().contains("ignores If-None-Match"), "{error}");
        assert!(server.objects("shared").is_empty());
        assert!(server.objects("run--toil").keys().all(|key| key.ends_with("/records")));
    }
}
