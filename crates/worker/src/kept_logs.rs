//! Logs that are kept beyond the attempt (`--log-dir`, `--writeLogs`).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Where logs are kept, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLogs {
    /// The directory; made where missing. Absolute.
    pub dir: PathBuf,
    /// Also those of jobs that succeeded.
    pub all: bool,
}

/// The most logs of one name: beyond that something else is wrong.
const MOST: u32 = 1_000_000;

impl KeptLogs {
    /// Copies a log into the directory as `JOB.stdout_000.log`, with the next free number. An empty log
    /// is not worth a file.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, log: &Path, job: &str) -> io::Result<()> {
        let mut from = match File::open(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if from.metadata()?.len() == 0 {
            return Ok(());
        }
        fs::create_dir_all(&self.dir)?;
        let stream = log.file_stem().and_then(|stem| stem.to_str()).unwrap_or("log");
        let job = job.replace(['/', '\0'], "_");
        for number in 0..MOST {
            let to = self.dir.join(format!("{job}.{stream}_{number:03}.log"));
            match OpenOptions::new().write(true).create_new(true).open(to) {
                Ok(mut to) => return io::copy(&mut from, &mut to).map(drop),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_one_job_get_numbers_and_empty_ones_no_file() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = KeptLogs { dir: scratch.path().join("logs/deep"), all: true };
        let (out, err) = (scratch.path().join("stdout.log"), scratch.path().join("stderr.log"));
        fs::write(&out, "first").unwrap();
        fs::write(&err, "").unwrap();
        kept.keep(&out, "call/align").unwrap();
        kept.keep(&err, "call/align").unwrap();
        fs::write(&out, "second").unwrap();
        kept.keep(&out, "call/align").unwrap();
        kept.keep(&scratch.path().join("missing"), "x").unwrap();
        let mut names: Vec<_> = fs::read_dir(&kept.dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["call_align.stdout_000.log", "call_align.stdout_001.log"]);
        assert_eq!(fs::read_to_string(kept.dir.join("call_align.stdout_001.log")).unwrap(), "second");
    }
}
