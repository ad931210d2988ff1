//! A directory of its own for a test, with the programs called in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toil_cwl_runner::exit_code::ExitCode;
use toil_cwl_runner::invocation::{Capture, Invocation};

use super::Answer;

/// Where the tools of the tests are.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A directory for documents, with `tmp` for temporary files.
pub struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("the directory is made");
        std::fs::create_dir(dir.path().join("tmp")).expect("the directory is made");
        Self { dir }
    }

    /// One with a document `main.cwl`.
    pub fn with(document: &str) -> Self {
        let sandbox = Self::new();
        sandbox.write("main.cwl", document);
        sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).expect("the file is written");
    }

    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let bytes = std::fs::read(self.dir.path().join(&name)).unwrap_or_else(|error| {
            panic!("{}: {error}", name.as_ref().display());
        });
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is in a directory, sorted.
    pub fn list(&self, name: &str) -> Vec<OsString> {
        let entries = std::fs::read_dir(self.path(name)).expect("the directory is read");
        let mut names: Vec<OsString> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    }

    /// Calls `toil-cwl-runner` in process.
    pub fn run(&self, args: &[&str]) -> Answer {
        self.run_os(args.iter().map(OsString::from).collect())
    }

    pub fn run_os(&self, args: Vec<OsString>) -> Answer {
        self.run_with(args, &[])
    }

    /// The same with more in the environment.
    pub fn run_with(&self, args: Vec<OsString>, env: &[(&str, &str)]) -> Answer {
        let mut stdout = Vec::new();
        let stderr = Capture::default();
        let code = toil_cwl_runner::run(Invocation {
            program: "toil-cwl-runner".to_owned(),
            executable: Some(env!("CARGO_BIN_EXE_toil-cwl-runner").into()),
            args,
            cwd: self.dir.path().to_owned(),
            env: [("PATH".into(), PATH.into()), ("TMPDIR".into(), self.path("tmp").into())]
                .into_iter()
                .chain(env.iter().map(|(name, value)| (name.into(), value.into())))
                .collect(),
            stdin: Box::new(std::io::empty()),
            stdout: &mut stdout,
            stderr: Box::new(stderr.clone()),
            stderr_is_terminal: false,
            spawner: None,
            signals: Default::default(),
        });
        let stdout = String::from_utf8(stdout).expect("it is text");
        let answer = Answer { code, stdout, stderr: stderr.text() };
        if answer.code == ExitCode::SUCCESS {
            assert_eq!(self.list("tmp"), Vec::<OsString>::new(), "nothing is left behind: {}", answer.stderr);
        } else {
            assert_eq!(answer.stdout, "", "stdout is empty after a failure");
        }
        answer
    }

    /// Runs the document with success; gives the output object.
    pub fn outputs(&self, args: &[&str]) -> serde_json::Value {
        let answer = self.run(args);
        assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
        serde_json::from_str(&answer.stdout).expect("stdout is JSON and nothing else")
    }

    /// Runs the document with a failure; gives what is said.
    pub fn failure(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, ExitCode::FAILURE, "{}", answer.stderr);
        assert!(!answer.stderr.contains("defect"), "{}", answer.stderr);
        answer.stderr
    }

    /// The real program, not yet started.
    pub fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toil-cwl-runner"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", PATH)
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A number that is in no other command line, to find processes by.
pub fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}{:03}", 9_000_000 + std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

/// The commands of living processes that have a word in their arguments.
pub fn processes_with(word: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            path.file_name()?.to_str()?.parse::<u32>().ok()?;
            let command =
                String::from_utf8_lossy(&std::fs::read(path.join("cmdline")).ok()?).replace('\0', " ");
            command.split(' ').any(|argument| argument == word).then_some(command)
        })
        .collect()
}

/// Waits for something to become true.
pub fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    for _ in 0..9000 {
        if test() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{what} never came true");
}

/// Numbers that can be had again by their seed.
pub struct Random(pub u64);

impl Random {
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a seed can be given by hand")]
        let given = std::env::var("MOIL_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(given.unwrap_or_else(|| u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
