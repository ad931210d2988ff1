//! Which process this is, on which start of which machine.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process. Enough to tell on the same machine whether it is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The name of the host (of the container, in one).
    pub host: String,
    /// The start of the machine; changes when it is switched on.
    pub boot: String,
    /// The namespace in which the number means something.
    pub namespace: String,
    /// The number of the process.
    pub pid: u32,
    /// When it began, in ticks since the machine was started: numbers are used again.
    pub started: u64,
}

impl Who {
    /// This process.
    pub fn here() -> Self {
        Self {
            host: text("/proc/sys/kernel/hostname"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            namespace: namespace(),
            pid: std::process::id(),
            started: started("self").unwrap_or(0),
        }
    }

    /// Host and process, for people.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.pid)
    }

    /// Whether the process is certainly gone, as seen from another one.
    pub fn is_gone(&self, from: &Self) -> bool {
        self.is_near(from) && started(&self.pid.to_string()) != Some(self.started)
    }

    /// Whether the process's number means something to another one.
    pub fn is_near(&self, from: &Self) -> bool {
        self.boot == from.boot && self.namespace == from.namespace && self.boot != UNKNOWN
    }
}

/// Where the system does not say.
const UNKNOWN: &str = "unknown";

fn text(path: &str) -> String {
    let text = fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    if text.is_empty() { UNKNOWN.to_owned() } else { text }
}

fn namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default()
}

/// When a process began: the 22nd word of what the system says of it, counted behind the name, which may hold anything.
fn started(process: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, words) = stat.rsplit_once(')')?;
    // One that has ended may wait for its parent to take note.
    let has_ended = words.trim_start().starts_with(['Z', 'X', 'x']);
    words.split_whitespace().nth(19).filter(|_| !has_ended)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_gone_and_one_elsewhere_may_be_there() {
        let here = Who::here();
        assert!(!here.is_gone(&here));
        let mut child = std::process::Command::new("true").spawn().expect("started");
        child.wait().expect("ended");
        assert!(Who { pid: child.id(), ..here.clone() }.is_gone(&here));
        assert!(
            Who { started: here.started + 1, ..here.clone() }.is_gone(&here),
            "its number was used again"
        );
        let (boot, namespace) = ("another".to_owned(), "pid:[1]".to_owned());
        assert!(!Who { pid: child.id(), boot, ..here.clone() }.is_gone(&here));
        assert!(!Who { pid: child.id(), namespace, ..here.clone() }.is_gone(&here));
    }
}
