//! What a run found, as JSON.

use serde_json::{Value, json};

use crate::drive::Outcome;
use crate::suite::Suite;
use crate::verdict::Verdict;

/// Facts about a run that the outcomes do not hold.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The test file, as it was given.
    pub suite: String,
    /// The commit that the suite was taken from, if it was given.
    pub commit: Option<String>,
    /// The mode, such as `local`.
    pub mode: String,
    /// The runner and what it said of its version.
    pub runner: String,
    /// The version that the runner gave.
    pub version: String,
    /// The words with which the driver was called.
    pub command: Vec<String>,
}

/// The report of a run.
pub fn report(suite: &Suite, facts: &Facts, outcomes: &[Outcome]) -> Value {
    let ids = |wanted: fn(&Verdict) -> bool| -> Vec<&str> {
        outcomes.iter().filter(|o| wanted(&o.verdict)).map(|o| o.id.as_str()).collect()
    };
    let failed: serde_json::Map<String, Value> = outcomes
        .iter()
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Failed(reason) => Some((outcome.id.clone(), json!(reason))),
            _ => None,
        })
        .collect();
    json!({
        "suite": facts.suite,
        "suite_commit": facts.commit,
        "suite_digest": suite.digest,
        "mode": facts.mode,
        "runner": facts.runner,
        "version": facts.version,
        "command": facts.command,
        "total": outcomes.len(),
        "passed": ids(|verdict| *verdict == Verdict::Passed),
        "failed": failed,
        "unsupported": ids(|verdict| *verdict == Verdict::Unsupported),
        "skipped": ids(|verdict| matches!(verdict, Verdict::Skipped(_))),
        "seconds": outcomes.iter().map(|o| (o.id.clone(), json!(o.wall.as_secs_f64()))).collect::<serde_json::Map<_, _>>(),
    })
}
