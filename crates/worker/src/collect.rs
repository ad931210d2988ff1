//! The output object of a tool that succeeded, from its real output directory.

use std::fs;
use std::path::Path;

use moil_cwl::expression::Context;
use moil_cwl::finished::Finished;
use moil_cwl::inherit::Effective;
use moil_cwl::location::file_uri;
use moil_cwl::process::CommandLineTool;
use moil_cwl::staging::StagingEntry;
use moil_cwl::value::Value;
use moil_job::failure::FailureKind;

use crate::attempt_dir::AttemptDir;
use crate::measure::Measures;
use crate::place::Place;
use crate::process::boxed;
use crate::system::Result;
use crate::tree::HostTree;

/// How many names of an output directory are told.
const NAMES: usize = 20;

/// Collects the outputs. `staged` is what was put in place, links among it as not writable.
///
/// # Errors
/// [`FailureKind::BadOutput`] with what the output directory does hold; [`FailureKind::Expression`].
pub(crate) fn collect(
    tool: &CommandLineTool,
    effective: &Effective,
    context: &Context<'_>,
    dirs: &AttemptDir,
    place: &Place,
    staged: &[StagingEntry],
    measures: &Measures<'_>,
) -> Result<Value> {
    let tree = HostTree::new(place, staged);
    let finished = Finished {
        outdir: &place.out,
        tree: &tree,
        staged,
        to_host: &|path| file_uri(&place.on_host(path).to_string_lossy()),
        files: measures,
    };
    moil_cwl::collect::outputs(tool, effective, context, finished).map_err(|error| {
        let mut failure = boxed(error);
        if matches!(failure.kind, FailureKind::BadInput | FailureKind::System) {
            failure.kind = FailureKind::BadOutput;
            failure.advice = Some(holdings(&dirs.out));
        }
        failure
    })
}

/// What an output directory holds, in a sentence.
fn holdings(directory: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let slash = if entry.file_type().is_ok_and(|kind| kind.is_dir()) { "/" } else { "" };
            format!("{}{slash}", entry.file_name().display())
        })
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        return "the tool succeeded but left its output directory empty; does it write somewhere else?"
            .to_owned();
    }
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("look into {}: it holds {}{more}", directory.display(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holdings_are_told_in_order_and_not_without_end() {
        let dir = tempfile::tempdir().unwrap();
        assert!(holdings(dir.path()).contains("empty"));
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        assert_eq!(holdings(dir.path()), format!("look into {}: it holds a, b/", dir.path().display()));
        for n in 0..100 {
            fs::write(dir.path().join(format!("n{n:03}")), "").unwrap();
        }
        assert!(holdings(dir.path()).ends_with("n017 and 82 more"), "{}", holdings(dir.path()));
    }
}
