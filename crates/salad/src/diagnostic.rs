//! What is wrong with a document.

use crate::source::Place;

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the document is used.
    Warning,
    /// The document cannot be used.
    Error,
}

/// One fault of a document. A load returns all of them at once.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether the document can be used nevertheless.
    pub severity: Severity,
    /// A short stable name in kebab case, such as `unknown-field`, for editors and for looking up.
    pub code: &'static str,
    /// Where it is. `None` for faults that have no place, such as a file that cannot be read.
    pub place: Option<Place>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Other places that take part ("first defined here").
    pub related: Vec<(Place, String)>,
    /// What to do about it, if there is something sensible to say.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place: Some(place.clone()),
            message: message.into(),
            related: Vec::new(),
            hint: None,
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// An error without a place.
    pub fn unplaced(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place: None,
            message: message.into(),
            related: Vec::new(),
            hint: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another place that takes part.
    #[must_use]
    pub fn with_related(mut self, place: &Place, note: impl Into<String>) -> Self {
        self.related.push((place.clone(), note.into()));
        self
    }
}

/// Whether any of the diagnostics forbids using the document.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
