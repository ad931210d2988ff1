//! What a job may do: time, network, reuse of its result.

use std::time::Duration;

use crate::conform::{describe, whole};
use crate::error::Error;
use crate::expression::Context;
use crate::inherit::Effective;
use crate::process::Version;
use crate::requirement::BoolOrText;
use crate::text::NumberOrText;
use crate::value::Value;

/// `timelimit` of ToolTimeLimit (CWL v1.2 CommandLineTool §"ToolTimeLimit"); `None` for 0 and where there is none.
///
/// # Errors
/// What the expression gives; a result that is no whole number, or negative.
pub fn time_limit(effective: &Effective, context: &Context<'_>) -> Result<Option<Duration>, Error> {
    let (value, place) = match &effective.time_limit {
        None => return Ok(None),
        Some(NumberOrText::Number(number)) => (Value::Number(number.clone()), None),
        Some(NumberOrText::Text(text)) => (context.evaluate(text, &Value::Null)?, Some(text.place.clone())),
    };
    let seconds = match &value {
        Value::Number(number) => whole(number),
        _ => None,
    };
    match seconds.map(u64::try_from) {
        Some(Ok(0)) => Ok(None),
        Some(Ok(seconds)) => Ok(Some(Duration::from_secs(seconds))),
        Some(Err(_)) => Err(Error::Invalid {
            place,
            message: format!("timelimit is {}, but cannot be negative", describe(&value)),
        }),
        None => Err(Error::Invalid {
            place,
            message: format!("timelimit is {}, but must be a whole number of seconds", describe(&value)),
        }),
    }
}

/// Whether the tool has the network (CWL v1.2 CommandLineTool §"NetworkAccess"): where the document does not say,
/// only tools of v1.0 have it.
///
/// # Errors
/// What the expression gives; a result that is no boolean.
pub fn network(effective: &Effective, context: &Context<'_>) -> Result<bool, Error> {
    let default = effective.version == Version::V1_0;
    boolean("networkAccess", effective.network.as_ref(), default, context)
}

/// Whether the result of an equal job may be taken (CWL v1.2 §"WorkReuse"); where the document does not say, it may.
///
/// # Errors
/// What the expression gives; a result that is no boolean.
pub fn work_reuse(effective: &Effective, context: &Context<'_>) -> Result<bool, Error> {
    boolean("enableReuse", effective.work_reuse.as_ref(), true, context)
}

fn boolean(
    field: &str,
    value: Option<&BoolOrText>,
    default: bool,
    context: &Context<'_>,
) -> Result<bool, Error> {
    match value {
        None => Ok(default),
        Some(BoolOrText::Bool(value)) => Ok(*value),
        Some(BoolOrText::Text(text)) => match context.evaluate(text, &Value::Null)? {
            Value::Bool(value) => Ok(value),
            other => Err(Error::invalid(
                &text.place,
                format!("{field} is {}, but must be a boolean", describe(&other)),
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_fixture::{Fixture, effective, text};
    use crate::number::Number;

    const INPUTS: &str =
        r#"{"three": 3, "minus": -1, "zero": 0, "half": 0.5, "yes": true, "word": "x", "none": null}"#;

    fn limit(value: NumberOrText) -> Result<Option<u64>, String> {
        let effective = Effective { time_limit: Some(value), ..effective() };
        Fixture::new(INPUTS)
            .with(|context| time_limit(&effective, context))
            .map(|limit| limit.map(|l| l.as_secs()))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn time_limits_are_whole_seconds_and_zero_is_none() {
        let constant = |n: i64| NumberOrText::Number(Number::Int(n));
        let expression = |name: &str| NumberOrText::Text(text(&format!("$(inputs.{name})")));
        assert_eq!(limit(constant(15)), Ok(Some(15)));
        assert_eq!(limit(constant(0)), Ok(None));
        assert_eq!(limit(expression("three")), Ok(Some(3)));
        assert_eq!(limit(expression("zero")), Ok(None));
        for (value, reason) in [
            (constant(-1), "negative"),
            (expression("minus"), "negative"),
            (expression("half"), "whole"),
            (expression("word"), "whole"),
            (expression("none"), "whole"),
        ] {
            let message = limit(value).expect_err(reason);
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn the_network_is_there_by_default_only_in_v1_0() {
        for (version, value, expected) in [
            (Version::V1_0, None, true),
            (Version::V1_1, None, false),
            (Version::V1_2, None, false),
            (Version::V1_0, Some(BoolOrText::Bool(false)), false),
            (Version::V1_2, Some(BoolOrText::Bool(true)), true),
            (Version::V1_2, Some(BoolOrText::Text(text("$(inputs.yes)"))), true),
        ] {
            let effective = Effective { version, network: value, ..effective() };
            assert_eq!(
                Fixture::new(INPUTS).with(|context| network(&effective, context)).ok(),
                Some(expected)
            );
        }
    }

    #[test]
    fn reuse_is_allowed_unless_a_boolean_says_no() {
        let reuse = |value: Option<BoolOrText>| {
            let effective = Effective { work_reuse: value, ..effective() };
            Fixture::new(INPUTS).with(|context| work_reuse(&effective, context)).map_err(|e| e.to_string())
        };
        assert_eq!(reuse(None), Ok(true));
        assert_eq!(reuse(Some(BoolOrText::Bool(false))), Ok(false));
        assert!(
            reuse(Some(BoolOrText::Text(text("$(inputs.three)")))).is_err_and(|m| m.contains("enableReuse"))
        );
    }
}
