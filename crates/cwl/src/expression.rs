//! Evaluating strings that may hold parameter references and expressions.

mod scan;
mod syntax;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use moil_salad::source::Place;

use self::scan::Found;
pub use self::syntax::SyntaxCheck;
use crate::error::Error;
use crate::javascript::{Engine, Failure};
use crate::parameter_reference::{Reference, Roots};
use crate::print;
use crate::process::Version;
use crate::text::Text;
use crate::value::Value;

/// Limits of one evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `--eval-timeout`.
    pub time: Duration,
    /// Memory that JavaScript may take, in bytes; for a moment it may be twice as much.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory: 512 << 20 }
    }
}

/// Evaluates. Stays on its thread, which needs 2 MiB of stack; holds one JavaScript engine, made when
/// first needed.
pub struct Evaluator {
    limits: Limits,
    engine: RefCell<Engine>,
    listener: RefCell<Option<Listener>>,
}

/// Something that a script wrote to its `console`.
#[derive(Clone, Debug)]
pub struct ConsoleText {
    /// The string of the document that holds the script.
    pub place: Place,
    /// Whether it is an error or a warning.
    pub is_error: bool,
    /// What was written; may be several lines.
    pub text: String,
}

/// Told what scripts write, when their evaluation has ended.
pub type Listener = Arc<dyn Fn(ConsoleText) + Send + Sync>;

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
        Self { limits, engine: RefCell::new(Engine::new(limits)), listener: RefCell::default() }
    }

    /// From now on scripts have a `console`, and what they write to it is told; with `None` they have none, as
    /// CWL wants it.
    pub fn listen(&self, listener: Option<Listener>) {
        self.engine.borrow_mut().set_console(listener.is_some());
        *self.listener.borrow_mut() = listener;
    }

    fn tell_console(&self, place: &Place) {
        if let Some(listener) = &*self.listener.borrow() {
            for (is_error, text) in self.engine.borrow().take_console() {
                listener(ConsoleText { place: place.clone(), is_error, text });
            }
        }
    }

    /// From now on evaluations end early, with an error, once `stop` says so.
    pub fn stop_when(&self, stop: Option<Box<dyn Fn() -> bool>>) {
        self.engine.borrow().stop_when(stop);
    }

    /// The limits it was made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Runs `evaluate`, and tells with its result whether that is repeatable: false where an expression looked at the
    /// clock or at random numbers, so that the next time it may give another value. Calls may be nested.
    pub fn observe<T>(&self, evaluate: impl FnOnce() -> T) -> (T, bool) {
        let around = self.engine.borrow().replace_nondeterministic(false);
        let result = evaluate();
        let engine = self.engine.borrow();
        let looked = engine.replace_nondeterministic(false);
        engine.replace_nondeterministic(around || looked);
        (result, !looked)
    }
}

impl Context<'_> {
    /// The value of a string: itself when it holds no expression; the expression's value when
    /// that is all it holds (but for white space around it); otherwise a string with the values
    /// put in (CWL v1.2 §"Expressions", §"String interpolation").
    ///
    /// # Errors
    /// [`Error::Expression`].
    pub fn evaluate(&self, text: &Text, self_: &Value) -> Result<Value, Error> {
        if !scan::has_expression(&text.text) {
            return Ok(Value::String(Arc::clone(&text.text)));
        }
        self.interpolate(text, text.text.trim(), self_)
    }

    /// Like [`evaluate`](Self::evaluate), but white space around an expression makes the result a
    /// string (`entry` of a Dirent).
    ///
    /// # Errors
    /// [`Error::Expression`].
    pub fn evaluate_unstripped(&self, text: &Text, self_: &Value) -> Result<Value, Error> {
        if !scan::has_expression(&text.text) {
            return Ok(Value::String(Arc::clone(&text.text)));
        }
        self.interpolate(text, &text.text, self_)
    }

    fn interpolate(&self, whole: &Text, text: &str, self_: &Value) -> Result<Value, Error> {
        let mut result = String::new();
        let mut position = 0;
        loop {
            let found = scan::next(text, position, self.javascript.is_some())
                .map_err(|start| error(whole, &text[start..], UNFINISHED.to_owned()))?;
            match found {
                None => {
                    result.push_str(&text[position..]);
                    return Ok(Value::from(result));
                }
                Some(Found::Escape(range)) => {
                    result.push_str(&text[position..range.start]);
                    position = unescape(text, range, self.version, &mut result);
                }
                Some(Found::Block(range)) => {
                    let block = &text[range.clone()];
                    let value = self.block(block, self_);
                    self.evaluator.tell_console(&whole.place);
                    let value = value.map_err(|reason| error(whole, block, reason))?;
                    if block.len() == text.len() {
                        return Ok(value);
                    }
                    result.push_str(&text[position..range.start]);
                    match &value {
                        Value::String(text) => result.push_str(text),
                        other => result.push_str(&print::embedded(other)),
                    }
                    position = range.end;
                }
            }
        }
    }

    /// The value of `$(…)` or `${…}`, or why there is none.
    fn block(&self, block: &str, self_: &Value) -> Result<Value, String> {
        let roots = Roots { inputs: self.inputs, self_, runtime: self.runtime };
        let code = &block[1..];
        let reference = parameter_reference(block);
        let unresolved = match &reference {
            None => None,
            Some(reference) => match reference.evaluate(&roots) {
                Ok(value) => return Ok(value),
                Err(reason) => Some(reason),
            },
        };
        let Some(library) = self.javascript else {
            return Err(match (unresolved, reference) {
                (Some(reason), Some(reference)) if reference.has_known_root() => reason,
                (Some(reason), _) => format!("{reason}. {NEEDS_JAVASCRIPT}"),
                (None, _) => format!("it is not a parameter reference. {NEEDS_JAVASCRIPT}"),
            });
        };
        // What is no reference to us may be one to JavaScript: the length of a string, a variable of the library.
        let evaluated = self.evaluator.engine.borrow_mut().evaluate(code, &roots, library);
        let is_ours = reference.is_some_and(|reference| reference.has_known_root());
        evaluated.map_err(|failure| match (failure, unresolved.filter(|_| is_ours)) {
            // JavaScript's "undefined" says less than we know.
            (Failure::NoValue(_), Some(reason)) => reason,
            (Failure::Error(words), Some(reason)) => format!("{reason}; {words}"),
            (Failure::NoValue(reason) | Failure::Error(reason), None) => reason,
        })
    }
}

const UNFINISHED: &str = "does not end: a bracket or quote is not closed";

const NEEDS_JAVASCRIPT: &str = "JavaScript needs InlineJavascriptRequirement";

/// The reference that `$(…)` holds, if it is one.
fn parameter_reference(block: &str) -> Option<Reference> {
    Reference::parse(block.strip_prefix("$(")?.strip_suffix(')')?)
}

/// Adds what an escape stands for and returns where to go on. Until v1.1 a backslash was dropped and
/// the next character taken; since v1.2 only `\$(`, `\${` and `\\` are escapes (CWL v1.2 §"String
/// interpolation").
fn unescape(text: &str, range: std::ops::Range<usize>, version: Version, result: &mut String) -> usize {
    let escaped = &text[range.start + 1..range.end];
    if version <= Version::V1_1 || escaped == "\\" {
        result.push_str(escaped);
        return range.end;
    }
    match &text[range.start + 1..] {
        rest if rest.starts_with("$(") || rest.starts_with("${") => {
            result.push_str(&rest[..2]);
            range.end + 1
        }
        _ => {
            result.push_str(&text[range.clone()]);
            range.end
        }
    }
}

fn error(whole: &Text, expression: &str, reason: String) -> Error {
    Error::Expression { place: whole.place.clone(), expression: shorten(expression), reason }
}

/// An expression as messages show it: on one line, and not too long.
fn shorten(expression: &str) -> String {
    const LONGEST: usize = 100;
    let mut line = String::new();
    for word in expression.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * LONGEST {
            break;
        }
    }
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
