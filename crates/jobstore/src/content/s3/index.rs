//! What is in a directory that lies in a bucket.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::s3::transfer::Content;

/// The version of the format. What is newer is refused rather than misread.
const FORMAT: u32 = 1;

/// All that is in a directory, sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// A file or directory in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it lies in the directory, without a `/` at either end.
    pub path: String,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file that is an object of its own.
    Object(Content),
    /// A file in a pack.
    Packed {
        /// The pack's number.
        pack: u32,
        /// Where it begins in the pack, in bytes.
        offset: u64,
        /// Its size in bytes.
        size: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    entries: Vec<Entry>,
}

impl Index {
    /// Brings the entries into the order of their paths.
    pub fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The entry of this path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// All entries that lie in a directory of this path, however deep; all of the index if it is empty.
    #[must_use]
    pub fn below(&self, path: &str) -> &[Entry] {
        if path.is_empty() {
            return &self.entries;
        }
        let prefix = format!("{path}/");
        let begin = self.entries.partition_point(|entry| entry.path < prefix);
        let length = self.entries[begin..].partition_point(|entry| entry.path.starts_with(&prefix));
        &self.entries[begin..begin + length]
    }

    /// The index as it is stored.
    ///
    /// # Errors
    /// Those of the format; there should be none.
    pub fn write(self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Written { format: FORMAT, entries: self.entries })
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// It is no index, or a newer one.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no list of a directory: {error}"))?;
        if written.format != FORMAT {
            return Err(format!("it was written by a newer moil (format {})", written.format));
        }
        let leads_out = |entry: &&Entry| entry.path.split('/').any(|part| matches!(part, "" | "." | ".."));
        match written.entries.iter().find(leads_out) {
            Some(entry) => Err(format!("the path {:?} leads out of the directory", entry.path)),
            None => Ok(Self { entries: written.entries }),
        }
    }
}

/// The bytes of each pack that entries need, from the first to the last; empty files need none.
pub(super) fn ranges(entries: &[Entry]) -> BTreeMap<u32, Range<u64>> {
    let mut ranges: BTreeMap<u32, Range<u64>> = BTreeMap::new();
    for entry in entries {
        if let Kind::Packed { pack, offset, size } = entry.kind {
            let range = ranges.entry(pack).or_insert(offset..offset + size);
            *range = range.start.min(offset)..range.end.max(offset + size);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(path: &str, pack: u32, offset: u64, size: u64) -> Entry {
        Entry { path: path.into(), executable: false, kind: Kind::Packed { pack, offset, size } }
    }

    #[test]
    fn entries_are_found_by_their_paths() {
        let directory = |path: &str| Entry { path: path.into(), executable: false, kind: Kind::Directory };
        let entries = vec![
            packed("a/b", 0, 0, 1),
            directory("a"),
            packed("a.txt", 0, 1, 1),
            packed("ab/c", 0, 2, 1),
            directory("ab"),
        ];
        let mut index = Index { entries };
        index.sort();
        let index = Index::read(&index.write().unwrap()).unwrap();
        assert_eq!(index.find("a/b"), Some(&packed("a/b", 0, 0, 1)));
        assert_eq!(index.find("a/c"), None);
        let paths =
            |path| -> Vec<&str> { index.below(path).iter().map(|entry| entry.path.as_str()).collect() };
        assert_eq!(paths(""), ["a", "a.txt", "a/b", "ab", "ab/c"]);
        assert_eq!(paths("a"), ["a/b"]);
        assert_eq!(paths("a/b"), [""; 0]);
        assert!(Index::read(b"{\"format\": 2, \"entries\": []}").unwrap_err().contains("newer"));
        for bad in ["../x", "/x", "a//b", "a/.."] {
            let index = Index { entries: vec![packed(bad, 0, 0, 1)] };
            assert!(Index::read(&index.write().unwrap()).unwrap_err().contains("leads out"), "{bad}");
        }
    }

    #[test]
    fn ranges_span_what_is_wanted() {
        let entries = [packed("a", 0, 10, 5), packed("b", 0, 30, 1), packed("c", 2, 0, 0)];
        let ranges = ranges(&entries);
        assert_eq!(ranges[&0], 10..31);
        assert_eq!(ranges[&2], 0..0);
    }
}
