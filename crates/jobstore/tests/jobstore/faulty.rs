//! Records that fail as networks and disks do, at the call that a test chooses.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use moil_jobstore::records::{Put, Records, RecordsError};

/// What goes wrong with a call.
pub enum Fault {
    /// It is done, and the caller is told that it failed.
    LoseAnswer,
    /// It is not done, and the caller is told so.
    Fail,
    /// The caller is told that it failed; it is done later, when [`Faulty::deliver`] is called.
    Late,
    /// The caller is held before it is done.
    PauseBefore(Pause),
    /// The caller is held after it is done.
    PauseAfter(Pause),
}

/// Holds a caller until the test lets it go.
pub struct Pause {
    reached: Sender<()>,
    go: Receiver<()>,
}

/// A pause, and its other end: what tells that it is reached, and what ends it (also by being dropped).
pub fn pause() -> (Pause, Receiver<()>, Sender<()>) {
    let ((reached, told), (release, go)) = (channel(), channel());
    (Pause { reached, go }, told, release)
}

impl Pause {
    fn hold(self) {
        let _ = self.reached.send(());
        let _ = self.go.recv();
    }
}

/// Records with faults at chosen calls, which are counted from 0.
pub struct Faulty {
    inner: Arc<dyn Records>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: usize,
    faults: HashMap<usize, Fault>,
    late: Vec<(String, Vec<u8>)>,
}

impl Faulty {
    /// These records with one fault.
    pub fn at(inner: Arc<dyn Records>, call: usize, fault: Fault) -> Arc<Self> {
        let state = State { faults: HashMap::from([(call, fault)]), ..State::default() };
        Arc::new(Self { inner, state: Mutex::new(state) })
    }

    /// How many calls there have been.
    pub fn calls(&self) -> usize {
        self.state.lock().expect("state").calls
    }

    /// Does what is late.
    pub fn deliver(&self) {
        let late = std::mem::take(&mut self.state.lock().expect("state").late);
        for (name, bytes) in late {
            self.inner.put_if_absent(&name, &bytes).expect("delivered");
        }
    }

    fn next(&self) -> Option<Fault> {
        let mut state = self.state.lock().expect("state");
        let call = state.calls;
        state.calls += 1;
        state.faults.remove(&call)
    }

    fn call<T>(
        &self,
        name: &str,
        late: Option<&[u8]>,
        act: impl FnOnce() -> Result<T, RecordsError>,
    ) -> Result<T, RecordsError> {
        let failed = || {
            let reason = "the connection was cut".to_owned();
            Err(RecordsError::Failed { operation: "use", name: name.to_owned(), reason })
        };
        match self.next() {
            None => act(),
            Some(Fault::Fail) => failed(),
            Some(Fault::LoseAnswer) => act().and_then(|_| failed()),
            Some(Fault::Late) => {
                if let Some(bytes) = late {
                    self.state.lock().expect("state").late.push((name.to_owned(), bytes.to_owned()));
                }
                failed()
            }
            Some(Fault::PauseBefore(pause)) => {
                pause.hold();
                act()
            }
            Some(Fault::PauseAfter(pause)) => {
                let done = act();
                pause.hold();
                done
            }
        }
    }
}

impl Records for Faulty {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        self.call(name, Some(bytes), || self.inner.put_if_absent(name, bytes))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        self.call(name, None, || self.inner.replace(name, bytes))
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        self.call(name, None, || self.inner.get(name))
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        self.call(prefix, None, || self.inner.list(prefix, after))
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        self.call(names.first().map_or("", String::as_str), None, || self.inner.delete(names))
    }
}
