//! Folds over the stream of events: what people are shown and what is counted.

pub mod messages;
pub mod statistics;
pub mod status;
