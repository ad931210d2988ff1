//! Pods that take more than one job: which jobs may share one, and how many there should be. Pure.

use std::time::Duration;

use moil_job::resources::Resources;
use moil_job::spec::Attempt;

use crate::manifest;
use crate::settings::Settings;

/// In how much time the pods that there are may work off what waits: below that another one is not worth its start.
const WORTH: Duration = Duration::from_secs(10);

/// How many pods there are at first, when nothing is known of a class of jobs.
const FIRST: usize = 4;

/// How many pods of a class may be about to start.
const STARTING: usize = 100;

/// After so long without one pod at work, what waits is taken for long jobs: then the cluster has to grow.
const SLOW: Duration = Duration::from_secs(5);

/// How many bytes of what its attempts fetched and left a pod may keep for later ones.
pub const KEPT: u64 = 512 << 20;

/// The most attempts that a pod has side by side.
const SIDE_BY_SIDE: u64 = 8;

/// What a pod may have that is there for small jobs side by side: thousandths of a core, and MiB.
const SMALL: (u64, u64) = (1000, 2048);

/// What jobs must have in common to run in one pod, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class {
    /// Thousandths of a core.
    cores: u64,
    ram_mib: u64,
    /// With inputs; a power of two.
    disk_mib: u64,
    gpus: u32,
    preemptible: Option<bool>,
    /// The image, where each pod has room for one; else whether there is one.
    image: Option<String>,
}

impl Class {
    /// The class of an attempt. `None`: it is to have a pod of its own. One with secrets is, so that no other tool comes
    /// near them.
    pub fn of(attempt: &Attempt, settings: &Settings) -> Option<Self> {
        if settings.pod_per_job || !attempt.secrets.is_empty() {
            return None;
        }
        let granted = &attempt.granted;
        let docker = attempt.job.tool.effective.docker.as_ref();
        let image = docker.map(|docker| match settings.host_path {
            // Images lie there.
            Some(_) => String::new(),
            None => format!("{docker:?}"),
        });
        let mut disk = granted.disk_mib();
        if !settings.sees_inputs {
            disk = disk.saturating_add(manifest::bytes(&attempt.job.inputs).div_ceil(1 << 20));
        }
        Some(Self {
            cores: (granted.cores * 1000.0).ceil() as u64,
            ram_mib: granted.ram_mib,
            disk_mib: disk.checked_next_power_of_two()?,
            gpus: granted.gpus,
            preemptible: attempt.job.tool.effective.preemptible,
            image,
        })
    }

    /// How many attempts a pod of this class may have side by side: more than one where they are small.
    pub fn slots(&self) -> u64 {
        if self.gpus > 0 {
            return 1;
        }
        let by_cores = SMALL.0 / self.cores.max(1);
        let by_memory = SMALL.1 / self.ram_mib.max(1);
        by_cores.min(by_memory).clamp(1, SIDE_BY_SIDE)
    }

    /// What a pod of this class has that takes so many attempts side by side.
    pub fn granted(&self, slots: u64) -> Resources {
        Resources {
            cores: (self.cores * slots) as f64 / 1000.0,
            ram_mib: self.ram_mib * slots,
            tmpdir_mib: self.disk_mib.saturating_mul(slots),
            outdir_mib: 0,
            gpus: self.gpus,
        }
    }

    /// Whether its jobs need an image.
    pub fn has_image(&self) -> bool {
        self.image.is_some()
    }

    /// Where its pods may be, if documents say so.
    pub fn preemptible(&self) -> Option<bool> {
        self.preemptible
    }

    /// Whether a job of another class may run where one of this class would.
    pub fn has_room_for(&self, other: &Self) -> bool {
        (self.gpus, self.preemptible, &self.image) == (other.gpus, other.preemptible, &other.image)
            && self.cores >= other.cores
            && self.ram_mib >= other.ram_mib
            && self.disk_mib >= other.disk_mib
    }
}

/// How it stands with the jobs and pods of a class.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Jobs that wait for a pod.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub waited: Duration,
    /// Jobs in pods.
    pub running: usize,
    /// For how long all of these together have run.
    pub running_for: Duration,
    /// Jobs that are over.
    pub over: usize,
    /// What all of these together took.
    pub took: Duration,
    /// Attempts that a pod may have side by side.
    pub slots: u64,
    /// Pods, those that are about to start among them.
    pub pods: usize,
    /// How many attempts all these may have side by side.
    pub room: u64,
    /// Pods that are about to start.
    pub starting: usize,
    /// How many attempts these will have side by side.
    pub expected: u64,
}

impl Load {
    /// The pods that are to be made now: how many attempts each has side by side. None is made to stand idle, and none has
    /// room for more than there is.
    pub fn wanted(&self) -> Vec<u64> {
        let slots = self.slots.max(1);
        let more = match self.typical() {
            None => FIRST.saturating_sub(self.pods),
            Some(typical) => {
                let work = typical.as_secs_f64() * (self.waiting + self.running) as f64;
                // Casts from floats saturate.
                let needed = ((work / WORTH.as_secs_f64()).ceil() as u64).max(1);
                usize::try_from(needed.saturating_sub(self.room).div_ceil(slots)).unwrap_or(usize::MAX)
            }
        };
        let count = more.min(STARTING.saturating_sub(self.starting));
        let mut left = (self.waiting as u64).saturating_sub(self.expected);
        let mut wanted = Vec::new();
        while wanted.len() < count && left > 0 {
            wanted.push(left.min(slots));
            left = left.saturating_sub(slots);
        }
        wanted
    }

    /// How long a job takes, as far as it is known.
    fn typical(&self) -> Option<Duration> {
        let seen = u32::try_from(self.over + self.running).unwrap_or(u32::MAX);
        match (self.took + self.running_for).checked_div(seen) {
            // The first ones have only begun.
            Some(typical) if self.over > 0 || typical > Duration::from_secs(1) => Some(typical),
            Some(_) => None,
            None => (self.waited > SLOW).then_some(self.waited),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn pods_are_made_for_the_work_that_there_is() {
        let load = Load { slots: 1, ..Load::default() };
        let starting = |count: usize| Load { starting: count, expected: count as u64, ..load };
        let ms = Duration::from_millis(40);
        let cases = [
            ("nothing to do", load, 0),
            ("one job", Load { waiting: 1, ..load }, 1),
            ("many, and nothing is known", Load { waiting: 500, ..load }, 4),
            ("the first ones start", Load { waiting: 500, pods: 4, room: 4, waited: S, ..starting(4) }, 0),
            (
                "none starts: it has to grow",
                Load { waiting: 500, pods: 4, room: 4, waited: S * 20, ..starting(4) },
                96,
            ),
            ("few, and none starts", Load { waiting: 6, pods: 4, room: 4, waited: S * 60, ..starting(4) }, 2),
            (
                "short jobs",
                Load { waiting: 400, running: 2, over: 98, took: ms * 98, pods: 2, room: 2, ..load },
                0,
            ),
            (
                "many",
                Load { waiting: 10_000, running: 2, over: 98, took: ms * 98, pods: 2, room: 2, ..load },
                38,
            ),
            (
                "just begun",
                Load { waiting: 90, running: 4, running_for: ms * 4, pods: 4, room: 4, ..load },
                0,
            ),
            ("not short", Load { waiting: 90, running: 4, running_for: S * 8, pods: 4, room: 4, ..load }, 15),
            (
                "long jobs",
                Load { waiting: 90, running: 4, running_for: S * 400, pods: 4, room: 4, ..load },
                90,
            ),
            (
                "long jobs with pods to come",
                Load { waiting: 90, running: 4, running_for: S * 400, pods: 64, room: 64, ..starting(60) },
                30,
            ),
            (
                "no more than are good for a cluster",
                Load { waiting: 5000, running: 4, running_for: S * 9999, pods: 94, room: 94, ..starting(90) },
                10,
            ),
            (
                "one that takes long says little of many",
                Load {
                    waiting: 50,
                    running: 1,
                    running_for: S * 3600,
                    over: 9999,
                    took: ms * 9999,
                    pods: 1,
                    room: 1,
                    ..load
                },
                2,
            ),
        ];
        for (what, load, wanted) in cases {
            assert_eq!(load.wanted(), vec![1; wanted], "{what}: {load:?}");
        }
        let small = Load { slots: 8, ..Load::default() };
        assert_eq!(Load { waiting: 1, ..small }.wanted(), [1]);
        assert_eq!(Load { waiting: 17, ..small }.wanted(), [8, 8, 1]);
        assert_eq!(
            Load { waiting: 17, pods: 1, room: 8, starting: 1, expected: 8, ..small }.wanted(),
            [8, 1]
        );
        let known = Load { waiting: 200, over: 100, took: ms * 100 * 25, pods: 1, ..small };
        assert_eq!(Load { room: 8, ..known }.wanted(), [8, 8]);
        assert_eq!(
            Load { room: 1, ..known }.wanted(),
            [8, 8, 8],
            "one that was taken over may be a small one"
        );
    }

    fn class(cores: u64, ram_mib: u64) -> Class {
        Class { cores, ram_mib, disk_mib: 64, gpus: 0, preemptible: None, image: None }
    }

    #[test]
    fn small_jobs_share_a_pod() {
        for (cores, ram, slots) in
            [(1000, 256, 1), (100, 100, 8), (250, 256, 4), (0, 4, 8), (100, 1024, 2), (64_000, 9, 1)]
        {
            let class = class(cores, ram);
            assert_eq!(class.slots(), slots, "{class:?}");
            assert_eq!(class.granted(3).ram_mib, ram * 3);
        }
        assert_eq!(Class { gpus: 1, ..class(100, 100) }.slots(), 1);
    }

    #[test]
    fn a_pod_takes_smaller_jobs_of_its_kind() {
        let pod = class(2000, 512);
        assert!(pod.has_room_for(&pod) && pod.has_room_for(&class(1000, 512)));
        let others = [
            class(2001, 512),
            class(2000, 513),
            Class { disk_mib: 128, ..pod.clone() },
            Class { gpus: 1, ..pod.clone() },
            Class { preemptible: Some(true), ..pod.clone() },
            Class { image: Some("a".to_owned()), ..pod.clone() },
        ];
        for other in others {
            assert!(!pod.has_room_for(&other), "{other:?}");
        }
    }
}
