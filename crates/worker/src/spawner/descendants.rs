//! Killing what a process left behind. Orphans become children of the nearest subreaper, so it is
//! enough to kill one's children until there are none.
#![expect(unsafe_code, reason = "reads directories of /proc without allocating")]

use std::ffi::c_int;

use super::sys;

/// Sends SIGKILL to every child for which `spare` is false. Returns whether there were any.
pub(super) fn kill_children(spare: &dyn Fn(c_int) -> bool) -> bool {
    let mut found = false;
    let mut visit = |pid: c_int| {
        if !spare(pid) {
            found = true;
            sys::kill(pid, libc::SIGKILL);
        }
    };
    if !children_from_list(&mut visit) {
        children_from_scan(&mut visit);
    }
    found
}

/// Reads the kernel's list of our children, where it has one.
fn children_from_list(visit: &mut dyn FnMut(c_int)) -> bool {
    // SAFETY: the path ends in NUL.
    let fd = unsafe { sys::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return false;
    }
    let mut buffer = [0u8; 4096];
    let mut pid: c_int = 0;
    loop {
        // SAFETY: the buffer is as long as said.
        let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        if count <= 0 {
            break;
        }
        for &byte in buffer.iter().take(count as usize) {
            if byte.is_ascii_digit() {
                pid = pid.wrapping_mul(10).wrapping_add(c_int::from(byte - b'0'));
            } else if pid > 0 {
                visit(pid);
                pid = 0;
            }
        }
    }
    if pid > 0 {
        visit(pid);
    }
    sys::close(fd);
    true
}

/// Looks at every process of the machine for those whose parent we are.
fn children_from_scan(visit: &mut dyn FnMut(c_int)) {
    let parent = sys::pid();
    // SAFETY: the path ends in NUL.
    let fd = unsafe { sys::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) };
    if fd < 0 {
        return;
    }
    #[repr(align(8))]
    struct Entries([u8; 8192]);
    let mut entries = Entries([0; 8192]);
    loop {
        // SAFETY: the buffer is as long as said, and aligned.
        let count =
            unsafe { libc::syscall(libc::SYS_getdents64, fd, entries.0.as_mut_ptr(), entries.0.len()) };
        if count <= 0 {
            break;
        }
        let mut rest = entries.0.get(..count as usize).unwrap_or_default();
        // An entry: inode (8 bytes), offset (8), length (2), kind (1), name up to a NUL.
        while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, _, name @ ..] = rest {
            let length = usize::from(u16::from_ne_bytes([*low, *high]));
            let mut pid: c_int = 0;
            for byte in name.iter().take_while(|byte| byte.is_ascii_digit()) {
                pid = pid.wrapping_mul(10).wrapping_add(c_int::from(byte - b'0'));
            }
            if pid > 0 && parent_of(pid) == Some(parent) {
                visit(pid);
            }
            rest = if length == 0 { &[] } else { rest.get(length..).unwrap_or_default() };
        }
    }
    sys::close(fd);
}

/// The parent of a process, from `/proc/PID/stat`: `pid (name) state parent …`; the name may hold anything.
fn parent_of(pid: c_int) -> Option<c_int> {
    let mut path = [0u8; 32];
    let mut at = 0;
    let mut digits = [0u8; 10];
    let mut count = 0;
    let mut rest = pid;
    while rest > 0 {
        *digits.get_mut(count)? = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    let number = digits.get(..count)?.iter().rev();
    for byte in b"/proc/".iter().chain(number).chain(b"/stat") {
        *path.get_mut(at)? = *byte;
        at += 1;
    }
    // SAFETY: the array is longer than what was written, so it ends in NUL.
    let fd = unsafe { sys::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    let mut text = [0u8; 256];
    // SAFETY: the buffer is as long as said.
    let count = unsafe { libc::read(fd, text.as_mut_ptr().cast(), text.len()) };
    sys::close(fd);
    let text = text.get(..usize::try_from(count).ok()?)?;
    let after_name = text.get(text.iter().rposition(|&byte| byte == b')')? + 4..)?;
    let digits = after_name.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |value: c_int, byte| value.wrapping_mul(10).wrapping_add(c_int::from(byte - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_a_child() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as c_int;
        let mut scanned = Vec::new();
        children_from_scan(&mut |pid| scanned.push(pid));
        assert!(scanned.contains(&pid), "{scanned:?}");
        let mut listed = Vec::new();
        if children_from_list(&mut |pid| listed.push(pid)) {
            assert!(listed.contains(&pid), "{listed:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
