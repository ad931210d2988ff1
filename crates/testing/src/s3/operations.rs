//! The operations, as the crate `s3s` wants to have them.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::{State, buckets, multipart, objects};

pub(super) struct Operations(pub(super) Arc<State>);

/// Each operation is a function; the first kind takes the input alone, the second the whole request.
macro_rules! operations {
    (
        input: { $($name:ident: $input:ty => $output:ty = $function:path;)* }
        request: { $($full_name:ident: $full_input:ty => $full_output:ty = $full_function:path;)* }
        body: { $($body_name:ident: $body_input:ty => $body_output:ty = $body_function:path;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Operations {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $function(&self.0, request.input).map(S3Response::new)
            })*
            $(async fn $full_name(&self, request: S3Request<$full_input>) -> S3Result<S3Response<$full_output>> {
                $full_function(&self.0, request).map(S3Response::new)
            })*
            $(async fn $body_name(&self, request: S3Request<$body_input>) -> S3Result<S3Response<$body_output>> {
                $body_function(&self.0, request).await.map(S3Response::new)
            })*
        }
    };
}

operations! {
    input: {
        create_bucket: CreateBucketInput => CreateBucketOutput = buckets::create;
        head_bucket: HeadBucketInput => HeadBucketOutput = buckets::head;
        get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput = buckets::location;
        delete_bucket: DeleteBucketInput => DeleteBucketOutput = buckets::delete;
        list_buckets: ListBucketsInput => ListBucketsOutput = buckets::list;
        put_bucket_tagging: PutBucketTaggingInput => PutBucketTaggingOutput = buckets::put_tags;
        get_bucket_tagging: GetBucketTaggingInput => GetBucketTaggingOutput = buckets::tags;
        put_public_access_block: PutPublicAccessBlockInput => PutPublicAccessBlockOutput = buckets::put_public_access;
        get_public_access_block: GetPublicAccessBlockInput => GetPublicAccessBlockOutput = buckets::public_access;
        put_bucket_encryption: PutBucketEncryptionInput => PutBucketEncryptionOutput = buckets::put_encryption;
        get_bucket_encryption: GetBucketEncryptionInput => GetBucketEncryptionOutput = buckets::encryption;
        put_bucket_lifecycle_configuration: PutBucketLifecycleConfigurationInput
            => PutBucketLifecycleConfigurationOutput = buckets::put_lifecycle;
        get_bucket_lifecycle_configuration: GetBucketLifecycleConfigurationInput
            => GetBucketLifecycleConfigurationOutput = buckets::lifecycle;
        get_object: GetObjectInput => GetObjectOutput = objects::get;
        head_object: HeadObjectInput => HeadObjectOutput = objects::head;
        delete_objects: DeleteObjectsInput => DeleteObjectsOutput = objects::delete_many;
        list_objects_v2: ListObjectsV2Input => ListObjectsV2Output = objects::list;
        create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput = multipart::create;
        upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput = multipart::upload_part_copy;
        abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput = multipart::abort;
        list_parts: ListPartsInput => ListPartsOutput = multipart::list_parts;
        list_multipart_uploads: ListMultipartUploadsInput => ListMultipartUploadsOutput = multipart::list_uploads;
    }
    request: {
        copy_object: CopyObjectInput => CopyObjectOutput = objects::copy;
        delete_object: DeleteObjectInput => DeleteObjectOutput = objects::delete;
        complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput = multipart::complete;
    }
    body: {
        put_object: PutObjectInput => PutObjectOutput = objects::put;
        upload_part: UploadPartInput => UploadPartOutput = multipart::upload_part;
    }
}
