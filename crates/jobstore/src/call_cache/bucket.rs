//! A cache below a prefix of a bucket.
//!
//! ```text
//! PREFIX/moil-1/secret, entries/…
//! PREFIX/run-cache-1/files/UNIT/…   as the outputs of a run in a bucket
//! ```
//!
//! What lies in the same service is copied there.

use moil_cwl::location;
use moil_job::cache::CacheError;
use moil_job::contents::Contents as _;
use moil_job::spec::{AttemptId, JobId};

use super::{Cache, Kept, Kind, Shelf, failed};
use crate::content::s3::{self as content, S3Contents};
use crate::origins::Made;
use crate::records::s3::S3Records;
use crate::s3::Bucket;

/// The parts of a cache that are moil's; their number changes with what stands in them.
const HOME: &str = "moil-1/";

/// Files lie as those of a run do, so that all who read these read them.
const FILES: &str = "run-cache-1/";

/// Files in a bucket.
struct Objects {
    bucket: Bucket,
    /// What all keys of files begin with.
    prefix: String,
    root: String,
}

/// Opens the cache below a prefix (without `/` at its ends; it may be empty) of a bucket that is there, or makes one, for a
/// run with these outputs of attempts.
///
/// # Errors
/// It cannot be made or read; the server ignores conditional writes.
pub fn open(bucket: Bucket, prefix: &str, made: Made) -> Result<Cache, CacheError> {
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let failed = |reason: String| failed(format!("be opened in {}", bucket.url(&prefix)), reason);
    let home = format!("{prefix}{HOME}");
    // Asked once: a cache that has its secret was made where conditions count.
    let is_there = bucket.head(&format!("{home}secret")).map_err(|error| failed(error.to_string()))?;
    if is_there.is_none() {
        bucket
            .check_conditional_writes(&format!("{home}probe-"))
            .map_err(|error| failed(error.to_string()))?;
    }
    let records = S3Records::new(bucket.clone(), &home);
    let files = format!("{prefix}{FILES}");
    let root = content::location(&bucket, &format!("{files}files/"));
    let shelf = Objects { bucket: bucket.clone(), prefix: files, root };
    Cache::new(Box::new(shelf), Box::new(records), made).map_err(|error| failed(error.to_string()))
}

impl Objects {
    fn unit(&self, unit: &str) -> S3Contents {
        S3Contents::new(self.bucket.clone(), self.prefix.clone(), unit)
    }

    fn keys(&self, unit: &str) -> String {
        format!("{}files/{unit}/", self.prefix)
    }
}

impl Shelf for Objects {
    fn root(&self) -> &str {
        &self.root
    }

    fn bring(
        &self,
        unit: &str,
        number: usize,
        location: &str,
        is_directory: bool,
    ) -> Result<String, CacheError> {
        let whose = AttemptId { job: JobId("output".into()), number: u32::try_from(number).unwrap_or(0) };
        let contents = self.unit(unit);
        let cannot = |reason: String| failed(format!("keep {location}"), reason);
        if let Some(path) = location::file_path(location) {
            return contents.keep(&whose, path.as_ref()).map_err(|error| cannot(error.reason));
        }
        let ((bucket, prefix), _) =
            S3Contents::place_of(location).ok_or_else(|| cannot("it is no output of a job".to_owned()))?;
        let from = S3Contents::new(self.bucket.sibling(&bucket), prefix, "");
        contents.take(&whose, &from, location, is_directory).map_err(cannot)
    }

    fn look(&self, unit: &str) -> Result<Vec<Kept>, String> {
        let prefix = self.keys(unit);
        let entries = self.bucket.list(&prefix, None).map_err(|error| error.reason)?;
        let kept = entries.into_iter().map(|entry| Kept {
            path: entry.key.get(prefix.len()..).unwrap_or_default().to_owned(),
            kind: Kind::Object { size: entry.size, etag: entry.etag },
        });
        Ok(kept.collect())
    }

    fn remove(&self, unit: &str) {
        let keys = self.bucket.list(&self.keys(unit), None).unwrap_or_default();
        let keys: Vec<String> = keys.into_iter().map(|entry| entry.key).collect();
        // What stays is in nobody's way.
        let _ = self.bucket.delete(&keys);
    }
}
