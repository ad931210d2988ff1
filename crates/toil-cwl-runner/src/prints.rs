//! What is printed about a document instead of running it, and which part of it runs.

use moil_cwl::document::Document;
use moil_cwl::load::{self, Loaded};
use moil_cwl::subgraph::{self, SubgraphError};
use moil_cwl::{deps, graph_print, input_options, location, pack};
use moil_salad::diagnostic::Diagnostic;

use crate::settings::{Action, Part, Settings};

/// The answer to an action that only needs the document; `None` for those that need more.
pub fn answer(settings: &Settings, loaded: &Loaded) -> Option<Result<String, String>> {
    let common = loaded.process.common();
    Some(Ok(match settings.action {
        Action::Run
        | Action::Validate { .. }
        | Action::PrintInputDependencies { .. }
        | Action::PrintSupportedVersions => return None,
        Action::ToolHelp => input_options::help(common, &settings.workflow),
        Action::MakeTemplate => input_options::template(common),
        Action::Pack => with_newline(pack::pack(&loaded.document)),
        Action::PrintPreprocessed | Action::PrintSubgraph => {
            match loaded.document.processes.get(&loaded.document.main) {
                Some(node) if settings.action == Action::PrintPreprocessed => {
                    with_newline(pack::node_text(node))
                }
                // The part that would run was cut out when the document was loaded.
                _ => with_newline(pack::pack(&loaded.document)),
            }
        }
        Action::PrintDot => match graph_print::dot(&loaded.process) {
            Some(text) => with_newline(text),
            None => return Some(Err("--print-dot needs a workflow".to_owned())),
        },
        Action::PrintTargets => with_newline(subgraph::targets(&loaded.process).join("\n")),
        Action::PrintDependencies { relative_to_cwd } => {
            let directory = directory(settings, &loaded.document.main, relative_to_cwd);
            with_newline(deps::document_deps(&loaded.document, &directory))
        }
    }))
}

/// What relative locations are relative to: the current directory, or that of a text.
pub fn directory(settings: &Settings, uri: &str, relative_to_cwd: bool) -> String {
    let (text, _) = moil_salad::uri::split_fragment(uri);
    let path = location::file_path(text).filter(|_| !relative_to_cwd);
    let parent = path.as_deref().and_then(|path| path.rsplit_once('/')).map(|(parent, _)| parent.to_owned());
    parent.unwrap_or_else(|| settings.cwd.to_string_lossy().into_owned())
}

/// The part of a document that is to run (`--target`, `--single-step`, `--single-process`).
///
/// # Errors
/// There is no such part; or what is wrong with it once it stands alone.
pub fn part_of(loaded: Loaded, part: &Part) -> Result<Loaded, PartError> {
    let names: Vec<&str> = part.targets.iter().map(String::as_str).collect();
    let document: Document = match (&part.single_step, &part.single_process) {
        (Some(step), _) => subgraph::single_step(&loaded.document, step)?,
        (None, Some(step)) => subgraph::single_process(&loaded.document, step)?,
        (None, None) if !names.is_empty() => subgraph::target(&loaded.document, &names)?,
        (None, None) => return Ok(loaded),
    };
    load::load_node(document).map_err(PartError::Document)
}

/// Why a part of a document cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// There is no such part.
    #[error(transparent)]
    Part(#[from] SubgraphError),
    /// It cannot stand alone.
    #[error("the part that was asked for cannot stand alone")]
    Document(Vec<Diagnostic>),
}

fn with_newline(text: String) -> String {
    if text.ends_with('\n') { text } else { text + "\n" }
}
