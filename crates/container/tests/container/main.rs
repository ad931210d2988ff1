//! The store and the command lines with the real engine, and a registry that can be told to fail.
//!
//! A component that is not installed skips its tests, unless MOIL_REQUIRE names it.

// Helpers of tests may panic and print as tests may; clippy sees only the tests themselves. Components are looked for
// in the environment.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod build;
mod child;
mod docker;
mod engine;
mod faults;
mod fixture;
mod killed;
mod registry;
mod sharing;
mod store;
#[path = "../../src/test_program.rs"]
mod test_program;
