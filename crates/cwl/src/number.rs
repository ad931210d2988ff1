//! Numbers that keep what was written: whole numbers of any size, and a float's own text.

use std::sync::Arc;

/// A number of a document or an input object.
#[derive(Clone, Debug)]
pub enum Number {
    /// A whole number that fits 64 bits.
    Int(i64),
    /// A larger whole number, by its decimal digits (with `-` if negative), without leading zeros.
    Big(Arc<str>),
    /// Any other number.
    Float {
        /// The nearest double.
        value: f64,
        /// What was written, where it came from a document and not from a computation.
        text: Option<Arc<str>>,
    },
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float { value, text: None }
    }
}

/// Equal by value, as in Python: `1` equals `1.0`, and the text does not matter.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Big(a), Self::Big(b)) => a == b,
            (Self::Float { value: a, .. }, Self::Float { value: b, .. }) => a == b,
            (Self::Int(a), Self::Float { value: b, .. }) | (Self::Float { value: b, .. }, Self::Int(a)) => {
                *a as f64 == *b && *b as i64 == *a
            }
            _ => false,
        }
    }
}
