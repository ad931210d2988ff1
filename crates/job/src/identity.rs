//! Values as text for memo keys: equal for equal values, with the identity of each file.
//!
//! The identity of a file is fixed by where it comes from. That is found out by whoever keeps the files
//! ([`Origins`]): nothing here touches a disk.

use std::sync::Arc;

use moil_cwl::value::{Directory, File, Value, ValueMap};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::secret::Secrets;
use crate::spec::AttemptId;

/// Tells where files and directories come from.
pub trait Origins {
    /// Where that comes from which lies at a location, and in what state it is. `checksum` is the one that the value
    /// has; it is worth something only if this run computed it for that very location.
    ///
    /// # Errors
    /// Why that cannot be found out, fit to be shown after the location. The job gets no key then.
    fn origin(&self, location: &str, checksum: Option<&str>) -> Result<Origin, String>;
}

/// Where a file or directory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is known by its content, whoever made it: an output of a job with the checksum that was taken when it was
    /// published.
    Content(Arc<str>),
    /// It is an output of a job, or lies in one, whose content was not hashed.
    Attempt {
        /// The attempt that made it.
        attempt: AttemptId,
        /// Where it lies below the attempt's output directory.
        path: String,
    },
    /// It lies on a disk, and is not of this run.
    Local(Local),
    /// It lies on a server.
    Remote {
        /// What changes with the content: the version of an object, its ETag, a date. Without one it can never be
        /// known whether it is the same.
        validator: Option<String>,
    },
}

/// What a disk says of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Local {
    /// A file.
    File {
        /// Size in bytes.
        size: u64,
        /// When its content changed, in nanoseconds since 1970.
        modified: i128,
        /// When anything of it changed; `None` where that says nothing, since we put links to it.
        changed: Option<i128>,
    },
    /// A directory: a digest of all that is in it.
    Directory(Arc<str>),
}

/// A file whose identity is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Where it lies.
    pub location: String,
    /// Why.
    pub reason: String,
}

/// A value as text. The values of secrets stand in it, so it is to be hashed with a key and forgotten.
pub(crate) fn text(value: &Value, secrets: &Secrets, origins: &dyn Origins) -> Result<String, Unknown> {
    let text = Writer { secrets, origins }.value(value, None)?;
    Ok(text.to_string())
}

struct Writer<'a> {
    secrets: &'a Secrets,
    origins: &'a dyn Origins,
}

impl Writer<'_> {
    /// `around` is the location of the directory that the value is listed in: what lies below it is known with it.
    fn value(&self, value: &Value, around: Option<&str>) -> Result<Json, Unknown> {
        Ok(match value {
            Value::Null => Json::Null,
            Value::Bool(value) => json!(value),
            // With its digits, which a tool may see.
            Value::Number(number) => json!({ "number": number.to_json_text() }),
            Value::String(text) => self.string(text),
            Value::List(items) => self.list(items, around)?,
            Value::Map(entries) => json!({ "map": self.map(entries)? }),
            Value::File(file) => json!({ "file": self.file(file, around)? }),
            Value::Directory(directory) => json!({ "directory": self.directory(directory, around)? }),
        })
    }

    fn string(&self, text: &str) -> Json {
        json!(self.secrets.reveal(text))
    }

    fn list(&self, items: &[Value], around: Option<&str>) -> Result<Json, Unknown> {
        let items: Result<Vec<Json>, Unknown> = items.iter().map(|item| self.value(item, around)).collect();
        items.map(Json::Array)
    }

    /// In their order, which expressions see.
    fn map(&self, entries: &ValueMap) -> Result<Json, Unknown> {
        let entries: Result<Vec<Json>, Unknown> =
            entries.iter().map(|(name, item)| Ok(json!([name, self.value(item, None)?]))).collect();
        entries.map(Json::Array)
    }

    fn file(&self, file: &File, around: Option<&str>) -> Result<Json, Unknown> {
        let File {
            location,
            basename,
            checksum,
            size,
            secondary_files,
            has_secondary_files,
            format,
            contents,
            path: _,
            extra,
        } = file;
        let mut fields = Fields::default();
        fields.add("basename", basename.as_ref().map(|name| json!(name)));
        fields.add("checksum", checksum.as_ref().map(|checksum| json!(checksum)));
        fields.add("size", size.map(|size| json!(size)));
        fields.add("format", format.as_ref().map(|format| json!(format)));
        fields.add("contents", contents.as_ref().map(|contents| self.string(contents)));
        if *has_secondary_files || !secondary_files.is_empty() {
            fields.add("secondaryFiles", Some(self.list(secondary_files, around)?));
        }
        fields.add("extra", self.extra(extra)?);
        fields.add("origin", self.origin(location.as_deref(), checksum.as_deref(), around)?);
        Ok(fields.0.into())
    }

    fn directory(&self, directory: &Directory, around: Option<&str>) -> Result<Json, Unknown> {
        let Directory { location, basename, listing, path: _, extra } = directory;
        let mut fields = Fields::default();
        fields.add("basename", basename.as_ref().map(|name| json!(name)));
        if let Some(listing) = listing {
            fields.add("listing", Some(self.list(listing, location.as_deref().or(around))?));
        }
        fields.add("extra", self.extra(extra)?);
        fields.add("origin", self.origin(location.as_deref(), None, around)?);
        Ok(fields.0.into())
    }

    fn extra(&self, extra: &ValueMap) -> Result<Option<Json>, Unknown> {
        if extra.is_empty() { Ok(None) } else { self.map(extra).map(Some) }
    }

    /// A literal comes from nowhere.
    fn origin(
        &self,
        location: Option<&str>,
        checksum: Option<&str>,
        around: Option<&str>,
    ) -> Result<Option<Json>, Unknown> {
        let Some(location) = location else { return Ok(None) };
        if around.is_some_and(|around| is_below(location, around)) {
            return Ok(None);
        }
        let unknown = |reason: String| Unknown { location: location.to_owned(), reason };
        Ok(Some(match self.origins.origin(location, checksum).map_err(unknown)? {
            Origin::Content(checksum) => json!({ "content": checksum }),
            Origin::Attempt { attempt, path } => {
                json!({ "job": attempt.job.0, "attempt": attempt.number, "path": path })
            }
            Origin::Local(local) => json!({ "location": location, "local": self::local(&local) }),
            Origin::Remote { validator: Some(validator) } => {
                json!({ "location": location, "validator": validator })
            }
            Origin::Remote { validator: None } => {
                return Err(unknown("its server tells nothing that would change with it".to_owned()));
            }
        }))
    }
}

fn is_below(location: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    location.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn local(local: &Local) -> Json {
    match local {
        Local::File { size, modified, changed } => {
            json!([size, modified.to_string(), changed.map(|changed| changed.to_string())])
        }
        Local::Directory(digest) => json!(digest),
    }
}

#[derive(Default)]
struct Fields(serde_json::Map<String, Json>);

impl Fields {
    fn add(&mut self, name: &str, value: Option<Json>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }
}
