//! Contents in a bucket.
//!
//! ```text
//! RUN/files/TERM/ATTEMPT-RANDOM/NAME          an output file
//! RUN/files/TERM/ATTEMPT-RANDOM/.directory    what is in an output directory: written last, so that it is whole
//! RUN/files/TERM/ATTEMPT-RANDOM/.pack-0       its small files, one after the other
//! RUN/files/TERM/ATTEMPT-RANDOM/NAME/a/b      a larger one
//! RUN/imports/SHA256                          an input, whoever brought it
//! RUN/files/imports/RANDOM/NAME/…             an input directory, as an output directory
//! ```
//!
//! Nothing is ever written twice under one key but what is the same. A job with one output file costs one request, and
//! a directory of 100,000 small files a few dozen.

mod copies;
pub mod index;
mod read;
mod update;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::location as uri;
use moil_job::contents::{Contents, ContentsError};
use moil_job::spec::AttemptId;
use moil_job::update::Update;
use sha2::{Digest, Sha256};

use crate::nonce::{hex, nonce};
use crate::s3::{Bucket, Error};

use super::imports::Import;
use super::slug;
use index::{Entry, Index, Kind};

/// Files of a directory up to this size are packed, in bytes.
const SMALL: u64 = 256 << 10;

/// A pack that has reached this size is closed, in bytes.
const PACK: usize = 16 << 20;

/// How many indexes are remembered.
const REMEMBERED: usize = 16;

/// How deep directories may be nested.
const DEPTH_LIMIT: usize = 200;

/// Keeps the outputs and inputs of a run in a bucket, and brings them back. What was brought up stays here as well.
pub struct S3Contents {
    bucket: Bucket,
    /// What all keys of the run begin with.
    prefix: String,
    /// Whose attempts these are.
    term: String,
    indexes: Mutex<HashMap<String, Arc<Index>>>,
}

/// What a location names.
struct Named {
    /// The key of the output that it is or lies in.
    output: String,
    /// Where it lies in that; empty for the output itself.
    inside: String,
}

impl S3Contents {
    /// Contents of a run, whose keys begin with `prefix`, which ends in `/`. `term` is that of the leader whose
    /// attempts are kept; those of all leaders are found.
    #[must_use]
    pub fn new(bucket: Bucket, prefix: String, term: &str) -> Self {
        Self { bucket, prefix, term: term.to_owned(), indexes: Mutex::default() }
    }

    /// What the locations of all that attempts of the run made begin with.
    #[must_use]
    pub fn files(&self) -> String {
        location(&self.bucket, &format!("{}files/", self.prefix))
    }

    /// Brings a file that was kept (or that is in a directory that was) to a path that is free.
    ///
    /// # Errors
    /// It is not there, is damaged, or cannot be written.
    pub fn fetch_file(&self, location: &str, to: &Path) -> Result<(), ContentsError> {
        let failed = |reason: String| bringing(location, to, reason);
        let named = self.named(location).map_err(failed)?;
        if named.inside.is_empty() {
            let came = self.bucket.download(&named.output, to, None).map_err(|error| failed(error.reason))?;
            return came.map(drop).ok_or_else(|| failed("it is not there any more".to_owned()));
        }
        let index = self.index(&named.output).map_err(failed)?;
        let entry =
            index.find(&named.inside).ok_or_else(|| failed("the directory has no such file".to_owned()))?;
        self.fetch_entries(&named.output, std::slice::from_ref(entry), &named.inside, to).map_err(failed)
    }

    /// Brings a directory that was kept (or one in it), with all that is in it, to a path that is free.
    ///
    /// # Errors
    /// As [`S3Contents::fetch_file`].
    pub fn fetch_directory(&self, location: &str, to: &Path) -> Result<(), ContentsError> {
        let failed = |reason: String| bringing(location, to, reason);
        let named = self.named(location).map_err(failed)?;
        let index = self.index(&named.output).map_err(failed)?;
        let is_there = named.inside.is_empty()
            || index.find(&named.inside).is_some_and(|entry| matches!(entry.kind, Kind::Directory));
        if !is_there {
            return Err(failed("the directory has no such directory".to_owned()));
        }
        fs::create_dir_all(to).map_err(|error| failed(error.to_string()))?;
        let below = index.below(&named.inside);
        self.fetch_entries(&named.output, below, &named.inside, to).map_err(failed)
    }

    /// Whether what a location names is there, as a file or as a directory.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn is_there(&self, location: &str, as_directory: bool) -> Result<bool, ContentsError> {
        let failed = |reason: String| ContentsError { operation: format!("look for {location}"), reason };
        let named = self.named(location).map_err(failed)?;
        if named.inside.is_empty() && !as_directory {
            let found = self.bucket.head(&named.output).map_err(|error| failed(error.reason))?;
            return Ok(found.is_some());
        }
        let Some(index) = self.index_if_any(&named.output).map_err(|error| failed(error.to_string()))? else {
            return Ok(false);
        };
        if named.inside.is_empty() {
            return Ok(true);
        }
        let entry = index.find(&named.inside);
        Ok(entry.is_some_and(|entry| matches!(entry.kind, Kind::Directory) == as_directory))
    }

    fn place(&self) -> String {
        self.bucket.url(&self.prefix)
    }

    fn named(&self, location: &str) -> Result<Named, String> {
        let key =
            bucket_and_key(location).filter(|(bucket, _)| *bucket == self.bucket.name()).map(|(_, key)| key);
        let below = key.as_deref().and_then(|key| key.strip_prefix(&self.prefix));
        let parts: Vec<&str> = below.unwrap_or_default().trim_end_matches('/').split('/').collect();
        match parts.as_slice() {
            ["imports", digest] => {
                Ok(Named { output: format!("{}imports/{digest}", self.prefix), inside: String::new() })
            }
            ["files", term, unit, name, inside @ ..] => Ok(Named {
                output: format!("{}files/{term}/{unit}/{name}", self.prefix),
                inside: inside.join("/"),
            }),
            _ => Err(format!("it is none of what is kept in {}", self.place())),
        }
    }

    /// What is in a directory that was kept.
    fn index(&self, output: &str) -> Result<Arc<Index>, String> {
        let index = self.index_if_any(output).map_err(|error| error.to_string())?;
        index.ok_or_else(|| "it is not there any more".to_owned())
    }

    fn index_if_any(&self, output: &str) -> Result<Option<Arc<Index>>, Error> {
        let key = unit_key(output, ".directory");
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indexes.get(&key) {
            return Ok(Some(Arc::clone(index)));
        }
        let Some(bytes) = self.bucket.get(&key)? else { return Ok(None) };
        let index = Index::read(&bytes).map_err(|reason| {
            Error::new("cannot read", self.bucket.url(&key), crate::s3::Kind::Damaged, reason)
        })?;
        let index = Arc::new(index);
        // Nothing that is stored ever changes, so what is remembered is right for ever.
        if indexes.len() >= REMEMBERED {
            indexes.clear();
        }
        indexes.insert(key, Arc::clone(&index));
        Ok(Some(index))
    }

    /// Brings entries of a directory that lie below `inside` to below `to`. Of each pack the bytes from the first to
    /// the last that is wanted are asked for.
    fn fetch_entries(&self, output: &str, entries: &[Entry], inside: &str, to: &Path) -> Result<(), String> {
        let words = |error: io::Error| error.to_string();
        let target = |entry: &Entry| match entry.path.strip_prefix(inside) {
            Some("") => to.to_owned(),
            Some(rest) => to.join(rest.trim_start_matches('/')),
            None => to.join(&entry.path),
        };
        for entry in entries {
            match &entry.kind {
                Kind::Directory => fs::create_dir_all(target(entry)).map_err(words)?,
                Kind::Object(content) => {
                    let key = format!("{output}/{}", entry.path);
                    let came = self.bucket.download(&key, &target(entry), Some(content));
                    let came = came.map_err(|error| error.reason)?;
                    came.ok_or_else(|| format!("{} is not there any more", self.bucket.url(&key)))?;
                    set_executable(&target(entry), entry.executable).map_err(words)?;
                }
                Kind::Packed { .. } => {}
            }
        }
        for (pack, range) in index::ranges(entries) {
            let key = unit_key(output, &format!(".pack-{pack}"));
            let bytes = self.bucket.get_range(&key, range.start, range.end - range.start);
            let bytes = bytes.map_err(|error| error.reason)?.unwrap_or_default();
            for entry in entries {
                let Kind::Packed { pack: of, offset, size } = entry.kind else { continue };
                if of == pack {
                    let at = usize::try_from(offset - range.start).unwrap_or(usize::MAX);
                    let end = at.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
                    let part = bytes.get(at..end);
                    let part = part.ok_or_else(|| format!("{} is damaged", self.bucket.url(&key)))?;
                    fs::write(target(entry), part).map_err(words)?;
                    set_executable(&target(entry), entry.executable).map_err(words)?;
                }
            }
        }
        Ok(())
    }

    /// Brings a directory up: small files in packs, larger ones by themselves, then the index.
    fn keep_directory(&self, output: &str, path: &Path) -> Result<(), String> {
        let mut packer =
            Packer { contents: self, output, index: Index::default(), pack: Vec::new(), packs: 0 };
        packer.directory(path, "", 0)?;
        packer.finish()
    }

    fn put_index(&self, output: &str, mut index: Index) -> Result<(), String> {
        index.sort();
        let bytes = index.write().map_err(|error| error.to_string())?;
        self.bucket.put(&unit_key(output, ".directory"), &bytes).map_err(|error| error.reason)
    }

    /// A key for an output of an attempt, which nothing else has.
    fn output_key(&self, attempt: &AttemptId, name: &str) -> String {
        format!("{}files/{}/{}-{}/{name}", self.prefix, self.term, slug(attempt), nonce())
    }
}

impl Import for S3Contents {
    /// If nobody has brought the same content before.
    fn import(&self, path: &Path) -> Result<String, ContentsError> {
        let failed = |reason: String| ContentsError {
            operation: format!("bring the input {} to {}", path.display(), self.place()),
            reason,
        };
        let digest = sha256(path).map_err(|error| failed(error.to_string()))?;
        let key = format!("{}imports/{digest}", self.prefix);
        let there = self.bucket.head(&key).map_err(|error| failed(error.reason))?;
        if there.is_none() {
            self.bucket.upload(&key, path).map_err(|error| failed(error.to_string()))?;
        }
        Ok(location(&self.bucket, &key))
    }

    fn import_directory(&self, path: &Path) -> Result<String, ContentsError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("directory");
        let output = format!("{}files/imports/{}/{name}", self.prefix, nonce());
        self.keep_directory(&output, path).map_err(|reason| ContentsError {
            operation: format!("bring the input {} to {}", path.display(), self.place()),
            reason,
        })?;
        Ok(location(&self.bucket, &output))
    }
}

impl Contents for S3Contents {
    fn keep(&self, attempt: &AttemptId, path: &Path) -> Result<String, ContentsError> {
        let failed = |reason: String| ContentsError {
            operation: format!("bring the output {} to {}", path.display(), self.place()),
            reason,
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| failed("its name is not UTF-8".to_owned()))?;
        let output = self.output_key(attempt, name);
        if path.is_dir() {
            self.keep_directory(&output, path).map_err(failed)?;
        } else {
            self.bucket.upload(&output, path).map_err(|error| failed(error.reason))?;
        }
        Ok(location(&self.bucket, &output))
    }

    fn update(
        &self,
        attempt: &AttemptId,
        changed: &[(Arc<str>, PathBuf)],
    ) -> Result<Vec<Update>, ContentsError> {
        self.store_updates(attempt, changed)
    }
}

/// The location of a key: a URI, in which what is not plain is escaped.
#[must_use]
pub fn location(bucket: &Bucket, key: &str) -> String {
    let names: Vec<String> = key.split('/').map(uri::encode_name).collect();
    format!("s3://{}/{}", bucket.name(), names.join("/"))
}

/// Bucket and key of a location; `None` if it is none of S3.
#[must_use]
pub fn bucket_and_key(location: &str) -> Option<(&str, String)> {
    let (bucket, key) = location.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty() && !key.is_empty()).then(|| (bucket, uri::decode(key)))
}

/// A directory on its way up.
struct Packer<'a> {
    contents: &'a S3Contents,
    output: &'a str,
    index: Index,
    pack: Vec<u8>,
    packs: u32,
}

impl Packer<'_> {
    fn directory(&mut self, path: &Path, inside: &str, depth: usize) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        if depth > DEPTH_LIMIT {
            return Err(format!("{}: its directories are nested too deeply", path.display()));
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| format!("the name {} in {} is not UTF-8", name.display(), path.display()))?;
            let inside = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            self.entry(&entry.path(), inside, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, inside: String, depth: usize) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        // What a link leads to is part of the output.
        let metadata = fs::metadata(path).map_err(failed)?;
        let executable = metadata.is_file() && metadata.permissions().mode() & 0o100 != 0;
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.len() > SMALL {
            let key = format!("{}/{inside}", self.output);
            Kind::Object(self.contents.bucket.upload(&key, path).map_err(|error| error.reason)?)
        } else {
            let offset = self.pack.len() as u64;
            let size =
                File::open(path).and_then(|mut file| file.read_to_end(&mut self.pack)).map_err(failed)?;
            Kind::Packed { pack: self.packs, offset, size: size as u64 }
        };
        self.index.entries.push(Entry { path: inside.clone(), executable, kind });
        if self.pack.len() >= PACK {
            self.close_pack()?;
        }
        if metadata.is_dir() { self.directory(path, &inside, depth + 1) } else { Ok(()) }
    }

    /// Stores what is left, and then what is in the directory: so it is whole.
    fn finish(mut self) -> Result<(), String> {
        self.close_pack()?;
        self.contents.put_index(self.output, self.index)
    }

    fn close_pack(&mut self) -> Result<(), String> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let key = unit_key(self.output, &format!(".pack-{}", self.packs));
        self.contents.bucket.put(&key, &self.pack).map_err(|error| error.reason)?;
        self.pack.clear();
        self.packs += 1;
        Ok(())
    }
}

/// A key beside an output: in the part that is its attempt's alone.
fn unit_key(output: &str, name: &str) -> String {
    let unit = output.rsplit_once('/').map_or("", |(unit, _)| unit);
    format!("{unit}/{name}")
}

fn bringing(location: &str, to: &Path, reason: String) -> ContentsError {
    ContentsError { operation: format!("bring {location} to {}", to.display()), reason }
}

fn set_executable(path: &Path, executable: bool) -> io::Result<()> {
    if !executable {
        return Ok(());
    }
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o111))
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&buffer[..length]),
        }
    }
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
