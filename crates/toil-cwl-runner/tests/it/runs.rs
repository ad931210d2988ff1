//! Runs that succeed or fail as they should: what is printed, and what is left in the output directory.

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::Sandbox;

const HELLO: &str = "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs: {text: {type: string, inputBinding: {}}}
outputs: {out: stdout}
stdout: out.txt
";

#[test]
fn a_tool_runs_and_its_output_object_is_printed() {
    let sandbox = Sandbox::with(HELLO);
    let outputs = sandbox.outputs(&["main.cwl", "--text", "hello"]);
    assert_eq!(outputs["out"]["basename"], "out.txt");
    assert_eq!(outputs["out"]["size"], 6);
    assert_eq!(outputs["out"]["checksum"], "sha1$f572d396fae9206628714fb2ce00f72e94f2258f");
    assert_eq!(sandbox.read("out.txt"), "hello\n");
}

#[test]
fn a_scatter_gathers_in_order() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {texts: 'string[]'}
outputs: {out: {type: 'File[]', outputSource: say/out}}
steps:
  say: {run: say.cwl, in: {text: texts}, out: [out], scatter: text}
",
    );
    sandbox.write("say.cwl", HELLO);
    sandbox.write("job.json", r#"{"texts": ["a", "b", "c"]}"#);
    let outputs = sandbox.outputs(&["--outdir", "results", "main.cwl", "job.json"]);
    let texts: Vec<String> = outputs["out"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| {
            sandbox
                .read(file["location"].as_str().and_then(|uri| uri.strip_prefix("file://")).expect("a file"))
        })
        .collect();
    assert_eq!(texts, ["a\n", "b\n", "c\n"]);
    assert_eq!(sandbox.list("results").len(), 3, "three files of one name have three places");
}

#[test]
fn a_failed_tool_is_told_whole() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: Workflow
inputs: []
outputs: []
steps:
  break:
    in: []
    out: []
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'for n in 1 2 3; do echo line $n >&2; done; exit 42']
      inputs: []
      outputs: []
",
    );
    let told = sandbox.failure(&["--retryCount", "0", "main.cwl"]);
    for words in ["job break failed", "command  sh -c", "exit     42", "    | line 3", "  log      "] {
        assert!(told.contains(words), "{words} in {told}");
    }
    let log = told.lines().find_map(|line| {
        line.strip_prefix("  log      ").or(line.split_once("log      ").map(|(_, path)| path))
    });
    let log = log.expect("a path").trim();
    assert_eq!(sandbox.read(log), "line 1\nline 2\nline 3\n");
}

#[test]
fn exit_codes_say_what_kind_of_end_it_was() {
    let check = |document: &str, args: &[&str], code: ExitCode| {
        let answer = Sandbox::with(document).run(args);
        assert_eq!(answer.code, code, "{}", answer.stderr);
        assert!(!answer.stderr.is_empty());
    };
    check(HELLO, &["main.cwl", "--text", "x"], ExitCode::SUCCESS);
    check(HELLO, &["main.cwl"], ExitCode::USAGE);
    check(HELLO, &["not-there.cwl"], ExitCode::FAILURE);
    check("]", &["main.cwl"], ExitCode::FAILURE);
    check(HELLO, &["--no-such-option", "main.cwl"], ExitCode::USAGE);
    let operation = "{cwlVersion: v1.2, class: Operation, inputs: [], outputs: []}";
    check(operation, &["main.cwl"], ExitCode::UNSUPPORTED);
    let rule = "$namespaces: {x: 'http://example.com/'}\nrequirements: {'x:Rule': {}}\ninputs:";
    let unknown = HELLO.replace("inputs:", rule);
    check(&unknown, &["main.cwl", "--text", "x"], ExitCode::UNSUPPORTED);
}

#[test]
fn output_directories_may_be_called_anything() {
    for name in ["with blanks and #", "100%", "a?b", "ä ö 🦀", "quote'\"", "[x]"] {
        let sandbox = Sandbox::with(HELLO);
        let outputs = sandbox.outputs(&["--outdir", name, "main.cwl", "--text", "hello"]);
        assert_eq!(sandbox.read(format!("{name}/out.txt")), "hello\n");
        let uri = outputs["out"]["location"].as_str().expect("a string");
        assert!(uri.is_ascii() && !uri.contains([' ', '#', '?']), "{uri}");
    }
}

#[test]
fn an_output_directory_that_cannot_be_made_is_named() {
    let sandbox = Sandbox::with(HELLO);
    sandbox.write("plain", "");
    let told = sandbox.failure(&["--outdir", "plain/out", "main.cwl", "--text", "x"]);
    assert!(told.contains("cannot make the output directory") && told.contains("plain/out"), "{told}");
    assert_eq!(sandbox.list("tmp").len(), 0, "it is found before anything runs");
}

#[test]
fn an_output_directory_that_cannot_be_written_is_named() {
    let sandbox = Sandbox::with(HELLO);
    let told = sandbox.failure(&["--outdir", "/proc", "main.cwl", "--text", "x"]);
    assert!(told.contains("/proc") && told.contains("is still in "), "{told}");
}

#[test]
fn two_outputs_of_one_name_are_both_kept() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: Workflow
inputs: []
outputs: {one: {type: File, outputSource: a/out}, two: {type: File, outputSource: b/out}}
steps:
  a: {run: main2.cwl, in: {text: {default: first}}, out: [out]}
  b: {run: main2.cwl, in: {text: {default: second}}, out: [out]}
",
    );
    sandbox.write("main2.cwl", HELLO);
    let outputs = sandbox.outputs(&["--outdir", "o", "main.cwl"]);
    let text = |name: &str| {
        let location = outputs[name]["location"].as_str().expect("a string");
        sandbox.read(location.strip_prefix("file://").expect("a file"))
    };
    assert_eq!((text("one").as_str(), text("two").as_str()), ("first\n", "second\n"));
}

#[test]
fn directories_come_home_with_what_is_in_them() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'mkdir -p d/e/f empty; echo 1 > d/one; echo 2 > d/e/two; ln -s one d/link']
inputs: []
outputs:
  d: {type: Directory, outputBinding: {glob: d}}
  empty: {type: Directory, outputBinding: {glob: empty}}
",
    );
    let outputs = sandbox.outputs(&["--outdir", "o", "main.cwl"]);
    assert_eq!(outputs["d"]["class"], "Directory");
    assert_eq!((sandbox.read("o/d/one"), sandbox.read("o/d/e/two")), ("1\n".to_owned(), "2\n".to_owned()));
    assert_eq!(sandbox.read("o/d/link"), "1\n");
    assert!(sandbox.path("o/empty").is_dir() && sandbox.path("o/d/e/f").is_dir());
}

#[test]
fn an_existing_file_in_the_output_directory_is_replaced() {
    let sandbox = Sandbox::with(HELLO);
    sandbox.write("out.txt", "old and long");
    sandbox.outputs(&["main.cwl", "--text", "new"]);
    assert_eq!(sandbox.read("out.txt"), "new\n");
}

#[test]
fn a_file_that_passes_through_stays_where_it_was() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: Workflow
inputs: {f: File}
outputs: {f: {type: File, outputSource: f}}
steps: []
",
    );
    sandbox.write("in.txt", "here");
    sandbox.outputs(&["--outdir", "o", "main.cwl", "--f", "in.txt"]);
    assert_eq!((sandbox.read("in.txt"), sandbox.read("o/in.txt")), ("here".to_owned(), "here".to_owned()));
}

#[test]
fn logs_are_kept_where_they_are_asked_for() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'echo said; echo told >&2; exit 3']
inputs: []
outputs: []
",
    );
    sandbox.failure(&["--retryCount", "0", "--writeLogs", "logs", "main.cwl"]);
    assert_eq!(sandbox.read("logs/main.cwl.stdout_000.log"), "said\n");
    assert_eq!(sandbox.read("logs/main.cwl.stderr_000.log"), "told\n");
    sandbox.failure(&["--retryCount", "0", "--writeLogsGzip", "gz", "--log-dir", "all", "main.cwl"]);
    let names = sandbox.list("gz");
    assert_eq!(names, ["main.cwl.stderr_000.log.gz", "main.cwl.stdout_000.log.gz"]);
    assert_eq!(std::fs::read(sandbox.path("gz").join(&names[0])).expect("it is read")[..2], [0x1f, 0x8b]);
    assert_eq!(sandbox.list("all").len(), 2, "one way of keeping them does not rule out the other");
}

#[test]
fn messages_tell_what_happened() {
    let sandbox = Sandbox::with(HELLO);
    sandbox.outputs(&["--writeMessages", "messages.jsonl", "main.cwl", "--text", "x"]);
    let text = sandbox.read("messages.jsonl");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["job_started", "job_finished"]);
    assert_eq!(events[1]["name"], "main.cwl");
}

#[test]
fn what_expressions_write_is_logged_where_it_is_wanted() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {text: string}
outputs: {out: {type: string, outputSource: say/out}}
steps:
  say:
    in:
      text:
        source: text
        valueFrom: '${if (typeof console !== \"undefined\") {console.log(\"in the step\", self)} return self}'
    out: [out]
    run:
      class: CommandLineTool
      baseCommand: [echo, x]
      inputs: {text: string}
      stdout: out.txt
      outputs:
        out:
          type: string
          outputBinding:
            glob: out.txt
            outputEval: '${if (typeof console !== \"undefined\") {console.error(\"in the tool\\nline two\")} return inputs.text}'
",
    );
    let answer = sandbox.run(&["--js-console", "main.cwl", "--text", "hello"]);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let place = sandbox.path("main.cwl");
    for line in [
        "[I] [console PLACE:12:20] in the step hello",
        "[W] [console PLACE:24:25] in the tool",
        "24:25] line two",
    ] {
        let line = line.replace("PLACE", &place.to_string_lossy());
        assert!(answer.stderr.contains(&line), "{line} in {}", answer.stderr);
    }
    let answer = sandbox.run(&["main.cwl", "--text", "hello"]);
    assert!(answer.code == ExitCode::SUCCESS && !answer.stderr.contains("console"), "{}", answer.stderr);
}

#[test]
fn software_that_a_tool_requires_is_taken_to_be_there() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: CommandLineTool
requirements: {SoftwareRequirement: {packages: {echo: {version: ['1.0']}}}}
baseCommand: [echo, hello]
inputs: []
stdout: out.txt
outputs: {out: stdout}
",
    );
    sandbox.outputs(&["main.cwl"]);
    assert_eq!(sandbox.read("out.txt"), "hello\n");
}
