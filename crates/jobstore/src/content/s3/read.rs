//! What was kept, seen as files: also that which lies in packs.

use moil_cwl::files::{Entry as Listed, Stat};
use moil_cwl::location;

use crate::s3::Bucket;
use crate::s3::transfer::Content;

use super::index::{Entry, Kind};
use super::{S3Contents, bucket_and_key, unit_key};

impl S3Contents {
    /// The bucket, and the prefix of the run's keys, if a location can be one of an output
    /// (`…/run-ID/files/TERM/ATTEMPT/NAME`) or of what lies in one; and whether it is the latter.
    pub(crate) fn place_of(location: &str) -> Option<((String, String), bool)> {
        let (bucket, key) = bucket_and_key(location)?;
        let parts: Vec<&str> = key.trim_end_matches('/').split('/').collect();
        let run = parts.windows(2).position(|pair| pair[0].starts_with("run-") && pair[1] == "files")?;
        let place = || (bucket.to_owned(), format!("{}/", parts[..=run].join("/")));
        (parts.len() >= run + 5).then(|| (place(), parts.len() > run + 5))
    }

    /// The SHA-256 of an input that somebody brought to a job store (`…/run-ID/imports/SHA256`).
    pub(crate) fn digest_of(location: &str) -> Option<String> {
        let (_, key) = bucket_and_key(location)?;
        let mut parts = key.rsplit('/');
        let (digest, imports, run) = (parts.next()?, parts.next()?, parts.next()?);
        let is_digest =
            digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_digest && imports == "imports" && run.starts_with("run-")).then(|| digest.to_owned())
    }

    /// What lies in an output directory at this location; `None` if it lies in none.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) fn stat(&self, location: &str) -> Result<Option<Stat>, String> {
        let named = self.named(location)?;
        let Some(index) = self.index_if_any(&named.output).map_err(|error| error.reason)? else {
            return Ok(None);
        };
        if named.inside.is_empty() {
            return Ok(Some(Stat { is_directory: true, size: 0 }));
        }
        Ok(index.find(&named.inside).map(stat))
    }

    /// What is in an output directory, or a directory in one; `None` if there is none of these.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) fn list(&self, location: &str) -> Result<Option<Vec<Listed>>, String> {
        if !self.stat(location)?.is_some_and(|stat| stat.is_directory) {
            return Ok(None);
        }
        let named = self.named(location)?;
        let index = self.index(&named.output)?;
        let below = index.below(&named.inside).iter().filter_map(|entry| {
            let rest = entry.path.strip_prefix(&named.inside)?.trim_start_matches('/');
            (!rest.contains('/')).then(|| Listed {
                name: rest.to_owned(),
                location: location::child(location, rest),
                stat: stat(entry),
            })
        });
        Ok(Some(below.collect()))
    }

    /// Copies a file in an output directory to a key of another bucket: within the service, unless it lies in a pack.
    ///
    /// # Errors
    /// The server cannot be asked; there is no such file.
    pub(crate) fn copy(&self, location: &str, to: &Bucket, key: &str) -> Result<Content, String> {
        let named = self.named(location)?;
        let index = self.index(&named.output)?;
        match index.find(&named.inside) {
            Some(Entry { path, kind: Kind::Object(content), .. }) => {
                let from = format!("{}/{path}", named.output);
                to.copy_from(&self.bucket, &from, None, key).map_err(|error| error.reason)?;
                Ok(content.clone())
            }
            Some(Entry { kind: Kind::Packed { .. }, .. }) => {
                let bytes = self.read_prefix(location, u64::MAX)?.unwrap_or_default();
                to.put(key, &bytes).map_err(|error| error.reason)?;
                Ok(Content::of(&bytes))
            }
            _ => Err("the directory has no such file".to_owned()),
        }
    }

    /// The first bytes of a file in an output directory; `None` if it lies in none.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) fn read_prefix(&self, location: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
        let named = self.named(location)?;
        let index = self.index_if_any(&named.output).map_err(|error| error.reason)?;
        let Some(entry) = index.as_deref().and_then(|index| index.find(&named.inside)) else {
            return Ok(None);
        };
        let (key, offset, size) = match &entry.kind {
            Kind::Directory => return Ok(None),
            Kind::Object(content) => (format!("{}/{}", named.output, entry.path), 0, content.size),
            Kind::Packed { pack, offset, size } => {
                (unit_key(&named.output, &format!(".pack-{pack}")), *offset, *size)
            }
        };
        if size.min(limit) == 0 {
            return Ok(Some(Vec::new()));
        }
        let bytes = self.bucket.get_range(&key, offset, size.min(limit)).map_err(|error| error.reason)?;
        bytes.map(Some).ok_or_else(|| "it is not there any more".to_owned())
    }
}

fn stat(entry: &Entry) -> Stat {
    let size = match &entry.kind {
        Kind::Directory => return Stat { is_directory: true, size: 0 },
        Kind::Object(content) => content.size,
        Kind::Packed { size, .. } => *size,
    };
    Stat { is_directory: false, size }
}
