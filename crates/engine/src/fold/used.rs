//! What the finished attempts of a run took, by step: what `moil stats` tells.

use std::sync::Arc;

use indexmap::IndexMap;
use moil_job::result::Usage;

use super::recorded::{AttemptEnd, Recorded, RecordedAttempt};

/// The smallest, the middle, the largest and the sum of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// The one in the middle; between the two in the middle.
    pub median: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
    /// All together.
    pub total: f64,
}

impl Spread {
    /// Of these numbers; zeros for none.
    pub fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let count = numbers.len();
        let (Some(min), Some(max)) = (numbers.first(), numbers.last()) else { return Self::default() };
        let total: f64 = numbers.iter().sum();
        let median = (numbers[(count - 1) / 2] + numbers[count / 2]) / 2.0;
        Self { count, min: *min, median, mean: total / count as f64, max: *max, total }
    }
}

/// What the finished attempts of a step took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepUse {
    /// Cores that were granted, all attempts together.
    pub cores: f64,
    /// Seconds from the tool's start to its end.
    pub time: Spread,
    /// Seconds of processors.
    pub clock: Spread,
    /// Seconds of granted cores that were not used.
    pub wait: Spread,
    /// Peak of memory in KiB.
    pub memory: Spread,
    /// Bytes of output files.
    pub disk: Spread,
    /// Seconds in which an attempt waited for its turn.
    pub queue: Spread,
}

impl StepUse {
    fn of(attempts: &[(&RecordedAttempt, &Usage)]) -> Self {
        let spread = |number: &dyn Fn(&RecordedAttempt, &Usage) -> Option<f64>| {
            Spread::of(attempts.iter().filter_map(|(attempt, usage)| number(attempt, usage)).collect())
        };
        Self {
            cores: attempts.iter().map(|(attempt, _)| attempt.granted.cores).sum(),
            time: spread(&|_, usage| Some(usage.wall.as_secs_f64())),
            clock: spread(&|_, usage| Some(usage.cpu.as_secs_f64())),
            wait: spread(&|attempt, usage| {
                let granted = usage.wall.as_secs_f64() * attempt.granted.cores;
                Some((granted - usage.cpu.as_secs_f64()).max(0.0))
            }),
            memory: spread(&|_, usage| Some((usage.peak_memory / 1024) as f64)),
            disk: spread(&|_, usage| Some(usage.output_bytes as f64)),
            queue: spread(&|attempt, _| {
                Some(attempt.submitted?.saturating_sub(attempt.recorded) as f64 / 1000.0)
            }),
        }
    }
}

impl Recorded {
    /// What all finished attempts took, together and by step.
    pub fn use_of_steps(&self) -> (StepUse, IndexMap<Arc<str>, StepUse>) {
        let mut all = Vec::new();
        let mut steps: IndexMap<Arc<str>, Vec<(&RecordedAttempt, &Usage)>> = IndexMap::new();
        for job in self.jobs.values() {
            for attempt in &job.attempts {
                if let Some((AttemptEnd::Done(usage), _)) = &attempt.end {
                    all.push((attempt, usage));
                    steps.entry(Arc::clone(&job.called.step)).or_default().push((attempt, usage));
                }
            }
        }
        (StepUse::of(&all), steps.into_iter().map(|(step, list)| (step, StepUse::of(&list))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread() {
        let spread = Spread { count: 3, min: 1.0, median: 2.0, mean: 3.0, max: 6.0, total: 9.0 };
        assert_eq!(Spread::of(vec![6.0, 1.0, 2.0]), spread);
        assert_eq!(Spread::of(vec![4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
