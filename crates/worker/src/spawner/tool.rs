//! The forked process up to the moment when it becomes the tool.
#![expect(unsafe_code, reason = "follows offsets and calls execve without allocating")]

use std::ffi::{c_char, c_int, c_void};

use super::protocol::{HEADER_WORDS, REPORT_WORDS, header, report, stage};
use super::{isolation, sys};

/// A request whose body lies in memory.
#[derive(Clone, Copy)]
pub(super) struct Request {
    /// The header.
    pub(super) header: [u64; HEADER_WORDS],
    /// The body; tables of offsets not yet turned into pointers.
    pub(super) body: *mut u8,
}

impl Request {
    /// The number that the leader gave the process.
    pub(super) fn id(&self) -> u64 {
        self.header[header::ID]
    }

    /// A string of the header.
    pub(super) fn text(&self, word: usize) -> *const c_char {
        // SAFETY: the leader lays out bodies so that every offset lies inside.
        unsafe { self.body.add(self.header[word] as usize).cast() }
    }

    /// Whether the process is to see other files than those of this machine.
    pub(super) fn is_isolated(&self) -> bool {
        self.header[header::ROOT] != 0
    }

    /// Whether it is to have no network but loopback.
    pub(super) fn has_no_network(&self) -> bool {
        self.header[header::NO_NETWORK] != 0
    }

    /// Whether opening standard input may wait for somebody who writes.
    pub(super) fn reads_from_pipe(&self) -> bool {
        // SAFETY: strings of the body end in NUL; zeros are a valid value, which the call replaces.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            libc::stat(self.text(header::STDIN), &mut stat) == 0
                && stat.st_mode & libc::S_IFMT == libc::S_IFIFO
        }
    }

    /// A table of the header, its offsets turned into pointers. Done once, in the new process.
    fn table(&self, word: usize) -> *const *const c_char {
        // SAFETY: as above; tables are aligned, since the body is and they come first in words of
        // eight bytes, and they end with a zero.
        unsafe {
            let table: *mut u64 = self.body.add(self.header[word] as usize).cast();
            let mut entry = table;
            while *entry != 0 {
                *entry += self.body as u64;
                entry = entry.add(1);
            }
            table.cast()
        }
    }
}

/// A report that a process could not be started.
pub(super) fn failure(stage: u64, errno: c_int) -> [u64; REPORT_WORDS] {
    let mut words = [0; REPORT_WORDS];
    words[report::KIND] = report::FAILED;
    words[report::STATUS] = errno as u64;
    words[report::WALL] = stage;
    words
}

/// What the new process needs to become the tool.
pub(super) struct Birth {
    /// What it is to become.
    pub(super) request: Request,
    /// Its parent.
    pub(super) supervisor: c_int,
    /// Where a failure is told.
    pub(super) socket: c_int,
    /// The user and the group, which a new user namespace has to be told.
    pub(super) ids: (u32, u32),
}

/// Becomes the tool. If that fails, says why and ends with 127. Runs in memory that it may share with the
/// supervisor, which sleeps meanwhile.
pub(super) extern "C" fn become_tool(birth: *mut c_void) -> c_int {
    // SAFETY: the supervisor hands over a `Birth` that it keeps until this process is gone.
    let birth = unsafe { &*birth.cast::<Birth>() };
    let (stage, errno) = prepare_and_execute(birth);
    sys::send_report(birth.socket, &failure(stage, errno));
    sys::exit(127)
}

fn prepare_and_execute(birth: &Birth) -> (u64, c_int) {
    let Birth { request, supervisor, ids, .. } = birth;
    sys::new_session();
    sys::signal_on_parents_death(libc::SIGKILL);
    if sys::parent() != *supervisor {
        sys::exit(127);
    }
    // Before anything is opened, which may take its time.
    sys::unblock_signals();
    // SAFETY: strings of the body end in NUL; the limits are as many as the header says.
    unsafe {
        if libc::chdir(request.text(header::CWD)) != 0 {
            return (stage::CWD, sys::errno());
        }
        let write = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        let streams = [
            (header::STDIN, 0, libc::O_RDONLY | libc::O_CLOEXEC, stage::STDIN),
            (header::STDOUT, 1, write, stage::STDOUT),
            (header::STDERR, 2, write, stage::STDERR),
        ];
        for (word, fd, flags, stage) in streams {
            if request.header[word] == 0 {
                sys::duplicate(1, fd);
                continue;
            }
            let mut file = sys::open(request.text(word), flags);
            if file >= 0 && fd == 0 && request.header[header::PIPE] != 0 {
                file = sys::pipe_from(file);
            }
            if file < 0 {
                return (stage, sys::errno());
            }
            sys::duplicate(file, fd);
        }
        let mut limit: *const u64 = request.body.add(request.header[header::LIMITS] as usize).cast();
        for _ in 0..request.header[header::LIMIT_COUNT] {
            let value = libc::rlimit { rlim_cur: *limit.add(1), rlim_max: *limit.add(2) };
            if libc::setrlimit(*limit as _, &value) != 0 {
                return (stage::LIMIT, sys::errno());
            }
            limit = limit.add(3);
        }
        if request.is_isolated() && !isolation::enter(request, *ids) {
            return (stage::ISOLATION, sys::errno());
        }
        let argv = request.table(header::ARGV);
        let environment = request.table(header::ENV);
        (stage::EXEC, execute(argv, environment, request.text(header::PATH)))
    }
}

/// Like `execvpe`, but without its `sh` for files that no kernel can run. Returns the error that says most.
///
/// # Safety
/// All pointers must be as `execve` wants them.
unsafe fn execute(
    argv: *const *const c_char,
    environment: *const *const c_char,
    path: *const c_char,
) -> c_int {
    const LONGEST: usize = libc::PATH_MAX as usize;
    // SAFETY: strings end in NUL; the buffer is checked before each byte.
    unsafe {
        let program: *const c_char = *argv;
        if *program == 0 {
            return libc::ENOENT;
        }
        if !libc::strchr(program, c_int::from(b'/')).is_null() {
            libc::execve(program, argv, environment);
            return sys::errno();
        }
        let mut error = libc::ENOENT;
        let mut directory = path;
        loop {
            let mut buffer = [0 as c_char; LONGEST];
            let mut at = 0;
            while *directory != 0 && *directory as u8 != b':' && at < LONGEST - 2 {
                *buffer.as_mut_ptr().add(at) = *directory;
                at += 1;
                directory = directory.add(1);
            }
            if at > 0 {
                *buffer.as_mut_ptr().add(at) = b'/' as c_char;
                at += 1;
            }
            let mut name = program;
            while *name != 0 && at < LONGEST - 1 {
                *buffer.as_mut_ptr().add(at) = *name;
                at += 1;
                name = name.add(1);
            }
            if *name == 0 {
                libc::execve(buffer.as_ptr(), argv, environment);
                match sys::errno() {
                    libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ESTALE => {}
                    libc::EACCES => error = libc::EACCES,
                    other => return other,
                }
            }
            while *directory != 0 && *directory as u8 != b':' {
                directory = directory.add(1);
            }
            if *directory == 0 {
                return error;
            }
            directory = directory.add(1);
        }
    }
}
