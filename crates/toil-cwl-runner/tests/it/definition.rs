//! Runs that go on by what their job store keeps of them, where their documents are no more.

use std::fs;
use std::path::Path;

use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use toil_cwl_runner::exit_code::ExitCode;

use super::buckets::access;
use super::sandbox::{PATH, Sandbox};
use super::{Answer, call};

/// A workflow in many documents. Its second step fails until there is a file FLAG.
const MAIN: &str = r#"
cwlVersion: v1.2
class: Workflow
$namespaces: {edam: 'http://edamontology.org/'}
$schemas: [formats.ttl]
inputs: {word: string, file: {type: File, format: 'edam:format_1'}}
outputs: {all: {type: File, outputSource: join/all}}
steps:
  write:
    run: tools/write.cwl
    in: {word: word}
    out: [one]
  join:
    run: tools/all.cwl#join
    in: {one: write/one, file: file}
    out: [all]
"#;

const WRITE: &str = r#"
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {expressionLib: [{$include: loud.js}]}
baseCommand: [sh, -c, 'echo ran >> RAN; echo $0']
inputs: {word: {type: string, inputBinding: {valueFrom: $(loud(self))}}}
outputs: {one: stdout}
stdout: one.txt
"#;

const ALL: &str = r#"
cwlVersion: v1.2
$graph:
- class: CommandLineTool
  id: join
  requirements: {$import: needs.yml}
  baseCommand: [sh, -c, 'test -e FLAG && cat $0 $1']
  inputs: {one: {type: File, inputBinding: {position: 1}}, file: {type: File, inputBinding: {position: 2}}}
  outputs: {all: stdout}
  stdout: all.txt
"#;

/// The documents are in `docs`, the store in `store`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let [flag, ran] = ["flag", "ran"].map(|name| sandbox.path(name).display().to_string());
    fs::create_dir_all(sandbox.path("docs/tools")).expect("they are made");
    sandbox.write("docs/main.cwl", MAIN);
    sandbox.write("docs/formats.ttl", "");
    sandbox.write("docs/tools/write.cwl", WRITE.replace("RAN", &ran));
    sandbox.write("docs/tools/loud.js", "function loud(text) { return text.toUpperCase(); }");
    sandbox.write("docs/tools/all.cwl", ALL.replace("FLAG", &flag));
    sandbox.write("docs/tools/needs.yml", "{ResourceRequirement: {coresMin: 1}}");
    sandbox.write(
        "docs/in.yml",
        "word: hello\nfile: {class: File, location: ../file.txt, format: 'http://edamontology.org/format_1'}\n",
    );
    sandbox.write("file.txt", "file\n");
    sandbox
}

/// Begins a run that fails, removes its documents, and lets its last step succeed from now on.
fn begun(sandbox: &Sandbox, store: &str, env: &[(&str, &str)]) {
    let line = format!("--jobStore {store} --retryCount 0 --defaultMemory 100Mi docs/main.cwl docs/in.yml");
    let answer = runner(&line, env, &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    fs::remove_dir_all(sandbox.path("docs")).expect("they are removed");
    sandbox.write("flag", "");
}

/// Calls the program in a directory.
fn runner(line: &str, env: &[(&str, &str)], cwd: &Path) -> Answer {
    let env: Vec<(&str, &str)> = env.iter().copied().chain([("PATH", PATH)]).collect();
    call("toil-cwl-runner", line, &env, cwd, toil_cwl_runner::run)
}

/// What is said when a run goes on; that its first job was not run again, and what it gave.
fn goes_on(sandbox: &Sandbox, line: &str, env: &[(&str, &str)], cwd: &Path) -> String {
    let answer = runner(line, env, cwd);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(fs::read_to_string(cwd.join("all.txt")).expect("an output"), "HELLO\nfile\n");
    assert_eq!(sandbox.read("ran"), "ran\n", "{}", answer.stderr);
    answer.stderr
}

#[test]
fn a_run_goes_on_without_its_documents_and_without_their_names() {
    let sandbox = sandbox();
    begun(&sandbox, "store", &[]);
    let told = goes_on(&sandbox, "--jobStore store --restart", &[], &sandbox.path("."));
    assert!(told.contains("no workflow is given: the run goes on with file://"), "{told}");
    assert!(!sandbox.path("store").exists());
}

#[test]
fn a_run_goes_on_where_its_documents_are_named_but_gone_and_more_than_once() {
    let sandbox = sandbox();
    begun(&sandbox, "store", &[]);
    let line = "--jobStore store --restart --clean never docs/main.cwl docs/in.yml";
    let told = goes_on(&sandbox, line, &[], &sandbox.path("."));
    for expected in
        ["docs/main.cwl is not on this machine: the run", "docs/in.yml is not on this machine: the inputs"]
    {
        assert!(told.contains(expected), "{told}");
    }
    goes_on(&sandbox, "--jobStore store --restart=auto", &[], &sandbox.path("."));
}

#[test]
fn a_run_goes_on_from_another_directory() {
    let sandbox = sandbox();
    begun(&sandbox, "store", &[]);
    fs::create_dir(sandbox.path("other")).expect("it is made");
    goes_on(&sandbox, "--jobStore ../store --restart main.cwl in.yml", &[], &sandbox.path("other"));
}

#[test]
fn documents_that_are_there_count_and_what_is_given_anew_too() {
    let sandbox = sandbox();
    begun(&sandbox, "store", &[]);
    // An input that is given, where the workflow is gone.
    let answer =
        runner("--jobStore store --restart --clean never docs/main.cwl --word bye", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(sandbox.read("all.txt"), "BYE\nfile\n");
    // Another workflow, which is there, with inputs that are gone.
    sandbox.write(
        "new.cwl",
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: echo, inputs: {word: {type: string, inputBinding: {}}}, outputs: {o: stdout}, stdout: o.txt}",
    );
    let answer = runner("--jobStore store --restart new.cwl docs/in.yml", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(sandbox.read("o.txt"), "bye\n");
    assert!(!answer.stderr.contains("the run goes on with"), "{}", answer.stderr);
}

#[test]
fn options_that_decide_hold_for_whoever_goes_on_unless_they_are_given_anew() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [sh, -c, 'test -e $0 && echo $1 $2'],
          requirements: {InlineJavascriptRequirement: {}},
          arguments: [$(inputs.flag), $(runtime.ram), $(runtime.cores)],
          inputs: {flag: string}, outputs: {o: stdout}, stdout: o.txt}",
    );
    let flag = sandbox.path("flag").display().to_string();
    let begin = "--jobStore store --retryCount 0 --no-cwl-default-ram --defaultMemory 300Mi --defaultCores 2";
    let begin = format!("{begin} --setEnv TOKEN=hunter2 main.cwl --flag {flag}");
    assert_eq!(runner(&begin, &[], &sandbox.path(".")).code, ExitCode::FAILURE);
    fs::remove_file(sandbox.path("main.cwl")).expect("it is removed");
    assert!(!stands_below(&sandbox.path("store"), "hunter2"));
    sandbox.write("flag", "");
    let answer = runner("--jobStore store --clean never --restart", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("was begun with --setEnv TOKEN, which is not kept"), "{}", answer.stderr);
    assert_eq!(sandbox.read("o.txt"), "300 2\n");
    let answer =
        runner("--jobStore store --restart --defaultMemory 200Mi --setEnv TOKEN=x", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(!answer.stderr.contains("TOKEN"), "{}", answer.stderr);
    assert_eq!(sandbox.read("o.txt"), "200 2\n");
}

#[test]
fn where_there_is_nothing_to_go_on_with_that_is_said() {
    let sandbox = Sandbox::new();
    for (line, code, expected) in [
        ("--jobStore store --restart=auto", ExitCode::USAGE, "no workflow is given, and there is no run"),
        ("--jobStore store --restart", ExitCode::FAILURE, "does not exist, so there is nothing to restart"),
        ("--restart", ExitCode::USAGE, "--restart needs the job store of the run"),
        ("--jobStore store --restart=auto no.cwl", ExitCode::FAILURE, "no.cwl"),
        ("--jobStore store", ExitCode::USAGE, "no workflow is given"),
    ] {
        let answer = runner(line, &[], &sandbox.path("."));
        assert_eq!(answer.code, code, "{line}: {}", answer.stderr);
        assert!(answer.stderr.contains(expected), "{line}: {}", answer.stderr);
        assert!(!sandbox.path("store").exists(), "{line}");
    }
}

#[test]
fn a_file_that_is_gone_is_named() {
    let sandbox = sandbox();
    begun(&sandbox, "store", &[]);
    fs::remove_file(sandbox.path("file.txt")).expect("it is removed");
    let answer = runner("--jobStore store --restart", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(answer.stderr.contains("file.txt"), "{}", answer.stderr);
    assert!(sandbox.path("store").exists());
}

#[test]
fn a_store_in_a_bucket_keeps_the_definition() {
    let (sandbox, server) = (sandbox(), S3Server::start());
    let url = server.url();
    let env = access(&url);
    begun(&sandbox, "aws:eu-central-1:run-d", &env);
    goes_on(&sandbox, "--jobStore aws:eu-central-1:run-d --restart", &env, &sandbox.path("."));
    assert_eq!(server.objects("run-d--toil").len(), 0);
}

/// A workflow whose tool makes a secret of what an expression made of an input, and fails until there is a flag.
const SECRET: &str = r#"
cwlVersion: v1.2
$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {pw: string, flag: string}
outputs: {o: {type: File, outputSource: use/o}}
steps:
  make:
    run: {class: ExpressionTool, inputs: {x: string}, outputs: {y: string}, expression: '${return {y: inputs.x + "!"}}'}
    in: {x: pw}
    out: [y]
  use:
    run:
      class: CommandLineTool
      hints: {'cwltool:Secrets': {secrets: [p]}}
      baseCommand: [sh, -c, 'test -e $0 && printf %s $1 | sha256sum']
      inputs: {flag: {type: string, inputBinding: {position: 1}}, p: {type: string, inputBinding: {position: 2}}}
      outputs: {o: stdout}
      stdout: o.txt
    in: {p: make/y, flag: flag}
    out: [o]
"#;

/// Whether a text stands in a file below a directory.
fn stands_below(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).expect("it is read").any(|entry| {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => stands_below(&path, text),
            false => fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)),
        }
    })
}

#[test]
fn secrets_are_not_kept_and_asked_for() {
    let sandbox = Sandbox::with(SECRET);
    let flag = sandbox.path("flag").display().to_string();
    sandbox.write("in.yml", format!("pw: hunter2\nflag: {flag}\n"));
    let answer = runner("--jobStore store --retryCount 0 main.cwl in.yml", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(stands_below(&sandbox.path("store"), &flag), "the input object is kept");
    assert!(!stands_below(&sandbox.path("store"), "hunter2"));
    for name in ["main.cwl", "in.yml"] {
        fs::remove_file(sandbox.path(name)).expect("it is removed");
    }
    sandbox.write("flag", "");
    let answer = runner("--jobStore store --restart", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    for expected in ["must be given again: pw", "--pw VALUE"] {
        assert!(answer.stderr.contains(expected), "{}", answer.stderr);
    }
    let answer = runner("--jobStore store --restart main.cwl --pw hunter2", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    // Of `hunter2!`.
    let hash = "cb1ade2b05e7886bf34de45d301b26686742d70b0c1884d432dd64c9ef60d624";
    assert_eq!(sandbox.read("o.txt"), format!("{hash}  -\n"));
}

#[test]
fn a_document_in_which_a_secret_stands_is_not_kept() {
    let document = SECRET.replace("pw: string", "pw: {type: string, default: hunter2}");
    let sandbox = Sandbox::with(&document);
    let flag = sandbox.path("flag").display().to_string();
    let begin = format!("--jobStore store --retryCount 0 main.cwl --flag {flag}");
    assert_eq!(runner(&begin, &[], &sandbox.path(".")).code, ExitCode::FAILURE);
    assert!(!stands_below(&sandbox.path("store"), "hunter2"));
    fs::remove_file(sandbox.path("main.cwl")).expect("it is removed");
    sandbox.write("flag", "");
    let answer = runner("--jobStore store --restart", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(answer.stderr.contains("since a secret stands in it"), "{}", answer.stderr);
    sandbox.write("main.cwl", document);
    assert_eq!(runner(&format!("--restart {begin}"), &[], &sandbox.path(".")).code, ExitCode::SUCCESS);
}

/// The second step fails until there is a flag; both read all inputs.
const READS: &str = r#"
cwlVersion: v1.2
class: Workflow
inputs: {file: {type: File, secondaryFiles: [.idx]}, directory: Directory}
outputs: {all: {type: File, outputSource: second/out}}
steps:
  first:
    run: &tool
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo ran >> RAN; test -e FLAG -o -z "$3" && cat "$1" "$1.idx" "$2"/a "$2"/b/c $3', x]
      arguments: [$(inputs.file.path), $(inputs.directory.path)]
      inputs:
        file: {type: File, secondaryFiles: [.idx]}
        directory: Directory
        more: {type: File?, inputBinding: {position: 1}}
      outputs: {out: stdout}
      stdout: all.txt
    in: {file: file, directory: directory}
    out: [out]
  second:
    run: *tool
    in: {file: file, directory: directory, more: first/out}
    out: [out]
"#;

/// A run with worker processes and a store in a bucket, whose documents and inputs are gone.
fn imported(server: &S3Server, how: &str) -> (Sandbox, [(&'static str, String); 3]) {
    let sandbox = Sandbox::new();
    let [flag, ran] = ["flag", "ran"].map(|name| sandbox.path(name).display().to_string());
    sandbox.write("main.cwl", READS.replace("FLAG", &flag).replace("RAN", &ran));
    fs::create_dir_all(sandbox.path("data/d/b")).expect("they are made");
    for (name, text) in [("in put", "1"), ("in put.idx", "2"), ("d/a", "3"), ("d/b/c", "4")] {
        sandbox.write(&format!("data/{name}"), text);
    }
    sandbox.write(
        "in.yml",
        "file: {class: File, path: data/in put}\ndirectory: {class: Directory, path: data/d}\n",
    );
    let env = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("AWS_ENDPOINT_URL", server.url()),
    ];
    let line = format!("--jobStore aws:eu-central-1:run-i {how} --retryCount 0 main.cwl in.yml");
    let answer = runner(&line, &borrowed(&env), &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert_eq!(sandbox.read("ran"), "ran\nran\n", "{}", answer.stderr);
    for name in ["main.cwl", "in.yml"] {
        fs::remove_file(sandbox.path(name)).expect("it is removed");
    }
    fs::remove_dir_all(sandbox.path("data")).expect("it is removed");
    sandbox.write("flag", "");
    (sandbox, env)
}

fn borrowed<'a>(env: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    env.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn inputs_that_were_brought_to_the_bucket_are_found_there_when_they_are_gone() {
    for how in ["--batchSystem processes", ""] {
        let server = S3Server::start();
        let (sandbox, env) = imported(&server, "--batchSystem processes");
        let line = format!("--jobStore aws:eu-central-1:run-i --restart {how}");
        let answer = runner(&line, &borrowed(&env), &sandbox.path("."));
        assert_eq!(answer.code, ExitCode::SUCCESS, "{how}: {}", answer.stderr);
        assert_eq!(sandbox.read("all.txt"), "12341234");
        assert_eq!(sandbox.read("ran"), "ran\nran\nran\n", "{how}: the first job was not run again");
    }
}

#[test]
fn a_job_whose_inputs_are_gone_runs_by_hand_with_those_of_the_bucket() {
    let server = S3Server::start();
    let (sandbox, env) = imported(&server, "--batchSystem processes");
    let line = "debug-job aws:eu-central-1:run-i second --retrieveTaskDirectory d";
    let env: Vec<(&str, &str)> = borrowed(&env).into_iter().chain([("PATH", PATH)]).collect();
    let answer = call("moil", line, &env, &sandbox.path("."), toil_cwl_runner::commands::run);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let output = std::process::Command::new(sandbox.path("d/run.sh")).output().expect("it is started");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sandbox.read("d/out/all.txt"), "12341234");
}

#[test]
fn inputs_that_nobody_brought_to_the_bucket_are_named_when_they_are_gone() {
    let server = S3Server::start();
    let (sandbox, env) = imported(&server, "");
    let answer = runner("--jobStore aws:eu-central-1:run-i --restart", &borrowed(&env), &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    for expected in ["data/in%20put", "data/d"] {
        assert!(answer.stderr.contains(expected), "{}", answer.stderr);
    }
}

#[test]
fn secrets_that_are_declared_from_outside_are_not_kept() {
    let sandbox = Sandbox::with(&SECRET.replace("hints: {'cwltool:Secrets': {secrets: [p]}}", "hints: {}"));
    let flag = sandbox.path("flag").display().to_string();
    let overrides =
        "cwltool:overrides: {'main.cwl#use': {requirements: {'cwltool:Secrets': {secrets: [p]}}}}";
    sandbox.write("in.yml", format!("pw: hunter2\nflag: {flag}\n{overrides}\n"));
    let answer = runner("--jobStore store --retryCount 0 main.cwl in.yml", &[], &sandbox.path("."));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(answer.stderr.contains("exited with code 1"), "{}", answer.stderr);
    assert!(!stands_below(&sandbox.path("store"), "hunter2"));
}
