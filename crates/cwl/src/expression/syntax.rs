//! Checking expressions without evaluating them.

use moil_salad::diagnostic::{Diagnostic, Severity};
use moil_salad::suggest::nearest;

use super::scan::{self, Found};
use super::{Limits, NEEDS_JAVASCRIPT, UNFINISHED, parameter_reference, shorten, unescape};
use crate::javascript::Engine;
use crate::parameter_reference::{Reference, Segment};
use crate::process::Version;
use crate::text::Text;

/// Checks the syntax of expressions; makes one JavaScript engine when first needed.
#[derive(Default)]
pub struct SyntaxCheck {
    engine: Option<Engine>,
}

impl SyntaxCheck {
    /// Checks all expressions of a string: that they end, that they are parameter references where there
    /// is no `javascript` (no InlineJavascriptRequirement), that such references name one of the `inputs`
    /// (where these are known), and the syntax of JavaScript. Only an expression that does not end where
    /// there is JavaScript is an error, as with other runners: what else is wrong fails when it is
    /// evaluated, if it ever is.
    pub fn text(
        &mut self,
        text: &Text,
        inputs: Option<&[&str]>,
        javascript: bool,
        version: Version,
    ) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        if !scan::has_expression(&text.text) {
            return diagnostics;
        }
        let mut position = 0;
        loop {
            match scan::next(&text.text, position, javascript) {
                Ok(None) => return diagnostics,
                Ok(Some(Found::Escape(range))) => {
                    position = unescape(&text.text, range, version, &mut String::new());
                }
                Ok(Some(Found::Block(range))) => {
                    diagnostics.extend(self.block(&text.text[range.clone()], text, inputs, javascript));
                    position = range.end;
                }
                Err(start) => {
                    let message = format!("{} {UNFINISHED}", shorten(&text.text[start..]));
                    let mut diagnostic = Diagnostic::error("unfinished-expression", &text.place, message);
                    if !javascript {
                        diagnostic.severity = Severity::Warning;
                    }
                    diagnostics.push(diagnostic);
                    return diagnostics;
                }
            }
        }
    }

    fn block(
        &mut self,
        block: &str,
        text: &Text,
        inputs: Option<&[&str]>,
        javascript: bool,
    ) -> Option<Diagnostic> {
        let shown = shorten(block);
        match parameter_reference(block) {
            Some(reference) if javascript || reference.has_known_root() => {
                undefined_input(&reference, &shown, text, inputs?)
            }
            None if javascript => {
                let reason = self.engine().check(&block[1..]).err()?;
                let message = format!("{shown} is not JavaScript: {reason}");
                Some(Diagnostic::warning("invalid-expression", &text.place, message))
            }
            reference => {
                let message = format!("{shown} is not a parameter reference");
                let diagnostic = Diagnostic::warning("invalid-expression", &text.place, message);
                let root = reference.as_ref().map(|reference| reference.root.as_str());
                let near = root.and_then(|root| nearest(root, ["inputs", "self", "runtime"]));
                Some(match near {
                    Some(near) => diagnostic.with_hint(format!("did you mean `{near}`?")),
                    None => diagnostic.with_hint(NEEDS_JAVASCRIPT),
                })
            }
        }
    }

    /// What is wrong with the syntax of a part of `expressionLib`.
    pub fn program(&mut self, code: &str) -> Option<String> {
        self.engine().check_program(code).err()
    }

    fn engine(&mut self) -> &mut Engine {
        self.engine.get_or_insert_with(|| Engine::new(Limits::default()))
    }
}

/// A reference to an input that is not there.
fn undefined_input(reference: &Reference, shown: &str, text: &Text, inputs: &[&str]) -> Option<Diagnostic> {
    let name = match reference.segments.first() {
        Some(Segment::Field(name)) if reference.root == "inputs" => name.as_str(),
        _ => return None,
    };
    if inputs.contains(&name) {
        return None;
    }
    let message = format!("{shown} names `{name}`, which is no input here");
    let mut diagnostic = Diagnostic::warning("undefined-input", &text.place, message);
    let known = || inputs.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    diagnostic.hint = match nearest(name, inputs.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if inputs.is_empty() => None,
        None => Some(format!("the inputs are {}", known())),
    };
    Some(diagnostic)
}
