//! The plan by hand and the leader with a made-up executor.

mod caching;
mod elsewhere;
mod fixture;
mod generators;
mod leader;
mod leader_faults;
mod loops;
mod plan;
mod restart;
mod secrets;
