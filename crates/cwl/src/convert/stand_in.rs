//! Stand-ins for what was refused, so that the rest of a workflow is checked and nothing is told that
//! only follows from a fault told before. They never run: a document with a fault is not used.

use std::collections::HashSet;
use std::sync::Arc;

use moil_salad::source::Place;

use crate::parameter::{Input, Output, SourceList};
use crate::process::{Common, Operation, Process, StepInput, Version, Workflow};
use crate::requirement::Requirements;
use crate::text::Text;
use crate::types::Type;
use crate::value::Value;

/// What of a workflow's links is not known.
#[derive(Default)]
pub(super) struct Doubts {
    /// Steps whose ports are not known, by position.
    pub ports: HashSet<usize>,
    /// Inputs of steps of which not all is known, by position of the step and name.
    pub inputs: HashSet<(usize, Arc<str>)>,
    /// Outputs of the workflow of which not all is known, by name.
    pub outputs: HashSet<Arc<str>>,
}

impl Doubts {
    /// The workflow without what is not known, for the check of its links.
    pub fn cleared(&self, workflow: &Workflow) -> Workflow {
        let mut workflow = workflow.clone();
        for (index, step) in workflow.steps.iter_mut().enumerate() {
            if self.ports.contains(&index) {
                step.run = process(&step.inputs, &step.outputs, &step.place);
            }
            for input in &mut step.inputs {
                if self.inputs.contains(&(index, Arc::clone(&input.name))) {
                    // It is given, and nobody knows as what.
                    input.value_from = Some(Text { text: "".into(), place: input.place.clone() });
                }
            }
        }
        workflow.common.outputs.retain(|output| !self.outputs.contains(&output.name));
        workflow
    }
}

/// A process that takes whatever a step gives it, and gives whatever the step says.
pub(super) fn process(inputs: &[StepInput], outputs: &[Arc<str>], place: &Place) -> Process {
    let input = |input: &StepInput| Input {
        name: Arc::clone(&input.name),
        place: input.place.clone(),
        label: None,
        doc: None,
        type_: Type::Any,
        default: Value::Bool(true),
        secondary_files: Vec::new(),
        format: Vec::new(),
        streamable: false,
        load_contents: false,
        load_listing: None,
        binding: None,
    };
    let output = |name: &Arc<str>| Output {
        name: Arc::clone(name),
        place: place.clone(),
        label: None,
        doc: None,
        type_: Type::Any,
        secondary_files: Vec::new(),
        format: None,
        streamable: false,
        binding: None,
        stream: None,
        source: SourceList::default(),
    };
    Process::Operation(Arc::new(Operation {
        common: Common {
            id: "".into(),
            place: place.clone(),
            version: Version::V1_2,
            label: None,
            doc: None,
            inputs: inputs.iter().map(input).collect(),
            outputs: outputs.iter().map(output).collect(),
            requirements: Requirements::default(),
        },
    }))
}
