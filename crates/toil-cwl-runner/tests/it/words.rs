//! The workflow of many tests: some jobs, and one that waits for all of them.

use super::sandbox::Sandbox;

/// Each word on a line of a file of its own, then all of them together; `stop: true` makes the last step fail.
const WORDS: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: "string[]", stop: boolean}
outputs:
  all: {type: File, outputSource: join/all}
steps:
  write:
    scatter: word
    in: {word: words}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo "$0" | tee -a RAN']
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {one: stdout}
      stdout: word.txt
  join:
    in: {ones: write/one, stop: stop}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'test $0 = false && cat "$@"']
      requirements: {InlineJavascriptRequirement: {}}
      inputs:
        stop: {type: boolean, inputBinding: {position: 0, valueFrom: $(String(self))}}
        ones: {type: 'File[]', inputBinding: {position: 1}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

/// A sandbox with the workflow; its jobs write their words to a file `ran` as well.
pub fn words() -> Sandbox {
    let sandbox = Sandbox::new();
    let ran = sandbox.path("ran").display().to_string();
    sandbox.write("main.cwl", WORDS.replace("RAN", &ran));
    sandbox.write("ran", "");
    sandbox
}

/// The input object: words with commas between them, and whether the last step fails.
pub fn job(sandbox: &Sandbox, words: &str, stop: bool) {
    sandbox.write("job.yml", format!("words: [{words}]\nstop: {stop}\n"));
}

/// The words that jobs were run for since this was last asked.
pub fn ran(sandbox: &Sandbox) -> Vec<String> {
    let mut ran: Vec<String> = sandbox.read("ran").lines().map(str::to_owned).collect();
    ran.sort();
    sandbox.write("ran", "");
    ran
}
