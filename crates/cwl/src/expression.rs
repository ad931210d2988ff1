//! Evaluating strings that may hold parameter references and expressions.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::process::Version;
use crate::text::Text;
use crate::value::Value;

/// Limits of one evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `--eval-timeout`.
    pub time: Duration,
    /// Memory that JavaScript may take, in bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory: 1 << 30 }
    }
}

/// Evaluates. Stays on its thread; holds one JavaScript runtime, made when first needed.
pub struct Evaluator {
    limits: Limits,
}

/// What an expression sees, but for `self`.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Who evaluates.
    pub evaluator: &'a Evaluator,
    /// `inputs`.
    pub inputs: &'a Value,
    /// `runtime`; null where there is none.
    pub runtime: &'a Value,
    /// The `expressionLib` in force; `None` without InlineJavascriptRequirement.
    pub javascript: Option<&'a Arc<Vec<Text>>>,
    /// The version of the document: backslashes changed in v1.2.
    pub version: Version,
}

impl Evaluator {
    /// An evaluator with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// The limits it was made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

impl Context<'_> {
    /// The value of a string: itself when it holds no expression; the expression's value when
    /// that is all it holds (but for white space around it); otherwise a string with the values
    /// put in (CWL v1.2 §"Expressions", §"String interpolation").
    ///
    /// # Errors
    /// [`Error::Expression`].
    pub fn evaluate(&self, _text: &Text, _self: &Value) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    /// Like [`evaluate`](Self::evaluate), but white space around an expression makes the result a
    /// string (`entry` of a Dirent).
    ///
    /// # Errors
    /// [`Error::Expression`].
    pub fn evaluate_unstripped(&self, _text: &Text, _self: &Value) -> Result<Value, Error> {
        Ok(Value::Null)
    }
}
