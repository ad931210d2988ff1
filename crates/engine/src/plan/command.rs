//! What the plan asks for, and what it is told.

use std::sync::Arc;

use moil_cwl::scatter::Scatter;
use moil_cwl::value::{Value, ValueMap};
use moil_job::key::{Key, NoKey};
use moil_job::resources::Resources;
use moil_job::spec::JobTool;

use crate::generator::Generator;
use crate::graph::{Body, Node};

/// A step of a running workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepRef {
    pub(super) workflow: u64,
    pub(super) step: usize,
}

/// One element of a scattered step; the only one of a step that is not scattered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementRef {
    /// The step.
    pub step: StepRef,
    /// Index of the element.
    pub element: usize,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Command {
    /// Merge the sources of a step's inputs: answer with [`Plan::merged`].
    Merge {
        /// Which step.
        step: StepRef,
        /// The step.
        node: Arc<Node>,
        /// For each step input, the value of each of its links.
        sources: Vec<Vec<Value>>,
    },
    /// Prepare an element: answer with [`Plan::prepared`].
    Prepare {
        /// Which element.
        element: ElementRef,
        /// Its step.
        node: Arc<Node>,
        /// What that runs.
        body: Body,
        /// The step's inputs.
        inputs: StepInputs,
        /// Which round of a loop, from 0.
        round: u32,
    },
    /// Find the next round of a loop: answer with [`Plan::next_round`].
    NextRound {
        /// Which element.
        element: ElementRef,
        /// Its step.
        node: Arc<Node>,
        /// The inputs of the round that ended.
        inputs: ValueMap,
        /// Its outputs.
        outputs: Value,
        /// How many rounds have ended.
        rounds: u32,
    },
    /// Load the process that a generator made: answer with [`Plan::generated`].
    Generate {
        /// Which element the generator is.
        element: ElementRef,
        /// The generator.
        generator: Arc<Generator>,
        /// Its inputs.
        given: ValueMap,
        /// The outputs of its embedded process.
        outputs: Value,
    },
    /// Run a job: answer with [`Plan::finished`] or [`Plan::failed`].
    Run(Box<Run>),
}

/// A job that is to run.
#[derive(Debug)]
pub struct Run {
    /// Which element it is.
    pub element: ElementRef,
    /// The tool.
    pub tool: Arc<JobTool>,
    /// Its position in the plan: `call[3]/align`.
    pub path: String,
    /// What people call it.
    pub name: String,
    /// The step's full name, without indices of elements.
    pub step_name: Arc<str>,
    /// Its complete input object.
    pub inputs: Value,
    /// What it asks for.
    pub resources: Resources,
    /// Its key, or why it has none; `None` where nothing is recorded.
    pub key: Option<Result<Key, NoKey>>,
    /// The hash of its key in the call cache, if its result may be there.
    pub cache_key: Option<String>,
}

/// The inputs of a step, shared by its elements.
#[derive(Clone, Debug)]
pub struct StepInputs {
    /// Their values; whole arrays for the scattered ones.
    pub values: Arc<ValueMap>,
    /// How it is scattered.
    pub scatter: Option<Arc<Scatter>>,
}

/// What preparing an element gave.
#[derive(Debug)]
pub enum Prepared {
    /// `when` said no.
    Skipped,
    /// A job: its input object and what it asks for.
    Job {
        /// The input object.
        inputs: Value,
        /// What it asks for.
        resources: Resources,
        /// Its key, or why it has none; `None` where nothing is recorded.
        key: Option<Result<Key, NoKey>>,
        /// The hash of its key in the call cache, if its result may be there.
        cache_key: Option<String>,
        /// The step inputs of this round, kept where the step is a loop.
        round: Option<ValueMap>,
    },
    /// A workflow: its inputs.
    Workflow {
        /// The input object.
        inputs: Value,
        /// As with jobs.
        round: Option<ValueMap>,
    },
    /// A generator: its inputs, those that it does not declare included.
    Generator {
        /// The input object.
        inputs: ValueMap,
        /// As with jobs.
        round: Option<ValueMap>,
    },
    /// An expression tool, already evaluated.
    Outputs {
        /// The output object.
        outputs: Value,
        /// As with jobs.
        round: Option<ValueMap>,
    },
}

/// How the run as a whole ended.
#[derive(Clone, Debug)]
pub enum End {
    /// The output object.
    Success(Value),
    /// Something failed.
    Failed,
}
