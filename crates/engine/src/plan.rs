//! The plan: which steps are to be prepared and which jobs are to run.
//!
//! A synchronous state machine that never evaluates and never waits. The
//! leader pulls [`Command`]s while its window has room, and tells what came
//! of them. Scatter elements are indices into shared arrays, not copies.
//!
//! Invariants: each command is answered exactly once; a workflow's state is
//! dropped when it ends; what became ready last is issued first, so that a
//! scatter of workflows finishes those it began before it begins more.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
mod call;
mod command;

use std::sync::Arc;

use moil_cwl::parameter::{LinkTarget, SourceList};
use moil_cwl::value::{Value, ValueMap};
use moil_cwl::workflow_outputs;
use moil_job::event::{Event, Status};
use moil_job::failure::Failure;

use crate::graph::{Body, Graph, Node};

use call::{Call, Purpose};
pub use command::{Command, ElementRef, End, Prepared, Run, StepInputs, StepRef};

/// The state machine.
pub struct Plan {
    main: Arc<Node>,
    workflows: HashMap<u64, RunningWorkflow>,
    /// Processes at work that are no steps; their numbers are not those of workflows.
    calls: HashMap<u64, Call>,
    next_id: u64,
    /// Jobs to be handed out, in the order in which they were prepared, before anything else.
    runs: VecDeque<Box<Run>>,
    /// Other work to be handed out, the next at the end.
    ready: Vec<Ready>,
    loops: HashMap<ElementRef, LoopState>,
    end: Option<End>,
    events: Vec<Event>,
    failures: Vec<(String, Failure)>,
}

struct RunningWorkflow {
    graph: Arc<Graph>,
    /// `call[3]/`, or empty: goes before the names of steps.
    path: String,
    /// `call/`: the same without elements.
    name: Arc<str>,
    /// The element that this workflow is.
    parent: ElementRef,
    inputs: Value,
    steps: Vec<StepState>,
    /// Steps that are neither waiting nor over.
    active: usize,
    /// Steps that are not done.
    unfinished: usize,
}

enum StepState {
    /// Waits for this many other steps.
    Waiting(usize),
    /// Its inputs are being merged.
    Merging,
    /// Its elements are being run.
    Running(StepRun),
    /// Its outputs, in the order of the step's `out`.
    Done(Vec<Value>),
    /// It cannot be done.
    Failed,
}

struct StepRun {
    /// What it runs, for as long as it runs.
    body: Body,
    inputs: StepInputs,
    count: usize,
    /// Elements handed out so far.
    issued: usize,
    /// Elements that are over.
    over: usize,
    skipped: usize,
    failed: bool,
    /// For each output, the value of each element.
    results: Vec<Vec<Value>>,
}

struct LoopState {
    round: u32,
    /// The step inputs of the round at work.
    inputs: ValueMap,
    /// Outputs of the last round, or of all rounds.
    last: Option<Value>,
    all: Vec<Value>,
}

enum Ready {
    Merge(StepRef),
    Elements(StepRef),
    Command(Box<Command>),
}

/// The main process.
const MAIN: ElementRef = ElementRef { step: StepRef { workflow: 0, step: 0 }, element: 0 };

impl Plan {
    /// A plan for running `main` on an input object.
    pub fn new(main: Arc<Node>, inputs: ValueMap) -> Self {
        let mut plan = Self {
            main: Arc::clone(&main),
            workflows: HashMap::new(),
            calls: HashMap::new(),
            next_id: 0,
            runs: VecDeque::new(),
            ready: Vec::new(),
            loops: HashMap::new(),
            end: None,
            events: Vec::new(),
            failures: Vec::new(),
        };
        let name = Arc::clone(&main.name);
        let (path, job) = (name.to_string(), name.to_string());
        plan.start_call(
            Call { body: main.body(), node: main, path, name, job, purpose: Purpose::Run },
            inputs,
        );
        plan
    }

    /// What failed in the plan itself (outputs that cannot be put together) since this was last called.
    pub fn take_failures(&mut self) -> Vec<(String, Failure)> {
        std::mem::take(&mut self.failures)
    }

    /// How the run ended, once it has.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What happened since this was last called.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The next thing to do; `None` until something else is answered.
    pub fn next_command(&mut self) -> Option<Command> {
        if let Some(run) = self.runs.pop_front() {
            return Some(Command::Run(run));
        }
        match self.ready.pop()? {
            Ready::Command(command) => Some(*command),
            Ready::Merge(step) => Some(self.merge_command(step)),
            Ready::Elements(step) => {
                let (command, more) = self.element_command(step)?;
                if more {
                    self.ready.push(Ready::Elements(step));
                }
                Some(command)
            }
        }
    }

    /// The inputs of a step were merged.
    pub fn merged(&mut self, step: StepRef, inputs: StepInputs) {
        let body = self.node(step).body();
        if self.begin_step(step, inputs, body) == 0 {
            self.complete_step(step);
        } else {
            self.ready.push(Ready::Elements(step));
        }
    }

    /// The inputs of a step that is not scattered were merged, and its only element, which is returned, is prepared
    /// already: what came of that is told next, with [`Self::prepared`] or [`Self::failed`].
    pub fn merged_and_prepared(&mut self, step: StepRef, inputs: StepInputs, body: Body) -> ElementRef {
        self.begin_step(step, inputs, body);
        if let Some(run) = self.run_mut(step) {
            run.issued = 1;
        }
        ElementRef { step, element: 0 }
    }

    /// Returns how many elements the step has.
    fn begin_step(&mut self, step: StepRef, inputs: StepInputs, body: Body) -> usize {
        let count = inputs.scatter.as_ref().map_or(1, |scatter| scatter.count());
        let results = self.node(step).outputs.iter().map(|_| vec![Value::Null; count]).collect();
        self.events.push(Event::StepStarted { step: self.step_name(step), elements: count });
        let run = StepRun { body, inputs, count, issued: 0, over: 0, skipped: 0, failed: false, results };
        self.set_state(step, StepState::Running(run));
        count
    }

    /// The inputs of a step could not be merged.
    pub fn merge_failed(&mut self, step: StepRef) {
        self.end_step(step, StepState::Failed, Status::Failed);
    }

    /// An element was prepared.
    pub fn prepared(&mut self, element: ElementRef, prepared: Prepared) {
        let body = self.body(element.step);
        match (prepared, body) {
            (Prepared::Skipped, _) => self.skipped(element),
            (Prepared::Job { inputs, resources, key, cache_key, round }, Some(Body::Tool(tool))) => {
                self.remember_round(element, round);
                let run = Run {
                    element,
                    path: self.element_path(element),
                    name: self.element_name(element),
                    step_name: self.step_name(element.step),
                    tool,
                    inputs,
                    resources,
                    key,
                    cache_key,
                };
                self.runs.push_back(Box::new(run));
            }
            (Prepared::Workflow { inputs, round }, Some(Body::Workflow(graph))) => {
                self.remember_round(element, round);
                self.start_workflow(element, graph, inputs);
            }
            (Prepared::Generator { inputs, round }, Some(Body::Generator(generator))) => {
                self.remember_round(element, round);
                self.start_embedded(element, &generator, inputs);
            }
            (Prepared::Outputs { outputs, round }, _) => {
                self.remember_round(element, round);
                self.finished(element, outputs);
            }
            // Answers are to commands, and so fit what was to be prepared.
            (Prepared::Job { .. } | Prepared::Workflow { .. } | Prepared::Generator { .. }, _) => {
                self.failed(element);
            }
        }
    }

    /// A job, an expression or a nested workflow gave its output object.
    pub fn finished(&mut self, element: ElementRef, outputs: Value) {
        let node = Arc::clone(self.node(element.step));
        match self.loops.get_mut(&element) {
            Some(state) => {
                state.round += 1;
                if is_loop_over_all(&node) {
                    state.all.push(outputs.clone());
                } else {
                    state.last = Some(outputs.clone());
                }
                let (inputs, rounds) = (state.inputs.clone(), state.round);
                let command = Command::NextRound { element, node, inputs, outputs, rounds };
                self.ready.push(Ready::Command(Box::new(command)));
            }
            None => self.element_over(element, Some(&outputs)),
        }
    }

    /// The inputs of a loop's next round, or that there is none.
    pub fn next_round(&mut self, element: ElementRef, inputs: Option<ValueMap>) {
        let node = Arc::clone(self.node(element.step));
        match inputs {
            Some(inputs) => {
                let Some(body) = self.body(element.step) else { return };
                let Some(state) = self.loops.get_mut(&element) else { return };
                state.inputs.clone_from(&inputs);
                let command = Command::Prepare {
                    element,
                    node,
                    body,
                    inputs: StepInputs { values: Arc::new(inputs), scatter: None },
                    round: state.round,
                };
                self.ready.push(Ready::Command(Box::new(command)));
            }
            None => {
                let outputs = self.loop_outputs(element, &node);
                self.element_over(element, Some(&outputs));
            }
        }
    }

    /// An element failed for good.
    pub fn failed(&mut self, element: ElementRef) {
        self.loops.remove(&element);
        self.element_over(element, None);
    }

    /// The name of a step with those of the workflows around it.
    pub fn step_name(&self, step: StepRef) -> Arc<str> {
        match (self.workflows.get(&step.workflow), self.calls.get(&step.workflow)) {
            (Some(workflow), _) => {
                format!("{}{}", workflow.name, workflow.graph.nodes[step.step].name).into()
            }
            (None, Some(call)) => Arc::clone(&call.name),
            (None, None) => Arc::clone(&self.main.name),
        }
    }

    /// The position of an element: `call[3]/align`.
    pub fn element_path(&self, element: ElementRef) -> String {
        let id = element.step.workflow;
        let Some(workflow) = self.workflows.get(&id) else {
            return self.calls.get(&id).map_or_else(|| self.main.name.to_string(), |call| call.path.clone());
        };
        let mut path = format!("{}{}", workflow.path, escape(&workflow.graph.nodes[element.step.step].name));
        if self.is_scattered(element.step) {
            path.push_str(&format!("[{}]", element.element));
        }
        if let Some(state) = self.loops.get(&element) {
            path.push_str(&format!("@{}", state.round));
        }
        path
    }

    /// What people call an element: the step's name, numbered from the second on (`align_3`).
    fn element_name(&self, element: ElementRef) -> String {
        if let Some(call) = self.calls.get(&element.step.workflow) {
            return call.job.clone();
        }
        let name = &self.node(element.step).name;
        let round = self.loops.get(&element).map_or(0, |state| state.round as usize);
        match element.element + round {
            0 => name.to_string(),
            index => format!("{name}_{}", index + 1),
        }
    }

    fn is_scattered(&self, step: StepRef) -> bool {
        self.state(step)
            .is_some_and(|state| matches!(state, StepState::Running(run) if run.inputs.scatter.is_some()))
    }

    /// Goes before the paths of what runs inside an element.
    fn path_inside(&self, element: ElementRef) -> String {
        if element == MAIN { String::new() } else { format!("{}/", self.element_path(element)) }
    }

    /// Goes before the names of what runs inside an element.
    fn name_inside(&self, element: ElementRef) -> String {
        if element == MAIN { String::new() } else { format!("{}/", self.step_name(element.step)) }
    }

    fn node(&self, step: StepRef) -> &Arc<Node> {
        match self.workflows.get(&step.workflow) {
            Some(workflow) => &workflow.graph.nodes[step.step],
            None => self.calls.get(&step.workflow).map_or(&self.main, |call| &call.node),
        }
    }

    /// What a step runs; `None` where it does not run.
    pub(crate) fn body(&self, step: StepRef) -> Option<Body> {
        match self.state(step) {
            Some(StepState::Running(run)) => Some(run.body.clone()),
            Some(_) => None,
            None => self.calls.get(&step.workflow).map(|call| call.body.clone()),
        }
    }

    fn state(&self, step: StepRef) -> Option<&StepState> {
        self.workflows.get(&step.workflow).map(|workflow| &workflow.steps[step.step])
    }

    fn run_mut(&mut self, step: StepRef) -> Option<&mut StepRun> {
        match self.workflows.get_mut(&step.workflow)?.steps.get_mut(step.step)? {
            StepState::Running(run) => Some(run),
            _ => None,
        }
    }

    fn set_state(&mut self, step: StepRef, state: StepState) {
        if let Some(workflow) = self.workflows.get_mut(&step.workflow) {
            workflow.steps[step.step] = state;
        }
    }

    fn start_workflow(&mut self, parent: ElementRef, graph: Arc<Graph>, inputs: Value) {
        let (path, name): (String, Arc<str>) = (self.path_inside(parent), self.name_inside(parent).into());
        let id = self.next_id();
        self.events.push(Event::WorkflowStarted { name: name.trim_end_matches('/').into() });
        let steps: Vec<StepState> =
            graph.nodes.iter().map(|node| StepState::Waiting(node.needs.len())).collect();
        let free: Vec<usize> = (0..steps.len()).filter(|&step| graph.nodes[step].needs.is_empty()).collect();
        let unfinished = steps.len();
        self.workflows
            .insert(id, RunningWorkflow { graph, path, name, parent, inputs, steps, active: 0, unfinished });
        self.make_ready(id, &free);
        self.complete_workflow_if_over(id);
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn make_ready(&mut self, id: u64, steps: &[usize]) {
        if let Some(workflow) = self.workflows.get_mut(&id) {
            for &step in steps {
                workflow.steps[step] = StepState::Merging;
                workflow.active += 1;
            }
        }
        // In reverse, since the last is issued first.
        for &step in steps.iter().rev() {
            self.ready.push(Ready::Merge(StepRef { workflow: id, step }));
        }
    }

    fn merge_command(&self, step: StepRef) -> Command {
        let node = Arc::clone(self.node(step));
        let sources = match (self.workflows.get(&step.workflow), node.step()) {
            (Some(workflow), Some(written)) => {
                written.inputs.iter().map(|input| workflow.link_values(&input.source)).collect()
            }
            _ => Vec::new(),
        };
        Command::Merge { step, node, sources }
    }

    /// The next element of a step that runs, and whether there are more.
    fn element_command(&mut self, step: StepRef) -> Option<(Command, bool)> {
        let node = Arc::clone(self.node(step));
        let run = self.run_mut(step)?;
        run.issued += 1;
        let element = ElementRef { step, element: run.issued - 1 };
        let (body, inputs) = (run.body.clone(), run.inputs.clone());
        let more = run.issued < run.count;
        Some((Command::Prepare { element, node, body, inputs, round: 0 }, more))
    }

    fn remember_round(&mut self, element: ElementRef, round: Option<ValueMap>) {
        if let Some(inputs) = round {
            self.loops
                .entry(element)
                .and_modify(|state| state.inputs.clone_from(&inputs))
                .or_insert_with(|| LoopState { round: 0, inputs, last: None, all: Vec::new() });
        }
    }

    fn skipped(&mut self, element: ElementRef) {
        let node = Arc::clone(self.node(element.step));
        let nulls = node.outputs.iter().map(|name| (Arc::clone(name), Value::Null)).collect();
        if let Some(run) = self.run_mut(element.step) {
            run.skipped += 1;
        }
        // A loop whose condition is false before the first round has its own kind of nothing.
        if node.step().is_some_and(|step| step.loop_.is_some()) {
            let outputs = self.loop_outputs(element, &node);
            self.element_over(element, Some(&outputs));
        } else {
            self.element_over(element, Some(&Value::map(nulls)));
        }
    }

    fn loop_outputs(&mut self, element: ElementRef, node: &Node) -> Value {
        let state = self.loops.remove(&element);
        let over_all = is_loop_over_all(node);
        let outputs = node.outputs.iter().map(|name| {
            let value = match &state {
                Some(state) if over_all => {
                    Value::list(state.all.iter().map(|round| round.field(name).clone()).collect())
                }
                Some(state) => state.last.as_ref().map_or(Value::Null, |last| last.field(name).clone()),
                None if over_all => Value::list(Vec::new()),
                None => Value::Null,
            };
            (Arc::clone(name), value)
        });
        Value::map(outputs.collect())
    }

    /// An element is over: with its output object, or without because it failed.
    fn element_over(&mut self, element: ElementRef, outputs: Option<&Value>) {
        if let Some(call) = self.calls.remove(&element.step.workflow) {
            return self.call_over(call, outputs.cloned());
        }
        let node = Arc::clone(self.node(element.step));
        let Some(run) = self.run_mut(element.step) else { return };
        run.over += 1;
        match outputs {
            Some(outputs) => {
                for (name, values) in node.outputs.iter().zip(&mut run.results) {
                    values[element.element] = outputs.field(name).clone();
                }
            }
            None => run.failed = true,
        }
        if run.over == run.count {
            self.complete_step(element.step);
        }
    }

    fn complete_step(&mut self, step: StepRef) {
        let Some(run) = self.run_mut(step) else { return };
        if run.failed {
            self.end_step(step, StepState::Failed, Status::Failed);
            return;
        }
        let status =
            if run.count > 0 && run.skipped == run.count { Status::Skipped } else { Status::Success };
        let results = std::mem::take(&mut run.results);
        let outputs = match run.inputs.scatter.clone() {
            Some(scatter) => results.into_iter().map(|values| scatter.gather(values)).collect(),
            None => results.into_iter().map(|mut values| values.pop().unwrap_or_default()).collect(),
        };
        self.end_step(step, StepState::Done(outputs), status);
    }

    fn end_step(&mut self, step: StepRef, state: StepState, status: Status) {
        self.events.push(Event::StepFinished { step: self.step_name(step), status });
        let Some(workflow) = self.workflows.get_mut(&step.workflow) else { return };
        let done = matches!(state, StepState::Done(_));
        workflow.steps[step.step] = state;
        workflow.active -= 1;
        if done {
            workflow.unfinished -= 1;
            let graph = Arc::clone(&workflow.graph);
            let mut free = Vec::new();
            for &consumer in &graph.consumers[step.step] {
                if let StepState::Waiting(missing) = &mut workflow.steps[consumer] {
                    *missing -= 1;
                    if *missing == 0 {
                        free.push(consumer);
                    }
                }
            }
            self.make_ready(step.workflow, &free);
        }
        self.complete_workflow_if_over(step.workflow);
    }

    fn complete_workflow_if_over(&mut self, id: u64) {
        let Some(workflow) = self.workflows.get(&id).filter(|workflow| workflow.active == 0) else { return };
        let outputs = if workflow.unfinished == 0 { workflow.outputs().map(Some) } else { Ok(None) };
        let Some(workflow) = self.workflows.remove(&id) else { return };
        let name: Arc<str> = workflow.name.trim_end_matches('/').into();
        let outputs = outputs.unwrap_or_else(|failure| {
            let what = if name.is_empty() { "the workflow".to_owned() } else { format!("workflow {name}") };
            self.failures.push((what, failure));
            None
        });
        self.events.push(Event::WorkflowFinished { name, success: outputs.is_some() });
        match outputs {
            Some(outputs) => self.finished(workflow.parent, outputs),
            None => self.failed(workflow.parent),
        }
    }
}

impl RunningWorkflow {
    fn link_values(&self, source: &SourceList) -> Vec<Value> {
        source
            .links
            .iter()
            .map(|link| match link.target {
                LinkTarget::Input(index) => {
                    self.inputs.field(&self.graph.workflow.common.inputs[index].name).clone()
                }
                LinkTarget::Step { step, output } => match &self.steps[step] {
                    StepState::Done(outputs) => outputs[output].clone(),
                    _ => Value::Null,
                },
            })
            .collect()
    }

    /// The output object; every step is done.
    fn outputs(&self) -> Result<Value, Failure> {
        let workflow = &self.graph.workflow;
        let sources: Vec<Vec<Value>> =
            workflow.common.outputs.iter().map(|output| self.link_values(&output.source)).collect();
        Ok(workflow_outputs::workflow_outputs(workflow, &sources)?)
    }
}

/// A step's name as part of a path, so that no two elements have the same path whatever steps are called.
fn escape(name: &str) -> Cow<'_, str> {
    if !name.contains(['%', '/', '[', ']', '@']) {
        return Cow::Borrowed(name);
    }
    let escaped = name.chars().map(|c| match c {
        '%' | '/' | '[' | ']' | '@' => format!("%{:02X}", u32::from(c)),
        _ => c.to_string(),
    });
    Cow::Owned(escaped.collect())
}

fn is_loop_over_all(node: &Node) -> bool {
    use moil_cwl::process::LoopOutput;
    node.step().and_then(|step| step.loop_.as_ref()).is_some_and(|loop_| loop_.output == LoopOutput::All)
}
