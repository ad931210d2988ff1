//! Which inputs of a process end up as secrets (`cwltool:Secrets`), in itself or in what it runs, and which texts of
//! its documents do: for those who keep input objects and documents, and may keep no secret.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::parameter::LinkTarget;
use crate::process::{Process, Workflow};
use crate::requirement::{RequirementKind, Requirements};
use crate::value::Value;

/// What a process makes a secret of.
#[derive(Debug, Default)]
pub struct SecretInputs {
    /// The names of its inputs. A step may make something of an input before a tool calls that a secret: whatever such
    /// a step gets is among them, too.
    pub names: BTreeSet<Arc<str>>,
    /// The defaults of such inputs, here and in all that it runs: these stand in documents.
    pub defaults: Vec<Value>,
}

/// Finds the secrets of a process.
pub fn secret_inputs(process: &Process) -> SecretInputs {
    let mut search = Search::default();
    let names = search.process(process);
    SecretInputs { names, defaults: search.defaults }
}

fn named(requirements: &Requirements) -> impl Iterator<Item = Arc<str>> {
    let all = requirements.required.iter().chain(&requirements.hints);
    all.filter_map(|requirement| match &requirement.kind {
        RequirementKind::Secrets(names) => Some(names.iter().cloned()),
        _ => None,
    })
    .flatten()
}

#[derive(Default)]
struct Search {
    /// What is known of workflows, by their address: one may be run in very many places.
    known: HashMap<*const Workflow, BTreeSet<Arc<str>>>,
    defaults: Vec<Value>,
}

impl Search {
    fn process(&mut self, process: &Process) -> BTreeSet<Arc<str>> {
        let mut names = match process {
            Process::Workflow(workflow) => {
                if let Some(known) = self.known.get(&Arc::as_ptr(workflow)) {
                    return known.clone();
                }
                self.workflow(workflow)
            }
            Process::Generator(generator) => self.process(&generator.run),
            Process::Tool(_) | Process::Expression(_) | Process::Operation(_) => BTreeSet::new(),
        };
        let common = process.common();
        names.extend(named(&common.requirements));
        let secret = common.inputs.iter().filter(|input| names.contains(&input.name));
        self.defaults.extend(secret.map(|input| input.default.clone()).filter(|default| !default.is_null()));
        if let Process::Workflow(workflow) = process {
            self.known.insert(Arc::as_ptr(workflow), names.clone());
        }
        names
    }

    fn workflow(&mut self, workflow: &Workflow) -> BTreeSet<Arc<str>> {
        let mut follow = Vec::new();
        for step in &workflow.steps {
            let mut inside = self.process(&step.run);
            inside.extend(named(&step.requirements));
            for input in step.inputs.iter().filter(|input| inside.contains(&input.name)) {
                // An expression may look at the step's other inputs.
                match input.value_from {
                    Some(_) => follow.extend(&step.inputs),
                    None => follow.push(input),
                }
            }
        }
        let mut names = BTreeSet::new();
        let mut seen = vec![false; workflow.steps.len()];
        while let Some(input) = follow.pop() {
            if !input.default.is_null() {
                self.defaults.push(input.default.clone());
            }
            for link in &input.source.links {
                match link.target {
                    LinkTarget::Input(index) => {
                        names.insert(Arc::clone(&workflow.common.inputs[index].name));
                    }
                    LinkTarget::Step { step, .. } if !std::mem::replace(&mut seen[step], true) => {
                        follow.extend(&workflow.steps[step].inputs);
                    }
                    LinkTarget::Step { .. } => {}
                }
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_a_secret_is_one() {
        let loaded = crate::test_support::loaded(
            "
cwlVersion: v1.2
$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}
class: Workflow
requirements: {StepInputExpressionRequirement: {}}
inputs: {plain: string, straight: string, through: string, looked_at: string, own: {type: string, default: mine}}
hints: {'cwltool:Secrets': {secrets: [own]}}
outputs: []
steps:
  make:
    run: {class: ExpressionTool, inputs: {x: string}, outputs: {y: string}, expression: '$(inputs)'}
    in: {x: through}
    out: [y]
  use:
    run:
      class: CommandLineTool
      hints: {'cwltool:Secrets': {secrets: [a, b, c]}}
      baseCommand: x
      inputs: {a: string, b: string, c: string?, d: {type: string, default: shown}}
      outputs: []
    in: {a: {source: straight, default: deep}, b: make/y, d: plain}
    out: []
  look:
    run:
      class: CommandLineTool
      hints: {'cwltool:Secrets': {secrets: [a]}}
      baseCommand: x
      inputs: {a: string}
      outputs: []
    in: {a: {valueFrom: $(inputs.other)}, other: looked_at}
    out: []
",
        );
        let found = secret_inputs(&loaded.process);
        let names: Vec<&str> = found.names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["looked_at", "own", "straight", "through"]);
        assert_eq!(found.defaults, [Value::from("deep"), Value::from("mine")]);
    }
}
