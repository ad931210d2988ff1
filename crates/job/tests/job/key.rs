//! What changes the key of a job, and what does not.

use std::collections::HashMap;

use moil_cwl::json;
use moil_cwl::value::Value;
use moil_job::identity::{Local, Origin, Origins};
use moil_job::key::{JobFacts, Key, Keys, NoKey};
use moil_job::resources::Resources;
use moil_job::secret::{SecretStore, Secrets};
use moil_job::spec::{AttemptId, JobId, JobTool};
use moil_salad::fetch::Fetch;

use crate::documents;

/// A job and all around it, before or after an edit.
#[derive(Clone)]
struct World {
    /// Where the workflow lies.
    uri: &'static str,
    /// The workflow, with its only tool in it.
    document: String,
    inputs: String,
    origins: HashMap<String, Origin>,
    requested: Resources,
    network: bool,
    reuse: bool,
    image: Option<&'static str>,
    options: Vec<(String, String)>,
    secret_key: [u8; 32],
}

const DOCUMENT: &str = "
cwlVersion: v1.2
class: Workflow
requirements:
  InlineJavascriptRequirement: {}
hints:
  EnvVarRequirement: {envDef: {LANG: C, MODE: fast}}
inputs: {reads: 'File[]', n: int?}
outputs: []
steps:
  align:
    in: {reads: reads, n: n}
    out: []
    run:
      class: CommandLineTool
      label: Aligns
      baseCommand: [align, -x]
      requirements:
        InitialWorkDirRequirement:
          listing: [{entryname: run.sh, entry: echo}, {class: File, location: 'file:///ref/index'}]
      inputs:
        reads:
          type: File[]
          inputBinding: {position: 1}
        n: {type: int?, default: 3}
        pw: string?
      outputs: {out: {type: File, outputBinding: {glob: out.bam}}}
";

const INPUTS: &str = r#"{"reads": [{"class": "File", "location": "file:///in/a.fq", "basename": "a.fq", "size": 3,
    "secondaryFiles": [{"class": "File", "location": "file:///in/a.fq.idx", "basename": "a.fq.idx"}]}], "n": 3, "pw": "hunter2"}"#;

fn file(size: u64, modified: i128, changed: Option<i128>) -> Local {
    Local::File { size, modified, changed }
}

fn local(size: u64, modified: i128, changed: i128) -> Origin {
    Origin::Local(file(size, modified, Some(changed)))
}

fn attempt(number: u32) -> Origin {
    Origin::Attempt { attempt: AttemptId { job: JobId("sort".into()), number }, path: "a.fq".to_owned() }
}

impl World {
    fn new() -> Self {
        let origins = [
            ("file:///in/a.fq", local(3, 10, 11)),
            ("file:///in/a.fq.idx", local(4, 10, 11)),
            ("file:///ref/index", local(5, 10, 11)),
        ];
        Self {
            uri: "file:///d/wf.cwl",
            document: DOCUMENT.to_owned(),
            inputs: INPUTS.to_owned(),
            origins: origins.into_iter().map(|(location, origin)| (location.to_owned(), origin)).collect(),
            requested: Resources { cores: 1.0, ram_mib: 256, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 },
            network: false,
            reuse: true,
            image: Some("sha256:1"),
            options: vec![("--custom-net".to_owned(), "none".to_owned())],
            secret_key: [7; 32],
        }
    }

    /// One thing in the document is another. It must be there.
    fn document(mut self, old: &str, new: &str) -> Self {
        assert_eq!(self.document.matches(old).count(), 1, "{old}");
        self.document = self.document.replace(old, new);
        self
    }

    fn inputs(mut self, old: &str, new: &str) -> Self {
        assert_eq!(self.inputs.matches(old).count(), 1, "{old}");
        self.inputs = self.inputs.replace(old, new);
        self
    }

    fn origin(mut self, location: &str, origin: Origin) -> Self {
        self.origins.insert(location.to_owned(), origin);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn tool(&self) -> JobTool {
        let mut tools = documents::tools_of(self.uri, self);
        assert_eq!(tools.len(), 1, "{}", self.document);
        tools.remove(0)
    }

    fn key(&self) -> Result<Key, NoKey> {
        let keys = Keys::new(&[1; 32]);
        let store = SecretStore::new(&self.secret_key);
        let mut inputs = json::parse(&self.inputs).unwrap().as_map().unwrap().clone();
        store.hide_inputs(&["pw".into()], &mut inputs).unwrap();
        let inputs = Value::map(inputs);
        let facts = JobFacts {
            inputs: &inputs,
            secrets: &store.mentioned(&inputs),
            requested: self.requested,
            reuse: self.reuse,
            network: self.network,
            image: self.image,
            options: &self.options,
        };
        keys.job(&keys.tool(&self.tool())?, &facts, self)
    }
}

impl Fetch for World {
    fn text(&self, uri: &str) -> Result<String, String> {
        if uri == self.uri { Ok(self.document.clone()) } else { Err("not there".to_owned()) }
    }

    fn exists(&self, uri: &str) -> bool {
        uri == self.uri
    }
}

impl Origins for World {
    fn origin(&self, location: &str, checksum: Option<&str>) -> Result<Origin, String> {
        match (location.starts_with("file:///jobs/"), checksum, self.origins.get(location)) {
            (true, Some(checksum), _) => Ok(Origin::Content(checksum.into())),
            (_, _, Some(origin)) => Ok(origin.clone()),
            (_, _, None) => Err("No such file or directory".to_owned()),
        }
    }
}

/// The parts that differ after an edit; none if the key is the same.
fn changed(before: &World, after: &World) -> Vec<String> {
    let (old, new) = (before.key().unwrap(), after.key().unwrap());
    let differences: Vec<String> = new.differences(&old).into_iter().map(str::to_owned).collect();
    assert_eq!(new.hash == old.hash, differences.is_empty(), "{differences:?}");
    differences
}

#[test]
fn an_edit_changes_the_parts_that_it_concerns() {
    let world = World::new;
    let cases: Vec<(&str, World, &[&str])> = vec![
        ("nothing", world(), &[]),
        ("the document moves", world().with(|w| w.uri = "file:///elsewhere/other.cwl"), &[]),
        ("a comment", world().document("class: Workflow\n", "class: Workflow # comment\n\n"), &[]),
        ("a label", world().document("label: Aligns", "doc: It aligns."), &[]),
        ("the name of the step", world().document("  align:\n", "  sort:\n"), &[]),
        ("a shorthand", world().document("type: File[]\n", "type: {type: array, items: File}\n"), &[]),
        (
            "the order of fields",
            world().document(
                "      label: Aligns\n      baseCommand: [align, -x]\n",
                "      baseCommand: [align, -x]\n      label: Aligns\n",
            ),
            &[],
        ),
        ("the order of variables", world().document("LANG: C, MODE: fast", "MODE: fast, LANG: C"), &[]),
        ("a default that is not used", world().document("default: 3", "default: 4"), &[]),
        (
            "an unknown hint",
            world().document("hints:\n", "$namespaces: {x: 'http://x#'}\nhints:\n  'x:Y': {}\n"),
            &[],
        ),
        ("a time limit", world().document("hints:\n", "hints:\n  ToolTimeLimit: {timelimit: 3}\n"), &[]),
        (
            "what is asked for, told apart",
            world().document("hints:\n", "hints:\n  ResourceRequirement: {ramMin: 1}\n"),
            &[],
        ),
        (
            "a hint becomes a requirement",
            world().document("hints:\n  EnvVarRequirement", "  EnvVarRequirement"),
            &[],
        ),
        (
            "a hint of the workflow stands on the step",
            world().document("hints:\n  EnvVarRequirement: {envDef: {LANG: C, MODE: fast}}\n", "").document(
                "    out: []\n    run:",
                "    out: []\n    hints: {EnvVarRequirement: {envDef: {LANG: C, MODE: fast}}}\n    run:",
            ),
            &[],
        ),
        ("the command", world().document("[align, -x]", "[align, -y]"), &["tool"]),
        ("the version of CWL", world().document("v1.2", "v1.1"), &["tool"]),
        ("a binding", world().document("position: 1", "position: 1, prefix: -r"), &["tool"]),
        ("what is collected", world().document("glob: out.bam", "glob: '*.bam'"), &["tool"]),
        ("a variable", world().document("MODE: fast", "MODE: slow"), &["EnvVarRequirement"]),
        (
            "an inherited library",
            world().document(
                "InlineJavascriptRequirement: {}",
                "InlineJavascriptRequirement: {expressionLib: [x = 1]}",
            ),
            &["InlineJavascriptRequirement"],
        ),
        (
            "a requirement more",
            world().document("hints:\n", "hints:\n  ShellCommandRequirement: {}\n"),
            &["ShellCommandRequirement"],
        ),
        (
            "a requirement less",
            world().document(
                "  EnvVarRequirement: {envDef: {LANG: C, MODE: fast}}\n",
                "  WorkReuse: {enableReuse: true}\n",
            ),
            &["EnvVarRequirement"],
        ),
        (
            "a file that is written",
            world().document("entry: echo", "entry: echo 1"),
            &["InitialWorkDirRequirement"],
        ),
        (
            "a file that the document names",
            world().origin("file:///ref/index", local(5, 12, 12)),
            &["InitialWorkDirRequirement file 1"],
        ),
        ("the values of inputs", world().inputs("\"n\": 3", "\"n\": 4"), &["input n"]),
        ("the digits of a number", world().inputs("\"n\": 3", "\"n\": 3.0"), &["input n"]),
        ("a secret", world().inputs("hunter2", "hunter3"), &["input pw"]),
        ("how secrets are hidden", world().with(|w| w.secret_key = [8; 32]), &[]),
        (
            "the name of a file",
            world().inputs("\"basename\": \"a.fq\"", "\"basename\": \"b.fq\""),
            &["input reads"],
        ),
        (
            "a format",
            world().inputs("\"size\": 3", "\"size\": 3, \"format\": \"http://f\""),
            &["input reads"],
        ),
        (
            "another file",
            world()
                .inputs("file:///in/a.fq\"", "file:///in/b.fq\"")
                .origin("file:///in/b.fq", local(3, 10, 11)),
            &["input reads"],
        ),
        ("the size of a file", world().origin("file:///in/a.fq", local(2, 10, 11)), &["input reads"]),
        ("the time of its content", world().origin("file:///in/a.fq", local(3, 12, 11)), &["input reads"]),
        (
            "a content that was put back in time",
            world().origin("file:///in/a.fq", local(3, 10, 12)),
            &["input reads"],
        ),
        ("a secondary file", world().origin("file:///in/a.fq.idx", local(4, 12, 12)), &["input reads"]),
        ("what is asked for", world().with(|w| w.requested.ram_mib = 512), &["resources"]),
        ("the image", world().with(|w| w.image = Some("sha256:2")), &["image"]),
        ("no container", world().with(|w| w.image = None), &["image"]),
        ("the network", world().with(|w| w.network = true), &["network"]),
        ("an option", world().with(|w| w.options[0].1 = "host".to_owned()), &["--custom-net"]),
        (
            "two things",
            world().inputs("\"n\": 3", "\"n\": 4").document("MODE: fast", "MODE: slow"),
            &["EnvVarRequirement", "input n"],
        ),
    ];
    for (what, after, expected) in cases {
        assert_eq!(changed(&world(), &after), expected, "{what}");
    }
}

#[test]
fn an_output_of_a_job_is_known_by_its_content_if_that_was_hashed() {
    let with = |location: &str, checksum: Option<&str>, origin: Option<Origin>| {
        let checksum = checksum.map(|sum| format!(r#", "checksum": "{sum}""#)).unwrap_or_default();
        let file = format!(
            r#"{{"reads": {{"class": "File", "location": "{location}", "basename": "a.fq"{checksum}}}}}"#
        );
        let world = World::new().with(|world| world.inputs = file);
        match origin {
            Some(origin) => world.origin(location, origin),
            None => world,
        }
    };
    let hashed = with("file:///jobs/1/a.fq", Some("sha1$a"), None);
    assert!(changed(&hashed, &with("file:///jobs/2/a.fq", Some("sha1$a"), None)).is_empty());
    assert_eq!(changed(&hashed, &with("file:///jobs/1/a.fq", Some("sha1$b"), None)), ["input reads"]);
    let first = with("file:///jobs/1/a.fq", None, Some(attempt(1)));
    assert!(changed(&first, &with("file:///jobs/moved/a.fq", None, Some(attempt(1)))).is_empty());
    assert_eq!(changed(&first, &with("file:///jobs/1/a.fq", None, Some(attempt(2)))), ["input reads"]);
    assert_eq!(changed(&first, &hashed), ["input reads"], "one is never taken for the other");
}

#[test]
fn a_directory_is_all_that_is_in_it() {
    let with = |digest: &str, listing: &str| {
        let directory = format!(
            r#"{{"reads": {{"class": "Directory", "location": "file:///in/d", "basename": "d"{listing}}}}}"#
        );
        World::new()
            .with(|world| world.inputs = directory)
            .origin("file:///in/d", Origin::Local(Local::Directory(digest.into())))
    };
    assert!(changed(&with("a", ""), &with("a", "")).is_empty());
    assert_eq!(changed(&with("a", ""), &with("b", "")), ["input reads"]);
    // What is listed lies in the directory: nobody asks for it again, and its origin would not be known here.
    let listing = r#", "listing": [{"class": "File", "location": "file:///in/d/a", "basename": "a"}]"#;
    assert_eq!(changed(&with("a", ""), &with("a", listing)), ["input reads"]);
}

#[test]
fn literals_are_their_content() {
    let with = |contents: &str| {
        World::new().with(|world| {
            world.inputs = format!(r#"{{"reads": {{"class": "Directory", "basename": "d", "listing": [{{"class": "File", "basename": "l", "contents": "{contents}"}}]}}}}"#);
        })
    };
    assert!(changed(&with("a"), &with("a")).is_empty());
    assert_eq!(changed(&with("a"), &with("b")), ["input reads"]);
}

#[test]
fn values_that_look_alike_are_told_apart() {
    let values = [
        "null",
        "\"null\"",
        "3",
        "\"3\"",
        "[]",
        "{}",
        "[[\"a\", 1]]",
        r#"{"a": 1}"#,
        r#"{"map": [["a", {"number": "1"}]]}"#,
        r#"{"number": "3"}"#,
        r#"{"class": "File", "contents": "x", "basename": "y"}"#,
        r#"{"file": {"basename": "y", "contents": "x"}}"#,
        r#"{"class": "Directory", "basename": "y"}"#,
    ];
    let hash = |value: &str| {
        World::new().with(|world| world.inputs = format!(r#"{{"reads": {value}}}"#)).key().unwrap().hash
    };
    for (index, one) in values.iter().enumerate() {
        for other in &values[index + 1..] {
            assert_ne!(hash(one), hash(other), "{one} {other}");
        }
    }
}

#[test]
fn what_may_not_be_used_again_has_no_key_but_a_reason() {
    let https = |validator: Option<&str>| {
        World::new()
            .inputs("file:///in/a.fq\"", "https://h/a.fq\"")
            .origin("https://h/a.fq", Origin::Remote { validator: validator.map(str::to_owned) })
    };
    let cases = [
        (World::new().with(|w| w.reuse = false), "WorkReuse says that its result must not be used again"),
        (
            World::new().document("hints:\n", "hints:\n  InplaceUpdateRequirement: {inplaceUpdate: true}\n"),
            "it may change its inputs in place (InplaceUpdateRequirement)",
        ),
        (https(None), "input reads: https://h/a.fq: its server tells nothing that would change with it"),
        (
            World::new().inputs("file:///in/a.fq.idx", "file:///in/gone"),
            "input reads: file:///in/gone: No such file or directory",
        ),
    ];
    for (world, reason) in cases {
        let no_key = world.key().unwrap_err();
        assert_eq!(no_key.to_string(), reason);
        let stored = serde_json::to_string(&no_key).unwrap();
        assert_eq!(serde_json::from_str::<NoKey>(&stored).unwrap(), no_key);
    }
    assert_eq!(changed(&https(Some("\"1\"")), &https(Some("\"2\""))), ["input reads"]);
    assert!(changed(&https(Some("\"1\"")), &https(Some("\"1\""))).is_empty());
}

#[test]
fn what_a_generator_keeps_beside_its_outputs_counts() {
    let keys = Keys::new(&[1; 32]);
    let tool = World::new().tool();
    let facts = JobFacts {
        inputs: &Value::Null,
        secrets: &Secrets::default(),
        requested: World::new().requested,
        reuse: true,
        network: false,
        image: None,
        options: &[],
    };
    let key = |tool: &JobTool| keys.job(&keys.tool(tool).unwrap(), &facts, &World::new()).unwrap();
    let with_siblings = JobTool { with_siblings: true, ..tool.clone() };
    assert_eq!(key(&tool).differences(&key(&with_siblings)), ["tool"]);
}

#[test]
fn keys_of_tools_that_were_written_and_read_are_the_same() {
    let keys = Keys::new(&[1; 32]);
    let tools = documents::own();
    for tool in &tools {
        let written = moil_job::wire::write_tool(tool).unwrap();
        let read = moil_job::wire::read_tool(&written.text, &written.hash).unwrap();
        let pairs = [tool, &read].map(|tool| format!("{:?}", keys.tool(tool)));
        assert_eq!(pairs[0], pairs[1]);
    }
}
