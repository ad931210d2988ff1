//! Logs that are kept beyond the attempt (`--log-dir`, `--writeLogs`, `--writeLogsGzip`): in a directory, or, where the
//! leader's directories are not here, beside the outputs, from where the leader takes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use moil_job::contents::Contents;
use moil_job::result::LeftLog;
use moil_job::spec::Attempt;
use serde::{Deserialize, Serialize};

use crate::attempt_dir;

/// Where logs are kept, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLogs {
    /// The directory; made where missing. Absolute.
    pub dir: PathBuf,
    /// Also those of jobs that succeeded.
    pub all: bool,
    /// Whether they are compressed.
    pub gzip: bool,
}

/// Which logs an attempt leaves beside its outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeftLogs {
    /// None.
    #[default]
    None,
    /// Those of an attempt that failed.
    OfFailed,
    /// All.
    All,
}

impl LeftLogs {
    /// Whether those of an attempt are left that failed, or did not.
    pub(crate) fn has(self, failed: bool) -> bool {
        match self {
            Self::None => false,
            Self::OfFailed => failed,
            Self::All => true,
        }
    }
}

/// Leaves a log beside the outputs of an attempt: its last bytes, if it has more than `most`. An empty one is not worth it.
/// Directories for copies are made in `scratch`.
///
/// # Errors
/// The system's, or the store's.
pub(crate) fn leave(
    log: &Path,
    attempt: &Attempt,
    most: Option<u64>,
    contents: &dyn Contents,
    scratch: &Path,
) -> io::Result<Option<LeftLog>> {
    let directory = scratch.join(attempt_dir::unique("logs"));
    fs::create_dir_all(&directory)?;
    let copy = directory.join(log.file_name().unwrap_or_default());
    let kept = match copy_end(log, &copy, most) {
        Ok(true) => contents.keep(&attempt.id, &copy).map(Some).map_err(io::Error::other),
        other => other.map(|_| None),
    };
    if contents.root().is_none() || !matches!(kept, Ok(Some(_))) {
        // It goes with the work directory at last.
        let _ = fs::remove_dir_all(&directory);
    }
    let job = attempt.job.name.to_string();
    Ok(kept?.map(|location| LeftLog { job, stream: stream(log).to_owned(), location }))
}

/// Copies the last bytes of a log, if there are any.
fn copy_end(log: &Path, to: &Path, most: Option<u64>) -> io::Result<bool> {
    let mut from = match File::open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let size = from.metadata()?.len();
    let mut to = File::create(to)?;
    if let Some(cut) = most.and_then(|most| size.checked_sub(most)).filter(|cut| *cut > 0) {
        writeln!(to, "[the first {cut} bytes were cut off]")?;
        from.seek(SeekFrom::Start(cut))?;
    }
    io::copy(&mut from, &mut to)?;
    Ok(size > 0)
}

fn file_name(job: &str) -> String {
    job.replace(['/', '\0'], "_")
}

fn stream(log: &Path) -> &str {
    log.file_stem().and_then(|stem| stem.to_str()).unwrap_or("log")
}

/// The most logs of one name: beyond that something else is wrong.
const MOST: u32 = 1_000_000;

impl KeptLogs {
    /// Where the logs of a job are, with a `*` in the place of their numbers.
    pub fn pattern(&self, job: &str, stream: &str) -> PathBuf {
        self.dir.join(format!("{}.{stream}_*.{}", file_name(job), self.extension()))
    }

    fn extension(&self) -> &'static str {
        if self.gzip { "log.gz" } else { "log" }
    }

    /// Copies a log into the directory as `JOB.stdout_000.log` (`.log.gz` if compressed), with the next free
    /// number. An empty log is not worth a file.
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
        let stream = stream(log);
        let (extension, job) = (self.extension(), file_name(job));
        for number in 0..MOST {
            let to = self.dir.join(format!("{job}.{stream}_{number:03}.{extension}"));
            match OpenOptions::new().write(true).create_new(true).open(to) {
                Ok(to) if self.gzip => {
                    let mut to = GzEncoder::new(to, Compression::default());
                    io::copy(&mut from, &mut to)?;
                    return to.finish().map(drop);
                }
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
        let kept = KeptLogs { dir: scratch.path().join("logs/deep"), all: true, gzip: false };
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
    #[test]
    fn compressed_logs_hold_what_was_written() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = KeptLogs { dir: scratch.path().join("logs"), all: true, gzip: true };
        let log = scratch.path().join("stderr.log");
        for text in ["first\n".repeat(100_000), "second".to_owned()] {
            fs::write(&log, text).unwrap();
            kept.keep(&log, "align").unwrap();
        }
        let read = |name: &str| {
            let file = File::open(kept.dir.join(name)).unwrap();
            io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap()
        };
        assert_eq!(read("align.stderr_000.log.gz"), "first\n".repeat(100_000));
        assert_eq!(read("align.stderr_001.log.gz"), "second");
        assert!(fs::metadata(kept.dir.join("align.stderr_000.log.gz")).unwrap().len() < 10_000);
    }
}
