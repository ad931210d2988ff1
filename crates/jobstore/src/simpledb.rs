//! SimpleDB: a small blocking client of its Query protocol (API version 2009-04-15). No crate has one that works: the
//! service takes Signature Version 2 only.
//!
//! | module | holds |
//! |---|---|
//! | [`client`] | the operations that records need |
//! | [`answer`] | what the service says, read from XML |
//! | [`signature`] | Signature Version 2 |

mod answer;
pub mod client;
mod signature;

pub use client::SimpleDb;
