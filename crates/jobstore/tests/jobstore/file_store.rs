//! The job store `file:PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

use moil_cwl::value::Value;
use moil_job::record::Record;
use moil_job::resources::Resources;
use moil_job::result::{JobResult, Outcome, Usage};
use moil_job::spec::{AttemptId, JobId};
use moil_job::store::{Store, StoreError};
use moil_jobstore::file_store::{FileStore, FileStoreError, Workers};
use moil_jobstore::ledger::OpenError;
use moil_jobstore::names;
use moil_jobstore::results::Results;
use moil_jobstore::who::Who;

fn id(name: &str) -> AttemptId {
    AttemptId { job: JobId(name.into()), number: 1 }
}

fn job(name: &str) -> Record {
    Record::AttemptStarted {
        attempt: id(name),
        key: None,
        called: None,
        granted: Resources { cores: 1.0, ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 },
        again: None,
    }
}

fn create(path: &Path) -> FileStore {
    FileStore::create(path, Workers::Here, &Who::here()).unwrap_or_else(|error| panic!("{error}"))
}

fn restart(path: &Path) -> Result<(FileStore, Vec<Record>), FileStoreError> {
    let (store, replay) = FileStore::restart(path, Workers::Here, &Who::here())?;
    let records = replay.entries.into_iter().map(|entry| entry.record);
    Ok((store, records.filter(|record| !matches!(record, Record::TookOver { .. })).collect()))
}

fn refusal<T>(answer: Result<T, FileStoreError>) -> String {
    answer.err().expect("refused").to_string()
}

/// A path below a directory of its own.
fn place() -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().expect("a directory");
    let path = above.path().join("some/store");
    (above, path)
}

fn run_directory(path: &Path) -> PathBuf {
    let entries = fs::read_dir(path).expect("a store").flatten().map(|entry| entry.path());
    entries.into_iter().find(|path| path.to_string_lossy().contains("/run-")).expect("a run")
}

#[test]
fn a_run_is_recorded_continued_and_removed() {
    for workers in [Workers::Here, Workers::Elsewhere] {
        let (above, path) = place();
        let store = FileStore::create(&path, workers, &Who::here()).expect("made");
        assert!(store.is_durable());
        store.append(&[job("a")]).expect("appended");
        let (next, records) = restart(&path).expect("continued");
        assert_eq!(records, [job("a")]);
        assert!(matches!(store.append(&[job("b")]), Err(StoreError::Fenced { .. })));
        assert!(matches!(store.remove(None), Err(StoreError::Fenced { .. })));
        next.append(&[job("c")]).expect("appended");
        next.remove(None).expect("removed");
        assert!(!path.exists());
        assert_eq!(
            fs::read_dir(above.path().join("some")).expect("read").count(),
            0,
            "nothing is left beside it"
        );
    }
}

#[test]
fn what_is_there_is_respected() {
    let (above, path) = place();
    let name = path.display();
    let missing = format!("the job store file:{name} does not exist, so there is nothing to restart");
    assert_eq!(refusal(restart(&path)), missing);
    assert_eq!(refusal(FileStore::clean(&path, &Who::here())), missing);

    fs::create_dir_all(&path).expect("made");
    assert_eq!(refusal(restart(&path)), missing);
    let store = create(&path);
    let again = refusal(FileStore::create(&path, Workers::Here, &Who::here()));
    assert!(
        again.contains("already exists: continue that run with --restart, or remove it with `moil clean`")
    );
    store.append(&[job("a")]).expect("undisturbed");
    FileStore::clean(&path, &Who::here()).expect("cleaned");
    assert!(store.append(&[job("b")]).is_err());
    assert!(!path.exists());

    for part in ["shared", "jobs", "files-flat"] {
        fs::create_dir_all(path.join(part)).expect("made");
    }
    for words in [
        refusal(FileStore::create(&path, Workers::Here, &Who::here())),
        refusal(restart(&path)),
        refusal(FileStore::clean(&path, &Who::here())),
    ] {
        assert!(words.contains("was made by Toil and cannot be resumed here"), "{words}");
    }

    let other = above.path().join("other");
    fs::create_dir(&other).expect("made");
    fs::write(other.join("thesis.tex"), "years").expect("written");
    for words in [
        refusal(FileStore::create(&other, Workers::Here, &Who::here())),
        refusal(FileStore::clean(&other, &Who::here())),
    ] {
        assert!(words.contains("is no job store, and not empty: it has thesis.tex"), "{words}");
    }
    assert!(refusal(restart(&other.join("thesis.tex"))).contains("Not a directory"));
    assert!(other.join("thesis.tex").exists());
}

#[test]
fn of_many_who_make_a_store_at_most_one_succeeds() {
    for is_there in [false, true] {
        for _ in 0..20 {
            let (_above, path) = place();
            if is_there {
                fs::create_dir_all(&path).expect("made");
            }
            let start = Arc::new(Barrier::new(4));
            let makers: Vec<_> = (0..4)
                .map(|_| {
                    let (path, start) = (path.clone(), Arc::clone(&start));
                    thread::spawn(move || {
                        start.wait();
                        FileStore::create(&path, Workers::Here, &Who::here())
                    })
                })
                .collect();
            let made: Vec<FileStore> =
                makers.into_iter().filter_map(|maker| maker.join().expect("a maker").ok()).collect();
            assert!(made.len() == 1, "{}", made.len());
            made[0].append(&[job("a")]).expect("it leads");
            assert_eq!(restart(&path).expect("there").1, [job("a")]);
        }
    }
}

#[test]
fn what_is_half_made_or_half_removed_is_told_and_put_right() {
    let stages: [(&str, fn(&Path, FileStore)); 4] = [
        ("its removal is recorded", |_, store| store.ledger().retire(None).expect("recorded")),
        ("its name is gone", |path, _| {
            fs::rename(run_directory(path), path.join("deleted-1")).expect("renamed");
        }),
        ("part of it is gone", |path, _| {
            fs::rename(run_directory(path), path.join("deleted-1")).expect("renamed");
            fs::remove_dir_all(path.join("deleted-1/journal")).expect("removed");
        }),
        ("another is half made", |path, _| {
            fs::rename(run_directory(path), path.join(".new-1")).expect("renamed");
        }),
    ];
    for (name, stage) in stages {
        for end in ["create", "clean"] {
            let (_above, path) = place();
            let store = create(&path);
            store.append(&[job("old")]).expect("appended");
            stage(&path, store);
            let is_made = name != "another is half made";
            let words =
                if is_made { "is being removed: `moil clean` finishes that" } else { "does not exist" };
            assert!(refusal(restart(&path)).contains(words), "{name}");
            match end {
                // Of a store that was never made nothing can be cleaned, and nothing has to be.
                "clean" if !is_made => {
                    assert!(refusal(FileStore::clean(&path, &Who::here())).contains("does not exist"));
                }
                "clean" => {
                    FileStore::clean(&path, &Who::here()).expect(name);
                    assert!(!path.exists(), "{name}");
                }
                _ => {
                    create(&path).append(&[job("new")]).expect("it leads");
                    let (store, records) = restart(&path).expect("there");
                    assert_eq!(records, [job("new")], "{name}");
                    store.remove(None).expect("removed");
                    assert!(!path.exists(), "{name}");
                }
            }
        }
    }
    // Its maker died before it was a store.
    let (_above, path) = place();
    drop(create(&path));
    for record in ["moil.json", "journal/00000000000000000001"] {
        fs::remove_file(run_directory(&path).join(record)).expect("removed");
    }
    assert!(refusal(restart(&path)).contains("does not exist"));
    create(&path).append(&[job("a")]).expect("it leads");
}

#[test]
fn stragglers_of_a_removed_store_cannot_touch_the_next_one() {
    let (_above, path) = place();
    let old = create(&path);
    let worker = Results::new(FileStore::records(&path, Workers::Here).expect("there"));
    FileStore::clean(&path, &Who::here()).expect("cleaned");
    let new = create(&path);
    new.append(&[job("new")]).expect("appended");
    let outcome = Outcome::Done(JobResult {
        outputs: Value::Null,
        exit_code: 0,
        usage: Usage::default(),
        updates: Vec::new(),
        logs: Vec::new(),
    });
    let error = worker
        .publish(&names::word(old.ledger().term(), &id("a")), &id("a"), "late", &outcome)
        .expect_err("refused");
    assert!(error.to_string().contains("the job store is gone"), "{error}");
    assert!(old.append(&[job("late")]).is_err());
    assert!(old.remove(None).is_err());
    // One that makes its directories again makes no store of them.
    fs::create_dir_all(old.directory().join("files/late")).expect("made");
    let (last, records) = restart(&path).expect("there");
    assert_eq!(records, [job("new")]);
    last.remove(None).expect("removed");
    assert!(!path.exists());
}

#[test]
fn directories_that_a_tool_closed_are_removed() {
    let (_above, path) = place();
    let store = create(&path);
    let directory = store.directory().join("files/a");
    fs::create_dir_all(&directory).expect("made");
    fs::write(directory.join("file"), "1").expect("written");
    for path in [directory.join("file"), directory] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).expect("closed");
    }
    store.remove(None).expect("removed");
    assert!(!path.exists());
}

#[test]
fn after_a_power_cut_the_whole_beginning_counts() {
    let (_above, path) = place();
    let store = create(&path);
    for name in ["a", "b", "c"] {
        store.append(&[job(name)]).expect("appended");
    }
    // What was not on the disk yet: groups are 1 the leader, 2 to 4 the jobs.
    fs::write(run_directory(&path).join("journal/00000000000000000003"), "").expect("truncated");
    assert!(refusal(restart(&path)).contains("00000000000000000003 is damaged: it is cut off"));
    let after = Who { boot: "another".to_owned(), ..Who::here() };
    let (store, replay) = FileStore::restart(&path, Workers::Here, &after).expect("continued");
    let lost = replay.lost.expect("told");
    assert!(lost.to_string().contains("its groups 3 to 4 are left out"), "{lost}");
    assert_eq!(replay.entries.last().map(|entry| &entry.record), Some(&job("a")));
    store.append(&[job("d")]).expect("appended");
    assert_eq!(restart(&path).expect("continued").1, [job("a"), job("d")]);
}

#[test]
fn a_store_that_another_version_made_is_left_alone() {
    let (_above, path) = place();
    drop(create(&path));
    let info = run_directory(&path).join("moil.json");
    fs::remove_file(&info).expect("removed");
    let records = FileStore::records(&path, Workers::Here).expect("there");
    records.put_if_absent("moil.json", br#"{"version": 7, "made_by": "moil 3.0"}"#).expect("stored");
    let words = refusal(restart(&path));
    assert!(
        words.contains("has version 7, made by moil 3.0; this program knows versions up to 2"),
        "{words}"
    );
    assert!(matches!(
        FileStore::create(&path, Workers::Here, &Who::here()).err(),
        Some(FileStoreError::Open { reason: OpenError::Exists, .. })
    ));
    assert!(info.exists());
}
