//! The complete input object of a process: defaults, types, formats, secondary files, contents.

use std::sync::Arc;

use moil_salad::fetch::Fetch;

use crate::conform;
use crate::error::Error;
use crate::expression::{Context, Evaluator};
use crate::file_object;
use crate::files::Files;
use crate::inherit::Effective;
use crate::input_object;
use crate::load_contents::{self, listing_in_force};
use crate::ontology::LazyOntology;
use crate::parameter::Input;
use crate::process::Common;
use crate::secondary_files;
use crate::text::Text;
use crate::types::Type;
use crate::value::{Value, ValueMap};

/// How input objects are checked.
pub struct InputOptions {
    /// The ontologies of the document.
    pub ontology: LazyOntology,
    /// Reads them.
    pub fetch: Arc<dyn Fetch + Send + Sync>,
}

/// A complete input object.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessInputs {
    /// The input object: exactly the declared inputs.
    pub inputs: Value,
}

/// Completes what was given for a process: only what it declares, defaults where nothing or null
/// is given, secondary files, types and formats checked, contents and listings loaded. `discover`
/// says whether secondary files that were not given are looked for: those of the main process are;
/// inside a workflow, what a step did not get was not meant to be there.
///
/// # Errors
/// [`Error::Invalid`] with the input's name and place; [`Error::MissingFiles`]; what expressions give.
pub fn process_inputs(
    common: &Common,
    effective: &Effective,
    given: &ValueMap,
    evaluator: &Evaluator,
    files: &dyn Files,
    options: &InputOptions,
    discover: bool,
) -> Result<ProcessInputs, Error> {
    let mut values = ValueMap::with_capacity(common.inputs.len());
    let mut defaults = ValueMap::new();
    for input in &common.inputs {
        if !input.default.is_null() && given.get(&input.name).is_none_or(Value::is_null) {
            let value = file_object::normalise(&input.default, Some(&common.id)).map_err(|problem| {
                Error::invalid(&input.place, format!("the default of input {}: {problem}", input.name))
            })?;
            defaults.insert(Arc::clone(&input.name), value);
        }
    }
    let defaults = input_object::check_files(&defaults, files)?;
    for input in &common.inputs {
        let value = match given.get(&input.name) {
            Some(value) if !value.is_null() => value.clone(),
            _ => defaults.get(&input.name).cloned().unwrap_or_default(),
        };
        check_type(input, &value)?;
        values.insert(Arc::clone(&input.name), value);
    }
    let inputs = Value::map(values);
    let inputs = secondary_files::attach_inputs(
        &common.inputs,
        &context(evaluator, effective, &inputs),
        files,
        discover,
    )?;
    let mut loaded = ValueMap::with_capacity(common.inputs.len());
    for input in &common.inputs {
        let listing = listing_in_force(input.load_listing, effective);
        let value = load_contents::load_input(input, inputs.field(&input.name), listing, files)?;
        loaded.insert(Arc::clone(&input.name), value);
    }
    let inputs = Value::map(loaded);
    let formats = Formats { context: context(evaluator, effective, &inputs), options };
    for input in &common.inputs {
        formats.check(&input.type_, &input.format, inputs.field(&input.name), &input.name, input)?;
    }
    Ok(ProcessInputs { inputs })
}

fn check_type(input: &Input, value: &Value) -> Result<(), Error> {
    if value.is_null() && !input.type_.is_optional() {
        return Err(Error::invalid(&input.place, format!("input {} is missing", input.name)));
    }
    conform::check(value, &input.type_, &input.name)
        .map_err(|mismatch| Error::invalid(&input.place, format!("input {mismatch}")))
}

struct Formats<'a> {
    context: Context<'a>,
    options: &'a InputOptions,
}

impl Formats<'_> {
    /// Checks the formats of the files in a value, as the parameter and fields of records in its
    /// type demand them (CWL v1.2 §"Format").
    fn check(
        &self,
        type_: &Type,
        wanted: &[Text],
        value: &Value,
        what: &str,
        input: &Input,
    ) -> Result<(), Error> {
        match (value, conform::select(value, type_).unwrap_or(type_)) {
            (Value::File(file), _) if !wanted.is_empty() => {
                let wanted = self.evaluate(wanted, value)?;
                let format = file.format.as_deref();
                let welcome = wanted.is_empty()
                    || format.is_some_and(|format| {
                        wanted
                            .iter()
                            .any(|wanted| self.options.ontology.is_a(format, wanted, &*self.options.fetch))
                    });
                if welcome {
                    return Ok(());
                }
                let name = file.basename.as_deref().unwrap_or("the file");
                let has = format.map_or("no format".to_owned(), |format| format!("the format {format}"));
                Err(Error::invalid(
                    &input.place,
                    format!("input {what}: {name} has {has}, but must have {}", wanted.join(" or ")),
                ))
            }
            (Value::List(items), Type::Array(array)) => {
                items.iter().enumerate().try_for_each(|(index, item)| {
                    self.check(&array.items, wanted, item, &format!("{what}[{index}]"), input)
                })
            }
            (Value::Map(entries), Type::Record(record)) => record.fields.iter().try_for_each(|field| {
                let Some(value) = entries.get(&field.name) else { return Ok(()) };
                self.check(&field.type_, &field.format, value, &format!("{what}.{}", field.name), input)
            }),
            _ => Ok(()),
        }
    }

    fn evaluate(&self, wanted: &[Text], self_: &Value) -> Result<Vec<String>, Error> {
        let mut formats = Vec::new();
        for text in wanted {
            match self.context.evaluate(text, self_)? {
                Value::String(format) => formats.push(format.to_string()),
                Value::List(items) => {
                    formats.extend(items.iter().filter_map(|item| item.as_str().map(str::to_owned)));
                }
                Value::Null => {}
                other => {
                    let found = conform::describe(&other);
                    return Err(Error::invalid(
                        &text.place,
                        format!("`format` must be a string, not {found}"),
                    ));
                }
            }
        }
        Ok(formats)
    }
}

fn context<'a>(evaluator: &'a Evaluator, effective: &'a Effective, inputs: &'a Value) -> Context<'a> {
    static NULL: Value = Value::Null;
    Context {
        evaluator,
        inputs,
        runtime: &NULL,
        javascript: effective.javascript.as_ref(),
        version: effective.version,
    }
}
