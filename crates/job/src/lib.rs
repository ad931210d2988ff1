//! The contract between the parts of moil: what a job is, what comes of it,
//! and the traits by which the engine sees executors and stores. The traits
//! sit here so that those who implement them need not know the engine.
//!
//! | module | holds |
//! |---|---|
//! | [`spec`] | a job, and an attempt at it |
//! | [`wire`] | both as text, for workers in other processes |
//! | [`frames`] | what leaders and workers that take more than one job tell each other |
//! | [`resources`] | what a job asks for and gets |
//! | [`result`] | what comes of an attempt |
//! | [`failure`] | why something failed, fit to cross from worker to leader |
//! | [`key`] | memo keys |
//! | [`identity`] | what a file is, for memo keys |
//! | [`secret`] | values that must not be told, and what stands for them |
//! | [`update`] | new versions of what a tool changed in place |
//! | [`moved`] | files that export takes out of the store |
//! | [`record`] | records of the journal |
//! | [`event`] | what happens in a run, for progress, statistics and messages |
//! | [`executor`] | the trait of those who run attempts |
//! | [`cache`] | the trait of call caches |
//! | [`exchange`] | the trait of what lies between a leader and workers in other processes |
//! | [`store`] | the trait of job stores |
//! | [`contents`] | the trait of those who keep output files |

pub mod cache;
pub mod contents;
pub mod event;
pub mod exchange;
pub mod executor;
pub mod failure;
pub mod frames;
pub mod identity;
pub mod key;
pub mod moved;
pub mod record;
pub mod resources;
pub mod result;
pub mod secret;
pub mod spec;
pub mod store;
pub mod update;
pub mod wire;
