//! What decides the result of a tool's jobs, as text: what memo keys are taken of.
//!
//! The text is JSON, made of the process as it is in memory. So it is equal for documents that mean the same:
//! wherever they lie, and however they are laid out, abbreviated and commented. What no job sees is not in it:
//! places, labels, identifiers, names of types, defaults (the inputs of a job are complete), and whatever was
//! done with the inputs before the job got them.

mod preparation;

pub use preparation::preparation;
use serde_json::{Value as Json, json};

use crate::inherit::Effective;
use crate::number::Number;
use crate::parameter::{
    CommandLineBinding, Input, LoadListing, Output, OutputBinding, Required, SecondaryFilePattern, Stream,
};
use crate::process::{Argument, CommandLineTool, Version};
use crate::requirement::{CudaRequirement, DockerRequirement, SoftwarePackage, WorkDirEntry};
use crate::text::{NumberOrText, Text};
use crate::types::{RecordField, Type};
use crate::value::Value;

/// How many types a tool may have before it has no canonical text: types in types in types can be endless when
/// they are written out.
const MAX_TYPES: usize = 100_000;

/// The tool itself, without requirements; `None` if its types are too many.
pub fn tool(tool: &CommandLineTool) -> Option<String> {
    let mut types = Types { left: MAX_TYPES };
    let inputs = list(&tool.common.inputs, |input| types.input(input, Side::Input));
    let outputs = list(&tool.common.outputs, |output| types.output(output));
    let text = fields([
        ("cwlVersion", Some(version(tool.common.version))),
        ("baseCommand", some_list(&tool.base_command, |word| json!(word))),
        ("arguments", some_list(&tool.arguments, argument)),
        ("stdin", tool.stdin.as_ref().map(text)),
        ("stdout", tool.stdout.as_ref().map(text)),
        ("stderr", tool.stderr.as_ref().map(text)),
        ("successCodes", codes(&tool.success_codes)),
        ("temporaryFailCodes", codes(&tool.temporary_fail_codes)),
        ("permanentFailCodes", codes(&tool.permanent_fail_codes)),
        ("inputs", Some(inputs)),
        ("outputs", Some(outputs)),
    ]);
    (types.left > 0).then(|| text.to_string())
}

/// The requirements and hints in force that a tool sees, each with the name of its class. Not among them are
/// those that say how a job is run, not what it does (WorkReuse, ToolTimeLimit, Secrets, UsePreemptible), and those that are
/// known better by their outcome: ResourceRequirement, NetworkAccess and the image of DockerRequirement.
pub fn requirements(effective: &Effective) -> Vec<(&'static str, String)> {
    let docker = effective.docker.as_ref().and_then(|(docker, _)| docker.output_directory.as_ref());
    let parts = [
        (
            "InlineJavascriptRequirement",
            effective.javascript.as_ref().map(|library| list(library.as_slice(), text)),
        ),
        ("DockerRequirement", docker.map(|directory| json!(directory))),
        ("SoftwareRequirement", effective.software.as_ref().map(|packages| list(packages, package))),
        (
            "InitialWorkDirRequirement",
            effective.initial_work_dir.as_ref().map(|entries| list(entries, entry)),
        ),
        ("EnvVarRequirement", effective.environment.as_ref().map(|variables| environment(variables))),
        ("ShellCommandRequirement", effective.shell.then_some(json!(true))),
        ("LoadListingRequirement", effective.load_listing.map(listing)),
        ("CUDARequirement", effective.cuda.as_ref().map(|cuda| graphics(cuda))),
        ("MPIRequirement", effective.mpi.as_ref().map(number_or_text)),
        ("ShmSize", effective.shm_size.as_ref().map(text)),
    ];
    parts.into_iter().filter_map(|(class, part)| Some((class, part?.to_string()))).collect()
}

/// The files and directories that InitialWorkDirRequirement itself names, in order: what lies there decides, too.
pub fn named_files(effective: &Effective) -> Vec<&Value> {
    let entries = effective.initial_work_dir.as_deref().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| match entry {
            WorkDirEntry::Value(value) if !value.is_null() => Some(value),
            _ => None,
        })
        .collect()
}

/// What a DockerRequirement says of its image, for where no digest is known.
pub fn image(docker: &DockerRequirement) -> String {
    let some = |text: &Option<std::sync::Arc<str>>| text.as_ref().map(|text| json!(text));
    fields([
        ("dockerPull", some(&docker.pull)),
        ("dockerLoad", some(&docker.load)),
        ("dockerFile", some(&docker.file)),
        ("dockerImport", some(&docker.import)),
        ("dockerImageId", some(&docker.image_id)),
    ])
    .to_string()
}

/// A mapping of those fields that there are.
fn fields<const N: usize>(fields: [(&str, Option<Json>); N]) -> Json {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Json::Object(there.collect())
}

fn list<T>(items: &[T], each: impl FnMut(&T) -> Json) -> Json {
    Json::Array(items.iter().map(each).collect())
}

/// A list that is written only if it is not empty.
fn some_list<T>(items: &[T], each: impl FnMut(&T) -> Json) -> Option<Json> {
    (!items.is_empty()).then(|| list(items, each))
}

fn text(text: &Text) -> Json {
    json!(text.text)
}

fn version(version: Version) -> Json {
    json!(match version {
        Version::V1_0 => "v1.0",
        Version::V1_1 => "v1.1",
        Version::V1_2 => "v1.2",
        Version::V1_3Dev => "v1.3.0-dev1",
    })
}

fn listing(listing: LoadListing) -> Json {
    json!(match listing {
        LoadListing::None => "no_listing",
        LoadListing::Shallow => "shallow_listing",
        LoadListing::Deep => "deep_listing",
    })
}

/// Codes are a set.
fn codes(codes: &[i64]) -> Option<Json> {
    let mut codes = codes.to_vec();
    codes.sort_unstable();
    codes.dedup();
    some_list(&codes, |code| json!(code))
}

/// Constants are written so that no expression looks like one.
fn number_or_text(value: &NumberOrText) -> Json {
    match value {
        NumberOrText::Number(number) => json!({ "number": number.to_json_text() }),
        NumberOrText::Text(expression) => text(expression),
    }
}

/// A string is short for a binding with that `valueFrom`.
fn argument(argument: &Argument) -> Json {
    match argument {
        Argument::Text(expression) => fields([("valueFrom", Some(text(expression)))]),
        Argument::Binding(given) => binding(given),
    }
}

fn binding(binding: &CommandLineBinding) -> Json {
    let CommandLineBinding {
        position,
        prefix,
        separate,
        item_separator,
        value_from,
        shell_quote,
        load_contents,
        place: _,
    } = binding;
    let is_first = |position: &&NumberOrText| **position == NumberOrText::Number(Number::Int(0));
    fields([
        ("position", position.as_ref().filter(|position| !is_first(position)).map(number_or_text)),
        ("prefix", prefix.as_ref().map(|prefix| json!(prefix))),
        ("separate", (!separate).then_some(json!(false))),
        ("itemSeparator", item_separator.as_ref().map(|separator| json!(separator))),
        ("valueFrom", value_from.as_ref().map(text)),
        ("shellQuote", (!shell_quote).then_some(json!(false))),
        ("loadContents", load_contents.then_some(json!(true))),
    ])
}

fn output_binding(binding: &OutputBinding) -> Json {
    let OutputBinding { glob, load_contents, load_listing, output_eval } = binding;
    fields([
        ("glob", some_list(glob, text)),
        ("loadContents", load_contents.then_some(json!(true))),
        ("loadListing", load_listing.map(listing)),
        ("outputEval", output_eval.as_ref().map(text)),
    ])
}

/// A pattern of an output, where nothing is required that does not say so.
fn pattern(pattern: &SecondaryFilePattern) -> Json {
    match &pattern.required {
        None | Some(Required::Known(false)) => text(&pattern.pattern),
        Some(Required::Known(true)) => json!({ "pattern": text(&pattern.pattern), "required": true }),
        Some(Required::Text(required)) => {
            json!({ "pattern": text(&pattern.pattern), "required": text(required) })
        }
    }
}

fn package(package: &SoftwarePackage) -> Json {
    json!({ "package": package.package, "version": package.version, "specs": package.specs })
}

fn graphics(cuda: &CudaRequirement) -> Json {
    json!({ "cudaVersionMin": cuda.version_min, "cudaComputeCapability": cuda.compute_capability })
}

/// Variables are a mapping.
fn environment(variables: &[(std::sync::Arc<str>, Text)]) -> Json {
    let mut sorted: Vec<_> = variables.iter().collect();
    sorted.sort_by_key(|(name, _)| name);
    list(&sorted, |(name, value)| json!([name, text(value)]))
}

fn entry(entry: &WorkDirEntry) -> Json {
    match entry {
        WorkDirEntry::Dirent { entry, entryname, writable } => fields([
            ("entry", Some(text(entry))),
            ("entryname", entryname.as_ref().map(text)),
            ("writable", writable.then_some(json!(true))),
        ]),
        WorkDirEntry::Text(expression) => text(expression),
        WorkDirEntry::Value(Value::Null) => Json::Null,
        // It stands among the named files.
        WorkDirEntry::Value(_) => json!(true),
    }
}

/// A value that a document gives, if it gives one.
fn entry_value(value: &Value) -> Option<Json> {
    if value.is_null() { None } else { Some(json!(value)) }
}

/// On which side of a tool a type stands. What an input's type says of files was done with before the job got
/// its inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
    /// An input that is still to be completed.
    Given,
}

/// Writes types, but not endlessly many.
struct Types {
    left: usize,
}

impl Types {
    fn input(&mut self, input: &Input, side: Side) -> Json {
        fields([
            ("name", Some(json!(input.name))),
            ("type", Some(self.type_(&input.type_, side))),
            ("loadContents", input.load_contents.then_some(json!(true))),
            ("loadListing", input.load_listing.map(listing)),
            ("inputBinding", input.binding.as_ref().map(binding)),
        ])
    }

    fn output(&mut self, output: &Output) -> Json {
        // The file of a stream is known by the stream's name.
        let (stream, binding) = match output.stream {
            Some(Stream::Stdout) => (Some(json!("stdout")), None),
            Some(Stream::Stderr) => (Some(json!("stderr")), None),
            None => (None, output.binding.as_ref().map(output_binding)),
        };
        fields([
            ("name", Some(json!(output.name))),
            ("type", Some(self.type_(&output.type_, Side::Output))),
            ("stream", stream),
            ("secondaryFiles", some_list(&output.secondary_files, pattern)),
            ("format", output.format.as_ref().map(text)),
            ("outputBinding", binding),
        ])
    }

    fn type_(&mut self, type_: &Type, side: Side) -> Json {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Json::Null;
        }
        let name = match type_ {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::String => "string",
            Type::File => "File",
            Type::Directory => "Directory",
            Type::Any => "Any",
            Type::Record(record) => {
                return fields([
                    ("fields", Some(list(&record.fields, |field| self.field(field, side)))),
                    ("inputBinding", record.binding.as_ref().map(binding)),
                ]);
            }
            Type::Enum(enumeration) => {
                return fields([
                    ("symbols", Some(json!(enumeration.symbols))),
                    ("inputBinding", enumeration.binding.as_ref().map(binding)),
                ]);
            }
            Type::Array(array) => {
                return fields([
                    ("items", Some(self.type_(&array.items, side))),
                    ("inputBinding", array.binding.as_ref().map(binding)),
                ]);
            }
            Type::Union(types) => return self.union(types, side),
        };
        json!(name)
    }

    /// The order counts, since the first alternative that fits is taken; but nothing else fits null.
    fn union(&mut self, types: &[Type], side: Side) -> Json {
        if let [alone] = types {
            return self.type_(alone, side);
        }
        let null = types.iter().filter(|type_| **type_ == Type::Null).take(1);
        let others = types.iter().filter(|type_| **type_ != Type::Null);
        Json::Array(null.chain(others).map(|type_| self.type_(type_, side)).collect())
    }

    fn field(&mut self, field: &RecordField, side: Side) -> Json {
        let counts = side != Side::Input;
        fields([
            ("name", Some(json!(field.name))),
            ("type", Some(self.type_(&field.type_, side))),
            ("loadContents", field.load_contents.then_some(json!(true))),
            ("loadListing", field.load_listing.map(listing)),
            ("secondaryFiles", some_list(&field.secondary_files, pattern).filter(|_| counts)),
            ("format", some_list(&field.format, text).filter(|_| counts)),
            ("inputBinding", field.input_binding.as_ref().map(binding)),
            ("outputBinding", field.output_binding.as_ref().map(output_binding)),
        ])
    }
}

#[cfg(test)]
mod tests;
