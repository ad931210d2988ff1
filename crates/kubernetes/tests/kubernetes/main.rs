//! What is made for an attempt, and what is read of its pod.

mod manifest;
mod outcome;
