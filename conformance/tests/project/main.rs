//! Tests of the project itself: its structure, its licences, its lists.

// Helpers of tests may panic as tests may; clippy sees only the tests themselves.
#![allow(clippy::unwrap_used)]

mod licences;
mod lists;
mod metadata;
mod structure;
