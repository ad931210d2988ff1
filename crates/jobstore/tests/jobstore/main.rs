//! Job stores: every kind of records goes through the same suites, with faults put in.

mod faulty;
mod file_store;
mod ledger;
mod places;
mod records;
mod runs;
