//! Which waiting jobs may start now. Admission is the leader's alone:
//! executors never queue.

use std::collections::VecDeque;

use moil_job::resources::Resources;

/// What all running jobs together may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// CPU cores (`--maxCores`).
    pub cores: f64,
    /// Memory in MiB (`--maxMemory`).
    pub ram_mib: u64,
    /// Disk in MiB (`--maxDisk`).
    pub disk_mib: u64,
    /// GPUs.
    pub gpus: u32,
    /// Jobs at once (`--maxJobs`, `--parallel-max`).
    pub jobs: usize,
}

/// How often a job may be passed by later ones that fit before everything waits for it.
const PASSES: u32 = 100;

/// The jobs that wait, and what is in use.
#[derive(Debug)]
pub struct Admission<T> {
    capacity: Capacity,
    cores: f64,
    ram_mib: u64,
    disk_mib: u64,
    gpus: u32,
    running: usize,
    waiting: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    job: T,
    resources: Resources,
    passed: u32,
}

impl<T> Admission<T> {
    /// Nothing runs and nothing waits.
    pub fn new(capacity: Capacity) -> Self {
        // Room for no job at all would be waiting for ever.
        let capacity = Capacity { jobs: capacity.jobs.max(1), ..capacity };
        Self { capacity, cores: 0.0, ram_mib: 0, disk_mib: 0, gpus: 0, running: 0, waiting: VecDeque::new() }
    }

    /// Why a job could not even run alone, in words.
    pub fn refusal(&self, resources: &Resources) -> Option<String> {
        let refusal = |what: &str, asked: String, limit: String, option: &str| {
            Some(format!("asks for {asked} {what}, but only {limit} may be used here (see {option})"))
        };
        let capacity = &self.capacity;
        if resources.cores > capacity.cores {
            refusal("cores", resources.cores.to_string(), capacity.cores.to_string(), "--maxCores, --scale")
        } else if resources.ram_mib > capacity.ram_mib {
            let (asked, limit) = (resources.ram_mib, capacity.ram_mib);
            refusal("of memory", format!("{asked} MiB"), format!("{limit} MiB"), "--maxMemory")
        } else if resources.disk_mib() > capacity.disk_mib {
            let (asked, limit) = (resources.disk_mib(), capacity.disk_mib);
            refusal("of disk", format!("{asked} MiB"), format!("{limit} MiB"), "--maxDisk, --workDir")
        } else if resources.gpus > capacity.gpus {
            refusal("GPUs", resources.gpus.to_string(), capacity.gpus.to_string(), "CUDARequirement")
        } else {
            None
        }
    }

    /// Puts a job at the end of those that wait.
    pub fn push(&mut self, job: T, resources: Resources) {
        self.waiting.push_back(Waiting { job, resources, passed: 0 });
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Takes out, and counts as running, the jobs that fit now. Later jobs may pass one that does
    /// not fit, but not for ever.
    pub fn admit(&mut self) -> Vec<(T, Resources)> {
        let mut admitted = Vec::new();
        let mut index = 0;
        let mut passed_over = 0;
        while index < self.waiting.len() && self.running < self.capacity.jobs {
            let resources = self.waiting[index].resources;
            if self.fits(&resources) {
                self.take(&resources);
                if let Some(waiting) = self.waiting.remove(index) {
                    admitted.push((waiting.job, waiting.resources));
                }
                self.waiting.iter_mut().take(index).for_each(|waiting| waiting.passed += 1);
            } else if self.waiting[index].passed >= PASSES {
                break;
            } else {
                index += 1;
                passed_over += 1;
                // With nothing left, looking further is in vain.
                if passed_over > 64 || self.cores >= self.capacity.cores {
                    break;
                }
            }
        }
        admitted
    }

    /// Gives back what a job used.
    pub fn release(&mut self, resources: &Resources) {
        self.running = self.running.saturating_sub(1);
        self.cores = if self.running == 0 { 0.0 } else { self.cores - resources.cores };
        self.ram_mib = self.ram_mib.saturating_sub(resources.ram_mib);
        self.disk_mib = self.disk_mib.saturating_sub(resources.disk_mib());
        self.gpus = self.gpus.saturating_sub(resources.gpus);
    }

    /// Takes out all that wait.
    pub fn drain(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|waiting| waiting.job).collect()
    }

    fn fits(&self, resources: &Resources) -> bool {
        // Sums of fractions: three jobs of a third of a core must fit one core.
        const EPSILON: f64 = 1e-9;
        self.cores + resources.cores <= self.capacity.cores + EPSILON
            && self.ram_mib.saturating_add(resources.ram_mib) <= self.capacity.ram_mib
            && self.disk_mib.saturating_add(resources.disk_mib()) <= self.capacity.disk_mib
            && self.gpus + resources.gpus <= self.capacity.gpus
    }

    /// Counts a job as running.
    pub fn take(&mut self, resources: &Resources) {
        self.running += 1;
        self.cores += resources.cores;
        self.ram_mib = self.ram_mib.saturating_add(resources.ram_mib);
        self.disk_mib = self.disk_mib.saturating_add(resources.disk_mib());
        self.gpus += resources.gpus;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(cores: f64, jobs: usize) -> Capacity {
        Capacity { cores, ram_mib: 1000, disk_mib: 1000, gpus: 0, jobs }
    }

    fn asks(cores: f64, ram_mib: u64) -> Resources {
        Resources { cores, ram_mib, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 }
    }

    fn names(admitted: Vec<(&'static str, Resources)>) -> Vec<&'static str> {
        admitted.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn jobs_start_in_order_as_far_as_they_fit() {
        let mut admission = Admission::new(capacity(2.0, 10));
        for name in ["a", "b", "c"] {
            admission.push(name, asks(1.0, 10));
        }
        assert_eq!(names(admission.admit()), ["a", "b"]);
        admission.release(&asks(1.0, 10));
        assert_eq!(names(admission.admit()), ["c"]);
    }

    #[test]
    fn a_small_job_passes_a_large_one() {
        let mut admission = Admission::new(capacity(2.0, 10));
        admission.push("one", asks(1.0, 10));
        admission.push("two", asks(2.0, 10));
        admission.push("three", asks(1.0, 10));
        assert_eq!(names(admission.admit()), ["one", "three"]);
    }

    #[test]
    fn a_large_job_is_not_passed_for_ever() {
        let mut admission = Admission::new(capacity(2.0, 10));
        admission.push("small", asks(1.0, 1));
        admission.push("large", asks(2.0, 1));
        assert_eq!(names(admission.admit()), ["small"]);
        for _ in 0..1000 {
            admission.push("small", asks(1.0, 1));
            if names(admission.admit()) == ["large"] {
                return;
            }
            admission.release(&asks(1.0, 1));
        }
        panic!("the large job starved");
    }

    #[test]
    fn thirds_of_a_core_add_up() {
        let mut admission = Admission::new(capacity(1.0, 10));
        for name in ["a", "b", "c", "d"] {
            admission.push(name, asks(1.0 / 3.0, 1));
        }
        assert_eq!(names(admission.admit()), ["a", "b", "c"]);
    }

    #[test]
    fn the_number_of_jobs_is_limited() {
        let mut admission = Admission::new(capacity(8.0, 1));
        admission.push("a", asks(0.0, 1));
        admission.push("b", asks(0.0, 1));
        assert_eq!(names(admission.admit()), ["a"]);
    }

    #[test]
    fn a_job_that_never_fits_is_refused_in_words() {
        let admission: Admission<()> = Admission::new(capacity(2.0, 1));
        let words = admission.refusal(&asks(1.0, 2000));
        assert_eq!(
            words.as_deref(),
            Some("asks for 2000 MiB of memory, but only 1000 MiB may be used here (see --maxMemory)")
        );
        assert_eq!(admission.refusal(&asks(2.0, 1000)), None);
    }
}
