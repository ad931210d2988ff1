//! Leaders that come, go and fail at random. Each run has a number, from which everything in it follows; a failure
//! names it.

use std::sync::{Arc, Mutex};

use moil_job::record::Record;
use moil_job::spec::{AttemptId, JobId};
use moil_job::store::StoreError;
use moil_jobstore::ledger::{Info, Ledger};
use moil_jobstore::records::{Put, Records, RecordsError};
use moil_jobstore::who::Who;

use crate::places::{self, Factory};

#[test]
fn memory() {
    suite(&places::memory, 400);
}

#[test]
fn file() {
    suite(&places::file, 100);
}

/// Runs with the seeds from 0.
pub fn suite(make: Factory, runs: u64) {
    (0..runs).for_each(|seed| run(make, seed));
}

/// SplitMix64.
#[derive(Clone)]
struct Chance(Arc<Mutex<u64>>);

impl Chance {
    fn below(&self, end: u64) -> u64 {
        let mut state = self.0.lock().expect("state");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Records of which every fourth call fails: not done, done without an answer, or done later.
struct Shaky {
    inner: Arc<dyn Records>,
    chance: Chance,
    late: Arc<Mutex<Vec<(String, Vec<u8>)>>>,
}

impl Shaky {
    fn call<T>(
        &self,
        late: Option<(&str, &[u8])>,
        act: impl FnOnce() -> Result<T, RecordsError>,
    ) -> Result<T, RecordsError> {
        let reason = "the connection was cut".to_owned();
        let failed = Err(RecordsError::Failed { operation: "use", name: "it".to_owned(), reason });
        match self.chance.below(12) {
            0 => failed,
            1 => act().and(failed),
            2 => {
                if let Some((name, bytes)) = late {
                    self.late.lock().expect("late").push((name.to_owned(), bytes.to_owned()));
                }
                failed
            }
            _ => act(),
        }
    }
}

impl Records for Shaky {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        self.call(Some((name, bytes)), || self.inner.put_if_absent(name, bytes))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        self.call(None, || self.inner.replace(name, bytes))
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        self.call(None, || self.inner.get(name))
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        self.call(None, || self.inner.list(prefix, after))
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        self.call(None, || self.inner.delete(names))
    }
}

struct Leader {
    ledger: Ledger,
    fenced: bool,
}

fn run(make: Factory, seed: u64) {
    let place = make();
    let chance = Chance(Arc::new(Mutex::new(seed)));
    let late = Arc::new(Mutex::new(Vec::new()));
    let who = Who::here();
    drop(Ledger::create(place.open(), Info::new(&who), &who).expect("made"));
    let mut leaders: Vec<Leader> = Vec::new();
    // What was acknowledged, and by which term.
    let mut stored: Vec<(String, String)> = Vec::new();
    let mut tried = 0;
    for step in 0..60 {
        match chance.below(10) {
            0 => {
                let records = Shaky { inner: place.open(), chance: chance.clone(), late: Arc::clone(&late) };
                if let Ok((ledger, replay)) = Ledger::take_over(Arc::new(records), &who) {
                    let known = replay.entries.iter().filter_map(|entry| word(&entry.record));
                    let known: Vec<&str> = known.collect();
                    assert!(
                        stored.iter().all(|(name, _)| known.contains(&name.as_str())),
                        "seed {seed}, step {step}: something acknowledged is not replayed"
                    );
                    leaders.push(Leader { ledger, fenced: false });
                }
            }
            1 => {
                let mut late = late.lock().expect("late");
                if !late.is_empty() {
                    let at = chance.below(late.len() as u64) as usize;
                    let (name, bytes) = late.swap_remove(at);
                    place.open().put_if_absent(&name, &bytes).expect("delivered");
                }
            }
            _ if leaders.is_empty() => {}
            _ => {
                let at = chance.below(leaders.len() as u64) as usize;
                let leader = &mut leaders[at];
                let name = format!("job {step}");
                let attempt = AttemptId { job: JobId(name.as_str().into()), number: 1 };
                tried += 1;
                match leader.ledger.append(&[super::ledger::started(attempt)]) {
                    Ok(()) => {
                        assert!(!leader.fenced, "seed {seed}, step {step}: it was fenced");
                        stored.push((name, leader.ledger.term().to_string()));
                    }
                    Err(StoreError::Fenced { .. }) => leader.fenced = true,
                    Err(StoreError::Failed { .. }) => {}
                }
            }
        }
    }
    for (name, bytes) in late.lock().expect("late").drain(..) {
        place.open().put_if_absent(&name, &bytes).expect("delivered");
    }
    let (_, replay) = Ledger::read(&*place.open(), &who).expect("read");
    let there: Vec<(String, String)> = replay
        .entries
        .iter()
        .filter_map(|entry| Some((word(&entry.record)?.to_owned(), entry.term.to_string())))
        .collect();
    for (place, one) in there.iter().enumerate() {
        assert!(!there[place + 1..].contains(one), "seed {seed}: {one:?} is there twice");
    }
    let mut rest = there.iter();
    assert!(
        stored.iter().all(|one| rest.any(|other| other == one)),
        "seed {seed}: {stored:?} is not in {there:?}, in this order"
    );
    assert!(there.len() <= tried, "seed {seed}");
}

fn word(record: &Record) -> Option<&str> {
    match record {
        Record::AttemptStarted { attempt, .. } => Some(&attempt.job.0),
        _ => None,
    }
}
