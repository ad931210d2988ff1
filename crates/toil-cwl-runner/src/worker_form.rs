//! What the leader was told and its workers must know, as they find it in the job store (`settings/TERM`).
//!
//! It names variables and files, and holds no values of variables: these reach a worker as its own environment.

use std::path::PathBuf;
use std::time::Duration;

use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::locator::Locator;
use moil_worker::kept_logs::LeftLogs;
use serde::{Deserialize, Serialize};

use crate::settings::{BatchSystem, Containers, Keep, Preserved, Settings, TemporaryPrefix};

/// Changes with every change that an older worker would not understand.
const VERSION: u32 = 3;

/// How workers work.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkerForm {
    version: u32,
    preserved: Preserved,
    eval_timeout: Duration,
    /// The text of `--mpi-config-file`, and what it is called.
    mpi: Option<(String, String)>,
    containers: Containers,
    checksums: bool,
    shares_inputs: bool,
    cache_limit: Option<u64>,
    keep_temporary: bool,
    place_is_given: bool,
    tmpdir: TemporaryPrefix,
    tmp_outdir: TemporaryPrefix,
    real_time: bool,
    left_logs: LeftLogs,
    streams_dir: Option<PathBuf>,
    jobs_dir: Option<PathBuf>,
    compress_jobs: bool,
    all_jobs: bool,
    keep: Keep,
    max_time: Option<Duration>,
    /// The cluster of workers in pods.
    cluster: Option<InCluster>,
}

/// Where in which cluster pods are; `None` for what the kubeconfig says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InCluster {
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
}

impl WorkerForm {
    /// What the leader was told.
    ///
    /// # Errors
    /// A file that an option names cannot be read.
    pub fn of(settings: &Settings) -> Result<Self, Failure> {
        let mpi = match &settings.tools.mpi_config {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::new(FailureKind::BadInput, format!("{}: cannot be read", path.display()))
                        .with_cause(error)
                })?;
                Some((path.display().to_string(), text))
            }
        };
        let (files, log) = (&settings.files, &settings.log);
        let left_logs = left_logs(settings);
        // What workers leave in the store they do not write as well.
        let place = |dir: &Option<PathBuf>| dir.clone().filter(|_| left_logs == LeftLogs::None);
        Ok(Self {
            version: VERSION,
            preserved: settings.tools.preserved.clone(),
            eval_timeout: settings.tools.eval_timeout,
            mpi,
            containers: settings.containers.clone(),
            checksums: files.checksums,
            shares_inputs: settings.shares_inputs(),
            cache_limit: files.cache_limit,
            keep_temporary: files.keep_temporary,
            // Pods have places of their own.
            place_is_given: files.place_is_given && settings.batch != BatchSystem::Kubernetes,
            tmpdir: files.tmpdir.clone(),
            tmp_outdir: files.tmp_outdir.clone(),
            real_time: log.real_time,
            left_logs,
            streams_dir: place(&log.streams_dir),
            jobs_dir: place(&log.jobs_dir),
            compress_jobs: log.compress_jobs,
            all_jobs: log.all_jobs,
            keep: log.keep,
            max_time: settings.resources.max_time,
            cluster: (settings.batch == BatchSystem::Kubernetes).then(|| InCluster {
                context: settings.kubernetes.context.clone(),
                namespace: settings.kubernetes.namespace.clone(),
            }),
        })
    }

    /// For workers whose output is kept by others, as that of pods is: they say what their tools say in any case.
    pub fn that_says_all(self) -> Self {
        Self { real_time: true, ..self }
    }

    /// As it is stored.
    pub fn write(&self) -> Vec<u8> {
        // Structs with texts and numbers can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// It is not what this version writes.
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| {
            Failure::new(FailureKind::System, "the leader's settings cannot be read").with_cause(error)
        };
        let Head { version } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if version > VERSION {
            return Err(Failure::new(
                FailureKind::System,
                format!(
                    "the leader's settings are of a newer moil (form {version}; this one reads {VERSION})"
                ),
            )
            .with_advice("leader and workers must be of one version"));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    /// The cluster of workers in pods.
    pub fn cluster(&self) -> Option<&InCluster> {
        self.cluster.as_ref()
    }

    /// The settings of a worker, and how it starts MPI programs: the file and its text.
    pub fn apply(self, settings: &mut Settings) -> Option<(String, String)> {
        let worker = settings.environment.all();
        let worker = worker.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        settings.tools.environment = self.preserved.of(worker);
        settings.tools.preserved = self.preserved;
        settings.tools.eval_timeout = self.eval_timeout;
        settings.containers = self.containers;
        settings.files.checksums = self.checksums;
        settings.files.caching = Some(self.shares_inputs);
        settings.files.cache_limit = self.cache_limit;
        settings.files.keep_temporary = self.keep_temporary;
        if self.place_is_given {
            settings.files.place_is_given = true;
            settings.files.tmpdir = self.tmpdir;
            settings.files.tmp_outdir = self.tmp_outdir;
        }
        let log = &mut settings.log;
        log.real_time = self.real_time;
        log.left = self.left_logs;
        log.streams_dir = self.streams_dir;
        log.jobs_dir = self.jobs_dir;
        log.compress_jobs = self.compress_jobs;
        log.all_jobs = self.all_jobs;
        log.keep = self.keep;
        settings.resources.max_time = self.max_time;
        self.mpi
    }
}

/// Workers in pods and those of a store in a bucket may have none of the leader's directories.
fn left_logs(settings: &Settings) -> LeftLogs {
    let shares = match settings.batch {
        BatchSystem::Kubernetes => false,
        BatchSystem::Processes => matches!(settings.store.locator, Some(Locator::File(_)) | None),
        BatchSystem::SingleMachine => true,
    };
    let log = &settings.log;
    match (&log.streams_dir, &log.jobs_dir) {
        _ if shares => LeftLogs::None,
        (Some(_), _) => LeftLogs::All,
        (None, Some(_)) if log.all_jobs => LeftLogs::All,
        (None, Some(_)) => LeftLogs::OfFailed,
        (None, None) => LeftLogs::None,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;
    use crate::argparse;
    use crate::environment::Environment;
    use crate::settings;

    #[test]
    fn workers_write_logs_or_leave_them_and_not_both() {
        let (bucket, directory) = ("--jobStore s3://runs/x", "--jobStore store");
        for (batch, store, options, left, writes) in [
            ("processes", directory, "--writeLogs=logs", LeftLogs::None, true),
            ("processes", bucket, "--writeLogs=logs", LeftLogs::OfFailed, false),
            ("processes", bucket, "--writeLogs=logs --writeLogsFromAllJobs", LeftLogs::All, false),
            ("processes", bucket, "--writeLogs=logs --log-dir logs", LeftLogs::All, false),
            ("processes", bucket, "--writeLogsFromAllJobs", LeftLogs::None, false),
            ("kubernetes", bucket, "--log-dir logs", LeftLogs::All, false),
            (
                "kubernetes",
                "--kubernetesVolume pvc:d:/d --jobStore /d/x",
                "--log-dir /d/logs",
                LeftLogs::All,
                false,
            ),
        ] {
            let line = format!("--batchSystem {batch} {store} {options} w.cwl");
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let parsed = argparse::parse(&words, &|_| false).expect("it is understood");
            let settings = settings::resolve(parsed, &Environment::default(), Path::new("/here"), false);
            let form = WorkerForm::of(&settings.expect("it is valid")).expect("it is made");
            let places = [&form.streams_dir, &form.jobs_dir].iter().any(|dir| dir.is_some());
            assert_eq!((form.left_logs, places), (left, writes), "{line}");
        }
    }
}
