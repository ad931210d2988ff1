//! The process between us and the engine. It was forked from a process with threads and never becomes another
//! program: system calls only, no allocation, no locks, no panics.
#![expect(unsafe_code, reason = "fork, signals and groups have no safe form in std")]

use std::ffi::{c_int, c_long};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;

/// What tells the guard to end everything: from us, or from the kernel when we die.
const END: c_int = libc::SIGTERM;

/// Has the command started under a guard; the child that std knows is the guard.
pub(super) fn install(command: &mut Command) {
    let us = std::process::id() as c_int;
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(move || begin(us)) };
}

/// Tells a guard to kill what it guards.
pub(super) fn end(guard: u32) {
    // SAFETY: takes numbers only. The guard is our child and not yet waited for, so the number is still its own.
    unsafe { libc::kill(guard as c_int, END) };
}

/// Runs in the forked child. Returns in the process that becomes the engine; the other one stays as its guard.
fn begin(us: c_int) -> io::Result<()> {
    // SAFETY: system calls on numbers, and on signal sets that are initialised before they are read.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut());
        // A group of its own: what a terminal sends to ours is ours to pass on.
        libc::setpgid(0, 0);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, END, 0, 0, 0);
        if libc::getppid() != us {
            libc::_exit(1);
        }
        let guard = libc::getpid();
        // The bare system call: no handlers of the C library run.
        let none: c_long = 0;
        let engine =
            libc::syscall(libc::SYS_clone, c_long::from(libc::SIGCHLD), none, none, none, none) as c_int;
        if engine < 0 {
            return Err(io::Error::last_os_error());
        }
        if engine > 0 {
            watch_over(engine);
        }
        libc::setpgid(0, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        if libc::getppid() != guard {
            libc::_exit(1);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
    Ok(())
}

/// Waits for the engine, kills what is left, and ends with the engine's code.
///
/// # Safety
/// Only in a forked process that has no threads.
unsafe fn watch_over(engine: c_int) -> ! {
    // SAFETY: as in `begin`.
    unsafe {
        // The pipes belong to the engine alone: whoever reads them must see its end.
        close_all();
        // Both do it, so that it is done whoever comes first.
        libc::setpgid(engine, engine);
        let mut awaited = std::mem::zeroed();
        libc::sigemptyset(&mut awaited);
        libc::sigaddset(&mut awaited, libc::SIGCHLD);
        libc::sigaddset(&mut awaited, END);
        let mut code = 1;
        let mut killing = false;
        loop {
            if killing {
                libc::kill(-engine, libc::SIGKILL);
                kill_children();
            }
            loop {
                let mut status = 0;
                match libc::waitpid(-1, &mut status, libc::WNOHANG) {
                    // No children at all: nothing is left.
                    -1 => libc::_exit(code),
                    0 => break,
                    pid if pid == engine => {
                        code = if libc::WIFEXITED(status) {
                            libc::WEXITSTATUS(status)
                        } else {
                            128 + libc::WTERMSIG(status)
                        };
                        killing = true;
                        libc::kill(-engine, libc::SIGKILL);
                        kill_children();
                    }
                    _ => {}
                }
            }
            // While it kills it looks again: a process may have been on its way into the group.
            let soon = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let signal =
                libc::sigtimedwait(&awaited, ptr::null_mut(), if killing { &soon } else { ptr::null() });
            killing |= signal == END;
        }
    }
}

/// Kills the children that we have, be they of other groups. Orphans of the engine have become our children.
///
/// # Safety
/// Only in a process that has no threads.
unsafe fn kill_children() {
    // SAFETY: the path ends in NUL, and no more is read than the buffer holds.
    unsafe {
        let file = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY);
        if file < 0 {
            return;
        }
        let mut text = [0_u8; 4096];
        let count = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        let mut pid = 0;
        // A number that the buffer's end cuts off is not followed by a space; it comes the next time.
        for &byte in text.iter().take(count.max(0) as usize) {
            if byte.is_ascii_digit() {
                pid = pid * 10 + c_int::from(byte - b'0');
            } else {
                if pid > 0 {
                    libc::kill(pid, libc::SIGKILL);
                }
                pid = 0;
            }
        }
    }
}

/// Closes all files.
///
/// # Safety
/// Only where none is used any more.
unsafe fn close_all() {
    // SAFETY: takes numbers only.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) == 0 {
            return;
        }
        // A kernel before 5.9.
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        for file in 0..limit.rlim_cur.min(65_536) as c_int {
            libc::close(file);
        }
    }
}
