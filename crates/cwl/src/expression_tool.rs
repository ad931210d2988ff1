//! Running an ExpressionTool (CWL v1.2 Workflow §"ExpressionTool").

use std::sync::Arc;

use crate::conform;
use crate::error::Error;
use crate::expression::{Context, Evaluator};
use crate::file_object;
use crate::inherit::Effective;
use crate::location;
use crate::process::ExpressionTool;
use crate::types::Type;
use crate::value::{Directory, File, Value, ValueMap};

/// The output object of an ExpressionTool: its declared outputs, null where the expression gives none.
///
/// A File that the expression hands on keeps its location, whatever else was changed in it (a new
/// basename, for one), and loses loaded `contents`; a literal stays a literal. Objects with a `path`
/// alone get the location of the input that is at that path, or below which it lies.
///
/// # Errors
/// Those of the expression; [`Error::Invalid`] where it gives no object, a File that is none, or a
/// value of a wrong type.
pub fn run(
    tool: &ExpressionTool,
    effective: &Effective,
    inputs: &Value,
    evaluator: &Evaluator,
    runtime: &Value,
) -> Result<Value, Error> {
    let inputs = &with_paths(inputs);
    let context = Context {
        evaluator,
        inputs,
        runtime,
        javascript: effective.javascript.as_ref(),
        version: effective.version,
    };
    let result = context.evaluate(&tool.expression, &Value::Null)?;
    let Value::Map(given) = &result else {
        let found = conform::describe(&result);
        let message = format!("the expression gives {found}, but must give an object with the outputs");
        return Err(Error::invalid(&tool.expression.place, message));
    };
    let places = Places::of(inputs);
    let mut outputs = ValueMap::with_capacity(tool.common.outputs.len());
    for output in &tool.common.outputs {
        let value = given.get(&output.name).unwrap_or(&Value::Null);
        let value = places
            .hand_on(value)
            .map_err(|message| Error::invalid(&output.place, format!("output {}: {message}", output.name)))?;
        // Other runners take null where anything is allowed.
        if !(value.is_null() && output.type_.alternatives().contains(&Type::Any)) {
            conform::check(&value, &output.type_, &output.name)
                .map_err(|mismatch| Error::invalid(&output.place, format!("output {mismatch}")))?;
        }
        outputs.insert(Arc::clone(&output.name), value);
    }
    Ok(Value::map(outputs))
}

/// Scripts expect files to have paths. Where nobody has staged them, local ones are where they are.
fn with_paths(inputs: &Value) -> Value {
    let path_of = |path: &Option<Arc<str>>, location: &Option<Arc<str>>| {
        path.clone().or_else(|| location.as_deref().and_then(location::file_path).map(Arc::from))
    };
    let seen = inputs.try_map_files::<std::convert::Infallible>(&mut |object| {
        Ok(match object {
            Value::File(file) => {
                let path = path_of(&file.path, &file.location);
                Value::File(Arc::new(File { path, ..(*file).clone() }))
            }
            Value::Directory(directory) => {
                let path = path_of(&directory.path, &directory.location);
                Value::Directory(Arc::new(Directory { path, ..(*directory).clone() }))
            }
            other => other,
        })
    });
    match seen {
        Ok(seen) => seen,
        Err(never) => match never {},
    }
}

/// Where the inputs are, by the paths under which the expression sees them.
struct Places<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Places<'a> {
    fn of(inputs: &'a Value) -> Self {
        let mut places = Vec::new();
        inputs.visit_files(&mut |object| {
            let (path, location) = match object {
                Value::File(file) => (&file.path, &file.location),
                Value::Directory(directory) => (&directory.path, &directory.location),
                _ => return,
            };
            if let (Some(path), Some(location)) = (path.as_deref(), location.as_deref()) {
                places.push((path, location));
            }
        });
        Self(places)
    }

    fn location(&self, path: &str) -> Option<Arc<str>> {
        let within =
            |root: &str| path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let (root, location) =
            self.0.iter().filter(|(root, _)| within(root).is_some()).max_by_key(|(root, _)| root.len())?;
        match within(root)?.trim_matches('/') {
            "" => Some(Arc::from(*location)),
            rest => Some(location::child(location, rest).into()),
        }
    }

    fn hand_on(&self, value: &Value) -> Result<Value, String> {
        let located = value.try_map_files(&mut |object| -> Result<Value, String> {
            Ok(match object {
                Value::File(file) => {
                    let mut file = File::clone(&file);
                    if file.location.is_none() {
                        file.location = file.path.as_deref().and_then(|path| self.location(path));
                    }
                    if file.location.is_some() || file.path.is_some() {
                        file.contents = None;
                    }
                    Value::File(Arc::new(file))
                }
                Value::Directory(directory) if directory.location.is_none() => {
                    let location = directory.path.as_deref().and_then(|path| self.location(path));
                    Value::Directory(Arc::new(Directory { location, ..(*directory).clone() }))
                }
                other => other,
            })
        })?;
        file_object::normalise(&located, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Limits;
    use crate::parameter::Output;
    use crate::preparing_fixture::{array, common, effective, json, optional, output, text, value};

    fn outcome(outputs: Vec<Output>, inputs: &str, expression: &str) -> Result<String, String> {
        let tool = ExpressionTool { common: common(Vec::new(), outputs), expression: text(expression) };
        let evaluator = Evaluator::new(Limits::default());
        run(&tool, &effective(), &value(inputs), &evaluator, &value(r#"{"cores": 2}"#))
            .map(|value| json(&value))
            .map_err(|error| error.to_string())
    }

    const INPUTS: &str = r#"{"n": 2, "f": {"class": "File", "location": "file:///in/a.txt", "path": "/stage/x1/a.txt", "basename": "a.txt",
        "size": 3, "contents": "abc"}, "d": {"class": "Directory", "location": "s3://b/d", "path": "/stage/x2/d", "basename": "d"},
        "l": {"class": "File", "location": "file:///in/b%20c", "basename": "b c"}}"#;

    #[test]
    fn results_become_outputs() {
        let cases = [
            (output("o", Type::Int), "$({'o': inputs.n + runtime.cores})", r#"{"o":4}"#),
            (output("o", Type::Int), "${ return {o: 1, undeclared: 2}; }", r#"{"o":1}"#),
            (output("o", optional(Type::Int)), "$({})", r#"{"o":null}"#),
            (output("o", Type::Any), "$({'o': null})", r#"{"o":null}"#),
            (
                output("o", array(Type::Int)),
                "$({'o': Array.apply(null, {length: 3}).map(Number.call, Number)})",
                r#"{"o":[0,1,2]}"#,
            ),
            (output("o", Type::String), "$({'o': inputs.l.path})", r#"{"o":"/in/b c"}"#),
            (
                output("o", Type::File),
                "${ inputs.f.basename = 'b.dat'; return {o: inputs.f}; }",
                r#"{"o":{"class":"File","location":"file:///in/a.txt","basename":"b.dat","nameroot":"b","nameext":".dat","size":3}}"#,
            ),
            (
                output("o", Type::File),
                "${ return {o: {class: 'File', path: inputs.f.path}}; }",
                r#"{"o":{"class":"File","location":"file:///in/a.txt","basename":"a.txt","nameroot":"a","nameext":".txt"}}"#,
            ),
            (
                output("o", Type::File),
                "${ return {o: {class: 'File', path: inputs.d.path + '/e/f 1'}}; }",
                r#"{"o":{"class":"File","location":"s3://b/d/e/f%201","basename":"f 1","nameroot":"f 1","nameext":""}}"#,
            ),
            (
                output("o", Type::File),
                "${ return {o: {class: 'File', path: '/other/x.txt'}}; }",
                r#"{"o":{"class":"File","location":"file:///other/x.txt","basename":"x.txt","nameroot":"x","nameext":".txt"}}"#,
            ),
            (
                output("o", Type::File),
                "${ return {o: {class: 'File', basename: 'l', contents: 'hey'}}; }",
                r#"{"o":{"class":"File","basename":"l","nameroot":"l","nameext":"","size":3,"contents":"hey"}}"#,
            ),
            (
                output("o", Type::Directory),
                "${ return {o: {class: 'Directory', basename: 'l', listing: [inputs.f]}}; }",
                r#"{"o":{"class":"Directory","basename":"l","listing":[{"class":"File","location":"file:///in/a.txt","basename":"a.txt","nameroot":"a","nameext":".txt","size":3}]}}"#,
            ),
        ];
        for (output, expression, expected) in cases {
            assert_eq!(outcome(vec![output], INPUTS, expression).as_deref(), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn wrong_results_are_refused() {
        let cases = [
            (output("o", Type::Int), "$(3)", "gives a number (3), but must give an object"),
            (output("o", Type::Int), "$(inputs.f)", "gives a File (a.txt), but must give an object"),
            (output("o", Type::Int), "$({'o': 'x'})", "output o is a string (\"x\"), but must be int"),
            (output("o", Type::Int), "$({})", "output o is null, but must be int"),
            (output("o", Type::File), "$({'o': {'class': 'File'}})", "neither location, path nor contents"),
            (output("o", Type::File), "$({'o': {'class': 'File', 'path': 'x'}})", "\"x\" is relative"),
            (output("o", Type::Int), "${ throw 'out of luck'; }", "out of luck"),
        ];
        for (output, expression, part) in cases {
            let message = outcome(vec![output], INPUTS, expression).expect_err(expression);
            assert!(message.contains(part), "{expression}: {message}");
        }
    }
}
