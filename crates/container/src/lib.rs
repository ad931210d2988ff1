//! Containers of Singularity and Apptainer, Docker and Podman: images that many jobs, processes and machines can share,
//! and the command lines that run a tool in one.
//!
//! | module | holds |
//! |---|---|
//! | [`detect`] | which Apptainer or Singularity there is, and what its version can do |
//! | [`probe`] | what it can do on this machine |
//! | [`image_name`] | names of images, and of the files they are kept in |
//! | [`direct`] | running it without an engine, in an unpacked image |
//! | [`invocation`] | what is to run in a container |
//! | [`apptainer`] | the command line for it |
//! | [`docker`] | that of Docker and Podman |
//! | [`docker_engine`] | finding these two, and ending what they run |
//! | [`docker_images`] | their images, fetched once |
//! | [`sif`] | whether an image is whole |
//! | [`store`] | the images of a machine: found, fetched, published |
//! | [`build`] | images that are made here |
//! | [`dockerfile`] | Dockerfiles as definition files |
//! | [`prune`] | listing them and making room |
//! | [`error`] | why an image cannot be had |
//! | `mount` | what the options of all engines have in common |
//! | [`seal`] | whether an image is what was made, to the last byte |
//! | `shared_failure` | failures that all who waited share |
//! | `resolved` | what a name means in one run |
//! | `engine_config` | conversions in bounded memory |
//! | `pull` | one pull by the engine |
//! | `layer_cache` | the engine's own cache, put right |
//! | `sandbox` | images as directories |
//! | `unfinished` | what is in the making, and what is left of it |
//! | `space` | how much is free on a disk |
//! | [`lock`] | locks between processes |
//! | [`watch`] | what the store tells while it works |
//! | `process` | running the engine so that nothing of it survives |

pub mod apptainer;
pub mod build;
pub mod detect;
pub mod direct;
pub mod docker;
pub mod docker_engine;
pub mod docker_images;
pub mod dockerfile;
mod engine_config;
pub mod error;
pub mod image_name;
pub mod invocation;
mod layer_cache;
pub mod lock;
mod mount;
pub mod probe;
mod process;
pub mod prune;
mod pull;
mod resolved;
mod sandbox;
pub mod seal;
mod shared_failure;
pub mod sif;
mod space;
pub mod store;
#[cfg(test)]
mod test_program;
mod unfinished;
pub mod watch;
