//! What is to run in a container, and the process that does it.
//!
//! An invocation says nothing of an engine; `apptainer` and `docker` turn it into command lines.

use std::ffi::OsString;
use std::path::PathBuf;

use thiserror::Error;

/// A command in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The output directory. In the container it is home and working directory, and may be written to.
    pub output: Bind,
    /// The directory that is `/tmp` in the container.
    pub temporary: PathBuf,
    /// What else can be seen in the container, in this order: a bind may lie inside an earlier one.
    pub binds: Vec<Bind>,
    /// What the container can reach.
    pub network: Network,
    /// The NVIDIA driver's devices and libraries are needed.
    pub nvidia: bool,
    /// The tool's variables, all that it sees beside the image's own. HOME is not among them: it is the output
    /// directory.
    pub environment: Vec<(String, String)>,
    /// The words of the command. The image's entry point may come before them.
    pub command: Vec<String>,
}

/// A file or directory of this machine that can be seen in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Where it is on this machine, absolute.
    pub source: PathBuf,
    /// Where it is in the container, absolute.
    pub target: PathBuf,
    /// Whether the tool may write to it.
    pub writable: bool,
}

/// What a container can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nothing but itself.
    None,
    /// What this machine reaches.
    Host,
    /// A network that the engine knows under this name.
    Named(String),
}

/// A process to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// What its environment has beside what the runner itself was given.
    pub environment: Vec<(OsString, OsString)>,
}

/// An invocation that an engine cannot carry out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvocationError {
    /// A path that the engine's options cannot express.
    #[error("{engine} cannot be given the path {path:?}: {fault}")]
    Path {
        /// The engine and its version.
        engine: String,
        /// The path.
        path: PathBuf,
        /// What in it cannot be expressed, and where that would be no trouble.
        fault: &'static str,
    },
    /// A path that is not absolute, where a container needs one.
    #[error("{path:?} is not an absolute path")]
    Relative {
        /// The path.
        path: PathBuf,
    },
    /// A variable that the engine keeps for itself.
    #[error("{engine} does not let a tool's variable be called {name:?}")]
    Variable {
        /// The engine and its version.
        engine: String,
        /// The variable.
        name: String,
    },
    /// The name of a network that would be an option or several networks.
    #[error("{name:?} cannot be the name of a network")]
    Network {
        /// The name.
        name: String,
    },
    /// There is nothing to run.
    #[error("there is no command to run in the container")]
    NoCommand,
}
