//! Files in buckets, by `s3://BUCKET/KEY` locations. What keys have in common up to a `/` is a directory.

use std::collections::BTreeMap;
use std::path::Path;

use moil_cwl::files::{Entry, Stat};
use moil_cwl::location;

use crate::content::s3::bucket_and_key;
use crate::s3::{Bucket, S3};

/// Objects as files.
pub(super) struct Objects<'a>(pub(super) &'a S3);

impl Objects<'_> {
    fn find(&self, location: &str) -> Result<(Bucket, String), String> {
        let (bucket, key) = bucket_and_key(location).ok_or("it is not written s3://BUCKET/KEY")?;
        Ok((self.0.bucket(bucket), key.trim_end_matches('/').to_owned()))
    }

    pub(super) fn stat(&self, location: &str) -> Result<Option<Stat>, String> {
        let (bucket, key) = self.find(location)?;
        if let Some(entry) = bucket.head(&key).map_err(|error| error.reason)? {
            return Ok(Some(Stat { is_directory: false, size: entry.size }));
        }
        let below = bucket.list(&format!("{key}/"), None).map_err(|error| error.reason)?;
        Ok((!below.is_empty()).then_some(Stat { is_directory: true, size: 0 }))
    }

    pub(super) fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
        let (bucket, key) = self.find(location)?;
        let bytes = bucket.get_range(&key, 0, limit).map_err(|error| error.reason)?;
        bytes.ok_or_else(|| "there is no such object".to_owned())
    }

    pub(super) fn list(&self, location: &str) -> Result<Vec<Entry>, String> {
        let (bucket, key) = self.find(location)?;
        let prefix = format!("{key}/");
        let mut names: BTreeMap<String, Stat> = BTreeMap::new();
        for entry in bucket.list(&prefix, None).map_err(|error| error.reason)? {
            let rest = entry.key.get(prefix.len()..).unwrap_or_default();
            let (name, stat) = match rest.split_once('/') {
                Some((name, _)) => (name, Stat { is_directory: true, size: 0 }),
                None => (rest, Stat { is_directory: false, size: entry.size }),
            };
            // An object whose key ends in `/` only says that the directory is there.
            if !name.is_empty() {
                names.entry(name.to_owned()).or_insert(stat);
            }
        }
        let location = location.trim_end_matches('/');
        Ok(names
            .into_iter()
            .map(|(name, stat)| Entry { location: location::child(location, &name), name, stat })
            .collect())
    }

    pub(super) fn download(&self, location: &str, to: &Path) -> Result<(), String> {
        let (bucket, key) = self.find(location)?;
        let content = bucket.download(&key, to, None).map_err(|error| error.reason)?;
        content.map(drop).ok_or_else(|| "there is no such object".to_owned())
    }

    pub(super) fn validator(&self, location: &str) -> Result<Option<String>, String> {
        let (bucket, key) = self.find(location)?;
        Ok(bucket.head(&key).map_err(|error| error.reason)?.map(|entry| entry.etag))
    }
}
