//! Buckets: made, found, removed.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    CreateBucketConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    PublicAccessBlockConfiguration, Tag, Tagging,
};

use crate::at_once::both;

use super::client::S3;
use super::error::{Error, Kind};
use super::settings::Encryption;

/// After how many days the service removes uploads that nobody finished.
const SWEEP_DAYS: i32 = 7;

/// One bucket of a server, whether it is there or not. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    pub(super) s3: S3,
    pub(super) name: String,
    /// Objects are read and written without a client's key.
    pub(super) keyless: bool,
}

impl Bucket {
    /// The same bucket, whose objects are read and written without a client's key: those of others have none.
    #[must_use]
    pub fn without_key(&self) -> Self {
        Self { keyless: true, ..self.clone() }
    }

    /// Whether a client's key is sent.
    #[must_use]
    pub fn has_key(&self) -> bool {
        matches!(self.encryption(), Encryption::Customer(_))
    }

    pub(super) fn encryption(&self) -> &Encryption {
        match self.s3.encryption() {
            Encryption::Customer(_) if self.keyless => &Encryption::Bucket,
            encryption => encryption,
        }
    }

    /// The bucket's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether objects may be written below a prefix: begins to write one, and gives it up.
    ///
    /// # Errors
    /// Those of a request.
    pub fn check_writable(&self, prefix: &str) -> Result<(), Error> {
        self.begin_and_abort(&format!("{prefix}.moil-probe"))
    }

    /// Another bucket of the same server.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        self.s3.bucket(name)
    }

    /// Whether an upload in parts was begun by this process, and may have been left unfinished.
    pub(crate) fn may_have_unfinished(&self) -> bool {
        self.s3.has_begun_in_parts()
    }

    /// The size, in bytes, above which files are uploaded in parts.
    pub(crate) fn smallest_in_parts(&self) -> u64 {
        self.s3.settings().parts.smallest
    }

    /// What messages call an object in it.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// Whether there is such a bucket that we may see.
    ///
    /// # Errors
    /// Those of a request.
    pub fn exists(&self) -> Result<bool, Error> {
        let found =
            self.request(|client| {
                let request = client.head_bucket().bucket(&self.name);
                async move {
                    request.send().await.map(drop).map_err(|error| self.failed("cannot look for", error))
                }
            });
        match found {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind, Kind::NoBucket | Kind::NoObject) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where the bucket is, if the server says so.
    ///
    /// # Errors
    /// Those of a request; there must be such a bucket.
    pub fn region(&self) -> Result<Option<String>, Error> {
        self.request(|client| {
            let request = client.head_bucket().bucket(&self.name);
            async move {
                let head = request.send().await.map_err(|error| self.failed("cannot look for", error))?;
                Ok(head.bucket_region().map(str::to_owned))
            }
        })
    }

    /// Makes the bucket, and furnishes it. Returns whether it was made now; one of our own that is there already is
    /// furnished all the same, since whoever made it may have been stopped in between.
    ///
    /// # Errors
    /// Those of a request; the name may belong to somebody else.
    pub fn create(&self, region: Option<&str>, tags: &BTreeMap<String, String>) -> Result<bool, Error> {
        let made = self.make(region)?;
        self.furnish(tags)?;
        Ok(made)
    }

    /// Makes the bucket if it is not there, and nothing more.
    ///
    /// # Errors
    /// As [`Bucket::create`].
    pub fn make(&self, region: Option<&str>) -> Result<bool, Error> {
        // us-east-1 must not be named.
        let place = region.filter(|region| *region != "us-east-1").map(|region| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        self.request(|client| {
            let request =
                client.create_bucket().bucket(&self.name).set_create_bucket_configuration(place.clone());
            async move {
                match request.send().await {
                    Ok(_) => Ok(true),
                    Err(error) if is_ours(&error) => Ok(false),
                    Err(error) => Err(self.failed("cannot make", error)),
                }
            }
        })
    }

    /// Makes the bucket private, tags it, and gives it a rule that removes unfinished uploads: all at once.
    ///
    /// # Errors
    /// Those of a request. Servers that know no access blocks or lifecycles are accepted.
    pub fn furnish(&self, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        let guard = || both(|| self.make_private(), || self.tag(tags));
        let ((private, tagged), swept) = both(guard, || self.sweep_by_itself());
        private.and(tagged).and(swept)
    }

    fn make_private(&self) -> Result<(), Error> {
        // Old Ceph refuses every write to a bucket that blocks public ACLs. That they are ignored is enough.
        let is_aws = self.s3.settings().endpoint.is_none();
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(is_aws)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let done = self.request(|client| {
            let request = client
                .put_public_access_block()
                .bucket(&self.name)
                .public_access_block_configuration(block.clone());
            async move {
                request.send().await.map(drop).map_err(|error| self.failed("cannot make private", error))
            }
        });
        unless_unknown(done)
    }

    fn tag(&self, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        if tags.is_empty() {
            return Ok(());
        }
        let tags: Vec<Tag> = tags
            .iter()
            .filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok())
            .collect();
        let tagging = Tagging::builder().set_tag_set(Some(tags)).build();
        let tagging = tagging.map_err(|error| self.refused("cannot tag", error.to_string()))?;
        let done = self.request(|client| {
            let request = client.put_bucket_tagging().bucket(&self.name).tagging(tagging.clone());
            async move { request.send().await.map(drop).map_err(|error| self.failed("cannot tag", error)) }
        });
        unless_unknown(done)
    }

    fn sweep_by_itself(&self) -> Result<(), Error> {
        let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(SWEEP_DAYS).build();
        let rule = LifecycleRule::builder()
            .id("unfinished-uploads")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .abort_incomplete_multipart_upload(abort)
            .build()
            .map_err(|error| self.refused("cannot set the lifecycle of", error.to_string()))?;
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build();
        let rules = rules.map_err(|error| self.refused("cannot set the lifecycle of", error.to_string()))?;
        let done = self.request(|client| {
            let request = client
                .put_bucket_lifecycle_configuration()
                .bucket(&self.name)
                .lifecycle_configuration(rules.clone());
            async move {
                request
                    .send()
                    .await
                    .map(drop)
                    .map_err(|error| self.failed("cannot set the lifecycle of", error))
            }
        });
        // It only saves money; a right to it is not worth a refusal.
        match unless_unknown(done) {
            Err(error) if error.kind == Kind::Denied => Ok(()),
            done => done,
        }
    }

    /// Removes the bucket. Returns whether it was there.
    ///
    /// # Errors
    /// Those of a request; it must be empty.
    pub fn remove(&self) -> Result<bool, Error> {
        let done = self.request(|client| {
            let request = client.delete_bucket().bucket(&self.name);
            async move { request.send().await.map(drop).map_err(|error| self.failed("cannot remove", error)) }
        });
        match done {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind, Kind::NoBucket | Kind::NoObject) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn failed<E>(
        &self,
        action: &'static str,
        error: aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
    ) -> Error
    where
        E: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.told(Error::of(action, &format!("s3://{}", self.name), &error), &error)
    }

    fn refused(&self, action: &'static str, reason: String) -> Error {
        Error::new(action, format!("s3://{}", self.name), Kind::Refused, reason)
    }
}

fn is_ours(
    error: &aws_sdk_s3::error::SdkError<
        aws_sdk_s3::operation::create_bucket::CreateBucketError,
        aws_sdk_s3::config::http::HttpResponse,
    >,
) -> bool {
    error.as_service_error().is_some_and(|error| error.is_bucket_already_owned_by_you())
}

/// Servers of others need not have everything.
fn unless_unknown(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if is_unknown(&error) => Ok(()),
        done => done,
    }
}

/// Whether a server says that it does not have an operation.
pub(super) fn is_unknown(error: &Error) -> bool {
    let is_word = |word: &&str| {
        ["501", "405", "NotImplemented", "MethodNotAllowed", "UnsupportedOperation"].contains(word)
    };
    error.kind == Kind::Refused && error.reason.split(' ').any(|word| is_word(&word))
}
