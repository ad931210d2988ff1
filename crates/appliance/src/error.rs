//! What goes wrong.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no image, or none in the registry.
#[derive(Debug, thiserror::Error)]
pub enum ApplianceError {
    /// A program that belongs into the image is not on this machine.
    #[error("{program} is not installed on this machine")]
    Missing {
        /// The program.
        program: &'static str,
        /// What can be done.
        advice: &'static str,
    },
    /// A program did not say what it was asked.
    #[error("{command} failed")]
    Command {
        /// The command.
        command: String,
        /// Its last words.
        words: String,
    },
    /// A library that a program loads is not there.
    #[error("{program} loads {library}, which is not there")]
    Library {
        /// The program.
        program: PathBuf,
        /// The library's name.
        library: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// A name cannot be kept in an archive.
    #[error("the name {name} is too long for an archive")]
    Name {
        /// The name.
        name: String,
    },
    /// The registry cannot be reached.
    #[error("cannot reach the registry {registry}")]
    Unreachable {
        /// Its host and port.
        registry: String,
        /// The client's words.
        words: String,
    },
    /// The registry does not want what was asked.
    #[error("the registry {registry} refused: {what}")]
    Refused {
        /// Its host and port.
        registry: String,
        /// What was asked.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// The beginning of its answer.
        words: String,
    },
    /// Credentials cannot be had.
    #[error("cannot read credentials for {registry}")]
    Credentials {
        /// The registry's host and port.
        registry: String,
        /// Why.
        words: String,
    },
}

impl ApplianceError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::File { action: "read", path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::File { action: "write", path: path.to_owned(), source }
    }

    /// What the system, a program or a registry said.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::File { source, .. } => Some(source.to_string()),
            Self::Command { words, .. }
            | Self::Unreachable { words, .. }
            | Self::Credentials { words, .. } => Some(words.clone()),
            Self::Refused { status, words, .. } => Some(format!("HTTP status {status}: {words}")),
            Self::Missing { .. } | Self::Library { .. } | Self::Name { .. } => None,
        }
        .filter(|words| !words.is_empty())
    }

    /// What can be done about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Missing { advice, .. } => Some((*advice).to_owned()),
            Self::Refused { status: 401 | 403, registry, .. } => Some(format!(
                "credentials are read from ~/.docker/config.json: docker login {registry}, podman login \
                 --compat-auth-file, or skopeo login write it; the user must be allowed to push there"
            )),
            Self::Unreachable { words, .. } if words.contains("tls") || words.contains("TLS") => {
                Some("a registry without TLS needs --insecure".to_owned())
            }
            _ => None,
        }
    }
}
