//! Tests with the real engine.
fn main() {}
