//! What leader and supervisors say to each other.
//!
//! A request is a header of words and a body. The body is laid out by the leader so that the other
//! side, which may not allocate, can use it as it is: tables of offsets that become pointers in
//! place, and strings that end in NUL. A report is a few words.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

use moil_container::direct::Mount;

use super::Command;

/// Words of a request's header.
pub(super) const HEADER_WORDS: usize = 19;
/// Bytes of a request's header.
pub(super) const HEADER_BYTES: usize = HEADER_WORDS * 8;
/// Words of a report.
pub(super) const REPORT_WORDS: usize = 5;
/// Bytes of a report.
pub(super) const REPORT_BYTES: usize = REPORT_WORDS * 8;

/// Where each fact stands in a request's header. Offsets count from the start of the body; 0 means "none".
pub(super) mod header {
    /// [`START`] or [`KILL`].
    pub(in super::super) const KIND: usize = 0;
    /// The number that the leader gave the process.
    pub(in super::super) const ID: usize = 1;
    /// Bytes of the body.
    pub(in super::super) const BODY: usize = 2;
    /// Offset of the table of arguments; it ends with a zero.
    pub(in super::super) const ARGV: usize = 3;
    /// Offset of the table of environment variables; it ends with a zero.
    pub(in super::super) const ENV: usize = 4;
    /// Offset of the working directory.
    pub(in super::super) const CWD: usize = 5;
    /// Offset of standard input's path.
    pub(in super::super) const STDIN: usize = 6;
    /// Offset of standard output's path.
    pub(in super::super) const STDOUT: usize = 7;
    /// Offset of standard error's path; 0 to join it to standard output.
    pub(in super::super) const STDERR: usize = 8;
    /// Offset of the directories to search, as in `PATH`.
    pub(in super::super) const PATH: usize = 9;
    /// Offset of the limits: resource, soft, hard; three words each.
    pub(in super::super) const LIMITS: usize = 10;
    /// How many limits there are.
    pub(in super::super) const LIMIT_COUNT: usize = 11;
    /// Offset of the directory that becomes the root; 0 for the machine's own.
    pub(in super::super) const ROOT: usize = 13;
    /// Offset of the mounts: source, target, filesystem (0 for a bind), options, and whether it is read-only; five
    /// words each.
    pub(in super::super) const MOUNTS: usize = 14;
    /// How many mounts there are.
    pub(in super::super) const MOUNT_COUNT: usize = 15;
    /// Offset of the working directory below the new root.
    pub(in super::super) const INSIDE: usize = 16;
    /// Whether there is to be no network but loopback.
    pub(in super::super) const NO_NETWORK: usize = 17;
    /// Whether standard input is read through a pipe.
    pub(in super::super) const PIPE: usize = 18;
    /// Milliseconds between SIGTERM and SIGKILL, for [`KILL`].
    pub(in super::super) const GRACE: usize = 12;

    /// Start a process.
    pub(in super::super) const START: u64 = 1;
    /// End one.
    pub(in super::super) const KILL: u64 = 2;
}

/// Where each fact stands in a report.
pub(super) mod report {
    /// One of the kinds below.
    pub(in super::super) const KIND: usize = 0;
    /// The wait status, for [`ENDED`]; `errno`, for [`FAILED`].
    pub(in super::super) const STATUS: usize = 1;
    /// Nanoseconds from start to end; the [stage](super::stage), for [`FAILED`].
    pub(in super::super) const WALL: usize = 2;
    /// Microseconds of user and system time.
    pub(in super::super) const CPU: usize = 3;
    /// The largest resident set, in KiB.
    pub(in super::super) const RSS: usize = 4;

    /// The process and all its descendants are gone, or there never was one. Every request ends with it.
    pub(in super::super) const ENDED: u64 = 1;
    /// The process could not be started. [`ENDED`] follows.
    pub(in super::super) const FAILED: u64 = 2;
}

/// What failed when a process could not be started.
pub(super) mod stage {
    /// `fork`.
    pub(in super::super) const FORK: u64 = 1;
    /// `chdir` to the working directory.
    pub(in super::super) const CWD: u64 = 2;
    /// Opening standard input.
    pub(in super::super) const STDIN: u64 = 3;
    /// Opening standard output.
    pub(in super::super) const STDOUT: u64 = 4;
    /// Opening standard error.
    pub(in super::super) const STDERR: u64 = 5;
    /// `setrlimit`.
    pub(in super::super) const LIMIT: u64 = 6;
    /// `execve`.
    pub(in super::super) const EXEC: u64 = 7;
    /// Namespaces and mounts.
    pub(in super::super) const ISOLATION: u64 = 8;
}

/// A request to start `command` as process number `id`: header and body in one piece.
///
/// # Errors
/// `InvalidInput` where a string holds a NUL byte, or there are no arguments.
pub(super) fn start_request(id: u64, command: &Command) -> io::Result<Vec<u8>> {
    if command.argv.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command line is empty"));
    }
    let mut header = [0u64; HEADER_WORDS];
    header[header::KIND] = header::START;
    header[header::ID] = id;
    // A first word that nothing points to, so that no offset is 0.
    let mut body = Body { tables: vec![0], strings: Vec::new() };

    let strings_of_environment = command.environment.iter().map(|(name, value)| {
        let mut entry = name.as_bytes().to_vec();
        entry.push(b'=');
        entry.extend_from_slice(value.as_bytes());
        entry
    });
    header[header::ARGV] = body.table(command.argv.iter().map(|word| word.as_bytes().to_vec()))?;
    header[header::ENV] = body.table(strings_of_environment)?;
    header[header::LIMITS] = body.words(command.limits.iter().flat_map(|l| [l.resource, l.soft, l.hard]));
    header[header::LIMIT_COUNT] = command.limits.len() as u64;

    if let Some(isolation) = &command.isolation {
        header[header::MOUNTS] = body.mounts(&isolation.mounts)?;
        header[header::MOUNT_COUNT] = isolation.mounts.len() as u64;
        header[header::NO_NETWORK] = u64::from(isolation.no_network);
    }
    header[header::PIPE] = u64::from(command.through_pipe);
    let path = command.environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"), |(_, value)| value.as_os_str());
    let joined = command.stdout == command.stderr;
    let single = [
        (header::CWD, Some(command.cwd.as_os_str())),
        (header::STDIN, Some(command.stdin.as_deref().map_or(OsStr::new("/dev/null"), |p| p.as_os_str()))),
        (header::STDOUT, Some(command.stdout.as_os_str())),
        (header::STDERR, (!joined).then_some(command.stderr.as_os_str())),
        (header::PATH, Some(path)),
        (header::ROOT, command.isolation.as_ref().map(|isolation| isolation.root.as_os_str())),
        (header::INSIDE, command.isolation.as_ref().map(|isolation| isolation.directory.as_os_str())),
    ];
    let mut at = Vec::with_capacity(single.len());
    for (word, text) in single {
        if let Some(text) = text {
            at.push((word, body.string(text.as_bytes().to_vec())?));
        }
    }
    Ok(body.finish(header, &at))
}

/// A request to end process number `id`: SIGTERM, and SIGKILL after `grace` milliseconds.
pub(super) fn kill_request(id: u64, grace: u64) -> Vec<u8> {
    let mut header = [0u64; HEADER_WORDS];
    header[header::KIND] = header::KILL;
    header[header::ID] = id;
    header[header::GRACE] = grace;
    header.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A body while it is made: tables first, strings behind them. Until [`finish`](Self::finish),
/// string offsets count from the start of the strings and are marked.
struct Body {
    tables: Vec<u64>,
    strings: Vec<u8>,
}

/// Marks a word of a table as an offset into the strings. No resource limit has it: see [`Body::words`].
const STRING: u64 = 1 << 62;

impl Body {
    fn string(&mut self, text: Vec<u8>) -> io::Result<u64> {
        let at = self.strings.len() as u64;
        let text = CString::new(text).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "a NUL byte in a command line or variable")
        })?;
        self.strings.extend_from_slice(text.as_bytes_with_nul());
        Ok(at)
    }

    fn table(&mut self, texts: impl Iterator<Item = Vec<u8>>) -> io::Result<u64> {
        let at = self.tables.len() as u64 * 8;
        for text in texts {
            let string = self.string(text)?;
            self.tables.push(STRING | string);
        }
        self.tables.push(0);
        Ok(at)
    }

    fn mounts(&mut self, mounts: &[Mount]) -> io::Result<u64> {
        let at = self.tables.len() as u64 * 8;
        for mount in mounts {
            let source = self.string(mount.source.as_os_str().as_bytes().to_vec())?;
            let target = self.string(mount.target.as_os_str().as_bytes().to_vec())?;
            let filesystem = match mount.filesystem {
                Some(name) => STRING | self.string(name.to_bytes().to_vec())?,
                None => 0,
            };
            let data = self.string(mount.data.as_bytes().to_vec())?;
            self.tables.extend([
                STRING | source,
                STRING | target,
                filesystem,
                STRING | data,
                u64::from(mount.read_only),
            ]);
        }
        Ok(at)
    }

    /// Plain words. "Unlimited" is all ones, every other limit is below 2^62, so none looks like a string.
    fn words(&mut self, words: impl Iterator<Item = u64>) -> u64 {
        let at = self.tables.len() as u64 * 8;
        self.tables.extend(words.map(|word| if word >= STRING { u64::MAX } else { word }));
        at
    }

    fn finish(self, mut header: [u64; HEADER_WORDS], strings_in_header: &[(usize, u64)]) -> Vec<u8> {
        let base = self.tables.len() as u64 * 8;
        for &(word, at) in strings_in_header {
            header[word] = base + at;
        }
        header[header::BODY] = base + self.strings.len() as u64;
        let is_string = |word: u64| word != u64::MAX && word & STRING != 0;
        let tables =
            self.tables.iter().map(|&word| if is_string(word) { base + (word & !STRING) } else { word });
        let mut bytes = Vec::with_capacity(HEADER_BYTES + base as usize + self.strings.len());
        bytes.extend(header.iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(tables.flat_map(|word| word.to_ne_bytes()));
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}

/// The words of a report.
pub(super) fn report_words(bytes: &[u8; REPORT_BYTES]) -> [u64; REPORT_WORDS] {
    let mut words = [0; REPORT_WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}
