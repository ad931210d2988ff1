//! The spawner process: one loop that makes supervisors and looks after what they leave.
#![expect(unsafe_code, reason = "keeps its table in memory of its own")]

use std::ffi::c_int;

use super::descendants::kill_children;
use super::protocol::stage;
use super::supervisor::supervise;
use super::sys::{self, Reaped, Received, Signals};
use super::tool::failure;

/// The most supervisors at a time; an entry costs memory only once it is used.
const MOST: usize = 1 << 20;
/// How often what a killed supervisor left is killed again.
const KILL_AGAIN: u64 = 20_000_000;

/// The process ids of the supervisors that run, 0 where a place is free. The memory is never given back: the
/// process ends before.
struct Table {
    entries: *mut c_int,
    used: usize,
}

impl Table {
    fn entries(&self) -> &[c_int] {
        // SAFETY: `used` never exceeds the mapping, whose zeros are valid entries.
        unsafe { std::slice::from_raw_parts(self.entries, self.used) }
    }

    fn entries_mut(&mut self) -> &mut [c_int] {
        // SAFETY: as above, and nobody else has the pointer.
        unsafe { std::slice::from_raw_parts_mut(self.entries, self.used) }
    }

    fn insert(&mut self, new: c_int) {
        if let Some(free) = self.entries_mut().iter_mut().find(|pid| **pid == 0) {
            *free = new;
            return;
        }
        // SAFETY: the caller checked `is_full`.
        unsafe { *self.entries.add(self.used) = new };
        self.used += 1;
    }

    fn is_full(&self) -> bool {
        self.used == MOST && self.entries().iter().all(|&pid| pid != 0)
    }

    /// Whether it was there.
    fn remove(&mut self, gone: c_int) -> bool {
        match self.entries_mut().iter_mut().find(|pid| **pid == gone) {
            Some(pid) => {
                *pid = 0;
                true
            }
            None => false,
        }
    }

    fn holds(&self, pid: c_int) -> bool {
        self.entries().contains(&pid)
    }
}

/// Serves until the leader is gone. `extern "C"`, so that a panic could not unwind into what was forked.
pub(super) extern "C" fn serve(requests: c_int) -> ! {
    sys::new_session();
    sys::set_name(c"moil-spawner");
    sys::become_subreaper();
    sys::default_signals();
    let requests = sys::keep_only(requests);
    let signals = Signals::new(&[libc::SIGCHLD]);
    let mut table = Table { entries: sys::map_memory(MOST * size_of::<c_int>()).cast(), used: 0 };
    if !signals.is_open() || table.entries.is_null() {
        sys::exit(1);
    }
    // Whether processes without a supervisor may be left.
    let mut strays = false;
    loop {
        let timeout = strays.then_some(KILL_AGAIN);
        let [request, child] = sys::poll([requests, signals.descriptor()], timeout);
        if child {
            signals.take(libc::SIGCHLD);
        }
        if child || strays {
            strays |= reap(&mut table);
            strays = strays && kill_children(&|pid| table.holds(pid));
        }
        if request {
            match sys::receive_descriptor(requests) {
                Received::Descriptor(socket) => make_supervisor(requests, socket, &mut table),
                Received::Nothing => {}
                Received::End => end(&table),
            }
        }
    }
}

/// Takes supervisors that have ended. Returns whether one was killed and left its tool to us.
fn reap(table: &mut Table) -> bool {
    let mut strays = false;
    while let Reaped::Child { pid, status, .. } = sys::reap() {
        strays |= table.remove(pid) && status != 0;
    }
    strays
}

/// Makes a supervisor that serves a socket. If that cannot be, what is read from the socket says so.
fn make_supervisor(requests: c_int, socket: c_int, table: &mut Table) {
    let spawner = sys::pid();
    let pid = if table.is_full() { -1 } else { sys::fork() };
    if pid == 0 {
        // Else the leader could not see that the spawner died.
        sys::close(requests);
        sys::set_name(c"moil-supervisor");
        supervise(socket, spawner);
    }
    if pid < 0 {
        let errno = if table.is_full() { libc::EAGAIN } else { sys::errno() };
        sys::send_report(socket, &failure(stage::FORK, errno));
    } else {
        table.insert(pid);
    }
    sys::close(socket);
}

/// Ends everything, and then this process.
fn end(table: &Table) -> ! {
    for &pid in table.entries().iter().filter(|&&pid| pid != 0) {
        sys::kill(pid, sys::SPAWNER_DIED);
    }
    let child = sys::signal_set(&[libc::SIGCHLD]);
    loop {
        loop {
            match sys::reap() {
                Reaped::Child { .. } => {}
                Reaped::Running => break,
                Reaped::None => sys::exit(0),
            }
        }
        // Supervisors end by themselves once their tools are gone.
        kill_children(&|pid| table.holds(pid));
        sys::wait_for_signal(&child, KILL_AGAIN);
    }
}
