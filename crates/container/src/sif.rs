//! Whether a SIF file is whole, from its headers: the places of its parts must lie within the file, and the root
//! file system must be as long as it says. (The Singularity Image Format, version 1.)

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use thiserror::Error;

/// What is known of a whole image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sif {
    /// The identity that its maker gave it, in hexadecimal digits: another conversion has another.
    pub id: String,
    /// The file's size in bytes.
    pub size: u64,
    /// Where the root file system begins, in bytes.
    pub root: u64,
}

/// Why a file is not a whole image.
#[derive(Debug, Error)]
pub enum SifError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else, or empty.
    #[error("it is not a SIF file")]
    NotSif,
    /// It ends too soon.
    #[error("it has {size} bytes and should have at least {least}: it was cut off")]
    CutOff {
        /// Its size.
        size: u64,
        /// What its headers speak of.
        least: u64,
    },
    /// Its bytes are others than those that were made.
    #[error("its contents are not those that were made: they were changed or damaged")]
    Changed,
    /// There is no root file system in it, or not of a kind that we know.
    #[error("it has no readable root file system")]
    NoRoot,
}

const MAGIC: &[u8] = b"SIF_MAGIC\0";
const HEADER: usize = 128;
const DESCRIPTOR: usize = 585;
/// The most descriptors that are looked at; images have a handful.
const MOST_DESCRIPTORS: u64 = 4096;
/// The kind of descriptor that is a file system.
const PARTITION: i32 = 0x4004;
/// The use of a file system that is the container's root.
const PRIMARY_SYSTEM: i32 = 2;
const SQUASHFS: i32 = 1;

/// Looks at a file's headers, some kilobytes of it.
///
/// # Errors
/// It is not there, or not whole.
pub fn check(path: &Path) -> Result<Sif, SifError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SifError::NotSif);
    }
    let size = metadata.len();
    let read = |offset: u64, bytes: &mut [u8]| -> Result<(), SifError> {
        let least = offset.saturating_add(bytes.len() as u64);
        if least > size {
            return Err(SifError::CutOff { size, least });
        }
        Ok(file.read_exact_at(bytes, offset)?)
    };
    if size < HEADER as u64 {
        return Err(SifError::NotSif);
    }
    let mut header = [0; HEADER];
    read(0, &mut header)?;
    if &header[32..42] != MAGIC {
        return Err(SifError::NotSif);
    }
    let id = header[48..64].iter().map(|byte| format!("{byte:02x}")).collect();
    let (total, offset) = (number(&header, 88), number(&header, 96));
    let least = number(&header, 112).saturating_add(number(&header, 120));
    if least > size {
        return Err(SifError::CutOff { size, least });
    }
    let mut root = None;
    for index in 0..total.min(MOST_DESCRIPTORS) {
        let mut descriptor = [0; DESCRIPTOR];
        read(offset.saturating_add(index * DESCRIPTOR as u64), &mut descriptor)?;
        // Not in use.
        if descriptor[4] == 0 {
            continue;
        }
        let (at, length) = (number(&descriptor, 17), number(&descriptor, 25));
        let least = at.saturating_add(length);
        if least > size {
            return Err(SifError::CutOff { size, least });
        }
        let extra = &descriptor[201..];
        if word(&descriptor, 0) == PARTITION && word(extra, 4) == PRIMARY_SYSTEM {
            if word(extra, 0) == SQUASHFS {
                check_squashfs(&read, at, length)?;
            }
            root = Some(at);
        }
    }
    let root = root.ok_or(SifError::NoRoot)?;
    Ok(Sif { id, size, root })
}

/// The file system's own header says how long it is.
fn check_squashfs(
    read: &impl Fn(u64, &mut [u8]) -> Result<(), SifError>,
    at: u64,
    length: u64,
) -> Result<(), SifError> {
    let mut header = [0; 96];
    read(at, &mut header)?;
    if &header[..4] != b"hsqs" || number(&header, 40) > length {
        return Err(SifError::NoRoot);
    }
    Ok(())
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn word(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_le_bytes)
}
