//! An executor whose workers are processes of their own: what a cluster is, on one machine. The leader and a worker
//! have nothing in common but the job store and the pipes between them, and a worker goes on when its leader is gone.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use moil_job::exchange::Exchange;
use moil_job::executor::{Executor, Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::Outcome;
use moil_job::secret::Secrets;
use moil_job::spec::{Attempt, AttemptId};

use crate::cancel::Cancel;

/// How many of the last lines are told of a worker that left no result.
const LAST_LINES: usize = 10;

/// How a worker is started. `--attempt WORD` is added, and its secrets are written to its standard input.
#[derive(Clone, Debug)]
pub struct WorkerProgram {
    /// The program.
    pub program: PathBuf,
    /// The words before those of the attempt.
    pub args: Vec<OsString>,
    /// All its variables.
    pub environment: Vec<(OsString, OsString)>,
}

/// Runs each attempt in a process of its own.
pub struct ProcessExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    program: WorkerProgram,
    exchange: Arc<dyn Exchange>,
    reporter: Reporter,
    state: Mutex<State>,
    /// Told when an attempt is over.
    over: Condvar,
}

#[derive(Default)]
struct State {
    active: HashMap<AttemptId, Active>,
    closed: bool,
}

/// An attempt that was submitted and not reported.
#[derive(Default)]
struct Active {
    cancelled: bool,
    /// The worker, from its start until it is waited for: until then its number is no other process's.
    process: Option<u32>,
}

impl ProcessExecutor {
    /// An executor that reports to `reporter`.
    pub fn new(program: WorkerProgram, exchange: Arc<dyn Exchange>, reporter: Reporter) -> Self {
        let (state, over) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { program, exchange, reporter, state, over }) }
    }
}

impl Executor for ProcessExecutor {
    fn submit(&mut self, attempts: Vec<Attempt>) {
        for attempt in attempts {
            let id = attempt.id.clone();
            {
                let mut state = self.shared.state();
                if state.active.contains_key(&id) {
                    continue;
                }
                let cancelled = state.closed;
                state.active.insert(id.clone(), Active { cancelled, process: None });
            }
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("worker process".to_owned()).spawn(move || {
                let outcome = shared.carry_out(&attempt);
                shared.finish(attempt.id, outcome);
            });
            if let Err(error) = thread {
                let failure = Failure::new(FailureKind::System, "cannot make a thread for the job")
                    .with_cause(error)
                    .with_advice(
                        "the limit of processes may be reached (see ulimit -u): run fewer jobs at a time",
                    );
                self.shared.finish(id, failed(failure));
            }
        }
    }

    fn cancel(&mut self, attempts: &[AttemptId]) {
        let mut state = self.shared.state();
        for id in attempts {
            if let Some(active) = state.active.get_mut(id) {
                active.end();
            }
        }
    }

    fn leave(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        // Whoever is not known any more is not reported.
        state.active.clear();
    }

    fn shut_down(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        state.active.values_mut().for_each(Active::end);
        while !state.active.is_empty() {
            state = self.shared.over.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Active {
    /// Asks the worker to end. It has what its tool has to end, and as long as it takes to say so.
    #[expect(unsafe_code, reason = "kill has no safe interface in std")]
    fn end(&mut self) {
        self.cancelled = true;
        if let Some(process) = self.process.and_then(|process| i32::try_from(process).ok()) {
            // SAFETY: a plain system call; the process is our child and was not waited for, so that the number is its own.
            unsafe { libc::kill(process, libc::SIGTERM) };
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cancelled(&self, id: &AttemptId) -> bool {
        self.state().active.get(id).is_none_or(|active| active.cancelled)
    }

    fn finish(&self, id: AttemptId, outcome: Outcome) {
        let known = self.state().active.remove(&id).is_some();
        if known {
            (self.reporter)(Report::Finished(id, outcome));
        }
        self.over.notify_all();
    }

    fn carry_out(&self, attempt: &Attempt) -> Outcome {
        let id = &attempt.id;
        if self.is_cancelled(id) {
            return failed(Cancel::failure());
        }
        let word = match self.exchange.hand_over(attempt) {
            Ok(word) => word,
            Err(failure) => return failed(failure),
        };
        let ended = self.run(id, &word, &attempt.secrets);
        // What a worker left is what came of the attempt, whatever became of the worker.
        match (self.exchange.outcome(&word, id), ended) {
            (Ok(Some(Outcome::Failed(failure))), _)
                if failure.kind == FailureKind::Lost && self.is_cancelled(id) =>
            {
                failed(Cancel::failure())
            }
            (Ok(Some(outcome)), _) => outcome,
            (Err(failure), _) => failed(failure),
            (Ok(None), _) if self.is_cancelled(id) => failed(Cancel::failure()),
            (Ok(None), Err(error)) => {
                let message = format!("cannot start the worker {}", self.program.program.display());
                failed(Failure::new(FailureKind::System, message).with_cause(error))
            }
            (Ok(None), Ok((status, last_lines))) => failed(Failure {
                last_lines,
                ..Failure::new(FailureKind::Lost, format!("the worker of {id} left no result ({status})"))
            }),
        }
    }

    /// Runs a worker to its end. Gives its last lines.
    fn run(&self, id: &AttemptId, word: &str, secrets: &Secrets) -> io::Result<(ExitStatus, Vec<String>)> {
        let WorkerProgram { program, args, environment } = &self.program;
        let mut child = {
            // Held until the process is known, so that who cancels meets it.
            let mut state = self.state();
            let Some(active) = state.active.get_mut(id).filter(|active| !active.cancelled) else {
                return Err(io::Error::other("it was cancelled"));
            };
            let mut command = Command::new(program);
            command
                .args(args)
                .args(["--attempt", word])
                .env_clear()
                .envs(environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            own_session(&mut command);
            let child = command.spawn()?;
            active.process = Some(child.id());
            child
        };
        let last_lines = self.follow(id, &mut child, secrets);
        // It is over, or has closed its streams: it is waited for without being reaped, since until then its number is
        // used to cancel it.
        wait_without_reaping(child.id());
        if let Some(active) = self.state().active.get_mut(id) {
            active.process = None;
        }
        Ok((child.wait()?, last_lines))
    }

    /// Gives a worker its secrets and hears what it says, until it says no more.
    fn follow(&self, id: &AttemptId, child: &mut Child, secrets: &Secrets) -> Vec<String> {
        if let Some(mut stdin) = child.stdin.take() {
            // One that is gone says why.
            let _ = stdin.write_all(&moil_job::wire::write_secrets(secrets));
        }
        let errors = child.stderr.take();
        let listener = thread::Builder::new().name("worker's messages".to_owned()).spawn(move || {
            let mut last = VecDeque::new();
            each_line(errors, |line| {
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(line);
            });
            last
        });
        each_line(child.stdout.take(), |line| (self.reporter)(Report::Output(id.clone(), line)));
        let last = listener.ok().and_then(|listener| listener.join().ok()).unwrap_or_default();
        last.into()
    }
}

/// Lets a process begin a session of its own: neither a terminal's signals nor the end of the leader reach it.
#[expect(unsafe_code, reason = "std runs nothing before exec that it cannot vouch for")]
fn own_session(command: &mut Command) {
    let begin = || {
        // SAFETY: a plain system call.
        let session = unsafe { libc::setsid() };
        if session < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec only a system call is made, which neither locks nor allocates.
    unsafe { command.pre_exec(begin) };
}

/// Reads a stream to its end, in lines; what is no UTF-8 is replaced.
fn each_line(stream: Option<impl Read>, mut take: impl FnMut(String)) {
    let Some(stream) = stream else { return };
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(line) = line else { return };
        take(String::from_utf8_lossy(&line).into_owned());
    }
}

#[expect(unsafe_code, reason = "waitid has no safe interface in std")]
fn wait_without_reaping(process: u32) {
    loop {
        // SAFETY: `info` is plain memory that the call fills in; the process is our child.
        let done = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, process, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if done == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

fn failed(failure: Failure) -> Outcome {
    Outcome::Failed(Box::new(failure))
}
