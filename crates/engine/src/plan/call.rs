//! Processes that run and are no steps: the main process, and both stages of a generator.

use std::sync::Arc;

use moil_cwl::value::{Value, ValueMap};

use super::{Command, ElementRef, End, Plan, Ready, StepInputs, StepRef};
use crate::generator::{Generated, Generator};
use crate::graph::{Body, Node};

/// A process that is not a step of a workflow: it counts as the only step of one that nobody wrote.
pub(super) struct Call {
    pub(super) node: Arc<Node>,
    pub(super) body: Body,
    pub(super) path: String,
    /// The path without elements.
    pub(super) name: Arc<str>,
    /// What people call it.
    pub(super) job: String,
    pub(super) purpose: Purpose,
}

/// What a [`Call`] is for.
pub(super) enum Purpose {
    /// The whole run.
    Run,
    /// To write the process that this element, a generator with these inputs, is to be.
    Embedded(ElementRef, ValueMap),
    /// To be what this element, a generator, is.
    Generated(ElementRef),
}

impl Plan {
    /// The process that a generator made was loaded.
    pub fn generated(&mut self, element: ElementRef, generated: Generated) {
        let Generated { node, inputs } = generated;
        let call = Call {
            body: node.body(),
            node,
            path: format!("{}generated", self.path_inside(element)),
            name: format!("{}generated", self.name_inside(element)).into(),
            job: self.element_name(element),
            purpose: Purpose::Generated(element),
        };
        self.start_call(call, inputs);
    }

    /// The first stage of a generator.
    pub(super) fn start_embedded(&mut self, element: ElementRef, generator: &Generator, inputs: ValueMap) {
        let node = Arc::new(generator.embedded());
        let call = Call {
            body: node.body(),
            node,
            path: format!("{}generator", self.path_inside(element)),
            name: format!("{}generator", self.name_inside(element)).into(),
            job: format!("{}_generator", self.element_name(element)),
            purpose: Purpose::Embedded(element, inputs.clone()),
        };
        self.start_call(call, inputs);
    }

    pub(super) fn start_call(&mut self, call: Call, inputs: ValueMap) {
        let id = self.next_id();
        let command = Command::Prepare {
            element: ElementRef { step: StepRef { workflow: id, step: 0 }, element: 0 },
            node: Arc::clone(&call.node),
            body: call.body.clone(),
            inputs: StepInputs { values: Arc::new(inputs), scatter: None },
            round: 0,
        };
        self.calls.insert(id, call);
        self.ready.push(Ready::Command(Box::new(command)));
    }

    pub(super) fn call_over(&mut self, call: Call, outputs: Option<Value>) {
        match (call.purpose, outputs) {
            (Purpose::Run, outputs) => self.end = Some(outputs.map_or(End::Failed, End::Success)),
            (Purpose::Generated(element), Some(outputs)) => self.finished(element, outputs),
            (Purpose::Embedded(element, given), Some(outputs)) => match self.body(element.step) {
                Some(Body::Generator(generator)) => {
                    let command = Command::Generate { element, generator, given, outputs };
                    self.ready.push(Ready::Command(Box::new(command)));
                }
                _ => self.failed(element),
            },
            (Purpose::Generated(element) | Purpose::Embedded(element, _), None) => self.failed(element),
        }
    }
}
