//! Parts of workflows: `--print-targets`, `--target`, `--single-step`, `--single-process`.
//!
//! A part is a document again: what loads, runs and prints documents needs to know nothing of it.

use std::collections::{HashMap, HashSet};

use moil_salad::node::{Kind, Map, Node};
use moil_salad::source::Place;
use moil_salad::uri::short_name;

use crate::document::Document;
use crate::process::Process;

/// What cannot be taken out of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubgraphError {
    /// The process is not a workflow.
    #[error("only a workflow has parts, and this is a {class}")]
    NotAWorkflow {
        /// The class of the process.
        class: String,
    },
    /// There is nothing of that name.
    #[error("the workflow has no {kind} `{name}`; it has {}", .known.join(", "))]
    Unknown {
        /// "step" or "target".
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that it has.
        known: Vec<String>,
    },
}

/// The lines of `--print-targets`: outputs, inputs and steps, each step followed by its own.
pub fn targets(process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    collect_targets(process, "", &mut lines);
    lines
}

// Conversion has limited how deep processes are nested, but not how often one is shared.
const MAX_TARGETS: usize = 100_000;

fn collect_targets(process: &Process, prefix: &str, lines: &mut Vec<String>) {
    let common = process.common();
    lines.extend(common.outputs.iter().map(|output| format!("{prefix}{}", output.name)));
    lines.extend(common.inputs.iter().map(|input| format!("{prefix}{}", input.name)));
    let Process::Workflow(workflow) = process else { return };
    for step in &workflow.steps {
        if lines.len() > MAX_TARGETS {
            return;
        }
        lines.push(format!("{prefix}{}", step.name));
        collect_targets(&step.run, &format!("{prefix}{}/", step.name), lines);
    }
}

/// The document with only that of its main workflow which has to do with the targets: of an output
/// all that it comes from; of an input or step all that comes of it. A source that falls away
/// becomes an input named `STEP_OUTPUT`.
///
/// # Errors
/// The main process is no workflow, or has no such target.
pub fn target(document: &Document, names: &[&str]) -> Result<Document, SubgraphError> {
    let workflow = main_workflow(document)?;
    let graph = Graph::of(workflow);
    let prefix = prefix(workflow);
    let mut kept: HashSet<&str> = HashSet::new();
    for name in names {
        let id = format!("{prefix}{name}");
        let Some((&id, node)) = graph.nodes.get_key_value(id.as_str()) else {
            let mut known: Vec<String> = graph
                .nodes
                .iter()
                .filter(|(_, node)| node.kind != NodeKind::Port)
                .map(|(id, _)| short_name(id).to_owned())
                .collect();
            known.sort();
            return Err(SubgraphError::Unknown { kind: "target", name: (*name).to_owned(), known });
        };
        graph.visit(id, node.kind == NodeKind::Output, &mut kept);
    }
    // Where the parts begin, they take the workflow's inputs, or new ones.
    let mut rewired: Vec<(String, String, Node)> = Vec::new();
    let mut inputs: HashSet<&str> = HashSet::new();
    for id in &kept {
        let Some(node) = graph.nodes.get(id) else { continue };
        if !matches!(node.kind, NodeKind::Step | NodeKind::Output) {
            continue;
        }
        for source in node.up.iter().filter(|source| !kept.contains(*source)) {
            match graph.nodes.get(source).map(|node| node.kind) {
                Some(NodeKind::Input) => {
                    inputs.insert(source);
                }
                _ if rewired.iter().any(|(old, _, _)| old == source) => {}
                _ => {
                    let name =
                        source.strip_prefix(prefix.as_str()).unwrap_or(short_name(source)).replace('/', "_");
                    let type_ = sink_type(document, workflow, source);
                    rewired.push(((*source).to_owned(), format!("{prefix}{name}"), type_));
                }
            }
        }
    }
    rewired.sort_by(|a, b| a.0.cmp(&b.0));
    kept.extend(inputs);
    let mut part = workflow.clone();
    for field in ["inputs", "outputs", "steps"] {
        let Some(Node { kind: Kind::List(members), .. }) = part_field(&mut part, field) else { continue };
        members.retain(|member| id_of(member).is_some_and(|id| kept.contains(id)));
        for member in members.iter_mut() {
            if field == "steps"
                && let Some(Node { kind: Kind::List(inputs), .. }) = part_field(member, "in")
            {
                inputs.iter_mut().for_each(|input| rewire(input, "source", &rewired));
            }
            rewire(member, "outputSource", &rewired);
        }
        if field == "inputs" {
            members.extend(rewired.iter().map(|(_, id, type_)| {
                map(&workflow.place, vec![("id", Node::string(id, &workflow.place)), ("type", type_.clone())])
            }));
        }
    }
    Ok(with_main(document, part))
}

/// The document with one step as its only step; `path` names it, a step of a step's workflow as
/// `STEP/STEP`. What the step takes and gives are the workflow's inputs and outputs.
///
/// # Errors
/// The main process is no workflow, or has no such step.
pub fn single_step(document: &Document, path: &str) -> Result<Document, SubgraphError> {
    let workflow = main_workflow(document)?;
    let (step, above) = find_step(document, workflow, path)?;
    let prefix = prefix(workflow);
    let place = &step.place;
    let string = |text: &str| Node::string(text, place);
    let list = |members: Vec<Node>| Node { place: place.clone(), kind: Kind::List(members) };
    let step_id = format!("{prefix}{}", short_name(id_of(step).unwrap_or_default()));
    let scattered = strings(step.get("scatter"));
    let ports =
        run_of(document, step).and_then(|run| run.get("inputs")).and_then(Node::as_list).unwrap_or_default();
    let mut step = step.clone();
    let mut inputs = Vec::new();
    if let Some(Node { kind: Kind::List(members), .. }) = part_field(&mut step, "in") {
        for input in members {
            let old = id_of(input).unwrap_or_default().to_owned();
            let name = short_name(&old).to_owned();
            let port = ports.iter().find(|port| id_of(port).is_some_and(|id| short_name(id) == name));
            let has_default = |node: &Node| node.get("default").is_some_and(|default| !default.is_null());
            let optional =
                has_default(input) || input.get("valueFrom").is_some() || port.is_none_or(has_default);
            let type_ = wrapped_type(
                port.and_then(|port| port.get("type")),
                scattered.contains(&old),
                optional,
                place,
            );
            inputs.push(map(place, vec![("id", string(&format!("{prefix}{name}"))), ("type", type_)]));
            if let Kind::Map(fields) = &mut input.kind {
                fields.remove("linkMerge");
                fields.remove("pickValue");
                fields.set("source", string(&format!("{prefix}{name}")));
                fields.set("id", string(&format!("{step_id}/{name}")));
            }
        }
    }
    let outs: Vec<String> = strings(step.get("out")).iter().map(|id| short_name(id).to_owned()).collect();
    let outputs = outs.iter().map(|name| {
        map(
            place,
            vec![
                ("id", string(&format!("{prefix}{name}"))),
                ("type", wrapped_type(None, false, true, place)),
                ("outputSource", string(&format!("{step_id}/{name}"))),
            ],
        )
    });
    let outputs = list(outputs.collect());
    let moved = |ids: Vec<String>| {
        list(ids.iter().map(|id| string(&format!("{step_id}/{}", short_name(id)))).collect())
    };
    if let Kind::Map(fields) = &mut step.kind {
        fields.set("id", string(&step_id));
        fields.set("out", moved(outs));
        if !scattered.is_empty() {
            fields.set("scatter", moved(scattered));
        }
    }
    let mut part = workflow.clone();
    if let Kind::Map(fields) = &mut part.kind {
        fields.set("inputs", list(inputs));
        fields.set("outputs", outputs);
    }
    // The step now stands in the outermost workflow: it must state itself what stood in between.
    for outer in above.into_iter().rev() {
        inherit(&mut step, outer);
    }
    if let Kind::Map(fields) = &mut part.kind {
        fields.set("steps", list(vec![step]));
    }
    Ok(with_main(document, part))
}

/// The document with the process that a step runs as its main process, and the requirements that
/// are in force there.
///
/// # Errors
/// The main process is no workflow, or has no such step.
pub fn single_process(document: &Document, path: &str) -> Result<Document, SubgraphError> {
    let workflow = main_workflow(document)?;
    let (step, above) = find_step(document, workflow, path)?;
    let Some(run) = run_of(document, step) else {
        return Err(SubgraphError::Unknown { kind: "step", name: path.to_owned(), known: Vec::new() });
    };
    let mut part = run.clone();
    inherit(&mut part, step);
    for outer in above.into_iter().rev() {
        inherit(&mut part, outer);
    }
    inherit(&mut part, workflow);
    Ok(with_main(document, part))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeKind {
    Input,
    Output,
    Step,
    /// An output of a step.
    Port,
}

struct GraphNode<'d> {
    kind: NodeKind,
    up: Vec<&'d str>,
    down: Vec<&'d str>,
}

/// Inputs, steps, their outputs and the outputs of a workflow, by identifier.
struct Graph<'d> {
    nodes: HashMap<&'d str, GraphNode<'d>>,
}

impl<'d> Graph<'d> {
    fn of(workflow: &'d Node) -> Self {
        let mut graph = Self { nodes: HashMap::new() };
        let mut links: Vec<(&'d str, &'d str)> = Vec::new();
        for input in members(workflow, "inputs") {
            graph.add(input, NodeKind::Input);
        }
        for output in members(workflow, "outputs") {
            graph.add(output, NodeKind::Output);
            links.extend(
                sources(output, "outputSource").map(|source| (source, id_of(output).unwrap_or_default())),
            );
        }
        for step in members(workflow, "steps") {
            graph.add(step, NodeKind::Step);
            let id = id_of(step).unwrap_or_default();
            for input in members(step, "in") {
                links.extend(sources(input, "source").map(|source| (source, id)));
            }
            for out in sources(step, "out") {
                graph.nodes.insert(out, GraphNode { kind: NodeKind::Port, up: Vec::new(), down: Vec::new() });
                links.push((id, out));
            }
        }
        for (from, to) in links {
            if let Some(node) = graph.nodes.get_mut(from) {
                node.down.push(to);
            }
            if let Some(node) = graph.nodes.get_mut(to) {
                node.up.push(from);
            }
        }
        graph
    }

    fn add(&mut self, node: &'d Node, kind: NodeKind) {
        if let Some(id) = id_of(node) {
            self.nodes.insert(id, GraphNode { kind, up: Vec::new(), down: Vec::new() });
        }
    }

    fn visit(&self, from: &'d str, up: bool, seen: &mut HashSet<&'d str>) {
        let mut open = vec![from];
        let mut visited = HashSet::new();
        while let Some(id) = open.pop() {
            let Some(node) = self.nodes.get(id) else { continue };
            if visited.insert(id) {
                open.extend(if up { &node.up } else { &node.down });
            }
        }
        seen.extend(visited);
    }
}

fn main_workflow(document: &Document) -> Result<&Node, SubgraphError> {
    let class = |node: &Node| node.get("class").and_then(Node::as_str).unwrap_or("nothing").to_owned();
    match document.processes.get(&document.main) {
        Some(node) if class(node) == "Workflow" => Ok(node),
        node => Err(SubgraphError::NotAWorkflow { class: node.map_or_else(|| "nothing".to_owned(), class) }),
    }
}

fn with_main(document: &Document, main: Node) -> Document {
    let mut part = document.clone();
    let id = id_of(&main).unwrap_or_default().to_owned();
    part.processes.insert(id.clone(), main);
    part.main = id;
    part
}

/// What stands before the names of a workflow's parts.
fn prefix(workflow: &Node) -> String {
    let id = id_of(workflow).unwrap_or_default();
    format!("{id}{}", if id.contains('#') { '/' } else { '#' })
}

type Found<'d> = (&'d Node, Vec<&'d Node>);

/// A step, and the steps and workflows inside the given one that must be gone through to get to it,
/// the outermost first.
fn find_step<'d>(document: &'d Document, workflow: &'d Node, path: &str) -> Result<Found<'d>, SubgraphError> {
    let mut inside = workflow;
    let mut above = Vec::new();
    let mut parts = path.split('/').peekable();
    while let Some(name) = parts.next() {
        let steps = members(inside, "steps");
        let Some(step) = steps.iter().find(|step| id_of(step).is_some_and(|id| short_name(id) == name))
        else {
            let known =
                steps.iter().filter_map(|step| id_of(step)).map(|id| short_name(id).to_owned()).collect();
            return Err(SubgraphError::Unknown { kind: "step", name: path.to_owned(), known });
        };
        if parts.peek().is_none() {
            return Ok((step, above));
        }
        let Some(run) = run_of(document, step) else { break };
        above.extend([step, run]);
        inside = run;
    }
    Err(SubgraphError::Unknown { kind: "step", name: path.to_owned(), known: Vec::new() })
}

fn run_of<'d>(document: &'d Document, step: &'d Node) -> Option<&'d Node> {
    let run = step.get("run")?;
    match run.as_str() {
        Some(iri) => document.processes.get(iri),
        None => Some(run),
    }
}

/// Adds the requirements and hints of something around a process, where it has none of that class.
fn inherit(process: &mut Node, outer: &Node) {
    let class = |node: &Node| node.get("class").and_then(Node::as_str).map(str::to_owned);
    for field in ["requirements", "hints"] {
        let own: Vec<Node> = members(process, field).to_vec();
        // A hint has nothing to say where there is a requirement.
        let stronger = if field == "hints" { members(process, "requirements") } else { &[] };
        let new = members(outer, field)
            .iter()
            .filter(|new| !own.iter().chain(stronger).any(|own| class(own) == class(new)));
        let all: Vec<Node> = new.chain(&own).cloned().collect();
        let place = process.place.clone();
        if let (false, Kind::Map(map)) = (all.is_empty(), &mut process.kind) {
            map.set(field, Node { place, kind: Kind::List(all) });
        }
    }
}

/// The type of the first step input or output that takes a source; `Any?` where that is not known.
fn sink_type(document: &Document, workflow: &Node, source: &str) -> Node {
    for step in members(workflow, "steps") {
        for input in members(step, "in").iter().filter(|input| sources(input, "source").any(|s| s == source))
        {
            let Some(id) = id_of(input) else { continue };
            let is_several = input.get("source").and_then(Node::as_list).is_some_and(|list| list.len() > 1);
            let ports = run_of(document, step).map_or(&[][..], |run| members(run, "inputs"));
            let port = ports.iter().find(|port| id_of(port).is_some_and(|p| short_name(p) == short_name(id)));
            let type_ = port.filter(|_| !is_several).and_then(|port| port.get("type"));
            let is_scattered = strings(step.get("scatter")).iter().any(|s| s == id);
            return wrapped_type(type_, is_scattered, type_.is_none(), &workflow.place);
        }
    }
    wrapped_type(None, false, true, &workflow.place)
}

fn wrapped_type(type_: Option<&Node>, is_array: bool, is_optional: bool, place: &Place) -> Node {
    let mut node = type_.cloned().unwrap_or_else(|| Node::string("Any", place));
    if is_array {
        node = map(place, vec![("type", Node::string("array", place)), ("items", node)]);
    }
    if is_optional {
        node = Node { place: place.clone(), kind: Kind::List(vec![Node::string("null", place), node]) };
    }
    node
}

fn rewire(node: &mut Node, field: &str, rewired: &[(String, String, Node)]) {
    let Some(source) = part_field(node, field) else { return };
    let change = |node: &mut Node| {
        if let Kind::String(text) = &mut node.kind
            && let Some((_, new, _)) = rewired.iter().find(|(old, _, _)| old == text)
        {
            text.clone_from(new);
        }
    };
    match &mut source.kind {
        Kind::List(members) => members.iter_mut().for_each(change),
        _ => change(source),
    }
}

fn map(place: &Place, entries: Vec<(&str, Node)>) -> Node {
    let mut map = Map::default();
    entries.into_iter().for_each(|(key, value)| map.set(key, value));
    Node { place: place.clone(), kind: Kind::Map(map) }
}

fn part_field<'n>(node: &'n mut Node, field: &str) -> Option<&'n mut Node> {
    match &mut node.kind {
        Kind::Map(map) => map.get_mut(field),
        _ => None,
    }
}

fn id_of(node: &Node) -> Option<&str> {
    node.as_str().or_else(|| node.get("id")?.as_str())
}

fn members<'n>(node: &'n Node, field: &str) -> &'n [Node] {
    node.get(field).and_then(Node::as_list).unwrap_or_default()
}

/// The identifiers in a field that holds one or several.
fn sources<'n>(node: &'n Node, field: &str) -> impl Iterator<Item = &'n str> {
    let field = node.get(field);
    let several = field.and_then(Node::as_list).unwrap_or_default();
    several.iter().filter_map(id_of).chain(field.and_then(Node::as_str))
}

fn strings(node: Option<&Node>) -> Vec<String> {
    let several = node.and_then(Node::as_list).unwrap_or_default();
    several.iter().filter_map(id_of).chain(node.and_then(Node::as_str)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
