//! Whether a failed job is tried again, when, and with what.

use std::time::Duration;

use moil_job::failure::FailureKind;
use moil_job::resources::Resources;

use crate::admission::Capacity;

/// The budgets of a job. Losses of machines and processes have their own, so that they never use
/// up what is meant for the tool.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// `--retryCount`: further tries after the tool's own failure.
    pub count: u32,
    /// Further tries after the attempt was lost through no fault of its own.
    pub losses: u32,
    /// `--retryBackoffSeconds`: before the first further try.
    pub backoff: Duration,
    /// `--retryBackoffFactor`: how much longer each wait is than the one before.
    pub factor: f64,
    /// `--doubleMem`: a job that ran out of memory gets twice as much.
    pub double_memory: bool,
}

/// How often a job has failed, by whose fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    /// By its own.
    pub own: u32,
    /// By being lost.
    pub lost: u32,
}

/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(300);

impl RetryPolicy {
    /// What to do after a failure: wait so long and try again with these resources, or give up.
    /// Counts the failure. What a job gets more of ends at what there is: it gets all of that once.
    pub fn after(
        &self,
        kind: &FailureKind,
        tries: &mut Tries,
        granted: Resources,
        capacity: &Capacity,
    ) -> Option<(Duration, Resources)> {
        let mut next = granted;
        let earlier = match kind {
            FailureKind::Lost => {
                tries.lost += 1;
                (tries.lost <= self.losses).then_some(tries.lost)?
            }
            FailureKind::ToolFailed { .. } | FailureKind::System | FailureKind::Image => {
                tries.own += 1;
                (tries.own <= self.count).then_some(tries.own)?
            }
            FailureKind::OutOfMemory => {
                tries.own += 1;
                if self.double_memory {
                    next.ram_mib = more(granted.ram_mib, capacity.ram_mib)?;
                }
                (tries.own <= self.count).then_some(tries.own)?
            }
            FailureKind::OutOfDisk => {
                tries.own += 1;
                let disk = more(granted.disk_mib(), capacity.disk_mib)?;
                // Either may have been full: both grow alike.
                next.tmpdir_mib =
                    (granted.tmpdir_mib as f64 / granted.disk_mib() as f64 * disk as f64) as u64;
                next.outdir_mib = disk - next.tmpdir_mib.min(disk);
                (tries.own <= self.count).then_some(tries.own)?
            }
            // The same inputs give the same failure.
            FailureKind::TimeLimit
            | FailureKind::BadOutput
            | FailureKind::BadInput
            | FailureKind::Expression
            | FailureKind::Unsupported
            | FailureKind::CannotStart
            | FailureKind::Refused
            | FailureKind::Cancelled
            | FailureKind::Internal => return None,
        };
        let seconds = self.backoff.as_secs_f64() * self.factor.max(1.0).powi(earlier as i32 - 1);
        let wait = match self.backoff.is_zero() {
            true => Duration::ZERO,
            false => Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST)),
        };
        Some((wait, next))
    }

    /// Which attempt the next one is after failures of this kind, and how many there may be.
    pub fn number(&self, kind: &FailureKind, tries: &Tries) -> (u32, u32) {
        match kind {
            FailureKind::Lost => (tries.lost.saturating_add(1), self.losses.saturating_add(1)),
            _ => (tries.own.saturating_add(1), self.count.saturating_add(1)),
        }
    }
}

/// Twice as much, or all there is; `None` where that is no more than before.
fn more(granted: u64, limit: u64) -> Option<u64> {
    let next = granted.saturating_mul(2).min(limit);
    (next > granted).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        count: 2,
        losses: 3,
        backoff: Duration::from_secs(2),
        factor: 3.0,
        double_memory: true,
    };
    const GRANTED: Resources = Resources { cores: 1.0, ram_mib: 256, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 };
    const CAPACITY: Capacity = Capacity { cores: 1.0, ram_mib: 700, disk_mib: 9, gpus: 0, jobs: 1 };
    const FAILED: FailureKind = FailureKind::ToolFailed { exit_code: 1, temporary: false };

    #[test]
    fn a_failing_tool_is_tried_as_often_as_asked_with_growing_waits() {
        let mut tries = Tries::default();
        let mut waits =
            || POLICY.after(&FAILED, &mut tries, GRANTED, &CAPACITY).map(|(wait, _)| wait.as_secs());
        assert_eq!([waits(), waits(), waits()], [Some(2), Some(6), None]);
    }

    #[test]
    fn losses_do_not_use_up_the_tools_tries() {
        let mut tries = Tries::default();
        for _ in 0..3 {
            assert!(POLICY.after(&FailureKind::Lost, &mut tries, GRANTED, &CAPACITY).is_some());
        }
        assert!(POLICY.after(&FailureKind::Lost, &mut tries, GRANTED, &CAPACITY).is_none());
        assert!(POLICY.after(&FAILED, &mut tries, GRANTED, &CAPACITY).is_some());
    }

    #[test]
    fn out_of_memory_gets_twice_as_much_then_all_there_is_then_nothing() {
        let mut granted = GRANTED;
        let mut amounts = Vec::new();
        let policy = RetryPolicy { count: 9, ..POLICY };
        let mut tries = Tries::default();
        while let Some((_, next)) = policy.after(&FailureKind::OutOfMemory, &mut tries, granted, &CAPACITY) {
            granted = next;
            amounts.push(next.ram_mib);
        }
        assert_eq!(amounts, [512, 700]);
        let same = RetryPolicy { double_memory: false, ..POLICY };
        let after = same.after(&FailureKind::OutOfMemory, &mut Tries::default(), GRANTED, &CAPACITY);
        assert_eq!(after.map(|(_, next)| next.ram_mib), Some(256), "only --doubleMem gives more");
    }

    #[test]
    fn out_of_disk_gets_more_in_both_places() {
        let mut granted = Resources { tmpdir_mib: 1, outdir_mib: 3, ..GRANTED };
        let mut amounts = Vec::new();
        let mut tries = Tries::default();
        while let Some((_, next)) = POLICY.after(&FailureKind::OutOfDisk, &mut tries, granted, &CAPACITY) {
            granted = next;
            amounts.push((next.tmpdir_mib, next.outdir_mib));
        }
        assert_eq!(amounts, [(2, 6), (2, 7)]);
    }

    #[test]
    fn waits_have_a_limit_and_none_stays_none() {
        let check = |backoff: u64, expected: u64| {
            let policy = RetryPolicy {
                backoff: Duration::from_secs(backoff),
                count: u32::MAX,
                factor: 1e300,
                ..POLICY
            };
            let after = policy.after(&FAILED, &mut Tries { own: 2000, lost: 0 }, GRANTED, &CAPACITY);
            assert_eq!(after.map(|(wait, _)| wait), Some(Duration::from_secs(expected)));
        };
        check(1, 300);
        check(0, 0);
    }

    #[test]
    fn what_cannot_change_is_not_tried_again() {
        for kind in [FailureKind::BadInput, FailureKind::Expression, FailureKind::TimeLimit] {
            assert!(POLICY.after(&kind, &mut Tries::default(), GRANTED, &CAPACITY).is_none());
        }
    }
}
