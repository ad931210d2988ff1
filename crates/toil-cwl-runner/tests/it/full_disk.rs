//! A job store on a disk that becomes full: the run says so and ends, and goes on when there is room.

use std::path::PathBuf;
use std::process::{Child, Command, Output};

use super::sandbox::{PATH, Sandbox, eventually};

/// Five files of 400 kB, then the number of all their bytes. The first waits until there is a file `go`.
const FILES: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, ResourceRequirement: {outdirMin: 0, tmpdirMin: 0}}
inputs: {letters: "string[]"}
outputs:
  bytes: {type: File, outputSource: join/bytes}
steps:
  write:
    scatter: letter
    in: {letter: letters}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'test $0 != a || until test -e GO; do sleep 0.05; done; echo $0 >> RAN; head -c 400000 /dev/zero | tr "\0" "$0"']
      inputs: {letter: {type: string, inputBinding: {}}}
      outputs: {one: stdout}
      stdout: one.txt
  join:
    in: {ones: write/one}
    out: [bytes]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat "$@" | wc -c', join]
      inputs: {ones: {type: 'File[]', inputBinding: {position: 1}}}
      outputs: {bytes: stdout}
      stdout: bytes.txt
"#;

/// A small file system in memory, unmounted in the end.
struct Disk(PathBuf);

impl Disk {
    #[expect(clippy::print_stdout, reason = "that a test is skipped is told")]
    fn mount(path: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).expect("it is made");
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output().ok()?;
        if !output.status.success() {
            println!("skipped: no file system can be mounted: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(Self(path))
    }

    fn enlarge(&self) {
        let status = Command::new("mount").args(["-o", "remount,size=50m"]).arg(&self.0).status();
        assert!(status.expect("mount is there").success());
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).expect("it is made");
        let error = std::io::copy(&mut std::io::repeat(0), &mut file).expect_err("the disk becomes full");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("it is removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A sandbox whose directory `disk` is a file system of its own; without, where that is not to be had.
fn place(size: &str) -> Option<(Sandbox, Disk)> {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.path(name).display().to_string();
    sandbox.write("main.cwl", FILES.replace("GO", &path("go")).replace("RAN", &path("ran")));
    sandbox.write("job.yml", "letters: [a, b, c, d, e]\n");
    sandbox.write("ran", "");
    let disk = Disk::mount(sandbox.path("disk"), &format!("size={size}"))?;
    Some((sandbox, disk))
}

fn start(sandbox: &Sandbox, more: &[&str]) -> Child {
    let common = ["--jobStore", "disk/store", "--retryCount", "0", "--outdir", "out", "main.cwl", "job.yml"];
    sandbox.program(&[more, &common].concat()).spawn().expect("it starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fails(child: Child) -> String {
    let output = child.wait_with_output().expect("it ends");
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(output.stdout.is_empty() && !told.contains("defect"), "{told}");
    told
}

/// Goes on with the run; all is there in the end.
fn goes_on(sandbox: &Sandbox, more: &[&str]) -> String {
    let output = start(sandbox, &[&["--restart"], more].concat()).wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(sandbox.read("out/bytes.txt").trim(), "2000000");
    assert!(!sandbox.path("disk/store").exists());
    text(&output)
}

#[test]
fn outputs_that_do_not_fit_end_the_run_with_a_word_and_it_goes_on_when_there_is_room() {
    for more in [&[][..], &["--workDir", "tmp"], &["--batchSystem", "processes"]] {
        let Some((sandbox, disk)) = place("1500k") else { return };
        sandbox.write("go", "");
        let told = fails(start(&sandbox, more));
        let is_said = |words: &str| told.contains(words);
        assert!(is_said("No space left on device") || is_said("a disk was full"), "{more:?}: {told}");
        assert!(is_said(&sandbox.path("disk/store").display().to_string()), "{more:?}: {told}");
        assert!(is_said("--restart"), "{more:?}: {told}");
        disk.enlarge();
        goes_on(&sandbox, more);
    }
}

#[test]
fn a_journal_that_does_not_fit_ends_the_run_and_nothing_that_was_recorded_is_lost() {
    let Some((sandbox, disk)) = place("10m") else { return };
    let child = start(&sandbox, &["--workDir", "tmp"]);
    eventually("the others are recorded", || {
        sandbox.read("ran").lines().count() == 4 && recorded(&sandbox) == 4
    });
    disk.fill();
    sandbox.write("go", "");
    let told = fails(child);
    assert!(told.contains("No space left on device"), "{told}");
    assert!(told.contains("the job store refused a record"), "{told}");
    assert!(told.contains("make room, then continue with --restart"), "{told}");
    // It stays as full as it is: so does what is said, and nothing is spoilt.
    let told = fails(start(&sandbox, &["--restart", "--workDir", "tmp"]));
    assert!(told.contains("No space left on device") && told.contains("make room"), "{told}");
    disk.empty();
    sandbox.write("ran", "");
    let told = goes_on(&sandbox, &["--workDir", "tmp"]);
    assert_eq!(sandbox.read("ran"), "a\n", "{told}");
}

/// How many jobs are recorded as done.
fn recorded(sandbox: &Sandbox) -> usize {
    let output = moil(sandbox, &["status", "disk/store", "--json", "--perJob"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let jobs = status["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    jobs.iter().filter(|job| job["state"] == "done").count()
}

fn moil(sandbox: &Sandbox, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moil"))
        .args(args)
        .current_dir(sandbox.path(""))
        .env_clear()
        .env("PATH", PATH)
        .output()
        .expect("it runs")
}

#[test]
fn a_store_that_has_filled_its_disk_can_be_removed() {
    let Some((sandbox, disk)) = place("1500k") else { return };
    sandbox.write("go", "");
    fails(start(&sandbox, &[]));
    disk.fill();
    let output = moil(&sandbox, &["status", "disk/store"]);
    assert!(output.status.success(), "{}", text(&output));
    let output = moil(&sandbox, &["clean", "disk/store"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!sandbox.path("disk/store").exists());
}
