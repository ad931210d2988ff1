//! What the options of all engines have in common: the word for a bind, and what may stand in paths and names.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use crate::invocation::{Bind, InvocationError};

/// The one word `--mount=type=bind,…`: a line of comma-separated values.
pub(crate) fn option(engine: &str, bind: &Bind) -> Result<OsString, InvocationError> {
    let mut line = b"--mount=type=bind".to_vec();
    for (key, path) in [("source=", &bind.source), ("target=", &bind.target)] {
        let path = self::path(engine, path)?;
        let bytes = path.as_os_str().as_bytes();
        // Readers of comma-separated values take a carriage return before a newline for part of the line's end.
        if bytes.windows(2).any(|pair| pair == b"\r\n") || bytes.ends_with(b"\r") {
            return Err(unspeakable(engine, path, "a carriage return before a newline is lost; rename it"));
        }
        line.push(b',');
        field(&mut line, key, bytes);
    }
    if !bind.writable {
        line.extend_from_slice(b",readonly");
    }
    Ok(OsString::from_vec(line))
}

/// Adds a field, in quotation marks where it would otherwise not be one.
fn field(line: &mut Vec<u8>, key: &str, value: &[u8]) {
    if !value.iter().any(|byte| b",\"\n\r".contains(byte)) {
        line.extend_from_slice(key.as_bytes());
        line.extend_from_slice(value);
        return;
    }
    line.push(b'"');
    line.extend_from_slice(key.as_bytes());
    for byte in value {
        line.push(*byte);
        if *byte == b'"' {
            line.push(b'"');
        }
    }
    line.push(b'"');
}

/// Checks what holds for every path. Engines hand what they are told to their helpers as JSON.
pub(crate) fn path<'a>(engine: &str, path: &'a Path) -> Result<&'a Path, InvocationError> {
    if !path.is_absolute() {
        return Err(InvocationError::Relative { path: path.into() });
    }
    if path.to_str().is_none() {
        return Err(unspeakable(engine, path, "it is not UTF-8; rename it"));
    }
    Ok(path)
}

/// Checks the name of a network.
pub(crate) fn network(name: &str) -> Result<&str, InvocationError> {
    if name.is_empty() || name.starts_with('-') || name.contains(',') {
        return Err(InvocationError::Network { name: name.into() });
    }
    Ok(name)
}

pub(crate) fn unspeakable(engine: &str, path: &Path, fault: &'static str) -> InvocationError {
    InvocationError::Path { engine: engine.into(), path: path.into(), fault }
}
