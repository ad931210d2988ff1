//! The variables of EnvVarRequirement.

use std::sync::Arc;

use crate::conform::describe;
use crate::error::Error;
use crate::expression::Context;
use crate::inherit::Effective;
use crate::value::Value;

/// The variables that the tool demands, in the order of the document (CWL v1.2 CommandLineTool
/// §"EnvVarRequirement"). `HOME` and `TMPDIR` are set by whoever runs the tool; these come after and win.
///
/// # Errors
/// What expressions give; a value that is no string; a name or value that no process can have.
pub fn variables(effective: &Effective, context: &Context<'_>) -> Result<Vec<(Arc<str>, Arc<str>)>, Error> {
    let definitions = effective.environment.as_deref().map(Vec::as_slice).unwrap_or_default();
    let mut variables = Vec::with_capacity(definitions.len());
    for (name, text) in definitions {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::invalid(
                &text.place,
                format!("{name:?} cannot be the name of an environment variable"),
            ));
        }
        match context.evaluate(text, &Value::Null)? {
            Value::String(value) if value.contains('\0') => {
                return Err(Error::invalid(&text.place, format!("the value of {name} holds a NUL")));
            }
            Value::String(value) => variables.push((Arc::clone(name), value)),
            other => {
                let message = format!("the value of {name} is {}, but must be a string", describe(&other));
                return Err(Error::invalid(&text.place, message));
            }
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_fixture::{Fixture, effective, text};

    fn check(name: &str, value: &str) -> Result<String, String> {
        let effective =
            Effective { environment: Some(Arc::new(vec![(name.into(), text(value))])), ..effective() };
        Fixture::new(r#"{"in": "hello", "n": 3}"#)
            .with(|context| variables(&effective, context))
            .map(|variables| variables.iter().map(|(n, v)| format!("{n}={v}")).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn values_are_evaluated() {
        assert_eq!(check("A", "$(inputs.in) you"), Ok("A=hello you".into()));
        assert_eq!(check("A", "n $(inputs.n)"), Ok("A=n 3".into()));
        assert_eq!(check("A", ""), Ok("A=".into()));
    }

    #[test]
    fn what_no_process_can_have_is_refused() {
        for (name, value, reason) in [
            ("A", "$(inputs.n)", "A is a number (3), but must be a string"),
            ("A=B", "x", "name"),
            ("", "x", "name"),
            ("A", "x\0y", "NUL"),
        ] {
            let message = check(name, value).expect_err(name);
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn without_the_requirement_there_are_none() {
        let variables = Fixture::new("{}").with(|context| variables(&effective(), context));
        assert_eq!(variables.map(|v| v.len()).ok(), Some(0));
    }
}
