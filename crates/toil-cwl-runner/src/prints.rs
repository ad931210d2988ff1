//! What is printed about a document instead of running it.

use moil_cwl::input_options;
use moil_cwl::load::Loaded;

use crate::settings::{Action, Settings};

/// The answer to an action that only needs the document; `None` for those that need more.
pub fn answer(settings: &Settings, loaded: &Loaded) -> Option<Result<String, String>> {
    let common = loaded.process.common();
    match settings.action {
        Action::Run | Action::Validate { .. } => None,
        Action::ToolHelp => Some(Ok(input_options::help(common, &settings.workflow))),
        Action::MakeTemplate => Some(Ok(input_options::template(common))),
        _ => Some(Err("this is not supported yet".to_owned())),
    }
}
