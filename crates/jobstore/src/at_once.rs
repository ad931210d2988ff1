//! Two things at once, where each waits for a server.

use std::panic::resume_unwind;
use std::thread;

/// Does both at the same time, or one after the other where no thread is to be had, and gives what both gave.
pub fn both<A: Send, B>(first: impl Fn() -> A + Sync, second: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let there = thread::Builder::new().spawn_scoped(scope, &first);
        let second = second();
        let first = match there {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => first(),
        };
        (first, second)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    #[test]
    fn both_are_under_way_at_the_same_time() {
        let meet = Barrier::new(2);
        let waited = super::both(|| meet.wait().is_leader(), || meet.wait().is_leader());
        assert_ne!(waited.0, waited.1);
    }
}
