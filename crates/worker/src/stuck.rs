//! Whether what runs here is stuck at its memory limit: it has all that it may have, nothing of that can be given back,
//! and the kernel neither lets it go on nor kills it. Pods can stay so for days.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often to look.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// How many times in a row it must be stuck: three minutes.
const TIMES: u32 = 12;

/// How much of the limit is taken by what cannot be given back.
const FULL: f64 = 0.97;

/// How much of the last minute all processes waited for memory, in percent.
const STALLED: f64 = 50.0;

/// What the kernel says of the control group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Bytes that it may have.
    pub limit: u64,
    /// Bytes that cannot be given back.
    pub held: u64,
    /// How much of the last minute all processes waited for memory, in percent. `None` where the kernel does not say.
    pub stalled: Option<f64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Well,
    /// Say so: it may be stuck, which nobody can tell here.
    MayBeStuck,
    /// End it.
    Stuck,
}

/// Remembers what was seen.
#[derive(Debug, Default)]
pub struct Watch {
    times: u32,
}

impl Watch {
    /// Takes a look in.
    pub fn look(&mut self, sample: &Sample) -> Verdict {
        let is_full = sample.held as f64 >= sample.limit as f64 * FULL;
        if !is_full || sample.stalled.is_some_and(|stalled| stalled < STALLED) {
            self.times = 0;
            return Verdict::Well;
        }
        self.times += 1;
        match (self.times, sample.stalled) {
            (TIMES, None) => Verdict::MayBeStuck,
            (TIMES.., Some(_)) => Verdict::Stuck,
            _ => Verdict::Well,
        }
    }
}

/// Reads what the kernel says of the control group that all of this runs in, as a container sees its own; `None` where
/// it has no limit.
pub fn sample() -> Option<Sample> {
    sample_below(Path::new("/sys/fs/cgroup"))
}

fn sample_below(groups: &Path) -> Option<Sample> {
    // Version 2, then version 1.
    read(groups, "memory.max", &["anon", "shmem", "kernel_stack", "unevictable"])
        .or_else(|| read(&groups.join("memory"), "memory.limit_in_bytes", &["total_rss", "total_shmem"]))
}

fn read(group: &Path, limit: &str, held: &[&str]) -> Option<Sample> {
    let text = |name: &str| fs::read_to_string(group.join(PathBuf::from(name))).ok();
    let limit: u64 = text(limit)?.trim().parse().ok()?;
    let stat = text("memory.stat")?;
    let of = |line: &str| {
        let (name, bytes) = line.split_once(' ')?;
        held.contains(&name).then(|| bytes.trim().parse::<u64>().ok())?
    };
    let held = stat.lines().filter_map(of).sum();
    let stalled = text("memory.pressure").and_then(|text| parse_pressure(&text));
    Some(Sample { limit, held, stalled })
}

fn parse_pressure(text: &str) -> Option<f64> {
    let full = text.lines().find(|line| line.starts_with("full "))?;
    full.split(' ').find_map(|word| word.strip_prefix("avg60="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn verdicts(samples: impl IntoIterator<Item = Sample>) -> Vec<Verdict> {
        let mut watch = Watch::default();
        samples.into_iter().map(|sample| watch.look(&sample)).collect()
    }

    #[test]
    fn only_who_is_full_and_waits_for_minutes_is_stuck() {
        let stuck = Sample { limit: GIB, held: GIB, stalled: Some(93.0) };
        let last = |samples: Vec<Sample>| verdicts(samples).pop().expect("a look");
        assert_eq!(last(vec![stuck; 11]), Verdict::Well);
        assert_eq!(last(vec![stuck; 12]), Verdict::Stuck);
        assert_eq!(last(vec![stuck; 20]), Verdict::Stuck, "it stays so");
        assert_eq!(last(vec![Sample { held: GIB / 2, ..stuck }; 20]), Verdict::Well, "its files can go");
        assert_eq!(last(vec![Sample { stalled: Some(10.0), ..stuck }; 20]), Verdict::Well, "it goes on");
        let mut with_a_pause = vec![stuck; 20];
        with_a_pause[10].stalled = Some(0.0);
        assert_eq!(last(with_a_pause), Verdict::Well);
    }

    #[test]
    fn where_the_kernel_does_not_say_who_waits_it_is_only_told_once() {
        let full = Sample { limit: GIB, held: GIB, stalled: None };
        let told = verdicts(vec![full; 30]);
        assert_eq!(told.iter().filter(|verdict| **verdict == Verdict::MayBeStuck).count(), 1);
        assert!(!told.contains(&Verdict::Stuck));
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).expect("written");
        assert_eq!(sample_below(root.path()), None);
        fs::create_dir(root.path().join("memory")).expect("made");
        write("memory/memory.limit_in_bytes", "1000\n");
        write("memory/memory.stat", "cache 900\nrss 1\ntotal_rss 700\ntotal_shmem 20\ntotal_mapped_file 9\n");
        assert_eq!(sample_below(root.path()), Some(Sample { limit: 1000, held: 720, stalled: None }));
        write("memory.max", "2000\n");
        write("memory.stat", "anon 1000\nfile 900\nkernel_stack 16\nshmem 4\nunevictable 0\n");
        write(
            "memory.pressure",
            "some avg10=1.00 avg60=99.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=87.50 avg300=0.00 total=1\n",
        );
        assert_eq!(sample_below(root.path()), Some(Sample { limit: 2000, held: 1020, stalled: Some(87.5) }));
        write("memory.max", "max\n");
        assert_eq!(sample_below(root.path()).map(|sample| sample.limit), Some(1000));
    }
}
