//! Strings of documents that may hold expressions.

use std::sync::Arc;

use moil_salad::source::Place;
use serde::{Deserialize, Serialize};

/// A string that may be, or contain, parameter references or expressions
/// (`$(…)`, `${…}`), with its place. Whether it does is decided when it is
/// evaluated, since that depends on the requirements in force.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "(Arc<str>, Place)", into = "(Arc<str>, Place)")]
pub struct Text {
    /// The string as written.
    pub text: Arc<str>,
    /// Where it stands.
    pub place: Place,
}

impl Text {
    /// Whether evaluation could change anything: without a `$` and a backslash it is a constant.
    pub fn is_constant(&self) -> bool {
        !self.text.contains(['$', '\\'])
    }
}

impl From<(Arc<str>, Place)> for Text {
    fn from((text, place): (Arc<str>, Place)) -> Self {
        Self { text, place }
    }
}

impl From<Text> for (Arc<str>, Place) {
    fn from(Text { text, place }: Text) -> Self {
        (text, place)
    }
}

/// Equal by text: the same type written in two places is one type.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {}", self.text, self.place)
    }
}

/// A number or an expression that gives one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NumberOrText {
    /// A constant.
    Number(crate::number::Number),
    /// To be evaluated.
    Text(Text),
}
