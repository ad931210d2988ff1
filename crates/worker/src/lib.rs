//! Runs one attempt of a job, and the local executor on top of it.

pub mod attempt_dir;
pub mod cancel;
pub mod config;
pub mod files;
mod live;
pub mod publish;
pub mod scratch;
mod secrets;
pub mod spawner;
pub mod summary;
pub mod system;
pub mod usage;
