//! System calls as the spawner and its children use them: no allocation, no locks, no panics, since
//! they run in a process that was forked from one with threads.
#![expect(unsafe_code, reason = "system calls that std has no safe form of")]

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr;

use super::protocol::{REPORT_BYTES, REPORT_WORDS};

/// The last error of a system call.
pub(super) fn errno() -> c_int {
    // SAFETY: the location is valid for the calling thread.
    unsafe { *libc::__errno_location() }
}

/// What the kernel sends a supervisor when the spawner dies, and the spawner when all is to end.
pub(super) const SPAWNER_DIED: c_int = libc::SIGHUP;

/// Forks by the bare system call: no handlers of the C library run. The child may only use this module.
pub(super) fn fork() -> c_int {
    let none: c_long = 0;
    // SAFETY: `clone` with no flags but the signal is `fork`; stack and thread pointers are not used.
    unsafe { libc::syscall(libc::SYS_clone, c_long::from(libc::SIGCHLD), none, none, none, none) as c_int }
}

/// How a process is started.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// With our memory: we sleep until it has called `execve` or ended.
    Shared,
    /// With a copy of it.
    Copied,
    /// With a copy, in user, mount and IPC namespaces of its own.
    Isolated {
        /// In a network namespace as well.
        no_network: bool,
    },
}

/// Starts a process that runs a function on a stack of its own.
///
/// # Safety
/// `stack` is the upper end of memory for a stack. It and what `argument` points to must stay until the process
/// has ended, or has called `execve`.
pub(super) unsafe fn start(
    run: extern "C" fn(*mut c_void) -> c_int,
    stack: *mut u8,
    argument: *mut c_void,
    how: Start,
) -> c_int {
    let flags = match how {
        Start::Shared => libc::CLONE_VM | libc::CLONE_VFORK,
        Start::Copied => 0,
        Start::Isolated { no_network } => {
            let network = if no_network { libc::CLONE_NEWNET } else { 0 };
            libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | network
        }
    };
    // SAFETY: the caller's.
    unsafe { libc::clone(run, stack.cast(), libc::SIGCHLD | flags, argument) }
}

/// Our user and group.
pub(super) fn ids() -> (u32, u32) {
    // SAFETY: always succeed.
    unsafe { (libc::geteuid(), libc::getegid()) }
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

/// Waits for a signal of a set, or until the time (in nanoseconds) is over.
pub(super) fn wait_for_signal(set: &libc::sigset_t, timeout: u64) {
    // SAFETY: the set is initialised, and nobody wants the information.
    unsafe { libc::sigtimedwait(set, ptr::null_mut(), &time(timeout)) };
}

fn time(nanoseconds: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    }
}

/// Sends a signal.
pub(super) fn kill(pid: c_int, signal: c_int) -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// What [`reap`] found.
pub(super) enum Reaped {
    /// A child ended.
    Child {
        /// Its process id.
        pid: c_int,
        /// Its wait status.
        status: c_int,
        /// User and system time in microseconds, with that of the children that it waited for.
        cpu: u64,
        /// The largest resident set, in KiB, of it and of those children.
        rss: u64,
    },
    /// Children are left, and run.
    Running,
    /// There are no children.
    None,
}

/// Takes a child that has ended, without waiting.
pub(super) fn reap() -> Reaped {
    let mut status = 0;
    // SAFETY: zeros are a valid value, which the call replaces; both are valid places.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage), usage)
    };
    let time = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    match pid {
        0 => Reaped::Running,
        pid if pid > 0 => Reaped::Child {
            pid,
            status,
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            rss: usage.ru_maxrss as u64,
        },
        _ => Reaped::None,
    }
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

/// Replaces a file that is open for reading by a pipe that gives the same bytes. Whoever fills it is a child of the
/// supervisor, not of the tool; it ends when all is read, or nobody reads any more. Returns the pipe, or -1.
pub(super) fn pipe_from(file: c_int) -> c_int {
    let mut ends = [0 as c_int; 2];
    // SAFETY: the array has room for two descriptors; the processes that are forked only copy and end.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return -1;
        }
        let between = fork();
        if between == 0 {
            if fork() == 0 {
                libc::close(ends[0]);
                while libc::splice(file, ptr::null_mut(), ends[1], ptr::null_mut(), 1 << 20, 0) > 0 {}
            }
            exit(0);
        }
        libc::close(ends[1]);
        if between < 0 {
            libc::close(ends[0]);
            return -1;
        }
        let mut status = 0;
        while libc::waitpid(between, &mut status, 0) < 0 && errno() == libc::EINTR {}
        ends[0]
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

/// Keeps one socket as descriptor 3, `/dev/null` as 0 to 2, and closes everything else. Ends the process where
/// that cannot be done: without its own end alone it could not see that the leader is gone.
pub(super) fn keep_only(socket: c_int) -> c_int {
    // SAFETY: works on the descriptors of this process, which was just forked and shares nothing.
    unsafe {
        let high = libc::fcntl(socket, libc::F_DUPFD_CLOEXEC, 4);
        if libc::dup3(high, 3, libc::O_CLOEXEC) < 0 {
            exit(1);
        }
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for fd in 0..3 {
            libc::dup2(null, fd);
        }
        if libc::syscall(libc::SYS_close_range, 4, c_int::MAX, 0) != 0 {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            for fd in 4..limit.rlim_cur.min(1 << 20) as c_int {
                libc::close(fd);
            }
        }
        libc::chdir(c"/".as_ptr());
    }
    3
}

/// A descriptor that can be read when a signal of a set has arrived.
#[derive(Clone, Copy)]
pub(super) struct Signals(c_int);

impl Signals {
    /// For signals that are blocked.
    pub(super) fn new(members: &[c_int]) -> Self {
        // SAFETY: the set is initialised.
        Self(unsafe { libc::signalfd(-1, &signal_set(members), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })
    }

    /// Whether it could be made.
    pub(super) fn is_open(self) -> bool {
        self.0 >= 0
    }

    /// For [`poll`].
    pub(super) fn descriptor(self) -> c_int {
        self.0
    }

    /// Takes what has arrived; tells whether `signal` is among it.
    pub(super) fn take(self, signal: c_int) -> bool {
        // Signals of a kind do not queue, so that two places are enough for the two that are ever waited for.
        // SAFETY: zeros are a valid value.
        let mut arrived: [libc::signalfd_siginfo; 2] = unsafe { std::mem::zeroed() };
        // SAFETY: the array is as long as said.
        let count = unsafe { libc::read(self.0, arrived.as_mut_ptr().cast(), size_of_val(&arrived)) };
        let count = usize::try_from(count).unwrap_or(0) / size_of::<libc::signalfd_siginfo>();
        arrived.iter().take(count).any(|information| information.ssi_signo == signal as u32)
    }
}

/// Waits until one of two descriptors can be read or was closed, or the time (in nanoseconds) is over; tells which.
/// A negative descriptor is left out.
pub(super) fn poll(fds: [c_int; 2], timeout: Option<u64>) -> [bool; 2] {
    let mut set = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let time = timeout.map(time);
    // SAFETY: the array has two members; no signal mask is given.
    let ready = unsafe {
        libc::ppoll(set.as_mut_ptr(), 2, time.as_ref().map_or(ptr::null(), |time| time), ptr::null())
    };
    set.map(|entry| ready > 0 && entry.revents != 0)
}

/// Room for a control message with one descriptor.
#[repr(align(8))]
struct Control([u8; 64]);

/// Sends a descriptor over a socket; whoever receives it has one of their own. `false` where nobody listens.
pub(super) fn send_descriptor(socket: c_int, descriptor: c_int) -> bool {
    let mut byte = [0u8; 1];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    // SAFETY: zeros are a valid header, whose pointers then lead to places that outlive the call; the control
    // message has room for one descriptor.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<c_int>() as u32) as _;
        let first = libc::CMSG_FIRSTHDR(&message);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(size_of::<c_int>() as u32) as _;
        libc::CMSG_DATA(first).cast::<c_int>().write_unaligned(descriptor);
        loop {
            let sent = libc::sendmsg(socket, &message, libc::MSG_NOSIGNAL);
            if sent >= 0 || errno() != libc::EINTR {
                return sent == 1;
            }
        }
    }
}

/// What [`receive_descriptor`] found.
pub(super) enum Received {
    /// A descriptor, closed by `execve`.
    Descriptor(c_int),
    /// A message without one: there are too many open ones. Its sender sees its socket closed.
    Nothing,
    /// The other side is gone.
    End,
}

/// Takes what [`send_descriptor`] sent.
pub(super) fn receive_descriptor(socket: c_int) -> Received {
    let mut byte = [0u8; 1];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    // SAFETY: as in `send_descriptor`; the header that is read is checked for what it is.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        let count = libc::recvmsg(socket, &mut message, libc::MSG_CMSG_CLOEXEC);
        if count <= 0 {
            return if count < 0 && errno() == libc::EINTR { Received::Nothing } else { Received::End };
        }
        let first = libc::CMSG_FIRSTHDR(&message);
        if first.is_null() || (*first).cmsg_type != libc::SCM_RIGHTS {
            return Received::Nothing;
        }
        Received::Descriptor(libc::CMSG_DATA(first).cast::<c_int>().read_unaligned())
    }
}
