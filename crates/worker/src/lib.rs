//! Runs one attempt of a job, and the local executor on top of it.

pub mod spawner;
