//! Trying out where a store could be.

use std::path::Path;

use moil_jobstore::bucket_store::BucketPlace;
use moil_jobstore::file_store::Workers;
use moil_jobstore::locator::Locator;
use moil_jobstore::place::Place;
use moil_jobstore::s3::S3;
use moil_testing::s3::{Flavour, Options, S3Server};

use super::s3::settings;

fn place(server: &S3Server, locator: &str) -> Place {
    let locator = Locator::parse(locator, Path::new("/")).unwrap();
    Place::Bucket(BucketPlace::of(&locator, &S3::new(settings(server)), None).unwrap())
}

#[test]
fn a_bucket_is_tried_and_left_as_it_was() {
    let server = S3Server::with(Options::default());
    let own = place(&server, "aws:eu-central-1:demo");
    let without = own.try_out(false).unwrap_err();
    assert!(without.contains("there is no bucket demo--toil"), "{without}");
    let trial = own.try_out(true).unwrap();
    assert!(trial.made && trial.found.contains("conditional puts are honoured"), "{trial:?}");
    // As a worker sees it meanwhile.
    assert!(!own.try_out(false).unwrap().made);
    own.take_back(&trial);
    assert!(own.try_out(false).is_err());
    // One of somebody else's is not made.
    let error = place(&server, "s3://demo/x").try_out(true).unwrap_err();
    assert!(error.contains("there is no bucket demo: make it"), "{error}");
}

#[test]
fn a_bucket_that_was_used_meanwhile_stays() {
    let server = S3Server::with(Options::default());
    let own = place(&server, "aws:eu-central-1:demo");
    let trial = own.try_out(true).unwrap();
    S3::new(settings(&server)).bucket("demo--toil").put("moil/runs/1", b"x").unwrap();
    own.take_back(&trial);
    assert!(server.objects("demo--toil").contains_key("moil/runs/1"));
}

#[test]
fn a_server_that_ignores_conditions_is_told_and_keeps_no_bucket() {
    let server = S3Server::with(Options { flavour: Flavour::IgnoresConditions, ..Options::default() });
    let own = place(&server, "aws:eu-central-1:demo");
    let error = own.try_out(true).unwrap_err();
    assert!(error.contains("ignores If-None-Match"), "{error}");
    assert!(own.try_out(false).unwrap_err().contains("there is no bucket"));
}

#[test]
fn a_directory_is_tried_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = |path: &Path| Place::File { path: path.to_owned(), workers: Workers::Here };
    let trial = file(&dir.path().join("new/store")).try_out(true).unwrap();
    assert_eq!(trial.found, format!("{} can be written", dir.path().display()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let error = file(Path::new("/proc/new")).try_out(true).unwrap_err();
    assert!(error.contains("cannot make a file with a link in /proc: "), "{error}");
}
