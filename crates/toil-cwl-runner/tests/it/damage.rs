//! Job stores in which something is damaged: by a power cut, by a disk, by another version, by people.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use moil_jobstore::records::Records as _;
use moil_jobstore::records::file::{Durability, FileRecords};
use toil_cwl_runner::exit_code::ExitCode;

use super::Answer;
use super::sandbox::{PATH, Sandbox};
use super::words::{job, words};

const LINE: [&str; 7] = ["--jobStore", "store", "--retryCount", "0", "--outdir", "out", "main.cwl"];

/// A run that failed at its last step, and its directory.
fn failed() -> (Sandbox, PathBuf) {
    let sandbox = words();
    job(&sandbox, "a, b, c", true);
    sandbox.failure(&[&LINE[..], &["job.yml"]].concat());
    job(&sandbox, "a, b, c", false);
    let run = sandbox.path("store").join(&sandbox.list("store")[0]);
    (sandbox, run)
}

fn restart(sandbox: &Sandbox) -> Answer {
    sandbox.run(&[&["--restart"], &LINE[..], &["job.yml"]].concat())
}

/// The files of a journal, in order.
fn journal(run: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(run.join("journal")).expect("it is read").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Changes what a record says, as if it had been written so.
fn rewrite(run: &Path, name: &str, change: impl Fn(String) -> String) {
    let records = FileRecords::open(run, Durability::Process);
    let bytes = records.get(name).expect("it is read").expect("it is there");
    let text = String::from_utf8(bytes).expect("it is text");
    records.replace(name, change(text).as_bytes()).expect("it is written");
}

/// All files of this name below a directory.
fn named(directory: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it is read").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(named(&path, name)),
            path if path.to_string_lossy().ends_with(name) => found.push(path),
            _ => {}
        }
    }
    found
}

fn moil(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moil"));
    command.args(args).current_dir(sandbox.path("")).env_clear().env("PATH", PATH);
    command.output().expect("it runs")
}

/// What was written in the last seconds before the machine went off is gone: the ends of the journal, and what is in
/// output files, which keep their sizes.
#[test]
fn after_a_power_cut_what_was_not_on_the_disk_is_made_again() {
    for lost in 0..4 {
        let (sandbox, run) = failed();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("it is there");
        let files = journal(&run);
        for file in &files {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            rewrite(&run, &format!("journal/{name}"), |text| text.replace(boot.trim(), "an earlier one"));
        }
        assert!(files.len() > lost + 1, "{files:?}");
        for file in &files[files.len() - lost..] {
            fs::File::options().write(true).open(file).expect("it opens").set_len(0).expect("it is cut");
        }
        let outputs = named(&run.join("work"), "word.txt");
        assert_eq!(outputs.len(), 3);
        let size = fs::metadata(&outputs[1]).expect("it is there").len() as usize;
        fs::remove_file(&outputs[1]).expect("it is removed");
        fs::write(&outputs[1], vec![0; size]).expect("it is written");
        sandbox.write("ran", "");
        let answer = restart(&sandbox);
        assert_eq!(answer.code, ExitCode::SUCCESS, "{lost}: {}", answer.stderr);
        assert_eq!(sandbox.read("out/all.txt"), "a\nb\nc\n", "{lost}");
        assert!(sandbox.read("ran").lines().count() >= 1, "{lost}: what has other bytes is not taken");
        let is_told = answer
            .stderr
            .contains("the end of the journal is lost, as happens when a machine is switched off");
        assert_eq!(is_told, lost > 0, "{lost}: {}", answer.stderr);
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_left_as_it_is() {
    type Damage = fn(&Path);
    let cut: Damage =
        |run| fs::write(&journal(run)[1], &fs::read(&journal(run)[1]).expect("read")[..9]).expect("cut");
    let scribble: Damage = |run| fs::write(&journal(run)[1], "scribble").expect("it is written");
    let remove: Damage = |run| fs::remove_file(&journal(run)[1]).expect("it is removed");
    let newer: Damage =
        |run| rewrite(run, "moil.json", |text| text.replace("\"version\":2", "\"version\":3"));
    for (damage, words, is_cleaned) in [
        (cut, "00000000000000000002 is damaged: it is cut off; restore the file from a backup", true),
        (scribble, "00000000000000000002 is damaged: it is cut off; restore the file from a backup", true),
        (remove, "00000000000000000002 is damaged: it is missing; restore it from a backup", true),
        (newer, "has version 3, made by moil 0.1.0; this program knows versions up to 2", false),
    ] {
        let (sandbox, run) = failed();
        damage(&run);
        let all = || -> Vec<(PathBuf, Vec<u8>)> {
            let files = named(&run, "").into_iter();
            files.map(|file| (file.clone(), fs::read(&file).expect("it is read"))).collect()
        };
        let before = all();
        let answer = restart(&sandbox);
        assert_eq!(answer.code, ExitCode::FAILURE, "{words}: {}", answer.stderr);
        assert!(answer.stderr.contains(words), "{words}: {}", answer.stderr);
        assert!(answer.stderr.contains("start afresh"), "{words}: {}", answer.stderr);
        assert!(before == all(), "{words}: nothing is changed");
        let output = moil(&sandbox, &["clean", "store"]);
        assert_eq!(output.status.success(), is_cleaned, "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(run.exists(), !is_cleaned);
    }
}
