//! Runs one attempt of a job, and the local executor on top of it.

pub mod attempt_dir;
pub mod cancel;
mod collect;
pub mod config;
pub mod downloads;
pub mod files;
mod image;
mod live;
pub mod local;
mod process;
pub mod publish;
pub mod run;
pub mod scratch;
mod secrets;
pub mod spawner;
pub mod stage;
pub mod summary;
pub mod system;
mod tree;
pub mod usage;
