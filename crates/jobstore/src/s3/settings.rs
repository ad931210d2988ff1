//! What a client of S3 has to know. The binary fills this from options, environment and config file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Error;

/// How to reach a server, and how to treat it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The region; `None`: the one that the SDK finds, or else `us-east-1`.
    pub region: Option<String>,
    /// The server's URL, such as `http://127.0.0.1:9000`, if it is not that of AWS. The bucket is then part of the
    /// path.
    pub endpoint: Option<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// PEM files with the certificates that are trusted; empty: those of the system.
    pub certificates: Vec<PathBuf>,
    /// How objects that are written are encrypted.
    pub encryption: Encryption,
    /// How often requests are made again.
    pub patience: Patience,
    /// How files are divided.
    pub parts: Parts,
}

/// Where credentials come from.
#[derive(Clone, Default)]
pub enum Credentials {
    /// The SDK's usual chain: environment, profiles, web identity, ECS and EKS, instance.
    #[default]
    Chain,
    /// Those that are given.
    Keys {
        /// The access key.
        access: String,
        /// The secret key.
        secret: String,
        /// The token of temporary credentials.
        session: Option<String>,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("Chain"),
            Self::Keys { access, .. } => {
                f.debug_struct("Keys").field("access", access).finish_non_exhaustive()
            }
        }
    }
}

/// How the server encrypts objects.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket says.
    #[default]
    Bucket,
    /// With keys of S3 (`AES256`).
    S3,
    /// With a key of KMS; `None`: the account's usual one.
    Kms(Option<String>),
    /// With this key, which the server forgets; reading needs it again.
    Customer([u8; 32]),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket => f.write_str("Bucket"),
            Self::S3 => f.write_str("S3"),
            Self::Kms(key) => f.debug_tuple("Kms").field(key).finish(),
            Self::Customer(_) => f.write_str("Customer(..)"),
        }
    }
}

/// How often a request is made, and how long to wait between the tries.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The number of tries, the first one included.
    pub tries: u32,
    /// The longest wait before the second try; doubled for each that follows.
    pub first_wait: Duration,
    /// The longest wait before any try.
    pub longest_wait: Duration,
}

impl Default for Patience {
    /// About a minute in all: as long as a disturbance of the service usually lasts.
    fn default() -> Self {
        Self { tries: 12, first_wait: Duration::from_millis(100), longest_wait: Duration::from_secs(20) }
    }
}

impl Patience {
    /// How long to wait before the second try, before the third and so on: a random time, so that many clients do not
    /// come back together.
    pub(crate) fn waits(self) -> impl Iterator<Item = Duration> {
        let mut longest = self.first_wait;
        (1..self.tries).map(move |_| {
            // Without a source of chance all come together, which is no reason to fail.
            let random = getrandom::u32().unwrap_or(u32::MAX);
            let wait = longest.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX));
            longest = (longest * 2).min(self.longest_wait);
            wait
        })
    }

    /// Does something until it succeeds, fails for good, or the tries are used up.
    pub(crate) fn again<T>(self, mut once: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        for wait in self.waits() {
            match once() {
                Err(error) if error.kind.is_passing() => std::thread::sleep(wait),
                done => return done,
            }
        }
        once().map_err(|error| self.given_up(error))
    }

    /// Says how often it was tried.
    pub(crate) fn given_up(self, mut error: Error) -> Error {
        if error.kind.is_passing() && self.tries > 1 {
            error.reason = format!("{} (tried {} times)", error.reason, self.tries);
        }
        error
    }
}

/// How files are divided for their way up and down. All sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Files up to this size go in one request. S3 refuses parts under 5 MiB.
    pub smallest: u64,
    /// How many parts a file has at most; they grow with it. S3 takes 10,000.
    pub most: u64,
    /// How many bytes are in flight at once, for one file; at least one part is.
    pub in_flight: u64,
    /// The largest object that is copied in one request; S3 takes 5 GiB.
    pub largest_copy: u64,
    /// The size of the parts in which larger ones are copied.
    pub copied: u64,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            smallest: 16 << 20,
            most: 9_000,
            in_flight: 64 << 20,
            largest_copy: 5 << 30,
            copied: 512 << 20,
        }
    }
}

impl Parts {
    /// The size of the parts of a file of this size.
    #[must_use]
    pub fn size(&self, file: u64) -> u64 {
        let needed = file.div_ceil(self.most.max(1));
        // Whole mebibytes, so that few sizes occur.
        let rounded = needed.div_ceil(1 << 20) << 20;
        if needed <= self.smallest { self.smallest.max(1) } else { rounded }
    }

    /// How many parts of this size may be in flight.
    #[must_use]
    pub fn at_once(&self, size: u64) -> usize {
        usize::try_from(self.in_flight / size.max(1)).unwrap_or(usize::MAX).clamp(1, 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_file() {
        let parts = Parts::default();
        for (file, size, at_once) in [
            (0, 16 << 20, 4),
            (17 << 20, 16 << 20, 4),
            // 100 GB and the largest that S3 takes, 5 TiB.
            (100_000_000_000, 16 << 20, 4),
            (5 << 40, 583 << 20, 1),
        ] {
            assert_eq!(parts.size(file), size, "{file}");
            assert_eq!(parts.at_once(size), at_once, "{file}");
            assert!(file.div_ceil(size) <= 10_000, "{file}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let settings = Settings {
            credentials: Credentials::Keys {
                access: "AK".into(),
                secret: "planted-secret".into(),
                session: Some("planted-token".into()),
            },
            encryption: Encryption::Customer([b'x'; 32]),
            ..Settings::default()
        };
        let text = format!("{settings:?}");
        assert!(text.contains("AK") && !text.contains("planted") && !text.contains("120, 120"), "{text}");
    }
}
