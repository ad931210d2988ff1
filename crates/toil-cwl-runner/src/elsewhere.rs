//! Running jobs in other processes: what the executor of the worker crate is told.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_job::executor::Reporter;
use moil_job::failure::{Failure, FailureKind};
use moil_kubernetes::executor::KubernetesExecutor;
use moil_kubernetes::settings::Settings as PodSettings;
use moil_salad::reader;
use moil_salad::source::Source;
use moil_worker::processes::{ProcessExecutor, WorkerProgram};

use crate::job_store::JobStore;
use crate::settings::Settings;
use crate::worker_form::WorkerForm;

/// Variables of the leader that workers in pods get, if they are set: where S3 and images are. No secrets.
const HANDED_ON: &[&str] = &[
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SIMPLEDB",
    "AWS_ENDPOINT_URL_STS",
    "TOIL_S3_HOST",
    "TOIL_S3_PORT",
    "TOIL_S3_USE_SSL",
    "SINGULARITY_DOCKER_HUB_MIRROR",
];

/// The program that has the command `worker`.
const PROGRAM: &str = "moil";

/// The executor whose workers are processes of this machine. `executable` is this program, beside which theirs lies.
///
/// # Errors
/// It is not there; the job store refuses the workers' settings.
pub fn processes(
    settings: &Settings,
    store: &JobStore,
    executable: Option<&Path>,
    reporter: Reporter,
) -> Result<ProcessExecutor, Failure> {
    let program = executable.map(|executable| executable.with_file_name(PROGRAM));
    let program = program.filter(|program| program.is_file()).ok_or_else(|| {
        Failure::new(FailureKind::System, "the program moil, which runs workers, is not beside this one")
            .with_advice("install both programs in one directory")
    })?;
    store.keep_settings(&WorkerForm::of(settings)?.write())?;
    let mut args: Vec<OsString> = ["worker", "--store", store.name()].map(OsString::from).into();
    if let Some(key) = &settings.store.encryption_key {
        args.extend(["--sseKey".into(), key.into()]);
    }
    let environment = settings.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let set = settings.tools.set.iter().map(|(name, value)| (name.into(), value.clone()));
    let program = WorkerProgram { program, args, environment: environment.chain(set).collect() };
    Ok(ProcessExecutor::new(program, store.exchange() as Arc<_>, reporter))
}

/// The executor whose workers are pods.
///
/// # Errors
/// There is no cluster or no image to use; a file that an option names cannot be read; the job store refuses the
/// workers' settings.
pub fn kubernetes(
    settings: &Settings,
    store: &JobStore,
    reporter: Reporter,
    warn: Arc<dyn Fn(String) + Send + Sync>,
) -> Result<KubernetesExecutor, Failure> {
    let known = |name| settings.environment.known(name).and_then(OsStr::to_str);
    let image = known("TOIL_APPLIANCE_SELF").ok_or_else(|| {
        Failure::new(FailureKind::BadInput, "there is no image for worker pods")
            .with_advice("make one with `moil appliance push REGISTRY` and name it with TOIL_APPLIANCE_SELF")
    })?;
    store.keep_settings(&WorkerForm::of(settings)?.that_says_all().write())?;
    let options = &settings.kubernetes;
    let user = || known("USER").map_or_else(user_number, str::to_owned);
    let owner = options.owner.clone().unwrap_or_else(user);
    let command = [PROGRAM, "worker", "--store", store.name()].map(str::to_owned).to_vec();
    let handed_on = HANDED_ON
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), settings.environment.get(name)?.to_str()?.to_owned())));
    let set =
        settings.tools.set.iter().map(|(name, value)| (name.clone(), value.to_string_lossy().into_owned()));
    let security = |path: &Option<PathBuf>| path.as_ref().map(|path| read_object(path)).transpose();
    let pods = PodSettings {
        kubeconfigs: kubeconfigs(settings),
        context: options.context.clone(),
        namespace: options.namespace.clone(),
        environment: handed_on.chain(set).collect(),
        service_account: options.service_account.clone(),
        aws_secret: known("TOIL_AWS_SECRET_NAME").map(str::to_owned),
        host_path: options.host_path.clone(),
        privileged: options.privileged,
        pod_timeout: options.pod_timeout,
        live_logs: settings.log.real_time,
        pod_security_context: security(&options.pod_security_context)?,
        security_context: security(&options.security_context)?,
        ..PodSettings::new(&owner, store.run(), store.name(), image, command)
    };
    let pods = match &options.seccomp {
        Some(profile) => PodSettings { seccomp: profile.clone(), ..pods },
        None => pods,
    };
    KubernetesExecutor::new(pods, store.exchange(), reporter, warn)
}

/// What a user without a name is called.
fn user_number() -> String {
    std::fs::metadata("/proc/self").map(|process| process.uid().to_string()).unwrap_or_default()
}

/// The files of `KUBECONFIG`, or `~/.kube/config`, that are there.
fn kubeconfigs(settings: &Settings) -> Vec<PathBuf> {
    let environment = &settings.environment;
    let files: Vec<PathBuf> = match environment.known("KUBECONFIG") {
        Some(list) => std::env::split_paths(list).map(|path| settings.cwd.join(path)).collect(),
        None => {
            environment.known("HOME").map(|home| Path::new(home).join(".kube/config")).into_iter().collect()
        }
    };
    files.into_iter().filter(|path| path.is_file()).collect()
}

/// An object of Kubernetes in a YAML or JSON file.
fn read_object(path: &Path) -> Result<serde_json::Value, Failure> {
    let wrong = |cause: String| {
        Failure::new(FailureKind::BadInput, format!("cannot use {}", path.display())).with_cause(cause)
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let source = Source { uri: path.display().to_string(), text };
    let (node, diagnostics) = reader::read(&Arc::new(source));
    if let Some(diagnostic) = diagnostics.first() {
        return Err(wrong(diagnostic.message.clone()));
    }
    let node = node.ok_or_else(|| wrong("it is empty".to_owned()))?;
    let text = moil_cwl::print::compact(&moil_cwl::json::from_node(&node));
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}
