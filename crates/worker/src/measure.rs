//! Size and checksum of the files that a job made, each read once.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::error::Error;
use moil_cwl::files::{Entry, Files, Stat};
use moil_job::failure::{Failure, FailureKind};
use sha1::{Digest as _, Sha1};

use crate::cancel::Cancel;
use crate::files::{self, LocalFiles};
use crate::process::boxed;
use crate::system;

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 20;

/// Checksum, if these are computed, and size in bytes.
pub type Measure = (Option<Arc<str>>, u64);

/// Measures files, and remembers what it measured: an expression may have wanted to know before the files
/// are published.
pub struct Measures<'a> {
    /// Whether checksums are computed.
    pub checksums: bool,
    cancel: &'a Cancel,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    buffer: Vec<u8>,
    /// By location.
    files: HashMap<Arc<str>, Measure>,
}

impl<'a> Measures<'a> {
    /// Nothing measured yet.
    pub fn new(checksums: bool, cancel: &'a Cancel) -> Self {
        Self { checksums, cancel, known: Mutex::default() }
    }

    /// Checksum and size of a file.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, or the attempt was cancelled.
    pub fn measure(&self, location: &str) -> system::Result<Measure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(measure) = known.files.get(location) {
            return Ok(measure.clone());
        }
        let path = files::path_of(location).map_err(boxed)?;
        let measure = self.read(&path, &mut known.buffer)?;
        known.files.insert(location.into(), measure.clone());
        Ok(measure)
    }

    fn read(&self, path: &Path, buffer: &mut Vec<u8>) -> system::Result<Measure> {
        let failed = |error: io::Error| system::failure("read the output file", path, &error);
        if !self.checksums {
            let metadata = fs::metadata(path).map_err(failed)?;
            return if metadata.is_file() { Ok((None, metadata.len())) } else { Err(not_regular(path)) };
        }
        // Opening a pipe that nobody writes would wait for ever; a socket cannot be opened at all.
        let mut file = match fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Err(not_regular(path)),
            opened => opened.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(not_regular(path));
        }
        let wanted = usize::try_from(metadata.len()).unwrap_or(BUFFER).clamp(1, BUFFER);
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let mut hash = Sha1::new();
        let mut size = 0;
        loop {
            self.cancel.check()?;
            match file.read(buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hash.update(buffer.get(..count).unwrap_or_default());
                    size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok((Some(checksum(&hash.finalize()).into()), size))
    }
}

fn not_regular(path: &Path) -> Box<Failure> {
    let message = format!("the output {} is not a regular file", path.display());
    Box::new(Failure::new(FailureKind::BadOutput, message))
}

/// Files as the collection of outputs sees them.
impl Files for Measures<'_> {
    fn stat(&self, location: &str) -> Result<Option<Stat>, Error> {
        LocalFiles.stat(location)
    }

    fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, Error> {
        LocalFiles.read_prefix(location, limit)
    }

    fn checksum(&self, location: &str) -> Result<Option<Arc<str>>, Error> {
        if !self.checksums {
            return Ok(None);
        }
        self.measure(location)
            .map(|(checksum, _)| checksum)
            .map_err(|failure| Error::File { location: location.to_owned(), reason: failure.message.clone() })
    }

    fn list(&self, location: &str) -> Result<Vec<Entry>, Error> {
        LocalFiles.list(location)
    }
}

/// `sha1$…`, as CWL writes checksums.
fn checksum(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(5 + 2 * digest.len());
    text.push_str("sha1$");
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
