//! The suite that every kind of records passes.

use std::sync::{Arc, Barrier};
use std::thread;

use moil_jobstore::records::{Put, Records, RecordsError};

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

/// Everything that is promised of records. Each case gets an empty place.
pub fn suite(make: Factory) {
    let cases: &[fn(&Place)] = &[
        what_is_stored_is_read_back,
        the_first_of_a_name_stays,
        one_of_many_writers_wins,
        a_lost_answer_is_told_from_a_lost_race,
        who_sleeps_before_or_after_storing,
        a_late_request_finds_the_name_taken,
        a_replaced_record_is_always_whole,
        names_are_listed_in_byte_order,
        more_names_than_one_answer_holds,
        deleting,
        hostile_names_are_refused,
    ];
    for case in cases {
        case(&make());
    }
}

fn put(records: &dyn Records, name: &str, bytes: &[u8]) -> Put {
    records.put_if_absent(name, bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn list(records: &dyn Records, prefix: &str, after: Option<&str>) -> Vec<String> {
    records.list(prefix, after).unwrap_or_else(|error| panic!("{prefix}: {error}"))
}

fn what_is_stored_is_read_back(place: &Place) {
    let (writer, reader) = (place.open(), place.open());
    let every_byte: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let cases: [(&str, &[u8]); 4] = [
        ("a", b""),
        ("journal/00000000000000000042", b"{\"a\": 1}\n"),
        ("b/c/d/e", &every_byte),
        ("x._~-9", b"\0"),
    ];
    for (name, bytes) in cases {
        assert_eq!(reader.get(name), Ok(None), "{name}");
        assert_eq!(put(&*writer, name, bytes), Put::Stored, "{name}");
        assert_eq!(reader.get(name).expect(name).as_deref(), Some(bytes), "{name}");
    }
}

fn the_first_of_a_name_stays(place: &Place) {
    let (first, second) = (place.open(), place.open());
    assert_eq!(put(&*first, "a/1", b"first"), Put::Stored);
    assert_eq!(put(&*second, "a/1", b"second"), Put::Exists);
    assert_eq!(put(&*first, "a/1", b"first"), Put::Exists);
    assert_eq!(second.get("a/1"), Ok(Some(b"first".to_vec())));
}

fn one_of_many_writers_wins(place: &Place) {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 20;
    let start = Arc::new(Barrier::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (records, start) = (place.open(), Arc::clone(&start));
            thread::spawn(move || {
                let mut won = Vec::new();
                for round in 0..ROUNDS {
                    start.wait();
                    if put(&*records, &format!("race/{round:04}"), writer.to_string().as_bytes())
                        == Put::Stored
                    {
                        won.push(round);
                    }
                }
                won
            })
        })
        .collect();
    let won: Vec<Vec<usize>> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
    let records = place.open();
    for round in 0..ROUNDS {
        let winners: Vec<String> = (0..WRITERS)
            .filter(|writer| won[*writer].contains(&round))
            .map(|writer| writer.to_string())
            .collect();
        let stored = records.get(&format!("race/{round:04}")).expect("read").expect("there");
        assert_eq!(winners, [String::from_utf8(stored).expect("a number")], "round {round}");
    }
}

fn a_lost_answer_is_told_from_a_lost_race(place: &Place) {
    for (name, fault, again) in [("a", Fault::LoseAnswer, Put::Exists), ("b", Fault::Fail, Put::Stored)] {
        let records = Faulty::at(place.open(), 0, fault);
        assert!(matches!(records.put_if_absent(name, b"mine"), Err(RecordsError::Failed { .. })));
        assert_eq!(put(&*records, name, b"mine"), again);
        assert_eq!(records.get(name), Ok(Some(b"mine".to_vec())));
    }
}

fn who_sleeps_before_or_after_storing(place: &Place) {
    for (name, before) in [("before", true), ("after", false)] {
        let (held, reached, release) = pause();
        let fault = if before { Fault::PauseBefore(held) } else { Fault::PauseAfter(held) };
        let sleeper = Faulty::at(place.open(), 0, fault);
        let sleeping = thread::spawn(move || put(&*sleeper, name, b"sleeper"));
        reached.recv().expect("reached");
        let other = put(&*place.open(), name, b"other");
        drop(release);
        let expected = if before { (Put::Stored, Put::Exists) } else { (Put::Exists, Put::Stored) };
        assert_eq!((other, sleeping.join().expect("a writer")), expected, "{name}");
    }
}

fn a_late_request_finds_the_name_taken(place: &Place) {
    let records = Faulty::at(place.open(), 0, Fault::Late);
    assert!(records.put_if_absent("a", b"late").is_err());
    assert_eq!(records.get("a"), Ok(None));
    assert_eq!(put(&*records, "a", b"other"), Put::Stored);
    records.deliver();
    assert_eq!(records.get("a"), Ok(Some(b"other".to_vec())));
    assert_eq!(records.calls(), 4);
}

fn a_replaced_record_is_always_whole(place: &Place) {
    let beats = [vec![b'1'; 10], vec![b'2'; 10_000]];
    let writer = place.open();
    writer.replace("beat", &beats[0]).expect("stored");
    let reader = place.open();
    let writing = {
        let beats = beats.clone();
        thread::spawn(move || {
            for round in 0..50 {
                writer.replace("beat", &beats[round % 2]).expect("stored");
            }
        })
    };
    while !writing.is_finished() {
        let seen = reader.get("beat").expect("read").expect("there");
        assert!(beats.contains(&seen), "{} bytes", seen.len());
    }
    writing.join().expect("a writer");
    assert_eq!(reader.get("beat"), Ok(Some(beats[1].clone())));
}

fn names_are_listed_in_byte_order(place: &Place) {
    let records = place.open();
    // A file system has its own order, in which what lies in a directory stands together.
    let names = ["a-b/x", "a.c", "a/1", "a/10", "a/2", "a/b/c", "a0", "b/1", "z"];
    for name in names.iter().rev() {
        put(&*records, name, b"");
    }
    let cases: [(&str, Option<&str>, &[&str]); 11] = [
        ("", None, &names),
        ("a", None, &names[..7]),
        ("a/", None, &names[2..6]),
        ("a/1", None, &names[2..4]),
        ("a/b", None, &["a/b/c"]),
        ("a/", Some("a/10"), &names[4..6]),
        ("a/", Some("a/11"), &names[4..6]),
        ("a/", Some("0"), &names[2..6]),
        ("a/", Some("b"), &[]),
        ("", Some("a0"), &names[7..]),
        ("nothing/", None, &[]),
    ];
    for (prefix, after, expected) in cases {
        assert_eq!(list(&*records, prefix, after), expected, "{prefix} after {after:?}");
    }
}

fn more_names_than_one_answer_holds(place: &Place) {
    let records = place.open();
    // S3 and SimpleDB answer with at most 1,000 and 2,500 names at once.
    let names: Vec<String> = (0..2_600).map(|number| format!("many/{number:08}")).collect();
    thread::scope(|scope| {
        for some in names.chunks(400) {
            let records = Arc::clone(&records);
            scope.spawn(move || {
                some.iter().for_each(|name| assert_eq!(put(&*records, name, b"1"), Put::Stored))
            });
        }
    });
    assert_eq!(list(&*records, "many/", None), names);
    assert_eq!(list(&*records, "many/", Some(&names[2_000])), names[2_001..]);
    records.delete(&names).expect("deleted");
    assert!(list(&*records, "many/", None).is_empty());
}

fn deleting(place: &Place) {
    let (one, other) = (place.open(), place.open());
    put(&*one, "a/1", b"1");
    put(&*one, "a/2", b"2");
    one.delete(&[]).expect("nothing deleted");
    other.delete(&["a/1".to_owned(), "a/9".to_owned()]).expect("deleted");
    assert_eq!(one.get("a/1"), Ok(None));
    assert_eq!(list(&*one, "", None), ["a/2"]);
    assert_eq!(put(&*one, "a/1", b"again"), Put::Stored);
}

fn hostile_names_are_refused(place: &Place) {
    let records = place.open();
    for name in ["", "/etc/passwd", "../x", "a/../../x", "a/", "a\0", "a b", ".writing/x", "é"] {
        let bad = |error| matches!(error, Err(RecordsError::BadName { .. }));
        assert!(bad(records.put_if_absent(name, b"").map(drop)), "{name:?}");
        assert!(bad(records.replace(name, b"")), "{name:?}");
        assert!(bad(records.get(name).map(drop)), "{name:?}");
        assert!(bad(records.delete(&[name.to_owned()])), "{name:?}");
    }
    assert!(list(&*records, "", None).is_empty());
}
