//! Operations on buckets.

use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::State;
use super::state::{Bucket, find};

pub(super) fn create(state: &State, input: CreateBucketInput) -> S3Result<CreateBucketOutput> {
    let mut buckets = state.lock();
    if buckets.contains_key(&input.bucket) {
        return Err(s3_error!(BucketAlreadyOwnedByYou));
    }
    let mut bucket = Bucket::default();
    let region =
        input.create_bucket_configuration.and_then(|configuration| configuration.location_constraint);
    bucket.facts.region = region.map(|region| region.as_str().to_owned()).unwrap_or_default();
    let location = Some(format!("/{}", input.bucket));
    buckets.insert(input.bucket, bucket);
    Ok(CreateBucketOutput { location })
}

pub(super) fn head(state: &State, input: HeadBucketInput) -> S3Result<HeadBucketOutput> {
    let mut buckets = state.lock();
    let region = &find(&mut buckets, &input.bucket)?.facts.region;
    let region = if region.is_empty() { "us-east-1" } else { region };
    Ok(HeadBucketOutput { bucket_region: Some(region.to_owned()), ..Default::default() })
}

pub(super) fn location(state: &State, input: GetBucketLocationInput) -> S3Result<GetBucketLocationOutput> {
    let mut buckets = state.lock();
    let region = find(&mut buckets, &input.bucket)?.facts.region.clone();
    Ok(GetBucketLocationOutput { location_constraint: (!region.is_empty()).then(|| region.into()) })
}

pub(super) fn delete(state: &State, input: DeleteBucketInput) -> S3Result<DeleteBucketOutput> {
    let mut buckets = state.lock();
    if !find(&mut buckets, &input.bucket)?.objects.is_empty() {
        return Err(s3_error!(BucketNotEmpty));
    }
    buckets.remove(&input.bucket);
    Ok(DeleteBucketOutput {})
}

pub(super) fn list(state: &State, _input: ListBucketsInput) -> S3Result<ListBucketsOutput> {
    let bucket = |name: &String| s3s::dto::Bucket {
        name: Some(name.clone()),
        creation_date: Some(SystemTime::UNIX_EPOCH.into()),
        ..Default::default()
    };
    Ok(ListBucketsOutput { buckets: Some(state.lock().keys().map(bucket).collect()), ..Default::default() })
}

pub(super) fn put_tags(state: &State, input: PutBucketTaggingInput) -> S3Result<PutBucketTaggingOutput> {
    let mut buckets = state.lock();
    let tags = input.tagging.tag_set.into_iter();
    find(&mut buckets, &input.bucket)?.facts.tags =
        tags.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
    Ok(PutBucketTaggingOutput::default())
}

pub(super) fn tags(state: &State, input: GetBucketTaggingInput) -> S3Result<GetBucketTaggingOutput> {
    let mut buckets = state.lock();
    let tags = &find(&mut buckets, &input.bucket)?.facts.tags;
    if tags.is_empty() {
        return Err(s3_error!(NoSuchTagSet));
    }
    let tag = |(key, value): (&String, &String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    Ok(GetBucketTaggingOutput { tag_set: tags.iter().map(tag).collect() })
}

pub(super) fn put_public_access(
    state: &State,
    input: PutPublicAccessBlockInput,
) -> S3Result<PutPublicAccessBlockOutput> {
    let mut buckets = state.lock();
    let block = input.public_access_block_configuration;
    find(&mut buckets, &input.bucket)?.facts.is_private = [
        // To block public ACLs as well only means that they are refused rather than ignored.
        block.block_public_policy,
        block.ignore_public_acls,
        block.restrict_public_buckets,
    ]
    .iter()
    .all(|blocked| *blocked == Some(true));
    Ok(PutPublicAccessBlockOutput {})
}

pub(super) fn public_access(
    state: &State,
    input: GetPublicAccessBlockInput,
) -> S3Result<GetPublicAccessBlockOutput> {
    let mut buckets = state.lock();
    let blocked = Some(find(&mut buckets, &input.bucket)?.facts.is_private);
    let configuration = PublicAccessBlockConfiguration {
        block_public_acls: blocked,
        block_public_policy: blocked,
        ignore_public_acls: blocked,
        restrict_public_buckets: blocked,
    };
    Ok(GetPublicAccessBlockOutput { public_access_block_configuration: Some(configuration) })
}

pub(super) fn put_encryption(
    state: &State,
    input: PutBucketEncryptionInput,
) -> S3Result<PutBucketEncryptionOutput> {
    let mut buckets = state.lock();
    let rule = input.server_side_encryption_configuration.rules.into_iter().next();
    let default = rule.and_then(|rule| rule.apply_server_side_encryption_by_default);
    find(&mut buckets, &input.bucket)?.facts.encryption =
        default.map(|default| (default.sse_algorithm.as_str().to_owned(), default.kms_master_key_id));
    Ok(PutBucketEncryptionOutput {})
}

pub(super) fn encryption(
    state: &State,
    input: GetBucketEncryptionInput,
) -> S3Result<GetBucketEncryptionOutput> {
    let mut buckets = state.lock();
    let (algorithm, key) =
        find(&mut buckets, &input.bucket)?.facts.encryption.clone().unwrap_or(("AES256".to_owned(), None));
    let default = ServerSideEncryptionByDefault { kms_master_key_id: key, sse_algorithm: algorithm.into() };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(default),
        ..Default::default()
    };
    let configuration = ServerSideEncryptionConfiguration { rules: vec![rule] };
    Ok(GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) })
}

pub(super) fn put_lifecycle(
    state: &State,
    input: PutBucketLifecycleConfigurationInput,
) -> S3Result<PutBucketLifecycleConfigurationOutput> {
    let mut buckets = state.lock();
    let bucket = find(&mut buckets, &input.bucket)?;
    let rules = input.lifecycle_configuration.map(|configuration| configuration.rules).unwrap_or_default();
    let days = |rule: &LifecycleRule| rule.abort_incomplete_multipart_upload.as_ref()?.days_after_initiation;
    bucket.facts.sweep_uploads_days = rules.iter().find_map(days);
    bucket.lifecycle = Some(rules);
    Ok(PutBucketLifecycleConfigurationOutput::default())
}

pub(super) fn lifecycle(
    state: &State,
    input: GetBucketLifecycleConfigurationInput,
) -> S3Result<GetBucketLifecycleConfigurationOutput> {
    let mut buckets = state.lock();
    let rules = find(&mut buckets, &input.bucket)?.lifecycle.clone();
    let rules = rules.ok_or_else(|| s3_error!(NoSuchLifecycleConfiguration))?;
    Ok(GetBucketLifecycleConfigurationOutput { rules: Some(rules), ..Default::default() })
}
