//! The API server: a client that is patient with it.

mod errors;
pub mod keeping;
pub mod removal;

use std::collections::HashSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher;
use kube::{Client, Config, ResourceExt as _};
use moil_job::failure::{Failure, FailureKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use self::errors::{attach_refused, is_answer, is_refused};
use self::errors::{is_conflict, is_unauthorized, passes};
pub use self::errors::{is_forbidden, is_gone, is_over_for_now, silence, words};
use crate::events;
use crate::manifest::{self, SECRETS_KEY};
use crate::names;
use crate::outcome::{Standing, standing};
use crate::settings::Settings;

/// How long a server is waited for that cannot be reached, that fails, or that does not know the leader any more: pods go
/// on meanwhile.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How long one answer is waited for: a connection may be gone without a word.
const ANSWER: Duration = Duration::from_secs(120);

/// The same before it has ever answered.
const FIRST_PATIENCE: Duration = Duration::from_secs(20);

/// How long rights may be missing that a run cannot do without: they may have been given a moment ago.
pub(crate) const REFUSED: Duration = Duration::from_secs(30);

/// What to do where rights are missing.
const RIGHTS: &str =
    "give the user or service account of the leader the rights of examples/kubernetes/leader-role.yaml";

/// After how long that is said.
const SILENCE: Duration = Duration::from_secs(2);

/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What the API server is told of who asks.
const AGENT: &str = concat!("moil/", env!("CARGO_PKG_VERSION"));

/// One namespace of a cluster, as a run uses it. Clones share the connection.
#[derive(Clone)]
pub struct Cluster {
    link: Arc<Link>,
    /// The namespace.
    pub namespace: String,
}

/// The connection, and what it was made of.
struct Link {
    client: RwLock<Client>,
    kubeconfigs: Vec<PathBuf>,
    context: Option<String>,
    /// What was in these files.
    read: Mutex<Vec<Vec<u8>>>,
    /// The server has answered.
    has_answered: AtomicBool,
    /// It was said that it does not, and why.
    said: Mutex<Option<Silence>>,
    /// What was complained of, by what such complaints have in common.
    complaints: Mutex<HashSet<String>>,
    warn: Arc<dyn Fn(String) + Send + Sync>,
}

/// Why nothing comes of what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The server cannot be reached, or fails.
    NoAnswer,
    /// It does not know us any more.
    Stranger,
    /// A right is missing.
    Forbidden,
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
    /// Finds the cluster: the context that is named, else that of the kubeconfig, else the pod's own. `warn` is told when
    /// the server is silent, and when it answers again.
    ///
    /// # Errors
    /// There is none, or its configuration cannot be used.
    pub async fn connect(
        settings: &Settings,
        warn: Arc<dyn Fn(String) + Send + Sync>,
    ) -> Result<Self, Failure> {
        let read = contents(&settings.kubeconfigs);
        let config = config(&settings.kubeconfigs, settings.context.as_deref()).await?;
        let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| no_cluster(&error))?;
        let link = Link {
            client: RwLock::new(client),
            kubeconfigs: settings.kubeconfigs.clone(),
            context: settings.context.clone(),
            read: Mutex::new(read),
            has_answered: AtomicBool::new(false),
            said: Mutex::new(None),
            complaints: Mutex::new(HashSet::new()),
            warn,
        };
        Ok(Self { link: Arc::new(link), namespace })
    }

    /// Reads the configuration anew, since the server does not know us any more. Says whether there is another one now.
    pub async fn renew(&self) -> bool {
        let read = contents(&self.link.kubeconfigs);
        if *self.link.read.lock().unwrap_or_else(PoisonError::into_inner) == read {
            return false;
        }
        let Ok(config) = config(&self.link.kubeconfigs, self.link.context.as_deref()).await else {
            return false;
        };
        let Ok(client) = Client::try_from(config) else { return false };
        *self.link.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        *self.link.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        true
    }

    fn client(&self) -> Client {
        self.link.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.namespace)
    }

    /// Objects that belong to no namespace, or those of all.
    pub(crate) fn everywhere<K>(&self) -> Api<K>
    where
        K: kube::Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client())
    }

    /// The version of the cluster, in its own words.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn version(&self) -> Result<String, Failure> {
        let version = self.patient(|| async { self.client().apiserver_version().await }).await;
        version.map(|version| version.git_version).map_err(|error| match is_unauthorized(&error) {
            true => Failure::new(FailureKind::BadInput, "the API server does not know us")
                .with_cause(error)
                .with_advice(
                    "renew the credentials where KUBECONFIG says, or choose another --kubernetesContext",
                ),
            false => Failure::new(FailureKind::System, "the API server cannot be asked")
                .with_cause(error)
                .with_advice("check the network, and the address in the kubeconfig"),
        })
    }

    /// The pods of the namespace.
    pub fn pods(&self) -> Api<Pod> {
        self.api()
    }

    /// The Jobs of the namespace.
    pub fn jobs(&self) -> Api<Job> {
        self.api()
    }

    /// What Kubernetes tells of the objects of the namespace.
    pub fn events(&self) -> Api<Event> {
        self.api()
    }

    /// Whether the container of a pod has ended, or the pod is gone.
    pub async fn has_stopped(&self, pod: &str) -> bool {
        let found = self.patient(|| async { self.pods().get_opt(pod).await }).await;
        found.is_ok_and(|found| {
            found.is_none_or(|pod| matches!(standing(&pod), Standing::Ended(_) | Standing::EndedItself(_)))
        })
    }

    /// The server has answered.
    pub fn answers(&self) {
        self.link.has_answered.store(true, Ordering::Relaxed);
        // That it refuses something else is as true as before.
        if self.said().take_if(|silence| *silence != Silence::Forbidden).is_some() {
            (self.link.warn)("the API server answers again".to_owned());
        }
    }

    /// It does not, or not to us: says so, once.
    pub fn is_silent(&self, silence: Silence, error: &dyn std::fmt::Display) {
        if self.said().replace(silence) == Some(silence) {
            return;
        }
        let why = match silence {
            Silence::Stranger => {
                "the API server does not take the leader's credentials any more: renew them where KUBECONFIG says"
            }
            Silence::Forbidden => "the API server refuses what the leader must see",
            Silence::NoAnswer => "the API server does not answer",
        };
        (self.link.warn)(match silence {
            Silence::Forbidden => {
                format!("{why}; it is tried again for {} seconds: {error}; {RIGHTS}", REFUSED.as_secs())
            }
            _ => format!("{why}; it is tried again for {} minutes: {error}", PATIENCE.as_secs() / 60),
        });
    }

    fn said(&self) -> MutexGuard<'_, Option<Silence>> {
        self.link.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of something that could not be done, and that stops nothing; of several for one reason only the first.
    pub fn complain(&self, failure: &Failure) {
        let cause = failure.cause.as_deref().unwrap_or(&failure.message);
        let mut complaints = self.link.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.insert(events::gist(cause).to_owned()) {
            let parts = [Some(&failure.message), failure.cause.as_ref(), failure.advice.as_ref()];
            let words: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            (self.link.warn)(words.join(": "));
        }
    }

    /// Why a run cannot go on that may not watch what it has made.
    pub fn may_not_watch(&self, error: &watcher::Error) -> Failure {
        let message = format!("what runs in the namespace {} cannot be watched", self.namespace);
        Failure::new(FailureKind::Refused, message).with_cause(words(error)).with_advice(RIGHTS)
    }

    /// Makes a call until it succeeds, or fails in a way that will not pass, or patience is at an end.
    pub(crate) async fn patient<T, F, R>(&self, mut call: F) -> Result<T, kube::Error>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<T, kube::Error>>,
    {
        let link = &self.link;
        let began = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            let answer = tokio::time::timeout(ANSWER, call()).await;
            let error = match answer.unwrap_or_else(|_| Err(kube::Error::Service("no answer".into()))) {
                Err(error) if passes(&error).is_some() => error,
                answer => {
                    self.answers();
                    return answer;
                }
            };
            let has_answered = link.has_answered.load(Ordering::Relaxed);
            let (silence, patience) = match is_unauthorized(&error) {
                true if !has_answered => return Err(error),
                true => (Silence::Stranger, PATIENCE),
                false => (Silence::NoAnswer, if has_answered { PATIENCE } else { FIRST_PATIENCE }),
            };
            let is_stranger = silence == Silence::Stranger;
            if began.elapsed() >= patience {
                return Err(error);
            }
            if is_stranger && self.renew().await {
                continue;
            }
            if is_stranger || began.elapsed() > SILENCE {
                self.is_silent(silence, &error);
            }
            tokio::time::sleep(passes(&error).flatten().unwrap_or(pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
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
            Err(error) if is_conflict(&error) => self
                .patient(|| self.get::<ConfigMap>(&name))
                .await
                .map_err(|error| self.failure("read the ConfigMap", &name, &error))?,
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
    pub async fn known(&self, run: &str) -> Result<Vec<(String, String)>, Failure> {
        let parameters = ListParams::default().labels(&selector(run));
        let list = self.patient(|| async { self.jobs().list(&parameters).await }).await;
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
        let found = self.patient(|| async { self.jobs().get_opt(job).await }).await;
        let found = found.map_err(|error| self.failure("read the Job", job, &error))?;
        Ok(found.is_none_or(|job| has_ended(&job)))
    }

    /// Makes a Job. One that is there already is this one, if it was made from the same.
    pub async fn make(&self, job: &Value) -> Created {
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        match self.create::<Job>(job).await {
            Ok(_) => Created::Done,
            Err(error) if is_conflict(&error) => match self.is_same(name, job).await {
                Ok(true) => Created::Done,
                Ok(false) => Created::Refused(Box::new(
                    Failure::new(FailureKind::Refused, format!("there is another Job {name} already"))
                        .with_advice(format!("remove it: kubectl delete job {name} -n {}", self.namespace)),
                )),
                Err(error) => Created::Refused(Box::new(self.failure("read the Job", name, &error))),
            },
            Err(kube::Error::Api(status))
                if status.code == 403 && status.message.contains("exceeded quota") =>
            {
                Created::NoRoom(status.message.clone())
            }
            Err(error) => {
                let mut failure = self.failure("make the Job", name, &error);
                if matches!(error, kube::Error::Api(status) if status.code < 500) {
                    failure.kind = FailureKind::Refused;
                }
                Created::Refused(Box::new(failure))
            }
        }
    }

    async fn is_same(&self, name: &str, job: &Value) -> Result<bool, kube::Error> {
        let there = self.patient(|| self.get::<Job>(name)).await?;
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

    async fn get<K>(&self, name: &str) -> Result<K, kube::Error>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        self.api::<K>().get(name).await
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
        let (object, parameters) = (&object, PostParams::default());
        self.patient(|| async { self.api::<K>().create(&parameters, object).await }).await
    }

    /// Changes those fields of an object that are given.
    async fn change<K>(&self, name: &str, change: &Value) -> Result<K, kube::Error>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let (parameters, change) = (PatchParams::default(), Patch::Merge(change));
        self.patient(|| async { self.api::<K>().patch(name, &parameters, &change).await }).await
    }

    async fn delete<K>(&self, name: &str) -> Result<(), Failure>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        self.delete_version::<K>(name, None).await.map(drop)
    }

    /// Removes an object, if it is still of a version; says whether it is gone.
    async fn delete_version<K>(&self, name: &str, version: Option<String>) -> Result<bool, Failure>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let conditions = version.map(|version| Preconditions { resource_version: Some(version), uid: None });
        let is_conditional = conditions.is_some();
        let parameters = DeleteParams { preconditions: conditions, ..DeleteParams::background() };
        match self.patient(|| async { self.api::<K>().delete(name, &parameters).await }).await {
            Err(error) if is_conflict(&error) && is_conditional => Ok(false),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
            Err(error) => Err(self.failure("remove", name, &error)),
            Ok(_) => Ok(true),
        }
    }

    pub(crate) fn failure(&self, doing: &str, what: &str, error: &kube::Error) -> Failure {
        let failure = Failure::new(
            FailureKind::System,
            format!("cannot {doing} {what} in the namespace {}", self.namespace),
        );
        match error {
            kube::Error::Api(status) if status.code == 403 && !status.message.contains("quota") => {
                failure.with_cause(&status.message).with_advice(RIGHTS)
            }
            kube::Error::Api(status) => failure.with_cause(&status.message),
            error => failure.with_cause(error),
        }
    }
}

/// The selector of all that belongs to a run.
pub fn selector(run: &str) -> String {
    format!("{}={}", names::RUN, names::label(run))
}

/// Whether a Job is over.
pub fn has_ended(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_end = |kind: &str| ["Complete", "Failed"].contains(&kind);
    conditions.into_iter().flatten().any(|condition| is_end(&condition.type_) && condition.status == "True")
}

fn contents(files: &[PathBuf]) -> Vec<Vec<u8>> {
    files.iter().map(|file| std::fs::read(file).unwrap_or_default()).collect()
}

fn no_cluster(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::BadInput, "there is no Kubernetes cluster to use")
        .with_cause(error)
        .with_advice("set KUBECONFIG, make ~/.kube/config, or run in a pod with a service account")
}

async fn config(kubeconfigs: &[PathBuf], context: Option<&str>) -> Result<Config, Failure> {
    let mut kubeconfig: Option<Kubeconfig> = None;
    for path in kubeconfigs {
        let next = Kubeconfig::read_from(path).map_err(|error| no_cluster(&error))?;
        kubeconfig = Some(match kubeconfig {
            None => next,
            Some(first) => first.merge(next).map_err(|error| no_cluster(&error))?,
        });
    }
    let mut config = match kubeconfig {
        None => Config::incluster().map_err(|error| no_cluster(&error))?,
        Some(kubeconfig) => {
            let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| no_cluster(&error))?
        }
    };
    // Administrators see in their logs who it is.
    if let (Ok(name), Ok(value)) = ("user-agent".parse(), AGENT.parse()) {
        config.headers.push((name, value));
    }
    Ok(config)
}
