//! Steps that wait for each other.

use moil_salad::diagnostic::Diagnostic;

use crate::parameter::LinkTarget;
use crate::process::{Step, Workflow};

/// Every circle among the steps of a workflow is found at least in part: one circle for each step
/// at which the search closes one.
pub fn find(workflow: &Workflow) -> Vec<Diagnostic> {
    let needs: Vec<Vec<usize>> = workflow.steps.iter().map(needed_by).collect();
    let mut state = vec![State::New; workflow.steps.len()];
    let mut diagnostics = Vec::new();
    for start in 0..needs.len() {
        if state.get(start) != Some(&State::New) {
            continue;
        }
        // Our own stack: a chain of steps may be long.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        set(&mut state, start, State::Open);
        while let Some((step, next)) = path.last_mut() {
            let (current, position) = (*step, *next);
            *next += 1;
            match needs.get(current).and_then(|needed| needed.get(position)) {
                None => {
                    set(&mut state, current, State::Done);
                    path.pop();
                }
                Some(&needed) => match state.get(needed) {
                    Some(State::New) => {
                        set(&mut state, needed, State::Open);
                        path.push((needed, 0));
                    }
                    Some(State::Open) => diagnostics.extend(describe(workflow, &path, needed)),
                    _ => {}
                },
            }
        }
    }
    diagnostics
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

fn set(state: &mut [State], index: usize, value: State) {
    if let Some(slot) = state.get_mut(index) {
        *slot = value;
    }
}

fn needed_by(step: &Step) -> Vec<usize> {
    let mut needed: Vec<usize> = step
        .inputs
        .iter()
        .flat_map(|input| &input.source.links)
        .filter_map(|link| match link.target {
            LinkTarget::Step { step, .. } => Some(step),
            LinkTarget::Input(_) => None,
        })
        .collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// The circle that closes at `back`, in the order in which values flow.
fn describe(workflow: &Workflow, path: &[(usize, usize)], back: usize) -> Option<Diagnostic> {
    let first = path.iter().position(|(step, _)| *step == back)?;
    let mut steps: Vec<&Step> =
        path.get(first..)?.iter().filter_map(|(step, _)| workflow.steps.get(*step)).collect();
    steps.reverse();
    let start = *steps.first()?;
    let mut names: Vec<&str> = steps.iter().map(|step| &*step.name).collect();
    names.push(&start.name);
    let message = match steps.as_slice() {
        [_] => format!("the step `{}` takes its own output", start.name),
        _ => format!("steps wait for each other: {}", names.join(" → ")),
    };
    let mut diagnostic = Diagnostic::error("circular-steps", &start.place, message);
    for step in steps.iter().skip(1) {
        diagnostic = diagnostic.with_related(&step.place, format!("`{}` is here", step.name));
    }
    Some(diagnostic)
}
