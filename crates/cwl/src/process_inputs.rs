//! The input object of a process, complete and checked: the last thing before it runs
//! (CWL v1.2 Workflow §"Generic execution process", steps 1 to 4).

use std::sync::Arc;

use moil_salad::fetch::Fetch;
use moil_salad::source::Place;

use crate::conform;
use crate::error::Error;
use crate::expression::{Context, Evaluator};
use crate::file_object;
use crate::files::Files;
use crate::inherit::Effective;
use crate::input_object::add_sizes;
use crate::load_contents::{listing_in_force, load_input};
use crate::ontology::LazyOntology;
use crate::parameter::Input;
use crate::process::Common;
use crate::secondary_files::attach_inputs;
use crate::text::Text;
use crate::types::Type;
use crate::value::{Value, ValueMap};

/// How input objects are completed and checked.
pub struct InputOptions {
    /// The ontologies of the document, asked about formats that are not plainly the wanted ones.
    pub ontology: Arc<LazyOntology>,
    /// Reads them.
    pub fetch: Arc<dyn Fetch + Send + Sync>,
}

/// A complete input object.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessInputs {
    /// A record of all declared inputs and nothing else.
    pub inputs: Value,
}

/// The input object that a process sees.
///
/// Defaults stand in for what is absent or null, and are looked at only then, so that the default
/// file of an input that is given need not exist. Types, formats and secondary files are checked;
/// sizes, `contents` and listings are filled in. `discover` says whether secondary files that a File does not
/// bring along are looked for beside it: for the process that a run begins with. Inside, what a step did not
/// get was not meant to be there.
///
/// # Errors
/// [`Error::Invalid`] with every input that is missing or has a wrong type, or with the first that
/// has a wrong format; [`Error::MissingFiles`] with all files that are not there; those of expressions and of reading files.
pub fn process_inputs(
    common: &Common,
    effective: &Effective,
    given: &ValueMap,
    evaluator: &Evaluator,
    files: &dyn Files,
    options: &InputOptions,
    discover: bool,
) -> Result<ProcessInputs, Error> {
    let values = checked_values(common, given, files)?;
    let values = with_context(effective, evaluator, &Value::map(values), |context| {
        attach_inputs(&common.inputs, context, files, discover)
    })?;
    let mut loaded = ValueMap::with_capacity(common.inputs.len());
    let listing = listing_in_force(None, effective);
    for input in &common.inputs {
        loaded.insert(Arc::clone(&input.name), load_input(input, values.field(&input.name), listing, files)?);
    }
    let values = Value::map(loaded);
    with_context(effective, evaluator, &values, |context| {
        let checker = FormatChecker { context, options };
        common.inputs.iter().try_for_each(|input| checker.input(input, values.field(&input.name)))
    })?;
    Ok(ProcessInputs { inputs: values })
}

fn with_context<T>(
    effective: &Effective,
    evaluator: &Evaluator,
    inputs: &Value,
    with: impl FnOnce(&Context<'_>) -> T,
) -> T {
    with(&Context {
        evaluator,
        inputs,
        runtime: &Value::Null,
        javascript: effective.javascript.as_ref(),
        version: effective.version,
    })
}

/// The declared inputs with defaults and sizes, all of the right types.
fn checked_values(common: &Common, given: &ValueMap, files: &dyn Files) -> Result<ValueMap, Error> {
    let mut values = ValueMap::with_capacity(common.inputs.len());
    let mut missing = Vec::new();
    let mut faults: Vec<(&Place, String)> = Vec::new();
    for input in &common.inputs {
        let value = given.get(&input.name).filter(|value| !value.is_null());
        let (value, is_default) = match value {
            Some(value) => (value.clone(), false),
            None => (default_value(&input.default, &input.place, &input.name)?, true),
        };
        if value.is_null() && !input.type_.is_optional() {
            let type_ = conform::type_name(&input.type_);
            faults.push((&input.place, format!("input {} is missing; it must be {type_}", input.name)));
            continue;
        }
        if let Err(mismatch) = conform::check(&value, &input.type_, &input.name) {
            faults.push((&input.place, format!("input {mismatch}")));
            continue;
        }
        let value = add_sizes(&value, &input.name, Some(&input.place), is_default, files, &mut missing)?;
        values.insert(Arc::clone(&input.name), value);
    }
    if let Some((place, _)) = faults.first() {
        let messages: Vec<&str> = faults.iter().map(|(_, message)| message.as_str()).collect();
        return Err(Error::invalid(place, messages.join("\n")));
    }
    if missing.is_empty() { Ok(values) } else { Err(Error::MissingFiles(missing)) }
}

/// The values that were given, and the defaults of the inputs that were not; nothing is checked.
///
/// # Errors
/// A default that names a file in a way that cannot be understood.
pub fn with_defaults(common: &Common, given: &ValueMap) -> Result<ValueMap, Error> {
    let mut values = given.clone();
    for input in common.inputs.iter().filter(|input| !input.default.is_null()) {
        if values.get(&input.name).is_none_or(Value::is_null) {
            let default = default_value(&input.default, &input.place, &input.name)?;
            values.insert(Arc::clone(&input.name), default);
        }
    }
    Ok(values)
}

/// The default of an input of a process or step, with its files completed.
///
/// # Errors
/// [`Error::Invalid`] at `place` for files that are none.
pub(crate) fn default_value(default: &Value, place: &Place, name: &str) -> Result<Value, Error> {
    file_object::normalise(default, Some(&place.source.uri))
        .map_err(|message| Error::invalid(place, format!("the default of {name}: {message}")))
}

struct FormatChecker<'a> {
    context: &'a Context<'a>,
    options: &'a InputOptions,
}

impl FormatChecker<'_> {
    fn input(&self, input: &Input, value: &Value) -> Result<(), Error> {
        if input.format.is_empty() && !declares(&input.type_) {
            return Ok(());
        }
        self.value(&input.type_, value, &self.wanted(&input.format)?, &input.place, &input.name)
    }

    /// The formats that an input or field takes.
    fn wanted(&self, formats: &[Text]) -> Result<Vec<Arc<str>>, Error> {
        let mut wanted = Vec::with_capacity(formats.len());
        for format in formats {
            let value = self.context.evaluate(format, &Value::Null)?;
            for item in value.as_list().unwrap_or(std::slice::from_ref(&value)) {
                let Value::String(iri) = item else {
                    let found = conform::describe(item);
                    let message =
                        format!("format gives {found}, but must give a string or an array of strings");
                    return Err(Error::invalid(&format.place, message));
                };
                wanted.push(Arc::clone(iri));
            }
        }
        Ok(wanted)
    }

    fn value(
        &self,
        type_: &Type,
        value: &Value,
        wanted: &[Arc<str>],
        place: &Place,
        path: &str,
    ) -> Result<(), Error> {
        match value {
            Value::File(file) if !wanted.is_empty() => {
                let fault = match file.format.as_deref() {
                    Some(format) => {
                        let fits = |wanted: &Arc<str>| {
                            self.options.ontology.is_a(format, wanted, &*self.options.fetch)
                        };
                        if wanted.iter().any(fits) {
                            return Ok(());
                        }
                        format!("has the format {format}")
                    }
                    None => "has no format".to_owned(),
                };
                let name = file.basename.as_deref().unwrap_or_default();
                let message = format!("input {path}: {name} {fault}, but must have {}", wanted.join(" or "));
                Err(Error::invalid(place, message))
            }
            Value::List(items) => {
                let item_type = conform::select(value, type_).and_then(|type_| match type_ {
                    Type::Array(array) => Some(&array.items),
                    _ => None,
                });
                items.iter().enumerate().try_for_each(|(index, item)| {
                    self.value(
                        item_type.unwrap_or(&Type::Any),
                        item,
                        wanted,
                        place,
                        &format!("{path}[{index}]"),
                    )
                })
            }
            Value::Map(_) => match conform::select(value, type_) {
                Some(Type::Record(record)) => record.fields.iter().try_for_each(|field| {
                    let path = format!("{path}.{}", field.name);
                    let wanted = self.wanted(&field.format)?;
                    self.value(&field.type_, value.field(&field.name), &wanted, place, &path)
                }),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Whether a field of a record in a type declares formats.
fn declares(type_: &Type) -> bool {
    match type_ {
        Type::Union(types) => types.iter().any(declares),
        Type::Array(array) => declares(&array.items),
        Type::Record(record) => {
            record.fields.iter().any(|field| !field.format.is_empty() || declares(&field.type_))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
