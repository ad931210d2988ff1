//! How much is free on a disk.
#![expect(unsafe_code, reason = "statvfs has no safe form in std")]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Bytes that an unprivileged user can write to the file system of this folder.
pub(crate) fn free(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: the path ends in NUL; zeros are a valid value, which the call replaces.
    let figures = unsafe {
        let mut figures: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(path.as_ptr(), &mut figures) != 0 {
            return Err(io::Error::last_os_error());
        }
        figures
    };
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}
