//! What the store tells while it works, and how it is stopped.

use std::path::Path;
use std::time::Duration;

use crate::lock::Holder;

/// Something that takes time, or that was put right.
#[derive(Debug)]
pub enum Event<'a> {
    /// Another process holds a lock. Told at once, then every [`TELL_EVERY`].
    Waiting {
        /// The image that cannot go on.
        image: &'a str,
        /// What the other one does, such as `debian:12 is pulled`.
        what: &'a str,
        /// The lock's file.
        lock: &'a Path,
        /// Who holds it, where that is known.
        holder: Option<&'a Holder>,
        /// How long we have waited.
        waited: Duration,
    },
    /// The engine has begun to fetch and convert an image. Told at once, then every [`TELL_EVERY`].
    Pulling {
        /// The image.
        image: &'a str,
        /// For how long.
        since: Duration,
    },
    /// The image is in the store.
    Pulled {
        /// The image.
        image: &'a str,
        /// Its size in bytes.
        size: u64,
        /// How long it took.
        took: Duration,
    },
    /// The engine has the image, and keeps to itself how large it is.
    Fetched {
        /// The image.
        image: &'a str,
        /// How long it took.
        took: Duration,
    },
    /// A sandbox directory is made of an image.
    Unpacking {
        /// The image.
        image: &'a str,
    },
    /// Something broken was found and put right, a leftover was removed, or it is looked for such things.
    Repaired {
        /// What, in a sentence without a full stop.
        what: String,
    },
}

/// How often waiting and pulling are told.
pub const TELL_EVERY: Duration = Duration::from_secs(10);

/// Whoever asks the store for images.
pub trait Watch {
    /// Something happens.
    fn tell(&self, event: &Event<'_>);

    /// Whether to give up. Asked several times a second while the store waits.
    fn cancelled(&self) -> bool {
        false
    }
}
