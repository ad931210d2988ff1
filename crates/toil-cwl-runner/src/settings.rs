//! What the options mean: typed, with paths made absolute and defaults filled
//! in. A stronger layer beats a weaker one: command line, environment, config
//! file, default.

mod error;
mod resolve;
#[cfg(test)]
mod tests;
pub mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::SettingsError;
use moil_jobstore::locator::{Locator, RecordsIn};
use moil_kubernetes::settings::{Volume, WORK_DIR};
use moil_worker::kept_logs::LeftLogs;
pub use resolve::resolve;

use crate::argparse::InputWord;
use crate::environment::Environment;
use crate::log::Level;

/// All that a run needs to know from outside.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is to be done.
    pub action: Action,
    /// The workflow as it was written: a path, perhaps with `#name`, or a URL. Empty for
    /// [`Action::PrintSupportedVersions`].
    pub workflow: String,
    /// The words after it: its input file, its inputs.
    pub inputs: Vec<InputWord>,
    /// The current directory.
    pub cwd: PathBuf,
    /// The environment.
    pub environment: Environment,
    /// How documents are read.
    pub documents: Documents,
    /// Which part of the workflow runs.
    pub part: Part,
    /// Where files go.
    pub files: Files,
    /// Where jobs run.
    pub batch: BatchSystem,
    /// How pods are made.
    pub kubernetes: Kubernetes,
    /// What tools and expressions see.
    pub tools: Tools,
    /// How containers are run.
    pub containers: Containers,
    /// What is logged, and where.
    pub log: Log,
    /// Where the run is recorded.
    pub store: Store,
    /// Resources of jobs, and limits.
    pub resources: Resources,
    /// What happens after failures.
    pub retries: Retries,
    /// What describes the run.
    pub provenance: Provenance,
    /// The options that the definition of the run keeps, by their keys, with their values.
    pub kept: Vec<(&'static str, String)>,
    /// What is to be said about options, once there is a log.
    pub notes: Vec<Note>,
}

impl Settings {
    /// Whether workers of one machine share the inputs that they fetch. Where the leader runs all jobs itself they do
    /// anyway.
    pub fn shares_inputs(&self) -> bool {
        match self.batch {
            BatchSystem::SingleMachine => false,
            BatchSystem::Processes => self.files.caching == Some(true),
            BatchSystem::Kubernetes => {
                self.kubernetes.host_path.is_some() && self.files.caching != Some(false)
            }
        }
    }
}

/// A remark about an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// One sentence without a full stop.
    pub text: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run the workflow.
    Run,
    /// Check the document, and the inputs if there are any.
    Validate {
        /// Print the faults as JSON.
        json: bool,
    },
    /// Print an input object to fill in.
    MakeTemplate,
    /// Print the inputs as options.
    ToolHelp,
    /// Print the document with all that it refers to.
    Pack,
    /// Print the document after references are resolved.
    PrintPreprocessed,
    /// Print a graph for Graphviz.
    PrintDot,
    /// Print the files that the document refers to.
    PrintDependencies {
        /// Paths start at the current directory, not at the document.
        relative_to_cwd: bool,
    },
    /// Print the files that the input object refers to.
    PrintInputDependencies {
        /// Paths start at the current directory, not at the document.
        relative_to_cwd: bool,
    },
    /// Print what `--target` can name.
    PrintTargets,
    /// Print the part of the workflow that would run.
    PrintSubgraph,
    /// Print the versions of CWL.
    PrintSupportedVersions,
}

/// How documents are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// Unknown fields are errors.
    pub strict: bool,
    /// Versions of CWL that are not released are allowed.
    pub development_versions: bool,
    /// cwltool's extensions are allowed.
    pub extensions: bool,
    /// Unusual characters in file names are allowed.
    pub relax_path_checks: bool,
    /// `$schemas` are not read.
    pub skip_schemas: bool,
    /// A file with changes to requirements.
    pub overrides: Option<PathBuf>,
}

/// Which part of the workflow runs. At most one of the fields is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Outputs or steps; only what they need runs. Empty: all.
    pub targets: Vec<String>,
    /// One step with all that belongs to it.
    pub single_step: Option<String>,
    /// The process of one step alone.
    pub single_process: Option<String>,
}

/// How the names of temporary directories are made: `dir/name` and random letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporaryPrefix {
    /// An absolute directory. It need not exist yet.
    pub dir: PathBuf,
    /// How the name in it begins; may be empty.
    pub name: String,
}

/// What happens to outputs at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// They are moved to the output directory if nothing else needs them.
    Move,
    /// They are copied there.
    Copy,
    /// They stay where the tool wrote them.
    Leave,
}

/// A place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPrefix {
    /// The bucket.
    pub name: String,
    /// What keys begin with; without a `/` at its ends; may be empty.
    pub prefix: String,
}

/// Where files go. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Where outputs go, if not to a bucket. It need not exist yet.
    pub outdir: PathBuf,
    /// The place in a bucket to which outputs go.
    pub bucket: Option<BucketPrefix>,
    /// Where the output object goes, if not to stdout.
    pub summary: Option<PathBuf>,
    /// Where relative paths of the input object start, if not at its file.
    pub basedir: Option<PathBuf>,
    /// Where temporary files go that have no prefix of their own. It exists.
    pub work_dir: PathBuf,
    /// A place for temporary files was asked for.
    pub place_is_given: bool,
    /// The tools' temporary directories.
    pub tmpdir: TemporaryPrefix,
    /// The tools' output directories.
    pub tmp_outdir: TemporaryPrefix,
    /// Temporary directories are kept.
    pub keep_temporary: bool,
    /// What happens to outputs at the end.
    pub hand_over: HandOver,
    /// Outputs get checksums.
    pub checksums: bool,
    /// Files marked as streamable may be streamed.
    pub streaming: bool,
    /// Where results are kept beyond the run.
    pub cache: Option<CachePlace>,
    /// Workers of one machine share the inputs that they fetch; `None`: where pods have a place for them.
    pub caching: Option<bool>,
    /// The most bytes that they keep on a machine.
    pub cache_limit: Option<u64>,
}

/// Where results are kept beyond their runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePlace {
    /// In a directory. It need not exist yet.
    Directory(PathBuf),
    /// Below a prefix of a bucket that exists.
    Bucket(BucketPrefix),
}

/// Where jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSystem {
    /// In this process and on this machine.
    SingleMachine,
    /// On this machine, each in a worker process of its own.
    Processes,
    /// Each in a pod.
    Kubernetes,
}

/// How pods are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// How the names of Jobs begin; `None`: the user's name.
    pub owner: Option<String>,
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// A directory of the nodes that their pods share.
    pub host_path: Option<String>,
    /// The service account of pods.
    pub service_account: Option<String>,
    /// How long a pod may take to start.
    pub pod_timeout: Duration,
    /// Each job has a pod of its own.
    pub pod_per_job: bool,
    /// How long a pod stays that has no job.
    pub pod_idle: Duration,
    /// How long a pod waits for the next run.
    pub pod_keep: Duration,
    /// Workers that begin later than this after they were asked for do so only if their leader lives.
    pub orphan_timeout: Option<Duration>,
    /// Pods have all rights of their node.
    pub privileged: bool,
    /// The seccomp profile of pods.
    pub seccomp: Option<String>,
    /// The AppArmor profile of pods.
    pub apparmor: Option<String>,
    /// Labels that a node must have.
    pub node_selector: Vec<(String, String)>,
    /// Taints that pods bear, as objects of Kubernetes.
    pub tolerations: Vec<serde_json::Value>,
    /// The priority class of pods.
    pub priority_class: Option<String>,
    /// Secrets with credentials for the registry of the worker image.
    pub pull_secrets: Vec<String>,
    /// Secrets whose keys become variables of the workers.
    pub secret_environment: Vec<String>,
    /// What else pods see.
    pub volumes: Vec<Volume>,
    /// Labels of Jobs and pods.
    pub job_labels: Vec<(String, String)>,
    /// The queue of Kueue in which Jobs wait.
    pub queue: Option<String>,
    /// Bytes for the image of a tool, where pods keep images themselves.
    pub image_disk: u64,
    /// Jobs may run on nodes that can be taken away.
    pub preemptible: bool,
    /// A file with further fields of pods.
    pub pod_template: Option<PathBuf>,
    /// A file with the security context of pods.
    pub pod_security_context: Option<PathBuf>,
    /// A file with the security context of containers.
    pub security_context: Option<PathBuf>,
}

impl Kubernetes {
    /// Whether pods see what is at a path of this machine, as far as options tell: the directory that pods of a node
    /// share lies there in all of them, and so do volumes. `to_write`: and may write to it.
    pub fn shares(&self, path: &Path, to_write: bool) -> bool {
        let is_volume = |volume: &Volume| path.starts_with(&volume.path) && !(to_write && volume.read_only);
        (self.host_path.is_some() && path.starts_with(WORK_DIR)) || self.volumes.iter().any(is_volume)
    }
}

/// Which variables tools outside containers are given, beside `PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preserved {
    /// All.
    All,
    /// Those with these names.
    Named(Vec<String>),
}

impl Preserved {
    /// What tools are given of the variables of a worker.
    pub fn of(&self, mut worker: BTreeMap<OsString, OsString>) -> Vec<(OsString, OsString)> {
        match self {
            Self::All => worker.into_iter().collect(),
            Self::Named(names) => {
                let names: BTreeSet<&str> = names.iter().map(String::as_str).chain(["PATH"]).collect();
                names.into_iter().filter_map(|name| worker.remove_entry(OsStr::new(name))).collect()
            }
        }
    }
}

/// What tools and expressions see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    /// What the options let through to tools outside containers.
    pub preserved: Preserved,
    /// Variables for tools outside containers: `PATH` and what the options let through.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables for workers. They are also what `--preserve-environment` finds.
    pub set: Vec<(String, OsString)>,
    /// How long one expression may take.
    pub eval_timeout: Duration,
    /// What expressions print is shown.
    pub js_console: bool,
    /// How often one step may loop.
    pub loop_limit: u64,
    /// How MPI programs are started.
    pub mpi_config: Option<PathBuf>,
}

/// What runs containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// Whatever is there.
    Auto,
    /// Nothing: all tools run without containers.
    None,
    /// Apptainer or Singularity.
    Singularity,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// A command that works like Docker's.
    UserSpace(String),
}

/// How containers are run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containers {
    /// What runs them.
    pub engine: Engine,
    /// The image of tools that name none.
    pub default_image: Option<String>,
    /// Images may be fetched.
    pub pull: bool,
    /// Images are fetched even if they are there.
    pub always_pull: bool,
    /// Where unpacked images are.
    pub sandboxes: Option<PathBuf>,
    /// The network.
    pub network: Option<String>,
    /// Docker and Podman run tools as the current user.
    pub match_user: bool,
    /// Docker and Podman keep tools from writing to the image's own files.
    pub read_only: bool,
    /// Docker and Podman keep containers that have ended.
    pub keep: bool,
    /// Docker and Podman limit the memory of tools.
    pub strict_memory: bool,
    /// Docker and Podman limit the cores of tools.
    pub strict_cores: bool,
    /// Where the ids of containers are written, with how the names of the files begin.
    pub id_files: Option<(PathBuf, String)>,
}

/// How much of a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// All of it.
    All,
    /// The last bytes.
    End(u64),
    /// The first bytes.
    Beginning(u64),
}

/// What is logged, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least level that is logged.
    pub level: Level,
    /// A file that gets the log too.
    pub file: Option<PathBuf>,
    /// A new file is begun when that one grows large.
    pub rotating: bool,
    /// Colours on stderr.
    pub colours: bool,
    /// Progress on stderr.
    pub progress: bool,
    /// Time between reports on running jobs.
    pub status_wait: Duration,
    /// What tools print is shown while they run.
    pub real_time: bool,
    /// Where the streams of tools are kept.
    pub streams_dir: Option<PathBuf>,
    /// Where the logs of failed jobs are kept.
    pub jobs_dir: Option<PathBuf>,
    /// They are compressed.
    pub compress_jobs: bool,
    /// Also those of jobs that succeeded.
    pub all_jobs: bool,
    /// Which of both a worker leaves in the job store, from where the leader takes them.
    pub left: LeftLogs,
    /// How much of each is kept.
    pub keep: Keep,
    /// A file for the events of the run.
    pub messages: Option<PathBuf>,
}

/// Whether the run of the job store goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A new run; the job store must not exist.
    No,
    /// The job store must exist.
    Yes,
    /// A new run if there is no job store.
    Auto,
}

/// When something is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clean {
    /// In any case.
    Always,
    /// If it failed.
    OnError,
    /// Never.
    Never,
    /// If it succeeded.
    OnSuccess,
}

/// Where the run is recorded, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where; `None`: nowhere, so that it cannot be restarted.
    pub locator: Option<Locator>,
    /// Whether its run goes on.
    pub restart: Restart,
    /// When it is deleted.
    pub clean: Clean,
    /// When the directories of a job are deleted.
    pub clean_work_dir: Clean,
    /// Statistics are kept.
    pub stats: bool,
    /// Where an `aws:` store that is made has its records; one that is there says that itself.
    pub records: RecordsIn,
    /// A file with the key that encrypts what is stored in S3.
    pub encryption_key: Option<PathBuf>,
}

/// Resources of jobs, and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// Cores of jobs that ask for none.
    pub default_cores: f64,
    /// Memory of jobs that ask for none, in bytes.
    pub default_memory: u64,
    /// Disk of jobs that ask for none, in bytes.
    pub default_disk: u64,
    /// Tools that ask for no memory get what CWL says, not `default_memory`.
    pub cwl_default_ram: bool,
    /// The least memory of a tool, in bytes.
    pub cwl_min_ram: Option<u64>,
    /// The most cores of a job, and of all that run at a time.
    pub max_cores: Option<f64>,
    /// The most memory of a job, and of all that run at a time, in bytes.
    pub max_memory: Option<u64>,
    /// The most disk of a job, and of all that run at a time, in bytes.
    pub max_disk: Option<u64>,
    /// How many jobs run at a time: the least of `--maxJobs` and `--parallel-max`.
    pub max_jobs: Option<u64>,
    /// How many jobs run at a time is limited to the cores of this machine (`--parallel-max 0`).
    pub jobs_as_cores: bool,
    /// What jobs' cores are multiplied by.
    pub scale: f64,
    /// Time limit of jobs that set none.
    pub default_time: Option<Duration>,
    /// Time limit of all jobs.
    pub max_time: Option<Duration>,
}

/// What happens after failures.
#[derive(Clone, Debug, PartialEq)]
pub struct Retries {
    /// How often a failed job is tried again.
    pub count: u32,
    /// How long to wait before the first retry.
    pub backoff: Duration,
    /// How much longer to wait before each further one.
    pub backoff_factor: f64,
    /// Jobs that ran out of memory get twice as much.
    pub double_memory: bool,
    /// The run ends at the first job that failed for good.
    pub stop_on_first_failure: bool,
}

/// What describes the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Where the research object goes.
    pub dir: Option<PathBuf>,
    /// It names the user.
    pub user: bool,
    /// It names the machine.
    pub host: bool,
    /// The user's ORCID.
    pub orcid: Option<String>,
    /// The user's name.
    pub full_name: Option<String>,
}
