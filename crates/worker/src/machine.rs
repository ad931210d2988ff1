//! What this machine has: what the leader may hand out.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What there is for jobs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: f64,
    /// Memory in bytes: that of the machine, or less where a control group limits it.
    pub memory: u64,
    /// Free space in bytes on the disk of the given directory.
    pub disk: u64,
    /// NVIDIA devices.
    pub gpus: u32,
}

/// Looks around. `work` is where jobs will write. What cannot be found out counts as without limit.
pub fn machine(work: &Path) -> Machine {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = [total_memory(), group_limit()].into_iter().flatten().min().unwrap_or(u64::MAX);
    Machine { cores: cores as f64, memory, disk: free_space(work).unwrap_or(u64::MAX), gpus: gpus() }
}

/// `MemTotal` of `/proc/meminfo`.
fn total_memory() -> Option<u64> {
    parse_total(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The limit of our control group, in either version; `max` and absurdly large numbers mean none.
fn group_limit() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
}

/// Bytes that a user may write to the disk of a directory.
#[expect(unsafe_code, reason = "statvfs has no safe interface in std")]
pub(crate) fn free_space(directory: &Path) -> Option<u64> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    // SAFETY: the path ends with NUL, the buffer is large enough and only read when the call succeeded.
    let stats = unsafe {
        let mut stats: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &mut stats) == 0).then_some(stats)?
    };
    Some(stats.f_bavail.saturating_mul(stats.f_frsize))
}

/// Whether there is hardly anything left on the disk of a directory: then what tools write about it is lost as well. Not
/// to the last byte: small files of ours may have gone since.
pub fn is_full(directory: &Path) -> bool {
    free_space(directory).is_some_and(|bytes| bytes < 65_536)
}

/// Whether this process may make files in a directory; not whether there is room for them.
///
/// # Errors
/// Why not, in the system's words.
#[expect(unsafe_code, reason = "faccessat has no safe interface in std")]
pub fn check_writable(directory: &Path) -> io::Result<()> {
    let path = CString::new(directory.as_os_str().as_bytes())?;
    // SAFETY: the path ends with NUL and is only read.
    let answer =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn gpus() -> u32 {
    let is_device = |name: &str| {
        name.strip_prefix("nvidia").is_some_and(|number| !number.is_empty() && number.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_device)).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(parse_total("MemTotal:       24000000 kB\nMemFree: 1 kB\n"), Some(24_000_000 << 10));
        assert_eq!(parse_total("nothing"), None);
    }

    #[test]
    fn this_machine_has_something() {
        let machine = machine(Path::new("/"));
        assert!(machine.cores >= 1.0 && machine.memory > 0 && machine.disk > 0);
    }
}
