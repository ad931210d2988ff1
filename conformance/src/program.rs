//! A runner that is a program.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::runner::{Answer, Exit, Request, Runner};

/// A runner that is a program.
pub struct Program {
    /// The program: a path, or a name to be looked up on the search path.
    pub path: PathBuf,
}

impl Runner for Program {
    fn run(&self, request: &Request) -> Answer {
        let started = Instant::now();
        let (exit, stdout, stderr) = match self.call(request) {
            Ok(answer) => answer,
            Err(error) => {
                (Exit::NotStarted(format!("{}: {error}", self.path.display())), Vec::new(), Vec::new())
            }
        };
        Answer { exit, stdout, stderr, wall: started.elapsed() }
    }

    fn version(&self) -> String {
        let output = Command::new(&self.path).arg("--version").stdin(Stdio::null()).output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        said.unwrap_or_else(|error| format!("unknown: {error}"))
    }
}

impl Program {
    fn call(&self, request: &Request) -> io::Result<(Exit, Vec<u8>, Vec<u8>)> {
        // Files, not pipes: a process that a test leaves behind would keep a pipe open for ever.
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut child = Command::new(&self.path)
            .args(&request.args)
            .current_dir(&request.cwd)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .process_group(0)
            .spawn()?;
        let exit = match wait(&mut child, request.timeout)? {
            Some(status) => status.code().map_or(Exit::Signal, Exit::Code),
            None => {
                kill_group(&mut child)?;
                Exit::TimedOut
            }
        };
        Ok((exit, content(&mut stdout)?, content(&mut stderr)?))
    }
}

/// Waits for a child; `None` if the time is up.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + timeout;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn kill_group(child: &mut Child) -> io::Result<()> {
    let script = format!("kill -KILL -{}", child.id());
    Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status()?;
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn content(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> Answer {
        let request = Request { args: vec!["-c".into(), script.into()], cwd: std::env::temp_dir(), timeout };
        Program { path: "sh".into() }.run(&request)
    }

    #[test]
    fn both_streams_and_the_exit_code_are_kept() {
        let answer = sh("echo out; echo err >&2; exit 33", Duration::from_secs(20));
        assert_eq!(answer.exit, Exit::Code(33));
        assert_eq!(answer.stdout, b"out\n");
        assert_eq!(answer.stderr, b"err\n");
        assert_eq!(sh("kill -9 $$", Duration::from_secs(20)).exit, Exit::Signal);
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_its_children() {
        let answer = sh("sleep 271828 & echo $!; sleep 271828", Duration::from_millis(300));
        assert_eq!(answer.exit, Exit::TimedOut);
        let child = String::from_utf8(answer.stdout).unwrap();
        let status = std::path::Path::new("/proc").join(child.trim()).join("status");
        // It may stay a zombie for a moment, until init has taken it.
        let state = std::fs::read_to_string(status).unwrap_or_default();
        assert!(!state.contains("State:\tS"), "{state}");
    }

    #[test]
    fn a_child_left_behind_does_not_hold_up_the_answer() {
        let answer = sh("sleep 20 & echo done", Duration::from_secs(10));
        assert_eq!(answer.exit, Exit::Code(0));
        assert_eq!(answer.stdout, b"done\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let request = Request { args: vec![], cwd: "/".into(), timeout: Duration::from_secs(1) };
        let answer = Program { path: "/no/such/runner".into() }.run(&request);
        assert!(matches!(answer.exit, Exit::NotStarted(words) if words.starts_with("/no/such/runner: ")));
    }
}
