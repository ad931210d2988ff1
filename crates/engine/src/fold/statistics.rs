//! What jobs took, by step (`--stats`).

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use moil_job::event::Event;
use moil_job::result::Usage;
use serde_json::json;

/// What the jobs of one step took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepStatistics {
    /// Jobs that finished.
    pub jobs: usize,
    /// Attempts that failed.
    pub failed_attempts: usize,
    /// Wall-clock time of all jobs together.
    pub wall: Duration,
    /// The longest job.
    pub longest: Duration,
    /// CPU time of all jobs together.
    pub cpu: Duration,
    /// The largest peak of memory in bytes.
    pub peak_memory: u64,
    /// Bytes in output files.
    pub output_bytes: u64,
}

/// The fold.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// By step, in the order in which their first jobs ended.
    pub steps: IndexMap<Arc<str>, StepStatistics>,
}

impl Statistics {
    /// Takes one event in.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::JobFinished { step, usage: Some(usage), .. } => self.job(step, usage),
            Event::JobFailed { step, .. } => {
                self.steps.entry(Arc::clone(step)).or_default().failed_attempts += 1;
            }
            _ => {}
        }
    }

    fn job(&mut self, step: &Arc<str>, usage: &Usage) {
        let sum = self.steps.entry(Arc::clone(step)).or_default();
        sum.jobs += 1;
        sum.wall += usage.wall;
        sum.longest = sum.longest.max(usage.wall);
        sum.cpu += usage.cpu;
        sum.peak_memory = sum.peak_memory.max(usage.peak_memory);
        sum.output_bytes += usage.output_bytes;
    }

    /// One JSON object with an entry per step; times in seconds, sizes in bytes.
    pub fn to_json(&self) -> serde_json::Value {
        let steps: Vec<serde_json::Value> = self
            .steps
            .iter()
            .map(|(step, sum)| {
                json!({
                    "step": &**step,
                    "jobs": sum.jobs,
                    "failed_attempts": sum.failed_attempts,
                    "wall_seconds": sum.wall.as_secs_f64(),
                    "longest_seconds": sum.longest.as_secs_f64(),
                    "cpu_seconds": sum.cpu.as_secs_f64(),
                    "peak_memory_bytes": sum.peak_memory,
                    "output_bytes": sum.output_bytes,
                })
            })
            .collect();
        json!({ "version": 1, "steps": steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_job::event::Status;
    use moil_job::spec::{AttemptId, JobId};

    #[test]
    fn usage_adds_up_and_peaks_do_not() {
        let mut statistics = Statistics::default();
        for (cpu, peak_memory) in [(1, 100), (2, 70)] {
            statistics.take(&Event::JobFinished {
                attempt: AttemptId { job: JobId("a".into()), number: 1 },
                name: "a".into(),
                step: "a".into(),
                status: Status::Success,
                usage: Some(Usage { cpu: Duration::from_secs(cpu), peak_memory, ..Usage::default() }),
            });
        }
        let sum = statistics.steps["a"];
        assert_eq!((sum.jobs, sum.cpu.as_secs(), sum.peak_memory), (2, 3, 100));
    }
}
