//! The ten-line summary of a failed attempt: command, exit code, last lines, where the log is, what to try.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use moil_job::failure::{Failure, FailureKind};

/// How many lines of a log are told.
pub const LINES: usize = 10;
/// Characters of a line that are told.
const LINE_LENGTH: usize = 300;
/// Bytes of a log that are looked at.
const TAIL: u64 = 64 * 1024;
/// Characters of a command that are told.
const COMMAND_LENGTH: usize = 4_000;

/// The exit code as a shell counts: 128 + n where signal n ended the process.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// How a tool ended: `exited with code 3`, `was ended by signal 11 (SIGSEGV)`.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("was ended by signal {signal} ({name})"),
            None => format!("was ended by signal {signal}"),
        },
        (None, None) => "ended for no reason that the system tells".to_owned(),
    }
}

/// The name of a signal.
pub fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

/// What to try when there was no room left.
pub const DISK_FULL: &str =
    "a disk was full: free space, or choose another place with --workDir or --tmpdir-prefix";

/// What to try after a tool ended with this code (see [`exit_code`]) and these words.
pub fn advice(exit_code: i32, last_lines: &[String]) -> Option<&'static str> {
    let says = |words: &str| last_lines.iter().any(|line| line.contains(words));
    if says("No space left on device") || says("Disk quota exceeded") {
        return Some(DISK_FULL);
    }
    if says("ModuleNotFoundError") || says("No module named") {
        return Some(
            "the tool's program is there, but something it needs is not installed; running the tool in a container would bring it along",
        );
    }
    Some(match exit_code {
        126 => {
            "a program was found but could not be run: look at its permissions and, for a script, at its first line"
        }
        127 => {
            "a program was not found: install it, put its directory into PATH, or let the tool run in a container"
        }
        137 => {
            "it was killed from outside, most often because the machine was out of memory: give the job more memory (ramMin) or run fewer jobs at a time"
        }
        139 => {
            "the program crashed: its input may be damaged, or it may have run out of stack (see ulimit -s)"
        }
        134 => "the program gave up by itself (abort): its last lines often tell why",
        136 => "the program divided by zero or the like: its input may not be what it expects",
        141 => "the program wrote into a pipe that nobody read any more",
        152 => "the program used more CPU time than a limit of this machine allows (see ulimit -t)",
        153 => "the program wrote a larger file than a limit of this machine allows (see ulimit -f)",
        _ => return None,
    })
}

/// The failure of a tool that ended with a code that is not one of its success codes.
pub fn tool_failed(name: &str, status: ExitStatus, temporary: bool) -> Failure {
    let kind = FailureKind::ToolFailed { exit_code: exit_code(status), temporary };
    let temporary = if temporary { ", which the document calls temporary" } else { "" };
    Failure::new(kind, format!("the tool of {name} {}{temporary}", ending(status)))
}

/// A command for people: quoted for a shell, cut if very long.
pub fn command(argv: &[String]) -> String {
    let mut line = String::new();
    for word in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&moil_cwl::shell::quote(word));
        if line.len() > COMMAND_LENGTH {
            break;
        }
    }
    cut(&line, COMMAND_LENGTH)
}

/// The last lines of a log, whatever bytes it holds; none where it cannot be read. `hide` takes out what must
/// not be told, before long lines are cut.
pub fn last_lines(log: &Path, hide: &dyn Fn(&str) -> String) -> Vec<String> {
    let Ok((tail, whole)) = tail(log) else { return Vec::new() };
    let text = hide(&String::from_utf8_lossy(&tail));
    let mut lines: Vec<&str> = text.lines().collect();
    // The first one is a part of a line.
    if !whole && lines.len() > 1 {
        lines.remove(0);
    }
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let first = lines.len().saturating_sub(LINES);
    lines.get(first..).unwrap_or_default().iter().map(|line| tidy(line)).collect()
}

fn tail(log: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok((tail, start == 0))
}

/// A line fit for a terminal: of a progress bar only the last state, no control characters.
fn tidy(line: &str) -> String {
    let line = line.trim_end();
    let last = line.rsplit('\r').next().unwrap_or(line);
    let visible: String =
        last.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
    cut(&visible, LINE_LENGTH)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_name_codes_and_signals() {
        for (raw, code, words) in [
            (0, 0, "exited with code 0"),
            (3 << 8, 3, "exited with code 3"),
            (9, 137, "was ended by signal 9 (SIGKILL)"),
            (11 | 128, 139, "was ended by signal 11 (SIGSEGV)"),
            (40, 168, "was ended by signal 40"),
        ] {
            let status = ExitStatus::from_raw(raw);
            assert_eq!((exit_code(status), ending(status).as_str()), (code, words));
        }
    }

    #[test]
    fn advice_depends_on_code_and_words() {
        let check = |code: i32, line: &str, expected: Option<&str>| {
            let found = advice(code, &[line.to_owned()]);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{found:?}");
        };
        check(1, "something", None);
        check(127, "sh: bwa: not found", Some("container"));
        check(126, "", Some("permissions"));
        check(137, "", Some("memory"));
        check(1, "write: No space left on device", Some("disk was full"));
        check(1, "ModuleNotFoundError: No module named 'numpy'", Some("not installed"));
    }

    #[test]
    fn the_last_lines_are_short_whole_and_readable() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let check = |content: &[u8], expected: &[&str]| {
            std::fs::write(&log, content).unwrap();
            assert_eq!(last_lines(&log, &str::to_owned), expected);
        };
        check(b"", &[]);
        check(b"one\ntwo", &["one", "two"]);
        check(b"one\n\n\n", &["one"]);
        check(b" 10%\r 50%\r100%\ndone\r\n", &["100%", "done"]);
        check(b"bad \xff byte \x1b[31m\n", &["bad \u{fffd} byte \u{fffd}[31m"]);
        let many: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, many).unwrap();
        let lines = last_lines(&log, &str::to_owned);
        assert_eq!((lines.len(), lines[0].as_str(), lines[9].as_str()), (10, "line 99990", "line 99999"));
        std::fs::write(&log, "é".repeat(1_000_000)).unwrap();
        assert_eq!(last_lines(&log, &str::to_owned)[0].chars().count(), LINE_LENGTH + 1);
        assert!(last_lines(Path::new("/no/such/log"), &str::to_owned).is_empty());
    }

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let argv = ["sh", "-c", "echo 'a b'", ""].map(str::to_owned);
        assert_eq!(command(&argv), r#"sh -c 'echo '"'"'a b'"'"'' ''"#);
        assert!(command(&["x".repeat(10_000_000)]).chars().count() <= COMMAND_LENGTH + 1);
    }
}
