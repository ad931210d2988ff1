//! Attempts and the local executor, with real processes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apart;
mod attempts;
mod containers;
mod engine;
mod executor;
mod failures;
mod fixture;
mod secrets;

// The worker's tests use a part of it.
#[allow(dead_code)]
#[path = "../../../container/tests/container/registry.rs"]
mod registry;
