//! Job stores: every kind of records goes through the same suites, with faults put in.

// Helpers of tests may panic as tests may; clippy sees only the tests themselves.
#![allow(clippy::unwrap_used)]

mod faulty;
mod file_store;
mod ledger;
mod places;
mod records;
mod runs;
#[cfg(feature = "aws")]
mod s3;
#[cfg(feature = "aws")]
mod simpledb;
