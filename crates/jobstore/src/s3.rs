//! S3: a small blocking client. Its runtime and connections come into being with the first request, so that a run
//! without `aws:` or `s3:` pays nothing for it.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | endpoint, credentials, encryption, sizes of parts, patience |
//! | [`client`] | the client as a whole, and how requests are made again |
//! | `encryption` | what requests say about encryption |
//! | [`error`] | what went wrong, and whether trying again helps |
//! | [`bucket`] | buckets: made, found, removed |
//! | `pace` | how requests are made again, and slow down together |
//! | [`object`] | objects that fit into memory: put, conditional put, get, list, delete |
//! | [`transfer`] | files up and down, in parts |
//! | [`copy`] | copies within the service |
//! | [`probe`] | whether a server honours conditional writes |
//!
//! The environment is not read here, with one exception: [`settings::Credentials::Chain`] is the SDK's usual search
//! for credentials and region, and that reads environment variables, `~/.aws` and the addresses of instance and pod
//! identity by itself.

pub mod bucket;
pub mod client;
pub mod copy;
mod encryption;
pub mod error;
pub mod object;
mod pace;
pub mod probe;
pub mod settings;
pub mod transfer;

pub use bucket::Bucket;
pub use client::S3;
pub use error::{Error, Kind};
pub use settings::Settings;
