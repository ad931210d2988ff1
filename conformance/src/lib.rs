//! Runs conformance suites in cwltest's format and judges them by cwltest's rules.
//!
//! | module | holds |
//! |---|---|
//! | [`suite`] | test files: what is to be run and what must come out |
//! | [`runner`] | how a runner is called, and what it answered |
//! | [`program`], [`in_process`] | a runner that is a program, and moil in this process |
//! | [`json`] | strict JSON, as cwltest demands of stdout |
//! | [`compare`] | output objects compared by cwltest's rules |
//! | [`verdict`] | passed, failed or unsupported |
//! | [`drive`] | all tests of a suite, several at a time |
//! | [`expected`] | the lists of what passes |
//! | [`report`] | what a run found, as JSON |

pub mod compare;
pub mod drive;
pub mod expected;
pub mod in_process;
pub mod json;
mod number;
pub mod program;
pub mod report;
pub mod runner;
pub mod suite;
pub mod verdict;
