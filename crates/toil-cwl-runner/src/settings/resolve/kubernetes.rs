//! How pods are made, and what they share with the leader.

use std::time::Duration;

use moil_kubernetes::notation;
use moil_kubernetes::settings::{Volume, WORK_DIR};

use super::super::error::SettingsError;
use super::super::{Engine, Kubernetes, Note, Settings, value};
use super::Source;
use crate::argparse::UsageError;
use crate::log::Level;
use crate::yaml;

/// Bytes for the image of a tool, if nothing is said of it.
const IMAGE_DISK: u64 = 4 << 30;

/// How late a worker may begin without looking for its leader.
const ORPHANS: Duration = Duration::from_secs(3600);

impl Source<'_> {
    pub(super) fn kubernetes(&self) -> Result<Kubernetes, UsageError> {
        let volumes = self.all("--kubernetesVolume", notation::volumes)?;
        check_places(&volumes)?;
        Ok(Kubernetes {
            owner: self.owned("--kubernetesOwner"),
            context: self.owned("--kubernetesContext"),
            namespace: self.name("--kubernetesNamespace")?,
            host_path: self.read("--kubernetesHostPath", host_path, None)?,
            service_account: self.name("--kubernetesServiceAccount")?,
            pod_timeout: self.read("--kubernetesPodTimeout", value::seconds, Duration::from_secs(120))?,
            pod_per_job: self.flag("--kubernetesPodPerJob", false),
            pod_idle: self.read("--kubernetesPodIdle", value::seconds, Duration::from_secs(10))?,
            pod_keep: self.read("--kubernetesPodKeep", value::seconds, Duration::ZERO)?,
            orphan_timeout: Some(self.read("--orphanTimeout", value::seconds, ORPHANS)?)
                .filter(|timeout| !timeout.is_zero()),
            privileged: self.flag("--kubernetesPrivileged", false),
            seccomp: self.owned("--kubernetesSeccompProfile"),
            apparmor: self.owned("--kubernetesAppArmorProfile"),
            node_selector: self.all("--kubernetesNodeSelector", notation::labels)?,
            tolerations: self.all("--kubernetesTolerations", tolerations)?,
            priority_class: self.name("--kubernetesPriorityClass")?,
            pull_secrets: self.all("--kubernetesImagePullSecrets", notation::name_list)?,
            secret_environment: self.all("--kubernetesEnvFromSecret", notation::name_list)?,
            volumes,
            job_labels: self.all("--kubernetesJobLabels", notation::job_labels)?,
            queue: self.read("--kubernetesQueueName", |text| notation::label_value(text).map(Some), None)?,
            image_disk: self.read("--kubernetesImageDisk", value::size_from(0), IMAGE_DISK)?,
            preemptible: self.flag("--defaultPreemptible", false),
            pod_template: self.path("--kubernetesPodTemplate"),
            pod_security_context: self.path("--kubernetesPodSecurityContext"),
            security_context: self.path("--kubernetesSecurityContext"),
        })
    }

    fn name(&self, key: &'static str) -> Result<Option<String>, UsageError> {
        self.read(key, |text| notation::name(text).map(Some), None)
    }

    /// All values of an option each of which is a list.
    fn all<T>(
        &self,
        key: &'static str,
        read: impl Fn(&str) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, UsageError> {
        let mut all = Vec::new();
        for given in self.given.every(key) {
            let list = read(&given.value);
            all.extend(list.map_err(|what| UsageError::new(format!("{}: {what}", given.spelled)))?);
        }
        Ok(all)
    }
}

/// Sees that no two things lie at one place in pods.
fn check_places(volumes: &[Volume]) -> Result<(), UsageError> {
    let mut taken = vec![WORK_DIR];
    for Volume { path, .. } in volumes {
        if taken.contains(&path.as_str()) {
            return Err(UsageError::new(format!("--kubernetesVolume: {path} is in use in pods already")));
        }
        taken.push(path);
    }
    Ok(())
}

/// Takes out of the settings what is no place of pods, and refuses what cannot be without it.
pub(super) fn fit(settings: &mut Settings) -> Result<(), SettingsError> {
    let refused =
        |message: String, hint: &str| SettingsError::Refused(UsageError::new(message).with_hint(hint));
    let engine = match &settings.containers.engine {
        Engine::Auto | Engine::Singularity => Engine::Singularity,
        Engine::None => Engine::None,
        Engine::Docker | Engine::Podman | Engine::UserSpace(_) => {
            return Err(refused(
                "with --batchSystem kubernetes containers are run with Apptainer: pods have no other engine"
                    .to_owned(),
                "leave out --docker, --podman, --udocker and --user-space-docker-cmd",
            ));
        }
    };
    settings.containers.engine = engine;
    let pods = &settings.kubernetes;
    if let Some(key) = settings.store.encryption_key.as_deref().filter(|key| !pods.shares(key, false)) {
        return Err(refused(
            format!("pods do not see the key of --sseKey, {}", key.display()),
            "put it in a Secret and give pods that under the same path: --kubernetesVolume secret:NAME:DIRECTORY",
        ));
    }
    if settings.files.caching == Some(true) && settings.kubernetes.host_path.is_none() {
        let text = "--caching: pods of one node have no place for inputs that they share: --kubernetesHostPath names one";
        settings.notes.push(Note { level: Level::Info, text: text.to_owned() });
    }
    if let Some(path) = settings.containers.sandboxes.take_if(|path| !pods.shares(path, false)) {
        let text = format!(
            "--singularity-sandbox-path: pods do not see {}, so there will be no images of theirs",
            path.display()
        );
        settings.notes.push(Note { level: Level::Warning, text });
    }
    Ok(())
}

fn host_path(text: &str) -> Result<Option<String>, String> {
    match text.starts_with('/') {
        true => Ok(Some(text.to_owned())),
        false => Err(format!("'{text}' is no absolute path of the nodes")),
    }
}

fn tolerations(text: &str) -> Result<Vec<serde_json::Value>, String> {
    match text.trim_start().starts_with(['{', '[']) {
        true => notation::toleration_objects(yaml::read("toleration", text)?),
        false => notation::tolerations(text),
    }
}
