//! Job stores, and the files that documents and inputs name.
//!
//! | module | holds |
//! |---|---|
//! | [`at_once`] | two things at once |
//! | `bucket_store` | the job stores `aws:` and `s3:` (feature `aws`) |
//! | [`call_cache`] | results that are kept beyond their runs |
//! | [`content`] | what keeps output files |
//! | [`exchange`] | attempts for workers in other processes |
//! | [`memory`] | the store of a run that nothing has to survive |
//! | [`origins`] | where files come from, for memo keys |
//! | [`file_store`] | the job store `file:PATH` |
//! | [`heartbeat`] | a leader's signs of life, and the wish that it ends |
//! | [`ledger`] | a run: its journal, who leads it, how it is removed |
//! | [`locator`] | what stands behind `--jobStore` |
//! | [`names`] | what the records of a run are called |
//! | [`nonce`] | what nobody else has |
//! | [`place`] | where a store is, and the store that is there, of any kind |
//! | [`who`] | which process on which machine |
//! | [`records`] | named records that are written once: in memory, as files |
//! | [`results`] | what came of attempts |
//! | [`runs`] | runs at one place, one after the other |
//! | `s3`, `simpledb` | clients of S3 and SimpleDB (feature `aws`) |
//! | [`remote`] | documents and files by their location: local and http |

pub mod at_once;
#[cfg(feature = "aws")]
pub mod bucket_store;
pub mod call_cache;
pub mod content;
pub mod exchange;
pub mod file_store;
pub mod heartbeat;
pub mod ledger;
pub mod locator;
pub mod memory;
pub mod names;
pub mod nonce;
pub mod origins;
pub mod place;
pub mod records;
pub mod remote;
pub mod results;
pub mod runs;
#[cfg(feature = "aws")]
pub mod s3;
#[cfg(feature = "aws")]
pub mod simpledb;
pub mod who;
