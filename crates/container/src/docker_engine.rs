//! Docker and Podman: which of them there is, and ending what they run.
//!
//! Whoever kills the client of such an engine does not end the container: a daemon runs it. So each container has a
//! name by which it is removed when its client was killed, and each run has a janitor: a process that waits for our
//! end, however we end, and then removes what still has the run's label.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::docker::{self, LABEL};
use crate::lock;
use crate::process::{self, End};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client of a daemon.
    Docker,
    /// An engine without a daemon.
    Podman,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        })
    }
}

/// An engine that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerEngine {
    /// The program, absolute.
    pub program: PathBuf,
    /// Which it is.
    pub kind: Kind,
    /// What no other run is called: the label of this run's containers, and part of their names.
    pub run: String,
    /// What the engine gets as environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// Why there is no engine.
#[derive(Debug, Error)]
pub enum DockerError {
    /// It is not in PATH.
    #[error("{0} is not in PATH")]
    NotFound(&'static str),
    /// The client could not be started.
    #[error("{program:?} cannot be started: {error}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// No daemon answers.
    #[error("no daemon of Docker answers: {said}")]
    NoDaemon {
        /// The client's words.
        said: String,
    },
}

impl DockerEngine {
    /// Finds an engine in these folders (the value of `PATH`). Docker is of use only with a daemon, which is given
    /// this long to answer.
    ///
    /// # Errors
    /// It is not there, or no daemon answers.
    pub fn detect(
        kind: Kind,
        path: &OsStr,
        environment: &[(OsString, OsString)],
        patience: Duration,
    ) -> Result<Self, DockerError> {
        let name = match kind {
            Kind::Docker => "docker",
            Kind::Podman => "podman",
        };
        let program = which::which_in_global(name, Some(path))
            .ok()
            .and_then(|mut found| found.next())
            .ok_or(DockerError::NotFound(name))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{}.{:x}", lock::own_suffix(), now.as_nanos());
        let engine = Self { program, kind, run, environment: environment.to_vec() };
        if kind == Kind::Docker {
            engine.ask(patience)?;
        }
        Ok(engine)
    }

    /// Asks the daemon for a sign of life. Podman has none, and is well.
    ///
    /// # Errors
    /// It does not answer in this time.
    pub fn ask(&self, patience: Duration) -> Result<(), DockerError> {
        if self.kind == Kind::Podman {
            return Ok(());
        }
        let mut command = self.command(["version", "--format", "{{.Server.Version}}"]);
        let finished = process::run(&mut command, patience * 2, &mut |since| since < patience)
            .map_err(|error| DockerError::Start { program: self.program.clone(), error })?;
        match finished.end {
            End::Exited(0) => Ok(()),
            End::Exited(_) => {
                let said = finished.said.lines().rev().find(|line| !line.trim().is_empty());
                Err(DockerError::NoDaemon { said: said.unwrap_or("it says nothing").trim().to_owned() })
            }
            End::Cancelled | End::Stalled => Err(DockerError::NoDaemon {
                said: format!("nothing came for {:.1} s", patience.as_secs_f64()),
            }),
        }
    }

    /// A command of the engine, with its environment.
    pub(crate) fn command<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env_clear().envs(self.environment.iter().cloned());
        command
    }

    /// The name of a container of this run.
    pub fn container_name(&self) -> String {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        format!("moil-{}-{}", self.run, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends a container whose client was killed, and removes it unless it is to be kept. That there is none is well.
    /// `slow` is told if the engine takes its time.
    ///
    /// # Errors
    /// The engine's words, where it may still be there.
    pub fn end(&self, name: &str, keep: bool, slow: &mut dyn FnMut()) -> Result<(), String> {
        let words: &[&str] = if keep { &["kill", name] } else { &["rm", "--force", "--volumes", name] };
        let said = self.say(words, PATIENCE, slow)?;
        let there_is_none = ["no such container", "no container with name", "is not running"];
        let lower = said.words.to_lowercase();
        if said.well || there_is_none.iter().any(|sign| lower.contains(sign)) {
            return Ok(());
        }
        Err(said.words)
    }

    /// The first process of a container, as this machine counts; `None` where it has none or the daemon's machine is
    /// another one.
    fn first_process(&self, name: &str) -> Option<u32> {
        let said = self.say(&["inspect", "--format", "{{.State.Pid}}", name], ASK, &mut || {}).ok()?;
        said.well.then(|| said.words.parse().ok()).flatten().filter(|pid| *pid > 0)
    }

    /// Whether asking a container to end (SIGTERM) does nothing: its first process is like the first of a machine, to
    /// which signals do not come that it does not wait for.
    pub fn is_deaf(&self, name: &str) -> bool {
        let status = self.first_process(name).map(|pid| fs::read_to_string(format!("/proc/{pid}/status")));
        status.and_then(Result::ok).is_some_and(|status| is_deaf(&status))
    }

    /// Gives all files below these directories to a user and a group: those that the user of a container made, who may
    /// be any. The image must have `chown`.
    ///
    /// # Errors
    /// The engine's words.
    pub fn give(&self, image: &str, directories: &[&Path], to: (u32, u32)) -> Result<(), String> {
        let name = self.container_name();
        let words = docker::give(self, image, &name, directories, to).map_err(|error| error.to_string())?;
        let said = self.say(&words, GIVE, &mut || {})?;
        if said.well {
            return Ok(());
        }
        // What it says stands; that its container is gone is the janitor's matter as well.
        let _ = self.end(&name, false, &mut || {});
        Err(said.words)
    }

    /// Has the engine do something that must not take longer than this.
    fn say<I: AsRef<OsStr>>(
        &self,
        words: &[I],
        patience: Duration,
        slow: &mut dyn FnMut(),
    ) -> Result<Said, String> {
        let mut told = false;
        let mut go_on = |since: Duration| {
            if since >= SLOW && !told {
                told = true;
                slow();
            }
            since < patience
        };
        let finished = process::run(&mut self.command(words), patience * 2, &mut go_on)
            .map_err(|error| format!("{:?} cannot be started: {error}", self.program))?;
        match finished.end {
            End::Exited(code) => Ok(Said { well: code == 0, words: finished.said.trim().to_owned() }),
            End::Cancelled | End::Stalled => {
                Err(format!("{} was not done after {} s", self.kind, patience.as_secs()))
            }
        }
    }

    /// Starts the process that ends what is left of this run's containers when we end, even by SIGKILL.
    ///
    /// # Errors
    /// It could not be started.
    pub fn janitor(&self, keep: bool) -> io::Result<Janitor> {
        let (list, end) =
            if keep { ("ps --quiet", "kill") } else { ("ps --all --quiet", "rm --force --volumes") };
        // A client that is killed may have just asked for its container: so it is looked again a little later.
        let script = format!(
            r#"cat; for pause in 0 1 2; do
                sleep $pause
                ids=$("$0" {list} --filter "label=$1")
                [ -z "$ids" ] || "$0" {end} $ids
            done"#
        );
        let mut command = Command::new("/bin/sh");
        command.args([OsStr::new("-c"), script.as_ref(), self.program.as_os_str()]);
        command.arg(format!("{LABEL}={}", self.run)).env_clear().envs(self.environment.iter().cloned());
        // A group of its own: what a terminal sends to ours is not meant for it.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Ok(Janitor { child: command.spawn()?, is_needed: AtomicBool::new(false) })
    }
}

/// How long the engine may take to end a container. Whoever cancels a run waits for it; the janitor goes on.
const PATIENCE: Duration = Duration::from_secs(20);
/// When that is slow.
const SLOW: Duration = Duration::from_secs(3);
/// How long it may take to give files away: there may be very many.
const GIVE: Duration = Duration::from_secs(600);
/// The same for what is only a question.
const ASK: Duration = Duration::from_secs(4);

/// What the engine answered.
struct Said {
    /// Whether it did what it was asked to.
    well: bool,
    words: String,
}

/// Whether a process of this status (`/proc/PID/status`) is the first of a container and does not catch SIGTERM.
fn is_deaf(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let mut numbers = field("NSpid").unwrap_or_default().split_whitespace();
    let is_first = numbers.next().is_some() && numbers.last() == Some("1");
    let caught = field("SigCgt").and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    is_first && caught.is_some_and(|caught| caught & (1 << (libc::SIGTERM - 1)) == 0)
}

/// Ends what is left of a run's containers when we end: its standard input is a pipe that closes then.
#[derive(Debug)]
pub struct Janitor {
    child: Child,
    is_needed: AtomicBool,
}

impl Janitor {
    /// Says that there may be a container left that could not be ended.
    pub fn is_needed(&self) {
        self.is_needed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Janitor {
    /// A run that ends in an orderly way has ended its containers itself, if the engine let it.
    fn drop(&mut self) {
        if *self.is_needed.get_mut() {
            return;
        }
        // It leads a group of its own, in which nothing else can be yet but its `cat`, which ends with the pipe.
        let _ = self.child.kill();
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_program::write_program;

    fn program(folder: &Path, name: &str, script: &str) {
        write_program(&folder.join(name), &format!("#!/bin/sh\n{script}\n"));
    }

    const PATH: &str = "/usr/bin:/bin";

    fn found(kind: Kind, folder: &Path, patience: Duration) -> Result<DockerEngine, DockerError> {
        DockerEngine::detect(kind, folder.as_os_str(), &[("PATH".into(), PATH.into())], patience)
    }

    #[test]
    fn docker_is_of_use_only_where_a_daemon_answers() {
        let folder = tempfile::tempdir().unwrap();
        let said = |script: &str, patience: u64| {
            program(folder.path(), "docker", script);
            found(Kind::Docker, folder.path(), Duration::from_millis(patience))
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            said("echo 20.10.24; [ \"$*\" = 'version --format {{.Server.Version}}' ]", 60_000).unwrap().kind,
            Kind::Docker
        );
        assert_eq!(
            said("echo; echo Cannot connect to the Docker daemon. >&2; exit 1", 60_000).unwrap_err(),
            "no daemon of Docker answers: Cannot connect to the Docker daemon."
        );
        assert_eq!(
            said("sleep 1000", 300).unwrap_err(),
            "no daemon of Docker answers: nothing came for 0.3 s"
        );
        assert!(matches!(
            found(Kind::Podman, folder.path(), Duration::ZERO),
            Err(DockerError::NotFound("podman"))
        ));
    }

    #[test]
    fn runs_and_containers_have_names_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "podman", "exit 1");
        let engine = || found(Kind::Podman, folder.path(), Duration::ZERO).unwrap();
        let (first, second) = (engine(), engine());
        assert_ne!(first.run, second.run);
        assert_ne!(first.container_name(), first.container_name());
        assert!(first.container_name().starts_with(&format!("moil-{}-", first.run)));
    }

    #[test]
    fn the_first_process_of_a_container_is_deaf_to_what_it_does_not_catch() {
        let status = |pids: &str, caught: &str| format!("Name:\tsh\nNSpid:\t{pids}\nSigCgt:\t{caught}\n");
        assert!(is_deaf(&status("4711\t1", "0000000000010002")));
        assert!(is_deaf(&status("90\t4711\t1", "0000000000000000")));
        assert!(!is_deaf(&status("4711\t1", "0000000000004002")));
        // Not of a container: somebody else's, on the machine of the daemon.
        assert!(!is_deaf(&status("4711", "0000000000000000")));
        assert!(!is_deaf(&status("1", "0000000000000000")));
        assert!(!is_deaf(&status("4711\t22", "0000000000000000")));
        assert!(!is_deaf(""));
    }

    #[test]
    fn a_container_that_could_not_be_ended_is_left_to_the_janitor() {
        let folder = tempfile::tempdir().unwrap();
        // It fails once, as while a daemon starts again.
        program(
            folder.path(),
            "podman",
            "cd \"${0%/*}\"; case $1 in ps) echo c1;; rm) echo \"$@\" >> asked; [ -e failed ] || { touch failed; echo busy; exit 1; };; esac",
        );
        let engine = found(Kind::Podman, folder.path(), Duration::ZERO).unwrap();
        let janitor = engine.janitor(false).unwrap();
        assert_eq!(engine.end("c1", false, &mut || {}), Err("busy".to_owned()));
        janitor.is_needed();
        drop(janitor);
        let asked = || fs::read_to_string(folder.path().join("asked")).unwrap();
        let mut tries = 0;
        while asked().lines().count() < 4 && tries < 1000 {
            tries += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(asked(), "rm --force --volumes c1\n".repeat(4));
    }

    #[test]
    fn that_a_container_is_gone_already_is_well() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "podman", "echo 'Error: No such container: c1'; exit 1");
        let engine = found(Kind::Podman, folder.path(), Duration::ZERO).unwrap();
        assert_eq!(engine.end("c1", false, &mut || {}), Ok(()));
    }
}
