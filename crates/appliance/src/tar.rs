//! A tree as a tar archive (POSIX ustar), without times and owners.

use std::fs::File;
use std::io::{self, Write};

use crate::error::ApplianceError;
use crate::tree::{Entry, Source, Tree};

const BLOCK: usize = 512;

/// Writes the archive. Two trees with the same entries give the same bytes.
///
/// # Errors
/// A file cannot be read, or the archive not be written; `writing` names it then.
pub fn write(tree: &Tree, archive: &mut impl Write, writing: &std::path::Path) -> Result<(), ApplianceError> {
    let failed = |source| ApplianceError::write(writing, source);
    for (path, entry) in tree.entries() {
        match entry {
            Entry::Directory { mode } => {
                archive.write_all(&header(&format!("{path}/"), *mode, 0, b'5', "")?).map_err(failed)?;
            }
            Entry::Link { target } => {
                archive.write_all(&header(path, 0o777, 0, b'2', target)?).map_err(failed)?;
            }
            Entry::File { mode, source: Source::Bytes(bytes) } => {
                let header = header(path, *mode, bytes.len() as u64, b'0', "")?;
                archive.write_all(&header).and_then(|()| archive.write_all(bytes)).map_err(failed)?;
                pad(archive, bytes.len() as u64).map_err(failed)?;
            }
            Entry::File { mode, source: Source::File(file) } => {
                let read = |source| ApplianceError::read(file, source);
                let mut bytes = File::open(file).map_err(read)?;
                let size = bytes.metadata().map_err(read)?.len();
                archive.write_all(&header(path, *mode, size, b'0', "")?).map_err(failed)?;
                let copied = copy(&mut bytes, archive, size).map_err(|fault| match fault {
                    Fault::Read(source) => read(source),
                    Fault::Write(source) => failed(source),
                })?;
                if copied != size {
                    return Err(read(io::Error::other("it became shorter while it was read")));
                }
                pad(archive, size).map_err(failed)?;
            }
        }
    }
    archive.write_all(&[0; 2 * BLOCK]).map_err(failed)
}

enum Fault {
    Read(io::Error),
    Write(io::Error),
}

/// Copies as many bytes as the header says, not more.
fn copy(from: &mut impl io::Read, to: &mut impl Write, size: u64) -> Result<u64, Fault> {
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    while copied < size {
        let wanted = usize::try_from(size - copied).unwrap_or(usize::MAX).min(buffer.len());
        match from.read(&mut buffer[..wanted]).map_err(Fault::Read)? {
            0 => break,
            count => {
                to.write_all(&buffer[..count]).map_err(Fault::Write)?;
                copied += count as u64;
            }
        }
    }
    Ok(copied)
}

fn pad(archive: &mut impl Write, size: u64) -> io::Result<()> {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { Ok(()) } else { archive.write_all(&vec![0; BLOCK - over]) }
}

/// One header. Names of up to 255 bytes are split into a prefix and a name.
fn header(path: &str, mode: u32, size: u64, kind: u8, target: &str) -> Result<[u8; BLOCK], ApplianceError> {
    let too_long = |name: &str| ApplianceError::Name { name: name.to_owned() };
    let (prefix, name) = split(path).ok_or_else(|| too_long(path))?;
    if target.len() > 100 || size >= 1 << 33 {
        return Err(too_long(if target.is_empty() { path } else { target }));
    }
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    // The sum is taken with blanks in its own place.
    put(148, b"        ");
    put(156, &[kind]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// Prefix and name; the slash between them is not kept.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100 && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    fn archive(tree: &Tree) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(tree, &mut bytes, Path::new("archive")).unwrap();
        bytes
    }

    /// What the system's tar makes of it.
    fn listed(bytes: &[u8]) -> String {
        let mut tar = Command::new("tar")
            .args(["-tvf", "-", "--numeric-owner", "--utc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn tar_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, vec![b'x'; 1000]).unwrap();
        let mut tree = Tree::upon();
        tree.directory("tmp", 0o1777);
        tree.file("opt/program", &file, 0o755);
        tree.text("opt/text", "words");
        tree.link("opt/link", "text");
        let deep = format!("opt/{}/{}", "d".repeat(90), "n".repeat(90));
        tree.text(&deep, "");
        let bytes = archive(&tree);
        assert_eq!(bytes.len() % BLOCK, 0);
        let lines: Vec<String> = listed(&bytes)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let time = "1970-01-01 00:00";
        assert_eq!(
            lines,
            [
                format!("drwxr-xr-x 0/0 0 {time} opt/"),
                format!("drwxr-xr-x 0/0 0 {time} opt/{}/", "d".repeat(90)),
                format!("-rw-r--r-- 0/0 0 {time} {deep}"),
                format!("lrwxrwxrwx 0/0 0 {time} opt/link -> text"),
                format!("-rwxr-xr-x 0/0 1000 {time} opt/program"),
                format!("-rw-r--r-- 0/0 5 {time} opt/text"),
                format!("drwxrwxrwt 0/0 0 {time} tmp/"),
            ]
        );
        assert_eq!(bytes, archive(&tree));
    }

    #[test]
    fn a_name_that_cannot_be_kept_is_an_error() {
        let mut tree = Tree::upon();
        tree.text(&"n".repeat(101), "");
        let error = write(&tree, &mut Vec::new(), Path::new("archive")).unwrap_err();
        assert!(matches!(error, ApplianceError::Name { .. }), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let mut tree = Tree::upon();
        tree.file("x", "/not/there", 0o644);
        let error = write(&tree, &mut Vec::new(), Path::new("archive")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /not/there");
        assert_eq!(error.cause().unwrap(), "No such file or directory (os error 2)");
    }
}
