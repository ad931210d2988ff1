//! Operations on objects.

use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Bytes;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::State;
use super::object::{Encryption, check_read, check_write, customer_key, etag, receive, strong};
use super::state::{Buckets, Object as Stored, find};

pub(super) async fn put(state: &State, request: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
    let S3Request { input, headers, trailing_headers, .. } = request;
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
    let bucket = find(&mut buckets, &input.bucket)?;
    let existing = bucket.objects.get(&input.key);
    check_write(
        state.options.flavour,
        &headers,
        existing.map(Arc::as_ref),
        input.if_match.as_ref(),
        input.if_none_match.as_ref(),
    )?;
    let object = Stored {
        etag: etag(&received.md5),
        bytes: received.bytes,
        modified: SystemTime::now(),
        metadata: input.metadata,
        content_type: input.content_type.map(|kind| kind.to_string()),
        encryption: Encryption::for_write(
            bucket,
            input.server_side_encryption.as_ref(),
            input.ssekms_key_id.as_ref(),
            customer,
        ),
        checksum: received.checksum,
    };
    let output = PutObjectOutput {
        e_tag: strong(&object.etag),
        checksum_sha256: object.checksum.checksum_sha256.clone(),
        server_side_encryption: object.encryption.server(),
        ssekms_key_id: object.encryption.kms_key.clone(),
        sse_customer_algorithm: object.encryption.customer_algorithm(),
        sse_customer_key_md5: object.encryption.customer.clone(),
        ..Default::default()
    };
    bucket.objects.insert(input.key, Arc::new(object));
    Ok(output)
}

pub(super) fn get(state: &State, input: GetObjectInput) -> S3Result<GetObjectOutput> {
    let object = find(&mut state.lock(), &input.bucket)?.object(&input.key)?;
    check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let customer = customer_key(
        input.sse_customer_algorithm.as_ref(),
        input.sse_customer_key.as_ref(),
        input.sse_customer_key_md5.as_ref(),
    )?;
    object.encryption.check_read(customer.as_ref())?;
    let length = object.bytes.len() as u64;
    let (bytes, content_range) = match &input.range {
        Some(range) => {
            let range = range.check(length)?;
            let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            (object.bytes.slice(range.start as usize..range.end as usize), Some(text))
        }
        None => (object.bytes.clone(), None),
    };
    let wants_checksum = input.checksum_mode.is_some() && content_range.is_none();
    let checksum = if wants_checksum { object.checksum.clone() } else { Checksum::default() };
    Ok(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(bytes.len() as i64),
        content_range,
        body: Some(s3s::Body::from(bytes).into()),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        content_type: object.content_type.as_ref().and_then(|kind| kind.parse().ok()),
        e_tag: strong(&object.etag),
        last_modified: Some(object.modified.into()),
        metadata: object.metadata.clone(),
        server_side_encryption: object.encryption.server(),
        ssekms_key_id: object.encryption.kms_key.clone(),
        sse_customer_algorithm: object.encryption.customer_algorithm(),
        sse_customer_key_md5: object.encryption.customer.clone(),
        ..Default::default()
    })
}

pub(super) fn head(state: &State, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
    let got = get(
        state,
        GetObjectInput {
            bucket: input.bucket,
            key: input.key,
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            checksum_mode: input.checksum_mode,
            sse_customer_algorithm: input.sse_customer_algorithm,
            sse_customer_key: input.sse_customer_key,
            sse_customer_key_md5: input.sse_customer_key_md5,
            ..Default::default()
        },
    )?;
    Ok(HeadObjectOutput {
        accept_ranges: got.accept_ranges,
        content_length: got.content_length,
        checksum_sha256: got.checksum_sha256,
        content_type: got.content_type,
        e_tag: got.e_tag,
        last_modified: got.last_modified,
        metadata: got.metadata,
        server_side_encryption: got.server_side_encryption,
        ssekms_key_id: got.ssekms_key_id,
        sse_customer_algorithm: got.sse_customer_algorithm,
        sse_customer_key_md5: got.sse_customer_key_md5,
        ..Default::default()
    })
}

/// The object that a copy is made of.
pub(super) fn source(
    buckets: &mut Buckets,
    source: &CopySource,
    if_match: Option<&CopySourceIfMatch>,
    customer: Option<&String>,
) -> S3Result<Arc<Stored>> {
    let CopySource::Bucket { bucket, key, .. } = source else { return Err(s3_error!(NotImplemented)) };
    let object = find(buckets, bucket)?.object(key)?;
    check_read(&object, if_match, None)?;
    object.encryption.check_read(customer)?;
    Ok(object)
}

pub(super) fn copy(state: &State, request: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
    let S3Request { input, headers, .. } = request;
    let source_customer = customer_key(
        input.copy_source_sse_customer_algorithm.as_ref(),
        input.copy_source_sse_customer_key.as_ref(),
        input.copy_source_sse_customer_key_md5.as_ref(),
    )?;
    let customer = customer_key(
        input.sse_customer_algorithm.as_ref(),
        input.sse_customer_key.as_ref(),
        input.sse_customer_key_md5.as_ref(),
    )?;
    // s3s does not read the conditions on the target, which are newer than its model of the operation.
    let condition = |name: &str| {
        let value = headers.get(name)?;
        ETagCondition::parse_http_header(value.as_bytes()).ok()
    };
    let (if_match, if_none_match) = (condition("if-match"), condition("if-none-match"));

    let mut buckets = state.lock();
    let from = source(
        &mut buckets,
        &input.copy_source,
        input.copy_source_if_match.as_ref(),
        source_customer.as_ref(),
    )?;
    if from.bytes.len() as u64 > 5 << 30 {
        return Err(s3_error!(InvalidRequest, "the source is larger than 5 GB"));
    }
    let bucket = find(&mut buckets, &input.bucket)?;
    let existing = bucket.objects.get(&input.key);
    check_write(
        state.options.flavour,
        &headers,
        existing.map(Arc::as_ref),
        if_match.as_ref(),
        if_none_match.as_ref(),
    )?;
    let mut object = (*from).clone();
    object.modified = SystemTime::now();
    if input.metadata_directive.is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE) {
        object.metadata = input.metadata;
    }
    object.encryption = Encryption::for_write(
        bucket,
        input.server_side_encryption.as_ref(),
        input.ssekms_key_id.as_ref(),
        customer,
    );
    let result = CopyObjectResult {
        e_tag: strong(&object.etag),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    };
    bucket.objects.insert(input.key, Arc::new(object));
    Ok(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() })
}

pub(super) fn delete(state: &State, request: S3Request<DeleteObjectInput>) -> S3Result<DeleteObjectOutput> {
    let S3Request { input, headers, .. } = request;
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    let existing = bucket.objects.get(&input.key);
    check_write(state.options.flavour, &headers, existing.map(Arc::as_ref), input.if_match.as_ref(), None)?;
    bucket.objects.remove(&input.key);
    Ok(DeleteObjectOutput::default())
}

pub(super) fn delete_many(state: &State, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
    if input.delete.objects.len() > 1000 {
        return Err(s3_error!(MalformedXML, "more than 1000 keys"));
    }
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    let mut deleted = Vec::new();
    for object in input.delete.objects {
        bucket.objects.remove(&object.key);
        deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
    }
    let quiet = input.delete.quiet == Some(true);
    Ok(DeleteObjectsOutput { deleted: (!quiet).then_some(deleted), ..Default::default() })
}

pub(super) fn list(state: &State, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().filter(|delimiter| !delimiter.is_empty());
    let page = input.max_keys.map_or(state.options.page, |keys| state.options.page.min(keys.max(0) as usize));
    let after = input.continuation_token.clone().or(input.start_after.clone()).unwrap_or_default();

    let (mut contents, mut prefixes, mut last) = (Vec::new(), Vec::<String>::new(), None);
    let mut truncated = false;
    for (key, object) in bucket.objects.range::<String, _>((Bound::Excluded(after.clone()), Bound::Unbounded))
    {
        let Some(rest) = key.strip_prefix(&prefix) else { continue };
        let group = delimiter.as_ref().and_then(|delimiter| {
            rest.find(delimiter.as_str()).map(|at| key[..prefix.len() + at + delimiter.len()].to_owned())
        });
        if group.as_ref().is_some_and(|group| prefixes.last() == Some(group) || after.starts_with(group)) {
            last = Some(key.clone());
            continue;
        }
        if contents.len() + prefixes.len() >= page {
            truncated = true;
            break;
        }
        last = Some(key.clone());
        match group {
            Some(group) => prefixes.push(group),
            None => contents.push(Object {
                key: Some(key.clone()),
                size: Some(object.bytes.len() as i64),
                e_tag: strong(&object.etag),
                last_modified: Some(object.modified.into()),
                ..Default::default()
            }),
        }
    }
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        key_count: Some((contents.len() + prefixes.len()) as i32),
        max_keys: Some(page as i32),
        is_truncated: Some(truncated),
        next_continuation_token: last.filter(|_| truncated),
        contents: Some(contents),
        common_prefixes: Some(
            prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect(),
        ),
        prefix: input.prefix,
        delimiter: input.delimiter,
        continuation_token: input.continuation_token,
        start_after: input.start_after,
        ..Default::default()
    })
}

/// The bytes of a header such as `bytes=0-99`.
pub(super) fn slice(bytes: &Bytes, range: Option<&String>) -> S3Result<Bytes> {
    let Some(range) = range else { return Ok(bytes.clone()) };
    let range = Range::parse(range).map_err(|error| s3_error!(error, InvalidArgument))?;
    let range = range.check(bytes.len() as u64)?;
    Ok(bytes.slice(range.start as usize..range.end as usize))
}
