use std::sync::Arc;

use moil_salad::node::Node;
use moil_salad::source::Source;

use super::*;
use crate::inherit::Effective;
use crate::load::load_node;
use crate::process::Process;
use crate::test_support::{describe, document};

fn node(text: &str) -> Node {
    let source = Arc::new(Source { uri: "file:///d/job.yml".to_owned(), text: text.to_owned() });
    moil_salad::reader::read(&source).0.expect("a node")
}

const WORKFLOW: &str = "{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [],
    steps: {s: {run: {class: CommandLineTool, inputs: [], outputs: [], baseCommand: x, id: t,
        requirements: {EnvVarRequirement: {envDef: {A: old}}, ShellCommandRequirement: {}}}, in: [], out: []}}}";

/// The environment and the shell of the tool in the step.
fn tool_env(document: Document) -> (Vec<String>, bool) {
    let loaded = load_node(document).expect("loads");
    let Process::Workflow(workflow) = loaded.process else { panic!("no workflow") };
    let step = &workflow.steps[0];
    let chain = [&workflow.common.requirements, &step.requirements, &step.run.common().requirements];
    let effective = Effective::of(&chain, crate::process::Version::V1_2);
    let variables = effective.environment.unwrap_or_default();
    (variables.iter().map(|(name, value)| format!("{name}={}", value.text)).collect(), effective.shell)
}

#[test]
fn a_requirement_takes_the_place_of_one_of_its_class() {
    let tool = match &load_node(document(WORKFLOW)).expect("loads").process {
        Process::Workflow(workflow) => workflow.steps[0].run.common().id.to_string(),
        _ => panic!("no workflow"),
    };
    for new in [
        "{EnvVarRequirement: {envDef: {B: new}}}",
        "[{class: EnvVarRequirement, envDef: [{envName: B, envValue: new}]}]",
    ] {
        let mut document = document(WORKFLOW);
        assert_eq!(apply(&mut document, &tool, &node(new)).map_err(|e| describe(&e)), Ok(true));
        assert_eq!(tool_env(document), (vec!["B=new".to_owned()], true));
    }
}

#[test]
fn a_requirement_of_the_workflow_does_not_reach_over_that_of_the_tool() {
    let mut document = document(WORKFLOW);
    let main = document.main.clone();
    let new = node("{EnvVarRequirement: {envDef: {B: new}}}");
    assert_eq!(apply(&mut document, &main, &new).map_err(|e| describe(&e)), Ok(true));
    assert_eq!(tool_env(document).0, ["A=old"]);
}

#[test]
fn faults_are_told() {
    let mut document = document(WORKFLOW);
    assert!(!apply(&mut document, "file:///d/other.cwl", &node("[]")).expect("no fault"));
    assert!(apply(&mut document, "file:///d/main.cwl", &node("3")).is_err());
    assert!(requirements(&node("{EnvVarRequirement: {envDef: 3}}")).is_err());
    assert_eq!(requirements(&node("{NetworkAccess: {networkAccess: true}}")).expect("no fault").len(), 1);
}
