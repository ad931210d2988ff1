//! Records as items of SimpleDB. One condition on one item is all that the service has, and all that records need.
//!
//! An item has the record in base64 in attributes `000`, `001` and so on of 1024 bytes, their number, and a nonce that
//! tells whose write it was. What is too large for an item lies in S3, under a key that has the nonce: the item is
//! written last, so it never names what is not there.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::nonce::nonce;
use crate::s3::{Bucket, Error, Kind};
use crate::simpledb::SimpleDb;
use crate::simpledb::client::Expected;

use super::{Put, Records, RecordsError, check_name, check_prefix};

/// The attribute that tells whose write it was.
const NONCE: &str = "nonce";

/// The attribute with the number of chunks.
const CHUNKS: &str = "numChunks";

/// The attribute with the key of what lies in S3; empty for what does not.
const OVERLARGE: &str = "overlarge";

/// The largest value, in bytes.
const CHUNK: usize = 1024;

/// The largest record that an item holds, in bytes: 256 attributes, less three, with three bytes in four characters.
const LARGEST: usize = (256 - 3) * CHUNK / 4 * 3;

/// Records of one domain, below a prefix of the names of its items.
pub struct SimpleDbRecords {
    client: SimpleDb,
    domain: String,
    prefix: String,
    bucket: Bucket,
}

impl SimpleDbRecords {
    /// Records of a domain and a bucket that are there; `prefix` is such as `moil/RUN/`, and begins both names of items
    /// and keys of what is too large for them. Nothing is asked of the servers yet.
    #[must_use]
    pub fn new(client: SimpleDb, domain: &str, bucket: Bucket, prefix: &str) -> Self {
        Self { client, domain: domain.to_owned(), prefix: prefix.to_owned(), bucket }
    }

    fn item(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Where all lies that is too large.
    fn overlarge(&self) -> String {
        format!("{}overlarge/", self.prefix)
    }

    fn failed(&self, operation: &'static str, name: &str, error: Error) -> RecordsError {
        RecordsError::Failed { operation, name: self.place(name), reason: error.reason }
    }

    /// What messages call a record.
    fn place(&self, name: &str) -> String {
        format!("{} in the SimpleDB domain {}", self.item(name), self.domain)
    }

    /// Writes an item, and before it what is too large for it.
    fn write(
        &self,
        name: &str,
        bytes: &[u8],
        nonce: &str,
        expected: Option<Expected<'_>>,
    ) -> Result<(), Error> {
        let mut overlarge = String::new();
        let mut text = String::new();
        if bytes.len() > LARGEST {
            overlarge = format!("{}{name}/{nonce}", self.overlarge());
            self.bucket.put(&overlarge, bytes)?;
        } else {
            text = BASE64_STANDARD.encode(bytes);
        }
        let mut attributes = vec![
            (NONCE.to_owned(), nonce.to_owned()),
            (CHUNKS.to_owned(), text.len().div_ceil(CHUNK).to_string()),
            (OVERLARGE.to_owned(), overlarge.clone()),
        ];
        // Base64 is ASCII, so it can be cut anywhere.
        attributes.extend(
            text.as_bytes()
                .chunks(CHUNK)
                .enumerate()
                .map(|(at, chunk)| (format!("{at:03}"), String::from_utf8_lossy(chunk).into_owned())),
        );
        let written = self.client.put(&self.domain, &self.item(name), &attributes, expected);
        if let Err(error) = &written
            && error.kind == Kind::Precondition
            && !overlarge.is_empty()
            && self.owner(name).is_ok_and(|owner| owner.as_deref() != Some(nonce))
        {
            // Nobody will ever look for it.
            let _ = self.bucket.delete(&[overlarge]);
        }
        written
    }

    /// Whose write an item is.
    fn owner(&self, name: &str) -> Result<Option<String>, Error> {
        let attributes = self.client.get(&self.domain, &self.item(name))?;
        Ok(attributes.into_iter().find(|(name, _)| name == NONCE).map(|(_, value)| value))
    }

    /// The bytes of an item with these attributes.
    fn bytes(&self, name: &str, attributes: &[(String, String)]) -> Result<Vec<u8>, RecordsError> {
        let value = |wanted: &str| {
            attributes
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        let damaged = |reason: String| RecordsError::Damaged {
            name: self.place(name),
            reason,
            advice: "please look whether something else writes to this domain".to_owned(),
        };
        let overlarge = value(OVERLARGE);
        if !overlarge.is_empty() {
            let bytes = self.bucket.get(overlarge).map_err(|error| self.failed("read", name, error))?;
            return bytes
                .ok_or_else(|| damaged(format!("its content {} is missing", self.bucket.url(overlarge))));
        }
        let chunks: usize =
            value(CHUNKS).parse().map_err(|_| damaged("the number of its parts is missing".to_owned()))?;
        let text: String = (0..chunks).map(|at| value(&format!("{at:03}"))).collect();
        BASE64_STANDARD.decode(text).map_err(|error| damaged(error.to_string()))
    }
}

impl Records for SimpleDbRecords {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError> {
        check_name(name)?;
        let nonce = nonce();
        match self.write(name, bytes, &nonce, Some(Expected::Absent(NONCE))) {
            Ok(()) => Ok(Put::Stored),
            // It may be ours: an answer that was lost makes the next try fail.
            Err(error) if error.kind == Kind::Precondition => {
                let owner = self.owner(name).map_err(|error| self.failed("store", name, error))?;
                Ok(if owner.as_deref() == Some(&nonce) { Put::Stored } else { Put::Exists })
            }
            Err(error) => Err(self.failed("store", name, error)),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError> {
        check_name(name)?;
        self.write(name, bytes, &nonce(), None).map_err(|error| self.failed("store", name, error))
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        check_name(name)?;
        let attributes = self
            .client
            .get(&self.domain, &self.item(name))
            .map_err(|error| self.failed("read", name, error))?;
        if attributes.is_empty() { Ok(None) } else { self.bytes(name, &attributes).map(Some) }
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError> {
        check_prefix(prefix)?;
        let after = after.map(|after| self.item(after));
        let names = self
            .client
            .names(&self.domain, &self.item(prefix), after.as_deref())
            .map_err(|error| self.failed("list", prefix, error))?;
        Ok(names.into_iter().map(|name| name[self.prefix.len()..].to_owned()).collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), RecordsError> {
        for name in names {
            check_name(name)?;
        }
        let Some(first) = names.first() else { return Ok(()) };
        let failed = |error| self.failed("delete", first, error);
        let items: Vec<String> = names.iter().map(|name| self.item(name)).collect();
        self.client.delete(&self.domain, &items).map_err(failed)?;
        let contents = self.bucket.list(&self.overlarge(), None).map_err(failed)?;
        let is_of_these = |key: &str| {
            let name = key[self.overlarge().len()..].rsplit_once('/').map(|(name, _)| name);
            name.is_some_and(|name| names.iter().any(|deleted| deleted == name))
        };
        let contents: Vec<String> =
            contents.into_iter().map(|entry| entry.key).filter(|key| is_of_these(key)).collect();
        self.bucket.delete(&contents).map_err(failed)
    }
}
