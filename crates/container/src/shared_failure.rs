//! Failures that those who waited for an image share, in whichever process they are: a registry that hangs is waited for
//! once, and not by one after the other.
//!
//! A failure is noted beside the image's lock, under which it is written and read. Only what lies with the registry is
//! shared: another process may have another password, or more space.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::ImageError;

/// Notes how trying to get an image ended, for those who wait for its lock.
pub(crate) fn note<T>(lock: &Path, result: &Result<T, ImageError>) {
    let path = path(lock);
    // Without a note others try it themselves, and with half of one too.
    let _ = match result {
        Err(error) if error.is_passing() => {
            fs::write(path, format!("{} {error}\n", since_1970(SystemTime::now()).as_millis()))
        }
        _ => fs::remove_file(path),
    };
}

/// The failure of another process, noted since we began to wait.
pub(crate) fn since(lock: &Path, began: SystemTime, image: &str) -> Option<ImageError> {
    let text = fs::read_to_string(path(lock)).ok()?;
    let (at, said) = text.strip_suffix('\n')?.split_once(' ')?;
    let is_ours = at.parse().is_ok_and(|at| Duration::from_millis(at) >= since_1970(began));
    is_ours.then(|| ImageError::Elsewhere { image: image.into(), said: said.into() })
}

fn path(lock: &Path) -> PathBuf {
    let mut path = OsString::from(lock);
    path.push(".failed");
    path.into()
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_for_those_who_waited_and_not_for_those_who_come_after() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("a.pull");
        let hour = Duration::from_secs(3600);
        let (before, after) = (SystemTime::now() - hour, SystemTime::now() + hour);
        let failed = |said: &str| {
            Err::<(), _>(ImageError::Registry { image: "a".into(), registry: "r".into(), said: said.into() })
        };
        note(&lock, &failed("no"));
        let shared = since(&lock, before, "a").unwrap();
        assert_eq!(
            shared.to_string(),
            "another process tried to get a, and failed: a could not be fetched from r: no"
        );
        assert_eq!(since(&lock, after, "a"), None);
        // Another process may have another password.
        let denied = ImageError::Denied { image: "a".into(), registry: "r".into(), said: "no".into() };
        note(&lock, &Err::<(), _>(denied));
        assert_eq!(since(&lock, before, "a"), None);
        note(&lock, &failed("no"));
        note(&lock, &Ok(()));
        assert_eq!(since(&lock, before, "a"), None);
        fs::write(path(&lock), format!("{}000 half", u32::MAX)).unwrap();
        assert_eq!(since(&lock, before, "a"), None);
    }
}
