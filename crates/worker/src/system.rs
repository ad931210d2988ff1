//! Errors of the operating system as failures, and how an attempt's steps return them.

use std::io;
use std::path::Path;

use moil_job::failure::{Failure, FailureKind};

/// What a step of an attempt gives.
pub type Result<T> = std::result::Result<T, Box<Failure>>;

/// The failure of an operation on a path: `cannot make the directory /x`.
pub fn failure(operation: &str, path: &Path, error: &io::Error) -> Box<Failure> {
    let failure =
        Failure::new(kind(error), format!("cannot {operation} {}", path.display())).with_cause(error);
    Box::new(match error.kind() {
        io::ErrorKind::StorageFull => failure.with_advice(
            "free space on that disk, or choose a place on another one with --workDir or --tmpdir-prefix",
        ),
        io::ErrorKind::QuotaExceeded => failure.with_advice(
            "your quota is used up: free space, or choose another place with --workDir or --tmpdir-prefix",
        ),
        io::ErrorKind::PermissionDenied => failure.with_advice(
            "look at the owner and the permissions of that path and of the directories above it",
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            failure.with_advice("choose a place that can be written with --workDir or --tmpdir-prefix")
        }
        _ => failure,
    })
}

/// What kind of failure an error is: a full disk is not like the others.
pub fn kind(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::OutOfDisk,
        _ => FailureKind::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disks_and_missing_permissions_are_told_apart() {
        let check = |errno: i32, kind: FailureKind, advice: &str| {
            let found = failure("write", Path::new("/x"), &io::Error::from_raw_os_error(errno));
            assert_eq!(found.kind, kind);
            assert!(found.advice.as_deref().unwrap_or_default().contains(advice), "{found:?}");
            assert_eq!(found.message, "cannot write /x");
        };
        check(libc::ENOSPC, FailureKind::OutOfDisk, "free space on that disk");
        check(libc::EDQUOT, FailureKind::OutOfDisk, "quota");
        check(libc::EACCES, FailureKind::System, "permissions");
        check(libc::EROFS, FailureKind::System, "--workDir");
        check(libc::EIO, FailureKind::System, "");
    }
}
