//! System calls as the spawner and its children use them: no allocation, no locks, no panics, since
//! they run in a process that was forked from one with threads.
#![expect(unsafe_code, reason = "system calls that std has no safe form of")]

use std::ffi::{c_char, c_int, c_long};
use std::ptr;

use super::protocol::{REPORT_BYTES, REPORT_WORDS};

/// The last error of a system call.
pub(super) fn errno() -> c_int {
    // SAFETY: the location is valid for the calling thread.
    unsafe { *libc::__errno_location() }
}

/// Forks by the bare system call: no handlers of the C library run. The child may only use this module.
pub(super) fn fork() -> c_int {
    let none: c_long = 0;
    // SAFETY: `clone` with no flags but the signal is `fork`; stack and thread pointers are not used.
    unsafe { libc::syscall(libc::SYS_clone, c_long::from(libc::SIGCHLD), none, none, none, none) as c_int }
}

/// Ends the process at once.
pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: never returns, runs no handlers.
    unsafe { libc::_exit(code) }
}

/// Our process id.
pub(super) fn pid() -> c_int {
    // SAFETY: always succeeds.
    unsafe { libc::getpid() }
}

/// The parent's process id.
pub(super) fn parent() -> c_int {
    // SAFETY: always succeeds.
    unsafe { libc::getppid() }
}

/// Makes orphaned descendants our children.
pub(super) fn become_subreaper() {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Which signal we get when the parent dies.
pub(super) fn signal_on_parents_death(signal: c_int) {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) };
}

/// Names the process for `ps` and `top`.
pub(super) fn set_name(name: &core::ffi::CStr) {
    // SAFETY: the string ends in NUL and is only read.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Begins a session.
pub(super) fn new_session() {
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
}

/// An empty or full set of signals.
fn signals(full: bool) -> libc::sigset_t {
    // SAFETY: a set of zeros is valid memory for the calls, which then set it.
    unsafe {
        let mut set = std::mem::zeroed();
        if full {
            libc::sigfillset(&mut set);
        } else {
            libc::sigemptyset(&mut set);
        }
        set
    }
}

/// The set of the given signals.
pub(super) fn signal_set(members: &[c_int]) -> libc::sigset_t {
    let mut set = signals(false);
    for &signal in members {
        // SAFETY: the set is initialised.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

/// Blocks every signal of this thread; returns what was blocked before.
pub(super) fn block_signals() -> libc::sigset_t {
    let mut old = signals(false);
    // SAFETY: both sets are initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &signals(true), &mut old) };
    old
}

/// Sets which signals are blocked.
pub(super) fn set_blocked(set: &libc::sigset_t) {
    // SAFETY: the set is initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, ptr::null_mut()) };
}

/// Lets every signal through.
pub(super) fn unblock_signals() {
    set_blocked(&signals(false));
}

/// Gives every signal its default action: what is ignored would stay ignored after `execve`.
pub(super) fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: no handler is installed; numbers that cannot be set are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// A signal that arrived.
#[derive(Clone, Copy)]
pub(super) struct Signal {
    /// Its number.
    pub(super) number: c_int,
    /// The number that was sent along, if one was.
    pub(super) value: Option<u64>,
}

/// Waits for a signal of a set; `None` when the time (in nanoseconds) is over or the call was interrupted.
pub(super) fn wait_for_signal(set: &libc::sigset_t, timeout: Option<u64>) -> Option<Signal> {
    let time = timeout.map(|ns| libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as _,
    });
    // SAFETY: the set is initialised, the information is written before it is read, and the value is
    // read only where the kernel says that one was sent.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let number = libc::sigtimedwait(set, &mut info, time.as_ref().map_or(ptr::null(), |t| t));
        (number > 0).then(|| Signal {
            number,
            value: (info.si_code == libc::SI_QUEUE).then(|| info.si_value().sival_ptr as u64),
        })
    }
}

/// Sends a signal.
pub(super) fn kill(pid: c_int, signal: c_int) -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Sends a signal with a number.
pub(super) fn queue_signal(pid: c_int, signal: c_int, value: u64) {
    let value = libc::sigval { sival_ptr: value as *mut libc::c_void };
    // SAFETY: the value is a number that nobody dereferences.
    unsafe { libc::sigqueue(pid, signal, value) };
}

/// What [`reap`] found.
pub(super) enum Reaped {
    /// A child ended, with this status.
    Child(c_int, c_int),
    /// Children are left, and run.
    Running,
    /// There are no children.
    None,
}

/// Takes a child that has ended, without waiting.
pub(super) fn reap() -> Reaped {
    let mut status = 0;
    // SAFETY: the status is a valid place.
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
        0 => Reaped::Running,
        pid if pid > 0 => Reaped::Child(pid, status),
        _ => Reaped::None,
    }
}

/// CPU time in microseconds and largest resident set in KiB of all children that were reaped.
pub(super) fn children_usage() -> (u64, u64) {
    // SAFETY: zeros are a valid value, which the call replaces.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let time = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    (time(usage.ru_utime) + time(usage.ru_stime), usage.ru_maxrss as u64)
}

/// Nanoseconds on a clock that only goes forward.
pub(super) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is a valid place.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sends a report in one packet.
pub(super) fn send_report(socket: c_int, words: &[u64; REPORT_WORDS]) {
    // SAFETY: the words are as many bytes as are sent.
    while unsafe { libc::send(socket, words.as_ptr().cast(), REPORT_BYTES, libc::MSG_NOSIGNAL) } < 0
        && errno() == libc::EINTR
    {}
}

/// Reads until `length` bytes are there; `false` at the end of the stream.
///
/// # Safety
/// `to` must be valid for `length` bytes.
pub(super) unsafe fn read_all(fd: c_int, to: *mut u8, length: usize) -> bool {
    let mut done = 0;
    while done < length {
        // SAFETY: the caller gives `length` bytes, of which `done` are used.
        let count = unsafe { libc::read(fd, to.add(done).cast(), length - done) };
        if count > 0 {
            done += count as usize;
        } else if count == 0 || errno() != libc::EINTR {
            return false;
        }
    }
    true
}

/// Memory from the system, zeroed; null where there is none.
pub(super) fn map_memory(bytes: usize) -> *mut u8 {
    // SAFETY: a new private mapping touches nothing that exists.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED { ptr::null_mut() } else { at.cast() }
}

/// Gives memory back.
///
/// # Safety
/// It must have come from [`map_memory`] with the same size, and must not be used afterwards.
pub(super) unsafe fn unmap_memory(at: *mut u8, bytes: usize) {
    // SAFETY: see above.
    unsafe { libc::munmap(at.cast(), bytes) };
}

/// Opens a file.
///
/// # Safety
/// `path` must end in NUL.
pub(super) unsafe fn open(path: *const c_char, flags: c_int) -> c_int {
    loop {
        // SAFETY: the caller's.
        let fd = unsafe { libc::open(path, flags, 0o666) };
        if fd >= 0 || errno() != libc::EINTR {
            return fd;
        }
    }
}

/// Makes `to` mean what `from` means; it stays open over `execve`.
pub(super) fn duplicate(from: c_int, to: c_int) {
    // SAFETY: takes numbers only.
    unsafe { libc::dup2(from, to) };
}

/// Closes a descriptor.
pub(super) fn close(fd: c_int) {
    // SAFETY: the spawner's processes own all their descriptors.
    unsafe { libc::close(fd) };
}

/// Keeps the two sockets as descriptors 3 and 4, `/dev/null` as 0 to 2, and closes everything else.
pub(super) fn keep_only(sockets: [c_int; 2]) -> [c_int; 2] {
    // SAFETY: works on the descriptors of this process, which was just forked and shares nothing.
    unsafe {
        let high = sockets.map(|socket| libc::fcntl(socket, libc::F_DUPFD_CLOEXEC, 16));
        libc::dup3(high[0], 3, libc::O_CLOEXEC);
        libc::dup3(high[1], 4, libc::O_CLOEXEC);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for fd in 0..3 {
            libc::dup2(null, fd);
        }
        if libc::syscall(libc::SYS_close_range, 5, c_int::MAX, 0) != 0 {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            for fd in 5..limit.rlim_cur.min(1 << 20) as c_int {
                libc::close(fd);
            }
        }
        libc::chdir(c"/".as_ptr());
    }
    [3, 4]
}

/// A descriptor that can be read when a child has ended.
pub(super) fn child_signals() -> c_int {
    // SAFETY: the set is initialised.
    unsafe { libc::signalfd(-1, &signal_set(&[libc::SIGCHLD]), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) }
}

/// Takes what stands in a descriptor of [`child_signals`]; one read is enough, since signals of a kind do not queue.
pub(super) fn drain_signals(fd: c_int) {
    let mut information = [0u8; 128];
    // SAFETY: the array is as long as said.
    unsafe { libc::read(fd, information.as_mut_ptr().cast(), information.len()) };
}

/// Waits until one of two descriptors can be read or closed; tells which.
pub(super) fn poll(fds: [c_int; 2], timeout_ms: c_int) -> [bool; 2] {
    let mut set = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: the array has two members.
    let ready = unsafe { libc::poll(set.as_mut_ptr(), 2, timeout_ms) };
    set.map(|entry| ready > 0 && entry.revents != 0)
}
