//! The same against servers of others, which keep us honest. `MOIL_TEST_S3` has their URLs, with a space between; all
//! of them know the keys of the test server (see `conformance/s3`).

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};

use moil_jobstore::records::s3::S3Records;
use moil_jobstore::records::{Put, Records};
use moil_jobstore::s3::settings::{Credentials, Encryption, Parts};
use moil_jobstore::s3::{Bucket, Kind, S3, Settings};
use moil_testing::s3::{ACCESS_KEY, SECRET_KEY};

use crate::places::{Factory, Place};

/// The addresses of the servers that are there.
fn servers() -> Vec<String> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let servers: Vec<String> = variable("MOIL_TEST_S3").split_whitespace().map(str::to_owned).collect();
    if servers.is_empty() {
        assert!(
            !variable("MOIL_REQUIRE").split(',').any(|name| name == "s3"),
            "MOIL_TEST_S3 names no server, and MOIL_REQUIRE names s3"
        );
        println!("skipped: MOIL_TEST_S3 names no server");
    }
    servers
}

fn settings(url: &str) -> Settings {
    Settings {
        region: Some("us-east-1".into()),
        endpoint: Some(url.into()),
        credentials: Credentials::Keys {
            access: ACCESS_KEY.into(),
            secret: SECRET_KEY.into(),
            session: None,
        },
        parts: Parts {
            smallest: 5 << 20,
            most: 9000,
            in_flight: 20 << 20,
            largest_copy: 6 << 20,
            copied: 5 << 20,
        },
        ..Settings::default()
    }
}

/// A bucket that nobody has used.
fn bucket(client: &S3) -> Bucket {
    let number = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let bucket = client.bucket(&format!("moil-{number}--toil"));
    let tags = BTreeMap::from([("Owner".to_owned(), "tests".to_owned())]);
    assert!(bucket.create(None, &tags).unwrap());
    assert!(bucket.exists().unwrap());
    bucket
}

fn empty_and_remove(bucket: &Bucket) {
    let keys: Vec<String> = bucket.list("", None).unwrap().into_iter().map(|entry| entry.key).collect();
    bucket.delete(&keys).unwrap();
    assert!(bucket.remove().unwrap());
}

/// Runs a suite on each server, on prefixes of one bucket: buckets of Ceph are slow to make.
fn on_each(suite: fn(Factory<'_>)) {
    for url in servers() {
        let bucket = bucket(&S3::new(settings(&url)));
        let number = AtomicU32::new(0);
        suite(&|| {
            let prefix = format!("moil/run-{}/", number.fetch_add(1, Ordering::Relaxed));
            let bucket = bucket.clone();
            let open = move || -> Arc<dyn Records> { Arc::new(S3Records::new(bucket.clone(), &prefix)) };
            Place::new(open, ())
        });
        empty_and_remove(&bucket);
    }
}

#[test]
fn records() {
    on_each(crate::records::suite);
}

#[test]
fn ledger() {
    on_each(crate::ledger::suite);
}

#[test]
fn runs() {
    on_each(crate::runs::suite);
}

#[test]
fn files_copies_and_parts() {
    let bytes: Vec<u8> = (0..(11 << 20) + 17_u32).map(|at| (at / 251 + at % 251) as u8).collect();
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, &bytes).unwrap();
    for url in servers() {
        for encryption in [Encryption::Bucket, Encryption::Customer(*b"0123456789abcdef0123456789abcdef")] {
            let client = S3::new(Settings { encryption, ..settings(&url) });
            let bucket = bucket(&client);
            bucket.check_conditional_writes("probe/").unwrap();
            let content = bucket.upload("a folder/ü+.bin", &from).unwrap();
            assert_eq!(
                bucket.download("a folder/ü+.bin", &to, Some(&content)).unwrap(),
                Some(content.clone())
            );
            assert_eq!(fs::read(&to).unwrap(), bytes, "{url}");
            let etag = bucket.head("a folder/ü+.bin").unwrap().unwrap().etag;
            bucket.copy_from(&bucket, "a folder/ü+.bin", Some(&etag), "copy").unwrap();
            assert_eq!(bucket.download("copy", &to, Some(&content)).unwrap(), Some(content), "{url}");
            bucket.put("small", b"0123456789").unwrap();
            bucket.copy_from(&bucket, "small", None, "small copy").unwrap();
            assert_eq!(bucket.get("small copy").unwrap().unwrap(), b"0123456789");
            assert_eq!(bucket.get_range("small", 3, 4).unwrap().unwrap(), b"3456");
            assert_eq!(bucket.get_range("small", 10, 4).unwrap().unwrap(), b"");
            bucket.put("empty", b"").unwrap();
            assert_eq!(bucket.download("empty", &to, None).unwrap().unwrap().size, 0);
            assert_eq!(bucket.get("none").unwrap(), None);
            assert_eq!(bucket.sweep_uploads("").unwrap(), 0);
            empty_and_remove(&bucket);
            assert_eq!(bucket.get("small").unwrap_err().kind, Kind::NoBucket, "{url}");
        }
    }
}

#[test]
fn of_many_writers_one_wins_every_round() {
    const WRITERS: usize = 16;
    const ROUNDS: usize = 60;
    for url in servers() {
        let client = S3::new(settings(&url));
        let bucket = bucket(&client);
        let start = Barrier::new(WRITERS);
        let wins: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|_| {
                    scope.spawn(|| {
                        let records = S3Records::new(bucket.clone(), "");
                        let mut won = Vec::new();
                        for round in 0..ROUNDS {
                            start.wait();
                            if records.put_if_absent(&format!("round/{round}"), b"x") == Ok(Put::Stored) {
                                won.push(round);
                            }
                        }
                        won
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let mut won: Vec<usize> = wins.concat();
        won.sort_unstable();
        assert_eq!(won, (0..ROUNDS).collect::<Vec<_>>(), "{url}");
        empty_and_remove(&bucket);
    }
}
