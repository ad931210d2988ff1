//! `--pack`: a process and all that it runs as one JSON document.

use moil_salad::node::Node;

use crate::document::Document;
use crate::document_writer::{Writer, write_plain};
use crate::print;
use crate::value::Value;

/// One JSON text that loads again and runs alike: a `$graph` whose first member is `#main`, or that
/// process alone if it runs no other. It is of v1.2 whatever was read (of v1.3.0-dev1 if that was
/// read); named types are written out where they are used.
pub fn pack(document: &Document) -> String {
    let Some(main) = document.processes.get(&document.main) else { return "{}".to_owned() };
    let is_development = document.processes.values().any(|process| {
        process.get("cwlVersion").and_then(Node::as_str).is_some_and(|v| v.starts_with("v1.3"))
    });
    let mut head = format!(r#""cwlVersion":"{}""#, if is_development { "v1.3.0-dev1" } else { "v1.2" });
    if !document.namespaces.is_empty() {
        let entries =
            document.namespaces.iter().map(|(prefix, iri)| format!("{}:{}", quoted(prefix), quoted(iri)));
        head.push_str(&format!(r#","$namespaces":{{{}}}"#, entries.collect::<Vec<_>>().join(",")));
    }
    if !document.schemas.is_empty() {
        let schemas = document.schemas.iter().map(|uri| quoted(uri));
        head.push_str(&format!(r#","$schemas":[{}]"#, schemas.collect::<Vec<_>>().join(",")));
    }
    let texts = Writer::new(document).packed(main);
    let text = match texts.as_slice() {
        [alone] => format!("{{{head},{}", alone.get(1..).unwrap_or("}")),
        several => format!(r#"{{{head},"$graph":[{}]}}"#, several.join(",")),
    };
    indented(&text)
}

/// A node as JSON, indented: `--print-pre` and its kin.
pub fn node_text(node: &Node) -> String {
    let mut text = String::new();
    write_plain(&mut text, node);
    indented(&text)
}

fn quoted(text: &str) -> String {
    print::compact(&Value::from(text))
}

/// JSON without white space, with line feeds and indentation by four.
pub(crate) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    };
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_leaves_strings_alone() {
        let json = r#"{"a":[],"b{":[1,{"c":"x:\"{,\\"}]}"#;
        let expected = "{\n    \"a\": [],\n    \"b{\": [\n        1,\n        {\n            \"c\": \"x:\\\"{,\\\\\"\n        }\n    ]\n}";
        assert_eq!(indented(json), expected);
    }

    fn again(text: &str) -> (crate::load::Loaded, crate::load::Loaded) {
        let first = crate::test_support::loaded(text);
        let packed = pack(&first.document);
        let second =
            crate::test_support::load_text(&packed).unwrap_or_else(|faults| panic!("{packed}\n{faults:#?}"));
        assert_eq!(pack(&second.document), packed);
        (first, second)
    }

    #[test]
    fn what_is_packed_loads_again() {
        let (first, second) = again(
            "{cwlVersion: v1.2, $graph: [
               {class: Workflow, id: main, inputs: {x: 'int[]'}, outputs: {o: {type: 'File[]', outputSource: s/o}},
                requirements: {ScatterFeatureRequirement: {}}, steps: {s: {run: '#t', in: {a: x}, scatter: a, out: [o]}}},
               {class: CommandLineTool, id: t, baseCommand: x, inputs: {a: int}, outputs: {o: stdout}}]}",
        );
        let [first, second] = [first, second].map(|loaded| match loaded.process {
            crate::process::Process::Workflow(workflow) => match &workflow.steps[0].run {
                crate::process::Process::Tool(tool) => crate::canonical::tool(tool),
                other => panic!("a {}", other.class()),
            },
            other => panic!("a {}", other.class()),
        });
        assert_eq!(first, second);
    }

    #[test]
    fn named_types_are_written_out() {
        let (_, second) = again(
            "{cwlVersion: v1.2, class: CommandLineTool, inputs: {a: '#T', b: '#T[]?'}, outputs: [],
              requirements: {SchemaDefRequirement: {types: [{name: T, type: enum, symbols: [x, y]}]}}}",
        );
        let types: Vec<String> = second
            .process
            .common()
            .inputs
            .iter()
            .map(|input| crate::type_name::type_name(&input.type_))
            .collect();
        assert_eq!(types, ["enum {x, y}", "enum {x, y}[]?"]);
    }

    #[test]
    fn what_was_usual_in_old_documents_is_said() {
        let (_, second) = again("{cwlVersion: v1.0, class: CommandLineTool, inputs: [], outputs: []}");
        let effective = crate::inherit::Effective::of(
            &[&second.process.common().requirements],
            crate::process::Version::V1_2,
        );
        assert_eq!(effective.load_listing, Some(crate::parameter::LoadListing::Deep));
        assert_eq!(effective.network, Some(crate::requirement::BoolOrText::Bool(true)));
    }
}
