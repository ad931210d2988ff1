//! The files of an image.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the bytes of a file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of this machine, links followed.
    File(PathBuf),
    /// Bytes in memory.
    Bytes(Vec<u8>),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory {
        /// Permissions.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Permissions.
        mode: u32,
        /// Its bytes.
        source: Source,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
}

/// Directories that are links below `/usr`, as distributions have them. So one file has one name, wherever it was found.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Files by their names, which are relative to the root and sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Nothing but the links of the root into `/usr`.
    pub fn new() -> Self {
        let links = MERGED.map(|name| (name.to_owned(), Entry::Link { target: format!("usr/{name}") }));
        let mut tree = Self(BTreeMap::from(links));
        MERGED.iter().for_each(|name| tree.directory(&format!("usr/{name}"), 0o755));
        tree
    }

    /// An empty tree that is put upon another one.
    pub fn upon() -> Self {
        Self::default()
    }

    /// Puts something in; its parents are made. What is there already stays.
    fn put(&mut self, path: &str, entry: Entry) {
        let path = normal(path);
        for (at, _) in path.match_indices('/') {
            self.0.entry(path[..at].to_owned()).or_insert(Entry::Directory { mode: 0o755 });
        }
        self.0.entry(path).or_insert(entry);
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.put(path, Entry::Directory { mode });
    }

    /// Adds a file of this machine.
    pub fn file(&mut self, path: &str, source: impl Into<PathBuf>, mode: u32) {
        self.put(path, Entry::File { mode, source: Source::File(source.into()) });
    }

    /// Adds a file with these bytes.
    pub fn text(&mut self, path: &str, text: impl Into<Vec<u8>>) {
        self.put(path, Entry::File { mode: 0o644, source: Source::Bytes(text.into()) });
    }

    /// Adds a file with these bytes that everybody may change.
    pub fn writable(&mut self, path: &str, text: impl Into<Vec<u8>>) {
        self.put(path, Entry::File { mode: 0o666, source: Source::Bytes(text.into()) });
    }

    /// Adds a program with these bytes.
    pub fn script(&mut self, path: &str, text: impl Into<Vec<u8>>) {
        self.put(path, Entry::File { mode: 0o755, source: Source::Bytes(text.into()) });
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: impl Into<String>) {
        self.put(path, Entry::Link { target: target.into() });
    }

    /// Whether there is something of this name.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(&normal(path))
    }

    /// All entries, each after its directory.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }
}

/// The name below the root, in the place where the merged directories have it.
fn normal(path: &str) -> String {
    let path = path.trim_start_matches('/');
    match path.split_once('/') {
        Some((first, _)) if MERGED.contains(&first) => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_name() {
        let mut tree = Tree::new();
        tree.text("/bin/sh", "first");
        tree.text("/usr/bin/sh", "second");
        assert!(tree.has("bin/sh") && tree.has("/usr/bin/sh"));
        let found: Vec<_> = tree.entries().filter(|(path, _)| path.ends_with("/sh")).collect();
        let source = Source::Bytes(b"first".to_vec());
        assert_eq!(found, [("usr/bin/sh", &Entry::File { mode: 0o644, source })]);
        assert!(tree.entries().any(|(path, entry)| {
            path == "bin" && *entry == Entry::Link { target: "usr/bin".to_owned() }
        }));
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let mut tree = Tree::upon();
        tree.text("a/b/c", "");
        tree.text("a-b", "");
        tree.directory("tmp", 0o1777);
        let paths: Vec<&str> = tree.entries().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a", "a-b", "a/b", "a/b/c", "tmp"]);
    }
}
