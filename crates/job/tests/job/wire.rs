use std::sync::Arc;

use moil_cwl::inherit::Effective;
use moil_cwl::json;
use moil_cwl::parameter::SourceList;
use moil_cwl::process::{CommandLineTool, Common};
use moil_cwl::requirement::Requirements;
use moil_cwl::types::{ArrayType, RecordField, RecordType, Type};
use moil_cwl::value::Value;
use moil_job::key::Keys;
use moil_job::resources::Resources;
use moil_job::secret::{SecretStore, Secrets};
use moil_job::spec::{Attempt, AttemptId, Job, JobId, JobTool};
use moil_job::wire::{self, WireError};

use crate::documents;

/// The tool without what no job looks at.
fn bare(tool: &JobTool) -> JobTool {
    let mut bare: CommandLineTool = (*tool.tool).clone();
    let Common { label, doc, inputs, outputs, requirements, .. } = &mut bare.common;
    (*label, *doc, *requirements) = (None, None, Requirements::default());
    for input in inputs {
        (input.label, input.doc, input.default) = (None, None, Value::Null);
        input.type_ = bare_type(&input.type_);
    }
    for output in outputs {
        (output.label, output.doc, output.source) = (None, None, SourceList::default());
        output.type_ = bare_type(&output.type_);
    }
    JobTool { tool: Arc::new(bare), ..tool.clone() }
}

fn bare_type(type_: &Type) -> Type {
    match type_ {
        Type::Record(record) => {
            let fields = record.fields.iter().map(|field| RecordField {
                label: None,
                doc: None,
                type_: bare_type(&field.type_),
                ..field.clone()
            });
            Type::Record(Arc::new(RecordType { fields: fields.collect(), ..(**record).clone() }))
        }
        Type::Array(array) => {
            Type::Array(Arc::new(ArrayType { items: bare_type(&array.items), ..(**array).clone() }))
        }
        Type::Union(types) => Type::Union(Arc::new(types.iter().map(bare_type).collect())),
        other => other.clone(),
    }
}

fn round_trip(tool: &JobTool) {
    let written = wire::write_tool(tool).unwrap();
    let read = wire::read_tool(&written.text, &written.hash).unwrap();
    // Debug shows places and the texts of numbers, which equality ignores.
    assert_eq!(format!("{read:?}"), format!("{:?}", bare(tool)), "{}", written.text);
    assert_eq!(wire::write_tool(&read).unwrap(), written);
}

#[test]
fn tools_of_our_own_documents_are_read_back_as_they_were() {
    let tools = documents::own();
    assert!(tools.len() > 50, "only {} tools", tools.len());
    tools.iter().for_each(round_trip);
}

#[test]
fn tools_of_the_official_suites_are_read_back_as_they_were() {
    let Some(tools) = documents::official() else {
        println!("skipped: the official suites are not here");
        return;
    };
    assert!(tools.len() > 500, "only {} tools", tools.len());
    tools.iter().for_each(round_trip);
}

fn tool() -> JobTool {
    documents::own().remove(0)
}

/// A tool with one input of a type.
fn tool_of(type_: Type) -> JobTool {
    let mut tool = tool();
    let mut inner = (*tool.tool).clone();
    inner.common.outputs[0].type_ = type_;
    tool.tool = Arc::new(inner);
    tool
}

fn attempt(inputs: &str, secrets: Secrets) -> Attempt {
    let id = JobId("align[3]/sort".into());
    let requested = Resources { cores: 1.5, ram_mib: 256, tmpdir_mib: 1, outdir_mib: 2, gpus: 0 };
    let job = Job {
        id: id.clone(),
        name: "sort_4".into(),
        tool: Arc::new(tool()),
        inputs: json::parse(inputs).unwrap(),
        requested,
        key: Some(Keys::new(&[7; 32]).key(&[("tool", "x")])),
    };
    Attempt {
        id: AttemptId { job: id, number: 2 },
        job: Arc::new(job),
        granted: Resources { ram_mib: 512, ..requested },
        secrets,
    }
}

#[test]
fn an_attempt_is_read_back_as_it_was() {
    let attempt = attempt(
        r#"{"a": 1.10, "b": {"class": "File", "location": "file:///a", "size": 3}, "c": [null, {"$x": 1e300}]}"#,
        Secrets::default(),
    );
    let tool = wire::write_tool(&attempt.job.tool).unwrap();
    let written = wire::write_attempt(&attempt, &tool.hash).unwrap();
    let read = wire::read_attempt(&written).unwrap();
    assert_eq!((read.tool(), read.id()), (tool.hash.as_str(), &attempt.id));
    let read = read.with(Arc::clone(&attempt.job.tool), Secrets::default());
    // A worker has no use for the key.
    let mut expected = attempt;
    Arc::make_mut(&mut expected.job).key = None;
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
}

#[test]
fn a_secret_is_never_written() {
    let store = SecretStore::new(&[7; 32]);
    let mut inputs = json::parse(r#"{"pw": "hunter2", "key": {"class": "File", "contents": "hunter2"}}"#)
        .unwrap()
        .as_map()
        .unwrap()
        .clone();
    store.hide_inputs(&["pw".into(), "key".into()], &mut inputs).unwrap();
    let mut attempt = attempt("{}", store.mentioned(&Value::map(inputs.clone())));
    let job = Arc::make_mut(&mut attempt.job);
    job.inputs = Value::map(inputs);
    // A default of a secret input stands in the document.
    let tool = Arc::make_mut(&mut job.tool);
    let mut inner = (*tool.tool).clone();
    inner.common.inputs[0].default = "hunter2".into();
    tool.tool = Arc::new(inner);
    let tool = wire::write_tool(&attempt.job.tool).unwrap();
    let written = wire::write_attempt(&attempt, &tool.hash).unwrap();
    assert!(written.contains("(secret-"), "{written}");
    assert!(!written.contains("hunter2") && !tool.text.contains("hunter2"), "{written} {}", tool.text);

    let beside = String::from_utf8(wire::write_secrets(&attempt.secrets)).unwrap();
    let beside = wire::read_secrets(&beside).unwrap();
    let read = wire::read_attempt(&written).unwrap().with(Arc::clone(&attempt.job.tool), beside);
    let placeholder = read.job.inputs.field("pw").as_str().unwrap().to_owned();
    assert_eq!(read.secrets.reveal(&placeholder), "hunter2");
}

#[test]
fn secrets_that_cannot_be_read_are_not_told() {
    let error = wire::read_secrets(r#"{"(secret-1)": "hunter2", "x": "hunter3}"#).unwrap_err().to_string();
    assert!(error.starts_with("the secrets cannot be read") && !error.contains("hunter"), "{error}");
}

#[test]
fn what_a_newer_moil_wrote_is_refused_with_a_word() {
    let found = wire::VERSION + 1;
    let text = format!(r#"{{"version": {found}, "of": {{"another": "form"}}}}"#);
    let error = wire::read_attempt(&text).unwrap_err();
    assert_eq!(error, WireError::Newer { what: "attempt", found });
    assert!(error.to_string().contains("a newer moil (form 2; this one reads form 1)"), "{error}");
}

#[test]
fn what_was_cut_off_or_changed_is_refused() {
    let wire::WrittenTool { hash, text } = wire::write_tool(&tool()).unwrap();
    for end in [0, 1, text.len() / 2, text.len() - 1] {
        let cut = &text[..end];
        assert!(matches!(wire::read_tool(cut, &hash), Err(WireError::OtherTool { .. })), "{end}");
        assert!(matches!(wire::read_attempt(cut), Err(WireError::Unreadable { .. })), "{end}");
    }
    assert!(matches!(wire::read_attempt(r#"{"version":1,"id":3}"#), Err(WireError::Unreadable { .. })));
    assert!(matches!(wire::read_attempt(&text), Err(WireError::Unreadable { .. })), "a tool is no attempt");
}

#[test]
fn the_deepest_type_that_is_loaded_is_read_back() {
    let mut deep = Type::Int;
    for level in 0..100 {
        deep = match level % 3 {
            0 => deep.array_of(),
            1 => Type::Union(Arc::new(vec![Type::Null, deep])),
            _ => {
                let field = RecordField {
                    name: "f".into(),
                    type_: deep,
                    label: None,
                    doc: None,
                    secondary_files: Vec::new(),
                    format: Vec::new(),
                    streamable: false,
                    load_contents: false,
                    load_listing: None,
                    input_binding: None,
                    output_binding: None,
                };
                Type::Record(Arc::new(RecordType { name: None, fields: vec![field], binding: None }))
            }
        };
    }
    round_trip(&tool_of(deep));
}

#[test]
fn types_in_types_without_end_are_refused_rather_than_written() {
    let endless = (0..60)
        .fold(Type::Int, |type_, _| Type::Union(Arc::new(vec![type_.clone().array_of(), type_, Type::Null])));
    let error = wire::write_tool(&tool_of(endless)).unwrap_err();
    assert!(error.to_string().contains("the tool cannot be written: it takes more than 16 MiB"), "{error}");
}

#[test]
fn only_what_is_said_is_written() {
    let nothing =
        JobTool { effective: Arc::new(Effective::none(moil_cwl::process::Version::V1_0)), ..tool() };
    let text = wire::write_tool(&nothing).unwrap().text;
    assert!(!text.contains("null") && text.contains(r#""effective":{"version":"v1.0"}"#), "{text}");
}
