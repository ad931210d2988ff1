//! The servers, asked by clients of others.

// Helpers of tests may panic as tests may; clippy sees only the tests themselves.
#![allow(clippy::unwrap_used)]

mod s3;
