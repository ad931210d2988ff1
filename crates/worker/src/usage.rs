//! What an attempt took, and signs that it wanted more than there was.

use std::fs;

use moil_job::result::Usage;

use crate::spawner::Exit;

/// The usage of a process that ended, with the bytes of its outputs.
pub fn usage(exit: &Exit, output_bytes: u64) -> Usage {
    Usage { wall: exit.wall, cpu: exit.cpu, peak_memory: exit.peak_memory, output_bytes }
}

/// How many processes the kernel has killed for lack of memory since the machine started; 0 where it does not say.
pub fn out_of_memory_kills() -> u64 {
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
