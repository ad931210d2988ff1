//! Records as objects of S3. Conditional writes do the work, so a server must honour them
//! ([`Bucket::check_conditional_writes`]).

use crate::s3::{Bucket, Error};

use super::{Put, Records, RecordsError, check_name, check_prefix};

/// Records below a prefix of a bucket.
pub struct S3Records {
    bucket: Bucket,
    prefix: String,
    checks: bool,
}

impl S3Records {
    /// Records of a bucket that is there, below a prefix such as `moil/RUN/`. Nothing is asked of the server yet.
    #[must_use]
    pub fn new(bucket: Bucket, prefix: &str) -> Self {
        Self { bucket, prefix: prefix.to_owned(), checks: false }
    }

    /// The same records, where each put finds out whether the server honours conditions.
    #[must_use]
    pub fn checking(self) -> Self {
        Self { checks: true, ..self }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn failed(&self, operation: &'static str, name: &str, error: Error) -> RecordsError {
        RecordsError::Failed { operation, name: self.bucket.url(&self.key(name)), reason: error.reason }
    }
}

impl Records for S3Records {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        check_name(name)?;
        let key = self.key(name);
        let put = match self.checks {
            true => self.bucket.put_if_absent_twice(&key, bytes),
            false => self.bucket.put_if_absent(&key, bytes),
        };
        put.map_err(|error| self.failed("store", name, error))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        check_name(name)?;
        self.bucket.put(&self.key(name), bytes).map_err(|error| self.failed("store", name, error))
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        check_name(name)?;
        self.bucket.get(&self.key(name)).map_err(|error| self.failed("read", name, error))
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        check_prefix(prefix)?;
        let after = after.map(|after| self.key(after));
        let entries = self
            .bucket
            .list(&self.key(prefix), after.as_deref())
            .map_err(|error| self.failed("list", prefix, error))?;
        Ok(entries.into_iter().map(|entry| entry.key[self.prefix.len()..].to_owned()).collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        for name in names {
            check_name(name)?;
        }
        let keys: Vec<String> = names.iter().map(|name| self.key(name)).collect();
        let first = names.first().map(String::as_str).unwrap_or_default();
        self.bucket.delete(&keys).map_err(|error| self.failed("delete", first, error))
    }
}
