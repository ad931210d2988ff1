//! Leaders in processes of their own, which are killed and stopped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use moil_job::record::Record;
use moil_job::spec::{AttemptId, JobId};
use moil_job::store::{Store, StoreError};
use moil_jobstore::file_store::{FileStore, Workers};
use moil_jobstore::ledger::Replay;
use moil_jobstore::who::Who;

const STORE: &str = "MOIL_TEST_STORE";

fn job(name: &str) -> Record {
    let attempt = AttemptId { job: JobId(name.into()), number: 1 };
    super::ledger::started(attempt)
}

/// A leader in another process: this very program, started once more.
fn start(store: &Path) -> Child {
    Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "killed::as_a_child", "--nocapture"])
        .env(STORE, store)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started")
}

/// What such a process does: it takes over, and appends until it is fenced. It says each time what is stored. As a
/// test of its own it has nothing to do.
#[test]
fn as_a_child() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let (store, replay) =
        FileStore::restart(Path::new(&path), Workers::Here, &Who::here()).expect("taken over");
    for number in 0..5_000 {
        let name = format!("{}-{number}", replay.entries.len());
        match store.append(&[job(&name)]) {
            Ok(()) => println!("\nstored {name}"),
            Err(StoreError::Fenced { leader }) => return println!("\nfenced by {leader}"),
            Err(error) => panic!("{error}"),
        }
    }
}

fn stored(line: &str) -> Option<String> {
    line.strip_prefix("stored ").map(str::to_owned)
}

fn names(replay: &Replay) -> Vec<String> {
    let names = replay.entries.iter().filter_map(|entry| match &entry.record {
        Record::AttemptStarted { attempt, .. } => Some(attempt.job.to_string()),
        _ => None,
    });
    names.collect()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

#[test]
fn of_leaders_that_are_killed_nothing_is_lost_or_doubled() {
    let above = tempfile::tempdir().expect("a directory");
    let path = above.path().join("store");
    drop(FileStore::create(&path, Workers::Here, &Who::here()).expect("made"));
    let mut told: Vec<String> = Vec::new();
    for round in 0..12 {
        let mut child = start(&path);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        told.extend(lines.by_ref().filter_map(|line| stored(&line)).take(round * 7 % 40));
        child.kill().expect("killed");
        child.wait().expect("ended");
        told.extend(lines.filter_map(|line| stored(&line)));
    }
    let (_, replay) = FileStore::restart(&path, Workers::Here, &Who::here()).expect("taken over");
    let names = names(&replay);
    let mut there = names.iter();
    // In order, and between them at most what was stored and not told any more.
    assert!(told.iter().all(|name| there.any(|other| other == name)), "{told:?} in {names:?}");
    assert!(names.len() <= told.len() + 12, "{} of {}", told.len(), names.len());
    assert!(told.len() >= 100, "{}", told.len());
}

#[test]
fn a_leader_that_was_stopped_wakes_up_fenced() {
    let above = tempfile::tempdir().expect("a directory");
    let path = above.path().join("store");
    drop(FileStore::create(&path, Workers::Here, &Who::here()).expect("made"));
    let mut child = start(&path);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut told: Vec<String> = lines.by_ref().filter_map(|line| stored(&line)).take(20).collect();
    signal(&child, "STOP");
    let (store, before) = FileStore::restart(&path, Workers::Here, &Who::here()).expect("taken over");
    store.append(&[job("ours")]).expect("appended");
    signal(&child, "CONT");
    let mut end = None;
    for line in lines {
        told.extend(stored(&line));
        end = line.strip_prefix("fenced by ").map(str::to_owned).or(end);
    }
    assert!(child.wait().expect("ended").success());
    assert_eq!(end, Some(Who::here().name()));
    assert_eq!(names(&before)[..told.len()], told);
    let (_, after) = FileStore::restart(&path, Workers::Here, &Who::here()).expect("taken over");
    assert_eq!(names(&after), [names(&before), vec!["ours".to_owned()]].concat());
}
