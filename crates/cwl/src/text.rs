//! Strings of documents that may hold expressions.

use moil_salad::source::Place;
use std::sync::Arc;

/// A string that may be, or contain, parameter references or expressions
/// (`$(…)`, `${…}`), with its place. Whether it does is decided when it is
/// evaluated, since that depends on the requirements in force.
#[derive(Clone)]
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
#[derive(Clone, Debug, PartialEq)]
pub enum NumberOrText {
    /// A constant.
    Number(crate::number::Number),
    /// To be evaluated.
    Text(Text),
}
