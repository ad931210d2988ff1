//! Job stores, and the files that documents and inputs name.
//!
//! | module | holds |
//! |---|---|
//! | [`memory`] | the store of a run that nothing has to survive |
//! | [`remote`] | documents and files by their location: local and http |

pub mod memory;
pub mod remote;
