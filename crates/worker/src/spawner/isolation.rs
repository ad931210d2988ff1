//! Namespaces and mounts of a process that sees other files than those of this machine.
#![expect(
    unsafe_code,
    reason = "system calls that std has no form of, on strings in the memory of a request"
)]

use std::ffi::c_char;
use std::ptr;

use super::protocol::header;
use super::sys;
use super::tool::Request;

/// Makes the request's root ours. We are in new namespaces already.
///
/// # Safety
/// The body must be laid out as `protocol` does it.
pub(super) unsafe fn enter(request: &Request, ids: (u32, u32)) -> bool {
    if !map_ids(ids) || !keep_mounts_private() {
        return false;
    }
    // SAFETY: there are as many mounts as the header says; strings end in NUL.
    unsafe {
        let mut entry: *const u64 = request.body.add(request.header[header::MOUNTS] as usize).cast();
        for _ in 0..request.header[header::MOUNT_COUNT] {
            let text = |word: usize| -> *const c_char {
                match *entry.add(word) {
                    0 => std::ptr::null(),
                    offset => request.body.add(offset as usize).cast(),
                }
            };
            if !mount(text(0), text(1), text(2), text(3), *entry.add(4) != 0) {
                return false;
            }
            entry = entry.add(5);
        }
        (!request.has_no_network() || raise_loopback())
            && change_root(request.text(header::ROOT))
            && libc::chdir(request.text(header::INSIDE)) == 0
            && no_new_privileges()
    }
}

/// Writes a text to a file of `/proc`.
fn write_file(path: &core::ffi::CStr, text: &[u8]) -> bool {
    // SAFETY: the path ends in NUL, the text is as long as said.
    unsafe {
        let fd = sys::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let error = sys::errno();
        libc::close(fd);
        *libc::__errno_location() = error;
        written == text.len() as isize
    }
}

/// Maps user and group to themselves in our new user namespace.
fn map_ids((user, group): (u32, u32)) -> bool {
    // `ID ID 1`.
    fn line(id: u32, buffer: &mut [u8; 32]) -> usize {
        let mut digits = [0u8; 10];
        let mut count = 0;
        let mut rest = id;
        loop {
            digits[count] = b'0' + (rest % 10) as u8;
            count += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let mut at = 0;
        for _ in 0..2 {
            for index in (0..count).rev() {
                buffer[at] = digits[index];
                at += 1;
            }
            buffer[at] = b' ';
            at += 1;
        }
        buffer[at] = b'1';
        at + 1
    }
    let mut buffer = [0; 32];
    // Without it an unprivileged process may not map a group. Machines that do not know it do not ask for it.
    write_file(c"/proc/self/setgroups", b"deny");
    let length = line(user, &mut buffer);
    if !write_file(c"/proc/self/uid_map", buffer.get(..length).unwrap_or_default()) {
        return false;
    }
    let length = line(group, &mut buffer);
    write_file(c"/proc/self/gid_map", buffer.get(..length).unwrap_or_default())
}

/// Keeps what we mount from being seen elsewhere.
fn keep_mounts_private() -> bool {
    let none = ptr::null();
    // SAFETY: the path ends in NUL; the other pointers may be null.
    unsafe { libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0 }
}

/// Mounts a filesystem, or binds `source` with all that is mounted in it where `filesystem` is null.
///
/// # Safety
/// The strings must end in NUL.
unsafe fn mount(
    source: *const c_char,
    target: *const c_char,
    filesystem: *const c_char,
    data: *const c_char,
    read_only: bool,
) -> bool {
    let safe = libc::MS_NOSUID | libc::MS_NODEV;
    let read_only_flag = if read_only { libc::MS_RDONLY } else { 0 };
    // SAFETY: the caller's; zeros are a valid value, which the call replaces.
    unsafe {
        if !filesystem.is_null() {
            // Devices of a new `devpts` are meant to be used.
            let flags =
                if libc::strcmp(filesystem, c"devpts".as_ptr()) == 0 { libc::MS_NOSUID } else { safe };
            return libc::mount(source, target, filesystem, flags | read_only_flag, data.cast()) == 0;
        }
        if libc::mount(source, target, ptr::null(), libc::MS_BIND | libc::MS_REC, ptr::null()) != 0 {
            return false;
        }
        if !read_only {
            return true;
        }
        // What holds for the mount outside may not be taken away inside.
        let mut status: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(target, &mut status) != 0 {
            return false;
        }
        // The numbers are the same for both calls.
        let kept = status.f_flag & (libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);
        let flags = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY | kept;
        libc::mount(ptr::null(), target, ptr::null(), flags, ptr::null()) == 0
    }
}

/// Makes a directory the root, and lets go of the old one.
///
/// # Safety
/// `root` must end in NUL, and be where something is mounted.
unsafe fn change_root(root: *const c_char) -> bool {
    let here = c".".as_ptr();
    // SAFETY: the strings end in NUL.
    unsafe {
        // The old root comes to lie upon the new one, and is taken away.
        libc::chdir(root) == 0
            && libc::syscall(libc::SYS_pivot_root, here, here) == 0
            && libc::umount2(here, libc::MNT_DETACH) == 0
    }
}

/// Lets no program of ours have more rights than we, whatever its file says.
fn no_new_privileges() -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 }
}

/// Switches the loopback device of a new network namespace on.
fn raise_loopback() -> bool {
    // SAFETY: zeros are a valid request, into which the name fits.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return false;
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        let done = libc::ioctl(socket, libc::SIOCSIFFLAGS, &request) == 0;
        libc::close(socket);
        done
    }
}
