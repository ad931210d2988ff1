//! `moil debug-job --retrieveTaskDirectory`: what is run by hand gives what the job gave.

use std::fs;
use std::path::Path;
use std::process::Command;

use moil_testing::s3::S3Server;
use toil_cwl_runner::commands;
use toil_cwl_runner::exit_code::ExitCode;

use super::buckets::access;
use super::images;
use super::sandbox::{PATH, Sandbox};
use super::{Answer, call};

/// Steps with all that a job may have, one after the other; the last one fails.
const MAIN: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  InlineJavascriptRequirement: {}
  StepInputExpressionRequirement: {}
inputs: {file: {type: File, secondaryFiles: [.idx]}, words: 'string[]', directory: Directory}
outputs: {all: {type: File, outputSource: join/all}, chance: {type: File, outputSource: chance/o}}
steps:
  chance:
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {x: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
      stdout: chance.txt
    in: {x: {valueFrom: $(String(Math.random()))}}
    out: [o]
  write:
    scatter: word
    run:
      class: CommandLineTool
      requirements:
        EnvVarRequirement: {envDef: {GREETING: "it's $(inputs.word)"}}
        InitialWorkDirRequirement:
          listing:
            - {entryname: made here.txt, entry: 'made for $(inputs.word)'}
            - {entry: $(inputs.file), writable: true}
      baseCommand:
        - sh
        - -c
        - 'echo "$GREETING" | tee sub/out.txt; cat "made here.txt" "$(basename "$0")" "$0.idx" "$1"/*; env | cut -d= -f1 | sort; cat; echo warned >&2'
      arguments: [$(inputs.file.path), $(inputs.directory.path)]
      inputs:
        word: string
        file: {type: File, secondaryFiles: [.idx]}
        directory: Directory
      stdin: $(inputs.directory.path)/one
      outputs: {out: stdout}
      stdout: out.txt
      stderr: err.txt
    in: {word: words, file: file, directory: directory}
    out: [out]
  join:
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat "$@" > all.txt; cat all.txt; echo it is wrong >&2; exit 3', x]
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {all: {type: File, outputBinding: {glob: all.txt}}}
    in: {files: write/out}
    out: [all]
"#;

fn sandbox() -> Sandbox {
    // The shell of the tools has no directory `sub`, which tee would want.
    let sandbox = Sandbox::with(&MAIN.replace("| tee sub/out.txt", ""));
    sandbox.write("in put.txt", "of the file\n");
    sandbox.write("in put.txt.idx", "of its index\n");
    fs::create_dir(sandbox.path("d")).expect("it is made");
    sandbox.write("d/one", "one in the directory\n");
    sandbox.write(
        "in.yml",
        "file: {class: File, path: in put.txt}\nwords: [a, b]\ndirectory: {class: Directory, path: d}\n",
    );
    sandbox
}

fn with_path<'a>(env: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    env.iter().copied().chain([("PATH", PATH)]).collect()
}

fn run(sandbox: &Sandbox, line: &str, env: &[(&str, &str)]) -> Answer {
    call("toil-cwl-runner", line, &with_path(env), &sandbox.path("."), toil_cwl_runner::run)
}

fn moil(sandbox: &Sandbox, line: &str, env: &[(&str, &str)]) -> Answer {
    call("moil", line, &with_path(env), &sandbox.path("."), commands::run)
}

/// Brings a job to a directory and runs it; its exit code, and what it wrote.
fn by_hand(
    sandbox: &Sandbox,
    store: &str,
    job: &str,
    directory: &str,
    env: &[(&str, &str)],
) -> (Option<i32>, String) {
    let line = format!("debug-job {store} {job} --retrieveTaskDirectory {directory}");
    let answer = moil(sandbox, &line, env);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(answer.stdout, "");
    let output = Command::new("sh")
        .arg(sandbox.path(directory).join("run.sh"))
        .current_dir(sandbox.path("tmp"))
        .env("NOT_FOR_THE_TOOL", "x")
        .output()
        .expect("it is started");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("it is text"))
}

/// The run of [`sandbox`] in a store, and its jobs by hand.
fn jobs_run_by_hand(sandbox: &Sandbox, store: &str, env: &[(&str, &str)]) {
    let answer = run(sandbox, &format!("--jobStore {store} --retryCount 0 main.cwl in.yml"), env);
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(answer.stderr.contains("it is wrong"), "{}", answer.stderr);
    fs::remove_file(sandbox.path("main.cwl")).expect("it is removed");
    // One that failed: what it got is what the others had given.
    let (code, said) = by_hand(sandbox, store, "join", "by-hand/join", env);
    assert_eq!(code, Some(3), "{said}");
    let all = sandbox.read("by-hand/join/out/all.txt");
    assert_eq!(said, format!("{all}it is wrong\n"));
    for part in
        ["it's a\n", "it's b\n", "made for b", "of the file\n", "of its index\n", "one in the directory\n"]
    {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!all.contains("NOT_FOR_THE_TOOL"), "{all}");
    // Those that succeeded give the same again, their environment included.
    let mut again = String::new();
    for (job, directory) in [("write[0]", "first"), ("write_2", "second")] {
        let (code, said) = by_hand(sandbox, store, job, directory, env);
        assert_eq!((code, said.as_str()), (Some(0), ""));
        again.push_str(&sandbox.read(Path::new(directory).join("out/out.txt")));
        assert_eq!(sandbox.read(Path::new(directory).join("out/err.txt")), "warned\n");
        assert!(sandbox.read(Path::new(directory).join("README.txt")).contains("sh run.sh"));
    }
    assert_eq!(again, all);
    // Whatever is done there, inputs stay what they are.
    for entry in ["first/in", "first/out"] {
        assert!(!leads_away(&sandbox.path(entry)), "{entry}");
    }
    assert_eq!(sandbox.list("first"), ["README.txt", "in", "out", "run.sh", "tmp"]);
}

/// Whether there is a link below a directory.
fn leads_away(directory: &Path) -> bool {
    fs::read_dir(directory).expect("it is read").any(|entry| {
        let path = entry.expect("an entry").path();
        path.is_symlink() || path.is_dir() && leads_away(&path)
    })
}

#[test]
fn jobs_of_a_store_in_a_directory_run_by_hand() {
    jobs_run_by_hand(&sandbox(), "store", &[]);
}

#[test]
fn jobs_of_a_store_in_a_bucket_run_by_hand() {
    let server = S3Server::start();
    let url = server.url();
    let env = access(&url);
    jobs_run_by_hand(&sandbox(), "aws:eu-central-1:run-h", &env);
}

#[test]
fn what_chance_gave_is_what_the_job_had() {
    let sandbox = Sandbox::with(&MAIN.replace("; exit 3", "").replace("| tee sub/out.txt", ""));
    sandbox.write("x", "");
    sandbox.write("x.idx", "");
    fs::create_dir(sandbox.path("d")).expect("it is made");
    sandbox.write("d/one", "");
    sandbox.write(
        "in.yml",
        "file: {class: File, path: x}\nwords: [a]\ndirectory: {class: Directory, path: d}\n",
    );
    let begin = "--jobStore store --clean never main.cwl in.yml";
    assert_eq!(run(&sandbox, begin, &[]).code, ExitCode::SUCCESS);
    // Reused, for an edited workflow in which other jobs are others.
    let edited = sandbox.read("main.cwl").replace("made for", "made anew for");
    sandbox.write("main.cwl", edited);
    let answer = run(&sandbox, &format!("--restart {begin}"), &[]);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    by_hand(&sandbox, "store", "chance", "chance", &[]);
    assert_eq!(sandbox.read("chance/out/chance.txt"), sandbox.read("chance.txt"));
    by_hand(&sandbox, "store", "write", "write", &[]);
    assert!(sandbox.read("write/out/out.txt").contains("made anew for a"));
}

#[test]
fn what_cannot_be_had_is_said() {
    let sandbox = sandbox();
    let begin = "--jobStore store --retryCount 0 main.cwl in.yml";
    assert_eq!(run(&sandbox, begin, &[]).code, ExitCode::FAILURE);
    sandbox.write("full", "");
    fs::create_dir(sandbox.path("full-one")).expect("it is made");
    sandbox.write("full-one/x", "");
    fs::remove_file(sandbox.path("in put.txt")).expect("it is removed");
    for (line, expected) in [
        ("debug-job store join", "give --printJobInfo, or --retrieveTaskDirectory DIR"),
        ("debug-job store joint --retrieveTaskDirectory d1", "the run has no job joint"),
        ("debug-job store join --retrieveTaskDirectory full-one", "full-one is not empty"),
        ("debug-job store write_2 --retrieveTaskDirectory d2", "in%20put.txt"),
    ] {
        let answer = moil(&sandbox, line, &[]);
        assert_eq!(answer.code, ExitCode::FAILURE, "{line}: {}", answer.stderr);
        assert!(answer.stderr.contains(expected), "{line}: {}", answer.stderr);
    }
    // Both at once.
    sandbox.write("in put.txt", "");
    let answer = moil(&sandbox, "debug-job store join --printJobInfo --retrieveTaskDirectory d3", &[]);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stdout.contains("\"job\": \"join\"") && sandbox.path("d3/run.sh").exists());
}

#[test]
fn secrets_are_placeholders_for_whoever_runs_a_job_by_hand() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}
requirements:
  cwltool:Secrets: {secrets: [pw]}
  InitialWorkDirRequirement: {listing: [{entryname: conf, entry: 'password=$(inputs.pw)'}]}
baseCommand: [sh, -c, 'cat conf; echo; echo $0; exit 1']
inputs: {pw: {type: string, inputBinding: {}}}
outputs: []
",
    );
    sandbox.write("in.yml", "pw: hunter2\n");
    assert_eq!(run(&sandbox, "--jobStore store --retryCount 0 main.cwl in.yml", &[]).code, ExitCode::FAILURE);
    let (code, said) = by_hand(&sandbox, "store", "main.cwl", "d", &[]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(code, Some(1), "{said}");
    assert!(lines[0].starts_with("password=(secret-") && lines[1].starts_with("(secret-"), "{said}");
    assert!(sandbox.read("d/README.txt").contains("write the value"));
    // And that is what is to be done.
    let placeholder = lines[1];
    for name in ["d/run.sh", "d/out/conf"] {
        let text = sandbox.read(name).replace(placeholder, "hunter2");
        sandbox.write(name, text);
    }
    let output = Command::new(sandbox.path("d/run.sh")).output().expect("it is started");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "password=hunter2\nhunter2\n");
}

#[test]
fn a_job_runs_by_hand_in_its_container() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
class: CommandLineTool
requirements:
  DockerRequirement: {dockerImport: root.tgz}
  EnvVarRequirement: {envDef: {GREETING: "it's me"}}
  InitialWorkDirRequirement: {listing: [{entryname: made, entry: made}, {entryname: sub/x, entry: $(inputs.file)}]}
baseCommand: [sh, -c, 'pwd; echo "$GREETING $0"; cat "$0" made sub/x; cat']
inputs: {file: {type: File, inputBinding: {}}}
stdin: $(inputs.file.path)
outputs: {out: stdout}
stdout: out.txt
"#,
    );
    if !images::make_root(&sandbox.path(".")) {
        return;
    }
    sandbox.write("in put.txt", "of the file\n");
    sandbox.write("in.yml", "file: {class: File, path: in put.txt}\n");
    let inside = |name: &str| sandbox.path(name).display().to_string();
    let (store, layers, home, path) =
        (inside("store"), inside("layers"), inside("home"), images::variable("PATH"));
    let env = [
        ("PATH", path.as_str()),
        ("HOME", home.as_str()),
        ("CWL_SINGULARITY_CACHE", store.as_str()),
        ("APPTAINER_CACHEDIR", layers.as_str()),
    ];
    let begin = "run --singularity --jobStore run --clean never --outdir done main.cwl in.yml";
    let answer = call("moil", begin, &env, &sandbox.path("."), commands::run);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let line = "debug-job run main.cwl --retrieveTaskDirectory d";
    let answer = call("moil", line, &env, &sandbox.path("."), commands::run);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let script = sandbox.read("d/run.sh");
    assert!(script.contains("apptainer"), "{script}");
    fs::remove_file(sandbox.path("in put.txt")).expect("it is removed");
    let output = Command::new(sandbox.path("d/run.sh"))
        .env("PATH", &path)
        .env("HOME", &home)
        .output()
        .expect("it is started");
    assert!(output.status.success(), "{}\n{script}", String::from_utf8_lossy(&output.stderr));
    let expected =
        "/var/spool/cwl\nit's me /var/spool/cwl/sub/x\nof the file\nmadeof the file\nof the file\n";
    assert_eq!(sandbox.read("done/out.txt"), expected);
    assert_eq!(sandbox.read("d/out/out.txt"), expected);
}

#[test]
fn outputs_that_were_moved_out_of_the_store_are_found_where_they_are() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
class: Workflow
inputs: []
outputs:
  f: {type: File, outputSource: make/f}
  d: {type: Directory, outputSource: make/d}
  all: {type: File, outputSource: read/all}
steps:
  make:
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo f > f; mkdir -p d/e; echo one > d/one; echo two > d/e/two']
      inputs: []
      outputs: {f: {type: File, outputBinding: {glob: f}}, d: {type: Directory, outputBinding: {glob: d}}}
    in: []
    out: [f, d]
  read:
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat "$0" "$1/one" "$1/e/two"']
      inputs: {f: {type: File, inputBinding: {position: 1}}, d: {type: Directory, inputBinding: {position: 2}}}
      outputs: {all: stdout}
      stdout: all
    in: {f: make/f, d: make/d}
    out: [all]
"#,
    );
    let answer = run(&sandbox, "--jobStore store --clean never --outdir out main.cwl", &[]);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let (code, said) = by_hand(&sandbox, "store", "read", "d", &[]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(sandbox.read("d/out/all"), "f\none\ntwo\n");
    // What was changed since is not what the job had.
    sandbox.write("out/d/e/two", "other");
    let answer = moil(&sandbox, "debug-job store read --retrieveTaskDirectory d2", &[]);
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("no longer what it was") && answer.stderr.contains("/e/two"),
        "{}",
        answer.stderr
    );
}
