//! Inputs that the workers of one machine share.

use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use toil_cwl_runner::exit_code::ExitCode;

use super::Answer;
use super::buckets::make_bucket;
use super::sandbox::Sandbox;

/// Each word on a line with what is in a file of this machine, one of a bucket, and a directory; and what was made of these
/// goes on in the same way.
const SHARES: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  ResourceRequirement: {coresMin: 0.1}
inputs: {words: "string[]", file: File, object: File, folder: Directory}
outputs:
  all: {type: File, outputSource: join/all}
  file: {type: File, outputSource: change/changed}
steps:
  sum:
    scatter: word
    in: {word: words, file: file, object: object, folder: folder}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo $0 $(cat $1 | cksum) $(cat $2) $(cat $3/deep/x)']
      inputs:
        word: {type: string, inputBinding: {position: 1}}
        file: {type: File, inputBinding: {position: 2}}
        object: {type: File, inputBinding: {position: 3}}
        folder: {type: Directory, inputBinding: {position: 4}}
      outputs: {one: stdout}
      stdout: word.txt
  change:
    in: {object: object}
    out: [changed]
    run:
      class: CommandLineTool
      requirements: {InitialWorkDirRequirement: {listing: [{entry: $(inputs.object), entryname: mine, writable: true}]}}
      baseCommand: [sh, -c, 'echo changed >> mine']
      inputs: {object: File}
      outputs: {changed: {type: File, outputBinding: {glob: mine}}}
  join:
    in: {ones: sum/one}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {ones: {type: 'File[]', inputBinding: {position: 1}}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

struct Machine {
    sandbox: Sandbox,
    server: S3Server,
}

impl Machine {
    fn new() -> Self {
        let (sandbox, server) = (Sandbox::with(SHARES), S3Server::start());
        make_bucket(&server, "inputs", &[("x", "object")]);
        std::fs::create_dir_all(sandbox.path("folder/deep")).expect("it is made");
        std::fs::create_dir(sandbox.path("home")).expect("it is made");
        sandbox.write("folder/deep/x", "deep");
        sandbox.write("file.txt", "0123456789\n".repeat(100_000));
        sandbox.write(
            "job.yml",
            "words: [a, b, c, d, e, f, g, h]\nfile: {class: File, path: file.txt}\n\
             object: {class: File, location: 's3://inputs/x'}\nfolder: {class: Directory, path: folder}\n",
        );
        Self { sandbox, server }
    }

    fn run(&self, store: &str, more: &[&str]) -> Answer {
        let (url, home) = (self.server.url(), self.sandbox.path("home").display().to_string());
        let env = [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("HOME", &home),
        ];
        let store = format!("aws:eu-central-1:{store}");
        let words = ["--batchSystem", "processes", "--jobStore", &store, "--outdir", "out"];
        let words = words.iter().chain(more).chain(&["main.cwl", "job.yml"]);
        self.server.hooks().forget_calls();
        let answer = self.sandbox.run_with(words.map(Into::into).collect(), &env);
        assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
        answer
    }

    /// How often this was fetched: the file of this machine, the object, packs of the directory.
    fn fetched(&self) -> [usize; 3] {
        let calls = self.server.hooks().calls();
        let count = |is: &dyn Fn(&str) -> bool| {
            calls.iter().filter(|call| call.is("GetObject") && is(&call.target)).count()
        };
        [
            count(&|target| target.contains("/imports/") && !target.contains("/files/")),
            count(&|target| target == "inputs/x"),
            count(&|target| target.contains("/files/imports/") && target.contains(".pack")),
        ]
    }
}

#[test]
fn workers_of_one_machine_fetch_an_input_once_and_later_runs_not_at_all() {
    let machine = Machine::new();
    let all = || machine.sandbox.read("out/all.txt");
    machine.run("plain", &[]);
    let expected = all();
    assert_eq!(machine.fetched(), [8, 9, 8]);
    assert_eq!(expected.lines().count(), 8);
    assert!(expected.ends_with(" object deep\n"), "{expected}");

    let shared = machine.run("first", &["--caching"]);
    assert_eq!((all(), machine.fetched()), (expected.clone(), [1, 1, 1]));
    assert!(!shared.stderr.contains("cannot be used"), "{}", shared.stderr);
    assert_eq!(machine.sandbox.read("out/mine"), "objectchanged\n");
    machine.run("second", &["--disableCaching", "false"]);
    // A directory is imported anew by each run, and known by where it was put.
    assert_eq!((all(), machine.fetched()), (expected.clone(), [0, 0, 1]));
    machine.run("third", &["--disableCaching"]);
    assert_eq!((all(), machine.fetched()), (expected.clone(), [8, 9, 8]));

    make_bucket(&machine.server, "inputs", &[("x", "newer")]);
    machine.run("fourth", &["--caching"]);
    assert_eq!((all(), machine.fetched()), (expected.replace(" object ", " newer "), [0, 1, 1]));
}

#[test]
fn what_cannot_be_shared_is_fetched_by_each_and_said_once_by_each() {
    let machine = Machine::new();
    let inputs = machine.sandbox.path("home/.cache");
    std::fs::create_dir_all(&inputs).expect("it is made");
    std::os::unix::fs::symlink(machine.sandbox.path("folder"), inputs.join("moil")).expect("it is made");
    machine.run("planted", &["--caching"]);
    assert_eq!(machine.fetched(), [8, 9, 8]);
    assert_eq!(machine.sandbox.list("folder"), ["deep"]);
}
