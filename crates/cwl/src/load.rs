//! From a URI to a process that can run.

use moil_salad::diagnostic::{Diagnostic, has_errors};
use moil_salad::fetch::Fetch;

use crate::convert;
use crate::document::{self, Document, LoadOptions};
use crate::process::Process;

/// A document that can run.
#[derive(Debug)]
pub struct Loaded {
    /// The process that was asked for.
    pub process: Process,
    /// The document in normalised form.
    pub document: Document,
    /// What is worth knowing nevertheless.
    pub warnings: Vec<Diagnostic>,
}

/// Loads the process that a URI names.
///
/// # Errors
/// All that is wrong with the document and those it refers to, warnings included, sorted by place.
pub fn load(uri: &str, fetch: &dyn Fetch, options: LoadOptions) -> Result<Loaded, Vec<Diagnostic>> {
    let (document, mut diagnostics) = document::load(uri, fetch, options);
    let Some(document) = document else {
        return Err(sorted(diagnostics));
    };
    let conversion = convert::convert(&document);
    diagnostics.extend(conversion.diagnostics);
    match conversion.process {
        Some(process) if !has_errors(&diagnostics) => {
            Ok(Loaded { process, document, warnings: sorted(diagnostics) })
        }
        _ => Err(sorted(diagnostics)),
    }
}

/// By file, line and column; what has no place comes first.
fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by(|a, b| {
        let key = |diagnostic: &Diagnostic| {
            diagnostic.place.as_ref().map(|place| (place.source.uri.clone(), place.line, place.column))
        };
        key(a).cmp(&key(b))
    });
    diagnostics
}
