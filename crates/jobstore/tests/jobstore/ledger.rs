//! The suite that the ledger passes over every kind of records.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::spec::{AttemptId, JobId};
use moil_job::store::StoreError;
use moil_jobstore::ledger::{self, Info, Ledger, OpenError, Replay};
use moil_jobstore::names;
use moil_jobstore::records::{Records, RecordsError};
use moil_jobstore::who::Who;

use crate::faulty::{Fault, Faulty, pause};
use crate::places::{self, Factory, Place};

#[test]
fn memory() {
    suite(&places::memory);
}

#[test]
fn file() {
    suite(&places::file);
}

#[test]
fn synced_file() {
    suite(&places::synced_file);
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

/// Everything that is promised of a ledger. Each case makes the places that it needs.
pub fn suite(make: Factory) {
    let cases: &[fn(Factory)] = &[
        what_was_appended_is_replayed_in_order,
        many_groups_are_replayed_in_order,
        a_store_is_made_once,
        who_is_taken_over_is_fenced_for_ever,
        every_call_may_fail_or_lose_its_answer,
        one_of_two_leaders_sleeps_at_every_step,
        two_of_three_leaders_sleep_at_every_step,
        a_leader_that_slept_through_cleaning_does_nothing_more,
        cleaning_is_interrupted_at_every_step,
        a_newer_store_is_left_alone,
        what_a_power_cut_took_is_void_and_else_damage_is_an_error,
        a_damaged_store_can_be_cleaned,
        definitions_follow_the_journal,
    ];
    for case in cases {
        case(make);
    }
}

fn who(name: &str) -> Who {
    Who { host: name.to_owned(), boot: "boot 1".to_owned(), ..Who::here() }
}

fn rebooted(name: &str) -> Who {
    Who { boot: "boot 2".to_owned(), ..who(name) }
}

/// A record that can be told from all others.
fn job(name: &str) -> Record {
    started(AttemptId { job: JobId(name.into()), number: 1 })
}

/// The record of an attempt.
pub fn started(attempt: AttemptId) -> Record {
    Record::AttemptStarted {
        attempt,
        key: None,
        called: None,
        granted: Resources { cores: 1.0, ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 },
        again: None,
    }
}

fn create(place: &Place, name: &str) -> Ledger {
    Ledger::create(place.open(), Info::new(&who(name)), &who(name)).expect("created")
}

fn take_over(place: &Place, name: &str) -> (Ledger, Replay) {
    Ledger::take_over(place.open(), &who(name)).expect("taken over")
}

fn read(place: &Place) -> Replay {
    Ledger::read(&*place.open(), &who("reader")).expect("read").1
}

/// The jobs and leaders of a journal, in order.
fn told(replay: &Replay) -> Vec<String> {
    let words = replay.entries.iter().map(|entry| match &entry.record {
        Record::AttemptStarted { attempt, .. } => attempt.job.to_string(),
        Record::TookOver { host, .. } => format!("leader {host}"),
        other => format!("{other:?}"),
    });
    words.collect()
}

fn what_was_appended_is_replayed_in_order(make: Factory) {
    let place = make();
    let first = create(&place, "A");
    first.append(&[]).expect("nothing is nothing");
    first.append(&[job("A1"), job("A2")]).expect("appended");
    first.append(&[job("A3")]).expect("appended");
    let (second, replay) = take_over(&place, "B");
    assert_eq!(told(&replay), ["leader A", "A1", "A2", "A3"]);
    second.append(&[job("B1")]).expect("appended");
    let replay = read(&place);
    assert_eq!(told(&replay), ["leader A", "A1", "A2", "A3", "leader B", "B1"]);
    assert_eq!(replay.epochs().collect::<Vec<_>>(), [1, 4]);
    assert_eq!(replay.last_leader().map(|(term, _)| term), Some(second.term()));
    let last = Ledger::last_leader(&*place.open());
    assert_eq!(last, Ok(Some((second.term().clone(), who("B").name()))));
    let terms: Vec<_> = replay.entries.iter().map(|entry| &*entry.term).collect();
    assert_eq!(terms, [first.term(), first.term(), first.term(), first.term(), second.term(), second.term()]);
    assert_eq!(first.info(), second.info());
}

fn many_groups_are_replayed_in_order(make: Factory) {
    let place = make();
    let leader = create(&place, "A");
    let names: Vec<String> = (0..200).map(|number| format!("job {number}")).collect();
    for name in &names {
        leader.append(&[job(name)]).expect("appended");
    }
    assert_eq!(told(&read(&place))[1..], names);
}

fn a_store_is_made_once(make: Factory) {
    let place = make();
    assert_eq!(Ledger::take_over(place.open(), &who("B")).err(), Some(OpenError::Missing));
    assert_eq!(Ledger::last_leader(&*place.open()), Ok(None));
    let leader = create(&place, "A");
    let again = Ledger::create(place.open(), Info::new(&who("B")), &who("B"));
    assert_eq!(again.err(), Some(OpenError::Exists));
    leader.append(&[job("A1")]).expect("the first is not disturbed");
}

fn who_is_taken_over_is_fenced_for_ever(make: Factory) {
    let place = make();
    let first = create(&place, "A");
    first.probe().expect("it leads");
    let (_second, _) = take_over(&place, "B");
    let fenced = |answer: Result<(), StoreError>| match answer {
        Err(StoreError::Fenced { leader }) => assert_eq!(leader, who("B").name()),
        other => panic!("{other:?}"),
    };
    for _ in 0..2 {
        fenced(first.append(&[job("A1")]));
        fenced(first.probe());
        fenced(first.clean());
    }
    assert_eq!(told(&read(&place)), ["leader A", "leader B"]);
}

/// What a leader did until it was stopped.
#[derive(Default)]
struct Life {
    tried: Vec<String>,
    done: Vec<String>,
    end: Option<String>,
}

/// Takes over, appends three groups, and then cleans if that is wanted.
fn live(records: Arc<dyn Records>, name: &str, cleans: bool, life: &Mutex<Life>) {
    let end = |words: String| life.lock().expect("life").end = Some(words);
    let ledger = match Ledger::take_over(records, &who(name)) {
        Ok((ledger, _)) => ledger,
        Err(error) => return end(error.to_string()),
    };
    for number in 1..=3 {
        let word = format!("{name}{number}");
        life.lock().expect("life").tried.push(word.clone());
        match ledger.append(&[job(&word)]) {
            Ok(()) => life.lock().expect("life").done.push(word),
            Err(error) => return end(error.to_string()),
        }
    }
    if cleans && let Err(error) = ledger.clean() {
        end(error.to_string());
    }
}

/// What must hold of a journal, whatever happened: what was acknowledged is there once, nothing is there that was not
/// tried, and each leader's records stand in its own term, in order.
fn check(place: &Place, lives: &[&Life]) {
    let replay = read(place);
    let mut leader = String::new();
    let mut seen: Vec<&str> = Vec::new();
    let words = told(&replay);
    for word in &words {
        match word.strip_prefix("leader ") {
            Some(name) => leader = name.to_owned(),
            None => {
                assert!(word.starts_with(&leader), "{word} in the term of {leader}: {words:?}");
                seen.push(word);
            }
        }
    }
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "{words:?}");
    for life in lives {
        let own: Vec<&&str> =
            seen.iter().filter(|word| life.tried.iter().any(|tried| tried == *word)).collect();
        assert!(life.tried.iter().zip(&own).all(|(tried, seen)| tried == *seen), "{words:?}");
        assert!(own.len() >= life.done.len(), "{:?} of {words:?}", life.done);
    }
    let tried = lives.iter().map(|life| life.tried.len()).sum::<usize>();
    assert!(seen.len() <= tried, "{words:?}");
}

fn every_call_may_fail_or_lose_its_answer(make: Factory) {
    let faults: [fn() -> Fault; 3] = [|| Fault::LoseAnswer, || Fault::Fail, || Fault::Late];
    for fault in faults {
        for call in 0.. {
            let place = make();
            drop(create(&place, "M"));
            let records = Faulty::at(place.open(), call, fault());
            let life = Mutex::default();
            live(Arc::clone(&records) as Arc<dyn Records>, "A", false, &life);
            records.deliver();
            let mut after = Mutex::default();
            live(place.open(), "B", false, &after);
            let (life, after) = (life.into_inner().expect("life"), after.get_mut().expect("life"));
            assert_eq!((after.done.len(), &after.end), (3, &None), "call {call}");
            check(&place, &[&life, after]);
            // Only reading is not tried again.
            let is_append = !life.tried.is_empty();
            assert!(!is_append || life.done.len() == 3, "call {call}: {:?}", life.end);
            if records.calls() <= call {
                break;
            }
        }
    }
}

/// A leader on a thread of its own that is held at a call.
struct Sleeper {
    life: Arc<Mutex<Life>>,
    release: std::sync::mpsc::Sender<()>,
    thread: JoinHandle<()>,
    /// Whether it came to that call.
    reached: bool,
    /// How much it had done by then.
    done: usize,
}

impl Sleeper {
    fn start(place: &Place, name: &'static str, call: usize, before: bool, cleans: bool) -> Self {
        let (held, reached, release) = pause();
        let fault = if before { Fault::PauseBefore(held) } else { Fault::PauseAfter(held) };
        let records = Faulty::at(place.open(), call, fault);
        let life = Arc::new(Mutex::default());
        let thread = {
            let life = Arc::clone(&life);
            thread::spawn(move || live(records, name, cleans, &life))
        };
        let reached = reached.recv().is_ok();
        let done = life.lock().expect("life").done.len();
        Self { life, release, thread, reached, done }
    }

    fn wake(self) -> (Life, usize) {
        drop(self.release);
        self.thread.join().expect("a leader");
        (std::mem::take(&mut *self.life.lock().expect("life")), self.done)
    }
}

fn one_of_two_leaders_sleeps_at_every_step(make: Factory) {
    for before in [true, false] {
        for cleans in [false, true] {
            for call in 0.. {
                let place = make();
                drop(create(&place, "M"));
                let sleeper = Sleeper::start(&place, "A", call, before, cleans);
                if !sleeper.reached {
                    sleeper.wake();
                    break;
                }
                let other = Mutex::default();
                live(place.open(), "B", false, &other);
                let (slept, done) = sleeper.wake();
                let other = other.into_inner().expect("life");
                if cleans && slept.end.is_none() {
                    // It slept before it took over, or while it cleaned, when nobody can take over.
                    let is_refused = other.end.as_ref().is_some_and(|end| end.contains("is being removed"));
                    assert!(slept.done.len() == 3 && (other.done.len() == 3 || is_refused), "call {call}");
                    continue;
                }
                assert_eq!((&other.end, other.done.len()), (&None, 3), "call {call}");
                check(&place, &[&slept, &other]);
                let words = told(&read(&place));
                let place_of = |name: &str| words.iter().position(|word| word == name);
                // One that slept before it took over takes over when it wakes.
                if place_of("leader A") < place_of("leader B") {
                    assert!(slept.done.len() <= done + usize::from(!before), "call {call}: {words:?}");
                }
                assert!(slept.end.is_some() || slept.done.len() == 3, "call {call}");
            }
        }
    }
}

fn two_of_three_leaders_sleep_at_every_step(make: Factory) {
    for first_call in 0.. {
        let mut some_reached = false;
        for second_call in 0.. {
            let place = make();
            drop(create(&place, "M"));
            let first = Sleeper::start(&place, "A", first_call, true, false);
            let second = Sleeper::start(&place, "B", second_call, true, false);
            let (first_reached, second_reached) = (first.reached, second.reached);
            let third = Mutex::default();
            live(place.open(), "C", false, &third);
            let third = third.into_inner().expect("life");
            let ((first, first_done), (second, second_done)) = match second_call % 2 {
                0 => (first.wake(), second.wake()),
                _ => {
                    let second = second.wake();
                    (first.wake(), second)
                }
            };
            assert_eq!((third.done.len(), &third.end), (3, &None));
            check(&place, &[&first, &second, &third]);
            // Who slept at a step and then leads on had not taken over yet.
            let words = told(&read(&place));
            let place_of = |name: &str| words.iter().position(|word| *word == format!("leader {name}"));
            for (life, done, name) in [(&first, first_done, "A"), (&second, second_done, "B")] {
                assert!(life.done.len() == done || place_of(name) > place_of("C"), "{words:?}");
            }
            some_reached |= first_reached;
            if !second_reached {
                break;
            }
        }
        if !some_reached {
            break;
        }
    }
}

fn a_leader_that_slept_through_cleaning_does_nothing_more(make: Factory) {
    for (before, old_leader_cleans) in [(true, true), (true, false), (false, true), (false, false)] {
        for call in 0.. {
            let place = make();
            let old = create(&place, "M");
            let sleeper = Sleeper::start(&place, "A", call, before, false);
            let reached = sleeper.reached;
            let old_works = (1..=3).all(|number| old.append(&[job(&format!("M{number}"))]).is_ok());
            if !(old_leader_cleans && old_works && old.clean().is_ok()) {
                ledger::clean(&*place.open(), &who("B")).expect("cleaned");
            }
            let (slept, done) = sleeper.wake();
            assert!(slept.done.len() <= done + usize::from(!before), "call {call}: {:?}", slept.done);
            assert_eq!(slept.end.is_some(), slept.done.len() < 3, "call {call}");
            assert_eq!(Ledger::take_over(place.open(), &who("C")).err(), Some(OpenError::Cleaning));
            if !reached {
                break;
            }
        }
    }
}

fn cleaning_is_interrupted_at_every_step(make: Factory) {
    for call in 0.. {
        let place = make();
        let leader = create(&place, "M");
        leader.define(b"definition").expect("defined");
        leader.append(&[job("M1")]).expect("appended");
        leader.append(&[job("M2")]).expect("appended");
        let records = Faulty::at(place.open(), call, Fault::Fail);
        let cleaned = ledger::clean(&*records, &who("B"));
        let done = records.calls() <= call;
        assert!(!done || cleaned.is_ok());
        ledger::clean(&*place.open(), &who("C")).expect("finished");
        // What fences those who slept is all that is left, and stays however often it is cleaned.
        let fences: Vec<String> = [1, 3, 4].into_iter().map(names::group).collect();
        assert_eq!(place.open().list("", None).expect("listed"), fences, "call {call}");
        assert_eq!(ledger::finish_cleaning(&*place.open()), Ok(true));
        assert_eq!(place.open().list("", None).expect("listed"), fences);
        if done {
            break;
        }
    }
    let place = make();
    let leader = create(&place, "M");
    assert_eq!(ledger::finish_cleaning(&*place.open()), Ok(false), "only what is recorded is removed");
    leader.append(&[job("M1")]).expect("appended");
}

fn a_newer_store_is_left_alone(make: Factory) {
    let place = make();
    drop(create(&place, "A"));
    let newer = br#"{"version": 3, "made_by": "moil 9.0", "more": {}}"#;
    place.open().replace(names::INFO, newer).expect("replaced");
    let before = place.open().list("", None).expect("listed");
    let expected = OpenError::TooNew { version: 3, made_by: "moil 9.0".to_owned() };
    assert_eq!(Ledger::take_over(place.open(), &who("B")).err(), Some(expected.clone()));
    assert_eq!(ledger::clean(&*place.open(), &who("B")), Err(expected));
    assert_eq!(place.open().list("", None).expect("listed"), before);
}

fn what_a_power_cut_took_is_void_and_else_damage_is_an_error(make: Factory) {
    for number in 1..=6 {
        for missing in [false, true] {
            let place = make();
            // Groups: 1 leader A, 2 A1, 3 leader B, 4 to 6 B1 to B3.
            let first = create(&place, "A");
            first.append(&[job("A1")]).expect("appended");
            let (second, _) = take_over(&place, "B");
            for name in ["B1", "B2", "B3"] {
                second.append(&[job(name)]).expect("appended");
            }
            let whole = ["leader A", "A1", "leader B", "B1", "B2", "B3"];
            let name = names::group(number);
            match missing {
                true => place.open().delete(std::slice::from_ref(&name)).expect("deleted"),
                false => place.open().replace(&name, b"{\"leader\":").expect("replaced"),
            }
            // What is cut off at the end leaves no trace.
            if missing && number == 6 {
                assert_eq!(told(&read(&place)), whole[..5]);
                continue;
            }
            // Nothing was switched off: the disk or a person did this.
            let error = Ledger::take_over(place.open(), &who("C")).err();
            assert!(matches!(error, Some(OpenError::Records(RecordsError::Damaged { .. }))), "{error:?}");
            let (third, replay) = Ledger::take_over(place.open(), &rebooted("C")).expect("taken over");
            let kept = &whole[..number as usize - 1];
            assert_eq!(told(&replay), kept);
            let lost = replay.lost.expect("told");
            assert_eq!((lost.from, lost.to), (number, 6));
            third.append(&[job("C1")]).expect("appended");
            // Whoever comes later leaves out the same, on any start of the machine, and is told nothing new.
            for later in [who("D"), rebooted("D")] {
                let (_, replay) = Ledger::read(&*place.open(), &later).expect("read");
                assert_eq!(told(&replay), [kept, &["leader C", "C1"]].concat());
                assert_eq!(replay.lost, None);
            }
            let stale = second.append(&[job("B4")]);
            assert!(matches!(stale, Err(StoreError::Fenced { .. })), "{stale:?}");
        }
    }
}

fn a_damaged_store_can_be_cleaned(make: Factory) {
    for name in [names::INFO.to_owned(), names::group(1), names::group(2)] {
        let place = make();
        let leader = create(&place, "A");
        leader.append(&[job("A1")]).expect("appended");
        place.open().replace(&name, b"{").expect("replaced");
        assert!(Ledger::take_over(place.open(), &who("B")).is_err());
        ledger::clean(&*place.open(), &who("B")).expect("cleaned");
        assert!(leader.append(&[job("A2")]).is_err());
        let left = place.open().list("", None).expect("listed");
        assert!(left.iter().all(|name| names::group_number(name).is_some()), "{left:?}");
    }
}

fn definitions_follow_the_journal(make: Factory) {
    let place = make();
    let first = create(&place, "A");
    let definition = |replay: &Replay| Ledger::definition(&*place.open(), replay).expect("read");
    assert_eq!(definition(&read(&place)), None);
    first.define(b"first").expect("defined");
    let (second, replay) = take_over(&place, "B");
    assert_eq!(definition(&replay).as_deref(), Some(&b"first"[..]));
    assert_eq!(definition(&read(&place)).as_deref(), Some(&b"first"[..]), "none of its own yet");
    second.define(b"second").expect("defined");
    assert_eq!(definition(&read(&place)).as_deref(), Some(&b"second"[..]));
    // A leader that does not know yet that it leads no more.
    first.define(b"late").expect("nobody minds");
    assert_eq!(definition(&read(&place)).as_deref(), Some(&b"second"[..]));
}
