//! The small process above a tool: starts it, waits for it, ends it when told, and lets none of its
//! descendants survive, not even those in sessions of their own. Then it serves the next one.
#![expect(unsafe_code, reason = "keeps requests and the stack of new processes in memory of its own")]

use std::ffi::c_int;
use std::ptr;

use super::descendants::kill_children;
use super::protocol::{HEADER_BYTES, HEADER_WORDS, REPORT_WORDS, header, report, stage};
use super::sys::{self, Reaped, Signals, Start};
use super::tool::{Birth, Request, become_tool, failure};

/// Requests up to this size use memory that is already there.
const USUAL_BODY: usize = 256 * 1024;
/// The stack of a new process until it becomes the tool.
const STACK: usize = 64 * 1024;

/// How long the processes that a tool leaves behind may go on: enough for a `tee` to write its rest.
const LINGER: u64 = 200_000_000;
/// How often killing is repeated at least, while children appear from below.
const KILL_AGAIN: u64 = 20_000_000;
/// How often it is repeated at most: a process that waits for a dead disk cannot be killed.
const KILL_AGAIN_SLOWLY: u64 = 1_000_000_000;

/// A supervisor between and during its tools.
struct Supervisor {
    /// To the leader: requests come in, reports go out.
    socket: c_int,
    /// Children that ended, and the spawner's death.
    signals: Signals,
    body: *mut u8,
    stack: *mut u8,
}

/// What a request turned out to be.
enum Taken {
    Start(Request),
    Kill {
        id: u64,
        grace: u64,
    },
    /// The leader is gone, or wants no more.
    End,
}

/// How a tool ended.
struct End {
    status: c_int,
    /// When.
    at: u64,
    /// User and system time of all its processes, in microseconds.
    cpu: u64,
    /// The largest resident set, in KiB.
    rss: u64,
}

/// Serves until the leader closes the socket or the spawner dies. All signals are blocked.
pub(super) fn supervise(socket: c_int, spawner: c_int) -> ! {
    sys::become_subreaper();
    sys::signal_on_parents_death(sys::SPAWNER_DIED);
    if sys::parent() != spawner {
        sys::exit(1);
    }
    let supervisor = Supervisor {
        socket,
        signals: Signals::new(&[libc::SIGCHLD, sys::SPAWNER_DIED]),
        body: sys::map_memory(USUAL_BODY),
        stack: sys::map_memory(STACK),
    };
    if !supervisor.signals.is_open() || supervisor.body.is_null() || supervisor.stack.is_null() {
        sys::send_report(socket, &failure(stage::FORK, libc::ENOMEM));
        supervisor.report_end(&End { status: 0, at: 0, cpu: 0, rss: 0 }, 0);
        sys::exit(0);
    }
    loop {
        let [request, signal] = sys::poll([socket, supervisor.signals.descriptor()], None);
        if signal && supervisor.signals.take(sys::SPAWNER_DIED) {
            sys::exit(0);
        }
        if request {
            match supervisor.take() {
                Taken::Start(request) => supervisor.serve(request),
                // It came too late.
                Taken::Kill { .. } => {}
                Taken::End => sys::exit(0),
            }
        }
    }
}

impl Supervisor {
    /// Takes one request.
    fn take(&self) -> Taken {
        let mut words = [0u64; HEADER_WORDS];
        // SAFETY: the array is as long as said.
        if !unsafe { sys::read_all(self.socket, words.as_mut_ptr().cast(), HEADER_BYTES) } {
            return Taken::End;
        }
        if words[header::KIND] == header::KILL {
            return Taken::Kill { id: words[header::ID], grace: words[header::GRACE] };
        }
        let length = words[header::BODY] as usize;
        let body = if length <= USUAL_BODY { self.body } else { sys::map_memory(length) };
        // Without memory for it the body cannot be skipped, and what follows would be misread.
        // SAFETY: the memory is at least that long.
        if body.is_null() || !unsafe { sys::read_all(self.socket, body, length) } {
            return Taken::End;
        }
        Taken::Start(Request { header: words, body })
    }

    /// Runs a request to its end and reports it; does not return if nobody is left who would want to know.
    fn serve(&self, request: Request) {
        let birth = Birth { request, supervisor: sys::pid(), socket: self.socket, ids: sys::ids() };
        let start = sys::now();
        // A process that shares memory is much cheaper to start, but we sleep until it has become the tool: it
        // must not wait for anything but the disk.
        let how = if request.is_isolated() {
            Start::Isolated { no_network: request.has_no_network() }
        } else if request.reads_from_pipe() {
            Start::Copied
        } else {
            Start::Shared
        };
        // SAFETY: the stack is nobody else's, and like `birth` stays until the new process has become the
        // tool or is gone: what shares no memory has copies.
        let tool = unsafe {
            sys::start(become_tool, self.stack.add(STACK), ptr::from_ref(&birth).cast_mut().cast(), how)
        };
        let end = if tool < 0 {
            let stage = if request.is_isolated() { stage::ISOLATION } else { stage::FORK };
            sys::send_report(self.socket, &failure(stage, sys::errno()));
            End { status: 0, at: start, cpu: 0, rss: 0 }
        } else {
            self.wait(tool, request.id())
        };
        let length = request.header[header::BODY] as usize;
        if length > USUAL_BODY {
            // SAFETY: mapped for this request with this size.
            unsafe { sys::unmap_memory(request.body, length) };
        }
        self.report_end(&end, start);
    }

    fn report_end(&self, end: &End, start: u64) {
        let mut words = [0; REPORT_WORDS];
        words[report::KIND] = report::ENDED;
        words[report::STATUS] = end.status as u64;
        words[report::WALL] = end.at.saturating_sub(start);
        words[report::CPU] = end.cpu;
        words[report::RSS] = end.rss;
        sys::send_report(self.socket, &words);
    }

    /// Waits until there are no children left.
    fn wait(&self, tool: c_int, id: u64) -> End {
        let mut end = End { status: 0, at: 0, cpu: 0, rss: 0 };
        // From when on everything that is left is killed.
        let mut deadline: Option<u64> = None;
        let mut again = KILL_AGAIN;
        let mut abandoned = false;
        loop {
            loop {
                match sys::reap() {
                    Reaped::Child { pid, status, cpu, rss } => {
                        end.cpu += cpu;
                        end.rss = end.rss.max(rss);
                        if pid == tool {
                            (end.status, end.at) = (status, sys::now());
                        }
                    }
                    Reaped::Running => break,
                    Reaped::None if abandoned => sys::exit(0),
                    Reaped::None => return end,
                }
            }
            let ended = end.at != 0;
            let now = sys::now();
            if ended {
                deadline = Some(deadline.unwrap_or(u64::MAX).min(now.saturating_add(LINGER)));
            }
            let timeout = match deadline {
                Some(deadline) if deadline <= now => {
                    if !ended {
                        sys::kill(-tool, libc::SIGKILL);
                    }
                    kill_children(&|_| false);
                    again = (again * 2).min(KILL_AGAIN_SLOWLY);
                    Some(again)
                }
                Some(deadline) => Some(deadline - now),
                None => None,
            };
            // A closed socket could be read for ever.
            let socket = if abandoned { -1 } else { self.socket };
            let [request, signal] = sys::poll([socket, self.signals.descriptor()], timeout);
            if signal && self.signals.take(sys::SPAWNER_DIED) {
                abandoned = true;
            }
            if request {
                match self.take() {
                    Taken::Kill { id: other, .. } if other != id => {}
                    Taken::Kill { grace, .. } => {
                        let grace = grace.saturating_mul(1_000_000);
                        let until = sys::now().saturating_add(grace);
                        deadline = Some(deadline.unwrap_or(u64::MAX).min(until));
                        if grace > 0 && !ended {
                            ask_to_end(tool);
                        }
                    }
                    // No leader asks for a second tool before the first has ended.
                    Taken::Start(_) | Taken::End => abandoned = true,
                }
            }
            if abandoned {
                deadline = Some(0);
            }
        }
    }
}

fn ask_to_end(tool: c_int) {
    // A group that is not there yet: the tool has not got as far as its own session.
    if !sys::kill(-tool, libc::SIGTERM) {
        sys::kill(tool, libc::SIGTERM);
    }
    // A stopped process takes SIGTERM only once it goes on.
    sys::kill(-tool, libc::SIGCONT);
}
