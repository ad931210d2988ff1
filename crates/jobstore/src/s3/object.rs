//! Objects that fit into memory.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;

use crate::at_once::both;
use crate::nonce::nonce;
use crate::records::Put;

use super::bucket::Bucket;
use super::client::in_order;
use super::encryption::{encrypted, with_customer_key};
use super::error::{Error, Kind};

/// The metadata that tells whose write it was.
pub(super) const NONCE: &str = "moil-nonce";

/// How many keys one request deletes.
pub(crate) const DELETED_AT_ONCE: usize = 1000;

/// What a listing or a look at an object tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// The ETag, quotes and all.
    pub etag: String,
}

impl Bucket {
    /// Stores an object, whatever is there.
    ///
    /// # Errors
    /// Those of a request.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        self.put_bytes(key, Bytes::copy_from_slice(bytes))
    }

    pub(super) fn put_bytes(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.request(|client| {
            let request =
                client.put_object().bucket(&self.name).key(key).body(ByteStream::from(bytes.clone()));
            let request = encrypted!(request, self.encryption());
            async move { request.send().await.map(drop).map_err(|error| self.of("cannot write", key, error)) }
        })
    }

    /// Stores an object under a key that has none yet. An answer that was lost is no danger: if the key turns out to
    /// be taken, the object there is asked whether it is ours.
    ///
    /// # Errors
    /// Those of a request.
    pub fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put, Error> {
        let nonce = nonce();
        match self.put_if_none(key, &Bytes::copy_from_slice(bytes), &nonce)? {
            true => Ok(Put::Stored),
            false => self.who_stored(key, &nonce),
        }
    }

    /// The same, by two requests at the same time, of which an honest server refuses one. So it is found out whether it
    /// is: everything that keeps two leaders apart rests on that.
    ///
    /// # Errors
    /// Those of a request; [`Kind::Refused`] if the server let both through: then nothing is there.
    pub fn put_if_absent_twice(&self, key: &str, bytes: &[u8]) -> Result<Put, Error> {
        let (nonce, bytes) = (nonce(), Bytes::copy_from_slice(bytes));
        let put = || self.put_if_none(key, &bytes, &nonce);
        match both(put, put) {
            (Ok(true), Ok(true)) => {
                let _ = self.delete(&[key.to_owned()]);
                Err(self.ignores_conditions())
            }
            (Ok(false), Ok(false)) => self.who_stored(key, &nonce),
            (Err(error), _) | (_, Err(error)) => Err(error),
            _ => Ok(Put::Stored),
        }
    }

    /// Stores an object if there is none. Says whether it was not refused.
    pub(super) fn put_if_none(&self, key: &str, bytes: &Bytes, nonce: &str) -> Result<bool, Error> {
        let stored = self.request(|client| {
            let request = client
                .put_object()
                .bucket(&self.name)
                .key(key)
                .if_none_match("*")
                .metadata(NONCE, nonce)
                .body(ByteStream::from(bytes.clone()));
            let request = encrypted!(request, self.encryption());
            async move { request.send().await.map(drop).map_err(|error| self.of("cannot write", key, error)) }
        });
        match stored {
            Ok(()) => Ok(true),
            Err(error) if error.kind == Kind::Precondition => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a put that was refused was ours, whose answer was lost.
    fn who_stored(&self, key: &str, nonce: &str) -> Result<Put, Error> {
        let ours = self.nonce_of(key)?.is_some_and(|there| there == nonce);
        Ok(if ours { Put::Stored } else { Put::Exists })
    }

    /// The nonce of what is stored under a key.
    pub(super) fn nonce_of(&self, key: &str) -> Result<Option<String>, Error> {
        let found = self.request(|client| {
            let request = client.head_object().bucket(&self.name).key(key);
            let request = with_customer_key!(request, self.encryption());
            async move { request.send().await.map_err(|error| self.of("cannot look at", key, error)) }
        });
        match found {
            Ok(head) => Ok(head.metadata.and_then(|metadata| metadata.get(NONCE).cloned())),
            Err(error) if error.kind == Kind::NoObject => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All of an object; `None` if there is none.
    ///
    /// # Errors
    /// Those of a request.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        or_none(self.request(|client| self.read(client, key, None)))
    }

    /// A part of an object: from an offset, at most so many bytes; `None` if there is no such object.
    ///
    /// # Errors
    /// Those of a request.
    pub fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>, Error> {
        if length == 0 {
            return Ok(self.head(key)?.map(|_| Vec::new()));
        }
        let range = format!("bytes={offset}-{}", offset.saturating_add(length - 1));
        or_none(self.request(|client| self.read(client, key, Some(range.clone()))))
    }

    async fn read(&self, client: Client, key: &str, range: Option<String>) -> Result<Vec<u8>, Error> {
        let has_range = range.is_some();
        let request = client.get_object().bucket(&self.name).key(key).set_range(range);
        let request = with_customer_key!(request, self.encryption());
        match request.send().await {
            Ok(answer) => {
                let body = answer.body.collect().await;
                let broken =
                    |error| Error::new("cannot read", self.url(key), Kind::Unreachable, format!("{error}"));
                Ok(body.map_err(broken)?.to_vec())
            }
            // Nothing is there that far.
            Err(error)
                if has_range
                    && error.raw_response().is_some_and(|answer| answer.status().as_u16() == 416) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(self.of("cannot read", key, error)),
        }
    }

    /// Size and ETag of an object; `None` if there is none.
    ///
    /// # Errors
    /// Those of a request.
    pub fn head(&self, key: &str) -> Result<Option<Entry>, Error> {
        or_none(self.request(|client| {
            let request = client.head_object().bucket(&self.name).key(key);
            let request = with_customer_key!(request, self.encryption());
            async move {
                let head = request.send().await.map_err(|error| self.of("cannot look at", key, error))?;
                Ok(Entry {
                    key: key.to_owned(),
                    size: u64::try_from(head.content_length.unwrap_or(0)).unwrap_or(0),
                    etag: head.e_tag.unwrap_or_default(),
                })
            }
        }))
    }

    /// All objects whose keys begin with `prefix` and come after `after`, in the byte order of their keys.
    ///
    /// # Errors
    /// Those of a request.
    pub fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Entry>, Error> {
        self.s3.block_on(|| async move {
            let mut entries = Vec::new();
            let mut token = None;
            loop {
                let page = self
                    .retried(|client| {
                    let request = client
                        .list_objects_v2()
                        .bucket(&self.name)
                        .prefix(prefix)
                        .set_start_after(after.map(str::to_owned))
                        .set_continuation_token(token.clone());
                    async move { request.send().await.map_err(|error| self.of("cannot list", prefix, error)) }
                })
                .await?;
                entries.extend(page.contents.unwrap_or_default().into_iter().map(|object| Entry {
                    key: object.key.unwrap_or_default(),
                    size: u64::try_from(object.size.unwrap_or(0)).unwrap_or(0),
                    etag: object.e_tag.unwrap_or_default(),
                }));
                token = page.next_continuation_token;
                if page.is_truncated != Some(true) || token.is_none() {
                    return Ok(entries);
                }
            }
        })
    }

    /// Deletes objects, a thousand with a request. Those that are not there do not matter.
    ///
    /// # Errors
    /// Those of a request, or the first that the server says of an object.
    pub fn delete(&self, keys: &[String]) -> Result<(), Error> {
        let mut chunks = keys.chunks(DELETED_AT_ONCE);
        self.s3.block_on(|| async move {
            let next = || {
                let Some(keys) = chunks.next() else { return Ok(None) };
                let (bucket, keys) = (self.clone(), keys.to_vec());
                Ok(Some(async move { bucket.retried(|client| bucket.delete_some(client, &keys)).await }))
            };
            in_order(4, next, Ok).await
        })
    }

    async fn delete_some(&self, client: Client, keys: &[String]) -> Result<(), Error> {
        let objects =
            keys.iter().filter_map(|key| ObjectIdentifier::builder().key(key).build().ok()).collect();
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(|error| {
            Error::new("cannot delete from", self.url(""), Kind::Refused, error.to_string())
        })?;
        let answer = client.delete_objects().bucket(&self.name).delete(delete).send().await;
        let answer = answer.map_err(|error| self.of("cannot delete from", "", error))?;
        match answer.errors.unwrap_or_default().into_iter().next() {
            None => Ok(()),
            Some(error) => {
                let code = error.code.unwrap_or_default();
                let kind = match code.as_str() {
                    "InternalError" => Kind::Busy,
                    "SlowDown" => Kind::SlowDown,
                    _ => Kind::Refused,
                };
                let reason = format!("{code} {}", error.message.unwrap_or_default());
                Err(Error::new("cannot delete", self.url(&error.key.unwrap_or_default()), kind, reason))
            }
        }
    }

    /// An error about an object.
    pub(super) fn of<E>(&self, action: &'static str, key: &str, error: SdkError<E, HttpResponse>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.told(Error::of(action, &self.url(key), &error), &error)
    }
}

pub(super) fn or_none<T>(done: Result<T, Error>) -> Result<Option<T>, Error> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind == Kind::NoObject => Ok(None),
        Err(error) => Err(error),
    }
}
