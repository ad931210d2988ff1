//! New versions of what attempts changed in place (InplaceUpdateRequirement).
//!
//! Nothing that is stored is ever changed: whoever works for an attempt that was given up cannot spoil what the next one
//! made. A new version lies under a key of its own attempt. What did not change in a directory is copied within the
//! service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_job::contents::ContentsError;
use moil_job::spec::AttemptId;
use moil_job::update::Update;

use super::copies::Source;
use super::index::{Entry, Kind};
use super::{Named, Packer, S3Contents, location};

/// What changed in an output: where in it, empty for all of it, and what is there now.
type Parts<'a> = BTreeMap<String, &'a Path>;

impl S3Contents {
    pub(super) fn store_updates(
        &self,
        attempt: &AttemptId,
        changed: &[(Arc<str>, PathBuf)],
    ) -> Result<Vec<Update>, ContentsError> {
        let mut outputs: BTreeMap<String, Parts<'_>> = BTreeMap::new();
        for (location, path) in changed {
            if let Ok(Named { output, inside }) = self.named(location)
                && self.is_made(&output)
            {
                outputs.entry(output).or_default().insert(inside, path);
            }
        }
        let mut updates = Vec::new();
        for (output, parts) in outputs {
            updates.push(self.update_output(attempt, &output, parts).map_err(|reason| ContentsError {
                operation: format!("store the new version of {}", self.bucket.url(&output)),
                reason,
            })?);
        }
        Ok(updates)
    }

    /// Whether an output is that of an attempt: inputs stay what they were.
    fn is_made(&self, output: &str) -> bool {
        let below = output.strip_prefix(&self.prefix).and_then(|below| below.strip_prefix("files/"));
        below.is_some_and(|below| !below.starts_with("imports/"))
    }

    fn update_output(
        &self,
        attempt: &AttemptId,
        output: &str,
        mut parts: Parts<'_>,
    ) -> Result<Update, String> {
        let name = output.rsplit('/').next().unwrap_or(output);
        let mut now = output.to_owned();
        let mut content = None;
        if let Some(whole) = parts.remove("") {
            now = self.output_key(attempt, name);
            if whole.is_dir() {
                self.keep_directory(&now, whole)?;
            } else {
                content = Some(self.bucket.upload(&now, whole).map_err(|error| error.reason)?);
            }
        }
        if !parts.is_empty() {
            let new = self.output_key(attempt, name);
            self.replace_in_directory(&now, &new, &parts)?;
            now = new;
        }
        Ok(Update {
            from: location(&self.bucket, output).into(),
            to: location(&self.bucket, &now).into(),
            size: content.as_ref().map(|content| content.size),
            checksum: content.map(|content| content.checksum.into()),
        })
    }

    /// Stores a directory that is another one but for some parts.
    fn replace_in_directory(&self, old: &str, new: &str, parts: &Parts<'_>) -> Result<(), String> {
        let index = self.index(old)?;
        let is_replaced = |entry: &&Entry| {
            let mut parts = parts.keys();
            parts.any(|part| {
                entry.path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let kept: Vec<Entry> = index.entries.iter().filter(|entry| !is_replaced(entry)).cloned().collect();
        let source = Source { contents: self, output: old, inside: "" };
        let index = self.copy_entries(&source, &kept, new)?;
        let last = kept.iter().filter_map(|entry| match entry.kind {
            Kind::Packed { pack, .. } => Some(pack),
            Kind::Directory | Kind::Object(_) => None,
        });
        let next = last.max().map_or(0, |last| last + 1);
        let mut packer = Packer { contents: self, output: new, index, pack: Vec::new(), packs: next };
        for (inside, path) in parts {
            packer.entry(path, inside.clone(), 0)?;
        }
        packer.finish()
    }
}
