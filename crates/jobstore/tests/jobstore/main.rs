//! Job stores: every kind of records goes through the same suites, with faults put in.

mod faulty;
mod places;
mod records;
