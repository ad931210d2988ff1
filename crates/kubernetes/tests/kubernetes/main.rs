//! What is made for an attempt, and what is read of its pod.

mod events;
mod manifest;
mod outcome;
mod waiting;
