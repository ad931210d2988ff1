//! Whether a server honours conditional writes. Everything that keeps two leaders apart rests on them, and some
//! servers ignore them silently.

use bytes::Bytes;

use crate::nonce::nonce;

use super::bucket::Bucket;
use super::error::{Error, Kind};

impl Bucket {
    /// Writes one object twice, under the condition that there is none, below this prefix; then removes it.
    ///
    /// # Errors
    /// Those of a request; [`Kind::Refused`] if the server let both writes through. It is not always noticed that a
    /// server checks the condition but not in one step with the write.
    pub fn check_conditional_writes(&self, prefix: &str) -> Result<(), Error> {
        let key = format!("{prefix}{}", nonce());
        self.put_if_absent(&key, b"first")?;
        let second = self.put_if_none(&key, &Bytes::from_static(b"second"), &nonce());
        let _ = self.delete(&[key]);
        if second? { Err(self.ignores_conditions()) } else { Ok(()) }
    }

    pub(super) fn ignores_conditions(&self) -> Error {
        Error::new(
            "cannot use",
            format!("s3://{}", self.name),
            Kind::Refused,
            "this server ignores If-None-Match, so two leaders of one run could overwrite each other's records; \
             please use a server that honours conditional writes (AWS S3, Ceph RGW, MinIO), or --jobStore file:…",
        )
    }
}
