//! `cwltool:Secrets`: the tool gets the value, and nobody else does.

use std::fs;
use std::path::Path;

use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use toil_cwl_runner::exit_code::ExitCode;

use super::Answer;
use super::sandbox::{Sandbox, eventually};

const SECRET: &str = "hunter2-and-more";

/// What a tool makes of it that shall be seen.
const HASH: &str = "f15edafa33d8f8c0d4257f853f2c246d7ea9b8da4eb0f3ed3b643969ffeb7a9a";

/// A sandbox with a document `main.cwl` and an input object with the secret.
fn sandbox(document: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .write("main.cwl", format!("$namespaces: {{cwltool: 'http://commonwl.org/cwltool#'}}\n{document}"));
    sandbox.write("job.yml", format!("pw: {SECRET}\n"));
    sandbox
}

/// The files below a directory that hold the secret.
fn leaks(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it is read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(leaks(&path));
        } else if fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("hunter2")) {
            found.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    found
}

/// Runs the document with all that tells what happens, and looks for the secret everywhere.
fn run(sandbox: &Sandbox) -> Answer {
    let answer = sandbox.run(&[
        "--logDebug",
        "--realTimeLogging",
        "--stats",
        "--retryCount",
        "1",
        "--retryBackoffSeconds",
        "0",
        "--writeMessages",
        "messages.jsonl",
        "--writeLogs",
        "logs",
        "--writeLogsFromAllJobs",
        "true",
        "--logFile",
        "log.txt",
        "--jobStore",
        "store",
        "--clean",
        "never",
        "main.cwl",
        "job.yml",
    ]);
    for told in [&answer.stdout, &answer.stderr] {
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert_eq!(leaks(&sandbox.path("")), ["job.yml"], "{}", answer.stderr);
    answer
}

/// Runs a document that gives the hash of the secret as `out.txt`.
fn hashes(document: &str) -> Answer {
    let sandbox = sandbox(document);
    let answer = run(&sandbox);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(sandbox.read("out.txt"), format!("{HASH}  -\n"));
    answer
}

#[test]
fn a_secret_reaches_the_command_line() {
    hashes(
        "
cwlVersion: v1.2
class: CommandLineTool
hints: {'cwltool:Secrets': {secrets: [pw]}}
baseCommand: [sh, -c, 'echo got $0; printf %s $0 | sha256sum > out.txt']
inputs: {pw: {type: string, inputBinding: {}}}
outputs: {out: {type: File, outputBinding: {glob: out.txt}}}
",
    );
}

#[test]
fn a_secret_reaches_the_environment() {
    hashes(
        "
cwlVersion: v1.2
class: CommandLineTool
hints: {'cwltool:Secrets': {secrets: [pw]}}
requirements: {EnvVarRequirement: {envDef: {PASSWORD: $(inputs.pw)}}}
baseCommand: [sh, -c, 'echo got $PASSWORD >&2; printf %s $PASSWORD | sha256sum > out.txt']
inputs: {pw: string}
outputs: {out: {type: File, outputBinding: {glob: out.txt}}}
",
    );
}

#[test]
fn a_secret_reaches_a_file_that_goes_with_the_job() {
    hashes(
        "
cwlVersion: v1.2
class: CommandLineTool
requirements:
  cwltool:Secrets: {secrets: [pw]}
  InlineJavascriptRequirement: {}
  InitialWorkDirRequirement:
    listing:
      - {entryname: conf, entry: 'password=${return inputs.pw}'}
baseCommand: [sh, -c, 'cat conf; cut -d= -f2 conf | tr -d \"\\n\" | sha256sum > out.txt']
inputs: {pw: string}
outputs: {out: {type: File, outputBinding: {glob: out.txt}}}
",
    );
}

#[test]
fn a_secret_of_a_workflow_reaches_the_step_and_passes_through_as_a_placeholder() {
    let answer = hashes(
        "
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
hints: {'cwltool:Secrets': {secrets: [pw]}}
inputs: {pw: string}
outputs:
  out: {type: File, outputSource: hash/out}
  passed: {type: string, outputSource: pw}
  seen: {type: string, outputSource: look/seen}
  read: {type: string, outputSource: hash/read}
  literal: {type: File, outputSource: look/literal}
steps:
  hash:
    in: {password: pw}
    out: [out, read]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'printf %s $0 | sha256sum > out.txt; echo read $0 > copy']
      inputs: {password: {type: string, inputBinding: {}}}
      outputs:
        out: {type: File, outputBinding: {glob: out.txt}}
        read: {type: string, outputBinding: {glob: copy, loadContents: true, outputEval: '$(self[0].contents)'}}
  look:
    in: {password: {source: pw, valueFrom: $(self.toUpperCase() + self)}}
    out: [seen, literal]
    run:
      class: ExpressionTool
      expression: '${return {seen: inputs.password, literal: {class: \"File\", basename: \"l\", contents: inputs.password}}}'
      inputs: {password: string}
      outputs: {seen: string, literal: File}
",
    );
    let outputs: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
    for name in ["passed", "seen", "read"] {
        assert!(outputs[name].as_str().is_some_and(|text| text.contains("(secret-")), "{outputs}");
    }
}

#[test]
fn a_tool_in_a_step_keeps_its_own_secrets() {
    hashes(
        "
cwlVersion: v1.2
class: Workflow
inputs: {pw: string}
outputs: {out: {type: File, outputSource: hash/out}}
steps:
  hash:
    in: {password: pw}
    out: [out]
    run:
      class: CommandLineTool
      hints: {'cwltool:Secrets': {secrets: [password]}}
      baseCommand: [sh, -c, 'echo $0; printf %s $0 | sha256sum > out.txt']
      inputs: {password: {type: string, inputBinding: {}}}
      outputs: {out: {type: File, outputBinding: {glob: out.txt}}}
",
    );
}

#[test]
fn a_job_that_fails_tells_no_secret() {
    let sandbox = sandbox(
        "
cwlVersion: v1.2
class: CommandLineTool
hints: {'cwltool:Secrets': {secrets: [pw]}}
requirements:
  ShellCommandRequirement: {}
  EnvVarRequirement: {envDef: {PASSWORD: $(inputs.pw)}}
  InitialWorkDirRequirement: {listing: [{entryname: conf, entry: 'password: $(inputs.pw)'}]}
baseCommand: [sh, -c, 'cat conf; echo refused: $PASSWORD $0 >&2; exit 1']
inputs: {pw: {type: string, inputBinding: {}}}
outputs: {}
",
    );
    let answer = run(&sandbox);
    assert!(answer.stderr.contains("| refused: (secret-"), "{}", answer.stderr);
    assert!(sandbox.read("messages.jsonl").contains("refused: (secret-"));
    assert!(sandbox.read("log.txt").contains("refused: (secret-"));
    assert_eq!(sandbox.list("logs").len(), 4, "two streams of two attempts");
}

#[test]
fn an_expression_that_fails_tells_no_secret() {
    let sandbox = sandbox(
        "
cwlVersion: v1.2
class: CommandLineTool
hints: {'cwltool:Secrets': {secrets: [pw]}}
requirements: {InlineJavascriptRequirement: {}}
baseCommand: echo
arguments: ['${throw new Error(\"it is \" + inputs.pw)}']
inputs: {pw: string}
outputs: {}
",
    );
    let answer = run(&sandbox);
    assert!(answer.stderr.contains("it is (secret-"), "{}", answer.stderr);
}

#[test]
fn what_cannot_be_kept_secret_is_refused() {
    let sandbox = sandbox(
        "
cwlVersion: v1.2
class: CommandLineTool
hints: {'cwltool:Secrets': {secrets: [pin]}}
baseCommand: echo
inputs: {pin: int}
outputs: {}
",
    );
    let told = sandbox.failure(&["main.cwl", "--pin", "471147"]);
    assert!(told.contains("the input pin is a secret") && !told.contains("471147"), "{told}");
}

/// What nobody may see: the value of a secret input, and what opens the bucket.
const PLANTED: [&str; 3] = ["hunter2", SECRET_KEY, "planted-token"];

fn tells(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    PLANTED.into_iter().find(|planted| text.contains(planted))
}

/// The command lines of all processes.
fn command_lines() -> Vec<Vec<u8>> {
    let entries = fs::read_dir("/proc").expect("it is read").flatten();
    entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok()).collect()
}

/// A bucket that is opened by planted keys, workers in processes of their own, and a tool that shows its variables.
#[test]
fn planted_secrets_are_in_no_object_log_or_list_of_processes() {
    let sandbox = sandbox(
        "cwlVersion: v1.2
class: CommandLineTool
requirements:
  EnvVarRequirement: {envDef: {PASSWORD: $(inputs.pw)}}
  cwltool:Secrets: {secrets: [pw]}
baseCommand: [sh, -c, 'env | grep -v ^PASSWORD=; touch $0/began; while ! test -e $0/go; do sleep 0.01; done']
arguments: [HERE]
inputs: {pw: string}
outputs: {o: stdout}
stdout: out.txt
",
    );
    let document = sandbox.read("main.cwl").replace("HERE", &sandbox.path("").display().to_string());
    sandbox.write("main.cwl", document);
    let server = S3Server::start();
    for batch in ["single_machine", "processes"] {
        let line = format!(
            "--logDebug --realTimeLogging --stats --writeMessages messages.jsonl --logFile log.txt --clean never \
             --outdir out-{batch} --batchSystem {batch} --jobStore aws:eu-central-1:{store} main.cwl job.yml",
            store = batch.replace('_', "-")
        );
        let child = sandbox
            .program(&line.split_whitespace().collect::<Vec<_>>())
            .env("AWS_ENDPOINT_URL", server.url())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_SESSION_TOKEN", "planted-token")
            .spawn()
            .expect("it starts");
        eventually("the tool has begun", || sandbox.path("began").exists());
        for line in command_lines() {
            assert_eq!(tells(&line), None, "{}", String::from_utf8_lossy(&line));
        }
        sandbox.write("go", "");
        let output = child.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        assert_eq!(tells(&output.stderr).or(tells(&output.stdout)), None, "{told}");
        let bucket = format!("{}--toil", batch.replace('_', "-"));
        let objects = server.objects(&bucket);
        assert!(objects.len() > 4, "{:?}", objects.keys());
        for (key, bytes) in objects {
            assert_eq!(tells(&bytes).or(tells(key.as_bytes())), None, "{key}");
        }
        let shown = sandbox.read(format!("out-{batch}/out.txt"));
        assert!(shown.contains("HOME=") && tells(shown.as_bytes()).is_none(), "{shown}");
        assert_eq!(leaks(&sandbox.path("")), ["job.yml"]);
        for name in ["go", "began"] {
            fs::remove_file(sandbox.path(name)).expect("it is removed");
        }
    }
}
