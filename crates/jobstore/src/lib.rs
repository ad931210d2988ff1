//! Job stores, and the files that documents and inputs name.
//!
//! | module | holds |
//! |---|---|
//! | [`content`] | what keeps output files |
//! | [`memory`] | the store of a run that nothing has to survive |
//! | [`origins`] | where files come from, for memo keys |
//! | [`records`] | named records that are written once: in memory, as files |
//! | `s3` | a client of S3 (feature `aws`) |
//! | [`remote`] | documents and files by their location: local and http |

pub mod content;
pub mod memory;
mod nonce;
pub mod origins;
pub mod records;
pub mod remote;
#[cfg(feature = "aws")]
pub mod s3;
