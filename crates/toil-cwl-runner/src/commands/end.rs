//! `moil kill` and `moil clean`: ending a run, removing its job store.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_jobstore::heartbeat;
use moil_jobstore::ledger::Ledger;
use moil_jobstore::names;
use moil_jobstore::records::Records;
use moil_jobstore::who::Who;
use moil_kubernetes::cluster::removal::{Removed, Whose};

use super::store::{self, Found};
use super::words::{self, Shape};
use super::{finish, tell};
use crate::elsewhere;
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::log::Log;
use crate::settings::Settings;
use crate::worker_form::{InCluster, WorkerForm};

const KILL: Shape = Shape {
    help:
        "Ends a run, and waits until its leader has ended. The job store stays, and --restart goes on with it.

Usage: moil kill STORE [--force]

Options:
      --force  End the leader at once (SIGKILL), if it runs on this machine.
  -h, --help   Print this help and exit.
",
    words: &["the job store"],
    flags: &[&["--force"]],
    values: &[],
    lists: &[],
};

const CLEAN: Shape =
    Shape { help: CLEAN_HELP, words: &["the job store"], flags: &[], values: &[], lists: &[] };

const CLEAN_HELP: &str =
    "Removes a job store with all that belongs to it, also one that is damaged or half removed.
If its run still has a leader, that is asked to end first. What the run has on Kubernetes goes first.
Without the store, Jobs and pods are removed by their owner or run; leaders are not asked.

Usage: moil clean STORE
       moil clean --kubernetes --owner NAME
       moil clean --kubernetes --run RUN

Options:
      --kubernetes  Remove what runs have on Kubernetes, and no job store.
      --owner NAME  Of this owner (--kubernetesOwner).
      --run RUN     Of this run: the label moil/run of its objects.
  -h, --help        Print this help and exit.
";

const CLEAN_KUBERNETES: Shape = Shape {
    help: CLEAN_HELP,
    words: &[],
    flags: &[&["--kubernetes"]],
    values: &[&["--owner"], &["--run"]],
    lists: &[],
};

/// How often it is looked whether a leader has ended.
const LOOK: Duration = Duration::from_millis(100);

/// `moil kill`.
pub(super) fn kill(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &KILL) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let log = &asked.log;
    let ended = match store::open_records(&asked.settings) {
        Ok(Found::Run(records)) => end_leader(&*records, asked.has("--force"), log),
        Ok(Found::Removing) => Ok(false),
        // As with Toil this is no failure: there is no run.
        Ok(Found::Missing) => {
            tell(log, "kill", &store::missing(&asked.settings));
            return ExitCode::SUCCESS;
        }
        Err(failure) => Err(failure),
    };
    finish(
        log,
        "kill",
        ended.map(|ended| {
            if !ended {
                log.info("no leader is at work on this run");
            }
        }),
    )
}

/// `moil clean`.
pub(super) fn clean(mut invocation: Invocation<'_>) -> ExitCode {
    if invocation.args.iter().any(|word| word == "--kubernetes") {
        return clean_kubernetes(invocation);
    }
    let asked = match words::read(&mut invocation, &CLEAN) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let (settings, log) = (&asked.settings, &asked.log);
    let cleaned = store::open_records(settings).and_then(|found| {
        if let Found::Run(records) = found {
            end_leader(&*records, false, log)?;
            remove_pods(settings, &*records, log);
        }
        store::remove(settings)
    });
    finish(
        log,
        "clean",
        cleaned.map(|removed| {
            let name = store::name(settings);
            match removed {
                true => log.info(format_args!("removed the job store {name}")),
                false => log
                    .warning(format_args!("the job store {name} does not exist: there is nothing to remove")),
            }
        }),
    )
}

/// `moil clean --kubernetes`.
fn clean_kubernetes(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &CLEAN_KUBERNETES) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let log = &asked.log;
    let whose = Whose { owner: asked.value("--owner"), run: asked.value("--run") };
    let removed = match (whose.owner, whose.run) {
        (None | Some(""), None | Some("")) => {
            Err(Failure::new(FailureKind::BadInput, "it is not said whose Jobs are to be removed")
                .with_advice("name an owner (--owner) or a run (--run)"))
        }
        _ => elsewhere::remove(&asked.settings, whose, log),
    };
    finish(
        log,
        "clean",
        removed.map(|removed| match removed.runs.is_empty() && removed.waiting == 0 {
            true => log.warning(format_args!(
                "there is no such run in the namespace {}: there is nothing to remove",
                removed.namespace
            )),
            false => tell_removed(&removed, log),
        }),
    )
}

fn tell_removed(removed: &Removed, log: &Log) {
    for run in &removed.runs {
        log.info(format_args!(
            "removed Jobs and pods of the run {run} in the namespace {}",
            removed.namespace
        ));
    }
    if removed.waiting > 0 {
        log.info(format_args!(
            "removed {} pods that waited for a run in the namespace {}",
            removed.waiting, removed.namespace
        ));
    }
    if removed.pods_left > 0 {
        log.warning(format_args!("{} pods have not ended yet", removed.pods_left));
    }
}

/// Removes what a run has on Kubernetes, if any of its leaders had workers there. Where that cannot be done its store
/// goes all the same: workers without one end.
fn remove_pods(settings: &Settings, records: &dyn Records, log: &Log) {
    let Ok((info, replay)) = Ledger::read(records, &Who::here()) else { return };
    let mut clusters: Vec<InCluster> = Vec::new();
    for entry in replay.entries.iter().filter(|entry| matches!(entry.record, Record::TookOver { .. })) {
        let form = records.get(&names::settings(&entry.term)).ok().flatten();
        let form = form.and_then(|bytes| WorkerForm::read(&bytes).ok());
        if let Some(cluster) = form.as_ref().and_then(WorkerForm::cluster)
            && !clusters.contains(cluster)
        {
            clusters.push(cluster.clone());
        }
    }
    for cluster in clusters {
        let mut settings = settings.clone();
        let options = &mut settings.kubernetes;
        options.context = options.context.take().or(cluster.context);
        options.namespace = options.namespace.take().or(cluster.namespace);
        match elsewhere::remove(&settings, Whose { owner: None, run: Some(&info.run) }, log) {
            Ok(removed) => tell_removed(&removed, log),
            Err(failure) => {
                log.warning(format_args!("what the run has on Kubernetes cannot be removed now"));
                tell(log, "clean", &failure);
                log.warning(format_args!("later: moil clean --kubernetes --run {}", info.run));
            }
        }
    }
}

/// Ends the leader of a run, if one is at work, and waits until it has. Says whether there was one.
fn end_leader(records: &dyn Records, force: bool, log: &Log) -> Result<bool, Failure> {
    let here = Who::here();
    // Of what is damaged nobody can be a leader for long.
    let Ok(Some((term, name))) = Ledger::last_leader(records) else { return Ok(false) };
    let beat = |records| {
        heartbeat::last_beat(records, &term)
            .map_err(|error| Failure::new(FailureKind::System, "cannot read signs of life").with_cause(error))
    };
    let Some(mut last) = beat(records)?.filter(|beat| beat.patience(&here, store::now()) > 0) else {
        return Ok(false);
    };
    let (signal, word) = if force { (libc::SIGKILL, "SIGKILL") } else { (libc::SIGTERM, "SIGTERM") };
    let is_near = last.who.is_near(&here);
    if is_near && send(&last.who, &here, signal) {
        log.info(format_args!("sent {word} to the leader {name}"));
    } else {
        heartbeat::ask_to_end(records, &term, &here)
            .map_err(|error| Failure::new(FailureKind::System, "cannot ask for the end").with_cause(error))?;
        log.info(format_args!("asked the leader {name} to end; it looks every {} s", last.every));
        if force {
            log.warning("--force works only on the machine of the leader");
        }
    }
    let mut changed = Instant::now();
    loop {
        std::thread::sleep(LOOK);
        if is_near {
            if last.who.is_gone(&here) {
                break;
            }
            continue;
        }
        match beat(records)? {
            None => break,
            Some(beat) if beat.count != last.count => (last, changed) = (beat, Instant::now()),
            Some(_) if changed.elapsed().as_secs() > 3 * last.every => {
                log.warning(format_args!("{name} gives no sign of life any more, and is taken for dead"));
                return Ok(true);
            }
            Some(_) => {}
        }
    }
    log.info(format_args!("the leader {name} has ended"));
    Ok(true)
}

/// Sends a signal to a process, and to no other that has its number now. Says whether that was possible.
#[expect(unsafe_code, reason = "std has no signals to other processes")]
fn send(who: &Who, here: &Who, signal: i32) -> bool {
    // SAFETY: system calls with numbers only; what they give is checked, and the descriptor has one owner.
    unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(who.pid), 0);
        if descriptor < 0 {
            return false;
        }
        let process = OwnedFd::from_raw_fd(descriptor as i32);
        let none = std::ptr::null::<libc::siginfo_t>();
        !who.is_gone(here)
            && libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, none, 0) == 0
    }
}
