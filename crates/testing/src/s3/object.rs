//! Conditions, encryption and checksums of objects.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Bytes;
use md5::{Digest, Md5};
use s3s::dto::{self, ETag, ETagCondition, StreamingBlob};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::Flavour;
use super::state::{Bucket, Object};

/// How an object is encrypted. Nothing is, in truth; but keys of clients are asked for again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Encryption {
    /// `AES256` or `aws:kms`.
    pub(super) server: Option<String>,
    pub(super) kms_key: Option<String>,
    /// The digest of the client's key.
    pub(super) customer: Option<String>,
}

impl Encryption {
    /// What a write asks for, or else what its bucket says.
    pub(super) fn for_write(
        bucket: &Bucket,
        server: Option<&dto::ServerSideEncryption>,
        kms_key: Option<&String>,
        customer: Option<String>,
    ) -> Self {
        let default = bucket.facts.encryption.clone().filter(|_| server.is_none() && customer.is_none());
        let (default, default_key) = default.map_or((None, None), |(name, key)| (Some(name), key));
        Self {
            server: server.map(|name| name.as_str().to_owned()).or(default),
            kms_key: kms_key.cloned().or(default_key),
            customer,
        }
    }

    /// Refuses a reader that does not have the client's key.
    pub(super) fn check_read(&self, customer: Option<&String>) -> S3Result {
        match (&self.customer, customer) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                Err(s3_error!(InvalidRequest, "the object is not encrypted by a client's key"))
            }
            (Some(_), None) => Err(s3_error!(InvalidRequest, "the object is encrypted by a client's key")),
            (Some(wanted), Some(given)) if wanted == given => Ok(()),
            (Some(_), Some(_)) => Err(s3_error!(AccessDenied, "this is not the object's key")),
        }
    }

    pub(super) fn name(&self) -> Option<String> {
        self.customer.as_ref().map(|_| "SSE-C".to_owned()).or_else(|| self.server.clone())
    }

    pub(super) fn server(&self) -> Option<dto::ServerSideEncryption> {
        self.server.clone().map(dto::ServerSideEncryption::from)
    }

    pub(super) fn customer_algorithm(&self) -> Option<String> {
        self.customer.as_ref().map(|_| "AES256".to_owned())
    }
}

/// The digest of a client's key, if the three headers about it agree.
pub(super) fn customer_key(
    algorithm: Option<&String>,
    key: Option<&String>,
    digest: Option<&String>,
) -> S3Result<Option<String>> {
    let Some(algorithm) = algorithm else { return Ok(None) };
    let bytes = key.and_then(|key| BASE64_STANDARD.decode(key).ok()).unwrap_or_default();
    let actual = BASE64_STANDARD.encode(Md5::digest(&bytes));
    if algorithm != "AES256" || bytes.len() != 32 || digest != Some(&actual) {
        return Err(s3_error!(InvalidArgument, "the client's key is not one for AES256, or its MD5 differs"));
    }
    Ok(Some(actual))
}

/// Refuses a write whose condition does not hold.
pub(super) fn check_write(
    flavour: Flavour,
    headers: &HeaderMap,
    existing: Option<&Object>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result {
    if flavour == Flavour::IgnoresConditions {
        return Ok(());
    }
    match if_none_match {
        Some(ETagCondition::Any) if existing.is_some() => return Err(s3_error!(PreconditionFailed)),
        Some(ETagCondition::ETag(_)) => return Err(s3_error!(NotImplemented, "If-None-Match takes * only")),
        _ => {}
    }
    let quoted = headers.get("if-match").is_some_and(|value| value.as_bytes().starts_with(b"\""));
    match (if_match, existing) {
        (Some(_), None) => Err(s3_error!(NoSuchKey)),
        (Some(_), Some(_)) if flavour == Flavour::UnquotedETags && quoted => {
            Err(s3_error!(PreconditionFailed))
        }
        (Some(ETagCondition::ETag(etag)), Some(object)) if etag.value() != object.etag => {
            Err(s3_error!(PreconditionFailed))
        }
        _ => Ok(()),
    }
}

/// Refuses a read whose condition does not hold.
pub(super) fn check_read(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result {
    let differs =
        |condition: &ETagCondition| condition.as_etag().is_some_and(|etag| etag.value() != object.etag);
    if if_match.is_some_and(differs) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(|condition| !differs(condition)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

/// What came as a body, and what is to be kept of it.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) md5: [u8; 16],
    pub(super) checksum: dto::Checksum,
}

/// Reads a body and compares it with the checksums that came before and after it.
pub(super) async fn receive(
    body: Option<StreamingBlob>,
    md5: Option<&String>,
    claimed: dto::Checksum,
    trailers: Option<&TrailingHeaders>,
) -> S3Result<Received> {
    let bytes = match body {
        Some(body) => {
            let whole = s3s::Body::from(body).collect().await;
            whole
                .map_err(|error| s3_error!(InvalidRequest, "the body does not fit its signature: {error}"))?
                .to_bytes()
        }
        None => Bytes::new(),
    };
    let claimed =
        trailers.and_then(|trailers| trailers.read(|map| with_trailers(&claimed, map))).unwrap_or(claimed);
    let digest: [u8; 16] = Md5::digest(&bytes).into();
    if md5.is_some_and(|md5| *md5 != BASE64_STANDARD.encode(digest)) {
        return Err(s3_error!(BadDigest, "Content-MD5 differs from the body"));
    }
    let actual = checksums(&bytes, &claimed);
    if actual != claimed {
        return Err(s3_error!(BadDigest, "a checksum differs from the body"));
    }
    Ok(Received { bytes, md5: digest, checksum: actual })
}

fn with_trailers(claimed: &dto::Checksum, trailers: &HeaderMap) -> dto::Checksum {
    let header = |name: &str, before: &Option<String>| {
        trailers.get(name).and_then(|value| Some(value.to_str().ok()?.to_owned())).or_else(|| before.clone())
    };
    dto::Checksum {
        checksum_crc32: header("x-amz-checksum-crc32", &claimed.checksum_crc32),
        checksum_crc32c: header("x-amz-checksum-crc32c", &claimed.checksum_crc32c),
        checksum_crc64nvme: header("x-amz-checksum-crc64nvme", &claimed.checksum_crc64nvme),
        checksum_sha1: header("x-amz-checksum-sha1", &claimed.checksum_sha1),
        checksum_sha256: header("x-amz-checksum-sha256", &claimed.checksum_sha256),
        checksum_type: None,
    }
}

/// The checksums of those kinds that are wanted.
fn checksums(bytes: &[u8], wanted: &dto::Checksum) -> dto::Checksum {
    let mut hasher = s3s::checksum::ChecksumHasher {
        crc32: wanted.checksum_crc32.as_ref().map(|_| Default::default()),
        crc32c: wanted.checksum_crc32c.as_ref().map(|_| Default::default()),
        sha1: wanted.checksum_sha1.as_ref().map(|_| Default::default()),
        sha256: wanted.checksum_sha256.as_ref().map(|_| Default::default()),
        crc64nvme: wanted.checksum_crc64nvme.as_ref().map(|_| Default::default()),
    };
    hasher.update(bytes);
    hasher.finalize()
}

/// The ETag of an object that came in one piece.
pub(super) fn etag(md5: &[u8]) -> String {
    use std::fmt::Write;
    md5.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn strong(etag: &str) -> Option<ETag> {
    Some(ETag::Strong(etag.to_owned()))
}
