//! Progress: a few lines on a terminal that are drawn again and again; plain lines elsewhere.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use moil_cwl::expression::ConsoleText;
use moil_engine::fold::status::{Counts, RunStatus};
use moil_job::event::{Event, Retry, Status};
use moil_job::failure::FailureKind;

use crate::log::Level;

/// How often the lines are drawn at most.
const INTERVAL: Duration = Duration::from_millis(100);

/// Steps shown at once: the ones that are at work come first.
const ROWS: usize = 8;

/// The plain line of an event, in the words that cwltool uses; `None` for those that have none.
pub fn plain_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::WorkflowStarted { name } => format!("[workflow {name}] start"),
        Event::WorkflowFinished { name, success } => {
            let status = if *success { Status::Success } else { Status::Failed };
            format!("[workflow {name}] {}", status.words())
        }
        Event::StepStarted { step, elements: 0 | 1 } => format!("[step {step}] start"),
        Event::StepStarted { step, elements } => format!("[step {step}] start ({elements} jobs)"),
        Event::StepFinished { step, status } => format!("[step {step}] {}", status.words()),
        Event::JobFinished { name, status, .. } => format!("[job {name}] {}", status.words()),
        Event::JobFailed { name, retry: Some(retry), failure, .. } => {
            format!("[job {name}] failed: {}; {}", failure.message, next_attempt(&failure.kind, retry))
        }
        Event::JobFailed { name, retry: None, failure, .. } => {
            let cancelled = failure.kind == FailureKind::Cancelled;
            let status = if cancelled { Status::Cancelled } else { Status::Failed };
            format!("[job {name}] {}", status.words())
        }
        Event::ToolOutput { name, line } => format!("[{name}] {line}"),
        Event::Note { name, text } => format!("[job {name}] {text}"),
        Event::JobStarted { .. } | Event::JobPlaced { .. } | Event::Console(_) | Event::Warning(_) => {
            return None;
        }
    })
}

/// `attempt 2 of 3 with 8.0 GiB in 5 s`.
fn next_attempt(kind: &FailureKind, retry: &Retry) -> String {
    let mut words = match retry.number {
        Some((number, all)) => format!("attempt {number} of {all}"),
        None => "next attempt".to_owned(),
    };
    let size = |mib: u64| match mib {
        0..1000 => format!("{mib} MiB"),
        _ => format!("{:.1} GiB", mib as f64 / 1024.0),
    };
    match (retry.more, kind) {
        (Some(more), FailureKind::OutOfDisk) => words += &format!(" with {} of disk", size(more.disk_mib())),
        (Some(more), _) => words += &format!(" with {}", size(more.ram_mib)),
        (None, _) => {}
    }
    let _ = write!(words, " in {:.0} s", retry.wait);
    words
}

/// What an event says in words of its own, beside any display of the progress.
pub fn said(event: &Event) -> Vec<(Level, String)> {
    match event {
        Event::Warning(text) => vec![(Level::Warning, text.clone())],
        Event::Console(ConsoleText { place, is_error, text }) => {
            let level = if *is_error { Level::Warning } else { Level::Info };
            text.split('\n').map(|line| (level, format!("[console {place}] {line}"))).collect()
        }
        _ => Vec::new(),
    }
}

/// Draws the state of the run on a terminal.
pub struct Display {
    status: RunStatus,
    /// Lines on the screen that are ours.
    drawn: usize,
    last: Option<Instant>,
    start: Instant,
}

impl Default for Display {
    /// Nothing drawn yet.
    fn default() -> Self {
        Self { status: RunStatus::default(), drawn: 0, last: None, start: Instant::now() }
    }
}

impl Display {
    /// Takes an event in, and draws if the last time is long enough ago.
    ///
    /// # Errors
    /// The terminal's.
    pub fn take(&mut self, event: &Event, terminal: &mut dyn Write) -> io::Result<()> {
        self.status.take(event);
        if self.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        self.clear(terminal)?;
        let lines = rows(&self.status, self.start.elapsed());
        self.drawn = lines.len();
        // A narrow terminal cuts lines instead of wrapping them: what is drawn is as many lines as are counted.
        write!(terminal, "\x1b[?7l")?;
        for line in lines {
            writeln!(terminal, "{line}")?;
        }
        write!(terminal, "\x1b[?7h")?;
        terminal.flush()
    }

    /// Takes the lines off the screen, so that something else can be printed.
    ///
    /// # Errors
    /// The terminal's.
    pub fn clear(&mut self, terminal: &mut dyn Write) -> io::Result<()> {
        if self.drawn > 0 {
            // Up to the first of our lines, then erase to the end of the screen.
            write!(terminal, "\x1b[{}A\x1b[J", self.drawn)?;
            self.drawn = 0;
        }
        Ok(())
    }
}

/// What is shown: a summary, then the steps that are at work.
fn rows(status: &RunStatus, elapsed: Duration) -> Vec<String> {
    let total = status.total();
    let seconds = elapsed.as_secs();
    let places = match status.places() {
        0 => String::new(),
        1 => " in 1 pod".to_owned(),
        places => format!(" in {places} pods"),
    };
    let mut lines = vec![format!(
        "{:02}:{:02}:{:02}  {}{places}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        words(&total)
    )];
    let at_work = status
        .steps
        .iter()
        .filter(|(_, counts)| counts.running > 0 || counts.waiting() > 0 || counts.failed > 0);
    let shown: Vec<_> = at_work.collect();
    for (step, counts) in shown.iter().take(ROWS) {
        let name: String = step.chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
        lines.push(format!("  {name:<40} {}", words(counts)));
    }
    if shown.len() > ROWS {
        lines.push(format!("  … and {} more steps", shown.len() - ROWS));
    }
    lines
}

fn words(counts: &Counts) -> String {
    let mut words = format!("{}/{} done", counts.done, counts.total);
    let parts = [(counts.running, "running"), (counts.waiting(), "waiting"), (counts.failed, "failed")];
    for (number, what) in parts.into_iter().filter(|(number, _)| *number > 0) {
        let _ = write!(words, ", {number} {what}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_at_work_are_shown_with_their_counts() {
        let mut status = RunStatus::default();
        status.take(&Event::StepStarted { step: "align".into(), elements: 3 });
        status.take(&Event::StepStarted { step: "over".into(), elements: 1 });
        status.take(&Event::StepFinished { step: "over".into(), status: Status::Success });
        let lines = rows(&status, Duration::from_secs(3661));
        assert_eq!(lines[0], "01:01:01  1/4 done, 3 waiting");
        assert_eq!(lines[1].trim(), format!("{:<40} 0/3 done, 3 waiting", "align"));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn what_was_drawn_is_taken_off_again() {
        let mut screen = Vec::new();
        let mut display = Display::default();
        display.take(&Event::StepStarted { step: "a".into(), elements: 1 }, &mut screen).expect("memory");
        screen.clear();
        display.clear(&mut screen).expect("memory");
        assert_eq!(screen, b"\x1b[2A\x1b[J");
    }

    #[test]
    fn a_failure_says_what_comes_next() {
        use moil_job::failure::Failure;
        use moil_job::resources::Resources;
        use moil_job::spec::{AttemptId, JobId};

        let said = |kind: FailureKind, message: &str, retry: Retry| {
            let attempt = AttemptId { job: JobId("call[3]".into()), number: 1 };
            let (failure, retry) = (Failure::new(kind, message).into(), Some(retry));
            let failed =
                Event::JobFailed { attempt, name: "call_4".into(), step: "call".into(), failure, retry };
            plain_line(&failed).expect("a line")
        };
        let more = Resources { cores: 1.0, ram_mib: 8192, tmpdir_mib: 1024, outdir_mib: 1024, gpus: 0 };
        assert_eq!(
            said(
                FailureKind::OutOfMemory,
                "out of memory at 4.0 GiB on node-7",
                Retry { wait: 5.0, number: Some((2, 3)), more: Some(more) }
            ),
            "[job call_4] failed: out of memory at 4.0 GiB on node-7; attempt 2 of 3 with 8.0 GiB in 5 s"
        );
        assert_eq!(
            said(
                FailureKind::OutOfDisk,
                "no space",
                Retry { wait: 0.0, number: Some((2, 2)), more: Some(more) }
            ),
            "[job call_4] failed: no space; attempt 2 of 2 with 2.0 GiB of disk in 0 s"
        );
        assert_eq!(
            said(FailureKind::Lost, "gone", Retry { wait: 0.0, number: None, more: None }),
            "[job call_4] failed: gone; next attempt in 0 s"
        );
    }

    #[test]
    fn lines_are_those_of_cwltool() {
        let start = Event::StepStarted { step: "align".into(), elements: 1 };
        assert_eq!(plain_line(&start).as_deref(), Some("[step align] start"));
    }
}
