//! The file that gets the log too (`--logFile`), and how it is kept short (`--rotatingLogging`).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How large a file may grow where logs rotate, in bytes: as in Toil.
const LIMIT: u64 = 1_000_000;

/// A log file. It is written at its end.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// Where it is to rotate, how large it is, and how large it may be.
    rotation: Option<(u64, u64)>,
}

impl LogFile {
    /// Opens or makes the file. With `rotating`, what would make it larger than [`LIMIT`] goes into a new one:
    /// the full one becomes `FILE.1`, in the place of the one that was called so.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, rotating: bool) -> io::Result<Self> {
        Self::with_limit(path, rotating.then_some(LIMIT))
    }

    fn with_limit(path: &Path, limit: Option<u64>) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let metadata = file.metadata()?;
        // Pipes and devices cannot be set aside.
        let rotation = limit.filter(|_| metadata.is_file()).map(|limit| (metadata.len(), limit));
        Ok(Self { path: path.to_owned(), file, rotation })
    }

    /// Writes one entry, which is never split over two files.
    ///
    /// # Errors
    /// The system's. Where the full file cannot be set aside, it grows.
    pub fn write(&mut self, entry: &str) -> io::Result<()> {
        let length = entry.len() as u64;
        if let Some((size, limit)) = self.rotation
            && size > 0
            && size + length > limit
            && let Ok(file) = self.next()
        {
            self.file = file;
            self.rotation = Some((0, limit));
        }
        if let Some((size, _)) = &mut self.rotation {
            *size += length;
        }
        self.file.write_all(entry.as_bytes())
    }

    fn next(&self) -> io::Result<File> {
        let mut older = OsString::from(&self.path);
        older.push(".1");
        fs::rename(&self.path, older)?;
        OpenOptions::new().append(true).create(true).open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path, name: &str) -> String {
        fs::read_to_string(path.with_file_name(name)).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_full_file_is_set_aside_and_older_ones_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        fs::write(&path, "old\n").expect("it is written");
        let mut log = LogFile::with_limit(&path, Some(10)).expect("it is opened");
        let mut check = |entry: &str, current: &str, older: Option<&str>| {
            log.write(entry).expect("it is written");
            assert_eq!(read(&path, "log"), current);
            match older {
                Some(older) => assert_eq!(read(&path, "log.1"), older),
                None => assert!(!path.with_file_name("log.1").exists()),
            }
        };
        check("first\n", "old\nfirst\n", None);
        check("second\n", "second\n", Some("old\nfirst\n"));
        check("longer than the limit\n", "longer than the limit\n", Some("second\n"));
        check("x\n", "x\n", Some("longer than the limit\n"));
        assert_eq!(fs::read_dir(dir.path()).expect("it is read").count(), 2);
    }

    #[test]
    fn without_rotation_a_file_grows() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut log = LogFile::open(&path, false).expect("it is opened");
        (0..3).for_each(|_| log.write(&"x".repeat(600_000)).expect("it is written"));
        assert_eq!(read(&path, "log").len(), 1_800_000);
        let mut log = LogFile::open(&path, true).expect("it is opened");
        log.write("new\n").expect("it is written");
        assert_eq!((read(&path, "log").as_str(), read(&path, "log.1").len()), ("new\n", 1_800_000));
    }

    #[test]
    fn a_file_that_cannot_be_set_aside_grows() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        fs::create_dir_all(path.with_file_name("log.1").join("full")).expect("it is made");
        let mut log = LogFile::with_limit(&path, Some(3)).expect("it is opened");
        log.write("one\n").expect("it is written");
        log.write("two\n").expect("it is written");
        assert_eq!(read(&path, "log"), "one\ntwo\n");
    }

    #[test]
    fn devices_are_not_set_aside() {
        let mut log = LogFile::with_limit(Path::new("/dev/null"), Some(1)).expect("it is opened");
        log.write("one\n").expect("it is written");
        log.write("two\n").expect("it is written");
        assert!(!Path::new("/dev/null.1").exists());
    }
}
