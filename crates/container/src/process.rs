//! Runs the engine for the store: in a process group of its own, with a guard above it that lets nothing of it
//! survive, whoever is killed.
//!
//! An engine starts helpers (mksquashfs). Killing the engine alone, or the process that started it, would leave
//! them running, and they would go on writing while the next one tries. The guard is a process between us and the
//! engine: it ends when the engine ends, when it is told to, or when we die, and before it ends it kills the group.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

mod guard;

/// How much of what an engine says is kept: its end.
const KEPT: usize = 32 * 1024;
/// How often the watch is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked whether the engine gets on.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How an engine's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this code; 128 + n where signal n ended it.
    Exited(i32),
    /// The watch said so.
    Cancelled,
    /// It read and wrote nothing for as long as it may.
    Stalled,
}

/// What an engine's run left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: End,
    /// The last of what it said, on both streams.
    pub(crate) said: String,
}

/// Runs a command to its end. `go_on` is asked several times a second, with the time since the start. A command that
/// neither reads nor writes for `patience` is killed. When this returns, nothing of the command is left.
///
/// # Errors
/// It could not be started.
pub(crate) fn run(
    command: &mut Command,
    patience: Duration,
    go_on: &mut dyn FnMut(Duration) -> bool,
) -> io::Result<Finished> {
    let (mut output, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    guard::install(command);
    let began = Instant::now();
    let mut child = command.spawn()?;
    // The command holds the pipe's other end; as long as it did, reading would not end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (send, ended) = channel();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut chunk) {
            said.extend_from_slice(&chunk[..count]);
            if said.len() > 2 * KEPT {
                said.drain(..said.len() - KEPT);
            }
        }
        // The other side does not listen any more once it has given up waiting.
        let _ = send.send(());
        said
    });
    let mut cut_off = None;
    let mut progress = Progress { count: 0, since: began, looked: began };
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(ASK_EVERY) {
        if cut_off.is_some() {
            continue;
        }
        if !go_on(began.elapsed()) {
            cut_off = Some(End::Cancelled);
        } else if progress.stalled(child.id(), patience) {
            cut_off = Some(End::Stalled);
        }
        if cut_off.is_some() {
            guard::end(child.id());
        }
    }
    let status = child.wait()?;
    let said = reader.join().unwrap_or_default();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(KEPT)..]).into_owned();
    Ok(Finished { end: cut_off.unwrap_or(End::Exited(code)), said })
}

/// Whether processes get on: by what they have read and written, sockets included.
struct Progress {
    count: u64,
    since: Instant,
    looked: Instant,
}

impl Progress {
    /// Whether the guard's children have read and written nothing for this long.
    fn stalled(&mut self, guard: u32, patience: Duration) -> bool {
        if self.looked.elapsed() < LOOK_EVERY.min(patience / 4) {
            return false;
        }
        self.looked = Instant::now();
        let count = transferred(guard);
        if count != self.count {
            (self.count, self.since) = (count, Instant::now());
        }
        self.since.elapsed() >= patience
    }
}

/// Bytes that all processes below this one have read and written. What ended no longer counts: any change is progress.
fn transferred(guard: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let mut processes = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // After the name in brackets: state, parent.
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let Some(parent) = rest.split(' ').nth(1).and_then(|word| word.parse::<u32>().ok()) else { continue };
        processes.push((pid, parent));
    }
    let mut below = vec![guard];
    let mut at = 0;
    let mut sum = 0_u64;
    while let Some(&process) = below.get(at) {
        at += 1;
        below.extend(processes.iter().filter(|(_, parent)| *parent == process).map(|(pid, _)| pid));
        let io = fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        let counts = io.lines().filter_map(|line| {
            line.strip_prefix("rchar: ").or_else(|| line.strip_prefix("wchar: "))?.parse::<u64>().ok()
        });
        sum = counts.fold(sum, u64::wrapping_add);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn alive(pid: &str) -> bool {
        // A zombie is dead.
        fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
    }

    const PATIENT: Duration = Duration::from_secs(600);

    #[test]
    fn output_and_code_come_back() {
        let finished = run(&mut sh("echo out; echo err >&2; exit 42"), PATIENT, &mut |_| true).unwrap();
        assert_eq!((finished.end, finished.said.as_str()), (End::Exited(42), "out\nerr\n"));
        let finished = run(&mut sh("kill -9 $$"), PATIENT, &mut |_| true).unwrap();
        assert_eq!(finished.end, End::Exited(137));
        let long = run(&mut sh("head -c 200000 /dev/zero; echo end"), PATIENT, &mut |_| true).unwrap();
        assert!(long.said.ends_with("end\n") && long.said.len() <= KEPT, "{}", long.said.len());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_no_hanging() {
        let error = run(&mut Command::new("/nowhere/engine"), PATIENT, &mut |_| true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn nothing_survives_its_engine() {
        let finished = run(&mut sh("sleep 1000 & echo $!"), PATIENT, &mut |_| true).unwrap();
        assert_eq!(finished.end, End::Exited(0));
        assert!(!alive(&finished.said), "{}", finished.said);
    }

    #[test]
    fn a_helper_in_a_session_of_its_own_does_not_survive() {
        let finished =
            run(&mut sh("setsid sleep 1000 & echo $!; sleep 0.2"), PATIENT, &mut |_| true).unwrap();
        assert!(!alive(&finished.said), "{}", finished.said);
    }

    #[test]
    fn cancelling_ends_the_whole_group() {
        let script = "trap '' TERM INT; (trap '' TERM; echo $$; while :; do sleep 1000; done) & wait";
        let finished = run(&mut sh(script), PATIENT, &mut |time| time < Duration::from_secs(1)).unwrap();
        assert_eq!(finished.end, End::Cancelled);
        assert!(!alive(&finished.said), "{}", finished.said);
    }

    #[test]
    fn what_does_not_get_on_is_ended() {
        let finished = run(&mut sh("sleep 1000"), Duration::from_millis(400), &mut |_| true).unwrap();
        assert_eq!(finished.end, End::Stalled);
    }
}
