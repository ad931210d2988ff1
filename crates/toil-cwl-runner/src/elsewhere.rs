//! Running jobs in other processes: what the executor of the worker crate is told.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_job::executor::Reporter;
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::locator::Locator;
use moil_jobstore::nonce::nonce;
use moil_kubernetes::cluster::removal::{self, Removed, Whose};
use moil_kubernetes::executor::KubernetesExecutor;
use moil_kubernetes::settings::{Settings as PodSettings, WORK_DIR};
use moil_kubernetes::template;
use moil_worker::processes::{ProcessExecutor, WorkerProgram};
use serde_json::Value;

use crate::job_store::JobStore;
use crate::log::Log;
use crate::settings::{BatchSystem, Engine, Kubernetes, Settings};
use crate::worker_form::WorkerForm;
use crate::yaml;

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

/// Those that name places for images: workers get them where these are places of pods.
const PLACES: &[&str] =
    &["CWL_SINGULARITY_CACHE", "CWL_SINGULARITY_IMAGES", "SINGULARITY_CACHEDIR", "APPTAINER_CACHEDIR"];

/// The program that has the command `worker`.
const PROGRAM: &str = "moil";

/// What workers in other processes must know, as it is kept in the job store; `None` where there are none.
///
/// # Errors
/// A file that an option names cannot be read.
pub fn form(settings: &Settings) -> Result<Option<Vec<u8>>, Failure> {
    Ok(match settings.batch {
        BatchSystem::SingleMachine => None,
        BatchSystem::Processes => Some(WorkerForm::of(settings)?.write()),
        BatchSystem::Kubernetes => Some(WorkerForm::of(settings)?.that_says_all().write()),
    })
}

/// The executor whose workers are processes of this machine. `executable` is this program, beside which theirs lies.
///
/// # Errors
/// It is not there.
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
    let mut args: Vec<OsString> = store.worker_words().into_iter().map(OsString::from).collect();
    args.extend(["--store", store.name()].map(OsString::from));
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
/// There is no cluster or no image to use; a file that an option names cannot be read.
pub fn kubernetes(
    settings: &Settings,
    store: &JobStore,
    reporter: Reporter,
    warn: Arc<dyn Fn(String) + Send + Sync>,
) -> Result<KubernetesExecutor, Failure> {
    let of = OfRun { run: store.run(), store: store.name(), in_directory: store.directory().is_some() };
    let pods = pods(settings, &of, &store.worker_words(), &*warn)?;
    let by_number = store.is_found_by_number();
    let pods = PodSettings { term: store.term(), mark: nonce(), by_number, ..pods };
    KubernetesExecutor::new(pods, store.exchange(), reporter, warn)
}

/// What pods are made for.
pub struct OfRun<'a> {
    /// The run, by its random number.
    pub run: &'a str,
    /// The job store, as other processes name it.
    pub store: &'a str,
    /// It is in a directory.
    pub in_directory: bool,
}

/// How pods are made: they run `moil`, with these words before those on the store.
///
/// # Errors
/// There is no image to use; a file that an option names cannot be read.
pub fn pods(
    settings: &Settings,
    of: &OfRun<'_>,
    words: &[&str],
    warn: &(dyn Fn(String) + Send + Sync),
) -> Result<PodSettings, Failure> {
    let known = |name| settings.environment.known(name).and_then(OsStr::to_str);
    let image = known("TOIL_APPLIANCE_SELF").ok_or_else(|| {
        Failure::new(FailureKind::BadInput, "there is no image for worker pods")
            .with_advice("make one with `moil appliance push REGISTRY` and name it with TOIL_APPLIANCE_SELF")
    })?;
    let options = &settings.kubernetes;
    let files = PodFiles::read(options)?;
    let user = || known("USER").map_or_else(user_number, str::to_owned);
    let owner = options.owner.clone().unwrap_or_else(user);
    let command = [&[PROGRAM], words, &["--store", of.store]].concat();
    let mut command: Vec<String> = command.into_iter().map(str::to_owned).collect();
    let mut serving_command = [PROGRAM, "worker"].map(str::to_owned).to_vec();
    if let Some(key) = &settings.store.encryption_key {
        for words in [&mut command, &mut serving_command] {
            words.extend(["--sseKey".to_owned(), key.display().to_string()]);
        }
    }
    let handed_on = handed_on(settings, warn);
    let set =
        settings.tools.set.iter().map(|(name, value)| (name.clone(), value.to_string_lossy().into_owned()));
    let pods = PodSettings {
        environment: handed_on.into_iter().chain(set).collect(),
        service_account: options.service_account.clone(),
        region: match &settings.store.locator {
            Some(Locator::Aws { region, .. }) => Some(region.clone()),
            _ => None,
        },
        aws_secret: known("TOIL_AWS_SECRET_NAME").map(str::to_owned),
        host_path: options.host_path.clone(),
        privileged: options.privileged,
        pod_timeout: options.pod_timeout,
        orphan_timeout: options.orphan_timeout,
        pod_per_job: options.pod_per_job,
        pod_idle: options.pod_idle,
        pod_keep: options.pod_keep,
        serving_command,
        live_logs: settings.log.real_time,
        apparmor: options.apparmor.clone(),
        pod_security_context: files.pod_security,
        security_context: files.security,
        node_selector: options.node_selector.clone(),
        tolerations: options.tolerations.clone(),
        priority_class: options.priority_class.clone(),
        pull_secrets: options.pull_secrets.clone(),
        secret_environment: options.secret_environment.clone(),
        volumes: options.volumes.clone(),
        job_labels: options.job_labels.clone(),
        queue: options.queue.clone(),
        preemptible: options.preemptible,
        image_disk_mib: match settings.containers.engine {
            Engine::None => 0,
            _ => options.image_disk.div_ceil(1 << 20),
        },
        has_default_image: settings.containers.default_image.is_some(),
        sees_inputs: of.in_directory,
        template: files.template,
        ..in_cluster(settings, PodSettings::new(&owner, of.run, of.store, image, command))
    };
    Ok(match &options.seccomp {
        Some(profile) => PodSettings { seccomp: profile.clone(), ..pods },
        None => pods,
    })
}

/// The leader's variables for workers in pods; tells of places that pods do not see.
fn handed_on(settings: &Settings, warn: &(dyn Fn(String) + Send + Sync)) -> Vec<(String, String)> {
    let value = |name: &str| settings.environment.get(name)?.to_str().map(str::to_owned);
    let plain: Vec<(String, String)> =
        HANDED_ON.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect();
    let is_set = |name: &str| settings.tools.set.iter().any(|(set, _)| set == name);
    for (name, value) in plain.iter().filter(|(name, value)| is_this_host(value) && !is_set(name)) {
        warn(format!(
            "{name} is {value}, which is another place in pods: name an address that pods see as well, or give them another \
             one with --setEnv {name}=…"
        ));
    }
    let places =
        PLACES.iter().filter_map(|name| Some((*name, value(name).filter(|place| !place.is_empty())?)));
    let places = places.filter_map(|(name, place)| {
        // Below it each pod has room of its own, if it has no other.
        let in_pods = Path::new(&place).starts_with(WORK_DIR);
        if in_pods || settings.kubernetes.shares(Path::new(&place), true) {
            return Some((name.to_owned(), place));
        }
        warn(format!(
            "{name} is not handed on to pods, which do not see {place}: images are kept below {WORK_DIR} there"
        ));
        None
    });
    plain.into_iter().chain(places).collect()
}

/// Whether an address, or an URL with one, is that of whoever asks.
fn is_this_host(address: &str) -> bool {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = address.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(host, _port)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// What files say of pods.
struct PodFiles {
    pod_security: Option<Value>,
    security: Option<Value>,
    template: Option<Value>,
}

impl PodFiles {
    fn read(options: &Kubernetes) -> Result<Self, Failure> {
        let object = |path: &Option<PathBuf>, check: fn(Value) -> Result<Value, String>| {
            path.as_ref().map(|path| read_object(path, check)).transpose()
        };
        Ok(Self {
            pod_security: object(&options.pod_security_context, template::pod_security_context)?,
            security: object(&options.security_context, template::security_context)?,
            template: object(&options.pod_template, template::check)?,
        })
    }
}

/// What a user without a name is called.
fn user_number() -> String {
    std::fs::metadata("/proc/self").map(|process| process.uid().to_string()).unwrap_or_default()
}

/// Removes what runs have in a cluster.
///
/// # Errors
/// There is no cluster, or it refuses.
pub fn remove(settings: &Settings, whose: Whose<'_>, log: &Log) -> Result<Removed, Failure> {
    let warn = log.clone();
    let warn = Arc::new(move |text: String| warn.warning(text));
    removal::remove(&place_of_pods(settings), whose, warn)
}

/// Settings of pods with nothing but where the cluster is.
pub fn place_of_pods(settings: &Settings) -> PodSettings {
    in_cluster(settings, PodSettings::new("", "", "", "", Vec::new()))
}

/// With where the cluster is.
fn in_cluster(settings: &Settings, pods: PodSettings) -> PodSettings {
    let options = &settings.kubernetes;
    PodSettings {
        kubeconfigs: kubeconfigs(settings),
        context: options.context.clone(),
        namespace: options.namespace.clone(),
        ..pods
    }
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

/// An object of Kubernetes in a YAML or JSON file, which `check` sees before anything runs.
fn read_object(path: &Path, check: fn(Value) -> Result<Value, String>) -> Result<Value, Failure> {
    let wrong = |cause: String| {
        Failure::new(FailureKind::BadInput, format!("cannot use {}", path.display())).with_cause(cause)
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    yaml::read(&path.display().to_string(), &text).and_then(check).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::Mutex;

    use super::*;
    use crate::argparse;
    use crate::environment::Environment;
    use crate::settings;

    fn settings(line: &str, variables: &[(&str, &str)]) -> Settings {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let environment = Environment::new(variables.iter().map(|(name, value)| (name.into(), value.into())));
        let parsed = argparse::parse(&words, &|_| false).expect("it is understood");
        settings::resolve(parsed, &environment, Path::new("/here"), false).expect("it is valid")
    }

    #[test]
    fn workers_get_few_variables_and_only_places_that_pods_see() {
        let variables = [
            ("AWS_REGION", "us-west-2"),
            ("AWS_SECRET_ACCESS_KEY", "hidden"),
            ("TOIL_WORKDIR", "/tmp"),
            ("CWL_SINGULARITY_CACHE", "/var/lib/toil/images"),
            ("SINGULARITY_CACHEDIR", "/data/layers"),
            ("APPTAINER_CACHEDIR", "/scratch/apptainer"),
            ("PATH", "/bin"),
            ("AWS_ENDPOINT_URL_S3", "http://localhost:4566"),
            ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:4566"),
        ];
        let line = "--batchSystem kubernetes --jobStore aws:us-west-2:demo --kubernetesVolume pvc:data:/data --setEnv \
                    AWS_ENDPOINT_URL_STS=http://sts w.cwl";
        let told = Mutex::new(Vec::new());
        let warn = |text| told.lock().expect("it is free").push(text);
        let handed: Vec<String> = handed_on(&settings(line, &variables), &warn)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            handed,
            [
                "AWS_REGION=us-west-2",
                "AWS_ENDPOINT_URL_S3=http://localhost:4566",
                "AWS_ENDPOINT_URL_STS=http://127.0.0.1:4566",
                "CWL_SINGULARITY_CACHE=/var/lib/toil/images",
                "SINGULARITY_CACHEDIR=/data/layers"
            ]
        );
        assert_eq!(
            *told.lock().expect("it is free"),
            [
                "AWS_ENDPOINT_URL_S3 is http://localhost:4566, which is another place in pods: name an address that pods see as \
                 well, or give them another one with --setEnv AWS_ENDPOINT_URL_S3=…",
                "APPTAINER_CACHEDIR is not handed on to pods, which do not see /scratch/apptainer: images are kept below \
              /var/lib/toil there"
            ]
        );
    }

    #[test]
    fn addresses_of_this_host_are_known() {
        for address in ["localhost", "localhost:1", "http://127.0.0.2:9/x", "https://[::1]:1", "[::1]"] {
            assert!(is_this_host(address), "{address}");
        }
        for address in ["http://10.0.0.1:9000", "https://localhost.example.org", "", "s3", "[fd00::1]:1"] {
            assert!(!is_this_host(address), "{address}");
        }
    }

    #[test]
    fn places_of_the_leader_are_no_places_of_pods() {
        let common = "--workDir /tmp --tmpdir-prefix /usr/x --jobStore s3://bucket/x w.cwl";
        let place = |batch: &str| {
            let line = format!("--batchSystem {batch} {common}");
            let form = WorkerForm::of(&settings(&line, &[])).expect("it is made");
            let mut worker = settings("--workDir /var w.cwl", &[]);
            form.apply(&mut worker);
            worker.files.tmp_outdir.dir
        };
        assert_eq!(place("kubernetes"), Path::new("/var"));
        assert_eq!(place("processes"), Path::new("/usr"));
    }

    #[test]
    fn the_template_of_the_page_can_be_used() {
        let page = include_str!("../../../docs/kubernetes.md");
        let text =
            page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it is there");
        let template = yaml::read("page", text).and_then(template::check).expect("it is a template");
        assert_eq!(template["spec"]["containers"][0]["resources"]["limits"]["cpu"], "4");
    }

    #[test]
    fn files_for_pods_are_looked_at_before_anything_runs() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let cases: [(&str, fn(Value) -> Result<Value, String>, &str); 5] = [
            ("", template::check, "it is no mapping"),
            ("spec: [", template::check, ""),
            (
                "spec: {restartPolicy: Always}",
                template::check,
                "spec.restartPolicy can only be Never: moil tries again by itself",
            ),
            (
                "runAsUsr: 1",
                template::security_context,
                "the security context has a field that is not known: runAsUsr",
            ),
            (
                "fsGroup: 1",
                template::security_context,
                "the security context has a field that is not known: fsGroup",
            ),
        ];
        for (text, check, cause) in cases {
            std::fs::write(&path, text).expect("it is written");
            let failure = read_object(&path, check).expect_err(text);
            assert_eq!(failure.message, format!("cannot use {}", path.display()));
            assert!(
                failure.cause.as_deref().is_some_and(|words| words.starts_with(cause)),
                "{text}: {failure:?}"
            );
        }
        std::fs::write(&path, "fsGroup: 1\nsupplementalGroups: [2]\n").expect("it is written");
        let read = read_object(&path, template::pod_security_context).expect("it is one");
        assert_eq!(read, serde_json::json!({"fsGroup": 1, "supplementalGroups": [2]}));
    }
}
