//! The contents of output files, kept beyond their attempts.
//!
//! | module | holds |
//! |---|---|
//! | [`file`] | contents in a directory |

pub mod file;
