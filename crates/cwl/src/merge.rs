//! Values of several links become one value: `linkMerge` and `pickValue`
//! (CWL v1.2 Workflow §"Merging multiple inbound data links", §"Picking non-null values among inbound data links").

use crate::error::Error;
use crate::parameter::{LinkMerge, PickValue, SourceList};
use crate::value::Value;

/// The value that links give together, null where there are none. `what` names the receiver in messages.
///
/// Without `linkMerge` one link gives its value as it is, even when it is written as a list of
/// one, and several are nested. `pickValue` looks into lists only: anything else passes as it is.
///
/// # Errors
/// [`Error::Invalid`] where `pickValue` finds none, or more than it may.
pub fn merge(source: &SourceList, values: &[Value], what: &str) -> Result<Value, Error> {
    let merged = merge_links(source.link_merge, values);
    let (Some(pick), Value::List(items)) = (source.pick_value, &merged) else {
        return Ok(merged);
    };
    let invalid = |message: String| Error::Invalid {
        place: source.links.first().map(|link| link.place.clone()),
        message,
    };
    let mut present = items.iter().filter(|item| !item.is_null());
    match pick {
        PickValue::AllNonNull => Ok(Value::list(present.cloned().collect())),
        PickValue::FirstNonNull => {
            present.next().cloned().ok_or_else(|| invalid(format!("all sources of `{what}` are null")))
        }
        PickValue::TheOnlyNonNull => match (present.next(), present.count()) {
            (Some(only), 0) => Ok(only.clone()),
            (Some(_), more) => Err(invalid(format!(
                "only one source of `{what}` may have a value, but {} of {} have one",
                more + 1,
                items.len()
            ))),
            (None, _) => Err(invalid(format!("all sources of `{what}` are null"))),
        },
    }
}

fn merge_links(link_merge: Option<LinkMerge>, values: &[Value]) -> Value {
    match (link_merge, values) {
        (_, []) => Value::Null,
        (None, [only]) => only.clone(),
        (None | Some(LinkMerge::Nested), values) => Value::list(values.to_vec()),
        // Nothing to concatenate: share the list.
        (Some(LinkMerge::Flattened), [only @ Value::List(_)]) => only.clone(),
        (Some(LinkMerge::Flattened), values) => {
            let mut items = Vec::new();
            for value in values {
                match value {
                    Value::List(inner) => items.extend(inner.iter().cloned()),
                    other => items.push(other.clone()),
                }
            }
            Value::list(items)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULL: Value = Value::Null;

    fn list(items: &[Value]) -> Value {
        Value::list(items.to_vec())
    }

    fn outcome(
        merge_: Option<LinkMerge>,
        pick: Option<PickValue>,
        values: &[Value],
    ) -> Result<Value, String> {
        let source = SourceList { link_merge: merge_, pick_value: pick, is_list: true, links: Vec::new() };
        merge(&source, values, "x").map_err(|error| error.to_string())
    }

    #[test]
    fn links_are_merged() {
        use LinkMerge::{Flattened, Nested};
        let pair = list(&[1.into(), 2.into()]);
        let nested = || Value::list(vec![pair.clone()]);
        let cases = [
            (None, vec![], NULL),
            (None, vec![1.into()], 1.into()),
            (None, vec![pair.clone()], pair.clone()),
            (Some(Nested), vec![pair.clone()], nested()),
            (Some(Flattened), vec![pair.clone()], pair.clone()),
            (Some(Flattened), vec![1.into()], list(&[1.into()])),
            (None, vec![pair.clone(), 3.into()], list(&[pair.clone(), 3.into()])),
            (Some(Nested), vec![pair.clone(), 3.into()], list(&[pair.clone(), 3.into()])),
            (Some(Flattened), vec![pair.clone(), 3.into()], list(&[1.into(), 2.into(), 3.into()])),
            (Some(Flattened), vec![nested(), NULL], list(&[pair.clone(), NULL])),
        ];
        for (merge_, values, expected) in cases {
            assert_eq!(outcome(merge_, None, &values), Ok(expected), "{merge_:?} {values:?}");
        }
    }

    #[test]
    fn values_are_picked() {
        use PickValue::{AllNonNull, FirstNonNull, TheOnlyNonNull};
        let cases = [
            (FirstNonNull, vec![NULL, 1.into(), 2.into()], Ok(1.into())),
            (FirstNonNull, vec![NULL, false.into()], Ok(false.into())),
            (FirstNonNull, vec![NULL, NULL], Err("all sources of `x` are null")),
            (FirstNonNull, vec![7.into()], Ok(7.into())),
            (FirstNonNull, vec![list(&[NULL, 1.into()])], Ok(1.into())),
            (TheOnlyNonNull, vec![NULL, 1.into()], Ok(1.into())),
            (TheOnlyNonNull, vec![NULL, NULL], Err("all sources of `x` are null")),
            (
                TheOnlyNonNull,
                vec![1.into(), NULL, 2.into()],
                Err("only one source of `x` may have a value, but 2 of 3 have one"),
            ),
            (AllNonNull, vec![NULL, 1.into(), 2.into()], Ok(list(&[1.into(), 2.into()]))),
            (AllNonNull, vec![NULL, NULL], Ok(list(&[]))),
            (AllNonNull, vec![list(&[NULL, 1.into()])], Ok(list(&[1.into()]))),
        ];
        for (pick, values, expected) in cases {
            let expected = expected.map_err(str::to_owned);
            assert_eq!(outcome(None, Some(pick), &values), expected, "{pick:?} {values:?}");
        }
        let flattened =
            outcome(Some(LinkMerge::Flattened), Some(AllNonNull), &[list(&[NULL, 1.into()]), NULL]);
        assert_eq!(flattened, Ok(list(&[1.into()])));
    }
}
