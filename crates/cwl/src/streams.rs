//! Where the standard streams of a tool come from and go to.

use crate::conform::describe;
use crate::error::Error;
use crate::expression::Context;
use crate::process::CommandLineTool;
use crate::text::Text;
use crate::value::Value;

/// The standard streams of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// The path that standard input is read from, as the tool sees it: absolute, or relative to the
    /// output directory. `None`: nothing is read.
    pub stdin: Option<String>,
    /// The file that standard output is written to, relative to the output directory; it may lie in
    /// directories that are not there yet. `None`: it is not kept as a file.
    pub stdout: Option<String>,
    /// Likewise for standard error.
    pub stderr: Option<String>,
}

/// Evaluates `stdin`, `stdout` and `stderr` (CWL v1.2 CommandLineTool).
///
/// # Errors
/// What expressions give; a result that is no string; a name for output that is absolute, or leaves the
/// output directory.
pub fn streams(tool: &CommandLineTool, context: &Context<'_>) -> Result<Streams, Error> {
    let stdin = match &tool.stdin {
        None => None,
        Some(text) => input(text, context)?,
    };
    Ok(Streams {
        stdin,
        stdout: tool.stdout.as_ref().map(|text| output("stdout", text, context)).transpose()?,
        stderr: tool.stderr.as_ref().map(|text| output("stderr", text, context)).transpose()?,
    })
}

fn input(text: &Text, context: &Context<'_>) -> Result<Option<String>, Error> {
    match context.evaluate(text, &Value::Null)? {
        Value::Null => Ok(None),
        Value::String(path) if path.is_empty() => Ok(None),
        Value::String(path) if path.contains('\0') => {
            Err(Error::invalid(&text.place, "stdin: a path cannot hold a NUL"))
        }
        Value::String(path) => Ok(Some(path.to_string())),
        other => Err(not_a_string("stdin", text, &other, " or null")),
    }
}

fn output(field: &str, text: &Text, context: &Context<'_>) -> Result<String, Error> {
    match context.evaluate(text, &Value::Null)? {
        Value::String(name) => match check_name(&name) {
            Ok(()) => Ok(name.to_string()),
            Err(reason) => Err(Error::invalid(&text.place, format!("{field}: {name:?} {reason}"))),
        },
        other => Err(not_a_string(field, text, &other, "")),
    }
}

fn not_a_string(field: &str, text: &Text, value: &Value, or: &str) -> Error {
    Error::invalid(&text.place, format!("{field} is {}, but must be a string{or}", describe(value)))
}

/// Checks the name of a file to be written below the output directory.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("is no name of a file");
    }
    if name.contains('\0') {
        return Err("holds a NUL");
    }
    if name.starts_with('/') {
        return Err("must be relative to the output directory");
    }
    if name.split('/').any(|part| part == "..") {
        return Err("must not leave the output directory");
    }
    if matches!(name.rsplit('/').next(), None | Some("" | ".")) {
        return Err("is a directory");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_fixture::{Fixture, text, tool};

    fn check(stdout: &str) -> Result<Option<String>, String> {
        let mut tool = tool();
        tool.stdout = Some(text(stdout));
        Fixture::new(r#"{"name": "o.txt", "file": {"class": "File", "basename": "a.b.c", "path": "/in/a.b.c"}, "none": null}"#)
            .with(|context| streams(&tool, context))
            .map(|streams| streams.stdout)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn names_are_evaluated() {
        for (written, name) in [
            ("out.txt", "out.txt"),
            ("a/b..c.txt", "a/b..c.txt"),
            ("$(inputs.file.nameroot).xtx", "a.b.xtx"),
            ("$(inputs.name)", "o.txt"),
        ] {
            assert_eq!(check(written), Ok(Some(name.to_owned())));
        }
    }

    #[test]
    fn names_that_leave_the_output_directory_are_refused() {
        for (written, reason) in [
            ("/tmp/x", "relative"),
            ("../x", "leave"),
            ("a/../../x", "leave"),
            ("a/..", "leave"),
            ("a/", "directory"),
            (".", "directory"),
            ("", "no name"),
            ("a\0b", "NUL"),
            ("$(inputs.none)", "stdout is null, but must be a string"),
            ("$(inputs.file)", "must be a string"),
        ] {
            let message = check(written).expect_err(written);
            assert!(message.contains(reason), "{written}: {message}");
        }
    }

    #[test]
    fn stdin_may_be_null_or_any_path() {
        for (written, expected) in [
            ("$(inputs.none)", None),
            ("$(inputs.file.path)", Some("/in/a.b.c")),
            ("relative.txt", Some("relative.txt")),
        ] {
            let mut tool = tool();
            tool.stdin = Some(text(written));
            let streams = Fixture::new(r#"{"file": {"class": "File", "path": "/in/a.b.c"}, "none": null}"#)
                .with(|context| streams(&tool, context));
            assert_eq!(streams.map(|s| s.stdin).ok(), Some(expected.map(str::to_owned)));
        }
    }
}
