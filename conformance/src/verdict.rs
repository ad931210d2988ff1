//! Passed, failed or unsupported: cwltest's rules, and those for the fields that our suites add.

use std::path::Path;

use crate::compare::compare;
use crate::json;
use crate::runner::{Answer, Exit};
use crate::suite::Test;

/// The exit code by which a runner says that it does not support a feature.
pub const UNSUPPORTED: i32 = 33;

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected, with the reason.
    Failed(String),
    /// The runner says that it cannot, and need not.
    Unsupported,
    /// Not run, because something that it needs is not there.
    Skipped(String),
}

/// Judges an answer. Relative paths in the output object start at `base`.
pub fn judge(test: &Test, answer: &Answer, base: &Path) -> Verdict {
    match check(test, answer, base) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::Failed(reason),
    }
}

fn check(test: &Test, answer: &Answer, base: &Path) -> Result<Verdict, String> {
    let stderr = String::from_utf8_lossy(&answer.stderr);
    if let Exit::NotStarted(reason) = &answer.exit {
        return Err(reason.clone());
    }
    if answer.exit == Exit::TimedOut {
        return Err("timed out".to_owned());
    }
    if let Some(wanted) = test.exit_code
        && answer.exit != Exit::Code(wanted)
    {
        return Err(format!("expected exit code {wanted}, got {}", words(&answer.exit)));
    }
    if let Some(missing) = test.message.iter().find(|part| !stderr.contains(part.as_str())) {
        return Err(format!("stderr does not contain {missing:?}"));
    }
    if answer.exit != Exit::Code(0) {
        if test.exit_code.is_some() {
            return Ok(Verdict::Passed);
        }
        if answer.exit == Exit::Code(UNSUPPORTED) && !test.required() {
            return Ok(Verdict::Unsupported);
        }
        if test.should_fail {
            return Ok(Verdict::Passed);
        }
        return Err(words(&answer.exit));
    }
    // `--validate` and the like write sentences to stdout.
    if test.exit_code.is_some() && test.output.is_none() {
        return Ok(Verdict::Passed);
    }
    let stdout = std::str::from_utf8(&answer.stdout).map_err(|e| format!("stdout is not UTF-8: {e}"))?;
    let output = if stdout.is_empty() { "{}" } else { stdout };
    let output = json::read(output).map_err(|fault| format!("stdout is not JSON: {fault}"))?;
    if test.should_fail {
        return Err("exit code 0, but it should fail".to_owned());
    }
    match &test.output {
        Some(expected) => compare(expected, &output, base).map_err(|mismatch| mismatch.to_string())?,
        // cwltest compares the output with null.
        None if output.is_null() => {}
        None => return Err("the test expects no output object".to_owned()),
    }
    Ok(Verdict::Passed)
}

fn words(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal => "killed by a signal".to_owned(),
        Exit::TimedOut => "timed out".to_owned(),
        Exit::NotStarted(reason) => reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(exit: Exit, stdout: &str) -> Answer {
        Answer { exit, stdout: stdout.into(), stderr: b"a.cwl:1:2: bad".to_vec(), wall: Duration::ZERO }
    }

    /// A test that expects `{"a": 1}`.
    fn plain(tags: &[&str]) -> Test {
        let output = Some(json::read(r#"{"a": 1}"#).unwrap());
        Test { output, tags: Some(tags.iter().map(|&tag| tag.to_owned()).collect()), ..Test::default() }
    }

    fn check(test: &Test, answer: &Answer, expected: &str) {
        let found = match judge(test, answer, Path::new("/")) {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Unsupported => "unsupported".to_owned(),
            Verdict::Failed(reason) | Verdict::Skipped(reason) => reason,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn success_is_judged_by_stdout() {
        let test = plain(&["workflow"]);
        check(&test, &answer(Exit::Code(0), "{\"a\": 1}\n"), "passed");
        check(&test, &answer(Exit::Code(0), ""), "a: expected the number 1, got nothing");
        check(
            &test,
            &answer(Exit::Code(0), "hi\n{\"a\": 1}"),
            "stdout is not JSON: expected a value at byte 0, found 'h'",
        );
        check(&Test::default(), &answer(Exit::Code(0), "{}"), "the test expects no output object");
    }

    #[test]
    fn unsupported_is_no_excuse_for_required_tests() {
        check(&plain(&["workflow"]), &answer(Exit::Code(33), ""), "unsupported");
        check(&plain(&["workflow", "required"]), &answer(Exit::Code(33), ""), "exit code 33");
        check(&Test { tags: None, ..plain(&[]) }, &answer(Exit::Code(33), ""), "exit code 33");
        check(&plain(&["workflow"]), &answer(Exit::Code(1), ""), "exit code 1");
    }

    #[test]
    fn a_test_that_should_fail_passes_by_any_other_end() {
        let test = |tags| Test { should_fail: true, ..plain(tags) };
        check(&test(&["x"]), &answer(Exit::Code(1), "no json"), "passed");
        check(&test(&["x"]), &answer(Exit::Signal, ""), "passed");
        check(&test(&["x"]), &answer(Exit::Code(33), ""), "unsupported");
        check(&test(&["required"]), &answer(Exit::Code(33), ""), "passed");
        check(&test(&["x"]), &answer(Exit::Code(0), "{}"), "exit code 0, but it should fail");
        check(
            &test(&["x"]),
            &answer(Exit::Code(0), "x"),
            "stdout is not JSON: expected a value at byte 0, found 'x'",
        );
        check(&test(&["x"]), &answer(Exit::TimedOut, ""), "timed out");
    }

    #[test]
    fn our_own_fields_ask_for_an_exit_code_and_a_message() {
        let test =
            |code, part: &str| Test { exit_code: Some(code), message: vec![part.into()], ..plain(&["x"]) };
        check(&test(1, "a.cwl:1:2"), &answer(Exit::Code(1), ""), "passed");
        check(&test(33, "bad"), &answer(Exit::Code(33), ""), "passed");
        check(&test(2, "bad"), &answer(Exit::Code(1), ""), "expected exit code 2, got exit code 1");
        check(&test(1, "good"), &answer(Exit::Code(1), ""), r#"stderr does not contain "good""#);
        let validate = Test { output: None, ..test(0, "bad") };
        check(&validate, &answer(Exit::Code(0), "a.cwl is valid"), "passed");
        check(&test(1, "bad"), &answer(Exit::Signal, ""), "expected exit code 1, got killed by a signal");
    }
}
