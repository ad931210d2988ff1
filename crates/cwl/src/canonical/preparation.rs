//! What decides how an element of a step is prepared, beside its inputs: all expressions that are evaluated on the
//! way, and what they see.

use serde_json::{Value as Json, json};

use super::{
    Side, Types, entry_value, fields, list, listing, number_or_text, pattern, some_list, text, version,
};
use crate::inherit::Effective;
use crate::process::{Common, Loop, Step};
use crate::requirement::ResourceRequirement;
use crate::text::Text;

/// A step (if there is one) with the requirements in force for its own expressions, and the process that is prepared
/// with those in force for that. `expression` is that of an expression tool. `None` if its types are too many.
pub fn preparation(
    step: (Option<&Step>, &Effective),
    process: Option<(&Common, &Effective)>,
    expression: Option<&Text>,
) -> Option<String> {
    let mut types = Types { left: super::MAX_TYPES };
    let inputs = process.map(|(common, _)| inputs(common, &mut types));
    let written = fields([
        ("cwlVersion", Some(version(step.1.version))),
        ("step", step.0.map(self::step)),
        ("stepRequirements", Some(requirements(step.1))),
        ("inputs", inputs),
        ("requirements", process.map(|(_, effective)| requirements(effective))),
        ("expression", expression.map(text)),
    ]);
    (types.left > 0).then(|| written.to_string())
}

fn inputs(common: &Common, types: &mut Types) -> Json {
    list(&common.inputs, |input| {
        fields([
            ("input", Some(types.input(input, Side::Given))),
            ("default", entry_value(&input.default)),
            ("secondaryFiles", some_list(&input.secondary_files, pattern)),
            ("format", some_list(&input.format, text)),
        ])
    })
}

fn step(step: &Step) -> Json {
    let inputs = list(&step.inputs, |input| {
        fields([
            ("name", Some(json!(input.name))),
            ("default", entry_value(&input.default)),
            ("valueFrom", input.value_from.as_ref().map(text)),
            ("loadContents", input.load_contents.then_some(json!(true))),
            ("loadListing", input.load_listing.map(listing)),
        ])
    });
    fields([
        ("in", Some(inputs)),
        ("scatter", some_list(&step.scatter, |name| json!(name))),
        ("when", step.when.as_ref().map(text)),
        ("loop", step.loop_.as_ref().map(loop_)),
    ])
}

fn loop_(loop_: &Loop) -> Json {
    let inputs = list(&loop_.inputs, |input| {
        fields([
            ("name", Some(json!(input.name))),
            ("sources", Some(json!(input.sources))),
            ("isList", Some(json!(input.is_list))),
            ("linkMerge", input.link_merge.map(|merge| json!(format!("{merge:?}")))),
            ("pickValue", input.pick_value.map(|pick| json!(format!("{pick:?}")))),
            ("default", entry_value(&input.default)),
            ("valueFrom", input.value_from.as_ref().map(text)),
        ])
    });
    json!({ "when": text(&loop_.when), "inputs": inputs })
}

/// The requirements that expressions and the resource request depend on.
fn requirements(effective: &Effective) -> Json {
    fields([
        ("javascript", effective.javascript.as_ref().map(|library| list(library.as_slice(), text))),
        ("loadListing", effective.load_listing.map(listing)),
        ("resources", effective.resources.as_ref().map(|resources| self::resources(resources))),
        (
            "cuda",
            effective.cuda.as_ref().map(|cuda| {
                fields([
                    ("min", Some(number_or_text(&cuda.device_count_min))),
                    ("max", cuda.device_count_max.as_ref().map(number_or_text)),
                ])
            }),
        ),
        ("secrets", effective.secrets.as_ref().map(|names| json!(names.as_slice()))),
    ])
}

fn resources(resources: &ResourceRequirement) -> Json {
    let ResourceRequirement {
        cores_min,
        cores_max,
        ram_min,
        ram_max,
        tmpdir_min,
        tmpdir_max,
        outdir_min,
        outdir_max,
    } = resources;
    let all = [cores_min, cores_max, ram_min, ram_max, tmpdir_min, tmpdir_max, outdir_min, outdir_max];
    list(&all, |limit| limit.as_ref().map_or(Json::Null, number_or_text))
}
