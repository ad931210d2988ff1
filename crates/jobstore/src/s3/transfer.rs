//! Files up and down, in parts. Each part that is sent is signed with its digest, so the server refuses what the way
//! has changed; what comes is hashed and compared with what is known of it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::nonce::nonce;

use super::bucket::Bucket;
use super::client::in_order;
use super::encryption::{encrypted, with_customer_key};
use super::error::{Error, Kind};
use super::object::{NONCE, or_none};

/// What is known of a file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The size in bytes.
    pub size: u64,
    /// The checksum as CWL writes it: `sha1$` and 40 hexadecimal digits.
    pub checksum: String,
}

/// A multipart upload that goes on.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) bucket: Bucket,
    pub(super) key: String,
    pub(super) id: String,
    nonce: String,
}

impl Bucket {
    /// Brings a file up, and hashes it on the way. Nothing is there under the key before all is.
    ///
    /// # Errors
    /// Those of a request or of reading the file; it must not change meanwhile.
    pub fn upload(&self, key: &str, path: &Path) -> Result<Content, Error> {
        let failed = |error| local("cannot read", path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let parts = self.s3.settings().parts;
        if size <= parts.smallest {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            file.read_to_end(&mut bytes).map_err(failed)?;
            self.put(key, &bytes)?;
            return Ok(Content::of(&bytes));
        }
        let part_size = parts.size(size);
        let mut hash = Sha1::new();
        let mut sent = 0;
        self.in_parts(key, |upload| async move {
            let mut completed = Vec::new();
            let mut number = 0;
            let next = || {
                let mut bytes = Vec::new();
                (&mut file).take(part_size).read_to_end(&mut bytes).map_err(failed)?;
                if bytes.is_empty() {
                    return Ok(None);
                }
                hash.update(&bytes);
                sent += bytes.len() as u64;
                number += 1;
                Ok(Some(upload.clone().send_part(number, bytes)))
            };
            in_order(parts.at_once(part_size), next, |part| {
                completed.push(part);
                Ok(())
            })
            .await?;
            if sent != size {
                let reason = format!("it had {size} bytes when the upload began, and has {sent} now");
                return Err(Error::new("cannot store", path.display().to_string(), Kind::Local, reason));
            }
            Ok((completed, Content { size, checksum: checksum(hash) }))
        })
    }

    /// A multipart upload whose parts `send` sends: aborted if anything fails.
    pub(super) fn in_parts<T, F>(&self, key: &str, send: impl FnOnce(Upload) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<(Vec<CompletedPart>, T), Error>>,
    {
        let upload = self.begin(key)?;
        let done = self
            .s3
            .block_on(|| send(upload.clone()))
            .and_then(|(parts, outcome)| upload.complete(parts).map(|()| outcome));
        if done.is_err() {
            // The first error counts; what is left is swept later.
            let _ = self.abort(&upload.key, &upload.id);
        }
        done
    }

    pub(super) fn begin_and_abort(&self, key: &str) -> Result<(), Error> {
        let upload = self.begin(key)?;
        // What is left is swept later; whoever may write need not have the right to abort.
        let _ = self.abort(key, &upload.id);
        Ok(())
    }

    fn begin(&self, key: &str) -> Result<Upload, Error> {
        let nonce = nonce();
        self.s3.begins_in_parts();
        let begun = self.request(|client| {
            let request =
                client.create_multipart_upload().bucket(&self.name).key(key).metadata(NONCE, &nonce);
            let request = encrypted!(request, self.encryption());
            async move { request.send().await.map_err(|error| self.of("cannot begin to write", key, error)) }
        })?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Upload { bucket: self.clone(), key: key.to_owned(), id, nonce })
    }

    fn abort(&self, key: &str, id: &str) -> Result<(), Error> {
        self.request(|client| {
            let request = client.abort_multipart_upload().bucket(&self.name).key(key).upload_id(id);
            async move {
                request.send().await.map(drop).map_err(|error| self.of("cannot abort writing", key, error))
            }
        })
    }

    /// Aborts all uploads of keys with this prefix that are not finished. Returns how many there were.
    ///
    /// # Errors
    /// Those of a request.
    pub fn sweep_uploads(&self, prefix: &str) -> Result<usize, Error> {
        let mut swept = 0;
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let page = self.request(|client| {
                let request = client
                    .list_multipart_uploads()
                    .bucket(&self.name)
                    .prefix(prefix)
                    .set_key_marker(key_marker.clone())
                    .set_upload_id_marker(id_marker.clone());
                async move {
                    request.send().await.map_err(|error| self.of("cannot list the uploads of", prefix, error))
                }
            })?;
            for upload in page.uploads.unwrap_or_default() {
                let key = upload.key.unwrap_or_default();
                // One that is finished or swept meanwhile does not matter.
                if key.starts_with(prefix)
                    && or_none(self.abort(&key, &upload.upload_id.unwrap_or_default()))?.is_some()
                {
                    swept += 1;
                }
            }
            if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
                return Ok(swept);
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    /// Brings an object to a file, in parts side by side; a part that breaks off is asked for again, of the same
    /// version of the object. The file appears under its name when all of it is there and is what was expected.
    /// `None` if there is no such object.
    ///
    /// # Errors
    /// Those of a request or of writing the file; [`Kind::Damaged`] if it is not what was expected even the second
    /// time.
    pub fn download(
        &self,
        key: &str,
        path: &Path,
        expected: Option<&Content>,
    ) -> Result<Option<Content>, Error> {
        self.download_checked(key, None, path, expected)
    }

    /// The same, of the version with this ETag only.
    ///
    /// # Errors
    /// As [`Bucket::download`]; [`Kind::Precondition`] if there is another version.
    pub fn download_version(&self, key: &str, etag: &str, path: &Path) -> Result<Option<Content>, Error> {
        self.download_checked(key, Some(etag), path, None)
    }

    fn download_checked(
        &self,
        key: &str,
        etag: Option<&str>,
        path: &Path,
        expected: Option<&Content>,
    ) -> Result<Option<Content>, Error> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        let partial = PathBuf::from(partial);
        let mut again = true;
        loop {
            let came = or_none(self.download_to(key, etag, &partial));
            let content = match came {
                Ok(Some(content)) => content,
                other => {
                    let _ = fs::remove_file(&partial);
                    return other;
                }
            };
            if expected.is_none_or(|expected| *expected == content) {
                fs::rename(&partial, path).map_err(|error| local("cannot write", path, &error))?;
                return Ok(Some(content));
            }
            let _ = fs::remove_file(&partial);
            if !again {
                let wanted =
                    expected.map(|expected| format!("{} bytes, {}", expected.size, expected.checksum));
                let reason = format!(
                    "what came is {} bytes, {}; what was stored is {}",
                    content.size,
                    content.checksum,
                    wanted.unwrap_or_default()
                );
                return Err(Error::new("cannot use", self.url(key), Kind::Damaged, reason));
            }
            again = false;
        }
    }

    fn download_to(&self, key: &str, etag: Option<&str>, path: &Path) -> Result<Content, Error> {
        let failed = |error| local("cannot write", path, &error);
        let parts = self.s3.settings().parts;
        let mut file = File::create(path).map_err(failed)?;
        let mut hash = Sha1::new();
        let mut write = |bytes: &[u8]| {
            hash.update(bytes);
            file.write_all(bytes).map_err(failed)
        };
        let size = self.s3.block_on(|| async move {
            let version = etag.map(str::to_owned);
            let first = self.retried(|client| self.piece(client, key, 0, parts.smallest, version.clone()));
            let first = first.await?;
            write(&first.bytes)?;
            let part_size = parts.size(first.total);
            let mut offset = first.bytes.len() as u64;
            let next = || {
                if offset >= first.total {
                    return Ok(None);
                }
                let (bucket, key) = (self.clone(), key.to_owned());
                let (from, length) = (offset, part_size.min(first.total - offset));
                let etag = first.etag.clone();
                offset += length;
                Ok(Some(async move {
                    bucket.retried(|client| bucket.piece(client, &key, from, length, etag.clone())).await
                }))
            };
            in_order(parts.at_once(part_size), next, |piece| write(&piece.bytes)).await?;
            Ok(first.total)
        })?;
        Ok(Content { size, checksum: checksum(hash) })
    }

    /// Some bytes of an object; with an ETag, only of that version.
    async fn piece(
        &self,
        client: Client,
        key: &str,
        from: u64,
        length: u64,
        etag: Option<String>,
    ) -> Result<Piece, Error> {
        let request = client
            .get_object()
            .bucket(&self.name)
            .key(key)
            .range(format!("bytes={from}-{}", from + length.max(1) - 1))
            .set_if_match(etag);
        let request = with_customer_key!(request, self.encryption());
        let answer = match request.send().await {
            Ok(answer) => answer,
            // An empty object has no first byte.
            Err(error)
                if from == 0
                    && error.raw_response().is_some_and(|answer| answer.status().as_u16() == 416) =>
            {
                return Ok(Piece { bytes: Vec::new(), total: 0, etag: None });
            }
            Err(error) => {
                let mut error = self.of("cannot read", key, error);
                if error.kind == Kind::Precondition {
                    error.reason = "it was replaced while it was read; please run again".to_owned();
                }
                return Err(error);
            }
        };
        let total = answer.content_range.as_deref().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let etag = answer.e_tag.clone();
        let body = answer.body.collect().await;
        let broken = |reason: String| Error::new("cannot read", self.url(key), Kind::Unreachable, reason);
        let bytes = body.map_err(|error| broken(error.to_string()))?.to_vec();
        let total = total.unwrap_or(from + bytes.len() as u64);
        let wanted = length.min(total.saturating_sub(from));
        if bytes.len() as u64 != wanted {
            return Err(broken(format!("{} of {wanted} bytes came", bytes.len())));
        }
        Ok(Piece { bytes, total, etag })
    }
}

struct Piece {
    bytes: Vec<u8>,
    /// The size of the whole object.
    total: u64,
    etag: Option<String>,
}

impl Upload {
    /// Sends a part; parts are numbered from 1.
    async fn send_part(self, number: i32, bytes: Vec<u8>) -> Result<CompletedPart, Error> {
        let bytes = Bytes::from(bytes);
        let sent = self
            .bucket
            .retried(|client| {
                let request = client
                    .upload_part()
                    .bucket(&self.bucket.name)
                    .key(&self.key)
                    .upload_id(&self.id)
                    .part_number(number)
                    .body(ByteStream::from(bytes.clone()));
                let request = with_customer_key!(request, self.bucket.encryption());
                async {
                    request
                        .send()
                        .await
                        .map_err(|error| self.bucket.of("cannot write a part of", &self.key, error))
                }
            })
            .await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .set_checksum_crc64_nvme(sent.checksum_crc64_nvme)
            .build())
    }

    /// Puts the parts together. If the answer is lost, the upload is gone when it is tried again: then the object
    /// is asked whether it is ours.
    fn complete(&self, parts: Vec<CompletedPart>) -> Result<(), Error> {
        let (bucket, key) = (&self.bucket, &self.key);
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let done =
            bucket.request(|client| {
                let request = client
                    .complete_multipart_upload()
                    .bucket(&bucket.name)
                    .key(key)
                    .upload_id(&self.id)
                    .multipart_upload(whole.clone());
                let request = with_customer_key!(request, bucket.encryption());
                async move {
                    request.send().await.map(drop).map_err(|error| bucket.of("cannot finish", key, error))
                }
            });
        match done {
            Err(error) if error.kind == Kind::NoObject => {
                let ours = bucket.nonce_of(key)?.is_some_and(|there| there == self.nonce);
                if ours { Ok(()) } else { Err(error) }
            }
            done => done,
        }
    }
}

impl Content {
    /// That of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, checksum: checksum(Sha1::new_with_prefix(bytes)) }
    }
}

fn checksum(hash: Sha1) -> String {
    let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha1${digits}")
}

fn local(action: &'static str, path: &Path, error: &io::Error) -> Error {
    Error::new(action, path.display().to_string(), Kind::Local, error.to_string())
}
