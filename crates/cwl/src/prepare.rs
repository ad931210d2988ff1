//! The input objects of a step: links merged, defaults, scattering, `valueFrom` and `when`
//! (CWL v1.2 Workflow §"WorkflowStep", §"WorkflowStepInput"), and the rounds of a loop.

use std::sync::Arc;

use moil_salad::source::Place;

use crate::conform::describe;
use crate::error::Error;
use crate::expression::{Context, Evaluator};
use crate::file_object;
use crate::files::Files;
use crate::inherit::Effective;
use crate::input_object::add_sizes;
use crate::load_contents::{listing_in_force, load_value};
use crate::merge::merge;
use crate::parameter::{LoadListing, SourceList};
use crate::process::{Loop, LoopOutput, Step, StepInput};
use crate::process_inputs::default_value;
use crate::scatter::Scatter;
use crate::text::Text;
use crate::value::{Value, ValueMap};

/// The inputs of one element of a step, or of the step itself where it is not scattered.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Values of all step inputs, also of those that the process does not declare.
    pub inputs: ValueMap,
    /// `when` said no: the element does not run, and all its outputs are null.
    pub skipped: bool,
}

/// The inputs of a step before scattering: for each, the values of its links merged, or its default
/// where that gives null. `sources` holds, for each step input in order, one value per link.
///
/// # Errors
/// [`Error::Invalid`] where `pickValue` cannot pick, or a default holds a File that is none;
/// [`Error::MissingFiles`] where a default that is used names files that are not there.
pub fn step_inputs(step: &Step, sources: &[Vec<Value>], files: &dyn Files) -> Result<ValueMap, Error> {
    let mut inputs = ValueMap::with_capacity(step.inputs.len());
    for (index, input) in step.inputs.iter().enumerate() {
        let values = sources.get(index).map_or(&[][..], Vec::as_slice);
        let value = match merge(&input.source, values, &format!("{}/{}", step.name, input.name))? {
            Value::Null => checked_default(&input.default, &input.place, &input.name, files)?,
            value => value,
        };
        inputs.insert(Arc::clone(&input.name), value);
    }
    Ok(inputs)
}

/// A default that is used: its files are completed, and must be there.
fn checked_default(default: &Value, place: &Place, name: &str, files: &dyn Files) -> Result<Value, Error> {
    let mut missing = Vec::new();
    let value = default_value(default, place, name)?;
    let value = add_sizes(&value, name, Some(place), true, files, &mut missing)?;
    if missing.is_empty() { Ok(value) } else { Err(Error::MissingFiles(missing)) }
}

/// The inputs of one element: items of scattered inputs are picked, contents and listings loaded, then
/// every `valueFrom` is evaluated, and last `when`, or the condition of a loop. `inputs` are those of [`step_inputs`].
///
/// `valueFrom` sees as `self` its own input after scattering, and as `inputs` all of them before any
/// `valueFrom`; `when` sees the result. `effective` are the requirements in force for the step.
///
/// # Errors
/// Those of expressions and of reading files; [`Error::Invalid`] where `when` gives no boolean.
pub fn element_inputs(
    step: &Step,
    inputs: &ValueMap,
    scatter: Option<(&Scatter, usize)>,
    evaluator: &Evaluator,
    effective: &Effective,
    files: &dyn Files,
) -> Result<Prepared, Error> {
    let mut picked = match scatter {
        Some((scatter, element)) => scatter.pick(inputs, element),
        None => inputs.clone(),
    };
    for input in &step.inputs {
        let listing = listing(step, input, effective);
        if let Some(value) = picked.get_mut(&input.name)
            && (input.load_contents || listing != LoadListing::None)
        {
            *value = load_value(value, input.load_contents, listing, &input.place, files)?;
        }
    }
    if !has_expressions(step) {
        return Ok(Prepared { inputs: picked, skipped: false });
    }
    let seen = Value::map(picked);
    let mut results = seen.as_map().cloned().unwrap_or_default();
    for input in &step.inputs {
        if let Some(value_from) = &input.value_from {
            let value = made_value(value_from, &seen, seen.field(&input.name), evaluator, effective)?;
            results.insert(Arc::clone(&input.name), value);
        }
    }
    let condition_of_loop = step.loop_.as_ref().map(|loop_| &loop_.when);
    let skipped = match step.when.as_ref().or(condition_of_loop) {
        None => false,
        Some(when) => !condition(when, &results, evaluator, effective)?,
    };
    Ok(Prepared { inputs: results, skipped })
}

/// How directories of a step input are listed. Where no expression can see it, they are listed only if
/// the step input itself says so; the process lists them anew as it wants them.
fn listing(step: &Step, input: &StepInput, effective: &Effective) -> LoadListing {
    if let Some(listing) = input.load_listing {
        return listing;
    }
    let mentions = |text: &Option<Text>| text.as_ref().is_some_and(|text| text.text.contains("listing"));
    // cwltool lists `self` of a valueFrom to the bottom whatever the document says, and workflows rely on it.
    if mentions(&input.value_from) {
        return LoadListing::Deep;
    }
    if has_expressions(step) { listing_in_force(None, effective) } else { LoadListing::None }
}

/// Whether anything is evaluated before the process gets its inputs.
fn has_expressions(step: &Step) -> bool {
    step.when.is_some() || step.loop_.is_some() || step.inputs.iter().any(|input| input.value_from.is_some())
}

fn evaluate(
    text: &Text,
    inputs: &Value,
    self_: &Value,
    evaluator: &Evaluator,
    effective: &Effective,
) -> Result<Value, Error> {
    let context = Context {
        evaluator,
        inputs,
        runtime: &Value::Null,
        javascript: effective.javascript.as_ref(),
        version: effective.version,
    };
    context.evaluate(text, self_)
}

/// The value of a `valueFrom`, with the files in it completed.
fn made_value(
    value_from: &Text,
    inputs: &Value,
    self_: &Value,
    evaluator: &Evaluator,
    effective: &Effective,
) -> Result<Value, Error> {
    let value = evaluate(value_from, inputs, self_, evaluator, effective)?;
    file_object::normalise(&value, None)
        .map_err(|message| Error::invalid(&value_from.place, format!("valueFrom: {message}")))
}

/// The value of a `when`.
fn condition(
    when: &Text,
    inputs: &ValueMap,
    evaluator: &Evaluator,
    effective: &Effective,
) -> Result<bool, Error> {
    match evaluate(when, &Value::map(inputs.clone()), &Value::Null, evaluator, effective)? {
        Value::Bool(value) => Ok(value),
        other => Err(Error::invalid(
            &when.place,
            format!("when gives {}, but must give a boolean", describe(&other)),
        )),
    }
}

/// The inputs of the next round of a loop, from the inputs and outputs of the last one; `None` where its
/// condition says that it ends. What the loop does not name stays.
///
/// `valueFrom` sees as `self` what its sources give, null where there are none, and as `inputs` those of
/// the last round; the condition sees those of the next.
///
/// # Errors
/// Those of expressions and of listing directories; [`Error::Invalid`] where `pickValue` cannot pick, or the
/// condition gives no boolean.
pub fn next_round(
    loop_: &Loop,
    step: &Step,
    inputs: &ValueMap,
    outputs: &Value,
    evaluator: &Evaluator,
    effective: &Effective,
    files: &dyn Files,
) -> Result<Option<ValueMap>, Error> {
    let last = Value::map(inputs.clone());
    let mut next = inputs.clone();
    for input in &loop_.inputs {
        let values: Vec<Value> = input.sources.iter().map(|name| outputs.field(name).clone()).collect();
        let source = SourceList {
            links: Vec::new(),
            is_list: input.is_list,
            link_merge: input.link_merge,
            pick_value: input.pick_value,
        };
        let merged =
            merge(&source, &values, &format!("{}/{}", step.name, input.name)).map_err(
                |error| match error {
                    Error::Invalid { place: None, message } => Error::invalid(&step.place, message),
                    other => other,
                },
            )?;
        let mut value = match merged {
            Value::Null => checked_default(&input.default, &step.place, &input.name, files)?,
            value => value,
        };
        if let Some(value_from) = &input.value_from {
            if value_from.text.contains("listing") {
                value = load_value(&value, false, LoadListing::Deep, &step.place, files)?;
            }
            value = made_value(value_from, &last, &value, evaluator, effective)?;
        }
        next.insert(Arc::clone(&input.name), value);
    }
    let goes_on = condition(&loop_.when, &next, evaluator, effective)?;
    Ok(goes_on.then_some(next))
}

/// What one output of a loop is, from its values in all rounds: the last one, or all of them.
pub fn gather_rounds(output: LoopOutput, mut rounds: Vec<Value>) -> Value {
    match output {
        LoopOutput::Last => rounds.pop().unwrap_or_default(),
        LoopOutput::All => Value::list(rounds),
    }
}

#[cfg(test)]
mod tests;
