//! Logs that are kept beyond the attempt (`--log-dir`, `--writeLogs`, `--writeLogsGzip`).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

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

/// The most logs of one name: beyond that something else is wrong.
const MOST: u32 = 1_000_000;

impl KeptLogs {
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
        let stream = log.file_stem().and_then(|stem| stem.to_str()).unwrap_or("log");
        let extension = if self.gzip { "log.gz" } else { "log" };
        let job = job.replace(['/', '\0'], "_");
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
