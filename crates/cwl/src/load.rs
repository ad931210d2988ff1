//! From an address to a process that can be run: read, converted and checked.

use moil_salad::diagnostic::{Diagnostic, has_errors};
use moil_salad::fetch::Fetch;
use moil_salad::source::Place;

use crate::document::{Document, LoadOptions};
use crate::inherit::Inherited;
use crate::process::Process;
use crate::{convert, document, expression_check, features};

/// A process that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The process that was asked for, with all that it runs.
    pub process: Process,
    /// What it was made of.
    pub document: Document,
    /// What is worth knowing about it, by place.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a process: `uri` is absolute and may have a fragment (see [`document::load`]).
///
/// # Errors
/// All that is wrong with it, warnings included, by place.
pub fn load(uri: &str, fetch: &dyn Fetch, options: LoadOptions) -> Result<Loaded, Vec<Diagnostic>> {
    load_inside(uri, fetch, options, &Inherited::default())
}

/// Loads a process that is to run where requirements are in force already.
///
/// # Errors
/// As [`load`].
pub fn load_inside(
    uri: &str,
    fetch: &dyn Fetch,
    options: LoadOptions,
    around: &Inherited,
) -> Result<Loaded, Vec<Diagnostic>> {
    let (document, diagnostics) = document::load(uri, fetch, options);
    finish(document, diagnostics, around)
}

/// Makes a process of a document that was walked before.
///
/// # Errors
/// All that is wrong with it, warnings included, by place.
pub fn load_node(document: Document) -> Result<Loaded, Vec<Diagnostic>> {
    finish(document, Vec::new(), &Inherited::default())
}

fn finish(
    document: Document,
    mut diagnostics: Vec<Diagnostic>,
    around: &Inherited,
) -> Result<Loaded, Vec<Diagnostic>> {
    let conversion = convert::convert(&document);
    diagnostics.extend(conversion.diagnostics);
    for process in &conversion.processes {
        diagnostics.extend(features::check(process, around));
        diagnostics.extend(expression_check::check(process, around, &conversion.hollow));
    }
    let diagnostics = sorted(diagnostics, &document.sources);
    if has_errors(&diagnostics) {
        return Err(diagnostics);
    }
    match <[Process; 1]>::try_from(conversion.processes) {
        Ok([process]) => Ok(Loaded { process, document, warnings: diagnostics }),
        Err(_) => {
            Err(vec![Diagnostic::unplaced("not-loaded", format!("{} holds no process", document.main))])
        }
    }
}

/// By text, in the order in which they were read, then by line and column; each once.
fn sorted(mut diagnostics: Vec<Diagnostic>, read: &[(String, Option<String>)]) -> Vec<Diagnostic> {
    let mut sources: Vec<String> = read.iter().map(|(uri, _)| uri.clone()).collect();
    for diagnostic in &diagnostics {
        if let Some(place) = &diagnostic.place
            && !sources.contains(&place.source.uri)
        {
            sources.push(place.source.uri.clone());
        }
    }
    let key =
        |place: &Place| (sources.iter().position(|uri| *uri == place.source.uri), place.line, place.column);
    diagnostics.sort_by_key(|diagnostic| diagnostic.place.as_ref().map(key));
    diagnostics.dedup_by(|a, b| {
        a.code == b.code && a.message == b.message && a.place.as_ref().map(key) == b.place.as_ref().map(key)
    });
    diagnostics
}

#[cfg(test)]
mod tests;
