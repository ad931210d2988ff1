//! What an attempt took, and signs that it wanted more than there was.

use std::fs;
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
}

impl Default for OutOfMemory {
    fn default() -> Self {
        Self { known: Arc::new(AtomicU64::new(kills())) }
    }
}

impl OutOfMemory {
    /// Whether a process that was killed just now was killed for lack of memory: whether there are more such
    /// kills than jobs that were told so.
    pub fn was_one_of_ours(&self) -> bool {
        let all = kills();
        self.known
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |known| (known < all).then_some(known + 1))
            .is_ok()
    }
}

/// How many processes the kernel has killed for lack of memory since the machine started; 0 where it does not say.
fn kills() -> u64 {
    fs::read_to_string("/proc/vmstat").map_or(0, |text| parse_kills(&text))
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
    }
}
