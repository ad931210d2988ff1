//! Do the types of sources fit those of their sinks (CWL v1.2 Workflow §"WorkflowStepInput",
//! §"WorkflowOutputParameter")? And do the steps depend on each other in a circle?
//!
//! A link is an error where no value of the source would fit, and a warning where some would.

use std::sync::Arc;

use moil_salad::diagnostic::Diagnostic;
use moil_salad::source::Place;

use crate::assignable::{Fit, fit};
use crate::cycle;
use crate::parameter::{Link, LinkMerge, LinkTarget, PickValue, Required, SecondaryFilePattern, SourceList};
use crate::process::{LoopOutput, Process, ScatterMethod, Step, StepInput, Workflow};
use crate::type_name::type_name;
use crate::types::Type;

/// All that is wrong with the links of a workflow; not of those inside it.
pub fn check(workflow: &Workflow) -> Vec<Diagnostic> {
    let mut check = Check { workflow, diagnostics: Vec::new() };
    for step in &workflow.steps {
        for input in &step.inputs {
            check.step_input(step, input);
        }
    }
    check.outputs();
    check.diagnostics.extend(cycle::find(workflow));
    check.diagnostics
}

/// What a link gives.
struct Given<'w> {
    name: String,
    place: &'w Place,
    type_: Type,
    secondary_files: &'w [SecondaryFilePattern],
    /// The step may be skipped, and then gives null.
    conditional: bool,
}

/// What a link leads to.
struct Taken<'w> {
    what: String,
    place: &'w Place,
    type_: Type,
    secondary_files: &'w [SecondaryFilePattern],
    source: &'w SourceList,
    /// A default takes the place of null.
    has_default: bool,
    /// `valueFrom` makes something else of the value.
    is_computed: bool,
}

struct Check<'w> {
    workflow: &'w Workflow,
    diagnostics: Vec<Diagnostic>,
}

impl<'w> Check<'w> {
    fn step_input(&mut self, step: &'w Step, input: &'w StepInput) {
        let common = step.run.common();
        let what = format!("the input `{}` of the step `{}`", input.name, step.name);
        let Some(port) = common.input(&input.name) else {
            if !matches!(step.run, Process::Generator(_)) && !is_used(step, &input.name) {
                let names: Vec<String> =
                    common.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
                let message = format!("{what} is no input of its process and not used");
                let diagnostic = Diagnostic::warning("unused-input", &input.place, message)
                    .with_related(&common.place, "the process is here");
                self.diagnostics.push(if names.is_empty() {
                    diagnostic
                } else {
                    diagnostic.with_hint(format!("the inputs of the process are {}", names.join(", ")))
                });
            }
            return;
        };
        let is_scattered = step.scatter.contains(&input.name);
        let has_default = !input.default.is_null() || (!is_scattered && !port.default.is_null());
        if input.source.links.is_empty() {
            let given = has_default || input.value_from.is_some();
            if !given && (is_scattered || !port.type_.is_optional()) {
                let message = format!("{what} has no source, no default and no `valueFrom`");
                // A step that is never run misses nothing.
                let diagnostic = match step.when {
                    Some(_) => Diagnostic::warning("no-value", &input.place, message),
                    None => Diagnostic::error("no-value", &input.place, message),
                };
                self.diagnostics.push(diagnostic.with_related(&port.place, "the input is defined here"));
            }
            return;
        }
        let what = if is_scattered { what.replacen("the input", "the scattered input", 1) } else { what };
        let type_ = if is_scattered { port.type_.clone().array_of() } else { port.type_.clone() };
        self.sources(&Taken {
            what,
            place: &port.place,
            type_,
            secondary_files: &port.secondary_files,
            source: &input.source,
            has_default,
            is_computed: input.value_from.is_some(),
        });
    }

    fn outputs(&mut self) {
        for output in &self.workflow.common.outputs {
            let what = format!("the output `{}`", output.name);
            if output.source.links.is_empty() {
                if !output.type_.is_optional() {
                    let message = format!("{what} has no `outputSource`, so it is always null");
                    self.diagnostics.push(Diagnostic::warning("no-output-source", &output.place, message));
                }
                continue;
            }
            self.sources(&Taken {
                what,
                place: &output.place,
                type_: output.type_.clone(),
                // An output's patterns are optional unless they say otherwise, and here nothing is collected.
                secondary_files: &[],
                source: &output.source,
                has_default: false,
                is_computed: false,
            });
        }
    }

    fn sources(&mut self, taken: &Taken) {
        let source = taken.source;
        let merge = match (source.pick_value, source.link_merge) {
            (Some(PickValue::FirstNonNull | PickValue::TheOnlyNonNull), None) => None,
            (_, Some(merge)) => Some(merge),
            (Some(PickValue::AllNonNull), None) if source.is_list => Some(LinkMerge::Nested),
            (_, None) => (source.links.len() > 1).then_some(LinkMerge::Nested),
        };
        if taken.is_computed {
            return;
        }
        for link in &source.links {
            let Some(given) = self.given(link) else { continue };
            self.link(link, &given, taken, merge);
        }
    }

    fn link(&mut self, link: &Link, given: &Given, taken: &Taken, merge: Option<LinkMerge>) {
        let pick = taken.source.pick_value;
        if pick.is_some() && taken.source.links.len() == 1 && merge.is_none() && !is_array(&given.type_) {
            let message = format!("`pickValue` of {} has only one source to pick from", taken.what);
            self.diagnostics.push(Diagnostic::warning("pick-of-one", &link.place, message));
        }
        let takes_null = taken.has_default || pick.is_some() || may_be_null(&taken.type_) || merge.is_some();
        if given.conditional && !takes_null {
            let message = format!(
                "{} comes from a step that may be skipped; it would be null, but {} takes {}",
                given.name,
                taken.what,
                type_name(&taken.type_)
            );
            self.diagnostics.push(
                Diagnostic::warning("conditional-source", &link.place, message)
                    .with_related(taken.place, "the type is here")
                    .with_hint("take null as well (`?`), or use `pickValue` or a default"),
            );
        }
        let alone = if taken.has_default && merge.is_none() {
            without_null(&given.type_)
        } else {
            given.type_.clone()
        };
        let value = picked(merged(alone, merge), pick, merge);
        match fit(&value, &taken.type_) {
            Fit::Always => {}
            Fit::Sometimes => self.mismatch(link, given, taken, &value, false),
            Fit::Never => self.mismatch(link, given, taken, &value, true),
        }
        if given.type_ == Type::File && taken.type_ == Type::File {
            self.secondary_files(link, given, taken);
        }
    }

    fn mismatch(&mut self, link: &Link, given: &Given, taken: &Taken, value: &Type, is_error: bool) {
        let how = match (taken.source.link_merge, taken.source.links.len() > 1, taken.source.pick_value) {
            (None, false, None) => String::new(),
            _ => format!(", which makes it {} here", type_name(value)),
        };
        let message = format!(
            "{} is of type {}{how}, but {} {} {}",
            given.name,
            type_name(&given.type_),
            taken.what,
            if is_error { "takes" } else { "takes only" },
            type_name(&taken.type_)
        );
        let diagnostic = if is_error {
            Diagnostic::error("type-mismatch", &link.place, message)
        } else {
            Diagnostic::warning("type-may-mismatch", &link.place, message)
        };
        self.diagnostics.push(
            diagnostic
                .with_related(given.place, "the source is defined here")
                .with_related(taken.place, "its destination is defined here"),
        );
    }

    /// Every secondary file that the sink must have should be declared by the source.
    fn secondary_files(&mut self, link: &Link, given: &Given, taken: &Taken) {
        let missing: Vec<String> = taken
            .secondary_files
            .iter()
            .filter(|wanted| wanted.required != Some(Required::Known(false)))
            .filter(|wanted| !given.secondary_files.iter().any(|has| has.pattern == wanted.pattern))
            .map(|wanted| format!("`{}`", wanted.pattern.text))
            .collect();
        if missing.is_empty() {
            return;
        }
        let message = format!(
            "{} needs the secondary files {}, which {} does not declare",
            taken.what,
            missing.join(", "),
            given.name
        );
        self.diagnostics.push(
            Diagnostic::warning("missing-secondary-files", &link.place, message)
                .with_related(given.place, "they could be added to `secondaryFiles` here")
                .with_related(taken.place, "or be made optional here"),
        );
    }

    /// What a link's target gives, with scatter, loop and `when` taken into account.
    fn given(&self, link: &Link) -> Option<Given<'w>> {
        match link.target {
            LinkTarget::Input(index) => {
                let input = self.workflow.common.inputs.get(index)?;
                let type_ =
                    if input.default.is_null() { input.type_.clone() } else { without_null(&input.type_) };
                Some(Given {
                    name: format!("the input `{}`", input.name),
                    place: &input.place,
                    type_,
                    secondary_files: &input.secondary_files,
                    conditional: false,
                })
            }
            LinkTarget::Step { step, output } => {
                let step = self.workflow.steps.get(step)?;
                let name = step.outputs.get(output)?;
                let port = step.run.common().output(name)?;
                let is_conditional = step.when.is_some()
                    || step.loop_.as_ref().is_some_and(|loop_| loop_.output == LoopOutput::Last);
                let mut type_ = port.type_.clone();
                if step.loop_.as_ref().is_some_and(|loop_| loop_.output == LoopOutput::All) {
                    type_ = type_.array_of();
                }
                let levels = match step.scatter_method {
                    Some(ScatterMethod::NestedCross) => step.scatter.len(),
                    _ => step.scatter.len().min(1),
                };
                if is_conditional && levels > 0 {
                    type_ = with_null(type_);
                }
                for _ in 0..levels {
                    type_ = type_.array_of();
                }
                Some(Given {
                    name: format!("the output `{name}` of the step `{}`", step.name),
                    place: &port.place,
                    type_,
                    secondary_files: &port.secondary_files,
                    conditional: is_conditional && levels == 0,
                })
            }
        }
    }
}

/// The type of one link's value after `linkMerge`.
fn merged(type_: Type, merge: Option<LinkMerge>) -> Type {
    match merge {
        None => type_,
        Some(LinkMerge::Nested) => type_.array_of(),
        Some(LinkMerge::Flattened) => flattened(type_),
    }
}

fn flattened(type_: Type) -> Type {
    match type_ {
        Type::Array(_) => type_,
        Type::Union(types) => {
            Type::Union(Arc::new(types.iter().map(|type_| flattened(type_.clone())).collect()))
        }
        other => other.array_of(),
    }
}

/// The type after `pickValue`.
fn picked(type_: Type, pick: Option<PickValue>, merge: Option<LinkMerge>) -> Type {
    let Some(pick) = pick else { return type_ };
    match (pick, &type_) {
        (PickValue::AllNonNull, Type::Array(array)) => without_null(&array.items).array_of(),
        (PickValue::AllNonNull, _) => type_,
        // Of several merged links, or of a list from one link, one item is left.
        (_, Type::Array(array)) if merge.is_some() || without_null(&array.items) != array.items => {
            without_null(&array.items)
        }
        _ => without_null(&type_),
    }
}

fn without_null(type_: &Type) -> Type {
    let Type::Union(types) = type_ else { return type_.clone() };
    let kept: Vec<Type> = types.iter().filter(|type_| !matches!(type_, Type::Null)).cloned().collect();
    match <[Type; 1]>::try_from(kept) {
        Ok([alone]) => alone,
        Err(kept) if kept.is_empty() => type_.clone(),
        Err(kept) => Type::Union(Arc::new(kept)),
    }
}

fn with_null(type_: Type) -> Type {
    if may_be_null(&type_) {
        return type_;
    }
    let mut types = vec![Type::Null];
    types.extend_from_slice(type_.alternatives());
    Type::Union(Arc::new(types))
}

fn may_be_null(type_: &Type) -> bool {
    type_.alternatives().iter().any(|type_| matches!(type_, Type::Null))
}

fn is_array(type_: &Type) -> bool {
    type_.alternatives().iter().any(|type_| matches!(type_, Type::Array(_)))
}

/// Whether a `valueFrom` or `when` of the step mentions an input.
fn is_used(step: &Step, name: &str) -> bool {
    let mention = format!("inputs.{name}");
    let texts = step.inputs.iter().filter_map(|input| input.value_from.as_ref());
    let loop_texts = step.loop_.iter().flat_map(|loop_| {
        loop_.inputs.iter().filter_map(|input| input.value_from.as_ref()).chain(std::iter::once(&loop_.when))
    });
    texts
        .chain(step.when.as_ref())
        .chain(loop_texts)
        .any(|text| text.text.contains(&mention) || text.text.contains("inputs["))
}

#[cfg(test)]
mod tests;
