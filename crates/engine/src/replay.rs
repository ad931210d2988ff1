//! What expressions gave that would give something else another time (`Date`, `Math.random`): recorded, so that a later
//! leader goes on with the same values.

use std::sync::Arc;

use moil_cwl::value::{Value, ValueMap};

use crate::plan::Prepared;

/// An evaluation that is not repeatable.
#[derive(Debug)]
pub struct Evaluated {
    /// What it was made of, as a keyed hash.
    pub what: String,
    /// What it gave; `None` where it failed.
    pub value: Option<Value>,
}

/// What preparing an element gave, as a value; without the key of a job, which is made anew.
pub fn written(prepared: &Prepared) -> Value {
    let mut fields = ValueMap::new();
    let mut add = |name: &str, value: Value| _ = fields.insert(name.into(), value);
    let (kind, round) = match prepared {
        Prepared::Skipped => ("skipped", &None),
        Prepared::Job { inputs, resources, key: _, cache_key: _, round } => {
            add("inputs", inputs.clone());
            // Numbers without any digits lost.
            let resources = serde_json::to_string(resources).unwrap_or_default();
            add("resources", Value::string(resources));
            ("job", round)
        }
        Prepared::Workflow { inputs, round } => {
            add("inputs", inputs.clone());
            ("workflow", round)
        }
        Prepared::Generator { inputs, round } => {
            add("inputs", Value::map(inputs.clone()));
            ("generator", round)
        }
        Prepared::Outputs { outputs, round } => {
            add("outputs", outputs.clone());
            ("outputs", round)
        }
    };
    if let Some(round) = round {
        add("round", Value::map(round.clone()));
    }
    add("kind", Value::from(kind));
    Value::map(fields)
}

/// What was written; `None` for anything else.
pub fn read(value: &Value) -> Option<Prepared> {
    let round = value.field("round").as_map().cloned();
    Some(match value.field("kind").as_str()? {
        "skipped" => Prepared::Skipped,
        "job" => Prepared::Job {
            inputs: value.field("inputs").clone(),
            resources: serde_json::from_str(value.field("resources").as_str()?).ok()?,
            key: None,
            cache_key: None,
            round,
        },
        "workflow" => Prepared::Workflow { inputs: value.field("inputs").clone(), round },
        "generator" => Prepared::Generator { inputs: value.field("inputs").as_map()?.clone(), round },
        "outputs" => Prepared::Outputs { outputs: value.field("outputs").clone(), round },
        _ => return None,
    })
}

/// The inputs of a loop's next round, or that there is none, as a value.
pub fn written_round(inputs: Option<&ValueMap>) -> Value {
    inputs.map_or(Value::Null, |inputs| Value::map(inputs.clone()))
}

/// What was written; `None` for anything else.
pub fn read_round(value: &Value) -> Option<Option<ValueMap>> {
    match value {
        Value::Null => Some(None),
        value => Some(Some(value.as_map()?.clone())),
    }
}

/// The values that an evaluation sees, under names of their own.
pub(crate) fn seen<const N: usize>(values: [(&str, Value); N]) -> Value {
    Value::map(values.into_iter().map(|(name, value)| (Arc::from(name), value)).collect())
}
