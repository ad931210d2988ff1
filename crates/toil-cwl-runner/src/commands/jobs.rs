//! `moil why` and `moil debug-job`: one job of a run.

use moil_job::failure::{Failure, FailureKind};
use serde_json::json;

use super::words::{self, Shape};
use super::{finish, status, store};
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

const DEBUG: Shape = Shape {
    help: "Shows all that is recorded of a job.

Usage: moil debug-job STORE JOB --printJobInfo

JOB is a job's name or position: align_3, align[2].

Options:
      --printJobInfo                Print it as JSON.
      --retrieveTaskDirectory DIR   Bring its inputs and command to a directory. [not supported yet]
  -h, --help                        Print this help and exit.
",
    words: &["the job store", "the job"],
    flags: &[&["--printJobInfo"]],
    values: &[&["--retrieveTaskDirectory"]],
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

/// `moil debug-job`.
pub(super) fn debug(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &DEBUG) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    if !asked.has("--printJobInfo") {
        let failure = Failure::new(FailureKind::Unsupported, "running a job by hand is not supported yet");
        let failure = failure.with_advice("--printJobInfo shows what is recorded of it");
        return finish(&asked.log, "debug-job", Err(failure));
    }
    let text = store::look(&asked.settings).and_then(|seen| {
        let word = asked.words.first().map_or("", String::as_str);
        let (id, job) = seen.job(word)?;
        let mut info = status::job_json(&seen, id, job);
        let attempts = job.attempts.iter().map(|attempt| {
            json!({
                "attempt": attempt.number,
                "recorded": attempt.recorded,
                "submitted": attempt.submitted,
                "key": attempt.key.as_ref().and_then(|key| key.as_ref().ok()),
                "no_key": attempt.key.as_ref().and_then(|key| Some(key.as_ref().err()?.to_string())),
                "again": attempt.again,
            })
        });
        info["attempts"] = attempts.collect();
        info["why_it_ran"] = json!(seen.recorded.why(id, job));
        Ok(format!("{info:#}\n"))
    });
    match text {
        Ok(text) => print(invocation.stdout, &text, &asked.log),
        Err(failure) => finish(&asked.log, "debug-job", Err(failure)),
    }
}
