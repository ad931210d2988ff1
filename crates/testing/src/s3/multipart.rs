//! Multipart uploads.

use std::sync::Arc;
use std::time::SystemTime;

use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::State;
use super::object::{Encryption, check_write, customer_key, etag, receive, strong};
use super::objects::{slice, source};
use super::state::{Object as Stored, Part as StoredPart, Upload, find};

pub(super) fn create(
    state: &State,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let customer = customer_key(
        input.sse_customer_algorithm.as_ref(),
        input.sse_customer_key.as_ref(),
        input.sse_customer_key_md5.as_ref(),
    )?;
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    let encryption = Encryption::for_write(
        bucket,
        input.server_side_encryption.as_ref(),
        input.ssekms_key_id.as_ref(),
        customer,
    );
    let now = SystemTime::now();
    let nanoseconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let id = format!("upload-{}-{nanoseconds}", bucket.uploads.len());
    bucket.uploads.insert(
        id.clone(),
        Upload {
            key: input.key.clone(),
            initiated: now,
            metadata: input.metadata,
            content_type: input.content_type.map(|kind| kind.to_string()),
            encryption,
            parts: Default::default(),
        },
    );
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..Default::default()
    })
}

pub(super) async fn upload_part(
    state: &State,
    request: S3Request<UploadPartInput>,
) -> S3Result<UploadPartOutput> {
    let S3Request { input, trailing_headers, .. } = request;
    let claimed = Checksum {
        checksum_crc32: input.checksum_crc32,
        checksum_crc32c: input.checksum_crc32c,
        checksum_crc64nvme: input.checksum_crc64nvme,
        checksum_sha1: input.checksum_sha1,
        checksum_sha256: input.checksum_sha256,
        checksum_type: None,
    };
    let received =
        receive(input.body, input.content_md5.as_ref(), claimed, trailing_headers.as_ref()).await?;
    let customer = customer_key(
        input.sse_customer_algorithm.as_ref(),
        input.sse_customer_key.as_ref(),
        input.sse_customer_key_md5.as_ref(),
    )?;
    let mut buckets = state.lock();
    let upload = find(&mut buckets, &input.bucket)?.upload(&input.upload_id, &input.key)?;
    upload.encryption.check_read(customer.as_ref())?;
    check_number(input.part_number)?;
    let part = StoredPart {
        etag: etag(&received.md5),
        bytes: received.bytes,
        md5: received.md5,
        checksum: received.checksum,
    };
    let output = UploadPartOutput {
        e_tag: strong(&part.etag),
        checksum_crc32: part.checksum.checksum_crc32.clone(),
        checksum_sha256: part.checksum.checksum_sha256.clone(),
        ..Default::default()
    };
    upload.parts.insert(input.part_number, part);
    Ok(output)
}

pub(super) fn upload_part_copy(state: &State, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
    let source_customer = customer_key(
        input.copy_source_sse_customer_algorithm.as_ref(),
        input.copy_source_sse_customer_key.as_ref(),
        input.copy_source_sse_customer_key_md5.as_ref(),
    )?;
    let mut buckets = state.lock();
    let from = source(
        &mut buckets,
        &input.copy_source,
        input.copy_source_if_match.as_ref(),
        source_customer.as_ref(),
    )?;
    let bytes = slice(&from.bytes, input.copy_source_range.as_ref())?;
    let upload = find(&mut buckets, &input.bucket)?.upload(&input.upload_id, &input.key)?;
    check_number(input.part_number)?;
    let md5: [u8; 16] = Md5::digest(&bytes).into();
    let part = StoredPart { etag: etag(&md5), bytes, md5, checksum: Checksum::default() };
    let result = CopyPartResult { e_tag: strong(&part.etag), ..Default::default() };
    upload.parts.insert(input.part_number, part);
    Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() })
}

fn check_number(number: i32) -> S3Result {
    if (1..=10_000).contains(&number) {
        Ok(())
    } else {
        Err(s3_error!(InvalidArgument, "part numbers are from 1 to 10000"))
    }
}

pub(super) fn complete(
    state: &State,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<CompleteMultipartUploadOutput> {
    let S3Request { input, headers, .. } = request;
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    let existing = bucket.objects.get(&input.key).cloned();
    let upload = bucket.upload(&input.upload_id, &input.key)?;
    let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let (mut bytes, mut digests, mut previous) = (Vec::new(), Vec::new(), 0);
    for (at, part) in listed.iter().enumerate() {
        let number = part.part_number.unwrap_or_default();
        let stored = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
        let same_checksum =
            part.checksum_sha256.is_none() || part.checksum_sha256 == stored.checksum.checksum_sha256;
        if part.e_tag.as_ref().is_none_or(|etag| etag.value() != stored.etag) || !same_checksum {
            return Err(s3_error!(InvalidPart));
        }
        if number <= previous {
            return Err(s3_error!(InvalidPartOrder));
        }
        previous = number;
        if at + 1 < listed.len() && (stored.bytes.len() as u64) < state.options.smallest_part {
            return Err(s3_error!(EntityTooSmall));
        }
        bytes.extend_from_slice(&stored.bytes);
        digests.extend_from_slice(&stored.md5);
    }
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML));
    }
    check_write(
        state.options.flavour,
        &headers,
        existing.as_deref(),
        input.if_match.as_ref(),
        input.if_none_match.as_ref(),
    )?;
    let object = Stored {
        bytes: bytes.into(),
        etag: format!("{}-{}", etag(&Md5::digest(&digests)), listed.len()),
        modified: SystemTime::now(),
        metadata: upload.metadata.clone(),
        content_type: upload.content_type.clone(),
        encryption: upload.encryption.clone(),
        checksum: Checksum::default(),
    };
    let output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key.clone()),
        e_tag: strong(&object.etag),
        ..Default::default()
    };
    bucket.objects.insert(input.key, Arc::new(object));
    bucket.uploads.remove(&input.upload_id);
    Ok(output)
}

pub(super) fn abort(state: &State, input: AbortMultipartUploadInput) -> S3Result<AbortMultipartUploadOutput> {
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    bucket.upload(&input.upload_id, &input.key)?;
    bucket.uploads.remove(&input.upload_id);
    Ok(AbortMultipartUploadOutput::default())
}

pub(super) fn list_parts(state: &State, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let mut buckets = state.lock();
    let upload = find(&mut buckets, &input.bucket)?.upload(&input.upload_id, &input.key)?;
    let part = |(number, part): (&i32, &StoredPart)| Part {
        part_number: Some(*number),
        size: Some(part.bytes.len() as i64),
        e_tag: strong(&part.etag),
        ..Default::default()
    };
    Ok(ListPartsOutput {
        parts: Some(upload.parts.iter().map(part).collect()),
        is_truncated: Some(false),
        upload_id: Some(input.upload_id),
        ..Default::default()
    })
}

pub(super) fn list_uploads(
    state: &State,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let uploads = bucket.uploads.iter().filter(|(_, upload)| upload.key.starts_with(&prefix));
    let upload = |(id, upload): (&String, &Upload)| MultipartUpload {
        upload_id: Some(id.clone()),
        key: Some(upload.key.clone()),
        initiated: Some(upload.initiated.into()),
        ..Default::default()
    };
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix,
        is_truncated: Some(false),
        uploads: Some(uploads.map(upload).collect()),
        ..Default::default()
    })
}
