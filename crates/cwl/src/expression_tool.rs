//! Running an ExpressionTool (CWL v1.2 ExpressionTool).

use std::sync::Arc;

use crate::conform;
use crate::error::Error;
use crate::expression::{Context, Evaluator};
use crate::file_object;
use crate::inherit::Effective;
use crate::process::ExpressionTool;
use crate::types::Type;
use crate::value::{Directory, File, Value, ValueMap};

/// Evaluates the expression; its result is the output object.
///
/// # Errors
/// What the expression gives; a result that is no mapping, or does not fit the declared outputs.
pub fn run(
    tool: &ExpressionTool,
    effective: &Effective,
    inputs: &Value,
    evaluator: &Evaluator,
    runtime: &Value,
) -> Result<Value, Error> {
    let seen = with_paths(inputs);
    let context = Context {
        evaluator,
        inputs: &seen,
        runtime,
        javascript: effective.javascript.as_ref(),
        version: effective.version,
    };
    let place = &tool.expression.place;
    let result = context.evaluate(&tool.expression, &Value::Null)?;
    let Value::Map(result) = result else {
        let found = conform::describe(&result);
        return Err(Error::invalid(
            place,
            format!("the expression must give a mapping of outputs, not {found}"),
        ));
    };
    let mut outputs = ValueMap::with_capacity(tool.common.outputs.len());
    for output in &tool.common.outputs {
        let value = result.get(&output.name).cloned().unwrap_or_default();
        let value = file_object::normalise(&value, None)
            .map_err(|problem| Error::invalid(place, format!("output {}: {problem}", output.name)))?;
        // What cwltool takes: null where anything is allowed.
        if value.is_null() && output.type_.alternatives().contains(&Type::Any) {
            outputs.insert(Arc::clone(&output.name), value);
            continue;
        }
        conform::check(&value, &output.type_, &output.name)
            .map_err(|mismatch| Error::invalid(place, format!("output {mismatch}")))?;
        outputs.insert(Arc::clone(&output.name), value);
    }
    Ok(Value::map(outputs))
}

/// Local files have a path here too, as scripts expect.
fn with_paths(inputs: &Value) -> Value {
    let path = |location: &Option<Arc<str>>| {
        location.as_deref().and_then(crate::location::file_path).map(Arc::<str>::from)
    };
    let mapped = inputs.try_map_files::<std::convert::Infallible>(&mut |value| {
        Ok(match value {
            Value::File(file) => {
                Value::File(Arc::new(File { path: path(&file.location), ..(*file).clone() }))
            }
            Value::Directory(found) => {
                Value::Directory(Arc::new(Directory { path: path(&found.location), ..(*found).clone() }))
            }
            other => other,
        })
    });
    match mapped {
        Ok(mapped) => mapped,
        Err(never) => match never {},
    }
}
