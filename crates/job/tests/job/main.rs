//! Jobs of real documents: as text, and their keys.

// Helpers of tests may panic as tests may; clippy sees only the tests themselves.
#![allow(clippy::unwrap_used)]

mod documents;
mod key;
mod wire;
