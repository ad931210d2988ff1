//! Files on this machine, by `file:` URIs.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use moil_cwl::error::Error;
use moil_cwl::files::{Entry, Stat};
use moil_cwl::location;

pub(super) fn text(uri: &str) -> Result<String, String> {
    let path = path(uri).map_err(|error| error.to_string())?;
    let file = fs::File::open(path).map_err(|error| words(&error))?;
    let mut bytes = Vec::new();
    file.take(super::DOCUMENT_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| words(&error))?;
    if bytes.len() as u64 > super::DOCUMENT_LIMIT {
        return Err(format!("more than {} MiB are no document", super::DOCUMENT_LIMIT >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        format!(
            "not UTF-8: byte {:#04x} at offset {}",
            error.as_bytes()[error.utf8_error().valid_up_to()],
            error.utf8_error().valid_up_to()
        )
    })
}

/// Whether it is there, and neither file nor directory.
pub(super) fn is_pipe(uri: &str) -> bool {
    let metadata = path(uri).ok().and_then(|path| fs::metadata(path).ok());
    metadata.is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

pub(super) fn exists(uri: &str) -> bool {
    path(uri).is_ok_and(|path| path.exists())
}

pub(super) fn stat(uri: &str) -> Result<Option<Stat>, Error> {
    match fs::metadata(path(uri)?) {
        Ok(metadata) => Ok(Some(stat_of(&metadata))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(failed(uri, &error)),
    }
}

pub(super) fn read_prefix(uri: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let file = fs::File::open(path(uri)?).map_err(|error| failed(uri, &error))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|error| failed(uri, &error))?;
    Ok(bytes)
}

pub(super) fn list(uri: &str) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path(uri)?).map_err(|error| failed(uri, &error))? {
        let entry = entry.map_err(|error| failed(uri, &error))?;
        let name = entry.file_name().into_string().map_err(|name| Error::File {
            location: uri.to_owned(),
            reason: format!("the name {} in it is not UTF-8", name.display()),
        })?;
        // Links are followed: what they lead to is what is there.
        let metadata = fs::metadata(entry.path()).map_err(|error| failed(uri, &error))?;
        entries.push(Entry { location: location::child(uri, &name), name, stat: stat_of(&metadata) });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn path(uri: &str) -> Result<PathBuf, Error> {
    location::file_path(uri).map(PathBuf::from).ok_or_else(|| super::unknown(uri))
}

fn stat_of(metadata: &fs::Metadata) -> Stat {
    let is_directory = metadata.is_dir();
    Stat { is_directory, size: if is_directory { 0 } else { metadata.len() } }
}

fn failed(uri: &str, error: &io::Error) -> Error {
    Error::File { location: uri.to_owned(), reason: words(error) }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_without_end_are_refused() {
        assert_eq!(text("file:///dev/zero"), Err("more than 256 MiB are no document".to_owned()));
    }
}
