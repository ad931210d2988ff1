//! `--force-docker-pull`: each image is fetched anew once in a run. A tag that moves while a run is at work must not
//! give it two images.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moil_container::image_name::ImageName;

use crate::cancel::Cancel;
use crate::system::Result;

/// How often one who waits for another's fetch looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// The images that were fetched anew in this run.
#[derive(Debug, Default)]
pub struct FetchedOnce {
    /// Whether it is done; `false` while somebody fetches it.
    known: Mutex<HashMap<ImageName, bool>>,
    changed: Condvar,
}

/// The right to fetch an image. Whoever drops it without [`done`](Self::done) leaves the right to the next one.
pub(crate) struct Turn<'a> {
    once: &'a FetchedOnce,
    name: &'a ImageName,
}

impl FetchedOnce {
    /// The right to fetch the image; `None` where it was fetched. Waits while somebody else fetches it.
    ///
    /// # Errors
    /// It was cancelled.
    pub(crate) fn turn<'a>(&'a self, name: &'a ImageName, cancel: &Cancel) -> Result<Option<Turn<'a>>> {
        let mut known = self.known();
        loop {
            cancel.check()?;
            match known.get(name) {
                Some(true) => return Ok(None),
                Some(false) => {
                    known = self.changed.wait_timeout(known, LOOK).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    known.insert(name.clone(), false);
                    return Ok(Some(Turn { once: self, name }));
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ImageName, bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The image is there.
    pub(crate) fn done(self) {
        self.once.known().insert(self.name.clone(), true);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.once.known();
        if known.get(self.name) == Some(&false) {
            known.remove(self.name);
        }
        drop(known);
        self.once.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn of_many_at_once_the_first_that_succeeds_is_the_only_one() {
        let once = FetchedOnce::default();
        let name = ImageName::parse("debian:12").unwrap();
        let (tried, fetched) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let Some(turn) = once.turn(&name, &Cancel::new()).unwrap() else { return };
                    // The first two fail.
                    if tried.fetch_add(1, Ordering::SeqCst) >= 2 {
                        fetched.fetch_add(1, Ordering::SeqCst);
                        turn.done();
                    }
                });
            }
        });
        assert_eq!((tried.into_inner(), fetched.into_inner()), (3, 1));
        assert!(once.turn(&ImageName::parse("debian:13").unwrap(), &Cancel::new()).unwrap().is_some());
    }
}
