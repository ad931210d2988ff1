//! The output directory on the real disk, as the collector sees it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use moil_cwl::error::Error;
use moil_cwl::output_tree::{Kind, Tree, TreeEntry};
use moil_cwl::staging::{StagingEntry, StagingSource};

use crate::files::{is_missing, location_of, path_of};
use crate::place::Place;

/// The output directory of a tool that ran on the host or in a container.
pub(crate) struct HostTree<'a> {
    place: &'a Place,
    /// Links or mounts that were staged, by the paths of this machine, with what links lead to.
    staged: HashMap<PathBuf, PathBuf>,
}

impl<'a> HostTree<'a> {
    /// A tree in which `entries` were staged.
    pub(crate) fn new(place: &'a Place, entries: &[StagingEntry]) -> Self {
        let links = entries.iter().filter(|entry| !entry.writable).filter_map(|entry| match &entry.source {
            StagingSource::Location { location, .. } => {
                Some((place.on_host(&entry.target), path_of(location).unwrap_or_default()))
            }
            StagingSource::Literal(_) | StagingSource::EmptyDirectory => None,
        });
        Self { place, staged: links.collect() }
    }

    fn kind(&self, path: &Path, metadata: &fs::Metadata) -> Result<Kind, Error> {
        let file_type = metadata.file_type();
        // A tool cannot replace what is mounted.
        if self.place.is_container() && self.staged.contains_key(path) {
            return Ok(Kind::Input);
        }
        Ok(if file_type.is_symlink() {
            let target = fs::read_link(path).map_err(|error| failed(path, &error.to_string()))?;
            if self.staged.get(path) == Some(&target) {
                return Ok(Kind::Input);
            }
            let target = target.into_os_string().into_string().map_err(|target| {
                failed(path, &format!("it is a link to {}, which is not UTF-8", target.display()))
            })?;
            Kind::Link { target }
        } else if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_file() {
            Kind::File { size: metadata.len() }
        } else {
            debug_assert!(
                file_type.is_fifo()
                    || file_type.is_socket()
                    || file_type.is_char_device()
                    || file_type.is_block_device()
            );
            Kind::Other
        })
    }
}

impl Tree for HostTree<'_> {
    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, Error> {
        let directory = &*self.place.on_host(directory);
        let is_directory = fs::symlink_metadata(directory).is_ok_and(|metadata| metadata.is_dir());
        if !is_directory {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory).map_err(|error| failed(directory, &error.to_string()))? {
            let entry = entry.map_err(|error| failed(directory, &error.to_string()))?;
            let name = entry.file_name().into_string().map_err(|name| {
                failed(
                    directory,
                    &format!("the tool made a file whose name is not UTF-8: {}", name.display()),
                )
            })?;
            let metadata = match entry.metadata() {
                // It was there a moment ago: the last descendant of the tool is gone, so this is rare.
                Err(error) if is_missing(&error) => continue,
                other => other.map_err(|error| failed(directory, &error.to_string()))?,
            };
            let kind = self.kind(&entry.path(), &metadata)?;
            entries.push(TreeEntry { name, kind });
        }
        Ok(entries)
    }

    fn stat(&self, path: &str) -> Result<Option<Kind>, Error> {
        let path = &*self.place.on_host(path);
        match fs::symlink_metadata(path) {
            Ok(metadata) => self.kind(path, &metadata).map(Some),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed(path, &error.to_string())),
        }
    }
}

fn failed(path: &Path, reason: &str) -> Error {
    let location = location_of(path).unwrap_or_else(|| path.display().to_string());
    Error::File { location, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn kinds_are_told_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "abc").unwrap();
        fs::create_dir(path("directory")).unwrap();
        symlink("file", path("link")).unwrap();
        symlink("/the/input", path("input")).unwrap();
        symlink("/replaced", path("replaced")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let staged = ["input", "replaced"].map(|name| StagingEntry {
            source: StagingSource::Location { location: "file:///the/input".into(), is_directory: false },
            target: path(name).to_str().unwrap().to_owned(),
            writable: false,
        });
        let place = Place::here();
        let tree = HostTree::new(&place, &staged);
        let link = |target: &str| Kind::Link { target: target.to_owned() };
        let expected = [
            ("directory", Kind::Directory),
            ("file", Kind::File { size: 3 }),
            ("input", Kind::Input),
            ("link", link("file")),
            ("replaced", link("/replaced")),
            ("socket", Kind::Other),
        ];
        let mut found: Vec<(String, Kind)> =
            tree.list(dir.path().to_str().unwrap()).unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, expected.clone().map(|(name, kind)| (name.to_owned(), kind)));
        for (name, kind) in expected {
            assert_eq!(tree.stat(path(name).to_str().unwrap()).unwrap(), Some(kind));
        }
        assert_eq!(tree.stat(path("missing").to_str().unwrap()).unwrap(), None);
        assert_eq!(tree.stat(path("file/x").to_str().unwrap()).unwrap(), None);
        assert_eq!(tree.list(path("link").to_str().unwrap()).unwrap(), []);
    }

    #[test]
    fn names_that_are_not_utf8_are_refused_with_the_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
        let error = HostTree::new(&Place::here(), &[]).list(dir.path().to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("not UTF-8: bad\u{fffd}"), "{error}");
    }
}
