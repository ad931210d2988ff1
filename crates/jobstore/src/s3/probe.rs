//! Whether a server honours conditional writes. Everything that keeps two leaders apart rests on them, and some
//! servers ignore them silently.

use aws_sdk_s3::primitives::ByteStream;

use crate::nonce::nonce;

use super::bucket::Bucket;
use super::encryption::encrypted;
use super::error::{Error, Kind};

impl Bucket {
    /// Writes one object twice, under the condition that there is none, below this prefix; then removes it.
    ///
    /// # Errors
    /// As [`Bucket::check_not_stored_again`].
    pub fn check_conditional_writes(&self, prefix: &str) -> Result<(), Error> {
        let key = format!("{prefix}{}", nonce());
        self.put_if_absent(&key, b"first")?;
        let checked = self.check_not_stored_again(&key);
        let _ = self.delete(&[key]);
        checked
    }

    /// Writes an object that is there once more, under the condition that there is none. It must be one that is worth
    /// nothing on a server that does so.
    ///
    /// # Errors
    /// Those of a request; [`Kind::Refused`] if the server let the write through. It cannot be noticed that a server
    /// checks the condition but not in one step with the write.
    pub fn check_not_stored_again(&self, key: &str) -> Result<(), Error> {
        let second = self.request(|client| {
            let request = client
                .put_object()
                .bucket(&self.name)
                .key(key)
                .if_none_match("*")
                .body(ByteStream::from_static(b"second"));
            let request = encrypted!(request, self.encryption());
            async move { request.send().await.map(drop).map_err(|error| self.of("cannot write", key, error)) }
        });
        match second {
            Err(error) if error.kind == Kind::Precondition => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(Error::new(
                "cannot use",
                format!("s3://{}", self.name),
                Kind::Refused,
                "this server ignores If-None-Match, so two leaders of one run could overwrite each other's records; \
                 please use a server that honours conditional writes (AWS S3, Ceph RGW, MinIO), or --jobStore file:…",
            )),
        }
    }
}
