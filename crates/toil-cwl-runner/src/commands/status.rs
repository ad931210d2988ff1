//! `moil status`: how it stands with a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use moil_engine::fold::recorded::{AttemptEnd, JobState, Recorded, RecordedJob, StepCounts};
use moil_job::failure::{Failure, FailureKind};
use moil_job::spec::JobId;
use serde_json::{Value as Json, json};

use super::store::{self, Seen, State};
use super::words::{self, Asked, Shape};
use super::{finish, tell};
use crate::exit_code::ExitCode;
use crate::failure_report;
use crate::images::span;
use crate::invocation::Invocation;
use crate::log::timestamp_of;
use crate::run::print;

/// How many pods are listed.
const MOST_PLACES: usize = 20;

const SHAPE: Shape = Shape {
    help: "Shows how it stands with a run: its state, its steps, and what failed.

Usage: moil status STORE [OPTIONS]

Options:
      --json               Print JSON.
      --perJob             List all jobs: state, attempt, since when, why.
      --jobs JOB...        List these jobs, by name or position (align_3, align[2]).
      --failed             List the jobs that failed.
      --status             List the jobs that run or wait.
      --logs               Print the logs of the jobs that are listed, or that failed.
      --noAggStats         Leave the table of steps out.
      --failIfNotComplete  Exit with code 1 unless the run has succeeded.
  -h, --help               Print this help and exit.
",
    words: &["the job store"],
    flags: &[
        &["--json"],
        &["--perJob", "--printPerJobStats"],
        &["--failed", "--printFailed"],
        &["--status", "--printStatus"],
        &["--logs", "--printLogs"],
        &["--noAggStats"],
        &["--failIfNotComplete"],
        &["--children", "--printChildren"],
        &["--dot", "--printDot"],
    ],
    values: &[],
    lists: &[&["--jobs"]],
};

/// `moil status`.
pub(super) fn run(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &SHAPE) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    for option in ["--children", "--dot"] {
        if asked.has(option) {
            let log = &asked.log;
            log.warning(format_args!("{option} has no effect: moil run --print-dot shows the workflow"));
        }
    }
    let seen = match store::look(&asked.settings) {
        Ok(seen) => seen,
        Err(failure) => {
            tell(&asked.log, "status", &failure);
            return ExitCode::FAILURE;
        }
    };
    let text = listed(&asked, &seen).map(|jobs| match asked.has("--json") {
        true => format!("{:#}\n", as_json(&asked, &seen, &jobs)),
        false => as_text(&asked, &seen, &jobs),
    });
    let code = match text {
        Ok(text) => print(invocation.stdout, &text, &asked.log),
        Err(failure) => return finish(&asked.log, "status", Err(failure)),
    };
    let is_complete = seen.state == State::Finished;
    if asked.has("--failIfNotComplete") && !is_complete { ExitCode::FAILURE } else { code }
}

type Listed<'a> = Vec<(&'a JobId, &'a RecordedJob)>;

/// The jobs that are asked for.
fn listed<'a>(asked: &Asked, seen: &'a Seen) -> Result<Listed<'a>, Failure> {
    let words = asked.values("--jobs");
    if !words.is_empty() {
        let mut jobs = Vec::new();
        for word in words {
            match seen.recorded.find(word) {
                found if found.is_empty() => jobs.push(seen.job(word)?),
                found => jobs.extend(found),
            }
        }
        return Ok(jobs);
    }
    let wanted = |state: JobState| match state {
        _ if asked.has("--perJob") => true,
        JobState::Failed => asked.has("--failed"),
        JobState::Running | JobState::Waiting => asked.has("--status"),
        _ => false,
    };
    let jobs = seen.recorded.jobs.iter();
    Ok(jobs.filter(|(_, job)| wanted(seen.recorded.state(job, seen.is_alive()))).collect())
}

/// Since when a job is in its state, in milliseconds since 1970, and what there is to say of it.
fn facts(recorded: &Recorded, job: &RecordedJob, state: JobState) -> (Option<u64>, Option<String>) {
    let last = job.attempts.last();
    match (state, last.map(|last| &last.end)) {
        (JobState::Reused, _) => {
            let reused = job.reused.as_ref();
            (reused.map(|reused| reused.at), reused.map(|reused| format!("the result of {}", reused.from)))
        }
        (JobState::Waiting, Some(Some((AttemptEnd::Failed(failure, retry), at)))) => {
            let wait = retry.map(|retry| format!("; next try {retry:.0} s later")).unwrap_or_default();
            (Some(*at), Some(format!("{}{wait}", failure.message)))
        }
        (JobState::Waiting, _) => {
            let reason = "waits for cores, memory or disk that other jobs have";
            (last.map(|last| last.recorded), Some(reason.to_owned()))
        }
        (JobState::Running, _) => {
            let place = last.and_then(|last| last.place.as_ref());
            (last.and_then(|last| last.submitted), place.map(|place| format!("in {place}")))
        }
        (JobState::Lost, _) => {
            let leader = recorded.leaders.last().map_or("", |leader| &leader.name);
            (last.map(|last| last.recorded), Some(format!("its leader ended ({leader})")))
        }
        (_, Some(Some((AttemptEnd::Failed(failure, _), at)))) => (Some(*at), Some(failure.message.clone())),
        (_, Some(Some((AttemptEnd::Done(_), at)))) => (Some(*at), None),
        _ => (None, None),
    }
}

fn failure_of(job: &RecordedJob) -> Option<&Failure> {
    match &job.attempts.last()?.end {
        Some((AttemptEnd::Failed(failure, _), _)) => Some(failure),
        _ => None,
    }
}

fn log_of(job: &RecordedJob) -> Option<&str> {
    failure_of(job)?.log.as_deref()
}

/// What failed for good, with its name.
fn failures(seen: &Seen) -> Vec<(String, &Failure)> {
    let recorded = &seen.recorded;
    let jobs =
        recorded.jobs.iter().filter(|(_, job)| recorded.state(job, seen.is_alive()) == JobState::Failed);
    let jobs = jobs.filter_map(|(id, job)| Some((format!("job {id}"), failure_of(job)?)));
    jobs.chain(recorded.failures.iter().map(|(what, failure)| (what.clone(), failure))).collect()
}

/// The places where jobs are at work, and these by their names.
fn places(seen: &Seen) -> BTreeMap<&str, Vec<&str>> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for job in seen.recorded.jobs.values() {
        if seen.recorded.state(job, seen.is_alive()) == JobState::Running
            && let Some(place) = job.attempts.last().and_then(|last| last.place.as_deref())
        {
            places.entry(place).or_default().push(&job.called.name);
        }
    }
    places
}

fn age(milliseconds: u64) -> String {
    span(Duration::from_secs(store::now().saturating_sub(milliseconds / 1000)))
}

fn state_words(seen: &Seen) -> String {
    let mut words = seen.state.word().to_owned();
    let leader = seen.recorded.leaders.last();
    match (&seen.beat, leader, seen.recorded.end) {
        (Some(beat), Some(leader), _) => {
            let sign = age(beat.at * 1000);
            let (name, since) = (&leader.name, timestamp_of(leader.at));
            _ = write!(words, " under {name} since {since}; last sign of life {sign} ago");
        }
        (None, Some(_), Some((_, at))) => _ = write!(words, " at {} ({} ago)", timestamp_of(at), age(at)),
        (None, Some(leader), None) if seen.state == State::Interrupted => {
            let last = timestamp_of(seen.recorded.last);
            _ = write!(words, ": {} is gone, its last record is of {last}", leader.name);
        }
        _ => {}
    }
    words
}

fn as_text(asked: &Asked, seen: &Seen, jobs: &Listed<'_>) -> String {
    let mut text = format!("job store  {}\nstate      {}\n", store::name(&asked.settings), state_words(seen));
    if seen.state == State::Failed || seen.state == State::Interrupted {
        text.push_str("           the same command with --restart goes on from here\n");
    }
    let recorded = &seen.recorded;
    if !asked.has("--noAggStats") && !recorded.jobs.is_empty() {
        let steps = recorded.steps(seen.is_alive());
        let width = steps.keys().map(|step| step.chars().count()).max().unwrap_or(0).max(4);
        _ = writeln!(
            text,
            "\n{:width$} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "step", "waiting", "running", "done", "reused", "failed", "cut off"
        );
        for (step, counts) in &steps {
            let StepCounts { waiting, running, done, reused, failed, cut_off } = counts;
            _ = writeln!(
                text,
                "{step:width$} {waiting:>8} {running:>8} {done:>8} {reused:>8} {failed:>8} {cut_off:>8}"
            );
        }
    }
    let places = places(seen);
    if !asked.has("--noAggStats") && !places.is_empty() {
        _ = writeln!(text, "\npods with jobs at work: {}", places.len());
        for (place, jobs) in places.iter().take(MOST_PLACES) {
            _ = writeln!(text, "  {place}: {}", jobs.join(", "));
        }
        if places.len() > MOST_PLACES {
            _ = writeln!(text, "  …");
        }
    }
    if !jobs.is_empty() {
        text.push('\n');
    }
    for (id, job) in jobs {
        let state = recorded.state(job, seen.is_alive());
        let (since, why) = facts(recorded, job, state);
        let attempt =
            job.attempts.last().map(|last| format!(", attempt {}", last.number)).unwrap_or_default();
        let since = since.map(|at| format!(" since {} ({})", timestamp_of(at), age(at))).unwrap_or_default();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        _ = writeln!(text, "{id} ({}){attempt}: {}{since}{why}", job.called.name, state.word());
        if let Some(log) = log_of(job) {
            _ = writeln!(text, "  log {log}");
        }
    }
    let failures = failures(seen);
    if !failures.is_empty() {
        text.push('\n');
    }
    for (what, failure) in &failures {
        failure_report::lines(what, failure).iter().for_each(|line| _ = writeln!(text, "{line}"));
    }
    if asked.has("--logs") {
        let listed = jobs.iter().filter_map(|(id, job)| Some((id.to_string(), log_of(job)?)));
        let failed =
            failures.iter().filter_map(|(what, failure)| Some((what.clone(), failure.log.as_deref()?)));
        let logs: Vec<(String, &str)> = if jobs.is_empty() { failed.collect() } else { listed.collect() };
        for (what, log) in logs {
            let content = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let content = content.unwrap_or_else(|error| format!("it cannot be read: {error}\n"));
            _ = writeln!(text, "\nlog of {what} ({log}):\n{content}");
        }
    }
    text
}

fn as_json(asked: &Asked, seen: &Seen, jobs: &Listed<'_>) -> Json {
    let recorded = &seen.recorded;
    let steps: Vec<Json> = recorded
        .steps(seen.is_alive())
        .iter()
        .map(|(step, counts)| {
            json!({
                "step": &**step,
                "waiting": counts.waiting,
                "running": counts.running,
                "done": counts.done,
                "reused": counts.reused,
                "failed": counts.failed,
                "cut_off": counts.cut_off,
            })
        })
        .collect();
    let failures: Vec<Json> = failures(seen)
        .into_iter()
        .map(|(what, failure)| json!({ "what": what, "failure": failure }))
        .collect();
    let jobs: Vec<Json> = jobs.iter().map(|(id, job)| job_json(seen, id, job)).collect();
    json!({
        "version": 1,
        "store": store::name(&asked.settings),
        "state": seen.state.word(),
        "leader": recorded.leaders.last().map(|leader| &leader.name),
        "since": recorded.leaders.last().map(|leader| leader.at),
        "last_sign_of_life": seen.beat.as_ref().map(|beat| beat.at * 1000),
        "ended": recorded.end.map(|(_, at)| at),
        "steps": steps,
        "jobs": jobs,
        "failures": failures,
    })
}

/// All that is known of a job.
pub(super) fn job_json(seen: &Seen, id: &JobId, job: &RecordedJob) -> Json {
    let state = seen.recorded.state(job, seen.is_alive());
    let (since, why) = facts(&seen.recorded, job, state);
    let granted = job.attempts.last().map(|last| last.granted);
    json!({
        "job": &*id.0,
        "name": &*job.called.name,
        "step": &*job.called.step,
        "state": state.word(),
        "attempt": job.attempts.last().map(|last| last.number),
        "place": job.attempts.last().and_then(|last| last.place.as_deref()),
        "since": since,
        "why": why,
        "failure": failure_of(job),
        "log": log_of(job),
        "cores": granted.map(|granted| granted.cores),
        "ram_mib": granted.map(|granted| granted.ram_mib),
        "disk_mib": granted.map(|granted| granted.disk_mib()),
        "is_cancelled": failure_of(job).is_some_and(|failure| failure.kind == FailureKind::Cancelled),
    })
}
