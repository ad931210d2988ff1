//! Clocks and random numbers in expressions: a run that goes on goes on with what they gave.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{Sandbox, eventually};

/// Words with random numbers behind them, each on a line of a file; then all of them under a title with the time.
const WORDS: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  InlineJavascriptRequirement: {}
  StepInputExpressionRequirement: {}
inputs: {words: "string[]"}
outputs:
  all: {type: File, outputSource: join/all}
  title: {type: string, outputSource: title/title}
steps:
  write:
    scatter: word
    in: {word: {source: words, valueFrom: $(self + ' ' + Math.random())}}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep 0.1; echo "$0" | tee -a RAN']
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {one: stdout}
      stdout: word.txt
  title:
    in: {word: {source: words, valueFrom: '$(self[0])'}}
    out: [title]
    run:
      class: ExpressionTool
      inputs: {word: string}
      outputs: {title: string}
      expression: '${ return {title: inputs.word + ", " + new Date().toISOString() + Math.random()}; }'
  join:
    in: {ones: write/one, title: title/title}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo "$0"; cat "$@"']
      inputs:
        title: {type: string, inputBinding: {position: 0}}
        ones: {type: 'File[]', inputBinding: {position: 1}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

#[test]
fn a_killed_run_goes_on_with_the_same_random_numbers() {
    let sandbox = Sandbox::new();
    sandbox.write("ran", "");
    sandbox.write("main.cwl", WORDS.replace("RAN", &sandbox.path("ran").display().to_string()));
    let words: Vec<String> = (0..20).map(|number| format!("w{number}")).collect();
    sandbox.write("job.yml", format!("words: [{}]\n", words.join(", ")));
    let args = [
        "--jobStore",
        "store",
        "--clean",
        "never",
        "--outdir",
        "out",
        "--maxCores",
        "2",
        "main.cwl",
        "job.yml",
    ];
    let child = sandbox.program(&args).spawn().expect("it starts");
    eventually("some words", || sandbox.read("ran").lines().count() > 5);
    let killed = Command::new("kill").args(["-KILL", &child.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    child.wait_with_output().expect("it ends");
    let first = sandbox.outputs(&[&["--restart"], &args[..]].concat());
    let ran = sandbox.read("ran");
    let mut numbers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (word, number) in ran.lines().filter_map(|line| line.split_once(' ')) {
        numbers.entry(word).or_default().insert(number);
    }
    assert_eq!(numbers.len(), 20);
    // Those that were cut off in the middle ran again, with the number that they had.
    assert!(numbers.values().all(|numbers| numbers.len() == 1), "{numbers:?}");
    assert!(ran.lines().count() <= 24, "{ran}");
    let expected: String = words
        .iter()
        .map(|word| format!("{word} {}\n", numbers[word.as_str()].first().expect("one")))
        .collect();
    let title = first["title"].as_str().expect("a string");
    assert_eq!(sandbox.read("out/all.txt"), format!("{title}\n{expected}"));
    // And a run that is over is over.
    let answer = sandbox.run(&[&["--restart"], &args[..]].concat());
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(sandbox.read("ran"), ran);
    let second: serde_json::Value = serde_json::from_str(&answer.stdout).expect("the output object");
    assert_eq!(second["title"], first["title"]);
}

#[test]
fn a_finished_tool_with_random_numbers_of_its_own_is_taken_as_it_is() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {stop: boolean}
outputs: {o: {type: string, outputSource: use/o}}
steps:
  make:
    in: []
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: echo
      arguments: [$(Math.random())]
      inputs: []
      outputs: {o: {type: string, outputBinding: {outputEval: '$(new Date() + Math.random())'}}}
  use:
    in: {i: make/o, stop: stop}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'test $0 = false']
      inputs:
        stop: {type: boolean, inputBinding: {position: 0, valueFrom: $(String(self))}}
        i: string
      outputs: {o: {type: string, outputBinding: {outputEval: $(inputs.i)}}}
"#,
    );
    let args = ["--jobStore", "store", "--retryCount", "0", "--outdir", "out", "main.cwl", "job.yml"];
    sandbox.write("job.yml", "stop: true\n");
    sandbox.failure(&args);
    sandbox.write("job.yml", "stop: false\n");
    let answer = sandbox.run(&[&["--restart"], &args[..]].concat());
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert!(answer.stderr.contains("[job make] completed success (reused)"), "{}", answer.stderr);
}
