//! Making room: what was fetched for jobs that are over goes, the longest unused first.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moil_cwl::value::Value;

use super::{Downloads, From, Known};

/// A copy that no job needs.
struct Other {
    used: u64,
    bytes: u64,
    from: From,
    location: Arc<str>,
    path: PathBuf,
}

impl Downloads {
    /// Removes what none of these input objects mentions until it has no more than `limit` bytes.
    pub fn make_room(&self, needed: &[&Value], limit: u64) {
        let mut locations: HashSet<Arc<str>> = HashSet::new();
        for value in needed {
            value.visit_files(&mut |item| {
                locations.extend(match item {
                    Value::File(file) => file.location.clone(),
                    Value::Directory(directory) => directory.location.clone(),
                    _ => None,
                });
            });
        }
        let is_needed = |location: &str| {
            // What lies in a directory that is here needs that directory.
            locations.iter().any(|needed| {
                needed.strip_prefix(location).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let mut known = self.known();
        let mut in_use: Vec<PathBuf> = Vec::new();
        let mut others: Vec<Other> = Vec::new();
        for (location, state) in &*known {
            let Known::Here(local) = state else { continue };
            if is_needed(location) {
                in_use.push(local.path.clone());
            } else if let (From::Elsewhere | From::Here, Some(seen)) = (local.from, local.seen) {
                let (location, path) = (Arc::clone(location), local.path.clone());
                others.push(Other { used: local.used, bytes: seen.bytes, from: local.from, location, path });
            }
        }
        // What is needed may be a part of it under another name.
        others.retain(|other| !in_use.iter().any(|path| path.starts_with(&other.path)));
        others.sort_by_key(|other| other.used);
        let mut bytes: u64 = others.iter().map(|other| other.bytes).sum();
        others.retain(|other| {
            let goes = bytes > limit;
            if goes {
                bytes -= other.bytes;
                known.remove(&other.location);
            }
            goes
        });
        drop(known);
        for Other { bytes, from, path, .. } in others {
            // It lies in a directory of its own. What cannot be removed does no harm but that it takes room.
            if let Some(own) = path.parent()
                && fs::remove_dir_all(own).is_ok()
                && from == From::Here
            {
                self.kept.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }
}
