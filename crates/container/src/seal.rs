//! Whether an image is, to the last byte, what was made: its digest is noted beside it once it is there. Reading all of
//! an image takes seconds, so that is done only where its file was written to since, or where somebody asks.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::lock;
use crate::sif::{self, Sif, SifError};
use crate::store::ImageStore;

/// What reading all of an image has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what was made.
    Whole,
    /// It was not made here: its headers are in order, and more is not known.
    Headers,
    /// What is wrong with it.
    Broken(String),
}

/// What is noted of an image.
#[derive(Debug, PartialEq, Eq)]
struct Seal {
    /// [`Sif::id`]: of another image of the same name nothing is noted.
    id: String,
    digest: String,
    size: u64,
    /// Nanoseconds since 1970.
    modified: i128,
}

impl Seal {
    fn print(&self) -> String {
        format!("{} {} {} {}\n", self.id, self.digest, self.size, self.modified)
    }

    /// Half of a note is none.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        Some(Self {
            id: words.next()?.into(),
            digest: words.next()?.into(),
            size: words.next()?.parse().ok()?,
            modified: words.next()?.parse().ok()?,
        })
    }
}

impl ImageStore {
    /// Notes the digest of an image that was just made.
    pub(crate) fn seal(&self, file: &Path, sif: &Sif) -> io::Result<()> {
        let Some(path) = self.seal_path(file) else { return Ok(()) };
        let seal =
            Seal { id: sif.id.clone(), digest: digest(file)?, size: sif.size, modified: modified(file)? };
        write(&path, &seal)
    }

    /// Checks an image against its note, where there is one. It is read only if its file was written to since.
    pub(crate) fn check_seal(&self, file: &Path, sif: &Sif) -> Result<(), SifError> {
        let Some((path, mut seal)) = self.read_seal(file, sif) else { return Ok(()) };
        let now = modified(file)?;
        if seal.size == sif.size && seal.modified == now {
            return Ok(());
        }
        if digest(file)? != seal.digest {
            return Err(SifError::Changed);
        }
        // It was copied, or touched. In a store that cannot be written to it is read again the next time.
        seal.modified = now;
        let _ = write(&path, &seal);
        Ok(())
    }

    /// Reads all of an image.
    pub fn verify(&self, file: &Path) -> Verdict {
        let read = || -> Result<Verdict, SifError> {
            let sif = sif::check(file)?;
            let Some((_, seal)) = self.read_seal(file, &sif) else { return Ok(Verdict::Headers) };
            if digest(file)? == seal.digest { Ok(Verdict::Whole) } else { Err(SifError::Changed) }
        };
        read().unwrap_or_else(|fault| Verdict::Broken(fault.to_string()))
    }

    /// Removes the note of an image that is gone.
    pub(crate) fn remove_seal(&self, file: &Path) -> io::Result<()> {
        match self.seal_path(file).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where the note is; `None` for images in other folders than the store's.
    fn seal_path(&self, file: &Path) -> Option<PathBuf> {
        let name = file.strip_prefix(&self.config().home).ok()?.to_str()?;
        (!name.contains('/')).then(|| self.own().join("digests").join(name))
    }

    fn read_seal(&self, file: &Path, sif: &Sif) -> Option<(PathBuf, Seal)> {
        let path = self.seal_path(file)?;
        let seal = Seal::parse(&fs::read_to_string(&path).ok()?)?;
        (seal.id == sif.id).then_some((path, seal))
    }
}

fn write(path: &Path, seal: &Seal) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    // Images have other names.
    let partial = folder.join(format!(".{}", lock::own_suffix()));
    fs::write(&partial, seal.print())?;
    fs::rename(&partial, path)
}

fn modified(file: &Path) -> io::Result<i128> {
    let metadata = fs::metadata(file)?;
    Ok(i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()))
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 18];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            count => hash.update(&chunk[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_whole_or_none() {
        let seal =
            Seal { id: "12ab".into(), digest: "34cd".into(), size: 5, modified: 1_700_000_000_123_456_789 };
        let text = seal.print();
        assert_eq!(Seal::parse(&text), Some(seal));
        for end in 0..text.len() {
            assert_eq!(Seal::parse(&text[..end]), None, "{end}");
        }
    }
}
