//! Runs all tests of a suite, several at a time.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::runner::{Request, Runner};
use crate::suite::{Suite, Test};
use crate::verdict::{Verdict, judge};

/// How a suite is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Options that the runner gets in every test, such as `--no-container`.
    pub args: Vec<String>,
    /// How many tests run at the same time.
    pub parallel: usize,
    /// When a test has failed for taking too long.
    pub timeout: Duration,
    /// Names of what has to be there: a test that needs it and does not find it fails, instead of being skipped.
    pub require: BTreeSet<String>,
}

/// What became of one test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which test.
    pub id: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Wall time.
    pub wall: Duration,
    /// What the runner wrote to stderr.
    pub stderr: String,
}

/// Runs the tests that `wanted` picks and gives their outcomes in the order of the suite.
/// `done` is called after each of them, from any thread.
pub fn run(
    suite: &Suite,
    runner: &dyn Runner,
    settings: &Settings,
    wanted: &dyn Fn(&Test) -> bool,
    done: &(dyn Fn(&Test, &Outcome) + Sync),
) -> Vec<Outcome> {
    let tests: Vec<&Test> = suite.tests.iter().filter(|test| wanted(test)).collect();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..settings.parallel.clamp(1, tests.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(test) = tests.get(index) else { break };
                    let outcome = one(suite, test, runner, settings);
                    done(test, &outcome);
                    outcomes.lock().unwrap_or_else(|lock| lock.into_inner()).push((index, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(|lock| lock.into_inner());
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn one(suite: &Suite, test: &Test, runner: &dyn Runner, settings: &Settings) -> Outcome {
    let started = Instant::now();
    let (verdict, stderr) = match attempt(suite, test, runner, settings) {
        Ok(pair) => pair,
        Err(error) => (Verdict::Failed(format!("the driver failed: {error}")), String::new()),
    };
    Outcome { id: test.id.clone(), verdict, wall: started.elapsed(), stderr }
}

fn attempt(
    suite: &Suite,
    test: &Test,
    runner: &dyn Runner,
    settings: &Settings,
) -> io::Result<(Verdict, String)> {
    if let Some(missing) = test.needs.iter().find(|program| !on_search_path(program)) {
        let reason = format!("{missing} is not installed");
        let required = settings.require.contains(missing);
        let verdict = if required { Verdict::Failed(reason) } else { Verdict::Skipped(reason) };
        return Ok((verdict, String::new()));
    }
    let (scratch, outdir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    if let Some(script) = &test.setup {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]).current_dir(scratch.path()).stdin(Stdio::null());
        let output = shell.output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Ok((Verdict::Failed(format!("setup failed: {words}")), String::new()));
        }
    }
    let place = |name: &str| match name.strip_prefix("scratch:") {
        Some(name) => scratch.path().join(name).to_string_lossy().into_owned(),
        None => name.replace("{scratch}", &scratch.path().file_name().unwrap_or_default().to_string_lossy()),
    };
    let mut args: Vec<String> = settings.args.iter().map(|arg| place(arg)).collect();
    args.extend(test.args.iter().map(|arg| place(arg)));
    args.push(format!("--outdir={}", outdir.path().display()));
    args.push("--quiet".to_owned());
    args.push(place(&test.tool));
    args.extend(test.job.as_deref().map(place));
    let timeout = test.timeout.map_or(settings.timeout, Duration::from_secs);
    let answer = runner.run(&Request { args, cwd: suite.root.clone(), timeout });

    let mut verdict = judge(test, &answer, &suite.root);
    if let Some(piece) = &test.no_process
        && process_stays(piece)?
    {
        verdict = Verdict::Failed(format!("a process {piece:?} was left behind"));
    }
    make_removable(outdir.path())?;
    Ok((verdict, String::from_utf8_lossy(&answer.stderr).into_owned()))
}

fn on_search_path(program: &str) -> bool {
    let script = format!("command -v {program}");
    let shell = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    shell.is_ok_and(|status| status.success())
}

/// Whether a process with this in its command line is still there after a moment of grace.
fn process_stays(piece: &str) -> io::Result<bool> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut found = false;
        for entry in fs::read_dir("/proc")? {
            // Processes come and go while we look.
            let line = entry.and_then(|entry| fs::read(entry.path().join("cmdline"))).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found |= line.contains(piece);
        }
        if !found || Instant::now() >= deadline {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Gives back the right to write, without which the output directory could not be removed.
fn make_removable(path: &Path) -> io::Result<()> {
    let status = Command::new("chmod").args(["-R", "u+rwX"]).arg(path).stderr(Stdio::null()).status()?;
    let _ = status.success();
    Ok(())
}
