//! Loads the processes that generators make while a run goes on.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use moil_cwl::{features, load};
use moil_engine::generator::{GeneratedDocument, Load};
use moil_engine::leader::Message;
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::remote::Remote;
use moil_salad::diagnostic::Diagnostic;
use moil_salad::fetch::Fetch;

use crate::assemble;
use crate::report;
use crate::settings::Settings;

/// What the evaluators call. Warnings go to the leader, which tells them.
pub fn loader(settings: &Settings, remote: &Arc<Remote>, sender: Sender<Message>) -> Box<Load> {
    let options = assemble::load_options(settings);
    let skip_schemas = settings.documents.skip_schemas;
    let remote = Arc::clone(remote);
    Box::new(move |document, around| {
        let texts = Texts { document, remote: &remote };
        let unusable = |faults: Vec<Diagnostic>| {
            let faults = report::diagnostics(&faults);
            let message = format!("the process that it generated cannot be used:\n{}", faults.trim_end());
            Failure::new(FailureKind::BadOutput, message)
        };
        let mut loaded = load::load_inside(&document.uri, &texts, options, around).map_err(unusable)?;
        let unmet = features::check_to_run(&loaded.process, around);
        if !unmet.is_empty() {
            return Err(unusable(unmet));
        }
        if !loaded.warnings.is_empty() {
            let warnings = report::diagnostics(&loaded.warnings);
            let text = format!("about a generated process:\n{}", warnings.trim_end());
            // Fails only when the leader is gone, and with it the run.
            _ = sender.send(Message::Warning(text));
        }
        if skip_schemas {
            loaded.document.schemas.clear();
        }
        Ok(loaded)
    })
}

/// A generated document and all that can be read otherwise.
struct Texts<'a> {
    document: &'a GeneratedDocument,
    remote: &'a Remote,
}

impl Texts<'_> {
    fn generated(&self, uri: &str) -> Option<&str> {
        self.document.text.as_deref().filter(|_| self.document.uri == uri)
    }
}

impl Fetch for Texts<'_> {
    fn text(&self, uri: &str) -> Result<String, String> {
        self.generated(uri).map_or_else(|| Fetch::text(self.remote, uri), |text| Ok(text.to_owned()))
    }

    fn exists(&self, uri: &str) -> bool {
        self.generated(uri).is_some() || self.remote.exists(uri)
    }
}
