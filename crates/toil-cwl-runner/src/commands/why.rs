//! `moil why`: why a job ran, or did not.

use serde_json::json;

use super::words::{self, Shape};
use super::{finish, store};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::run::print;

const WHY: Shape = Shape {
    help:
        "Shows why a job ran, ran again, or did not run: which part of its key differs from the recorded one,
which file was gone, or why it has no key.

Usage: moil why STORE JOB [--json]

JOB is a job's name or position: align_3, align[2].

Options:
      --json  Print JSON.
  -h, --help  Print this help and exit.
",
    words: &["the job store", "the job"],
    flags: &[&["--json"]],
    values: &[],
    lists: &[],
};

/// `moil why`.
pub(super) fn why(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &WHY) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let text = store::look(&asked.settings).and_then(|seen| {
        let word = asked.words.first().map_or("", String::as_str);
        let (id, job) = seen.job(word)?;
        let reasons = seen.recorded.why(id, job);
        if asked.has("--json") {
            let (name, step) = (&*job.called.name, &*job.called.step);
            let answer = json!({ "job": &*id.0, "name": name, "step": step, "why": reasons });
            return Ok(format!("{answer:#}\n"));
        }
        let lines: Vec<String> = reasons.iter().map(|reason| format!("  {reason}\n")).collect();
        Ok(format!("{id} ({})\n{}", job.called.name, lines.concat()))
    });
    match text {
        Ok(text) => print(invocation.stdout, &text, &asked.log),
        Err(failure) => finish(&asked.log, "why", Err(failure)),
    }
}
