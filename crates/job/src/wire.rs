//! Jobs as text, for workers in other processes and on other machines: what the leader writes is read back
//! exactly, places in documents included, so that a job gives the same result and the same messages wherever it
//! runs. It is JSON, in two kinds of texts: a tool, written once for all jobs of a step and named by its hash,
//! and an attempt, which names its tool.
//!
//! The structs of `moil_cwl` are written as they are in memory, which is after inheritance and upgrades: there is
//! no second loader that could understand a document in another way. What no job looks at is left out: labels
//! and documentation, defaults (inputs are complete), own requirements (those in force are there), memo keys. Secrets are
//! never written: inputs hold placeholders, and the values travel beside ([`Secrets`]).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use moil_cwl::inherit::Effective;
use moil_cwl::process::CommandLineTool;
use moil_cwl::value::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::resources::Resources;
use crate::secret::Secrets;
use crate::spec::{Attempt, AttemptId, Job, JobTool};

/// The version of the form. It changes with every change that an older worker would not understand, or that
/// an older leader does not write.
pub const VERSION: u32 = 1;

/// The most bytes that a text may have. Types in types in types can be endless when they are written out.
const MAX_SIZE: usize = 16 << 20;

/// Why a text could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A newer moil wrote it.
    #[error(
        "the {what} was written by a newer moil (form {found}; this one reads form {VERSION}): leader and workers must be of one version"
    )]
    Newer {
        /// What was read.
        what: &'static str,
        /// The version of its form.
        found: u32,
    },
    /// It is not of this form: cut off, or changed.
    #[error("the {what} cannot be read: {reason}")]
    Unreadable {
        /// What was read.
        what: &'static str,
        /// Why not, with the place in the text.
        reason: String,
    },
    /// The text is not that of the tool that the attempt names.
    #[error("the tool {wanted} cannot be used: its text has the hash {found}")]
    OtherTool {
        /// The hash that was asked for.
        wanted: String,
        /// The hash of the text.
        found: String,
    },
    /// It cannot be written: too large, or nested too deeply.
    #[error("the {what} cannot be written: {reason}")]
    Unwritable {
        /// What was to be written.
        what: &'static str,
        /// Why not.
        reason: String,
    },
}

/// A tool as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenTool {
    /// The SHA-256 of the text in hexadecimal: its name.
    pub hash: String,
    /// The text.
    pub text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ToolForm {
    version: u32,
    tool: Arc<CommandLineTool>,
    effective: Arc<Effective>,
    with_siblings: bool,
}

/// An attempt that was read, and still needs its tool and its secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WrittenAttempt {
    version: u32,
    id: AttemptId,
    name: Arc<str>,
    tool: String,
    inputs: Value,
    requested: Resources,
    granted: Resources,
}

/// The tool of a step's jobs as text.
///
/// # Errors
/// [`WireError::Unwritable`].
pub fn write_tool(tool: &JobTool) -> Result<WrittenTool, WireError> {
    let JobTool { tool, effective, with_siblings } = tool;
    let form = ToolForm {
        version: VERSION,
        tool: Arc::clone(tool),
        effective: Arc::clone(effective),
        with_siblings: *with_siblings,
    };
    let text = write("tool", &form)?;
    Ok(WrittenTool { hash: hash(&text), text })
}

/// Reads the tool of this hash. It needs a stack of 2 MiB.
///
/// # Errors
/// The text is another one, or cannot be read.
pub fn read_tool(text: &str, wanted: &str) -> Result<JobTool, WireError> {
    let found = hash(text);
    if found != wanted {
        return Err(WireError::OtherTool { wanted: wanted.to_owned(), found });
    }
    let ToolForm { version: _, tool, effective, with_siblings } = read("tool", text)?;
    Ok(JobTool { tool, effective, with_siblings })
}

/// An attempt as text, without its tool, of which it tells the hash, and without its secrets.
///
/// # Errors
/// [`WireError::Unwritable`].
pub fn write_attempt(attempt: &Attempt, tool: &str) -> Result<String, WireError> {
    let Attempt { id, job, granted, secrets: _ } = attempt;
    // The job's name in the plan is part of the attempt's; its key is between the leader and the journal.
    let Job { id: _, name, tool: _, inputs, requested, key: _ } = &**job;
    let form = WrittenAttempt {
        version: VERSION,
        id: id.clone(),
        name: Arc::clone(name),
        tool: tool.to_owned(),
        inputs: inputs.clone(),
        requested: *requested,
        granted: *granted,
    };
    write("attempt", &form)
}

/// Reads an attempt.
///
/// # Errors
/// It cannot be read, or a newer moil wrote it.
pub fn read_attempt(text: &str) -> Result<WrittenAttempt, WireError> {
    read("attempt", text)
}

impl WrittenAttempt {
    /// Which attempt it is.
    pub fn id(&self) -> &AttemptId {
        &self.id
    }

    /// The hash of the tool that it needs.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The attempt, with what travelled beside.
    pub fn with(self, tool: Arc<JobTool>, secrets: Secrets) -> Attempt {
        let Self { version: _, id, name, tool: _, inputs, requested, granted } = self;
        let job = Job { id: id.job.clone(), name, tool, inputs, requested, key: None };
        Attempt { id, job: Arc::new(job), granted, secrets }
    }
}

/// Secrets as text, for what travels beside an attempt: a pipe, a Secret of Kubernetes.
pub fn write_secrets(secrets: &Secrets) -> Vec<u8> {
    let pairs: BTreeMap<&str, &str> = secrets.iter().collect();
    // A map of texts can always be written.
    serde_json::to_vec(&pairs).unwrap_or_default()
}

/// Reads secrets.
///
/// # Errors
/// They cannot be read. The words do not tell them.
pub fn read_secrets(text: &str) -> Result<Secrets, WireError> {
    let pairs: BTreeMap<Arc<str>, Arc<str>> = parse(text).map_err(|error| WireError::Unreadable {
        what: "secrets",
        reason: format!("not as they were written, at column {}", error.column()),
    })?;
    Ok(pairs.into_iter().collect())
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(what: &'static str, form: &impl Serialize) -> Result<String, WireError> {
    let unwritable = |reason: String| WireError::Unwritable { what, reason };
    let mut text = Bounded(Vec::new());
    serde_json::to_writer(&mut text, form).map_err(|error| unwritable(error.to_string()))?;
    String::from_utf8(text.0).map_err(|error| unwritable(error.to_string()))
}

fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, WireError> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let unreadable = |error: serde_json::Error| WireError::Unreadable { what, reason: error.to_string() };
    let Head { version: found } = parse(text).map_err(unreadable)?;
    if found > VERSION {
        return Err(WireError::Newer { what, found });
    }
    parse(text).map_err(unreadable)
}

/// As deep as it is nested: types are nested deeper than serde_json's own limit allows, but never endlessly.
fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Bytes that may not become too many.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_SIZE {
            return Err(io::Error::other(format!("it takes more than {} MiB", MAX_SIZE >> 20)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
