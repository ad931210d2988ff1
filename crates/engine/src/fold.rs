//! Folds over the stream of events, and over the journal: what people are shown and what is counted.

pub mod messages;
pub mod recorded;
pub mod statistics;
pub mod status;
pub mod used;
