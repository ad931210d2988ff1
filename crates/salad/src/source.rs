//! Source texts and places in them.

use std::fmt;
use std::sync::Arc;

/// One text that was read: a document, an imported file, an input object.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The absolute URI that the text came from, such as `file:///data/wf.cwl`.
    pub uri: String,
    /// The text itself, kept so that messages can show the line at fault.
    pub text: String,
}

/// A place in a source: where a node, a key or a fault stands.
///
/// Cheap to clone: every node carries one.
#[derive(Clone)]
pub struct Place {
    /// The text that the place is in.
    pub source: Arc<Source>,
    /// Line, counted from 1; 0 where a node was made by us and has no place.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

impl Place {
    /// The first character of a source, for faults that concern all of it.
    pub fn start_of(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), line: 1, column: 1 }
    }
}

/// `file:line:column`, with the path alone where the source is a local file.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.source.uri.strip_prefix("file://").unwrap_or(&self.source.uri);
        write!(f, "{uri}:{}:{}", self.line, self.column)
    }
}

/// Like [`Display`](fmt::Display): the whole text of a source is never useful in a debug print.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
