//! Servers for tests, in the process of the test: real protocols over loopback (or where a cluster reaches them), faults on demand.
//!
//! | module | holds |
//! |---|---|
//! | [`hooks`] | what was asked of a server, and the faults that it is to show |
//! | [`server`] | HTTP on a free port, with those faults |
//! | [`s3`] | S3 in memory |
//! | [`simpledb`] | SimpleDB in memory |
//!
//! Only tests use this crate, so its functions panic where a test would.

// The crate is a helper of tests, and these may panic; clippy sees only the tests themselves.
#![allow(clippy::unwrap_used)]

pub mod hooks;
pub mod s3;
pub mod server;
pub mod simpledb;
