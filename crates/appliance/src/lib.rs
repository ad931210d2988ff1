//! The worker image: made from what is on this machine, and brought to a registry without Docker. Where to find what:
//!
//! | module | holds |
//! |---|---|
//! | [`content`] | what belongs into the image, found on this machine |
//! | [`libraries`] | the shared libraries that a program loads |
//! | [`tree`] | the files of an image |
//! | [`tar`] | them as an archive |
//! | [`layout`] | layers, configuration and manifest in a directory: an OCI image layout |
//! | [`reference`] | names of images |
//! | [`credentials`] | who one is for a registry: Docker's configuration |
//! | [`challenge`] | how a registry wants that to be shown |
//! | [`reach`] | whether a registry answers |
//! | [`registry`] | the HTTP API of registries |
//! | [`error`] | what goes wrong |
//!
//! The same files give the same digest: entries are sorted, and have no times and no owners.

pub mod challenge;
pub mod content;
pub mod credentials;
pub mod error;
pub mod layout;
pub mod libraries;
pub mod reach;
pub mod reference;
pub mod registry;
pub mod tar;
#[cfg(test)]
mod test_program;
pub mod tree;
