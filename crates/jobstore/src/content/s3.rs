//! Contents in a bucket: `PREFIX/ATTEMPT-RANDOM/NAME`, each key written once.

use std::fs;
use std::io;
use std::path::Path;

use moil_cwl::location as uri;
use moil_job::contents::{Contents, ContentsError};
use moil_job::spec::AttemptId;

use super::slug;
use crate::nonce::nonce;
use crate::s3::Bucket;

/// How deep directories may be nested.
const DEPTH_LIMIT: usize = 200;

/// Keeps outputs below a prefix of a bucket. What was brought up is removed here.
pub struct S3Contents {
    bucket: Bucket,
    prefix: String,
}

impl S3Contents {
    /// Contents below a prefix that ends in `/`.
    pub fn new(bucket: Bucket, prefix: String) -> Self {
        Self { bucket, prefix }
    }

    /// An empty directory is an object as well: one whose key ends in `/`.
    fn bring(&self, path: &Path, key: &str, depth: usize) -> Result<(), String> {
        let words = |error: io::Error| format!("{}: {error}", path.display());
        // What a link leads to is part of the output.
        if !fs::metadata(path).map_err(words)?.is_dir() {
            return self.bucket.upload(key, path).map(drop).map_err(|error| error.to_string());
        }
        if depth > DEPTH_LIMIT {
            return Err(format!("{}: its directories are nested too deeply", path.display()));
        }
        let mut is_empty = true;
        for entry in fs::read_dir(path).map_err(words)? {
            let entry = entry.map_err(words)?;
            is_empty = false;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| format!("the name {} in {} is not UTF-8", name.display(), path.display()))?;
            self.bring(&entry.path(), &format!("{key}/{name}"), depth + 1)?;
        }
        if is_empty {
            self.bucket.put(&format!("{key}/"), b"").map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Contents for S3Contents {
    fn keep(&self, attempt: &AttemptId, path: &Path) -> Result<String, ContentsError> {
        let failed = |reason: String| ContentsError {
            operation: format!("bring the output {} to the job store", path.display()),
            reason,
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| failed("its name is not UTF-8".to_owned()))?;
        let key = format!("{}{}-{}/{name}", self.prefix, slug(attempt), nonce());
        self.bring(path, &key, 0).map_err(failed)?;
        // It is in the way of nobody; the work directory goes at the end.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        Ok(location(&self.bucket, &key))
    }
}

/// The location of a key: a URI, in which what is not plain is escaped.
pub fn location(bucket: &Bucket, key: &str) -> String {
    let names: Vec<String> = key.split('/').map(uri::encode_name).collect();
    format!("s3://{}/{}", bucket.name(), names.join("/"))
}

/// Bucket and key of a location; `None` if it is none of S3.
pub fn bucket_and_key(location: &str) -> Option<(&str, String)> {
    let (bucket, key) = location.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty() && !key.is_empty()).then(|| (bucket, uri::decode(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_as_they_are_written() {
        let bucket = crate::s3::S3::new(crate::s3::Settings::default()).bucket("b");
        for key in ["a", "a/b c#?.txt", "x/100%/%41", "🕺/new\nline"] {
            let location = location(&bucket, key);
            assert!(location.is_ascii() && !location.contains([' ', '#', '?']), "{location}");
            assert_eq!(bucket_and_key(&location), Some(("b", key.to_owned())));
        }
        for none in ["file:///a", "s3://", "s3://b", "s3://b/", "s3:///k", "https://s3/b/k"] {
            assert_eq!(bucket_and_key(none), None, "{none}");
        }
    }
}
