//! Buckets, objects, unfinished uploads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyper::body::Bytes;
use s3s::dto;
use s3s::{S3Result, s3_error};

use super::Options;
use super::object::Encryption;

/// What a bucket was told of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketFacts {
    /// The region that it was created in; empty for `us-east-1`.
    pub region: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether neither an ACL nor a policy can make it public.
    pub is_private: bool,
    /// The algorithm by which objects are encrypted that say none, and the key's name for KMS.
    pub encryption: Option<(String, Option<String>)>,
    /// After how many days unfinished uploads are removed.
    pub sweep_uploads_days: Option<i32>,
}

#[derive(Default)]
pub(super) struct Bucket {
    pub(super) facts: BucketFacts,
    pub(super) lifecycle: Option<dto::LifecycleRules>,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    pub(super) uploads: BTreeMap<String, Upload>,
}

#[derive(Clone)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) modified: SystemTime,
    pub(super) metadata: Option<dto::Metadata>,
    pub(super) content_type: Option<String>,
    pub(super) encryption: Encryption,
    pub(super) checksum: dto::Checksum,
}

pub(super) struct Upload {
    pub(super) key: String,
    pub(super) initiated: SystemTime,
    pub(super) metadata: Option<dto::Metadata>,
    pub(super) content_type: Option<String>,
    pub(super) encryption: Encryption,
    pub(super) parts: BTreeMap<i32, Part>,
}

pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) md5: [u8; 16],
    pub(super) etag: String,
    pub(super) checksum: dto::Checksum,
}

pub(super) type Buckets = BTreeMap<String, Bucket>;

pub(super) struct State {
    pub(super) options: Options,
    buckets: Mutex<Buckets>,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        Self { options, buckets: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn find<'a>(buckets: &'a mut Buckets, name: &str) -> S3Result<&'a mut Bucket> {
    buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket))
}

impl Bucket {
    pub(super) fn object(&self, key: &str) -> S3Result<Arc<Object>> {
        self.objects.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// The upload of this name, if it is for this key.
    pub(super) fn upload(&mut self, id: &str, key: &str) -> S3Result<&mut Upload> {
        self.uploads.get_mut(id).filter(|upload| upload.key == key).ok_or_else(|| s3_error!(NoSuchUpload))
    }
}
