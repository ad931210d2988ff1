//! Preparing a step: its inputs from the values of its links, those of one element, and the
//! rounds of a loop (CWL v1.2 Workflow §"WorkflowStep").

use std::sync::Arc;

use crate::error::Error;
use crate::expression::{Context, Evaluator};
use crate::files::Files;
use crate::inherit::Effective;
use crate::load_contents::{self, listing_in_force};
use crate::merge;
use crate::parameter::{Link, LinkTarget, SourceList};
use crate::process::{Loop, Step, StepInput};
use crate::scatter::Scatter;
use crate::text::Text;
use crate::value::{Value, ValueMap};
use crate::{file_object, input_object};

/// What one element of a step is to run with.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The inputs, after `valueFrom`.
    pub inputs: ValueMap,
    /// `when` said no.
    pub skipped: bool,
}

/// The inputs of a step as a whole. `sources` has the value of each link for each step input.
/// Defaults count where the sources give nothing or null.
///
/// # Errors
/// Of `pickValue`, and where a file to be loaded cannot be read.
pub fn step_inputs(
    step: &Step,
    sources: &[Vec<Value>],
    effective: &Effective,
    files: &dyn Files,
) -> Result<ValueMap, Error> {
    let mut inputs = ValueMap::with_capacity(step.inputs.len());
    for (input, values) in step.inputs.iter().zip(sources) {
        let what = format!("input {} of step {}", input.name, step.name);
        let merged = merge::merge(&input.source, values, &what)?;
        let value = if merged.is_null() { default(input, files)? } else { merged };
        let listing = listing_in_force(input.load_listing, effective);
        let loads = input.load_contents || input.load_listing.is_some();
        let value = if loads {
            load_contents::load_value(&value, input.load_contents, listing, &input.place, files)?
        } else {
            value
        };
        inputs.insert(Arc::clone(&input.name), value);
    }
    Ok(inputs)
}

/// The default of a step input, its files complete and checked for being there.
fn default(input: &StepInput, files: &dyn Files) -> Result<Value, Error> {
    if input.default.is_null() {
        return Ok(Value::Null);
    }
    let value = file_object::normalise(&input.default, None).map_err(|problem| {
        Error::invalid(&input.place, format!("the default of input {}: {problem}", input.name))
    })?;
    let named = ValueMap::from([(Arc::clone(&input.name), value)]);
    Ok(input_object::check_files(&named, files)?.swap_remove(&input.name).unwrap_or_default())
}

/// The inputs of one element: its item of what is scattered, then `valueFrom`, then `when`.
///
/// In `valueFrom`, `self` is the element's own value and `inputs` has all values from before any
/// `valueFrom`; `when` sees those after.
///
/// # Errors
/// What expressions give; a `when` that is no boolean.
pub fn element_inputs(
    step: &Step,
    inputs: &ValueMap,
    scatter: Option<(&Scatter, usize)>,
    evaluator: &Evaluator,
    effective: &Effective,
) -> Result<Prepared, Error> {
    let mut own = inputs.clone();
    if let Some((scatter, index)) = scatter {
        for (name, item) in scatter.names().iter().zip(scatter.element(index)) {
            let value = own.get(name).and_then(|list| list.as_list()?.get(item)).cloned();
            own.insert(Arc::clone(name), value.unwrap_or_default());
        }
    }
    let given = Value::map(own.clone());
    for input in &step.inputs {
        let Some(value_from) = &input.value_from else { continue };
        let self_ = given.field(&input.name).clone();
        let value = context(evaluator, effective, &given).evaluate(value_from, &self_)?;
        own.insert(Arc::clone(&input.name), value);
    }
    let inputs = Value::map(own.clone());
    let condition = step.when.as_ref().or(step.loop_.as_ref().map(|loop_| &loop_.when));
    let skipped = match condition {
        Some(when) => !condition_holds(when, &context(evaluator, effective, &inputs))?,
        None => false,
    };
    Ok(Prepared { inputs: own, skipped })
}

/// The inputs of a loop's next round from those of the last and its outputs; `None` when the
/// condition no longer holds.
///
/// # Errors
/// What expressions give; a condition that is no boolean; those of `pickValue`.
pub fn next_round(
    loop_: &Loop,
    step: &Step,
    inputs: &ValueMap,
    outputs: &Value,
    evaluator: &Evaluator,
    effective: &Effective,
) -> Result<Option<ValueMap>, Error> {
    let mut next = inputs.clone();
    for input in &loop_.inputs {
        if !input.sources.is_empty() || !input.default.is_null() {
            let values: Vec<Value> = input.sources.iter().map(|name| outputs.field(name).clone()).collect();
            let links = input
                .sources
                .iter()
                .map(|_| Link { place: loop_.when.place.clone(), target: LinkTarget::Input(0) });
            let source = SourceList {
                links: links.collect(),
                is_list: input.is_list,
                link_merge: input.link_merge,
                pick_value: input.pick_value,
            };
            let what = format!("input {} of the loop of step {}", input.name, step.name);
            let merged = merge::merge(&source, &values, &what)?;
            let value = if merged.is_null() { input.default.clone() } else { merged };
            next.insert(Arc::clone(&input.name), value);
        }
    }
    let given = Value::map(next.clone());
    for input in &loop_.inputs {
        let Some(value_from) = &input.value_from else { continue };
        let self_ = given.field(&input.name).clone();
        let value = context(evaluator, effective, &given).evaluate(value_from, &self_)?;
        next.insert(Arc::clone(&input.name), value);
    }
    let seen = Value::map(next.clone());
    let goes_on = condition_holds(&loop_.when, &context(evaluator, effective, &seen))?;
    Ok(goes_on.then_some(next))
}

fn condition_holds(when: &Text, context: &Context<'_>) -> Result<bool, Error> {
    match context.evaluate(when, &Value::Null)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(Error::invalid(
            &when.place,
            format!("the condition must give true or false, not {}", crate::conform::describe(&other)),
        )),
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
