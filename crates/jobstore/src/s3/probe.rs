//! Whether a server honours conditional writes. Everything that keeps two leaders apart rests on them, and some
//! servers ignore them silently.

use aws_sdk_s3::primitives::ByteStream;

use crate::nonce::nonce;
use crate::records::Put;

use super::bucket::Bucket;
use super::encryption::encrypted;
use super::error::{Error, Kind};

impl Bucket {
    /// Writes one object twice, under the condition that there is none, below this prefix; then removes it.
    ///
    /// # Errors
    /// Those of a request; [`Kind::Refused`] if the server let the second write through. It cannot be noticed that a
    /// server checks the condition but not in one step with the write.
    pub fn check_conditional_writes(&self, prefix: &str) -> Result<(), Error> {
        let key = format!("{prefix}{}", nonce());
        let first = self.put_if_absent(&key, b"first")?;
        let second = self.request(|client| {
            let request = client
                .put_object()
                .bucket(&self.name)
                .key(&key)
                .if_none_match("*")
                .body(ByteStream::from_static(b"second"));
            let request = encrypted!(request, self.encryption());
            let key = &key;
            async move { request.send().await.map(drop).map_err(|error| self.of("cannot write", key, error)) }
        });
        let _ = self.delete(&[key]);
        match second {
            Err(error) if error.kind == Kind::Precondition && first == Put::Stored => Ok(()),
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
