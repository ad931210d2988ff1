//! Runs with a job store in a bucket, and files in buckets.

use std::collections::BTreeMap;
use std::ffi::OsString;

use moil_testing::s3::{ACCESS_KEY, Options, S3Server, SECRET_KEY};
use toil_cwl_runner::exit_code::ExitCode;

use super::Answer;
use super::sandbox::Sandbox;

/// Makes a file and a directory, looks into them, and puts all together.
pub const WORKFLOW: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: "string[]", stop: boolean}
outputs:
  all: {type: File, outputSource: join/all}
  folder: {type: Directory, outputSource: folder/d}
steps:
  write:
    scatter: word
    in: {word: words}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {one: stdout}
      stdout: "a word #1.txt"
  folder:
    in: []
    out: [d]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'mkdir -p d/e d/empty; echo deep > d/e/f.txt']
      inputs: []
      outputs: {d: {type: Directory, outputBinding: {glob: d}}}
  join:
    in: {ones: write/one, d: folder/d, stop: stop}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'test $0 = false && cat "$1"/e/f.txt && shift && cat "$@"']
      requirements: {InlineJavascriptRequirement: {}}
      inputs:
        stop: {type: boolean, inputBinding: {position: 0, valueFrom: $(String(self))}}
        d: {type: Directory, inputBinding: {position: 1}}
        ones: {type: 'File[]', inputBinding: {position: 2}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

/// The variables of whoever may use a server.
pub fn access(url: &str) -> [(&str, &str); 3] {
    [("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]
}

pub fn run(sandbox: &Sandbox, server: &S3Server, line: &str) -> Answer {
    let url = server.url();
    let env = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("TOIL_OWNER_TAG", "me"),
        ("TOIL_AWS_TAGS", r#"{"Project": "p"}"#),
    ];
    sandbox.run_with(line.split_whitespace().map(OsString::from).collect(), &env)
}

pub fn succeeds(sandbox: &Sandbox, server: &S3Server, line: &str) -> serde_json::Value {
    let answer = run(sandbox, server, line);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    serde_json::from_str(&answer.stdout).expect("JSON")
}

#[test]
fn a_run_in_a_bucket_is_kept_after_a_failure_and_goes_on() {
    let (sandbox, server) = (Sandbox::with(WORKFLOW), S3Server::start());
    let common = "--jobStore aws:eu-central-1:run-1 --retryCount 0 --outdir out main.cwl job.yml";
    sandbox.write("job.yml", "words: [a, b]\nstop: true\n");
    let answer = run(&sandbox, &server, common);
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    // The logs of what failed are on this machine.
    std::fs::remove_dir_all(sandbox.path("tmp")).expect("it is removed");
    std::fs::create_dir(sandbox.path("tmp")).expect("it is made");
    assert!(answer.stderr.contains("what is done is kept in aws:eu-central-1:run-1"), "{}", answer.stderr);
    let facts = server.bucket("run-1--toil").expect("the bucket is there");
    let tags: BTreeMap<String, String> = facts.tags.clone();
    assert_eq!((tags["Owner"].as_str(), tags["Project"].as_str()), ("me", "p"));
    let told = run(&sandbox, &server, common).stderr;
    assert!(told.contains("already exists"), "{told}");
    sandbox.write("job.yml", "words: [a, b]\nstop: false\n");
    let answer = run(&sandbox, &server, &format!("--restart {common}"));
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    for job in ["write", "write_2", "folder"] {
        let line = format!("[job {job}] completed success (reused)");
        assert!(answer.stderr.contains(&line), "{}", answer.stderr);
    }
    assert_eq!(sandbox.read("out/all.txt"), "deep\na\nb\n");
    assert_eq!(sandbox.read("out/d/e/f.txt"), "deep\n");
    assert!(sandbox.path("out/d/empty").is_dir());
    assert!(server.bucket("run-1--toil").is_none(), "the bucket is removed after success");
}

#[test]
fn a_prefix_of_a_bucket_that_is_there_is_all_that_is_touched() {
    let (sandbox, server) = (Sandbox::with(WORKFLOW), S3Server::start());
    make_bucket(&server, "shared", &[("other/x", "x"), ("runs/2024", "y")]);
    sandbox.write("job.yml", "words: [a]\nstop: false\n");
    let line = "--jobStore s3://shared/runs --outdir out main.cwl job.yml";
    succeeds(&sandbox, &server, &format!("--clean never {line}"));
    assert!(server.objects("shared").keys().any(|key| key.starts_with("runs/run-")));
    let beats = server.objects("shared").into_iter().filter(|(key, _)| key.contains("/heartbeat/"));
    assert!(beats.map(|(_, bytes)| bytes).all(|bytes| bytes == b"deleted"), "nobody waits for it");
    succeeds(&sandbox, &server, &format!("--restart {line}"));
    let left: Vec<String> = server.objects("shared").into_keys().collect();
    // The last one says that the run is gone.
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&"other/x".to_owned()) && left.contains(&"runs/2024".to_owned()), "{left:?}");
    assert!(left.iter().any(|key| key.starts_with("runs/runs/")), "{left:?}");
}

#[test]
fn inputs_in_buckets_are_fetched_and_their_changes_noticed() {
    let (sandbox, server) = (Sandbox::new(), S3Server::start());
    make_bucket(&server, "data", &[("in put/x.txt", "one"), ("in put/d/y.txt", "deep")]);
    sandbox.write(
        "main.cwl",
        r#"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'cat "$0" "$1"/y.txt']
inputs:
  f: {type: File, inputBinding: {position: 1}}
  d: {type: Directory, inputBinding: {position: 2}}
outputs: {o: stdout}
stdout: o.txt
"#,
    );
    sandbox.write(
        "job.yml",
        "f: {class: File, location: 's3://data/in%20put/x.txt'}\nd: {class: Directory, location: 's3://data/in%20put/d'}\n",
    );
    let line = "--jobStore store --clean never --outdir out";
    succeeds(&sandbox, &server, &format!("{line} main.cwl job.yml"));
    assert_eq!(sandbox.read("out/o.txt"), "onedeep");
    make_bucket(&server, "data", &[("in put/x.txt", "two")]);
    succeeds(&sandbox, &server, &format!("{line} --restart main.cwl job.yml"));
    assert_eq!(sandbox.read("out/o.txt"), "twodeep");
}

#[test]
fn a_job_costs_few_requests() {
    let (sandbox, server) = (Sandbox::with(WORKFLOW), S3Server::start());
    let words: Vec<String> = (0..100).map(|number| format!("w{number}")).collect();
    sandbox.write("job.yml", format!("words: [{}]\nstop: false\n", words.join(", ")));
    succeeds(&sandbox, &server, "--jobStore aws:eu-central-1:run-2 --outdir out main.cwl job.yml");
    let total: u64 = server.hooks().counts().values().sum();
    eprintln!("{total} requests: {:?}", server.hooks().counts());
    assert!(total <= 5 * 100, "{total}: {:?}", server.hooks().counts());
}

/// A worker in another process asks for all that it needs at once, unless the tool is large.
#[test]
fn a_job_in_another_process_costs_few_requests() {
    for (word, tools) in [("x".to_owned(), 0), ("x".repeat(70_000), 1)] {
        let (sandbox, server) = (Sandbox::new(), S3Server::start());
        let document = format!(
            "cwlVersion: v1.2\nclass: Workflow\nrequirements: {{ScatterFeatureRequirement: {{}}}}\n\
             inputs: {{numbers: 'int[]'}}\noutputs: []\nsteps:\n  one:\n    scatter: number\n    \
             in: {{number: numbers}}\n    out: []\n    run: {{class: CommandLineTool, \
             baseCommand: ['true', '{word}'], inputs: {{number: int}}, outputs: []}}\n"
        );
        sandbox.write("main.cwl", document);
        let numbers: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        sandbox.write("job.yml", format!("numbers: [{}]\n", numbers.join(", ")));
        let line = "--batchSystem processes --jobStore aws:eu-central-1:run-3 --outdir out main.cwl job.yml";
        succeeds(&sandbox, &server, line);
        let mut calls = server.hooks().calls();
        // Signs of life come and go with time.
        calls.retain(|call| !call.target.contains("/heartbeat/") && !call.target.contains("/kill/"));
        let of_tools = |operation: &str| {
            calls.iter().filter(|call| call.is(operation) && call.target.contains("/tools/")).count()
        };
        assert_eq!((of_tools("PutObject"), of_tools("GetObject")), (tools, 30 * tools));
        assert!(calls.len() <= (5 + 2 * tools) * 30 + 45, "{}: {calls:#?}", calls.len());
    }
}

/// A file and a directory of many files go through three jobs.
const CHAIN: &str = r#"
cwlVersion: v1.2
class: Workflow
inputs: {stop: boolean}
outputs: {last: {type: File, outputSource: third/o}, d: {type: Directory, outputSource: first/d}}
steps:
  first:
    in: []
    out: [o, d]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'head -c 400000 /dev/zero > o; mkdir -p d/e; for i in $(seq 50); do echo $i > d/e/$i; done']
      arguments: []
      inputs: []
      outputs: {o: {type: File, outputBinding: {glob: o}}, d: {type: Directory, outputBinding: {glob: d}}}
  second:
    in: {o: first/o, d: first/d}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat "$0" "$1"/e/*']
      inputs: {o: {type: File, inputBinding: {position: 1}}, d: {type: Directory, inputBinding: {position: 2}}}
      outputs: {o: stdout}
      stdout: o
  third:
    in: {o: second/o, d: first/d, stop: stop}
    out: [o]
    run:
      class: CommandLineTool
      requirements: {InlineJavascriptRequirement: {}}
      baseCommand: [sh, -c, 'test $2 = false && cat "$1"/e/* "$0" | wc -c']
      inputs:
        o: {type: File, inputBinding: {position: 1}}
        d: {type: Directory, inputBinding: {position: 2}}
        stop: {type: boolean, inputBinding: {position: 3, valueFrom: $(String(self))}}
      outputs: {o: stdout}
      stdout: o
"#;

#[test]
fn what_was_made_here_is_not_fetched_and_a_directory_comes_with_one_request_for_a_pack() {
    let (sandbox, server) = (Sandbox::with(CHAIN), S3Server::start());
    let fetched = || -> Vec<String> {
        let calls = server.hooks().calls();
        let of_files = calls.iter().filter(|call| call.is("GetObject") && call.target.contains("/files/"));
        of_files.map(|call| call.target.rsplit_once('/').map_or("", |(_, name)| name).to_owned()).collect()
    };
    let line = "--jobStore aws:eu-central-1:run-c --retryCount 0 --outdir out main.cwl";
    sandbox.write("job.yml", "stop: false\n");
    succeeds(&sandbox, &server, &format!("{line} job.yml"));
    assert_eq!(fetched(), [""; 0]);
    assert_eq!(sandbox.read("out/o").trim(), "400282");
    assert_eq!(sandbox.read("out/d/e/50"), "50\n");
    // What another leader's jobs made is fetched once.
    sandbox.write("job.yml", "stop: true\n");
    let answer = run(&sandbox, &server, &format!("{line} job.yml"));
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    std::fs::remove_dir_all(sandbox.path("tmp")).expect("it is removed");
    std::fs::create_dir(sandbox.path("tmp")).expect("it is made");
    server.hooks().forget_calls();
    sandbox.write("job.yml", "stop: false\n");
    succeeds(&sandbox, &server, &format!("--restart {line} job.yml"));
    let mut names = fetched();
    names.sort();
    assert_eq!(names[..2], [".directory", ".pack-0"]);
    assert!(names.len() == 3 && names[2].starts_with("second"), "{names:?}");
}

/// Says how many bytes a file has.
const COUNT: &str = r#"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [wc, -c]
inputs: {f: File}
stdin: $(inputs.f.path)
outputs: {o: stdout}
stdout: o.txt
"#;

#[test]
fn inputs_and_outputs_may_be_in_other_regions_than_the_job_store() {
    let (sandbox, server) =
        (Sandbox::with(COUNT), S3Server::with(Options { regions: true, ..Options::default() }));
    make_bucket_in(&server, "data", "ap-south-1", &[("x.txt", "12345")]);
    make_bucket_in(&server, "results", "us-east-1", &[]);
    let line = "--jobStore aws:eu-central-1:run-r --outdir s3://results/a main.cwl --f s3://data/x.txt";
    succeeds(&sandbox, &server, line);
    assert_eq!(server.objects("results")["a/o.txt"], b"5\n");
}

#[test]
fn public_inputs_need_no_credentials_and_all_else_says_that_there_are_none() {
    let options = Options { public: Some("public".into()), ..Options::default() };
    let (sandbox, server) = (Sandbox::with(COUNT), S3Server::with(options));
    make_bucket(&server, "public", &[("d/x.txt", "12345")]);
    make_bucket(&server, "private", &[("x.txt", "12345")]);
    let run = |words: &[&str]| {
        let url = server.url();
        // The addresses of instance and pod identity are not asked.
        let env = [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")];
        sandbox.program(words).envs(env).output().expect("it runs")
    };
    let output = run(&["main.cwl", "--f", "s3://public/d/x.txt"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert_eq!(sandbox.read("o.txt"), "5\n");
    for words in [
        &["--retryCount", "0", "main.cwl", "--f", "s3://private/x.txt"][..],
        &["--jobStore", "aws:eu-central-1:run-n", "main.cwl", "--f", "s3://public/d/x.txt"],
        &["--outdir", "s3://public/out", "main.cwl", "--f", "s3://public/d/x.txt"],
    ] {
        let output = run(words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{words:?}");
        assert!(told.contains("no AWS credentials were found, so the request was not signed"), "{told}");
    }
}

/// Puts objects into a bucket, as somebody else would.
pub fn make_bucket(server: &S3Server, name: &str, objects: &[(&str, &str)]) {
    make_bucket_in(server, name, "us-east-1", objects);
}

fn make_bucket_in(server: &S3Server, name: &str, region: &str, objects: &[(&str, &str)]) {
    use moil_jobstore::s3::settings::Credentials;
    use moil_jobstore::s3::{S3, Settings};
    let credentials =
        Credentials::Keys { access: ACCESS_KEY.into(), secret: SECRET_KEY.into(), session: None };
    let (endpoint, place) = (Some(server.url()), Some(region.to_owned()));
    let s3 = S3::new(Settings { endpoint, credentials, region: place, ..Settings::default() });
    let bucket = s3.bucket(name);
    bucket.create(Some(region), &BTreeMap::new()).expect("the bucket is made");
    for (key, text) in objects {
        bucket.put(key, text.as_bytes()).expect("it is put");
    }
}

/// InitialWorkDirRequirement can name files of the document itself: workers elsewhere do not see its directory.
#[test]
fn files_that_a_document_lists_reach_workers_elsewhere() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InitialWorkDirRequirement:
    listing:
    - {class: File, location: beside/one.txt}
    - {class: Directory, location: beside/deep}
baseCommand: [sh, -c, 'cat one.txt deep/er/two.txt']
inputs: []
outputs: {o: stdout}
stdout: o.txt
"#,
    );
    std::fs::create_dir_all(sandbox.path("beside/deep/er")).expect("made");
    sandbox.write("beside/one.txt", "one");
    sandbox.write("beside/deep/er/two.txt", "two");
    let server = S3Server::start();
    let line = "--batchSystem processes --jobStore aws:eu-central-1:run-4 --outdir out main.cwl";
    succeeds(&sandbox, &server, line);
    assert_eq!(sandbox.read("out/o.txt"), "onetwo");
    let brought = server.hooks().calls().iter().filter(|call| call.target.contains("/imports/")).count();
    assert!(brought > 0, "the worker has read them from this machine");
}
