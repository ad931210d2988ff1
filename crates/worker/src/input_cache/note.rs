//! What is kept, to the last file: what it was when it came, and whether it still is.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::hex;
use crate::attempt_dir;

/// Changes with every change that others would not understand.
const VERSION: u32 = 1;

/// The content of files up to this size is compared each time, in bytes.
const CHEAP: u64 = 1 << 20;

/// Directories nested deeper than this are not kept.
const DEEPEST: usize = 200;

/// What is known of an entry.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    version: u32,
    /// The start of the machine in which the content was last compared: a power cut may take away what was not on the
    /// disk.
    boot: String,
    /// In the order in which they are made; the first one is the entry itself.
    items: Vec<Item>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    /// Where in the entry; empty for itself.
    path: String,
    /// `None` for a directory.
    file: Option<Content>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// Hexadecimal digits.
    sha256: String,
    executable: bool,
}

/// What became of bringing an entry to where it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Whole,
    Missing,
    /// It is there, and not what it was.
    Damaged,
}

impl Note {
    /// That of what lies at a path now. `None` if it cannot be kept: there is something else in it than files and
    /// directories.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn of(data: &Path) -> io::Result<Option<Self>> {
        let mut note = Self { version: VERSION, boot: boot(), items: Vec::new() };
        Ok(note.add(data, String::new(), 0)?.then_some(note))
    }

    fn add(&mut self, path: &Path, inside: String, depth: usize) -> io::Result<bool> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_file() {
            let content = Content {
                size: metadata.len(),
                modified: modified(&metadata),
                sha256: digest(open(path)?)?,
                executable: metadata.mode() & 0o100 != 0,
            };
            self.items.push(Item { path: inside, file: Some(content) });
            return Ok(true);
        }
        if !metadata.is_dir() || depth > DEEPEST {
            return Ok(false);
        }
        self.items.push(Item { path: inside.clone(), file: None });
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { return Ok(false) };
            let inside = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            if !self.add(&entry.path(), inside, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.items.iter().filter_map(|item| item.file.as_ref()).map(|file| file.size).sum()
    }

    /// Its SHA-256, if it is a file.
    pub(super) fn digest(&self) -> Option<&str> {
        Some(&self.items.first()?.file.as_ref()?.sha256)
    }

    /// Takes the right to write to what is noted.
    pub(super) fn protect(&self, data: &Path) -> io::Result<()> {
        for item in &self.items {
            if let Some(file) = &item.file {
                let mode = if file.executable { 0o555 } else { 0o444 };
                fs::set_permissions(item.below(data), fs::Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_vec(self)?)
    }

    /// `None` if it cannot be read, or leads out of its entry.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut text = Vec::new();
        open(path).ok()?.read_to_end(&mut text).ok()?;
        let note: Self = serde_json::from_slice(&text).ok()?;
        let stays = |item: &Item| {
            item.path.is_empty() || item.path.split('/').all(|name| !matches!(name, "" | "." | ".."))
        };
        (note.version == VERSION && !note.items.is_empty() && note.items.iter().all(stays)).then_some(note)
    }

    /// Whether nobody has links to any of its files but the cache itself.
    pub(super) fn is_unused(&self, data: &Path) -> bool {
        let files = self.items.iter().filter(|item| item.file.is_some());
        files.map(|item| fs::symlink_metadata(item.below(data))).all(|found| {
            // What is not there is used by nobody.
            found.map_or(true, |found| found.nlink() <= 1)
        })
    }
}

impl Item {
    fn below(&self, data: &Path) -> PathBuf {
        if self.path.is_empty() { data.to_owned() } else { data.join(&self.path) }
    }
}

/// Brings an entry to a path that is free, by links or by copying. What is there afterwards is looked at, not what was
/// there before.
pub(super) fn place(entry: &Path, to: &Path, links: bool) -> io::Result<Placed> {
    match fs::symlink_metadata(entry) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Placed::Missing),
        found if !found.as_ref().is_ok_and(Metadata::is_dir) => {
            return found.map(|_| Placed::Damaged);
        }
        _ => {}
    }
    let path = entry.join("note");
    let Some(mut note) = Note::read(&path) else { return Ok(Placed::Damaged) };
    let boot = boot();
    let all = note.boot != boot;
    for item in &note.items {
        let placed = item.place(&entry.join("data"), to, links, all);
        match placed {
            Ok(true) => {}
            Ok(false) => return Ok(Placed::Damaged),
            // Somebody made room, or took away a part.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(if entry.exists() { Placed::Damaged } else { Placed::Missing });
            }
            Err(error) => return Err(error),
        }
    }
    if all {
        note.boot = boot;
        let new = entry.join(attempt_dir::unique("note"));
        note.write(&new).and_then(|()| fs::rename(&new, &path)).or_else(gone)?;
    }
    // What was used last goes last.
    let touched = OpenOptions::new().append(true).custom_flags(libc::O_NOFOLLOW).open(&path);
    touched.and_then(|file| file.set_modified(SystemTime::now())).or_else(gone)?;
    Ok(Placed::Whole)
}

/// Somebody made room meanwhile: what was brought stays.
fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

impl Item {
    /// Whether it is what it was.
    fn place(&self, data: &Path, to: &Path, links: bool, compare: bool) -> io::Result<bool> {
        let (from, to) = (self.below(data), self.below(to));
        let Some(wanted) = &self.file else {
            if !fs::symlink_metadata(&from)?.is_dir() {
                return Ok(false);
            }
            return fs::create_dir(&to).map(|()| true);
        };
        let linked = links && fs::hard_link(&from, &to).is_ok();
        let seen = if linked { fs::symlink_metadata(&to)? } else { fs::symlink_metadata(&from)? };
        if !seen.is_file() || seen.len() != wanted.size || modified(&seen) != wanted.modified {
            return Ok(false);
        }
        if !linked {
            let mut new = OpenOptions::new().write(true).create_new(true).open(&to)?;
            io::copy(&mut open(&from)?, &mut new)?;
            let mode = if wanted.executable { 0o755 } else { 0o644 };
            new.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        if compare || wanted.size <= CHEAP || !linked {
            return Ok(digest(open(&to)?)? == wanted.sha256);
        }
        Ok(true)
    }
}

/// What a link leads to is never read.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}

fn digest(mut file: File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 18];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&chunk[..count]),
        }
    }
}
