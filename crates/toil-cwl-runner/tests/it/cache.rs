//! `--cachedir`: results that are kept beyond their runs.

use std::path::{Path, PathBuf};

use moil_testing::s3::S3Server;
use toil_cwl_runner::exit_code::ExitCode;

use super::Answer;
use super::buckets::{access, make_bucket, succeeds};
use super::sandbox::Sandbox;

/// Two steps, of which the second takes the file and the directory of the first; jobs leave their names in a file.
const STEPS: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {f: File, word: string}
outputs:
  o: {type: File, outputSource: use/o}
  d: {type: Directory, outputSource: make/d}
steps:
  make:
    in: {f: f}
    out: [o, d]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo make >> RAN; mkdir d; cat "$0" | tee d/x']
      inputs: {f: {type: File, inputBinding: {}}}
      outputs: {o: stdout, d: {type: Directory, outputBinding: {glob: d}}}
      stdout: one.txt
  use:
    in: {o: make/o, d: make/d, word: word}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo use >> RAN; echo $0; cat "$1" "$2/x"']
      inputs:
        word: {type: string, inputBinding: {position: 0}}
        o: {type: File, inputBinding: {position: 1}}
        d: {type: Directory, inputBinding: {position: 2}}
      outputs: {o: stdout}
      stdout: two.txt
"#;

fn sandbox(document: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("main.cwl", document.replace("RAN", &sandbox.path("ran").display().to_string()));
    sandbox.write("ran", "");
    sandbox.write("in.txt", "text\n");
    sandbox
}

fn ran(sandbox: &Sandbox) -> String {
    let ran = sandbox.read("ran");
    sandbox.write("ran", "");
    ran.replace('\n', " ").trim_end().to_owned()
}

fn run(sandbox: &Sandbox, more: &[&str]) -> Answer {
    let args = [&["--cachedir", "cache", "--outdir", "out"], more].concat();
    let answer = sandbox.run(&args);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    answer
}

const HELLO: [&str; 5] = ["main.cwl", "--f", "in.txt", "--word", "hello"];

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("it is read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_second_run_takes_what_the_first_made() {
    let sandbox = sandbox(STEPS);
    let first = run(&sandbox, &HELLO);
    assert_eq!(ran(&sandbox), "make use");
    std::fs::remove_dir_all(sandbox.path("out")).expect("it is removed");
    let second = run(&sandbox, &HELLO);
    assert_eq!(ran(&sandbox), "");
    assert_eq!(second.stdout, first.stdout);
    assert!(second.stderr.contains("[job use] result from the cache"), "{}", second.stderr);
    assert_eq!(sandbox.read("out/two.txt"), "hello\ntext\ntext\n");
    // The outputs are the user's: changing them changes nothing in the cache.
    sandbox.write("out/two.txt", "mine");
    sandbox.write("out/d/x", "mine");
    run(&sandbox, &["main.cwl", "--f", "in.txt", "--word", "other"]);
    assert_eq!(ran(&sandbox), "use");
    assert_eq!(sandbox.read("out/two.txt"), "other\ntext\ntext\n");
    sandbox.write("in.txt", "changed\n");
    run(&sandbox, &HELLO);
    assert_eq!(ran(&sandbox), "make use");
    assert_eq!(sandbox.read("out/two.txt"), "hello\nchanged\nchanged\n");
}

#[test]
fn runs_with_a_job_store_share_the_cache_and_go_on_when_it_is_gone() {
    let sandbox = sandbox(STEPS);
    run(&sandbox, &HELLO);
    ran(&sandbox);
    let store = ["--jobStore", "store", "--clean", "never"];
    run(&sandbox, &[&store[..], &HELLO].concat());
    assert_eq!(ran(&sandbox), "");
    let restart = [&["--restart"], &store[..], &HELLO].concat();
    assert!(!run(&sandbox, &restart).stderr.contains("from the cache"), "it is recorded in the store");
    assert_eq!(ran(&sandbox), "");
    std::fs::remove_dir_all(sandbox.path("cache")).expect("it is removed");
    run(&sandbox, &restart);
    assert_eq!(ran(&sandbox), "make use");
    assert_eq!(sandbox.read("out/two.txt"), "hello\ntext\ntext\n");
}

#[test]
fn a_damaged_file_in_the_cache_is_not_used_and_made_anew() {
    let sandbox = sandbox(STEPS);
    run(&sandbox, &HELLO);
    ran(&sandbox);
    for path in
        files(&sandbox.path("cache")).iter().filter(|path| path.to_string_lossy().ends_with("two.txt"))
    {
        std::fs::remove_file(path).expect("it is removed");
        std::fs::write(path, "hel").expect("it is written");
    }
    run(&sandbox, &HELLO);
    assert_eq!(ran(&sandbox), "use");
    run(&sandbox, &HELLO);
    assert_eq!(ran(&sandbox), "");
    assert_eq!(sandbox.read("out/two.txt"), "hello\ntext\ntext\n");
}

#[test]
fn what_must_not_be_reused_is_not_kept() {
    let tool = |hints: &str| {
        format!(
            "{{cwlVersion: v1.2, $namespaces: {{cwltool: 'http://commonwl.org/cwltool#'}}, class: CommandLineTool,
              hints: {{{hints}}}, inputs: {{pw: {{type: string, inputBinding: {{}}}}}}, outputs: {{o: stdout}},
              baseCommand: [sh, -c, 'echo ran >> RAN; echo \"$0\"'], stdout: o.txt}}"
        )
    };
    for (hints, again) in [
        ("", ""),
        ("WorkReuse: {enableReuse: false}", "ran"),
        ("'cwltool:Secrets': {secrets: [pw]}", "ran"),
        ("InplaceUpdateRequirement: {inplaceUpdate: true}", "ran"),
    ] {
        let sandbox = sandbox(&tool(hints));
        for expected in ["ran", again] {
            run(&sandbox, &["main.cwl", "--pw", "hunter2"]);
            assert_eq!(ran(&sandbox), expected, "{hints}");
        }
        if hints.contains("Secrets") {
            let kept = files(&sandbox.path("cache"));
            let has = |path: &PathBuf| {
                String::from_utf8_lossy(&std::fs::read(path).expect("read")).contains("hunter2")
            };
            assert!(!kept.iter().any(has));
        }
    }
}

#[test]
fn a_job_that_fails_is_not_kept() {
    let sandbox = sandbox(
        "{cwlVersion: v1.2, class: CommandLineTool, inputs: [], outputs: {o: stdout},
          baseCommand: [sh, -c, 'echo ran >> RAN; echo x; exit 3'], stdout: o.txt}",
    );
    for _ in 0..2 {
        sandbox.failure(&["--cachedir", "cache", "--retryCount", "0", "main.cwl"]);
        assert_eq!(ran(&sandbox), "ran");
    }
}

#[test]
fn two_runs_at_the_same_time_share_a_new_cache() {
    let sandbox = sandbox(STEPS);
    let children = ["out-1", "out-2"].map(|outdir| {
        let args = [&["--cachedir", "cache", "--outdir", outdir], &HELLO[..]].concat();
        sandbox.program(&args).spawn().expect("it starts")
    });
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(sandbox.read("out-1/two.txt"), sandbox.read("out-2/two.txt"));
    ran(&sandbox);
    run(&sandbox, &HELLO);
    assert_eq!(ran(&sandbox), "");
}

#[test]
fn every_kind_of_cache_serves_runs_with_every_kind_of_store() {
    let server = S3Server::start();
    make_bucket(&server, "shared", &[]);
    for cache in ["s3://shared/cache", "cache"] {
        let stores = [
            "",
            "--jobStore store",
            "--jobStore s3://shared/store",
            "--batchSystem processes --jobStore s3://shared/store",
            "--batchSystem processes --jobStore store",
        ];
        for (number, maker) in stores.iter().enumerate() {
            let sandbox = sandbox(STEPS);
            let run = |store: &str| {
                let cache = format!("{cache}-{number}");
                let line =
                    format!("--cachedir {cache} {store} --outdir out main.cwl --f in.txt --word hello");
                let outputs = succeeds(&sandbox, &server, &line);
                assert_eq!(sandbox.read("out/two.txt"), "hello\ntext\ntext\n", "{maker}; {store}");
                assert_eq!(sandbox.read("out/d/x"), "text\n", "{maker}; {store}");
                std::fs::remove_dir_all(sandbox.path("out")).expect("it is removed");
                outputs
            };
            let first = run(maker);
            assert_eq!(ran(&sandbox), "make use", "{maker}");
            for store in stores {
                assert_eq!(run(store), first, "{maker}; {store}");
                assert_eq!(ran(&sandbox), "", "{cache}: {maker}; {store}");
            }
        }
    }
}

#[test]
fn outputs_go_from_a_cache_in_a_bucket_to_a_bucket_without_coming_here() {
    let (server, sandbox) = (S3Server::start(), sandbox(STEPS));
    make_bucket(&server, "shared", &[]);
    let line = "--cachedir s3://shared/cache --outdir s3://shared/out main.cwl --f in.txt --word hello";
    succeeds(&sandbox, &server, line);
    server.hooks().forget_calls();
    succeeds(&sandbox, &server, line);
    assert_eq!(ran(&sandbox), "make use");
    assert_eq!(server.objects("shared")["out/two.txt"], b"hello\ntext\ntext\n");
    assert_eq!(server.objects("shared")["out/d/x"], b"text\n");
    // The secret and two entries, the list of a directory, and what is packed in it.
    assert!(server.hooks().count("GetObject") <= 5, "{:?}", server.hooks().counts());
}

#[test]
fn two_runs_at_the_same_time_share_a_new_cache_in_a_bucket() {
    let (server, sandbox) = (S3Server::start(), sandbox(STEPS));
    make_bucket(&server, "shared", &[]);
    let url = server.url();
    let children = ["out-1", "out-2"].map(|outdir| {
        let args = [&["--cachedir", "s3://shared/cache", "--outdir", outdir], &HELLO[..]].concat();
        let env = access(&url);
        sandbox.program(&args).envs(env).spawn().expect("it starts")
    });
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(sandbox.read("out-1/two.txt"), sandbox.read("out-2/two.txt"));
    ran(&sandbox);
    succeeds(&sandbox, &server, "--cachedir s3://shared/cache --outdir out main.cwl --f in.txt --word hello");
    assert_eq!(ran(&sandbox), "");
}

#[test]
fn a_cache_in_a_bucket_that_is_not_there_is_told_before_anything_runs() {
    let (server, sandbox) = (S3Server::start(), sandbox(STEPS));
    let line = "--cachedir s3://none/cache --outdir out main.cwl --f in.txt --word hello";
    let answer = super::buckets::run(&sandbox, &server, line);
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    assert!(answer.stderr.contains("the cache cannot be opened in s3://none/cache"), "{}", answer.stderr);
    assert!(answer.stderr.contains("give a bucket to --cachedir that is there"), "{}", answer.stderr);
    assert_eq!(ran(&sandbox), "");
}
