//! The local executor: cancelling, shutting down, many jobs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moil_cwl::types::Type;
use moil_cwl::value::{File, Value};
use moil_job::executor::{Executor as _, Report};
use moil_job::failure::FailureKind;
use moil_job::result::Outcome;
use moil_worker::cancel::Cancel;
use moil_worker::downloads::Download;

use crate::fixture::*;

fn cancelled(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Cancelled)
}

#[test]
fn a_job_that_runs_is_cancelled_with_its_descendants() {
    let mut bench = Bench::with(|config| config.grace = Duration::from_millis(100));
    let id =
        bench.submit(script("setsid sh -c 'trap \"\" TERM; echo $$ > pid; sleep 1000' & wait; sleep 1000"));
    bench.wait_for(1, "pid");
    let pid_file = bench.attempts()[0].join("out/pid");
    let pid = loop {
        match std::fs::read_to_string(&pid_file) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    bench.executor.cancel(std::slice::from_ref(&id));
    let (finished, outcome) = bench.finished();
    assert!(finished == id && cancelled(&outcome), "{outcome:?}");
    assert!(!Path::new("/proc").join(pid.trim()).exists());
    // Cancelling what is over is no error, and is not reported.
    bench.executor.cancel(&[id]);
    bench.succeed(command(&["true"]));
}

#[test]
fn a_job_is_cancelled_while_it_is_staged() {
    struct Slow;
    impl Download for Slow {
        fn download(&self, _location: &str, _to: &Path, cancel: &Cancel) -> Result<(), String> {
            while !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err("stopped".to_owned())
        }
    }
    let mut bench = Bench::with(|config| config.download = Some(Arc::new(Slow)));
    let remote = Value::File(Arc::new(File {
        location: Some("https://example.org/x".into()),
        basename: Some("x".into()),
        ..File::default()
    }));
    let id = bench.submit(command(&["true"]).input("f", Type::File, remote));
    std::thread::sleep(Duration::from_millis(50));
    bench.executor.cancel(&[id]);
    let (_, outcome) = bench.finished();
    assert!(cancelled(&outcome), "{outcome:?}");
}

#[test]
fn submitting_again_attaches() {
    let mut bench = Bench::new();
    let attempt = script("sleep 0.3; echo x >> ../../../ran").attempt();
    bench.executor.submit(vec![attempt.clone()]);
    bench.executor.submit(vec![attempt.clone(), attempt]);
    assert!(matches!(bench.finished().1, Outcome::Done(_)));
    assert!(bench.reports.recv_timeout(Duration::from_millis(100)).is_err());
    assert_eq!(std::fs::read_to_string(bench.path("ran")).unwrap(), "x\n");
}

#[test]
fn nothing_is_queued() {
    let mut bench = Bench::new();
    let count = 40;
    // Each waits until all have started.
    let script_text = format!(
        "touch ../../../$(basename $(dirname $PWD)).up; while [ $(ls ../../../ | grep -c up$) -lt {count} ]; do sleep 0.02; done"
    );
    let attempts = (0..count).map(|_| script(&script_text).attempt()).collect();
    bench.executor.submit(attempts);
    for _ in 0..count {
        let (_, outcome) = bench.finished();
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
}

#[test]
fn many_quick_jobs_each_end_once() {
    let mut bench = Bench::new();
    let count = 500;
    let mut waiting = HashSet::new();
    let mut submitted = 0;
    while submitted < count || !waiting.is_empty() {
        while submitted < count && waiting.len() < 4 {
            let plan = script("mkdir d && cd d && echo x > o.txt").output("d", Type::Directory, "d");
            waiting.insert(bench.submit(plan));
            submitted += 1;
        }
        let (id, outcome) = bench.finished();
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        assert!(waiting.remove(&id));
    }
}

#[test]
fn shutting_down_ends_everything_at_once_and_reports_it() {
    let mut bench = Bench::with(|config| config.grace = Duration::from_secs(1000));
    for _ in 0..5 {
        bench.submit(script("trap '' TERM; touch up; sleep 1000; sleep 1000"));
    }
    bench.wait_for(5, "up");
    let start = Instant::now();
    bench.executor.shut_down();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    for _ in 0..5 {
        assert!(cancelled(&bench.finished().1));
    }
    // Late submissions are answered too.
    bench.submit(command(&["true"]));
    assert!(cancelled(&bench.finished().1));
}

#[test]
fn live_output_is_told_line_by_line() {
    let mut bench = Bench::with(|config| config.live_output = true);
    let id = bench.submit(script("echo one; sleep 0.5; echo two >&2; printf three"));
    let mut lines = Vec::new();
    let mut first_before_end = false;
    loop {
        match bench.reports.recv_timeout(Duration::from_secs(60)).unwrap() {
            Report::Output(from, line) => {
                assert_eq!(from, id);
                first_before_end |= lines.is_empty();
                lines.push(line);
            }
            Report::Note(..) | Report::Placed(..) | Report::ToolEnded(_) => {}
            Report::Finished(..) => break,
        }
    }
    lines.sort();
    assert_eq!(lines, ["one", "three", "two"]);
    assert!(first_before_end);
}
