//! Requirements that come from outside a document: `cwl:requirements` of an input object, and
//! `cwltool:overrides`, in an input object or in the file of `--overrides`.

use moil_salad::node::{Entry, Kind, Map, Node};
use moil_salad::uri;

use crate::error::Error;

/// The field that holds overrides, in full.
pub const FIELD: &str = "http://commonwl.org/cwltool#overrides";

/// Requirements for one process or step, which replace those of the same class.
#[derive(Clone, Debug)]
pub struct Override {
    /// The absolute IRI of the process or step.
    pub target: String,
    /// The requirements as a list of mappings with `class`; shorthands within them are not expanded.
    pub requirements: Vec<Node>,
}

/// Reads overrides: a file that holds `cwltool:overrides`, or the value of that field. Targets are
/// resolved against `tool_uri`, the URI of the process that is run: `echo.cwl`, `wf.cwl#step1`, `#step1`.
///
/// # Errors
/// [`Error::Invalid`] at the place of whatever has another form.
pub fn from_node(node: &Node, tool_uri: &str) -> Result<Vec<Override>, Error> {
    let holder = ["cwltool:overrides", FIELD].iter().find_map(|field| node.get(field));
    let node = holder.unwrap_or(node);
    let mut overrides = Vec::new();
    match &node.kind {
        Kind::Map(map) => {
            for entry in &map.entries {
                overrides.push(one(&entry.key, &entry.value, tool_uri)?);
            }
        }
        Kind::List(items) => {
            for item in items {
                let Some(target) = item.get("overrideTarget").and_then(Node::as_str) else {
                    return Err(Error::invalid(
                        &item.place,
                        "an override needs the overrideTarget that it is for",
                    ));
                };
                overrides.push(one(target, item, tool_uri)?);
            }
        }
        Kind::Null => {}
        _ => {
            let message = format!(
                "overrides must be a mapping of processes to requirements, but are {}",
                node.describe()
            );
            return Err(Error::invalid(&node.place, message));
        }
    }
    Ok(overrides)
}

/// The requirements for a process or step; where several overrides name it, the last one counts alone.
pub fn for_target<'a>(overrides: &'a [Override], id: &str) -> &'a [Node] {
    overrides.iter().rev().find(|candidate| candidate.target == id).map_or(&[], |found| &found.requirements)
}

fn one(target: &str, node: &Node, tool_uri: &str) -> Result<Override, Error> {
    let Some(requirements) = node.get("requirements") else {
        let message = format!("the override of {target} must be a mapping with requirements");
        return Err(Error::invalid(&node.place, message));
    };
    Ok(Override { target: uri::join(tool_uri, target), requirements: requirement_list(requirements)? })
}

/// Requirements as a list of mappings with `class`, whether written as one or as a mapping by class.
///
/// # Errors
/// [`Error::Invalid`] at the place of whatever is neither.
pub fn requirement_list(node: &Node) -> Result<Vec<Node>, Error> {
    match &node.kind {
        Kind::Null => Ok(Vec::new()),
        Kind::List(items) => {
            for item in items {
                if item.get("class").and_then(Node::as_str).is_none() {
                    return Err(Error::invalid(&item.place, "a requirement needs a class"));
                }
            }
            Ok(items.clone())
        }
        Kind::Map(map) => map.entries.iter().map(with_class).collect(),
        _ => {
            let message =
                format!("requirements must be a list or a mapping by class, but are {}", node.describe());
            Err(Error::invalid(&node.place, message))
        }
    }
}

fn with_class(entry: &Entry) -> Result<Node, Error> {
    let fields = match &entry.value.kind {
        Kind::Map(map) => map.entries.as_slice(),
        Kind::Null => &[],
        _ => {
            let message = format!("{} must be a mapping, but is {}", entry.key, entry.value.describe());
            return Err(Error::invalid(&entry.value.place, message));
        }
    };
    let class = Entry {
        key: "class".to_owned(),
        key_place: entry.key_place.clone(),
        value: Node::string(&*entry.key, &entry.key_place),
    };
    let others = fields.iter().filter(|field| field.key != "class").cloned();
    let entries = std::iter::once(class).chain(others).collect();
    Ok(Node { place: entry.value.place.clone(), kind: Kind::Map(Map { entries }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preparing_fixture::node;

    const TOOL: &str = "file:///w/wf.cwl";

    fn read(text: &str) -> Result<String, String> {
        let overrides =
            from_node(&node("file:///j/job.yml", text), TOOL).map_err(|error| error.to_string())?;
        let one = |found: &Override| {
            let classes: Vec<&str> =
                found.requirements.iter().filter_map(|r| r.get("class").and_then(Node::as_str)).collect();
            format!("{} {}", found.target, classes.join("+"))
        };
        Ok(overrides.iter().map(one).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn targets_are_resolved_and_requirements_listed() {
        let cases = [
            (
                "cwltool:overrides: {echo.cwl: {requirements: {EnvVarRequirement: {envDef: {A: b}}, WorkReuse: }}}",
                Ok("file:///w/echo.cwl EnvVarRequirement+WorkReuse"),
            ),
            ("{'#s': {requirements: [{class: WorkReuse}]}}", Ok("file:///w/wf.cwl#s WorkReuse")),
            (
                "http://commonwl.org/cwltool#overrides: [{overrideTarget: 'x.cwl#y', requirements: []}]",
                Ok("file:///w/x.cwl#y "),
            ),
            ("{file:///a.cwl: {requirements: }}", Ok("file:///a.cwl ")),
            ("cwltool:overrides: ", Ok("")),
            ("cwltool:overrides: 3", Err("must be a mapping of processes")),
            ("{a.cwl: {hints: []}}", Err("with requirements")),
            ("{a.cwl: {requirements: [x]}}", Err("needs a class")),
            ("{a.cwl: {requirements: x}}", Err("a list or a mapping by class")),
            ("{a.cwl: {requirements: {WorkReuse: 1}}}", Err("WorkReuse must be a mapping")),
            ("[{requirements: []}]", Err("needs the overrideTarget")),
        ];
        for (text, expected) in cases {
            match (read(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn the_last_override_of_a_target_counts() {
        let text = "[{overrideTarget: a.cwl, requirements: [{class: X}]}, {overrideTarget: a.cwl, requirements: [{class: Y}]}]";
        let overrides = from_node(&node(TOOL, text), TOOL).expect("overrides");
        let found = for_target(&overrides, "file:///w/a.cwl");
        assert_eq!(found.iter().filter_map(|n| n.get("class")?.as_str()).collect::<Vec<_>>(), ["Y"]);
        assert!(for_target(&overrides, "file:///w/b.cwl").is_empty());
    }
}
