//! Why an image cannot be had.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why an image cannot be had. The words of engine and system are kept as text, since one failure is told to all
/// that waited for the image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// It is not here, and nothing may be fetched.
    #[error("the image {image} is not in {folder:?}, and fetching images is switched off")]
    Offline {
        /// The image.
        image: String,
        /// Where it was looked for first.
        folder: PathBuf,
    },
    /// The engine does not have it, and nothing may be fetched.
    #[error("{engine} does not have the image {image}, and fetching images is switched off")]
    NotThere {
        /// The image.
        image: String,
        /// The engine.
        engine: String,
    },
    /// There is no such file.
    #[error("the image {path:?} is no whole SIF file and no sandbox directory: {fault}")]
    File {
        /// The path that was given as the image's name.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The registry knows no such image.
    #[error("{registry} has no image {image}: {said}")]
    NotFound {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// The engine's words.
        said: String,
    },
    /// The registry does not let us have it. Some registries say so of images that they do not have.
    #[error("{registry} does not let us have {image} (or has no such image): {said}")]
    Denied {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// The engine's words.
        said: String,
    },
    /// The registry has had too many requests from here.
    #[error("{registry} has had too many requests; {image} cannot be fetched for some time: {said}")]
    TooManyRequests {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// The engine's words.
        said: String,
    },
    /// The registry is not there, or not in order.
    #[error("{image} could not be fetched from {registry}: {said}")]
    Registry {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// The engine's words.
        said: String,
    },
    /// Nothing came for a long time.
    #[error("fetching {image} was given up: for {} s nothing came from {registry}", patience.as_secs())]
    Stalled {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// How long it was waited.
        patience: Duration,
    },
    /// What another process found while we waited for it.
    #[error("another process tried to get {image}, and failed: {said}")]
    Elsewhere {
        /// The image.
        image: String,
        /// How it told of it.
        said: String,
    },
    /// A disk is too full.
    #[error(
        "there is too little space in {folder:?} to fetch {image}: {free} bytes are free, {least} are needed at least"
    )]
    Space {
        /// The image.
        image: String,
        /// The folder whose file system is full.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that should be.
        least: u64,
    },
    /// A disk became full.
    #[error("there was too little space to fetch {image} (in {home:?}, {layers:?} or {temporary:?}): {said}")]
    Full {
        /// The image.
        image: String,
        /// Where images are kept.
        home: PathBuf,
        /// Where the engine keeps layers.
        layers: PathBuf,
        /// Where images are converted.
        temporary: PathBuf,
        /// The engine's words.
        said: String,
    },
    /// A folder or file of the store cannot be made, read or written.
    #[error("{path:?} is needed for the image {image}, and the system refuses: {error}")]
    System {
        /// The image.
        image: String,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        error: String,
    },
    /// The engine could not be started.
    #[error("{program:?} cannot be started: {error}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's words.
        error: String,
    },
    /// The engine's daemon is gone, or hangs.
    #[error("{engine} cannot be asked for the image {image}: {said}")]
    NoAnswer {
        /// The image.
        image: String,
        /// The engine.
        engine: String,
        /// The engine's words, or what we have seen.
        said: String,
    },
    /// The engine failed in another way.
    #[error("the image {image} could not be made: {said}")]
    Engine {
        /// The image.
        image: String,
        /// The engine's words, or its exit code.
        said: String,
    },
    /// The engine said that all went well and left something broken.
    #[error("the engine made a broken image of {image}: {fault}")]
    Broken {
        /// The image.
        image: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Images must be unpacked here, and the program for it is missing.
    #[error("images must be unpacked here, since /dev/fuse cannot be used, and unsquashfs is not installed")]
    NoUnsquashfs,
    /// The watch said so.
    #[error("fetching {image} was cancelled")]
    Cancelled {
        /// The image.
        image: String,
    },
}

impl ImageError {
    /// Whether the same may go well a little later.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::TooManyRequests { .. }
                | Self::Registry { .. }
                | Self::Stalled { .. }
                | Self::Elsewhere { .. }
        )
    }
}
