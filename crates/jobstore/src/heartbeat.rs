//! Signs of life of a leader, and the wish that it ends. Both are advice to people and to courteous programs; nothing
//! that must be right depends on them, or on clocks.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::names::{self, Term};
use crate::records::{Put, Records, RecordsError};
use crate::who::Who;

/// The last sign of life of a leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The leader.
    pub who: Who,
    /// Counts up.
    pub count: u64,
    /// By the leader's clock, in seconds since 1970.
    pub at: u64,
    /// How long until the next one, in seconds.
    pub every: u64,
}

impl Beat {
    /// How long to wait for another beat before the leader may be taken for dead, in seconds; 0 where it is known to be.
    /// `now` is in seconds since 1970.
    ///
    /// Clocks of two machines may differ: whoever waits should see whether the beat has changed, not trust its date.
    pub fn patience(&self, here: &Who, now: u64) -> u64 {
        if self.who.is_gone(here) {
            return 0;
        }
        let (long, age) = (3 * self.every, now.saturating_sub(self.at));
        long.saturating_sub(age)
    }
}

/// The last sign of life of the leader of a term.
///
/// # Errors
/// It cannot be read. A damaged one counts as none.
pub fn last_beat(records: &dyn Records, term: &Term) -> Result<Option<Beat>, RecordsError> {
    match records.get(&names::heartbeat(term)) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())),
        Err(RecordsError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks the leader of a term to end the run.
///
/// # Errors
/// It cannot be stored.
pub fn ask_to_end(records: &dyn Records, term: &Term, who: &Who) -> Result<(), RecordsError> {
    match records.put_if_absent(&names::kill(term), who.name().as_bytes())? {
        Put::Stored | Put::Exists => Ok(()),
    }
}

/// A thread that gives signs of life until it is dropped; then it takes the last one away, so that nobody waits.
pub struct Heartbeat {
    stop: Option<Sender<Stop>>,
    thread: Option<JoinHandle<()>>,
}

/// The last sign of life stays.
struct Stop;

/// What the thread tells. It is told once each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Somebody asked for the end of the run.
    Kill {
        /// Who.
        by: String,
    },
    /// Signs of life cannot be stored; the first time after one could.
    Failed(RecordsError),
}

impl Heartbeat {
    /// Begins, with a first sign of life before this returns. `tell` is called from the thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        records: Arc<dyn Records>,
        term: &Term,
        who: Who,
        every: Duration,
        tell: impl Fn(Sign) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let (beat_name, kill_name) = (names::heartbeat(term), names::kill(term));
        let mut beating = Beating { records, name: beat_name, who, every, count: 0, failing: false };
        let first = beating.beat();
        let thread = thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            first.into_iter().for_each(&tell);
            let mut killed = false;
            // Nobody has known this term before, to wish for its end.
            loop {
                match stopped.recv_timeout(every) {
                    Err(RecvTimeoutError::Timeout) => beating.beat().into_iter().for_each(&tell),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Ok(Stop) => return,
                }
                if !killed && let Ok(Some(by)) = beating.records.get(&kill_name) {
                    killed = true;
                    tell(Sign::Kill { by: String::from_utf8_lossy(&by).into_owned() });
                }
            }
            // If this fails, others wait a little longer than they need.
            let _ = beating.records.delete(&[beating.name]);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends, and leaves the last sign of life where it is: it goes with all else of the run.
    pub fn leave(self) {
        if let Some(stop) = &self.stop {
            // Fails only when the thread has ended.
            let _ = stop.send(Stop);
        }
    }
}

/// Takes the last sign of life of the leader of a term away, after [`Heartbeat::leave`].
///
/// # Errors
/// Others wait a little longer than they need.
pub fn take_away(records: &dyn Records, term: &Term) -> Result<(), RecordsError> {
    records.delete(&[names::heartbeat(term)])
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Beating {
    records: Arc<dyn Records>,
    name: String,
    who: Who,
    every: Duration,
    count: u64,
    failing: bool,
}

impl Beating {
    fn beat(&mut self) -> Option<Sign> {
        self.count += 1;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let beat = Beat { who: self.who.clone(), count: self.count, at, every: self.every.as_secs().max(1) };
        let stored = self.records.replace(&self.name, &serde_json::to_vec(&beat).unwrap_or_default());
        let was_failing = std::mem::replace(&mut self.failing, stored.is_err());
        stored.err().filter(|_| !was_failing).map(Sign::Failed)
    }
}
