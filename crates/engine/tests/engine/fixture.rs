//! Documents from memory, and what drives a plan by hand.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use moil_cwl::document::LoadOptions;
use moil_cwl::error::Error;
use moil_cwl::expression::{Evaluator, Limits};
use moil_cwl::files::{Entry, Files, Stat};
use moil_cwl::inherit::Inherited;
use moil_cwl::load::Loaded;
use moil_cwl::scatter::Scatter;
use moil_cwl::value::{Value, ValueMap};
use moil_cwl::{json, load, prepare, print};
use moil_engine::generator::GeneratedDocument;
use moil_engine::graph::{Body, Graph, Node, Overrides};
use moil_engine::plan::{Command, ElementRef, End, Plan, Prepared, Run, StepInputs};
use moil_job::event::Event;
use moil_job::failure::{Failure, FailureKind};
use moil_job::resources::Resources;
use moil_salad::fetch::Fetch;

/// One text, and no file.
pub struct Memory(pub String);

impl Fetch for Memory {
    fn text(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn exists(&self, uri: &str) -> bool {
        uri == "file:///d/main.cwl"
    }
}

impl Files for Memory {
    fn stat(&self, _: &str) -> Result<Option<Stat>, Error> {
        Ok(None)
    }

    fn read_prefix(&self, location: &str, _: u64) -> Result<Vec<u8>, Error> {
        Err(Error::File { location: location.to_owned(), reason: "there are no files here".to_owned() })
    }

    fn list(&self, _: &str) -> Result<Vec<Entry>, Error> {
        Ok(Vec::new())
    }
}

/// A workflow of the given version; `TOOL` stands for a tool that takes anything as `i` and gives `o`.
pub fn node_of(version: &str, text: &str) -> Arc<Node> {
    const TOOL: &str = "{class: CommandLineTool, baseCommand: x, inputs: {i: 'Any?'}, outputs: {o: 'Any?'}}";
    let text = format!(
        "cwlVersion: {version}\n$namespaces: {{cwltool: 'http://commonwl.org/cwltool#'}}\n\
         requirements:\n  InlineJavascriptRequirement: {{}}\n  ScatterFeatureRequirement: {{}}\n  \
         SubworkflowFeatureRequirement: {{}}\n  StepInputExpressionRequirement: {{}}\n  MultipleInputFeatureRequirement: {{}}\n{}",
        text.replace("TOOL", TOOL)
    );
    node_of_document(text)
}

/// A whole document.
pub fn node_of_document(text: String) -> Arc<Node> {
    let options = LoadOptions { development: true, lenient: true };
    let loaded = load::load("file:///d/main.cwl", &Memory(text), options)
        .unwrap_or_else(|faults| panic!("{faults:#?}"));
    Arc::new(Node::main(&loaded.process, &Inherited::root(Vec::new()), Overrides::default()))
}

/// A workflow of CWL v1.2.
pub fn node(text: &str) -> Arc<Node> {
    node_of("v1.2", text)
}

pub fn values(text: &str) -> ValueMap {
    json::parse(text).expect(text).as_map().expect("a map").clone()
}

/// What a job asks for in these tests.
pub const ONE_CORE: Resources = Resources { cores: 1.0, ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 };

/// What became of a plan.
pub struct Driven {
    /// `run PATH` and `end PATH` in the order in which they happened.
    pub log: Vec<String>,
    /// The output object as JSON, or `failed`, or `stuck` where the plan never ended.
    pub end: String,
    /// What the plan itself found wrong.
    pub failures: Vec<String>,
    /// How steps ended, in order: `a completed success`.
    pub steps: Vec<String>,
    /// Each command, evaluations included: `merge`, `prepare`, `round`, `run`.
    pub commands: Vec<String>,
    /// How many workflows were made ready to run, each once for all elements of its step.
    pub graphs: usize,
    /// How many of them are still in memory at the end.
    pub graphs_left: usize,
}

/// Drives a plan with at most `at_once` jobs, which end in the order in which they began. A job's
/// output `o` is what `outcome` makes of it; `None` is a failure.
pub fn drive(
    main: Arc<Node>,
    inputs: &str,
    at_once: usize,
    mut outcome: impl FnMut(&Run) -> Option<Value>,
) -> Driven {
    let evaluator = Evaluator::new(Limits::default());
    let mut plan = Plan::new(main, values(inputs));
    let mut running: VecDeque<Run> = VecDeque::new();
    let (mut log, mut commands, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    let mut graphs: Vec<Weak<Graph>> = Vec::new();
    for _ in 0..1_000_000 {
        let next = if running.len() < at_once { plan.next_command() } else { None };
        match next {
            Some(Command::Run(run)) => {
                commands.push(format!("run {}", run.path));
                log.push(format!("run {}", run.path));
                running.push_back(*run);
            }
            Some(command) => {
                if let Command::Prepare { body: Body::Workflow(graph), .. } = &command {
                    let graph = Arc::downgrade(graph);
                    if !graphs.iter().any(|other| graph.ptr_eq(other)) {
                        graphs.push(graph);
                    }
                }
                commands.push(evaluate(&mut plan, command, &evaluator));
            }
            None => match running.pop_front() {
                Some(run) => {
                    log.push(format!("end {}", run.path));
                    match outcome(&run) {
                        Some(value) => plan.finished(run.element, outputs(value)),
                        None => plan.failed(run.element),
                    }
                }
                None => break,
            },
        }
        steps.extend(plan.take_events().into_iter().filter_map(|event| match event {
            Event::StepFinished { step, status } => Some(format!("{step} {}", status.words())),
            _ => None,
        }));
    }
    let failures = plan.take_failures().into_iter().map(|(what, why)| format!("{what}: {}", why.message));
    let failures = failures.collect();
    let end = match plan.end() {
        Some(End::Success(outputs)) => print::compact(outputs),
        Some(End::Failed) => "failed".to_owned(),
        None => "stuck".to_owned(),
    };
    let graphs_left = graphs.iter().filter(|graph| graph.strong_count() > 0).count();
    Driven { log, end, failures, steps, commands, graphs: graphs.len(), graphs_left }
}

/// Drives a plan whose jobs give their own paths.
pub fn drive_all(main: Arc<Node>, inputs: &str, at_once: usize) -> Driven {
    drive(main, inputs, at_once, |run| Some(Value::string(run.path.as_str())))
}

/// The output object of a job: that of a generator's first stage is given whole.
pub fn outputs(value: Value) -> Value {
    if !value.field("runProcess").is_null() {
        return value;
    }
    Value::map([("o".into(), value)].into_iter().collect())
}

/// Loads generated documents, which hold their own text.
pub fn load(document: &GeneratedDocument, around: &Inherited) -> Result<Loaded, Failure> {
    let text = document.text.as_deref().unwrap_or_default().to_owned();
    let loaded = load::load_inside(&document.uri, &Memory(text), LoadOptions::default(), around);
    loaded.map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
        Failure::new(FailureKind::BadOutput, faults.join("; "))
    })
}

/// What evaluators do, at once.
fn evaluate(plan: &mut Plan, command: Command, evaluator: &Evaluator) -> String {
    let files = Memory(String::new());
    match command {
        Command::Merge { step, node, sources } => {
            let line = format!("merge {}", plan.step_name(step));
            let written = node.step().expect("a step");
            let merged = prepare::step_inputs(written, &sources, &files)
                .and_then(|values| Ok((Scatter::new(written, &values)?, values)));
            match merged {
                Ok((scatter, values)) => {
                    plan.merged(step, StepInputs { values: values.into(), scatter: scatter.map(Arc::new) });
                }
                Err(_) => plan.merge_failed(step),
            }
            line
        }
        Command::Prepare { element, node, body, inputs, round } => {
            let line = format!("prepare {}", plan.element_path(element));
            prepare_element(plan, element, (&node, &body), &inputs, round, evaluator);
            line
        }
        Command::Generate { element, generator, given, outputs } => {
            let line = format!("generate {}", plan.element_path(element));
            match generator.generate(&given, &outputs, &load) {
                Ok(generated) => {
                    plan.generated(element, generated);
                    line
                }
                Err(failure) => {
                    plan.failed(element);
                    format!("{line}: {}", failure.message)
                }
            }
        }
        Command::NextRound { element, node, inputs, outputs, rounds } => {
            let line = format!("round {rounds} {}", plan.element_path(element));
            let step = node.step().expect("a step");
            let loop_ = step.loop_.as_ref().expect("a loop");
            match prepare::next_round(loop_, step, &inputs, &outputs, evaluator, &node.effective, &files) {
                Ok(inputs) => plan.next_round(element, inputs),
                Err(_) => plan.failed(element),
            }
            line
        }
        Command::Run(_) => unreachable!("jobs are not evaluated"),
    }
}

fn prepare_element(
    plan: &mut Plan,
    element: ElementRef,
    (node, body): (&Node, &Body),
    inputs: &StepInputs,
    round: u32,
    evaluator: &Evaluator,
) {
    let files = Memory(String::new());
    let mut given = (*inputs.values).clone();
    if let Some(step) = node.step().filter(|_| round == 0) {
        let scatter = inputs.scatter.as_deref().map(|scatter| (scatter, element.element));
        match prepare::element_inputs(step, &given, scatter, evaluator, &node.effective, &files) {
            Ok(prepared) if prepared.skipped => return plan.prepared(element, Prepared::Skipped),
            Ok(prepared) => given = prepared.inputs,
            Err(_) => return plan.failed(element),
        }
    }
    let round = node.step().is_some_and(|step| step.loop_.is_some()).then(|| given.clone());
    if let Body::Generator(_) = body {
        return plan.prepared(element, Prepared::Generator { inputs: given, round });
    }
    let inputs = Value::map(given);
    let prepared = match body {
        Body::Tool(_) => Prepared::Job { inputs, resources: ONE_CORE, key: None, cache_key: None, round },
        Body::Workflow(_) => Prepared::Workflow { inputs, round },
        _ => Prepared::Outputs { outputs: outputs(inputs.field("i").clone()), round },
    };
    plan.prepared(element, prepared);
}
