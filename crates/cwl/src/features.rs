//! Features of workflows that must be asked for (CWL v1.2 Workflow §"SubworkflowFeatureRequirement"
//! and its kin). Unlike links they depend on what stands around a workflow.

use std::collections::HashSet;

use moil_salad::diagnostic::{Diagnostic, Severity};

use crate::inherit::Inherited;
use crate::process::{Process, Step, Workflow};
use crate::requirement::RequirementKind;

/// What is used without having been asked for, in a process and all that it runs, or around it. A
/// `valueFrom` is a warning: a workflow may have its requirement from the one that runs it.
pub fn check(process: &Process, around: &Inherited) -> Vec<Diagnostic> {
    let mut check = Check { seen: HashSet::new(), reported: HashSet::new(), diagnostics: Vec::new() };
    check.process(process, around);
    check.diagnostics
}

/// What is used without having been asked for and keeps a process from running as it is.
pub fn check_to_run(process: &Process, around: &Inherited) -> Vec<Diagnostic> {
    let is_value_from = |diagnostic: &Diagnostic| diagnostic.message.contains(VALUE_FROM);
    let mut found: Vec<Diagnostic> = check(process, around).into_iter().filter(is_value_from).collect();
    found.iter_mut().for_each(|diagnostic| diagnostic.severity = Severity::Error);
    found
}

const VALUE_FROM: &str = "StepInputExpressionRequirement";

struct Check {
    /// Workflows that were looked at, each with the features that were in force around it.
    seen: HashSet<(usize, [bool; 4])>,
    /// What was reported: a shared workflow reports a fault once.
    reported: HashSet<(usize, &'static str)>,
    diagnostics: Vec<Diagnostic>,
}

impl Check {
    // The depth of the recursion was limited when the processes were made.
    fn process(&mut self, process: &Process, around: &Inherited) {
        let workflow = match process {
            Process::Workflow(workflow) => workflow,
            Process::Generator(generator) => {
                return self.process(&generator.run, &around.enter(&generator.common.requirements));
            }
            _ => return,
        };
        let inside = around.enter(&workflow.common.requirements);
        let address = std::sync::Arc::as_ptr(workflow) as usize;
        if !self.seen.insert((address, features(&inside))) {
            return;
        }
        for step in &workflow.steps {
            self.step(step, &inside);
        }
        self.outputs(workflow, &inside);
    }

    fn step(&mut self, step: &Step, workflow: &Inherited) {
        let inside = workflow.enter(&step.requirements);
        let [subworkflow, scatter, multiple, expression] = features(&inside);
        if !subworkflow && matches!(step.run, Process::Workflow(_)) {
            self.missing(step, "SubworkflowFeatureRequirement", "runs a workflow");
        }
        if !scatter && !step.scatter.is_empty() {
            self.missing(step, "ScatterFeatureRequirement", "scatters");
        }
        if !expression && step.inputs.iter().any(|input| input.value_from.is_some()) {
            self.missing(step, VALUE_FROM, "has a `valueFrom`");
        }
        if !multiple {
            for input in step.inputs.iter().filter(|input| input.source.links.len() > 1) {
                let message =
                    format!("the input `{}` of the step `{}` has several sources", input.name, step.name);
                self.several_sources(message, &input.place);
            }
        }
        self.process(&step.run, &inside);
    }

    fn outputs(&mut self, workflow: &Workflow, inside: &Inherited) {
        let [_, _, multiple, _] = features(inside);
        for output in
            workflow.common.outputs.iter().filter(|output| !multiple && output.source.links.len() > 1)
        {
            self.several_sources(format!("the output `{}` has several sources", output.name), &output.place);
        }
    }

    /// A warning only: Toil runs such workflows.
    fn several_sources(&mut self, message: String, place: &moil_salad::source::Place) {
        let message = format!("{message}, but MultipleInputFeatureRequirement is not stated");
        let diagnostic = Diagnostic::warning("missing-requirement", place, message);
        if !self.diagnostics.iter().any(|other| other.message == diagnostic.message) {
            self.diagnostics.push(diagnostic);
        }
    }

    fn missing(&mut self, step: &Step, requirement: &'static str, what: &str) {
        if !self.reported.insert((std::ptr::from_ref(step) as usize, requirement)) {
            return;
        }
        let message = format!("the step `{}` {what}, but {requirement} is not stated", step.name);
        let mut diagnostic = Diagnostic::error("missing-requirement", &step.place, message)
            .with_hint(format!("add `{requirement}: {{}}` to the `requirements` of the workflow"));
        if requirement == VALUE_FROM {
            diagnostic.severity = Severity::Warning;
        }
        self.diagnostics.push(diagnostic);
    }
}

fn features(inherited: &Inherited) -> [bool; 4] {
    if inherited.has(|kind| matches!(kind, RequirementKind::Faulty)) {
        return [true; 4];
    }
    [
        inherited.has(|kind| matches!(kind, RequirementKind::SubworkflowFeature)),
        inherited.has(|kind| matches!(kind, RequirementKind::ScatterFeature)),
        inherited.has(|kind| matches!(kind, RequirementKind::MultipleInputFeature)),
        inherited.has(|kind| matches!(kind, RequirementKind::StepInputExpression)),
    ]
}

#[cfg(test)]
mod tests;
