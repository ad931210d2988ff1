//! What an attempt took, and signs that it wanted more than there was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moil_job::result::Usage;

use crate::spawner::Exit;

/// The usage of a process that ended, with the bytes of its outputs.
pub fn usage(exit: &Exit, output_bytes: u64) -> Usage {
    Usage { wall: exit.wall, cpu: exit.cpu, peak_memory: exit.peak_memory, output_bytes }
}

/// Counts the processes that the kernel kills for lack of memory. Clones share the count.
#[derive(Clone, Debug)]
pub struct OutOfMemory {
    /// Those that are known: from before, or already told of.
    known: Arc<AtomicU64>,
    scope: Scope,
}

/// Where kills are counted.
#[derive(Clone, Debug, PartialEq)]
enum Scope {
    /// In the whole machine.
    Machine,
    /// In the control group that all of this runs in, as in a pod, which has a limit: in bytes.
    Group { file: PathBuf, limit: u64 },
}

/// The files of a control group's root, as a container sees its own: that with the limit and that with the count, of
/// version 2 and of version 1.
const GROUPS: &[(&str, &str)] =
    &[("memory.max", "memory.events"), ("memory/memory.limit_in_bytes", "memory/memory.oom_control")];

/// What version 1 calls no limit is more than this.
const NO_LIMIT: u64 = 1 << 60;

impl Default for OutOfMemory {
    fn default() -> Self {
        Self::below(Path::new("/sys/fs/cgroup"))
    }
}

impl OutOfMemory {
    fn below(groups: &Path) -> Self {
        let scope = GROUPS.iter().find_map(|(limit, file)| {
            let limit: u64 = fs::read_to_string(groups.join(limit)).ok()?.trim().parse().ok()?;
            (limit < NO_LIMIT).then(|| Scope::Group { file: groups.join(file), limit })
        });
        let scope = scope.unwrap_or(Scope::Machine);
        Self { known: Arc::new(AtomicU64::new(scope.kills())), scope }
    }

    /// Whether a process that was killed just now was killed for lack of memory: whether there are more such
    /// kills than jobs that were told so.
    pub fn was_one_of_ours(&self) -> bool {
        let all = self.scope.kills();
        self.known
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |known| (known < all).then_some(known + 1))
            .is_ok()
    }

    /// The memory that there is, in bytes, where that is less than the machine's.
    pub fn limit(&self) -> Option<u64> {
        match self.scope {
            Scope::Machine => None,
            Scope::Group { limit, .. } => Some(limit),
        }
    }
}

impl Scope {
    /// How many processes the kernel has killed for lack of memory so far; 0 where it does not say.
    fn kills(&self) -> u64 {
        let file = match self {
            Self::Machine => Path::new("/proc/vmstat"),
            Self::Group { file, .. } => file,
        };
        fs::read_to_string(file).map_or(0, |text| parse_kills(&text))
    }
}

fn parse_kills(vmstat: &str) -> u64 {
    vmstat
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_kills_is_found() {
        assert_eq!(parse_kills("nr_free_pages 1\noom_kill 17\nx 2\n"), 17);
        assert_eq!(parse_kills("nr_free_pages 1\n"), 0);
        assert_eq!(parse_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
        assert_eq!(parse_kills("low 0\noom 9\noom_kill 2\noom_group_kill 0\n"), 2);
    }

    #[test]
    fn a_group_with_a_limit_counts_for_itself() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        assert_eq!(OutOfMemory::below(root.path()).limit(), None);
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(OutOfMemory::below(root.path()).limit(), None, "it has no limit");
        write("memory/memory.limit_in_bytes", "100663296\n");
        write("memory/memory.oom_control", "oom_kill 1\n");
        let memory = OutOfMemory::below(root.path());
        assert_eq!(memory.limit(), Some(96 << 20));
        assert!(!memory.was_one_of_ours(), "it was before");
        write("memory/memory.oom_control", "oom_kill 2\n");
        assert!(memory.was_one_of_ours());
        assert!(!memory.was_one_of_ours(), "each counts once");
        write("memory.max", "max\n");
        assert_eq!(OutOfMemory::below(root.path()).limit(), Some(96 << 20));
    }
}
