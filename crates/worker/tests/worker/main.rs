//! Attempts and the local executor, with real processes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attempts;
mod executor;
mod failures;
mod fixture;
mod secrets;
