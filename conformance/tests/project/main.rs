//! Tests of the project itself: its structure, its licences, its lists.

mod licences;
mod lists;
mod metadata;
mod structure;
