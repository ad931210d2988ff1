//! Tools that change their inputs in place (InplaceUpdateRequirement), with a job store in a bucket.

use toil_cwl_runner::exit_code::ExitCode;

use super::buckets::{make_bucket, run, succeeds};
use super::sandbox::Sandbox;
use moil_testing::s3::S3Server;

/// A number that two steps count up, and a directory in which one step changes a file. What was made at first is read
/// after all that, and is the output. The first one to count fails when it has changed the file, and is tried again.
const WORKFLOW: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {given: File}
outputs:
  number: {type: File, outputSource: make/number}
  folder: {type: Directory, outputSource: make/folder}
  read: {type: File, outputSource: read/o}
  seen: {type: string, outputSource: see/seen}
steps:
  make:
    in: []
    out: [number, folder]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo 3 > number; mkdir -p folder/deep; echo x > folder/deep/x; echo y > folder/y; head -c 300000 /dev/zero > folder/large']
      inputs: []
      outputs:
        number: {type: File, outputBinding: {glob: number}}
        folder: {type: Directory, outputBinding: {glob: folder}}
  once:
    in: {f: make/number}
    out: [f]
    run: &count
      class: CommandLineTool
      requirements:
        InplaceUpdateRequirement: {inplaceUpdate: true}
        InitialWorkDirRequirement: {listing: [{entry: $(inputs.f), writable: true}]}
      baseCommand: [sh, -c, 'echo $(($(cat number) + 1)) > number; test -e TRIED || { touch TRIED; exit 1; }']
      inputs: {f: File}
      outputs: {f: {type: File, outputBinding: {glob: number}}}
  twice:
    in: {f: once/f}
    out: [f]
    run: *count
  change:
    in:
      f: {source: make/folder, loadListing: deep_listing, valueFrom: '$(self.listing.filter(function (e) { return e.basename == "deep"; })[0].listing[0])'}
      given: given
    out: [wait]
    run:
      class: CommandLineTool
      requirements:
        InplaceUpdateRequirement: {inplaceUpdate: true}
        InitialWorkDirRequirement:
          listing: [{entry: $(inputs.f), writable: true}, {entry: $(inputs.given), writable: true}]
      baseCommand: [sh, -c, 'echo more >> x; echo spoilt > given.txt']
      inputs: {f: File, given: File}
      outputs: {wait: {type: int, outputBinding: {outputEval: $(1)}}}
  extend:
    in: {d: make/folder, wait: change/wait}
    out: [d]
    run:
      class: CommandLineTool
      requirements:
        InplaceUpdateRequirement: {inplaceUpdate: true}
        InitialWorkDirRequirement: {listing: [{entry: $(inputs.d), entryname: here, writable: true}]}
      baseCommand: [sh, -c, 'echo new > here/new; rm here/y']
      inputs: {d: Directory, wait: int}
      outputs: {d: {type: Directory, outputBinding: {glob: here}}}
  see:
    in: {d: make/folder, other: extend/d, number: make/number, last: twice/f}
    out: [seen]
    run:
      class: ExpressionTool
      inputs:
        d: {type: Directory, loadListing: shallow_listing}
        other: {type: Directory, loadListing: shallow_listing}
        number: {type: File, loadContents: true}
        last: File
      outputs: {seen: string}
      expression: |
        ${ var names = function (d) { return d.listing.map(function (e) { return e.basename; }).sort().join(" "); };
           return {seen: names(inputs.d) + "; " + names(inputs.other) + "; " + inputs.number.contents.trim() }; }
  read:
    in: {d: make/folder, given: given, number: make/number, wait: extend/d, last: twice/f}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat $0/deep/x $0/new $1 $2; wc -c < $0/large; test ! -e STOP']
      inputs:
        d: {type: Directory, inputBinding: {position: 1}}
        number: {type: File, inputBinding: {position: 2}}
        given: {type: File, inputBinding: {position: 3}}
        wait: Directory
        last: File
      outputs: {o: stdout}
      stdout: o.txt
"#;

const READ: &str = "x\nmore\nnew\n5\ngiven\n300000\n";

fn place() -> (Sandbox, S3Server) {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.path(name).display().to_string();
    let document = WORKFLOW.replace("TRIED", &path("tried")).replace("STOP", &path("stop"));
    sandbox.write("main.cwl", document);
    sandbox.write("given.txt", "given\n");
    sandbox.write("job.yml", "given: {class: File, path: given.txt}\n");
    let server = S3Server::start();
    make_bucket(&server, "shared", &[]);
    (sandbox, server)
}

#[test]
fn what_tools_changed_in_place_is_seen_by_later_jobs_expressions_and_outputs() {
    for executor in ["single_machine", "processes"] {
        let (sandbox, server) = place();
        if executor == "processes" {
            // A worker whose tool fails leaves its logs.
            sandbox.write("tried", "");
        }
        let line =
            format!("--jobStore s3://shared/store --batchSystem {executor} --retryCount 1 main.cwl job.yml");
        let outputs = succeeds(&sandbox, &server, &format!("--clean never --outdir s3://shared/out {line}"));
        let objects = server.objects("shared");
        let text = |key: &str| String::from_utf8_lossy(&objects[key]).into_owned();
        assert_eq!(outputs["seen"], "deep large new; deep large new; 5", "{executor}");
        assert_eq!(text("out/o.txt"), READ, "{executor}");
        assert_eq!(text("out/number"), "5\n", "{executor}");
        assert_eq!(
            (outputs["number"]["size"].as_u64(), outputs["number"]["checksum"].as_str()),
            (
                Some(2),
                // That of "5\n".
                Some("sha1$5d9474c0309b7ca09a182d888f73b37a8fe1362c"),
            ),
            "{executor}"
        );
        assert_eq!(text("out/folder/deep/x"), "x\nmore\n", "{executor}");
        assert_eq!(text("out/folder/new"), "new\n", "{executor}");
        assert!(!objects.contains_key("out/folder/y"), "{executor}");
        assert_eq!(sandbox.read("given.txt"), "given\n", "{executor}");
        // The next leader makes anew what was changed, and comes to the same.
        let outputs = succeeds(&sandbox, &server, &format!("--restart --outdir out {line}"));
        assert_eq!(outputs["seen"], "deep large new; deep large new; 5", "{executor}");
        assert_eq!(
            (sandbox.read("out/o.txt"), sandbox.read("out/number")),
            (READ.to_owned(), "5\n".to_owned())
        );
        assert_eq!(sandbox.read("out/folder/deep/x"), "x\nmore\n", "{executor}");
        assert!(sandbox.path("out/folder/new").exists() && !sandbox.path("out/folder/y").exists());
    }
}

#[test]
fn a_run_that_failed_after_changes_in_place_counts_nothing_twice() {
    let (sandbox, server) = place();
    sandbox.write("stop", "");
    let line = "--jobStore s3://shared/store --retryCount 1 --outdir out main.cwl job.yml";
    let answer = run(&sandbox, &server, line);
    assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
    std::fs::remove_file(sandbox.path("stop")).expect("it is removed");
    for left in sandbox.list("tmp") {
        std::fs::remove_dir_all(sandbox.path("tmp").join(left)).expect("it is removed");
    }
    succeeds(&sandbox, &server, &format!("--restart {line}"));
    assert_eq!((sandbox.read("out/o.txt"), sandbox.read("out/number")), (READ.to_owned(), "5\n".to_owned()));
}
