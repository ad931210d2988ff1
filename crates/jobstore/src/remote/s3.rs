//! Files in buckets, by `s3://BUCKET/KEY` locations. What keys have in common up to a `/` is a directory.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::files::{Entry, Stat};
use moil_cwl::location;

use crate::content::s3::{S3Contents, bucket_and_key};
use crate::s3::{Bucket, Error, Kind, S3};

use super::identity::Identity;

/// Objects as files.
pub(super) struct Objects<'a>(pub(super) &'a S3, pub(super) &'a Stores);

/// The job stores whose output directories were asked for, so that what is known of these is asked for once.
#[derive(Default)]
pub(super) struct Stores(Mutex<HashMap<(String, String), Arc<S3Contents>>>);

impl Objects<'_> {
    /// The job store in which this may be an output directory, or lie in one (small files are packed there), and
    /// whether it lies in one.
    fn store(&self, location: &str) -> Option<(Arc<S3Contents>, bool)> {
        let (place, is_inside) = S3Contents::place_of(location)?;
        let mut stores = self.1.0.lock().unwrap_or_else(PoisonError::into_inner);
        let store = stores.entry(place).or_insert_with_key(|(bucket, prefix)| {
            Arc::new(S3Contents::new(self.0.bucket(bucket), prefix.clone(), ""))
        });
        Some((Arc::clone(store), is_inside))
    }

    /// What lies in an output directory, if this does. An output file does not, so nothing is asked for it.
    fn kept(&self, location: &str) -> Result<Option<(Arc<S3Contents>, Stat)>, String> {
        let Some((store, true)) = self.store(location) else { return Ok(None) };
        Ok(store.stat(location)?.map(|stat| (store, stat)))
    }

    /// Does something with an object. What belongs to others is not encrypted with our key, and no server takes a key
    /// for what it does not encrypt.
    fn with<T>(&self, location: &str, act: impl Fn(&Bucket, &str) -> Result<T, Error>) -> Result<T, String> {
        let (bucket, key) = self.find(location)?;
        let done = match act(&bucket, &key) {
            Err(error) if error.kind == Kind::Refused && bucket.has_key() => act(&bucket.without_key(), &key),
            done => done,
        };
        done.map_err(|error| error.reason)
    }

    fn find(&self, location: &str) -> Result<(Bucket, String), String> {
        let (bucket, key) = bucket_and_key(location).ok_or("it is not written s3://BUCKET/KEY")?;
        Ok((self.0.bucket(bucket), key.trim_end_matches('/').to_owned()))
    }

    pub(super) fn stat(&self, location: &str) -> Result<Option<Stat>, String> {
        if let Some((_, stat)) = self.kept(location)? {
            return Ok(Some(stat));
        }
        if let Some(entry) = self.with(location, Bucket::head)? {
            return Ok(Some(Stat { is_directory: false, size: entry.size }));
        }
        if let Some((store, false)) = self.store(location)
            && let Some(stat) = store.stat(location)?
        {
            return Ok(Some(stat));
        }
        let (bucket, key) = self.find(location)?;
        let below = bucket.list(&format!("{key}/"), None).map_err(|error| error.reason)?;
        Ok((!below.is_empty()).then_some(Stat { is_directory: true, size: 0 }))
    }

    pub(super) fn read_prefix(&self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
        if let Some((store, true)) = self.store(location)
            && let Some(bytes) = store.read_prefix(location, limit)?
        {
            return Ok(bytes);
        }
        let bytes = self.with(location, |bucket, key| bucket.get_range(key, 0, limit))?;
        bytes.ok_or_else(|| "there is no such object".to_owned())
    }

    pub(super) fn list(&self, location: &str) -> Result<Vec<Entry>, String> {
        if let Some((store, _)) = self.store(location)
            && let Some(entries) = store.list(location)?
        {
            return Ok(entries);
        }
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

    /// Brings an output directory, or a directory in one, with one request for each of its packs. Says whether it is one.
    pub(super) fn download_directory(&self, location: &str, to: &Path) -> Result<bool, String> {
        let Some((store, _)) = self.store(location) else { return Ok(false) };
        if !store.stat(location)?.is_some_and(|stat| stat.is_directory) {
            return Ok(false);
        }
        store.fetch_directory(location, to).map(|()| true).map_err(|error| error.reason)
    }

    pub(super) fn download(&self, location: &str, to: &Path) -> Result<(), String> {
        if let Some((store, _)) = self.kept(location)? {
            return store.fetch_file(location, to).map_err(|error| error.reason);
        }
        let content = self.with(location, |bucket, key| bucket.download(key, to, None))?;
        content.map(drop).ok_or_else(|| "there is no such object".to_owned())
    }

    /// Whether what is there has this ETag.
    pub(super) fn download_version(&self, location: &str, etag: &str, to: &Path) -> Result<bool, String> {
        let came = self.with(location, |bucket, key| match bucket.download_version(key, etag, to) {
            Err(error) if error.kind == Kind::Precondition => Ok(None),
            came => came,
        })?;
        Ok(came.is_some())
    }

    pub(super) fn identity(&self, location: &str, as_directory: bool) -> Option<Identity> {
        let (bucket, _) = self.find(location).ok()?;
        if bucket.has_key() {
            return None;
        }
        if let Some(digest) = S3Contents::digest_of(location).filter(|_| !as_directory) {
            return Some(Identity {
                name: format!("sha256 {digest}"),
                sha256: Some(digest),
                ..Identity::default()
            });
        }
        if S3Contents::place_of(location).is_some() {
            // Nothing that a store keeps ever changes, and no key is used twice.
            let kind = if as_directory { "directory" } else { "file" };
            return Some(Identity { name: format!("{kind} {location}"), ..Identity::default() });
        }
        if as_directory {
            return None;
        }
        let found = self.with(location, Bucket::head).ok()??;
        let server = self.0.settings().endpoint.as_deref().unwrap_or_default();
        (!found.etag.is_empty()).then(|| Identity {
            name: format!("{server} {location} {} {}", found.etag, found.size),
            sha256: None,
            size: Some(found.size),
            etag: Some(found.etag),
        })
    }

    /// Copies a file to a key of a bucket: within the service, unless it lies in a pack. Gives its size in bytes, and its
    /// checksum where that is known.
    pub(super) fn copy(
        &self,
        location: &str,
        to: &Bucket,
        key: &str,
    ) -> Result<(u64, Option<String>), String> {
        if let Some((store, _)) = self.kept(location)? {
            return store.copy(location, to, key).map(|content| (content.size, Some(content.checksum)));
        }
        let size = self.with(location, |bucket, from| to.copy_from(bucket, from, None, key))?;
        Ok((size, None))
    }

    pub(super) fn validator(&self, location: &str) -> Result<Option<String>, String> {
        if self.kept(location)?.is_some() {
            // Nothing that a store keeps ever changes.
            return Ok(Some("kept".to_owned()));
        }
        Ok(self.with(location, Bucket::head)?.map(|entry| entry.etag))
    }
}
