//! Job stores: every kind of records goes through the same suites, with faults put in.

// Helpers of tests may panic and print as tests may; clippy sees only the tests themselves. Leaders that are killed are
// this program, started once more: the environment tells it what it is.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

#[cfg(feature = "aws")]
mod bucket_cache;
#[cfg(feature = "aws")]
mod bucket_store;
mod faulty;
mod file_store;
#[cfg(feature = "aws")]
mod foreign;
mod killed;
mod ledger;
mod places;
mod random;
mod records;
mod runs;
#[cfg(feature = "aws")]
mod s3;
#[cfg(feature = "aws")]
mod s3_contents;
#[cfg(feature = "aws")]
mod simpledb;
#[cfg(feature = "aws")]
mod trial;
