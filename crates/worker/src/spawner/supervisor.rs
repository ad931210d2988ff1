//! The small process above each tool: waits for it, ends it when told, and lets none of its
//! descendants survive, not even those in sessions of their own.

use std::ffi::c_int;

use super::descendants::kill_children;
use super::protocol::{REPORT_WORDS, report, stage};
use super::sys::{self, Reaped};
use super::tool::{Request, become_tool, failure};

/// What tells a supervisor to end its tool; it carries the grace in milliseconds.
pub(super) const END: c_int = libc::SIGTERM;
/// What the kernel sends a supervisor when the spawner dies.
const SPAWNER_DIED: c_int = libc::SIGHUP;

/// How long the processes that a tool leaves behind may go on: enough for a `tee` to write its rest.
const LINGER: u64 = 200_000_000;
/// How often killing is repeated at least, while children appear from below.
const KILL_AGAIN: u64 = 20_000_000;
/// How often it is repeated at most: a process that waits for a dead disk cannot be killed.
const KILL_AGAIN_SLOWLY: u64 = 1_000_000_000;

/// Runs a request to its end, reports, and ends. All signals are blocked.
pub(super) fn supervise(request: &Request, spawner: c_int, reports: c_int) -> ! {
    sys::become_subreaper();
    sys::signal_on_parents_death(SPAWNER_DIED);
    if sys::parent() != spawner {
        sys::exit(1);
    }
    let supervisor = sys::pid();
    let start = sys::now();
    let tool = sys::fork();
    if tool < 0 {
        sys::send_report(reports, &failure(request.id(), stage::FORK, sys::errno()));
        sys::exit(0);
    }
    if tool == 0 {
        become_tool(request, supervisor, reports);
    }
    let (status, end) = wait(tool);
    let (cpu, rss) = sys::children_usage();
    let mut words = [0; REPORT_WORDS];
    words[report::KIND] = report::ENDED;
    words[report::ID] = request.id();
    words[report::STATUS] = status as u64;
    words[report::WALL] = end.saturating_sub(start);
    words[report::CPU] = cpu;
    words[report::RSS] = rss;
    sys::send_report(reports, &words);
    sys::exit(0)
}

/// Waits until there are no children left. Returns the tool's status and when it ended.
fn wait(tool: c_int) -> (c_int, u64) {
    let signals = sys::signal_set(&[libc::SIGCHLD, END, SPAWNER_DIED]);
    let mut ended: Option<(c_int, u64)> = None;
    // From when on everything that is left is killed.
    let mut deadline: Option<u64> = None;
    let mut again = KILL_AGAIN;
    loop {
        loop {
            match sys::reap() {
                Reaped::Child(pid, status) if pid == tool => ended = Some((status, sys::now())),
                Reaped::Child(..) => {}
                Reaped::Running => break,
                Reaped::None => return ended.unwrap_or((0, sys::now())),
            }
        }
        let now = sys::now();
        if ended.is_some() {
            deadline = Some(deadline.unwrap_or(u64::MAX).min(now.saturating_add(LINGER)));
        }
        let timeout = match deadline {
            Some(deadline) if deadline <= now => {
                if ended.is_none() {
                    sys::kill(-tool, libc::SIGKILL);
                }
                kill_children(&|_| false);
                again = (again * 2).min(KILL_AGAIN_SLOWLY);
                Some(again)
            }
            Some(deadline) => Some(deadline - now),
            None => None,
        };
        let signal = sys::wait_for_signal(&signals, timeout);
        let now = sys::now();
        match signal {
            Some(signal) if signal.number == END => {
                let grace = signal.value.unwrap_or(5_000).saturating_mul(1_000_000);
                deadline = Some(deadline.unwrap_or(u64::MAX).min(now.saturating_add(grace)));
                // A group that is not there yet: the tool has not got as far as its own session.
                if grace > 0 && ended.is_none() {
                    if !sys::kill(-tool, libc::SIGTERM) {
                        sys::kill(tool, libc::SIGTERM);
                    }
                    // A stopped process takes SIGTERM only once it goes on.
                    sys::kill(-tool, libc::SIGCONT);
                }
            }
            Some(signal) if signal.number == SPAWNER_DIED => deadline = Some(0),
            _ => {}
        }
    }
}
