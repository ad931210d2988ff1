//! Why there are no settings.

use std::fmt;

use crate::argparse::UsageError;
use crate::exit_code::ExitCode;

/// Why there are no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// The command line, the environment or the config file is wrong.
    Usage(UsageError),
    /// They are understood, but cannot be followed.
    Refused(UsageError),
}

impl SettingsError {
    /// What the program answers.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::USAGE,
            Self::Refused(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(error) | Self::Refused(error)) = self;
        error.fmt(f)
    }
}

impl std::error::Error for SettingsError {}

impl From<UsageError> for SettingsError {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}
