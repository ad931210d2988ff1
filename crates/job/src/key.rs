//! Memo keys: what decides a job's result, hashed part by part.
//!
//! The parts of a key, by their names:
//!
//! | part | what it is |
//! |---|---|
//! | `tool` | the tool as [`moil_cwl::canonical`] writes it, with the version of CWL |
//! | a class, such as `EnvVarRequirement` | a requirement or hint in force |
//! | `input NAME` | an input, with the identity of each file ([`crate::identity`]) |
//! | `InitialWorkDirRequirement file N` | a file or directory that the document itself puts into the output directory |
//! | `resources` | what was asked for, never what was granted |
//! | `image` | the container image |
//! | `network` | whether the tool may use the network |
//! | an option | an option of the run that decides, too |
//!
//! They are kept, so that it can be told why a job runs again.

use hmac::{Hmac, KeyInit, Mac};
use moil_cwl::canonical;
use moil_cwl::value::Value;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::identity::{self, Origins};
use crate::resources::Resources;
use crate::secret::Secrets;
use crate::spec::JobTool;

/// A job's memo key with its parts, kept so that a changed key can be explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The hash of all parts, in hexadecimal.
    pub hash: String,
    /// The name and hash of each part, in order.
    pub parts: Vec<(String, String)>,
}

/// The part of a job's key that all jobs of a step share.
#[derive(Clone, Debug)]
pub struct ToolKey {
    parts: Vec<(String, String)>,
    /// Files and directories that the document itself names.
    files: Vec<Value>,
}

/// What decides a job's result beside its tool.
#[derive(Clone, Copy, Debug)]
pub struct JobFacts<'a> {
    /// The complete input object, with placeholders.
    pub inputs: &'a Value,
    /// The values of the placeholders: a key depends on them, and not on how they are hidden.
    pub secrets: &'a Secrets,
    /// What the document asks for.
    pub requested: Resources,
    /// WorkReuse in force, evaluated ([`moil_cwl::limits::work_reuse`]).
    pub reuse: bool,
    /// NetworkAccess in force, evaluated ([`moil_cwl::limits::network`]).
    pub network: bool,
    /// The digest of the image, or where none is known what the document says of it ([`canonical::image`]), or the
    /// name that an option gives; `None` where the tool runs without a container.
    pub image: Option<&'a str>,
    /// Names and values of options that decide, each a part of its own. Options that only say where, how fast and
    /// how often a job runs are not among them.
    pub options: &'a [(String, String)],
}

/// Why the result of a job can never be used again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoKey {
    /// WorkReuse is off.
    #[error("WorkReuse says that its result must not be used again")]
    WorkReuse,
    /// InplaceUpdateRequirement is in force.
    #[error("it may change its inputs in place (InplaceUpdateRequirement)")]
    InplaceUpdate,
    /// It is not known what an input is.
    #[error("{part}: {location}: {reason}")]
    File {
        /// The part of the key that it would be in.
        part: String,
        /// Where the file lies.
        location: String,
        /// Why not.
        reason: String,
    },
    /// The tool has types in types without end.
    #[error("its types are too many to be compared")]
    TooManyTypes,
}

/// Makes keys with the secret of a run or cache: keyed, so that a key tells nothing about secret inputs.
pub struct Keys {
    mac: Hmac<Sha256>,
}

impl Keys {
    /// Keys under a secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        Self { mac }
    }

    /// The key of a job from the named parts of what decides its result, each in canonical form.
    pub fn key(&self, parts: &[(&str, &str)]) -> Key {
        let parts: Vec<(String, String)> =
            parts.iter().map(|(name, text)| ((*name).to_owned(), self.hash(&[text]))).collect();
        self.whole(parts)
    }

    /// The part of keys that depends on the tool alone: made once for all jobs of a step.
    ///
    /// # Errors
    /// Why its jobs have no keys.
    pub fn tool(&self, tool: &JobTool) -> Result<ToolKey, NoKey> {
        let JobTool { tool, effective, with_siblings } = tool;
        if effective.inplace_update {
            return Err(NoKey::InplaceUpdate);
        }
        let text = canonical::tool(tool).ok_or(NoKey::TooManyTypes)?;
        let siblings = if *with_siblings { "with siblings" } else { "" };
        let mut parts = vec![("tool".to_owned(), self.hash(&[&text, siblings]))];
        for (class, text) in canonical::requirements(effective) {
            parts.push((class.to_owned(), self.hash(&[&text])));
        }
        let files = canonical::named_files(effective).into_iter().cloned().collect();
        Ok(ToolKey { parts, files })
    }

    /// The key of a job.
    ///
    /// # Errors
    /// Why it has none.
    pub fn job(&self, tool: &ToolKey, facts: &JobFacts<'_>, origins: &dyn Origins) -> Result<Key, NoKey> {
        let JobFacts { inputs, secrets, requested, reuse, network, image, options } = *facts;
        if !reuse {
            return Err(NoKey::WorkReuse);
        }
        let mut parts = tool.parts.clone();
        let mut add = |name: String, value: &Value| match identity::text(value, secrets, origins) {
            Ok(text) => {
                parts.push((name, self.hash(&[&text])));
                Ok(())
            }
            Err(identity::Unknown { location, reason }) => Err(NoKey::File { part: name, location, reason }),
        };
        for (name, value) in inputs.as_map().into_iter().flatten() {
            add(format!("input {name}"), value)?;
        }
        for (index, value) in tool.files.iter().enumerate() {
            add(format!("InitialWorkDirRequirement file {}", index + 1), value)?;
        }
        let Resources { cores, ram_mib, tmpdir_mib, outdir_mib, gpus } = requested;
        let resources = format!("{cores} {ram_mib} {tmpdir_mib} {outdir_mib} {gpus}");
        let network = if network { "yes" } else { "no" };
        let fixed = [("resources", resources.as_str()), ("network", network)];
        let image = image.map(|image| ("image", image));
        let options = options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, text) in fixed.into_iter().chain(image).chain(options) {
            parts.push((name.to_owned(), self.hash(&[text])));
        }
        Ok(self.whole(parts))
    }

    /// The name of an evaluation: of texts that decide it, and of the values that it sees, with where their files
    /// lie: what it gave may name them.
    ///
    /// # Errors
    /// Why it has none.
    pub fn evaluation(
        &self,
        texts: &[&str],
        values: &Value,
        secrets: &Secrets,
        origins: &dyn Origins,
    ) -> Result<String, NoKey> {
        let unnamed =
            |location: String, reason: String| NoKey::File { part: "values".to_owned(), location, reason };
        let known = identity::text(values, secrets, origins)
            .map_err(|identity::Unknown { location, reason }| unnamed(location, reason))?;
        let written =
            serde_json::to_string(values).map_err(|error| unnamed(String::new(), error.to_string()))?;
        let pieces: Vec<&str> = texts.iter().copied().chain([known.as_str(), written.as_str()]).collect();
        Ok(self.hash(&pieces))
    }

    fn whole(&self, parts: Vec<(String, String)>) -> Key {
        let flat: Vec<&str> = parts.iter().flat_map(|(name, hash)| [name.as_str(), hash.as_str()]).collect();
        Key { hash: self.hash(&flat), parts }
    }

    /// Hashes pieces with their lengths, so that no two lists of pieces look alike.
    fn hash(&self, pieces: &[&str]) -> String {
        let mut mac = self.mac.clone();
        for piece in pieces {
            mac.update(&(piece.len() as u64).to_le_bytes());
            mac.update(piece.as_bytes());
        }
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Key {
    /// The names of the parts in which this key differs from another, those that only one has included.
    pub fn differences<'a>(&'a self, other: &'a Key) -> Vec<&'a str> {
        let changed = self.parts.iter().filter(|part| !other.parts.contains(part));
        let gone = other.parts.iter().filter(|(name, _)| self.parts.iter().all(|(n, _)| n != name));
        changed.chain(gone).map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_give_equal_keys() {
        let keys = Keys::new(&[7; 32]);
        assert_eq!(keys.key(&[("tool", "a"), ("inputs", "b")]), keys.key(&[("tool", "a"), ("inputs", "b")]));
    }

    #[test]
    fn a_changed_part_is_named() {
        let keys = Keys::new(&[7; 32]);
        let (old, new) =
            (keys.key(&[("tool", "a"), ("inputs", "b")]), keys.key(&[("tool", "a"), ("inputs", "c")]));
        assert_ne!(old.hash, new.hash);
        assert_eq!(new.differences(&old), ["inputs"]);
    }

    #[test]
    fn the_secret_matters() {
        let part = [("tool", "a")];
        assert_ne!(Keys::new(&[1; 32]).key(&part).hash, Keys::new(&[2; 32]).key(&part).hash);
    }

    #[test]
    fn moving_text_between_parts_changes_the_key() {
        let keys = Keys::new(&[7; 32]);
        assert_ne!(keys.key(&[("a", "xy"), ("b", "z")]).hash, keys.key(&[("a", "x"), ("b", "yz")]).hash);
    }
}
