//! What the binary decides once for all attempts of a run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moil_cwl::expression::{Limits, Listener};
use moil_cwl::value::Value;
use moil_job::contents::Contents;

use crate::apart::Apart;
use crate::cancel::Cancel;
use crate::container::Finder;
use crate::downloads::{Download, Downloads};
use crate::kept_logs::{KeptLogs, LeftLogs};
use crate::spawner::{Limit, Spawner};
use crate::system::Result;
use crate::usage::OutOfMemory;

/// Everything run-wide that an attempt needs.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Starts the tools.
    pub spawner: Spawner,
    /// Attempts make their directories below this one; it is made where missing. Absolute.
    pub work_root: PathBuf,
    /// Where `$TMPDIR` directories are made, if not in the attempt's directory (`--tmpdir-prefix`). Absolute.
    pub tmp_root: Option<PathBuf>,
    /// The variables of the host that every tool is given: `PATH`, and those that
    /// `--preserve-environment` and its kin name. Requirements and `HOME`, `TMPDIR` come over them.
    pub host_environment: Vec<(OsString, OsString)>,
    /// Limits of each evaluation of an expression.
    pub limits: Limits,
    /// Told what expressions write; without it they have no console.
    pub console: Option<Listener>,
    /// Limits of each tool's process, such as that of core dumps.
    pub process_limits: Vec<Limit>,
    /// Whether output files get a checksum; off with `--no-compute-checksum`.
    pub checksums: bool,
    /// `--leave-tmpdir`: scratch directories stay.
    pub leave_tmpdir: bool,
    /// Keeps attempts apart that are not to see each other. Nothing of them stays then but what is kept for later ones.
    pub apart: Option<Arc<Apart>>,
    /// Whether each line of a tool's logs is reported while it runs.
    pub live_output: bool,
    /// The most bytes that are kept of a log of a failed attempt: the last ones. `None` for all.
    pub max_log_size: Option<u64>,
    /// Where logs are kept beyond the attempt.
    pub kept_logs: Vec<KeptLogs>,
    /// Which logs go to the leader with what comes of an attempt.
    pub left_logs: LeftLogs,
    /// How long a tool that is to end has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// `--maxJobDuration`: ends a tool even where no ToolTimeLimit does.
    pub max_duration: Option<Duration>,
    /// How MPI programs are started.
    pub mpi: MpiConfig,
    /// Fetches inputs that are not on this machine; `None` where all are.
    pub download: Option<Arc<dyn Download>>,
    /// The stack of the threads that run attempts, in bytes: expressions and values nest deeply.
    pub stack_size: usize,
    /// What was fetched already, or made here.
    pub downloads: Arc<Downloads>,
    /// Keeps the outputs beyond the run's work directory; `None` where they stay in it.
    pub contents: Option<Arc<dyn Contents>>,
    /// Finds out how containers are run; `None` where all tools run without.
    pub containers: Option<Arc<Finder>>,
    /// Tells whether the machine ran out of memory.
    pub out_of_memory: OutOfMemory,
}

impl WorkerConfig {
    /// The defaults of the options, with tools started by `spawner` and attempts below `work_root`.
    pub fn new(spawner: Spawner, work_root: impl Into<PathBuf>) -> Self {
        Self {
            spawner,
            work_root: work_root.into(),
            tmp_root: None,
            host_environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            limits: Limits::default(),
            console: None,
            process_limits: Vec::new(),
            checksums: true,
            leave_tmpdir: false,
            apart: None,
            live_output: false,
            max_log_size: None,
            kept_logs: Vec::new(),
            left_logs: LeftLogs::None,
            grace: Duration::from_secs(5),
            max_duration: None,
            mpi: MpiConfig::default(),
            download: None,
            stack_size: 32 << 20,
            downloads: Arc::default(),
            contents: None,
            containers: None,
            out_of_memory: OutOfMemory::default(),
        }
    }
}

impl WorkerConfig {
    /// The local copy of what is at a location of another machine.
    ///
    /// # Errors
    /// See [`Downloads::get`].
    pub(crate) fn fetch(&self, location: &Arc<str>, cancel: &Cancel) -> Result<PathBuf> {
        self.downloads.get(location, &self.download_root(), self.download.as_deref(), cancel)
    }

    /// A value in which every File is on this machine.
    ///
    /// # Errors
    /// See [`Downloads::localise`].
    pub(crate) fn localise(&self, value: &Value, cancel: &Cancel) -> Result<Value> {
        self.downloads.localise(value, &self.download_root(), self.download.as_deref(), cancel)
    }

    /// See [`Downloads::adopt`].
    pub(crate) fn adopt(&self, location: &str, path: &Path) {
        self.downloads.adopt(location, path, &self.download_root());
    }

    /// Below it lies all that was brought from other machines.
    pub(crate) fn download_root(&self) -> PathBuf {
        self.work_root.join("downloads")
    }
}

/// How MPI programs are started (`--mpi-config-file`).
#[derive(Clone, Debug)]
pub struct MpiConfig {
    /// `runner`.
    pub runner: String,
    /// `nproc_flag`.
    pub nproc_flag: String,
    /// `default_nproc`.
    pub default_nproc: u32,
    /// `extra_flags`.
    pub extra_flags: Vec<String>,
    /// The variables of the host that `env_pass` and `env_pass_regex` name, with their values.
    pub pass: Vec<(OsString, OsString)>,
    /// `env_set`.
    pub set: Vec<(OsString, OsString)>,
}

impl Default for MpiConfig {
    fn default() -> Self {
        Self {
            runner: "mpirun".to_owned(),
            nproc_flag: "-n".to_owned(),
            default_nproc: 1,
            extra_flags: Vec::new(),
            pass: Vec::new(),
            set: Vec::new(),
        }
    }
}
