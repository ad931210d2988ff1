//! Whether a worker that was told all that it needs reaches the job store. Else its tools run for nothing, and that is not
//! to be seen only at their end. (What may be read, and not written, is seen there.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::names;
use moil_jobstore::records::Records;

use super::serve::Event;

/// After so long the store is asked for something. What a shorter attempt leaves there tells the same.
const SOON: Duration = Duration::from_secs(2);

/// What is known of it.
#[derive(Clone, Default)]
pub(super) struct Reach {
    is_known: Arc<AtomicBool>,
    has_stored: Arc<AtomicBool>,
    is_asked: Arc<AtomicBool>,
}

impl Reach {
    /// The store has answered.
    pub fn is_seen(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// A result was stored.
    pub fn stored(&self) {
        self.has_stored.store(true, Ordering::Relaxed);
        self.is_seen();
    }

    /// Whether it has ever answered.
    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Whether a result was ever stored.
    pub fn has_stored(&self) -> bool {
        self.has_stored.load(Ordering::Relaxed)
    }

    /// An attempt begins: asks the store soon, once, unless it is known by then. If it cannot be used, that is told.
    pub fn begins(&self, records: &Arc<dyn Records>, sender: &Sender<Event>) {
        if self.is_known() || self.is_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let (reach, records, sender) = (self.clone(), Arc::clone(records), sender.clone());
        let ask = move || {
            thread::sleep(SOON);
            if reach.is_known() {
                return;
            }
            // It is there since the first attempt was recorded. Of what is not there some servers say that it is forbidden.
            match records.get(&names::group(2)) {
                Ok(_) => reach.is_seen(),
                Err(error) => {
                    let failure = Failure::new(FailureKind::System, "the worker cannot use the job store");
                    // Nobody listens any more only when the program ends.
                    _ = sender.send(Event::NoStore(failure.with_cause(error)));
                }
            }
        };
        // Without a thread it shows when the attempt is over.
        _ = thread::Builder::new().name("reach".to_owned()).spawn(ask);
    }
}
