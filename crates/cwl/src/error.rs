//! What can go wrong between a loaded process and its output object.

use moil_salad::source::Place;

/// An error of the pure functions of this crate. Each fact has a field; the binary makes the words for people.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An expression or parameter reference failed.
    #[error("{place}: cannot evaluate {expression}: {reason}")]
    Expression {
        /// Where it stands.
        place: Place,
        /// The expression as written, shortened if long.
        expression: String,
        /// JavaScript's words, or ours.
        reason: String,
    },
    /// A value is not what the document says it must be.
    #[error("{message}")]
    Invalid {
        /// What demands it; `None` when it is nobody's line (an input object given as options).
        place: Option<Place>,
        /// Which value, what it is and what it must be.
        message: String,
    },
    /// Files that are not there, all of them.
    #[error("missing: {}", .0.iter().map(|m| m.location.as_str()).collect::<Vec<_>>().join(", "))]
    MissingFiles(Vec<MissingFile>),
    /// A file could not be read or listed.
    #[error("{location}: {reason}")]
    File {
        /// Its location.
        location: String,
        /// The system's words.
        reason: String,
    },
    /// The document asks for something that moil does not do: exit code 33.
    #[error("{what} is not supported")]
    Unsupported {
        /// Where it is asked for.
        place: Option<Place>,
        /// What it is.
        what: String,
    },
}

/// A file that is not there.
#[derive(Clone, Debug)]
pub struct MissingFile {
    /// The input that names it, such as `reads[0]`, or the primary file that it belongs to.
    pub input: String,
    /// Its location.
    pub location: String,
}

impl Error {
    /// A value that is not what `place` demands.
    pub fn invalid(place: &Place, message: impl Into<String>) -> Self {
        Self::Invalid { place: Some(place.clone()), message: message.into() }
    }
}
