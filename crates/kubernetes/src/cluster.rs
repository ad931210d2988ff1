//! The API server: a client that is patient with it.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use moil_job::failure::{Failure, FailureKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::manifest::{self, SECRETS_KEY};
use crate::names;
use crate::settings::Settings;

/// How long a server that cannot be reached, or that fails, is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// One namespace of a cluster, as a run uses it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// The namespace.
    pub namespace: String,
}

/// What came of making a Job.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// It is there.
    Done,
    /// The namespace has no room now, in the server's words: it can be tried again.
    NoRoom(String),
    /// It will not be made.
    Refused(Box<Failure>),
}

impl Cluster {
    /// Finds the cluster: the context that is named, else that of the kubeconfig, else the pod's own.
    ///
    /// # Errors
    /// There is none, or its configuration cannot be used.
    pub async fn connect(settings: &Settings) -> Result<Self, Failure> {
        let none = |error: &dyn std::fmt::Display| {
            Failure::new(FailureKind::BadInput, "there is no Kubernetes cluster to use")
                .with_cause(error)
                .with_advice("set KUBECONFIG, make ~/.kube/config, or run in a pod with a service account")
        };
        let mut kubeconfig: Option<Kubeconfig> = None;
        for path in &settings.kubeconfigs {
            let next = Kubeconfig::read_from(path).map_err(|error| none(&error))?;
            kubeconfig = Some(match kubeconfig {
                None => next,
                Some(first) => first.merge(next).map_err(|error| none(&error))?,
            });
        }
        let config = match kubeconfig {
            None => Config::incluster().map_err(|error| none(&error))?,
            Some(kubeconfig) => {
                let options = KubeConfigOptions { context: settings.context.clone(), ..Default::default() };
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| none(&error))?
            }
        };
        let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| none(&error))?;
        Ok(Self { client, namespace })
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The pods of the namespace.
    pub fn pods(&self) -> Api<Pod> {
        self.api()
    }

    /// Makes the object that owns all others of a run, so that they outlive the leader and go together; gives the
    /// reference to it.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn own(&self, settings: &Settings) -> Result<Value, Failure> {
        let name = names::of_run(&settings.owner, &settings.run);
        let map = json!({
            "metadata": {"name": name, "labels": manifest::labels(settings)},
            "data": {"store": settings.store},
        });
        let made: ConfigMap = match self.create(&map).await {
            Err(error) if is_conflict(&error) => {
                let api = self.api::<ConfigMap>();
                patient(|| api.get(&name))
                    .await
                    .map_err(|error| self.failure("read the ConfigMap", &name, &error))?
            }
            made => made.map_err(|error| self.failure("make the ConfigMap", &name, &error))?,
        };
        Ok(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made.uid().unwrap_or_default()}),
        )
    }

    /// Removes the object that owns all others of a run, and with it all of them.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn disown(&self, settings: &Settings) -> Result<(), Failure> {
        let name = names::of_run(&settings.owner, &settings.run);
        self.delete::<ConfigMap>(&name).await
    }

    /// The Jobs of a run: the word of the attempt of each, and its name.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn jobs(&self, run: &str) -> Result<Vec<(String, String)>, Failure> {
        let api = self.api::<Job>();
        let parameters = ListParams::default().labels(&selector(run));
        let list = patient(|| api.list(&parameters)).await;
        let list = list.map_err(|error| self.failure("list the Jobs of", run, &error))?;
        let known = |job: &Job| Some((job.annotations().get(names::ATTEMPT)?.clone(), job.name_any()));
        Ok(list
            .items
            .iter()
            .filter(|job| job.metadata.deletion_timestamp.is_none())
            .filter_map(known)
            .collect())
    }

    /// Whether a Job has no pod to come: it is over, or gone.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn is_over(&self, job: &str) -> Result<bool, Failure> {
        let api = self.api::<Job>();
        let found = patient(|| api.get_opt(job)).await;
        let found = found.map_err(|error| self.failure("read the Job", job, &error))?;
        let is_end = |kind: &str| ["Complete", "Failed"].contains(&kind);
        Ok(found.is_none_or(|job| {
            let conditions = job.status.unwrap_or_default().conditions.unwrap_or_default();
            conditions.iter().any(|condition| is_end(&condition.type_) && condition.status == "True")
        }))
    }

    /// Makes a Job. One that is there already is this one, if it was made from the same.
    pub async fn make(&self, job: &Value) -> Created {
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        match self.create::<Job>(job).await {
            Ok(_) => Created::Done,
            Err(error) if is_conflict(&error) => match self.is_same(name, job).await {
                Ok(true) => Created::Done,
                Ok(false) => Created::Refused(Box::new(
                    Failure::new(FailureKind::System, format!("there is another Job {name} already"))
                        .with_advice(format!("remove it: kubectl delete job {name} -n {}", self.namespace)),
                )),
                Err(error) => Created::Refused(Box::new(self.failure("read the Job", name, &error))),
            },
            Err(kube::Error::Api(status))
                if status.code == 403 && status.message.contains("exceeded quota") =>
            {
                Created::NoRoom(status.message.clone())
            }
            Err(error) => Created::Refused(Box::new(self.failure("make the Job", name, &error))),
        }
    }

    async fn is_same(&self, name: &str, job: &Value) -> Result<bool, kube::Error> {
        let api = self.api::<Job>();
        let there = patient(|| api.get(name)).await?;
        let digest = job["metadata"]["annotations"][names::DIGEST].as_str();
        let same = there.annotations().get(names::DIGEST).map(String::as_str) == digest;
        Ok(same && there.metadata.deletion_timestamp.is_none())
    }

    /// Makes the Secret with what the inputs of a job hide.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn keep_secrets(
        &self,
        name: &str,
        text: &str,
        settings: &Settings,
        owner: &Value,
    ) -> Result<(), Failure> {
        let secret = json!({
            "metadata": {"name": name, "labels": manifest::labels(settings), "ownerReferences": [owner]},
            "stringData": {SECRETS_KEY: text},
        });
        match self.create::<Secret>(&secret).await {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Ok(()),
            Err(error) => Err(self.failure("make the Secret", name, &error)),
        }
    }

    /// Removes a Job with its pod.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn remove_job(&self, name: &str) -> Result<(), Failure> {
        self.delete::<Job>(name).await
    }

    /// Removes the Secret of a job.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn forget_secrets(&self, name: &str) -> Result<(), Failure> {
        self.delete::<Secret>(name).await
    }

    async fn create<K>(&self, object: &Value) -> Result<K, kube::Error>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
        let api = self.api::<K>();
        let parameters = PostParams::default();
        patient(|| api.create(&parameters, &object)).await
    }

    async fn delete<K>(&self, name: &str) -> Result<(), Failure>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let api = self.api::<K>();
        let parameters = DeleteParams::background();
        match patient(|| api.delete(name, &parameters)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(self.failure("remove", name, &error)),
            Ok(_) => Ok(()),
        }
    }

    fn failure(&self, doing: &str, what: &str, error: &kube::Error) -> Failure {
        let failure = Failure::new(
            FailureKind::System,
            format!("cannot {doing} {what} in the namespace {}", self.namespace),
        );
        match error {
            kube::Error::Api(status) if status.code == 403 && !status.message.contains("quota") => failure
                .with_cause(&status.message)
                .with_advice("give the user or service account of the leader these rights: docs/kubernetes.md has the Role"),
            kube::Error::Api(status) => failure.with_cause(&status.message),
            error => failure.with_cause(error),
        }
    }
}

/// The selector of all that belongs to a run.
pub fn selector(run: &str) -> String {
    format!("{}={}", names::RUN, names::label(run))
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether a call can be right when it is made again.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Makes a call until it succeeds, or fails in a way that will not pass, or patience is at an end.
async fn patient<T, F, R>(mut call: F) -> Result<T, kube::Error>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, kube::Error>>,
{
    let began = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(250);
    loop {
        match call().await {
            Err(error) if may_pass(&error) && began.elapsed() < PATIENCE => {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            answer => return answer,
        }
    }
}
