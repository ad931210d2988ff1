//! Workflows, their steps and links.

use std::collections::HashMap;
use std::sync::Arc;

use moil_salad::diagnostic::Diagnostic;
use moil_salad::node::Node;
use moil_salad::source::Place;
use moil_salad::suggest::nearest;
use moil_salad::uri;

use super::cursor::{Cursor, items};
use super::requirement::class_name;
use super::stand_in::{self, Doubts};
use super::{Converter, short_name};
use crate::link_check;
use crate::parameter::{Link, LinkTarget, SourceList};
use crate::process::{Loop, LoopInput, LoopOutput, Process, ScatterMethod, Step, StepInput, Workflow};
use crate::text::Text;

/// What sources can name, by full identifier.
struct Targets<'n> {
    known: HashMap<&'n str, LinkTarget>,
    /// The identifier of the workflow.
    workflow: &'n str,
    /// Whether inputs, or whole steps, were refused.
    lost_inputs: bool,
    lost_steps: bool,
    /// The steps, each with whether outputs of it were refused.
    steps: HashMap<&'n str, bool>,
}

impl Targets<'_> {
    /// Whether an identifier may be that of something that was refused.
    fn may_be_lost(&self, id: &str) -> bool {
        match uri::parent(id, 1) {
            around if around == self.workflow => self.lost_inputs,
            step => self.steps.get(step).copied().unwrap_or(self.lost_steps),
        }
    }
}

impl Converter<'_> {
    /// `class: Workflow`.
    pub(super) fn workflow(&self, node: &Node, cursor: &Cursor) -> Option<Process> {
        let (mut common, _) = self.common(node, cursor)?;
        let step_nodes: Vec<(&str, &Node)> = ids_and_nodes(cursor.list("steps")).collect();
        let mut targets = Targets {
            known: HashMap::new(),
            workflow: node.get("id").and_then(Node::as_str).unwrap_or_default(),
            lost_inputs: !cursor.is_whole("inputs"),
            lost_steps: !cursor.is_whole("steps") || step_nodes.len() != cursor.list("steps").len(),
            steps: HashMap::new(),
        };
        for (index, input) in ids(cursor.list("inputs")).enumerate() {
            targets.known.insert(input, LinkTarget::Input(index));
        }
        for (step, (id, node)) in step_nodes.iter().enumerate() {
            for (output, id) in outs(node).into_iter().enumerate() {
                targets.known.insert(id, LinkTarget::Step { step, output });
            }
            let lost = node.get("out").is_some_and(|out| items(out).iter().any(Node::is_faulty));
            targets.steps.insert(id, lost);
        }
        let mut doubts = Doubts::default();
        let mut steps = Vec::with_capacity(step_nodes.len());
        for (index, (id, node)) in step_nodes.iter().enumerate() {
            steps.push(self.step(index, id, node, &targets, &mut doubts)?);
        }
        let mut outputs = ids_and_nodes(cursor.list("outputs"));
        for output in &mut common.outputs {
            let Some(node) = outputs.find(|(id, _)| short_name(id) == &*output.name).map(|(_, node)| node)
            else {
                continue;
            };
            if let Some(cursor) = Cursor::new(node, "WorkflowOutputParameter", &self.findings) {
                let (source, is_whole) = self.sources(&cursor, "outputSource", &targets);
                output.source = source;
                if !is_whole {
                    doubts.outputs.insert(Arc::clone(&output.name));
                }
            }
        }
        self.unique("step", steps.iter().map(|step| (&step.name, &step.place)));
        let workflow = Workflow { common, steps };
        let found = link_check::check(&doubts.cleared(&workflow));
        found.into_iter().for_each(|diagnostic| self.findings.add(diagnostic));
        Some(Process::Workflow(Arc::new(workflow)))
    }

    fn step(
        &self,
        index: usize,
        id: &str,
        node: &Node,
        targets: &Targets,
        doubts: &mut Doubts,
    ) -> Option<Step> {
        let cursor = Cursor::new(node, "WorkflowStep", &self.findings)?;
        let name: Arc<str> = short_name(id).into();
        cursor.ignore(&["id", "out"]);
        let run = cursor.required("run").and_then(|node| self.run(node));
        let mut inputs: Vec<StepInput> = Vec::new();
        for node in cursor.list("in") {
            let Some((input, is_whole)) = self.step_input(node, targets) else { continue };
            if !is_whole {
                doubts.inputs.insert((index, Arc::clone(&input.name)));
            }
            inputs.push(input);
        }
        let has_all_inputs = cursor.is_whole("in") && inputs.len() == cursor.list("in").len();
        self.unique("step input", inputs.iter().map(|input| (&input.name, &input.place)));
        let outputs: Vec<Arc<str>> = outs(node).into_iter().map(|id| short_name(id).into()).collect();
        let out_place = cursor.place_of("out");
        if outputs.len() < cursor.list("out").iter().filter(|out| !out.is_faulty()).count() {
            let message = format!("`out` of the step `{name}` names an output twice");
            self.findings.add(Diagnostic::warning("duplicate-output", out_place, message));
        }
        let (scatter, scatter_is_whole) = self.scatter(&cursor, &name, &inputs, has_all_inputs);
        let when = cursor.text("when");
        let (when, loop_) = self.step_loop(&cursor, when);
        if loop_.is_some() && !scatter.is_empty() {
            let message = format!("the step `{name}` cannot have both a loop and `scatter`");
            self.findings.error("loop-with-scatter", cursor.place, message);
        }
        let scatter_method = self.symbol(
            &cursor,
            "scatterMethod",
            &[
                ("dotproduct", ScatterMethod::Dot),
                ("nested_crossproduct", ScatterMethod::NestedCross),
                ("flat_crossproduct", ScatterMethod::FlatCross),
            ],
        );
        if scatter.len() > 1 && scatter_method.is_none() && !cursor.is_faulty("scatterMethod") {
            let message = format!("the step `{name}` scatters several inputs and has no `scatterMethod`");
            self.findings.error("no-scatter-method", cursor.place_of("scatter"), message);
        }
        self.check_loop(&name, loop_.as_ref(), &inputs, &outputs, cursor.place);
        let run_is_whole = run.as_ref().is_some_and(|run| !self.hollow.borrow().contains(&run.common().id));
        if !run_is_whole || !scatter_is_whole || cursor.is_faulty("loop") {
            doubts.ports.insert(index);
        }
        let run = run.unwrap_or_else(|| stand_in::process(&inputs, &outputs, cursor.place));
        let step = Step {
            name,
            place: node.place.clone(),
            label: cursor.doc("label"),
            run,
            inputs,
            outputs,
            scatter,
            scatter_method,
            when,
            loop_,
            requirements: self.requirements(&cursor),
        };
        cursor.ignore(&["doc"]);
        let told = if scatter_is_whole { Vec::new() } else { cursor.texts("scatter") };
        cursor.finish();
        if run_is_whole {
            // Of what `scatter` names and the step does not have was told.
            let told = |name: &str| told.iter().any(|text| short_name(&text.text) == name);
            self.check_outputs(&step, out_place);
            if has_all_inputs {
                self.check_inputs(&step, &told);
            }
        }
        Some(step)
    }

    /// The names in `scatter`, each an input of the step; and whether nothing is wrong with them.
    fn scatter(
        &self,
        cursor: &Cursor,
        step: &str,
        inputs: &[StepInput],
        has_all_inputs: bool,
    ) -> (Vec<Arc<str>>, bool) {
        let mut scatter: Vec<Arc<str>> = Vec::new();
        let mut is_whole = cursor.is_whole("scatter");
        for text in cursor.texts("scatter") {
            let name = short_name(&text.text);
            if !inputs.iter().any(|input| &*input.name == name) {
                is_whole = false;
                if !has_all_inputs {
                    continue;
                }
                let message = format!("`scatter` names `{name}`, which is no input of the step `{step}`");
                let near = nearest(name, inputs.iter().map(|input| &*input.name));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if inputs.is_empty() => "the step has no inputs".to_owned(),
                    None => {
                        format!(
                            "the inputs of the step are {}",
                            names(inputs.iter().map(|input| &*input.name))
                        )
                    }
                };
                self.findings
                    .add(Diagnostic::error("undefined-scatter", &text.place, message).with_hint(hint));
            } else if scatter.iter().any(|other| &**other == name) {
                let message = format!("`scatter` names `{name}` twice");
                self.findings.error("duplicate-scatter", &text.place, message);
            } else {
                scatter.push(name.into());
            }
        }
        (scatter, is_whole)
    }

    /// What the step takes from its process must be there: names only, types are for the link check.
    fn check_outputs(&self, step: &Step, out_place: &Place) {
        let common = step.run.common();
        // The outputs of a generator are those of a process that nobody knows yet.
        if !matches!(step.run, Process::Generator(_)) {
            for output in step.outputs.iter().filter(|name| common.output(name).is_none()) {
                let message = format!("the step `{}` has no output `{output}`", step.name);
                let known = names(common.outputs.iter().map(|output| &*output.name));
                let near = nearest(output, common.outputs.iter().map(|output| &*output.name));
                let hint = if let Some(near) = near {
                    format!("did you mean `{near}`?")
                } else if known.is_empty() {
                    "what it runs has no outputs".to_owned()
                } else {
                    format!("the outputs of what it runs are {known}")
                };
                self.findings.add(
                    Diagnostic::error("undefined-output", out_place, message)
                        .with_related(&common.place, "the process that it runs is here")
                        .with_hint(hint),
                );
            }
        }
    }

    /// What the process of a step needs must be given; `told` are names of which something was told already.
    fn check_inputs(&self, step: &Step, told: &dyn Fn(&str) -> bool) {
        let common = step.run.common();
        let bound = |name: &str| step.inputs.iter().any(|input| &*input.name == name);
        let missing: Vec<&str> = common
            .inputs
            .iter()
            .filter(|input| !bound(&input.name) && !input.type_.is_optional() && input.default.is_null())
            .map(|input| &*input.name)
            .filter(|name| !told(name))
            .collect();
        if !missing.is_empty() {
            let missing = names(missing.into_iter());
            let message =
                format!("the step `{}` does not give {missing}, which its process needs", step.name);
            self.findings.add(
                Diagnostic::error("missing-input", &step.place, message)
                    .with_related(&common.place, "the process is here"),
            );
        }
    }

    /// An input of a step, and whether nothing is wrong with it.
    fn step_input(&self, node: &Node, targets: &Targets) -> Option<(StepInput, bool)> {
        let cursor = Cursor::new(node, "WorkflowStepInput", &self.findings)?;
        let (source, is_whole) = self.sources(&cursor, "source", targets);
        let is_whole = is_whole && !cursor.is_faulty("default") && !cursor.is_faulty("valueFrom");
        let input = StepInput {
            name: short_name(cursor.required("id")?.as_str()?).into(),
            place: node.place.clone(),
            source,
            default: cursor.value("default"),
            value_from: cursor.text("valueFrom"),
            load_contents: cursor.flag("loadContents", false),
            load_listing: self.load_listing(&cursor),
        };
        cursor.ignore(&["label", "doc"]);
        cursor.finish();
        Some((input, is_whole))
    }

    /// `source` or `outputSource` with `linkMerge` and `pickValue`; and whether nothing is wrong with them.
    fn sources(&self, cursor: &Cursor, field: &str, targets: &Targets) -> (SourceList, bool) {
        let mut links = Vec::new();
        let mut is_whole =
            cursor.is_whole(field) && !cursor.is_faulty("linkMerge") && !cursor.is_faulty("pickValue");
        let node = cursor.get(field);
        for source in node.map_or(&[][..], items) {
            let Some(id) = source.as_str() else {
                cursor.wrong(field, source, "a name or a list of names");
                continue;
            };
            match targets.known.get(id) {
                Some(target) => links.push(Link { place: source.place.clone(), target: *target }),
                None if targets.may_be_lost(id) => is_whole = false,
                None => {
                    is_whole = false;
                    let name = id.split_once('#').map_or(id, |(_, fragment)| fragment);
                    let message =
                        format!("`{field}` names `{name}`, which is no input and no output of a step");
                    let mut diagnostic = Diagnostic::error("undefined-source", &source.place, message);
                    diagnostic.hint = meant(id, targets);
                    self.findings.add(diagnostic);
                }
            }
        }
        let sources = SourceList {
            links,
            is_list: node.is_some_and(|node| node.as_list().is_some()),
            link_merge: self.link_merge(cursor),
            pick_value: self.pick_value(cursor),
        };
        (sources, is_whole)
    }

    /// The loop of a step, from `loop` of v1.3 or `cwltool:Loop`, and what is then left of `when`.
    fn step_loop(&self, cursor: &Cursor, when: Option<Text>) -> (Option<Text>, Option<Loop>) {
        let is_loop = |node: &&Node| node.get("class").and_then(Node::as_str).map(class_name) == Some("Loop");
        if let Some(node) = cursor.list("hints").iter().find(is_loop) {
            self.findings.error(
                "loop-as-hint",
                &node.place,
                "`cwltool:Loop` must be a requirement, not a hint",
            );
        }
        if let Some(node) = cursor.list("requirements").iter().find(is_loop) {
            let Some(inner) = Cursor::new(node, "Loop", &self.findings) else { return (when, None) };
            if let Some(when) = &when {
                let message = "a step with `cwltool:Loop` cannot have a `when`";
                self.findings.error("loop-with-when", &when.place, message);
            }
            inner.required("loopWhen");
            inner.ignore(&["class"]);
            let loop_ = inner.text("loopWhen").map(|text| self.loop_fields(&inner, text));
            inner.finish();
            return (None, loop_);
        }
        if cursor.get("loop").is_none() {
            let method = cursor.get("outputMethod").is_some();
            if method {
                let message = "`outputMethod` needs a `loop`";
                self.findings.error("output-method-without-loop", cursor.place_of("outputMethod"), message);
            }
            return (when, None);
        }
        match when {
            Some(when) => (None, Some(self.loop_fields(cursor, when))),
            None if cursor.is_faulty("when") => (None, None),
            None => {
                cursor.ignore(&["outputMethod"]);
                self.findings.error("loop-without-when", cursor.place_of("loop"), "a `loop` needs a `when`");
                (None, None)
            }
        }
    }

    /// A loop feeds inputs of its step from outputs of its step.
    fn check_loop(
        &self,
        step: &str,
        loop_: Option<&Loop>,
        inputs: &[StepInput],
        outputs: &[Arc<str>],
        place: &Place,
    ) {
        for next in loop_.iter().flat_map(|loop_| &loop_.inputs) {
            if !inputs.iter().any(|input| input.name == next.name) {
                let message = format!(
                    "the loop of the step `{step}` sets `{}`, which is no input of the step",
                    next.name
                );
                self.findings.error("undefined-loop-input", place, message);
            }
            for source in next.sources.iter().filter(|source| !outputs.contains(source)) {
                let message =
                    format!("the loop of the step `{step}` takes `{source}`, which is no output of the step");
                self.findings.error("undefined-loop-source", place, message);
            }
        }
    }

    fn loop_fields(&self, cursor: &Cursor, when: Text) -> Loop {
        let inputs = cursor.list("loop").iter().filter_map(|node| self.loop_input(node)).collect();
        let output = self.symbol(
            cursor,
            "outputMethod",
            &[
                ("last_iteration", LoopOutput::Last),
                ("all_iterations", LoopOutput::All),
                ("last", LoopOutput::Last),
                ("all", LoopOutput::All),
            ],
        );
        Loop { when, inputs, output: output.unwrap_or(LoopOutput::Last) }
    }

    fn loop_input(&self, node: &Node) -> Option<LoopInput> {
        let cursor = Cursor::new(node, "LoopInput", &self.findings)?;
        let field = if cursor.get("loopSource").is_some() { "loopSource" } else { "outputSource" };
        let sources = cursor.get(field);
        let input = LoopInput {
            name: short_name(cursor.required("id")?.as_str()?).into(),
            sources: cursor.texts(field).iter().map(|text| short_name(&text.text).into()).collect(),
            is_list: sources.is_some_and(|node| node.as_list().is_some()),
            link_merge: self.link_merge(&cursor),
            pick_value: self.pick_value(&cursor),
            default: cursor.value("default"),
            value_from: cursor.text("valueFrom"),
        };
        cursor.ignore(&["label", "doc"]);
        cursor.finish();
        Some(input)
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The identifiers of parameters. A parameter without one was reported when it was made.
fn ids(nodes: &[Node]) -> impl Iterator<Item = &str> {
    ids_and_nodes(nodes).map(|(id, _)| id)
}

fn ids_and_nodes(nodes: &[Node]) -> impl Iterator<Item = (&str, &Node)> {
    nodes.iter().filter_map(|node| Some((node.get("id")?.as_str()?, node)))
}

/// The identifiers in a step's `out`, each once.
fn outs(step: &Node) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for out in step.get("out").and_then(Node::as_list).unwrap_or_default() {
        ids.extend(out.as_str().filter(|id| !ids.contains(id)));
    }
    ids
}

/// What a link may have been meant to name: something with a similar name, or an output of the step
/// that is named alone.
fn meant(id: &str, targets: &Targets) -> Option<String> {
    let name = |id: &str| id.split_once('#').map_or(id, |(_, fragment)| fragment).to_owned();
    let inside = format!("{id}/");
    let mut known: Vec<String> = targets.known.keys().map(|target| name(target)).collect();
    known.sort_unstable();
    let of_step = known.iter().find(|known| known.starts_with(&name(&inside)));
    let near = of_step.map(String::as_str).or_else(|| nearest(&name(id), known.iter().map(String::as_str)));
    near.map(|near| format!("did you mean `{near}`?"))
}
