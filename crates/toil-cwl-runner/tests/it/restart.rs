//! Runs with a job store in a directory: kept after a failure, gone on with, removed at the end.

use std::process::{Child, Command};
use std::time::Duration;

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{Random, Sandbox};
use super::words::{job, ran, words};

const ARGS: [&str; 7] = ["--jobStore", "store", "--retryCount", "0", "--outdir", "out", "main.cwl"];

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    more.iter().copied().chain(ARGS).chain(["job.yml"]).collect()
}

#[test]
fn after_a_failure_the_store_is_kept_and_only_the_rest_runs() {
    let sandbox = words();
    job(&sandbox, "a, b, c", true);
    let told = sandbox.failure(&args(&[]));
    assert!(told.lines().last().is_some_and(|line| line.contains("--restart")), "{told}");
    assert_eq!(ran(&sandbox), ["a", "b", "c"]);
    job(&sandbox, "a, b, c", false);
    let answer = sandbox.run(&args(&["--restart"]));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("[job write_2] completed success (reused)"), "{}", answer.stderr);
    assert_eq!(ran(&sandbox), [""; 0]);
    assert_eq!(sandbox.read("out/all.txt"), "a\nb\nc\n");
    assert!(!sandbox.path("store").exists(), "it is removed after success");
}

#[test]
fn an_edited_input_runs_what_depends_on_it_again() {
    let sandbox = words();
    job(&sandbox, "a, b, c", false);
    sandbox.outputs(&args(&["--clean", "never"]));
    ran(&sandbox);
    job(&sandbox, "a, x, c, d", false);
    sandbox.outputs(&args(&["--clean", "never", "--restart"]));
    assert_eq!(ran(&sandbox), ["d", "x"]);
    assert_eq!(sandbox.read("out/all.txt"), "a\nx\nc\nd\n");
    // And back: what was recorded at first still counts.
    job(&sandbox, "a, b, c", false);
    sandbox.outputs(&args(&["--restart"]));
    assert_eq!(ran(&sandbox), [""; 0]);
    assert_eq!(sandbox.read("out/all.txt"), "a\nb\nc\n");
}

#[test]
fn a_changed_input_file_is_noticed_and_one_of_the_same_content_elsewhere_is_another() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [cat], inputs: {f: {type: File, inputBinding: {}}}, outputs: {o: stdout}, stdout: o.txt}",
    );
    let args = |more: &[&'static str]| -> Vec<&'static str> {
        [&["--jobStore", "store", "--clean", "never"], more, &["main.cwl", "--f", "in.txt"]].concat()
    };
    sandbox.write("in.txt", "one");
    sandbox.outputs(&args(&[]));
    assert!(sandbox.run(&args(&["--restart"])).stderr.contains("(reused)"));
    sandbox.write("in.txt", "two");
    let answer = sandbox.run(&args(&["--restart"]));
    assert!(!answer.stderr.contains("(reused)"), "{}", answer.stderr);
    assert_eq!(sandbox.read("o.txt"), "two");
}

#[test]
fn a_result_whose_file_was_removed_is_made_again() {
    let sandbox = words();
    job(&sandbox, "a, b, c", true);
    sandbox.failure(&args(&[]));
    ran(&sandbox);
    let mut removed = false;
    remove_one(&sandbox.path("store"), &mut removed);
    assert!(removed);
    job(&sandbox, "a, b, c", false);
    let answer = sandbox.run(&args(&["--restart", "--clean", "never"]));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("runs again: file:///"), "{}", answer.stderr);
    assert_eq!(ran(&sandbox).len(), 1);
    assert_eq!(sandbox.read("out/all.txt"), "a\nb\nc\n");
    let answer = sandbox.run(&args(&["--restart"]));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(ran(&sandbox), [""; 0], "the new one counts: {}", answer.stderr);
}

/// Removes the first output file that it finds.
fn remove_one(directory: &std::path::Path, removed: &mut bool) {
    for entry in std::fs::read_dir(directory).expect("it is read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            remove_one(&path, removed);
        } else if !*removed && path.to_string_lossy().ends_with("word.txt") {
            std::fs::remove_file(&path).expect("it is removed");
            *removed = true;
        }
    }
}

#[test]
fn stores_that_are_there_and_stores_that_are_not_are_told_apart() {
    let sandbox = words();
    job(&sandbox, "a", true);
    let told = sandbox.failure(&args(&["--restart"]));
    assert!(told.contains("does not exist") && told.contains("--restart=auto"), "{told}");
    sandbox.failure(&args(&["--restart=auto"]));
    let told = sandbox.failure(&args(&[]));
    assert!(told.contains("already exists") && told.contains("moil clean"), "{told}");
    job(&sandbox, "a", false);
    sandbox.outputs(&args(&["--restart=auto"]));
    assert_eq!(ran(&sandbox), ["a"]);
}

#[test]
fn a_directory_with_something_else_in_it_is_no_job_store() {
    let sandbox = words();
    job(&sandbox, "a", false);
    std::fs::create_dir(sandbox.path("store")).expect("it is made");
    sandbox.write("store/thesis.txt", "years");
    for restart in [&[][..], &["--restart=auto"]] {
        let told = sandbox.failure(&args(restart));
        assert!(told.contains("not empty: it has thesis.txt"), "{told}");
    }
    assert_eq!(sandbox.list("store"), ["thesis.txt"]);
}

#[test]
fn a_store_of_toil_is_recognised() {
    let sandbox = words();
    job(&sandbox, "a", false);
    for name in ["jobs", "shared", "stats", "files-flat"] {
        std::fs::create_dir_all(sandbox.path("store").join(name)).expect("it is made");
    }
    for restart in [&[][..], &["--restart"]] {
        let told = sandbox.failure(&args(restart));
        assert!(told.contains("was made by Toil"), "{told}");
    }
}

#[test]
fn a_work_directory_elsewhere_gives_its_outputs_to_the_store() {
    let sandbox = words();
    std::fs::create_dir(sandbox.path("work")).expect("it is made");
    job(&sandbox, "a, b", true);
    sandbox.failure(&args(&["--workDir", "work"]));
    ran(&sandbox);
    // As on a node that is gone.
    std::fs::remove_dir_all(sandbox.path("work")).expect("it is removed");
    std::fs::create_dir(sandbox.path("work")).expect("it is made");
    job(&sandbox, "a, b", false);
    sandbox.outputs(&args(&["--workDir", "work", "--restart"]));
    assert_eq!(ran(&sandbox), [""; 0]);
    assert_eq!(sandbox.read("out/all.txt"), "a\nb\n");
}

#[test]
fn outputs_of_a_run_with_a_store_can_be_changed() {
    let sandbox = words();
    job(&sandbox, "a", false);
    sandbox.outputs(&args(&[]));
    let metadata = std::fs::metadata(sandbox.path("out/all.txt")).expect("it is there");
    assert!(!metadata.permissions().readonly());
}

#[test]
fn what_a_tool_changed_in_place_is_made_anew() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
class: Workflow
inputs: []
outputs:
  seen: {type: File, outputSource: look/o}
  after: {type: File, outputSource: change/o}
steps:
  make:
    in: []
    out: [o]
    run: {class: CommandLineTool, baseCommand: [echo, '1'], inputs: [], outputs: {o: stdout}, stdout: x.txt}
  change:
    in: {f: make/o}
    out: [o]
    run:
      class: CommandLineTool
      requirements:
        InplaceUpdateRequirement: {inplaceUpdate: true}
        InitialWorkDirRequirement: {listing: [{entry: $(inputs.f), writable: true}]}
      baseCommand: [sh, -c, 'echo $(($(cat x.txt) + 1)) > x.txt']
      inputs: {f: File}
      outputs: {o: {type: File, outputBinding: {glob: x.txt}}}
  look:
    in: {f: make/o, after: change/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: File, inputBinding: {}}, after: File}
      outputs: {o: stdout}
      stdout: seen.txt
"#,
    );
    for restart in [&[][..], &["--restart"]] {
        let args = [&["--jobStore", "store", "--clean", "never", "--outdir", "out"], restart, &["main.cwl"]];
        sandbox.outputs(&args.concat());
        // Both see the change; and it is made once, although it changed neither name nor size.
        assert_eq!(sandbox.read("out/seen.txt"), "2\n");
        assert_eq!(sandbox.read("out/x.txt"), "2\n");
    }
}

#[test]
fn sigint_leaves_a_store_to_go_on_with() {
    let sandbox = words();
    let words: Vec<String> = (0..40).map(|number| format!("w{number}")).collect();
    job(&sandbox, &words.join(", "), false);
    slow_down(&sandbox, "0.1");
    let child = sandbox.program(&args(&["--maxCores", "2"])).spawn().expect("it starts");
    super::sandbox::eventually("some words", || sandbox.read("ran").lines().count() > 5);
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("--restart"), "{told}");
    let before = ran(&sandbox).len();
    sandbox.outputs(&args(&["--restart"]));
    let after = ran(&sandbox).len();
    // Those that were cut off in the middle run again.
    assert!(before + after <= 44, "{before} and {after}");
    assert_eq!(sandbox.read("out/all.txt").lines().count(), 40);
}

/// Makes each job take that many seconds.
fn slow_down(sandbox: &Sandbox, seconds: &str) {
    let document = sandbox.read("main.cwl");
    sandbox.write("main.cwl", document.replace("tee -a", &format!("(sleep {seconds}; cat) | tee -a")));
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
}

/// `kill -9` of the leader at a hundred random moments of a run of 200 jobs: the outputs are those of a run that
/// nobody disturbs, and no finished job runs again more often than it was killed.
#[test]
fn a_leader_that_is_killed_a_hundred_times_loses_and_doubles_nothing() {
    let words: Vec<String> = (0..200).map(|number| format!("w{number}")).collect();
    let mut random = Random::new();
    eprintln!("seed {}", random.0);
    let (mut kills, mut rounds) = (0, 0);
    while kills < 100 {
        rounds += 1;
        let sandbox = words_of(&words);
        loop {
            let mut child = sandbox.program(&args(&["--restart=auto"])).spawn().expect("it starts");
            std::thread::sleep(Duration::from_millis(random.below(400)));
            // The last run comes to its end, however slow the machine is.
            if kills < 100 && child.try_wait().expect("it can be asked").is_none() {
                signal(&child, "-KILL");
                kills += 1;
            }
            let output = child.wait_with_output().expect("it ends");
            match output.status.code() {
                None => continue,
                Some(0) => {
                    let outputs: serde_json::Value =
                        serde_json::from_slice(&output.stdout).expect("the output object");
                    assert_eq!(outputs["all"]["basename"], "all.txt");
                    break;
                }
                Some(code) => panic!("exit code {code}: {}", String::from_utf8_lossy(&output.stderr)),
            }
        }
        let expected: String = words.iter().map(|word| format!("{word}\n")).collect();
        assert_eq!(sandbox.read("out/all.txt"), expected);
        assert_eq!(sandbox.list("out"), ["all.txt"]);
        assert!(!sandbox.path("store").exists());
    }
    assert!(rounds < 100, "most runs must be hit, or nothing is tested");
}

fn words_of(list: &[String]) -> Sandbox {
    let sandbox = words();
    job(&sandbox, &list.join(", "), false);
    sandbox
}

#[test]
fn a_file_that_an_expression_made_of_another_is_not_known_by_its_checksum() {
    let document = |text: &str| {
        format!(
            r#"
cwlVersion: v1.2
class: Workflow
requirements: {{InlineJavascriptRequirement: {{}}, StepInputExpressionRequirement: {{}}}}
inputs: []
outputs: {{o: {{type: File, outputSource: look/o}}}}
steps:
  make:
    in: []
    out: [d]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo same > a; echo {text} > b']
      inputs: []
      outputs: {{d: {{type: 'File[]', outputBinding: {{glob: [a, b]}}}}}}
  look:
    in:
      f:
        source: make/d
        valueFrom: |
          ${{ return {{class: "File", location: self[1].location, checksum: self[0].checksum, basename: "x"}}; }}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {{f: {{type: File, inputBinding: {{}}}}}}
      outputs: {{o: stdout}}
      stdout: o.txt
"#
        )
    };
    let sandbox = Sandbox::with(&document("one"));
    let args = ["--jobStore", "store", "--clean", "never", "--outdir", "out", "main.cwl"];
    sandbox.outputs(&args);
    sandbox.write("main.cwl", document("two"));
    sandbox.outputs(&[&["--restart"], &args[..]].concat());
    assert_eq!(sandbox.read("out/o.txt"), "two\n");
}

#[test]
fn a_secret_in_a_recorded_result_means_the_same_to_the_next_leader() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}
class: Workflow
hints: {"cwltool:Secrets": {secrets: [pw]}}
requirements: {InlineJavascriptRequirement: {}}
inputs: {pw: string, stop: boolean}
outputs: {o: {type: File, outputSource: use/o}}
steps:
  pass:
    in: {pw: pw}
    out: [same]
    run:
      class: CommandLineTool
      hints: {"cwltool:Secrets": {secrets: [pw]}}
      baseCommand: 'true'
      inputs: {pw: string}
      outputs: {same: {type: string, outputBinding: {outputEval: $(inputs.pw)}}}
  use:
    in: {pw: pass/same, stop: stop}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'test $1 = false && printf %s "$0" | sha256sum']
      inputs:
        pw: {type: string, inputBinding: {position: 1}}
        stop: {type: boolean, inputBinding: {position: 2, valueFrom: $(String(self))}}
      outputs: {o: stdout}
      stdout: o.txt
"#,
    );
    let args = ["--jobStore", "store", "--retryCount", "0", "--outdir", "out", "main.cwl", "job.yml"];
    sandbox.write("job.yml", "pw: hunter2\nstop: true\n");
    sandbox.failure(&args);
    sandbox.write("job.yml", "pw: hunter2\nstop: false\n");
    let answer = sandbox.run(&[&["--restart"], &args[..]].concat());
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("[job pass] completed success (reused)"), "{}", answer.stderr);
    // The hash of the secret itself.
    let hash = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
    assert_eq!(sandbox.read("out/o.txt"), format!("{hash}  -\n"));
}

#[test]
fn a_run_that_never_began_leaves_no_store() {
    let sandbox = words();
    sandbox.write("job.yml", "words: [a]\n");
    let answer = sandbox.run(&args(&[]));
    assert_eq!(answer.code, ExitCode::USAGE, "{}", answer.stderr);
    assert!(!sandbox.path("store").exists());
}

/// Outputs that are as they were stay where they are, in the store and outside.
#[test]
fn a_finished_run_that_is_taken_up_again_and_again_copies_its_outputs_once() {
    use std::os::unix::fs::MetadataExt as _;

    let sandbox = words();
    job(&sandbox, "a, b", false);
    sandbox.outputs(&args(&["--clean", "never"]));
    let inode = |path: &std::path::Path| std::fs::metadata(path).map(|file| file.ino()).ok();
    let exported = || inode(&sandbox.path("out/all.txt"));
    let first = exported();
    let kept = || {
        let run = sandbox.path("store").join(sandbox.list("store").pop().expect("a run"));
        let mut found = Vec::new();
        let mut folders = vec![run];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("it is read").flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path if path.to_string_lossy().ends_with("all.txt") => found.push(path),
                    _ => {}
                }
            }
        }
        found.iter().filter_map(|path| inode(path)).collect::<Vec<_>>()
    };
    assert!(kept().is_empty(), "it was moved");
    let again = || sandbox.outputs(&args(&["--clean", "never", "--restart"]));
    again();
    let copied = kept();
    assert_eq!((copied.len(), exported()), (1, first));
    again();
    assert_eq!((kept(), exported()), (copied, first));
    assert_eq!(sandbox.read("out/all.txt"), "a\nb\n");
    // What people have changed or removed is made good, and what they have is theirs.
    sandbox.write("out/all.txt", "changed");
    again();
    assert_eq!(sandbox.read("out/all.txt"), "a\nb\n");
}
