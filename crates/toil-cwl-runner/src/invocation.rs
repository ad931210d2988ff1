//! What a program gets from outside. The real one is made by the binaries, others by tests.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use moil_worker::spawner::Spawner;

use crate::signals::Signals;

/// One call of the program.
pub struct Invocation<'a> {
    /// The program's name, for messages.
    pub program: String,
    /// Where the program lies, and `moil` beside it.
    pub executable: Option<PathBuf>,
    /// The words after it.
    pub args: Vec<OsString>,
    /// The current directory, absolute.
    pub cwd: PathBuf,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where an input object named `-` is read.
    pub stdin: Box<dyn Read + Send + 'a>,
    /// Where the output object goes, and nothing else.
    pub stdout: &'a mut dyn Write,
    /// Where all else goes. Lines of the log come from several threads.
    pub stderr: Box<dyn Write + Send>,
    /// Colours and progress make sense on stderr.
    pub stderr_is_terminal: bool,
    /// The process that starts tools, where it was forked already; otherwise it is when it is needed.
    pub spawner: Option<Spawner>,
    /// Tells of SIGINT and SIGTERM.
    pub signals: Signals,
}

impl<'a> Invocation<'a> {
    /// The call of this process.
    ///
    /// # Errors
    /// The current directory is gone or unreadable.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where a process looks around")]
    pub fn of_this_process(
        stdout: &'a mut dyn Write,
        spawner: Option<Spawner>,
        signals: Signals,
    ) -> io::Result<Self> {
        let mut args = std::env::args_os();
        let program = args.next().map(PathBuf::from).unwrap_or_default();
        let program = program.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            program: program.unwrap_or_else(|| "toil-cwl-runner".to_owned()),
            executable: std::env::current_exe().ok(),
            args: args.collect(),
            cwd: std::env::current_dir()?,
            env: std::env::vars_os().collect(),
            stdin: Box::new(io::stdin()),
            stdout,
            stderr: Box::new(io::stderr()),
            stderr_is_terminal: io::stderr().is_terminal(),
            spawner,
            signals,
        })
    }
}

/// A stderr that is kept in memory. Clones write to the same memory.
#[derive(Clone, Debug, Default)]
pub struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    /// What was written so far; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
