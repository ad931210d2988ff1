//! Which container engine a machine has: Apptainer, SingularityCE or Singularity 3, and what its version can do.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use thiserror::Error;

/// Whose engine it is; all three answer to the name `singularity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Apptainer, from 1.0.
    Apptainer,
    /// SingularityCE, from 3.8, and SingularityPRO.
    SingularityCe,
    /// Singularity of before the two parted ways, up to 3.8.
    Singularity,
}

/// Major, minor and patch; what is not given is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// An engine that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The program, absolute.
    pub program: PathBuf,
    /// Whose it is.
    pub flavour: Flavour,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavour {
            Flavour::Apptainer => "Apptainer",
            Flavour::SingularityCe => "SingularityCE",
            Flavour::Singularity => "Singularity",
        };
        write!(f, "{name} {}", self.version)
    }
}

impl Engine {
    /// What is first in Apptainer `apptainer`, and in the two others `singularity`.
    fn since(&self, apptainer: Version, singularity: Version) -> bool {
        let least = if self.flavour == Flavour::Apptainer { apptainer } else { singularity };
        self.version >= least
    }

    /// `run` heeds the image's entry point and takes `--no-eval`, so that neither arguments nor variables are
    /// looked at by a shell.
    pub fn has_no_eval(&self) -> bool {
        self.since(Version(1, 1, 0), Version(3, 10, 0))
    }

    /// `--mount`, which can express any path but few.
    pub fn has_mount(&self) -> bool {
        self.since(Version(1, 0, 0), Version(3, 9, 0))
    }

    /// `--home HOST:CONTAINER`.
    pub fn has_home(&self) -> bool {
        self.since(Version(1, 0, 0), Version(3, 1, 0))
    }

    /// One bind may lie inside another. Older engines need such files copied to where they belong.
    pub fn has_nested_binds(&self) -> bool {
        self.since(Version(1, 0, 0), Version(3, 4, 0))
    }

    /// What the names of the engine's own variables begin with.
    pub fn variable_prefix(&self) -> &'static str {
        if self.flavour == Flavour::Apptainer { "APPTAINER" } else { "SINGULARITY" }
    }
}

/// Why there is no engine.
#[derive(Debug, Error)]
pub enum DetectError {
    /// Neither name is in PATH.
    #[error("neither apptainer nor singularity is in PATH")]
    NotFound,
    /// The program could not be started.
    #[error("{} cannot be started: {error}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// What `--version` says is not understood.
    #[error("{} --version says {said:?}, which names no version of Apptainer or Singularity", program.display())]
    NotUnderstood {
        /// The program.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// An engine of before images were SIF files.
    #[error("{} is Singularity {version}; version 3.0 or newer, or Apptainer, is needed", program.display())]
    TooOld {
        /// The program.
        program: PathBuf,
        /// Its version.
        version: Version,
    },
}

/// Finds an engine in these folders (the value of `PATH`), Apptainer under its own name first, and asks it for its
/// version. The engine gets `environment` and nothing else.
///
/// # Errors
/// None is there, or it is of no use.
pub fn detect(path: &OsStr, environment: &[(OsString, OsString)]) -> Result<Engine, DetectError> {
    let program = ["apptainer", "singularity"]
        .into_iter()
        .find_map(|name| which::which_in_global(name, Some(path)).ok()?.next())
        .ok_or(DetectError::NotFound)?;
    let output = Command::new(&program)
        .arg("--version")
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| DetectError::Start { program: program.clone(), error })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match parse(&said) {
        Some((_, version)) if version < Version(1, 0, 0) => Err(DetectError::NotUnderstood { program, said }),
        Some((flavour, version)) if flavour != Flavour::Apptainer && version < Version(3, 0, 0) => {
            Err(DetectError::TooOld { program, version })
        }
        Some((flavour, version)) => Ok(Engine { program, flavour, version }),
        None => Err(DetectError::NotUnderstood { program, said }),
    }
}

/// What `--version` says: a name, the word `version` and the number. Singularity 2 gives the number alone.
pub fn parse(said: &str) -> Option<(Flavour, Version)> {
    let (name, number) = said.split_once(" version ").unwrap_or(("singularity", said));
    let flavour = match name.trim() {
        "apptainer" => Flavour::Apptainer,
        "singularity-ce" | "singularity-pro" | "SingularityCE" | "SingularityPRO" => Flavour::SingularityCe,
        "singularity" => Flavour::Singularity,
        _ => return None,
    };
    let number = number.trim();
    let number = number.strip_prefix('v').unwrap_or(number);
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let mut parts = number[..end].split('.').map(str::parse);
    let major = parts.next()?.ok()?;
    let mut next = || parts.next().and_then(Result::ok).unwrap_or(0);
    Some((flavour, Version(major, next(), next())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::test_program::write_program;

    #[test]
    fn version_lines_of_real_engines_are_understood() {
        use Flavour::{Apptainer, Singularity, SingularityCe};
        for (said, expected) in [
            ("apptainer version 1.4.5", Some((Apptainer, Version(1, 4, 5)))),
            ("apptainer version 1.3.4-1.el9", Some((Apptainer, Version(1, 3, 4)))),
            ("apptainer version 1.2.0-rc.1+32-g8c1b4bc2c", Some((Apptainer, Version(1, 2, 0)))),
            ("singularity-ce version 4.1.2-jammy", Some((SingularityCe, Version(4, 1, 2)))),
            ("singularity-ce version 3.10", Some((SingularityCe, Version(3, 10, 0)))),
            ("SingularityPRO version 3.9-9.el8", Some((SingularityCe, Version(3, 9, 0)))),
            ("singularity version 3.8.7", Some((Singularity, Version(3, 8, 7)))),
            ("singularity version 3.5.3-1.1.el7", Some((Singularity, Version(3, 5, 3)))),
            ("singularity version v3.7.0", Some((Singularity, Version(3, 7, 0)))),
            ("2.6.1-dist", Some((Singularity, Version(2, 6, 1)))),
            ("Docker version 20.10.24+dfsg1, build 297e128", None),
            ("", None),
        ] {
            assert_eq!(parse(said), expected, "{said}");
        }
    }

    #[test]
    fn features_follow_the_version() {
        let engine = |flavour, version| Engine { program: "/e".into(), flavour, version };
        let features = |engine: Engine| {
            (engine.has_no_eval(), engine.has_mount(), engine.has_nested_binds(), engine.has_home())
        };
        for (flavour, version, expected) in [
            (Flavour::Apptainer, Version(1, 0, 3), (false, true, true, true)),
            (Flavour::Apptainer, Version(1, 1, 0), (true, true, true, true)),
            (Flavour::SingularityCe, Version(3, 9, 9), (false, true, true, true)),
            (Flavour::SingularityCe, Version(3, 10, 0), (true, true, true, true)),
            (Flavour::Singularity, Version(3, 8, 7), (false, false, true, true)),
            (Flavour::Singularity, Version(3, 3, 0), (false, false, false, true)),
            (Flavour::Singularity, Version(3, 0, 3), (false, false, false, false)),
        ] {
            assert_eq!(features(engine(flavour, version)), expected, "{flavour:?} {version}");
        }
    }

    fn program(folder: &Path, name: &str, script: &str) {
        write_program(&folder.join(name), &format!("#!/bin/sh\n{script}\n"));
    }

    #[test]
    fn apptainer_is_preferred_and_others_are_judged() {
        let folder = tempfile::tempdir().unwrap();
        let found = || detect(folder.path().as_os_str(), &[]);
        assert!(matches!(found(), Err(DetectError::NotFound)));
        program(folder.path(), "singularity", "echo 2.6.1-dist");
        assert!(matches!(found(), Err(DetectError::TooOld { .. })));
        program(folder.path(), "singularity", "echo something else");
        assert!(matches!(found(), Err(DetectError::NotUnderstood { .. })));
        program(folder.path(), "singularity", "echo singularity version 3.8.7");
        assert_eq!(found().unwrap().to_string(), "Singularity 3.8.7");
        program(folder.path(), "apptainer", "echo apptainer version 1.4.5");
        let engine = found().unwrap();
        assert_eq!(engine.to_string(), "Apptainer 1.4.5");
        assert_eq!(engine.program, folder.path().join("apptainer"));
    }
}
