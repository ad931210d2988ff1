//! What is printed about a document instead of running it.

use moil_cwl::load::Loaded;

use crate::settings::{Action, Settings};

/// The answer to an action that only needs the document; `None` for those that need more.
pub fn answer(settings: &Settings, loaded: &Loaded) -> Option<Result<String, String>> {
    let _ = loaded;
    match settings.action {
        Action::Run | Action::Validate { .. } => None,
        _ => Some(Err("this is not supported yet".to_owned())),
    }
}
