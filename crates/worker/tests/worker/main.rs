//! Attempts and the local executor, with real processes.

mod attempts;
mod executor;
mod failures;
mod fixture;
