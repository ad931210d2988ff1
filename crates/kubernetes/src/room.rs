//! Pods that wait for another run: for how many jobs there is room in one, and which are to go where others find none. Pure.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Add;
use std::str::FromStr;
use std::time::Duration;

use moil_job::resources::Resources;

/// One that has waited for a shorter time may be wanted in the next moment.
const SPARED: Duration = Duration::from_secs(2);

/// What the jobs of a pod may use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Thousandths of a core.
    pub cores: u64,
    /// Memory.
    pub ram_mib: u64,
    /// Disk, without what a pod needs for itself.
    pub disk_mib: u64,
}

/// A pod that waits for another run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its Job.
    pub job: String,
    /// What its jobs may use.
    pub room: Room,
    /// For how long it has waited.
    pub waited: Duration,
}

/// Pods that find no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many.
    pub pods: usize,
    /// What they want together.
    pub room: Room,
}

impl Room {
    /// What a job may use.
    pub fn of(granted: &Resources) -> Self {
        Self {
            // Casts from floats saturate.
            cores: (granted.cores * 1000.0).ceil() as u64,
            ram_mib: granted.ram_mib,
            disk_mib: granted.disk_mib(),
        }
    }

    fn parts(self) -> [u64; 3] {
        [self.cores, self.ram_mib, self.disk_mib]
    }

    /// How many jobs have room here that want `each`, at most so many. None, where more than half of something would be
    /// good for nothing.
    pub fn holds(self, each: Self, most: u64) -> u64 {
        let parts = || self.parts().into_iter().zip(each.parts());
        let count = parts().filter_map(|(all, each)| all.checked_div(each)).fold(most, u64::min);
        let is_wasted = parts().any(|(all, each)| all > each.saturating_mul(count).saturating_mul(2));
        if is_wasted { 0 } else { count }
    }

    fn covers(self, other: Self) -> bool {
        self.parts().into_iter().zip(other.parts()).all(|(all, wanted)| all >= wanted)
    }
}

impl Add for Room {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cores: self.cores.saturating_add(other.cores),
            ram_mib: self.ram_mib.saturating_add(other.ram_mib),
            disk_mib: self.disk_mib.saturating_add(other.disk_mib),
        }
    }
}

/// As annotations have it: thousandths of a core, MiB of memory, MiB of disk.
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.cores, self.ram_mib, self.disk_mib)
    }
}

impl FromStr for Room {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(' ').map(|part| part.parse().map_err(drop));
        let mut next = || parts.next().unwrap_or(Err(()));
        let room = Self { cores: next()?, ram_mib: next()?, disk_mib: next()? };
        if parts.next().is_none() { Ok(room) } else { Err(()) }
    }
}

impl Wanted {
    /// With one more.
    pub fn and(self, room: Room) -> Self {
        Self { pods: self.pods + 1, room: self.room + room }
    }

    /// The Jobs of those that are to go, and whether they are enough: as many as are needed, those first that have waited for
    /// the longest time. Where all together would not do, those that nobody seems to want: the rest may be of more use
    /// than what they take.
    pub fn from(self, mut waiting: Vec<Waiting>) -> (Vec<String>, bool) {
        waiting.sort_by_key(|pod| Reverse(pod.waited));
        let mut sum = Self::default();
        let needed = waiting.iter().position(|pod| {
            sum = sum.and(pod.room);
            sum.pods >= self.pods && sum.room.covers(self.room)
        });
        match needed {
            Some(last) => waiting.truncate(last + 1),
            None => waiting.retain(|pod| pod.waited >= SPARED),
        }
        (waiting.into_iter().map(|pod| pod.job).collect(), needed.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(cores: u64, ram_mib: u64, disk_mib: u64) -> Room {
        Room { cores, ram_mib, disk_mib }
    }

    #[test]
    fn a_pod_is_taken_that_is_large_enough_and_not_much_larger() {
        let each = room(100, 256, 2048);
        let cases = [
            ("the same", each, 1, 1),
            ("the same, for several", each, 8, 1),
            ("with room for twice as many", room(200, 512, 4096), 1, 1),
            ("with more disk", room(100, 256, 4096), 1, 1),
            ("for several", room(400, 1024, 8192), 4, 4),
            ("larger than wanted", room(400, 1024, 8192), 2, 2),
            ("much larger than wanted", room(400, 1024, 8192), 1, 0),
            ("not a whole number", room(350, 1024, 8192), 8, 3),
            ("too few cores", room(99, 256, 2048), 1, 0),
            ("too little memory", room(100, 255, 2048), 1, 0),
            ("too little disk", room(100, 256, 2047), 1, 0),
            ("much memory", room(100, 513, 2048), 1, 0),
            ("much memory for few cores", room(100, 1024, 8192), 4, 0),
            ("none wanted", each, 0, 0),
        ];
        for (what, pod, most, count) in cases {
            assert_eq!(pod.holds(each, most), count, "{what}");
        }
        assert_eq!(room(0, 12, 0).holds(room(0, 4, 0), 8), 3, "what is not asked for does not count");
        assert_eq!(room(1, 12, 0).holds(room(0, 4, 0), 8), 0, "but it is not taken either");
    }

    #[test]
    fn annotations_are_read_as_they_are_written() {
        let some = room(1500, 64, 2048);
        assert_eq!(some.to_string(), "1500 64 2048");
        assert_eq!(some.to_string().parse(), Ok(some));
        for text in ["", "1 2", "1 2 3 4", "1 2 x", "1  2 3", "-1 2 3"] {
            assert_eq!(text.parse::<Room>(), Err(()), "{text}");
        }
    }

    #[test]
    fn as_many_pods_go_as_others_need() {
        let pod = |job: &str, cores: u64, waited: u64| Waiting {
            job: job.to_owned(),
            room: room(cores, 256, 2048),
            waited: Duration::from_secs(waited),
        };
        let pods =
            || vec![pod("new", 100, 0), pod("old", 100, 9), pod("large", 400, 3), pod("middle", 100, 4)];
        let wanted = |pods: usize, cores: u64| Wanted { pods, room: room(cores, 256, 2048) };
        let cases: [(&str, Wanted, &[&str], bool); 7] = [
            ("one of the same size", wanted(1, 100), &["old"], true),
            ("one that is larger", wanted(1, 150), &["old", "middle"], true),
            ("a large one", wanted(1, 600), &["old", "middle", "large"], true),
            ("all are needed", wanted(1, 700), &["old", "middle", "large", "new"], true),
            ("all are too few", wanted(1, 2000), &["old", "middle", "large"], false),
            ("a number of small ones", wanted(2, 50), &["old", "middle"], true),
            ("more than there are", wanted(9, 50), &["old", "middle", "large"], false),
        ];
        for (what, wanted, gone, are_enough) in cases {
            let gone = gone.iter().map(|job| (*job).to_owned()).collect();
            assert_eq!(wanted.from(pods()), (gone, are_enough), "{what}");
        }
        assert_eq!(wanted(1, 100).from(Vec::new()), (Vec::new(), false));
        let sum = Wanted::default().and(room(1, 2, 3)).and(room(10, 20, 30));
        assert_eq!(sum, Wanted { pods: 2, room: room(11, 22, 33) });
    }
}
