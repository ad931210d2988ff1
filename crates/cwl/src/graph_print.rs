//! `--print-dot`: a workflow as a Graphviz graph.

use std::collections::HashSet;
use std::fmt::Write;

use crate::parameter::LinkTarget;
use crate::process::{Process, Workflow};

/// The graph of a workflow in the DOT language, in the shape and colours of cwlviewer: its steps,
/// the inputs and outputs that are connected, and who feeds whom. `None` where there is no workflow.
pub fn dot(process: &Process) -> Option<String> {
    let Process::Workflow(workflow) = process else { return None };
    let mut out = String::from(
        "digraph G {\nbgcolor=\"#eeeeee\";\nclusterrank=local;\nlabelloc=bottom;\nlabeljust=right;\n",
    );
    // Writing to a string cannot fail.
    let _ = write_graph(&mut out, workflow);
    out.push_str("}\n");
    Some(out)
}

fn write_graph(out: &mut String, workflow: &Workflow) -> std::fmt::Result {
    for step in &workflow.steps {
        let colour =
            if matches!(step.run, Process::Workflow(_)) { "#F3CEA1" } else { "lightgoldenrodyellow" };
        let style = if matches!(step.run, Process::Operation(_)) { "dashed" } else { "filled" };
        let label = step.run.common().label.as_deref().unwrap_or(&step.name);
        writeln!(
            out,
            "{} [fillcolor={}, style={style}, label={}, shape=record];",
            step_id(&step.name),
            quoted(colour),
            record_label(label)
        )?;
    }
    let mut edges: HashSet<(String, String)> = HashSet::new();
    let mut edge = |out: &mut String, from: String, to: String| -> std::fmt::Result {
        if edges.insert((from.clone(), to.clone())) {
            writeln!(out, "{from} -> {to};")?;
        }
        Ok(())
    };
    let links = |of_steps: bool| {
        workflow.steps.iter().flat_map(move |step| {
            let links = step.inputs.iter().flat_map(|input| &input.source.links);
            links
                .filter(move |link| matches!(link.target, LinkTarget::Step { .. }) == of_steps)
                .map(move |l| (step, l))
        })
    };
    for (step, link) in links(true) {
        edge(out, target_id(workflow, link.target), step_id(&step.name))?;
    }
    let mut connected: Vec<usize> = links(false)
        .filter_map(|(_, link)| match link.target {
            LinkTarget::Input(index) => Some(index),
            LinkTarget::Step { .. } => None,
        })
        .collect();
    connected.sort_unstable();
    connected.dedup();
    out.push_str("subgraph cluster_inputs {\nrank=same;\nstyle=dashed;\nlabel=\"Workflow Inputs\";\n");
    for input in connected.iter().filter_map(|index| workflow.common.inputs.get(*index)) {
        port(out, &input_id(&input.name), &input.name)?;
    }
    out.push_str("}\n");
    for (step, link) in links(false) {
        edge(out, target_id(workflow, link.target), step_id(&step.name))?;
    }
    out.push_str(
        "subgraph cluster_outputs {\nrank=same;\nstyle=dashed;\nlabel=\"Workflow Outputs\";\nlabelloc=b;\n",
    );
    let outputs = || workflow.common.outputs.iter().filter(|output| !output.source.links.is_empty());
    for output in outputs() {
        port(out, &output_id(&output.name), &output.name)?;
    }
    out.push_str("}\n");
    for output in outputs() {
        for link in &output.source.links {
            edge(out, target_id(workflow, link.target), output_id(&output.name))?;
        }
    }
    Ok(())
}

fn port(out: &mut String, id: &str, name: &str) -> std::fmt::Result {
    writeln!(out, "{id} [fillcolor=\"#94DDF4\", style=filled, label={}, shape=record];", record_label(name))
}

fn target_id(workflow: &Workflow, target: LinkTarget) -> String {
    match target {
        LinkTarget::Input(index) => {
            input_id(workflow.common.inputs.get(index).map_or("", |input| &input.name))
        }
        LinkTarget::Step { step, .. } => step_id(workflow.steps.get(step).map_or("", |step| &step.name)),
    }
}

// An input, an output and a step may have one name.
fn input_id(name: &str) -> String {
    quoted(&format!("inputs/{name}"))
}

fn output_id(name: &str) -> String {
    quoted(&format!("outputs/{name}"))
}

fn step_id(name: &str) -> String {
    quoted(name)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// In the label of a record some characters make fields.
fn record_label(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '{' | '}' | '|' | '<' | '>') {
            escaped.push('\u{0}');
        }
        escaped.push(c);
    }
    quoted(&escaped).replace('\u{0}', "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_becomes_a_graph() {
        let loaded = crate::test_support::loaded(
            "{cwlVersion: v1.2, class: Workflow, inputs: {x: int, unused: int}, outputs: {x: {type: int, outputSource: b/o}},
              steps: {a: {run: {class: Operation, label: 'A|\"', inputs: {i: int}, outputs: {o: int}}, in: {i: x}, out: [o]},
                      b: {run: {class: ExpressionTool, inputs: {i: int, j: int}, outputs: {o: int}, expression: $(0)},
                          in: {i: a/o, j: a/o}, out: [o]}}}",
        );
        assert_eq!(
            dot(&loaded.process).as_deref(),
            Some(
                r##"digraph G {
bgcolor="#eeeeee";
clusterrank=local;
labelloc=bottom;
labeljust=right;
"a" [fillcolor="lightgoldenrodyellow", style=dashed, label="A\|\"", shape=record];
"b" [fillcolor="lightgoldenrodyellow", style=filled, label="b", shape=record];
"a" -> "b";
subgraph cluster_inputs {
rank=same;
style=dashed;
label="Workflow Inputs";
"inputs/x" [fillcolor="#94DDF4", style=filled, label="x", shape=record];
}
"inputs/x" -> "a";
subgraph cluster_outputs {
rank=same;
style=dashed;
label="Workflow Outputs";
labelloc=b;
"outputs/x" [fillcolor="#94DDF4", style=filled, label="x", shape=record];
}
"b" -> "outputs/x";
}
"##
            )
        );
    }
}
