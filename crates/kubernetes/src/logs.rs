//! What a worker says, read through the API server while it says it.

use futures_util::io::AsyncBufReadExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::api::LogParams;
use tokio::time::{Duration, Instant, sleep};

use crate::cluster::{self, Cluster};
use crate::manifest::CONTAINER;

/// How many lines a second are told of one pod at most, over a while.
const RATE: f64 = 200.0;

/// How many lines may come at once.
const BURST: f64 = 2000.0;

/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Tells the lines of a pod until its container has ended. Opens the log again where it was cut.
pub async fn follow(cluster: Cluster, pod: String, mut tell: impl FnMut(String) + Send + 'static) {
    let mut place = Place::default();
    let mut rate = Rate::new(Instant::now());
    let mut pause = Duration::from_millis(250);
    loop {
        let parameters = LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: true,
            timestamps: true,
            since_time: place.since,
            ..LogParams::default()
        };
        place.again();
        match cluster.pods().log_stream(&pod, &parameters).await {
            Ok(log) => {
                let mut lines = std::pin::pin!(log);
                let mut line = Vec::new();
                let mut is_cut = false;
                loop {
                    line.clear();
                    match lines.read_until(b'\n', &mut line).await {
                        Ok(0) => break,
                        Ok(_) => {
                            pause = Duration::from_millis(250);
                            if let Some(text) = place.take(&String::from_utf8_lossy(&line)) {
                                rate.tell(Instant::now(), text, &mut tell);
                            }
                        }
                        Err(_) => {
                            is_cut = true;
                            break;
                        }
                    }
                }
                // A server that goes away ends a log as a container does.
                if !is_cut && cluster.has_stopped(&pod).await {
                    break;
                }
            }
            Err(error) if cluster::is_gone(&error) => break,
            Err(error) if cluster::is_refused(&error) => {
                cluster.complain(&cluster.failure("follow the log of", &pod, &error));
                break;
            }
            Err(_) => {}
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    rate.close(&mut tell);
}

/// How far a log was read, by the times of its lines: these are the same when it is opened again.
#[derive(Default)]
struct Place {
    since: Option<Timestamp>,
    /// Lines of that time that were told.
    told: usize,
    /// Of these, how many are still to come again.
    to_skip: usize,
}

impl Place {
    fn again(&mut self) {
        self.to_skip = self.told;
    }

    /// The text of a line, if it was not told before.
    fn take(&mut self, line: &str) -> Option<String> {
        let line = line.trim_end_matches(['\n', '\r']);
        let Some((time, text)) =
            line.split_once(' ').and_then(|(time, text)| Some((time.parse().ok()?, text)))
        else {
            return Some(line.to_owned());
        };
        match self.since {
            // Lines are asked for by whole seconds.
            Some(since) if time < since => return None,
            Some(since) if time == since => {
                if self.to_skip > 0 {
                    self.to_skip -= 1;
                    return None;
                }
                self.told += 1;
            }
            _ => {
                self.since = Some(time);
                (self.told, self.to_skip) = (1, 0);
            }
        }
        Some(text.to_owned())
    }
}

/// Lets through as many lines of a tool as people can read, and counts the others.
#[derive(Debug)]
pub struct Rate {
    left: f64,
    at: Instant,
    dropped: u64,
}

impl Rate {
    /// From a time on.
    pub fn new(now: Instant) -> Self {
        Self { left: BURST, at: now, dropped: 0 }
    }

    /// Tells a line that came at a time, unless too many did.
    pub fn tell(&mut self, now: Instant, line: String, tell: &mut impl FnMut(String)) {
        self.left = BURST.min(self.left + (now - self.at).as_secs_f64() * RATE);
        self.at = now;
        if self.left < 1.0 {
            self.dropped += 1;
            return;
        }
        self.close(tell);
        self.left -= 1.0;
        tell(line);
    }

    /// Says how many lines are missing here.
    pub fn close(&mut self, tell: &mut impl FnMut(String)) {
        match std::mem::take(&mut self.dropped) {
            0 => {}
            lines => tell(format!("… {lines} lines are left out: they came too fast")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_log_that_is_opened_again_repeats_nothing_and_leaves_out_nothing() {
        let log = [
            "2026-01-01T00:00:01.1Z a",
            "2026-01-01T00:00:01.2Z b",
            "2026-01-01T00:00:01.2Z b",
            "2026-01-01T00:00:01.2Z c d",
            "2026-01-01T00:00:02Z ",
            "2026-01-01T00:00:03Z e",
        ];
        for cut in 0..=log.len() {
            let mut place = Place::default();
            let mut told: Vec<String> = log[..cut].iter().filter_map(|line| place.take(line)).collect();
            place.again();
            told.extend(log.iter().filter_map(|line| place.take(line)));
            assert_eq!(told, ["a", "b", "b", "c d", "", "e"], "cut at {cut}");
        }
    }

    #[test]
    fn a_flood_is_cut_and_its_size_told() {
        let (start, told) = (Instant::now(), RefCell::new(Vec::new()));
        let mut tell = |line| told.borrow_mut().push(line);
        let mut rate = Rate::new(start);
        for number in 0..3000 {
            rate.tell(start, number.to_string(), &mut tell);
        }
        assert_eq!(told.borrow().len(), 2000);
        rate.tell(start + Duration::from_secs(1), "later".into(), &mut tell);
        assert_eq!(told.borrow()[2000..], ["… 1000 lines are left out: they came too fast", "later"]);
    }
}
