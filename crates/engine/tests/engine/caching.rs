//! A leader with a call cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use moil_engine::caching::Cached;
use moil_job::cache::{CacheError, CallCache};
use moil_job::failure::FailureKind;
use moil_job::record::Record;
use moil_job::result::JobResult;

use super::leader::{Act, Case, Ended, SCATTER};
use super::restart::{keys, submitted};

/// A cache in memory.
#[derive(Default)]
struct Fake {
    kept: Mutex<HashMap<String, JobResult>>,
    broken: bool,
}

impl CallCache for Fake {
    fn find(&self, key: &str) -> Result<Option<JobResult>, CacheError> {
        match self.broken {
            true => Err(CacheError { operation: "be read".to_owned(), reason: "no disk".to_owned() }),
            false => Ok(self.kept.lock().expect("not poisoned").get(key).cloned()),
        }
    }

    fn store(&self, key: &str, result: &JobResult) -> Result<(), CacheError> {
        if self.broken {
            return Err(CacheError { operation: "be written".to_owned(), reason: "no disk".to_owned() });
        }
        self.kept.lock().expect("not poisoned").insert(key.to_owned(), result.clone());
        Ok(())
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}

/// A run with a cache and what was recorded before; with what it recorded.
fn run(cache: &Arc<Fake>, recorded: Vec<Record>, act: fn(&str) -> Act) -> (Ended, Vec<Record>) {
    let mut case = Case::new(SCATTER, move |attempt| act(&attempt.job.id.0));
    case.keys = keys();
    case.cache = keys().map(|keys| Cached { cache: Arc::clone(cache) as _, keys });
    case.recorded = recorded;
    let store = Arc::clone(&case.store);
    let ended = case.run();
    let groups = store.groups.lock().expect("not poisoned");
    (ended, groups.iter().flatten().cloned().collect())
}

#[test]
fn a_later_run_takes_results_and_records_them_as_its_own() {
    let cache = Arc::new(Fake::default());
    let (first, _) = run(&cache, Vec::new(), |_| Act::Done);
    let (second, recorded) = run(&cache, Vec::new(), |_| Act::Done);
    assert_eq!(submitted(&second), [""; 0]);
    assert_eq!(second.end, first.end);
    assert_eq!(second.events.iter().filter(|event| event.starts_with("reused")).count(), 4);
    // A leader after it needs no cache.
    let (third, _) = run(&Arc::default(), recorded, |_| Act::Done);
    assert_eq!(submitted(&third), [""; 0]);
    assert_eq!(third.end, first.end);
}

#[test]
fn what_failed_is_not_kept() {
    let cache = Arc::new(Fake::default());
    let fail = |id: &str| if id == "b" { Act::Fail(FailureKind::BadInput) } else { Act::Done };
    run(&cache, Vec::new(), fail);
    let (second, _) = run(&cache, Vec::new(), |_| Act::Done);
    assert_eq!(submitted(&second), ["b#1"]);
}

#[test]
fn a_cache_that_cannot_be_used_stops_nothing() {
    let cache = Arc::new(Fake { broken: true, ..Fake::default() });
    let (ended, _) = run(&cache, Vec::new(), |_| Act::Done);
    assert_ne!(ended.end, "failed", "{:?}", ended.failures);
    assert_eq!(submitted(&ended).len(), 4);
}
