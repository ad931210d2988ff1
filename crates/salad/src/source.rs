//! Source texts and places in them.

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// `uri:line:column`. The text of the source is left behind.
impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}:{}", self.source.uri, self.line, self.column))
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut parts = text.rsplitn(3, ':');
        let mut number = || parts.next()?.parse().ok();
        match (number(), number(), parts.next()) {
            (Some(column), Some(line), Some(uri)) => {
                let source = Arc::new(Source { uri: uri.to_owned(), text: String::new() });
                Ok(Self { source, line, column })
            }
            _ => Err(D::Error::custom(format!("{text:?} is no place in a document"))),
        }
    }
}

/// Like [`Display`](fmt::Display): the whole text of a source is never useful in a debug print.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_one_text_and_read_back() {
        for uri in ["file:///a b/c.cwl", "https://host:8080/x:1", "input object"] {
            let source = Arc::new(Source { uri: uri.to_owned(), text: "x".to_owned() });
            let written = serde_json::to_string(&Place { source, line: 3, column: 14 }).expect("a text");
            assert_eq!(written, format!("\"{uri}:3:14\""));
            let read: Place = serde_json::from_str(&written).expect("a place");
            assert_eq!((read.source.uri.as_str(), read.line, read.column), (uri, 3, 14));
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [r#""""#, r#""a:1""#, r#""a:x:1""#, r#""a:1:-1""#, "3"] {
            assert!(serde_json::from_str::<Place>(text).is_err(), "{text}");
        }
    }
}
