//! Copies within the service: no byte passes through this machine.

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::types::CompletedPart;

use super::bucket::{Bucket, is_unknown};
use super::client::in_order;
use super::encryption::{encrypted, from_encrypted, with_customer_key};
use super::error::{Error, Kind};

impl Bucket {
    /// Copies an object of this version (if one is given) of any bucket of the same server to a key of this one. What
    /// is encrypted by a client's key must be so by ours. Gives its size in bytes.
    ///
    /// # Errors
    /// Those of a request; [`Kind::Precondition`] if the source is another version by now.
    pub fn copy_from(&self, source: &Bucket, from: &str, etag: Option<&str>, to: &str) -> Result<u64, Error> {
        let entry = source.head(from)?;
        let entry = entry.ok_or_else(|| {
            Error::new("cannot copy", source.url(from), Kind::NoObject, "there is no such object")
        })?;
        if etag.is_some_and(|etag| etag.trim_matches('"') != entry.etag.trim_matches('"')) {
            return Err(Error::new("cannot copy", source.url(from), Kind::Precondition, "it was replaced"));
        }
        let address = format!("{}/{}", source.name, encode(from));
        if entry.size > self.s3.settings().parts.largest_copy {
            return self.copy_parts(source, &address, &entry.etag, entry.size, to).map(|()| entry.size);
        }
        let done = match self.copy_whole(source, &address, &entry.etag, to) {
            // Old Ceph copies what is encrypted by a client's key in parts only.
            Err(error) if is_unknown(&error) && entry.size > 0 => {
                self.copy_parts(source, &address, &entry.etag, entry.size, to)
            }
            Err(error) if is_unknown(&error) => self.put(to, b""),
            done => done,
        };
        done.map(|()| entry.size)
    }

    fn copy_whole(&self, source: &Bucket, address: &str, etag: &str, to: &str) -> Result<(), Error> {
        self.request(|client| {
            let request = client
                .copy_object()
                .bucket(&self.name)
                .key(to)
                .copy_source(address)
                .copy_source_if_match(etag);
            let request = from_encrypted!(encrypted!(request, self.encryption()), source.encryption());
            let request = request.customize().mutate_request(say_empty);
            async move { request.send().await.map(drop).map_err(|error| self.of("cannot copy to", to, error)) }
        })
    }

    fn copy_parts(
        &self,
        source: &Bucket,
        address: &str,
        etag: &str,
        size: u64,
        to: &str,
    ) -> Result<(), Error> {
        let settings = self.s3.settings();
        let part_size = settings.parts.copied.max(settings.parts.size(size));
        self.in_parts(to, |upload| async move {
            let mut completed = Vec::new();
            let mut number = 0;
            let mut offset = 0;
            let next = || {
                if offset >= size {
                    return Ok(None);
                }
                let last = (offset + part_size).min(size) - 1;
                number += 1;
                let range = format!("bytes={offset}-{last}");
                offset = last + 1;
                let (bucket, source, upload) = (self.clone(), source.clone(), upload.id.clone());
                let (address, etag, to) = (address.to_owned(), etag.to_owned(), to.to_owned());
                Ok(Some(async move {
                    let copied = bucket
                        .retried(|client| {
                            let request = client
                                .upload_part_copy()
                                .bucket(&bucket.name)
                                .key(&to)
                                .upload_id(&upload)
                                .part_number(number)
                                .copy_source(&address)
                                .copy_source_if_match(&etag)
                                .copy_source_range(&range);
                            let request = with_customer_key!(request, bucket.encryption());
                            let request = from_encrypted!(request, source.encryption());
                            let request = request.customize().mutate_request(say_empty);
                            async {
                                request.send().await.map_err(|error| bucket.of("cannot copy to", &to, error))
                            }
                        })
                        .await?;
                    let etag = copied.copy_part_result.and_then(|result| result.e_tag);
                    Ok(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
                }))
            };
            // No byte comes here, so the limit is the server's.
            in_order(8, next, |part| {
                completed.push(part);
                Ok(())
            })
            .await?;
            Ok((completed, ()))
        })
    }
}

/// Says that the request has no body. Ceph wants to be told; the SDK leaves it out.
fn say_empty(request: &mut HttpRequest) {
    request.headers_mut().insert("content-length", "0");
}

/// A key as a part of a URL.
fn encode(key: &str) -> String {
    key.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
