//! Two living leaders of one run, of which one is stopped (SIGSTOP) at some moment and wakes up when the other one has
//! taken over. The one that lost says so and spoils nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use super::sandbox::{Random, Sandbox};
use super::words::{job, words};

/// When a leader is stopped.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So many milliseconds after its start.
    After(u64),
    /// It takes over what another one began, as many milliseconds after its start.
    TakingOver(u64),
    /// Its journal has so many groups.
    Appending(u64),
    /// It brings the outputs home.
    Exporting,
    /// It removes the store.
    Removing,
}

/// When it wakes up.
#[derive(Clone, Copy, Debug)]
enum Wakes {
    /// So many milliseconds after the other one has started.
    During(u64),
    /// When the other one has ended.
    Afterwards,
}

fn start(sandbox: &Sandbox, clean: &str) -> Child {
    let args = ["--restart=auto", "--jobStore", "store", "--clean", clean, "--retryCount", "0"];
    sandbox
        .program(&[&args[..], &["--outdir", "out", "main.cwl", "job.yml"]].concat())
        .spawn()
        .expect("it starts")
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
}

fn is_over(child: &mut Child) -> bool {
    child.try_wait().expect("it can be asked").is_some()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn runs(sandbox: &Sandbox) -> Vec<PathBuf> {
    let is_run =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"));
    entries(&sandbox.path("store")).into_iter().filter(is_run).collect()
}

/// Waits for the moment, or for the end.
fn wait_for(moment: Moment, sandbox: &Sandbox, child: &mut Child) {
    let has_come = || match moment {
        Moment::After(_) | Moment::TakingOver(_) => true,
        Moment::Appending(groups) => {
            runs(sandbox).iter().any(|run| entries(&run.join("journal")).len() as u64 >= groups)
        }
        Moment::Exporting => sandbox.path("out").exists(),
        Moment::Removing => sandbox.path("out/all.txt").exists() && runs(sandbox).is_empty(),
    };
    if let Moment::After(wait) | Moment::TakingOver(wait) = moment {
        std::thread::sleep(Duration::from_millis(wait));
    }
    while !has_come() && !is_over(child) {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Whoever would lead waits for whoever gives signs of life, for half a minute: here it is over.
fn forget_signs_of_life(sandbox: &Sandbox) {
    for run in runs(sandbox) {
        for beat in entries(&run.join("heartbeat")) {
            let _ = fs::remove_file(beat);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Success,
    Fenced,
    /// It was about to lead when the other one did.
    TooLate,
}

/// How a leader ended: as it should, in any case.
fn end(output: &Output, what: &str) -> End {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("defect") && !told.contains("panicked"), "{what}: {told}");
    if output.status.success() {
        let outputs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the output object");
        assert_eq!(outputs["all"]["basename"], "all.txt", "{what}");
        return End::Success;
    }
    assert_eq!(output.status.code(), Some(1), "{what}: {told}");
    assert!(output.stdout.is_empty(), "{what}: {told}");
    if told.contains("the job store is gone") {
        assert!(!told.contains("what is done is kept"), "{what}: {told}");
    }
    let is_said = |words: &[&str]| words.iter().any(|words| told.contains(words));
    let fenced =
        ["has taken over this run", "was removed by somebody else", "the job store refused a record"];
    if is_said(&fenced) || is_said(&["cannot remove the job store"]) {
        return End::Fenced;
    }
    assert!(is_said(&["the job store", "is another leader"]), "{what}: {told}");
    End::TooLate
}

fn round(words: &[String], moment: Moment, wakes: Wakes, clean: &str) -> Option<[End; 2]> {
    let what = format!("{moment:?}, {wakes:?}, {clean}");
    let sandbox = self::words();
    job(&sandbox, &words.join(", "), false);
    if matches!(moment, Moment::TakingOver(_)) {
        let mut first = start(&sandbox, clean);
        wait_for(Moment::Appending(4), &sandbox, &mut first);
        let _ = first.kill();
        first.wait().expect("it ends");
    }
    let mut one = start(&sandbox, clean);
    wait_for(moment, &sandbox, &mut one);
    if is_over(&mut one) {
        assert_eq!(end(&one.wait_with_output().expect("it ended"), &what), End::Success, "{what}");
        return None;
    }
    signal(&one, "-STOP");
    forget_signs_of_life(&sandbox);
    let other = start(&sandbox, clean);
    let (one, other) = match wakes {
        Wakes::During(wait) => {
            std::thread::sleep(Duration::from_millis(wait));
            signal(&one, "-CONT");
            // Whoever is first waits for nobody, and the other one for what it says.
            let one = std::thread::spawn(|| one.wait_with_output().expect("it ends"));
            let other = other.wait_with_output().expect("it ends");
            (one.join().expect("it ends"), other)
        }
        Wakes::Afterwards => {
            let other = other.wait_with_output().expect("it ends");
            signal(&one, "-CONT");
            (one.wait_with_output().expect("it ends"), other)
        }
    };
    let told = format!(
        "{what}\n{}\n{}",
        String::from_utf8_lossy(&one.stderr),
        String::from_utf8_lossy(&other.stderr)
    );
    let ends = [end(&one, &what), end(&other, &what)];
    assert!(ends.contains(&End::Success), "one of them leads: {told}");
    let expected: String = words.iter().map(|word| format!("{word}\n")).collect();
    assert_eq!(sandbox.read("out/all.txt"), expected, "{told}");
    assert_eq!(sandbox.list("out"), ["all.txt"], "{told}");
    if clean == "never" {
        // What is there is the whole of it: nothing runs again.
        forget_signs_of_life(&sandbox);
        let third = start(&sandbox, "onSuccess").wait_with_output().expect("it ends");
        let third_told = String::from_utf8_lossy(&third.stderr);
        assert!(third.status.success(), "{told}\n{third_told}");
        let reused = third_told.matches("completed success (reused)").count();
        assert_eq!(reused, words.len() + 1, "{told}\n{third_told}");
        assert_eq!(sandbox.read("out/all.txt"), expected, "{told}");
    }
    // Who slept may have made a directory again, in which it would have worked; that is no store.
    let stores = runs(&sandbox).into_iter().filter(|run| run.join(".writing").exists());
    assert_eq!(stores.count(), 0, "{told}");
    Some(ends)
}

/// The leader that sleeps waits for a file that is read when its run is announced, before anything runs; it is no good, so
/// that something fails when it wakes up.
#[test]
fn what_fails_when_a_leader_wakes_up_is_put_down_to_who_has_its_run() {
    for (clean, told) in [("onSuccess", "was removed by somebody else"), ("never", "has taken over this run")]
    {
        let sandbox = words();
        job(&sandbox, "a, b", false);
        let pipe = sandbox.path("mpi.yml");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
        let args = ["--mpi-config-file", "mpi.yml", "--jobStore", "store", "main.cwl", "job.yml"];
        let one = sandbox.program(&args).spawn().expect("it starts");
        // It is read twice: for the keys of jobs, and then for how they are started. Writing waits for who reads.
        fs::write(&pipe, "runner: mpirun\n").expect("it is read");
        let descriptors = PathBuf::from(format!("/proc/{}/fd", one.id()));
        let reads = || entries(&descriptors).iter().any(|fd| fs::read_link(fd).is_ok_and(|to| to == pipe));
        while reads() {
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(&one, "-STOP");
        forget_signs_of_life(&sandbox);
        let other = start(&sandbox, clean).wait_with_output().expect("it ends");
        assert_eq!(end(&other, clean), End::Success);
        signal(&one, "-CONT");
        fs::write(&pipe, "no such setting: 1\n").expect("it is read");
        let one = one.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&one.stderr);
        assert!(said.contains(told) && !said.contains("no such setting"), "{said}");
        assert_ne!(end(&one, clean), End::Success);
        assert_eq!(sandbox.read("out/all.txt"), "a\nb\n");
    }
}

/// Many outputs, which are written one after the other.
const TEXTS: &str = r#"
cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: {text: string}
outputs: {texts: "File[]"}
expression: |
  ${
    var texts = [];
    for (var i = 0; i < 5000; i++) {
      texts.push({class: "File", basename: i + ".txt", contents: inputs.text});
    }
    return {texts: texts};
  }
"#;

/// A leader that is stopped when it has written some of its outputs, not all.
fn stopped_in_its_export() -> (Sandbox, Child) {
    for _ in 0..10 {
        let sandbox = Sandbox::with(TEXTS);
        sandbox.write("job.yml", "text: old");
        let one = start(&sandbox, "never");
        let written = || entries(&sandbox.path("out")).len();
        while written() == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
        signal(&one, "-STOP");
        if written() < 5000 {
            return (sandbox, one);
        }
        signal(&one, "-CONT");
        one.wait_with_output().expect("it ends");
    }
    panic!("it was too quick to be stopped");
}

#[test]
fn who_sleeps_in_an_export_leaves_the_rest_as_another_leader_made_it() {
    let (sandbox, one) = stopped_in_its_export();
    forget_signs_of_life(&sandbox);
    sandbox.write("job.yml", "text: new");
    let other = start(&sandbox, "never").wait_with_output().expect("it ends");
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stderr));
    // Nobody takes a run over in less than a second in earnest, which is how often is asked.
    std::thread::sleep(Duration::from_secs(1));
    signal(&one, "-CONT");
    let one = one.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&one.stderr);
    assert!(!one.status.success() && told.contains("has taken over this run"), "{told}");
    let texts = entries(&sandbox.path("out"));
    let old = texts.iter().filter(|path| fs::read_to_string(path).expect("it is read") != "new");
    assert!(texts.len() == 5000 && old.count() <= 1, "only what was being written is another one's");
}

#[test]
fn of_two_leaders_the_one_that_slept_spoils_nothing() {
    let words: Vec<String> = (0..40).map(|number| format!("w{number}")).collect();
    let mut random = Random::new();
    eprintln!("seed {}", random.0);
    let (mut hits, mut fenced) = (0, 0);
    for number in 0..300 {
        // On a slow machine more of them begin too late.
        if number >= 30 && hits > 8 && fenced > 4 {
            break;
        }
        let moment = match number % 5 {
            0 => Moment::After(random.below(400)),
            1 => Moment::TakingOver(random.below(150)),
            2 => Moment::Appending(1 + random.below(12)),
            3 => Moment::Exporting,
            _ => Moment::Removing,
        };
        let wakes = match random.below(2) {
            0 => Wakes::During(random.below(300)),
            _ => Wakes::Afterwards,
        };
        let clean = if random.below(2) == 0 { "never" } else { "onSuccess" };
        if let Some(ends) = round(&words, moment, wakes, clean) {
            hits += 1;
            fenced += u32::from(ends.contains(&End::Fenced));
        }
    }
    assert!(hits > 8 && fenced > 4, "most must be hit: {hits} hits, {fenced} fenced");
}
