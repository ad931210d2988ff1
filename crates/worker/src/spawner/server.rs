//! The spawner process: one loop that takes requests and looks after supervisors.
#![expect(unsafe_code, reason = "keeps its table and the requests in memory of its own")]

use std::ffi::c_int;

use super::descendants::kill_children;
use super::protocol::{HEADER_BYTES, HEADER_WORDS, REPORT_WORDS, header, report, stage};
use super::supervisor::{END, supervise};
use super::sys::{self, Reaped};
use super::tool::{Request, failure};

/// Requests up to this size use memory that is already there.
const USUAL_BODY: usize = 256 * 1024;
/// The most processes at a time; an entry costs memory only once it is used.
const MOST: usize = 1 << 20;

/// A supervisor: its process id, 0 where the place is free, and the number of its process.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    pid: c_int,
    id: u64,
}

/// The supervisors that run. The memory is never given back: the process ends before.
struct Table {
    entries: *mut Entry,
    used: usize,
}

impl Table {
    fn entries(&self) -> &[Entry] {
        // SAFETY: `used` never exceeds the mapping, whose zeros are valid entries.
        unsafe { std::slice::from_raw_parts(self.entries, self.used) }
    }

    fn entries_mut(&mut self) -> &mut [Entry] {
        // SAFETY: as above, and nobody else has the pointer.
        unsafe { std::slice::from_raw_parts_mut(self.entries, self.used) }
    }

    fn insert(&mut self, new: Entry) {
        if let Some(free) = self.entries_mut().iter_mut().find(|entry| entry.pid == 0) {
            *free = new;
            return;
        }
        // SAFETY: the caller checked `is_full`.
        unsafe { *self.entries.add(self.used) = new };
        self.used += 1;
    }

    fn is_full(&self) -> bool {
        self.used == MOST && self.entries().iter().all(|entry| entry.pid != 0)
    }

    fn remove(&mut self, pid: c_int) -> Option<u64> {
        let entry = self.entries_mut().iter_mut().find(|entry| entry.pid == pid)?;
        entry.pid = 0;
        Some(entry.id)
    }

    fn holds(&self, pid: c_int) -> bool {
        self.entries().iter().any(|entry| entry.pid == pid)
    }
}

/// Serves until the leader is gone. `extern "C"`, so that a panic could not unwind into what was forked.
pub(super) extern "C" fn serve(requests: c_int, reports: c_int) -> ! {
    sys::new_session();
    sys::set_name(c"moil-spawner");
    sys::become_subreaper();
    sys::default_signals();
    let [requests, reports] = sys::keep_only([requests, reports]);
    let signals = sys::child_signals();
    let usual = sys::map_memory(USUAL_BODY);
    let mut table = Table { entries: sys::map_memory(MOST * size_of::<Entry>()).cast(), used: 0 };
    if signals < 0 || usual.is_null() || table.entries.is_null() {
        sys::exit(1);
    }
    // Whether processes without a supervisor may be left.
    let mut strays = false;
    loop {
        let [request, child] = sys::poll([requests, signals], if strays { 20 } else { -1 });
        if child {
            sys::drain_signals(signals);
        }
        if child || strays {
            strays |= reap(&mut table, reports);
            strays = strays && kill_children(&|pid| table.holds(pid));
        }
        if request && !take_request(requests, reports, usual, &mut table) {
            end(&table)
        }
    }
}

/// Takes supervisors that have ended. Returns whether one was killed and left its tool to us.
fn reap(table: &mut Table, reports: c_int) -> bool {
    let mut strays = false;
    while let Reaped::Child(pid, status) = sys::reap() {
        if let Some(id) = table.remove(pid)
            && status != 0
        {
            strays = true;
            let mut words = [0; REPORT_WORDS];
            words[report::KIND] = report::LOST;
            words[report::ID] = id;
            sys::send_report(reports, &words);
        }
    }
    strays
}

/// Takes one request; `false` when the leader is gone.
fn take_request(requests: c_int, reports: c_int, usual: *mut u8, table: &mut Table) -> bool {
    let mut words = [0u64; HEADER_WORDS];
    // SAFETY: the array is as long as said.
    if !unsafe { sys::read_all(requests, words.as_mut_ptr().cast(), HEADER_BYTES) } {
        return false;
    }
    let id = words[header::ID];
    if words[header::KIND] == header::KILL {
        if let Some(entry) = table.entries().iter().find(|entry| entry.id == id && entry.pid != 0) {
            sys::queue_signal(entry.pid, END, words[header::GRACE]);
        }
        return true;
    }
    let length = words[header::BODY] as usize;
    let body = if length <= USUAL_BODY { usual } else { sys::map_memory(length) };
    if body.is_null() {
        // The body cannot be skipped without memory for it, and what follows would be misread.
        return false;
    }
    // SAFETY: the memory is at least that long.
    if !unsafe { sys::read_all(requests, body, length) } {
        return false;
    }
    let request = Request { header: words, body };
    let spawner = sys::pid();
    let pid = if table.is_full() { -1 } else { sys::fork() };
    if pid == 0 {
        // Else the leader could not see that the spawner died.
        sys::close(requests);
        supervise(&request, spawner, reports);
    }
    if pid < 0 {
        sys::send_report(
            reports,
            &failure(id, stage::FORK, if table.is_full() { libc::EAGAIN } else { sys::errno() }),
        );
    } else {
        table.insert(Entry { pid, id });
    }
    if length > USUAL_BODY {
        // SAFETY: mapped above with this size; the child has a copy.
        unsafe { sys::unmap_memory(body, length) };
    }
    true
}

/// Ends everything, and then this process.
fn end(table: &Table) -> ! {
    for entry in table.entries().iter().filter(|entry| entry.pid != 0) {
        sys::queue_signal(entry.pid, END, 0);
    }
    let child = sys::signal_set(&[libc::SIGCHLD]);
    loop {
        loop {
            match sys::reap() {
                Reaped::Child(..) => {}
                Reaped::Running => break,
                Reaped::None => sys::exit(0),
            }
        }
        // Supervisors end by themselves once their tools are gone.
        kill_children(&|pid| table.holds(pid));
        sys::wait_for_signal(&child, Some(20_000_000));
    }
}
