//! The shared libraries that a program loads, by `ldd`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::ApplianceError;

/// One library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Library {
    /// The name under which it is looked for, or its path.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// What `ldd` says of a program, which may be one that loads nothing.
///
/// # Errors
/// There is no `ldd`, or a library is not there.
pub fn of(program: &Path, path: &OsStr) -> Result<Vec<Library>, ApplianceError> {
    let ldd = which::which_in_global("ldd", Some(path)).ok().and_then(|mut found| found.next());
    let ldd = ldd.ok_or(ApplianceError::Missing {
        program: "ldd",
        advice: "it belongs to the C library; a machine with musl cannot make the image",
    })?;
    let command = || format!("ldd {}", program.display());
    let output = Command::new(ldd)
        .arg(program)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| ApplianceError::Command { command: command(), words: error.to_string() })?;
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        // A static program, or a script.
        if format!("{said}{complaint}").contains("not a dynamic executable") {
            return Ok(Vec::new());
        }
        return Err(ApplianceError::Command { command: command(), words: complaint.trim().to_owned() });
    }
    parse(&said).map_err(|library| ApplianceError::Library { program: program.to_owned(), library })
}

/// Reads what `ldd` printed; the error is the name of a library that is not there.
pub fn parse(said: &str) -> Result<Vec<Library>, String> {
    let mut libraries = Vec::new();
    for line in said.lines().map(str::trim) {
        let line = line.rsplit_once(" (0x").map_or(line, |(line, _)| line);
        let (name, path) = line.split_once(" => ").unwrap_or((line, line));
        if path == "not found" {
            return Err(name.to_owned());
        }
        if path.starts_with('/') {
            libraries.push(Library { name: name.to_owned(), path: PathBuf::from(path) });
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ldd_prints_is_understood() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let library = |name: &str, path: &str| Library { name: name.to_owned(), path: path.into() };
        assert_eq!(
            parse(said).unwrap(),
            [
                library("libm.so.6", "/lib/x86_64-linux-gnu/libm.so.6"),
                library("/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
            ]
        );
        assert_eq!(parse("\tlibx.so.1 => not found\n").unwrap_err(), "libx.so.1");
        assert_eq!(parse("\tstatically linked\n").unwrap(), []);
    }

    #[test]
    fn a_program_without_libraries_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert_eq!(of(&script, OsStr::new("/usr/bin:/bin")).unwrap(), []);
    }
}
