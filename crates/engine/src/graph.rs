//! The process graph: workflows with the requirements in force at every place,
//! made once before anything runs.

use std::collections::HashMap;
use std::sync::Arc;

use moil_cwl::inherit::{Effective, Inherited};
use moil_cwl::parameter::LinkTarget;
use moil_cwl::process::{ExpressionTool, Process, ProcessGenerator, Step, Workflow};
use moil_cwl::requirement::Requirement;
use moil_job::spec::JobTool;
use moil_salad::uri;

/// `--overrides`: requirements for the processes and steps of these IRIs, in place of their own.
pub type Overrides = HashMap<String, Vec<Requirement>>;

/// A workflow in its place, with the requirements that it inherits.
#[derive(Debug)]
pub struct Graph {
    /// The workflow.
    pub workflow: Arc<Workflow>,
    /// The requirements in force for the workflow itself.
    pub effective: Arc<Effective>,
    /// Its steps.
    pub nodes: Vec<Arc<Node>>,
    /// For each step, the steps that take an output of it.
    pub consumers: Vec<Vec<usize>>,
}

/// A step in its place, or the process that the whole run is about.
#[derive(Debug)]
pub struct Node {
    /// The step's name, or the main process's.
    pub name: Arc<str>,
    /// Which step of which workflow; `None` for the main process.
    step: Option<(Arc<Workflow>, usize)>,
    /// The requirements in force for the step's own expressions.
    pub effective: Arc<Effective>,
    /// What it runs.
    pub body: Body,
    /// The names of the outputs, in order.
    pub outputs: Vec<Arc<str>>,
    /// The steps that it takes an output of.
    pub needs: Vec<usize>,
}

/// What a node runs.
#[derive(Clone, Debug)]
pub enum Body {
    /// A command line tool: a job.
    Tool(Arc<JobTool>),
    /// An expression tool: evaluated by the leader's evaluators.
    Expression(Arc<ExpressionTool>, Arc<Effective>),
    /// A workflow.
    Workflow(Arc<Graph>),
    /// A process that makes the process to run.
    Generator(Arc<ProcessGenerator>, Arc<Effective>),
    /// An Operation: refused when it would have to run.
    Operation(Process, Arc<Effective>),
}

impl Node {
    /// The node of the main process.
    pub fn main(process: &Process, inherited: &Inherited, overrides: &Overrides) -> Self {
        let common = process.common();
        Self {
            name: name_of(&common.id),
            step: None,
            effective: Arc::new(inherited.effective(common.version)),
            body: body(process, inherited, overrides),
            outputs: common.outputs.iter().map(|output| Arc::clone(&output.name)).collect(),
            needs: Vec::new(),
        }
    }

    /// The step; `None` for the main process.
    pub fn step(&self) -> Option<&Step> {
        self.step.as_ref().map(|(workflow, index)| &workflow.steps[*index])
    }

    fn of_step(workflow: &Arc<Workflow>, index: usize, inherited: &Inherited, overrides: &Overrides) -> Self {
        let step = &workflow.steps[index];
        let id = uri::child(&workflow.common.id, &step.name);
        let inherited = overridden(inherited, &id, overrides).enter(&step.requirements);
        let mut needs: Vec<usize> = step
            .inputs
            .iter()
            .flat_map(|input| &input.source.links)
            .filter_map(|link| match link.target {
                LinkTarget::Step { step, .. } => Some(step),
                LinkTarget::Input(_) => None,
            })
            .collect();
        needs.sort_unstable();
        needs.dedup();
        Self {
            name: Arc::clone(&step.name),
            step: Some((Arc::clone(workflow), index)),
            effective: Arc::new(inherited.effective(workflow.common.version)),
            body: body(&step.run, &inherited, overrides),
            outputs: step.outputs.clone(),
            needs,
        }
    }
}

impl Graph {
    fn new(workflow: &Arc<Workflow>, inherited: &Inherited, overrides: &Overrides) -> Self {
        let nodes: Vec<Arc<Node>> = (0..workflow.steps.len())
            .map(|index| Arc::new(Node::of_step(workflow, index, inherited, overrides)))
            .collect();
        let mut consumers = vec![Vec::new(); nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            for &source in &node.needs {
                consumers[source].push(index);
            }
        }
        Self {
            workflow: Arc::clone(workflow),
            effective: Arc::new(inherited.effective(workflow.common.version)),
            nodes,
            consumers,
        }
    }
}

impl Body {
    /// What all processes have.
    pub fn common(&self) -> &moil_cwl::process::Common {
        match self {
            Self::Tool(job) => &job.tool.common,
            Self::Expression(tool, _) => &tool.common,
            Self::Workflow(graph) => &graph.workflow.common,
            Self::Generator(generator, _) => &generator.common,
            Self::Operation(process, _) => process.common(),
        }
    }

    /// The requirements in force for the process.
    pub fn effective(&self) -> &Arc<Effective> {
        match self {
            Self::Tool(job) => &job.effective,
            Self::Workflow(graph) => &graph.effective,
            Self::Expression(_, effective)
            | Self::Generator(_, effective)
            | Self::Operation(_, effective) => effective,
        }
    }
}

/// The requirements in force for the main process, for those who need them before there is a graph.
pub fn main_effective(process: &Process, inherited: &Inherited, overrides: &Overrides) -> Effective {
    let common = process.common();
    overridden(inherited, &common.id, overrides).enter(&common.requirements).effective(common.version)
}

fn overridden(inherited: &Inherited, id: &str, overrides: &Overrides) -> Inherited {
    match overrides.get(id) {
        Some(requirements) => inherited.overriding(requirements),
        None => inherited.clone(),
    }
}

/// The body of a process; documents are never so deep that the recursion matters, since `run` may
/// not contain itself and nesting is limited by the reader.
fn body(process: &Process, inherited: &Inherited, overrides: &Overrides) -> Body {
    let common = process.common();
    let inherited = overridden(inherited, &common.id, overrides).enter(&common.requirements);
    let effective = || Arc::new(inherited.effective(common.version));
    match process {
        Process::Tool(tool) => {
            Body::Tool(Arc::new(JobTool { tool: Arc::clone(tool), effective: effective() }))
        }
        Process::Expression(tool) => Body::Expression(Arc::clone(tool), effective()),
        Process::Workflow(workflow) => Body::Workflow(Arc::new(Graph::new(workflow, &inherited, overrides))),
        Process::Generator(generator) => Body::Generator(Arc::clone(generator), effective()),
        Process::Operation(_) => Body::Operation(process.clone(), effective()),
    }
}

/// The last part of an IRI: what people call the main process.
fn name_of(id: &str) -> Arc<str> {
    let name = id.rsplit(['/', '#']).find(|part| !part.is_empty()).unwrap_or(id);
    name.into()
}
