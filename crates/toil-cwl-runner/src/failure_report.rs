//! A failed job in about ten lines: what failed, which command, which code,
//! its last words, where the log is, and what to try.

use moil_job::failure::{Failure, FailureKind};

/// The longest command that is shown whole; the log has all of it.
const COMMAND: usize = 400;

/// The longest words of somebody else that are shown whole: scripts may throw megabytes.
const CAUSE: usize = 2000;

/// The longest message; one that names many missing files is long with reason.
const MESSAGE: usize = 20_000;

/// The lines for people. `what` is the job or step: `job align_3`.
pub fn lines(what: &str, failure: &Failure) -> Vec<String> {
    let mut lines = vec![format!("{what} failed: {}", shorten(&failure.message, MESSAGE))];
    let mut fact = |name: &str, text: &str| lines.push(format!("  {name:<8} {text}"));
    if let Some(place) = &failure.place {
        fact("at", place);
    }
    if let Some(cause) = &failure.cause {
        fact("because", &shorten(cause, CAUSE));
    }
    if let Some(command) = &failure.command {
        fact("command", &shorten(command, COMMAND));
    }
    if let FailureKind::ToolFailed { exit_code, .. } = failure.kind {
        fact("exit", &exit_words(exit_code));
    }
    if !failure.last_lines.is_empty() {
        fact("output", "its last lines:");
    }
    for line in &failure.last_lines {
        lines.push(format!("    | {line}"));
    }
    if let Some(log) = &failure.log {
        lines.push(format!("  {:<8} {log}", "log"));
    }
    if let Some(advice) = &failure.advice {
        lines.push(format!("  {:<8} {advice}", "try"));
    }
    lines
}

fn exit_words(code: i32) -> String {
    match code {
        129..=192 => format!("{code} (signal {})", code - 128),
        _ => code.to_string(),
    }
}

fn shorten(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let head: String = text.chars().take(longest).collect();
    format!("{head}… ({length} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_tool_is_told_in_a_few_lines() {
        let failure = Failure {
            command: Some("bwa mem ref.fa reads.fq".into()),
            last_lines: vec!["[E::bwa_idx_load] fail to locate the index files".into()],
            log: Some("/tmp/run/align/stderr.log".into()),
            advice: Some("index the reference first".into()),
            ..Failure::new(
                FailureKind::ToolFailed { exit_code: 1, temporary: false },
                "the tool ended with exit code 1",
            )
        };
        assert_eq!(
            lines("job align", &failure),
            [
                "job align failed: the tool ended with exit code 1",
                "  command  bwa mem ref.fa reads.fq",
                "  exit     1",
                "  output   its last lines:",
                "    | [E::bwa_idx_load] fail to locate the index files",
                "  log      /tmp/run/align/stderr.log",
                "  try      index the reference first",
            ]
        );
    }
}
