//! Asking the API server what it knows of a run's surroundings.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, PostParams};
use serde_json::Value;

use super::pod::manifest;
use super::rights::{self, Binding, Need, RIGHTS, Right, User};
use super::{Check, secret, security};
use crate::cluster::{Cluster, is_gone, is_refused};
use crate::settings::Settings;

const CLUSTER: &str = "cluster";

/// All that can be found out without a pod. Says with it whether one can be made.
pub(super) async fn look(cluster: &Cluster, settings: &Settings) -> (Vec<Check>, bool) {
    let version = match cluster.version().await {
        Ok(version) => version,
        Err(failure) => return (vec![Check::of(CLUSTER, failure)], false),
    };
    let user = who(cluster).await;
    let context = settings.context.as_deref().map(|name| format!(", context {name}")).unwrap_or_default();
    let name = if user.name.is_empty() { "nobody" } else { &user.name };
    let namespace = &cluster.namespace;
    let mut checks =
        vec![Check::ok(CLUSTER, format!("Kubernetes {version}{context}, namespace {namespace}, as {name}"))];
    let (rights, can_make) = rights(cluster, settings, &user).await;
    checks.extend(rights);
    checks.push(level(cluster, settings).await);
    checks.push(secret(cluster, settings).await);
    (checks, can_make)
}

async fn who(cluster: &Cluster) -> User {
    let api: Api<SelfSubjectReview> = cluster.everywhere();
    let asked =
        cluster.patient(|| async { api.create(&PostParams::default(), &SelfSubjectReview::default()).await });
    let info = asked.await.ok().and_then(|review| review.status?.user_info).unwrap_or_default();
    User { name: info.username.unwrap_or_default(), groups: info.groups.unwrap_or_default() }
}

/// Whether we may do something; `None` if the server does not say.
async fn may(cluster: &Cluster, namespace: &str, right: &Right, verb: &str) -> Option<bool> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(right.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = cluster.everywhere();
    let asked = cluster.patient(|| async { api.create(&PostParams::default(), &review).await });
    Some(asked.await.ok()?.status?.allowed)
}

async fn rights(cluster: &Cluster, settings: &Settings, user: &User) -> (Vec<Check>, bool) {
    let namespace = &cluster.namespace;
    let mut found: Vec<(&Right, Option<Vec<&str>>)> = Vec::new();
    for right in RIGHTS {
        let mut missing = Some(Vec::new());
        for verb in right.verbs {
            match (may(cluster, namespace, right, verb).await, &mut missing) {
                (Some(false), Some(missing)) => missing.push(*verb),
                (None, missing) => *missing = None,
                _ => {}
            }
        }
        found.push((right, missing));
    }
    let is_missing =
        |missing: &Option<Vec<&str>>| missing.as_ref().is_some_and(|missing| !missing.is_empty());
    let first = found.iter().find_map(|(right, missing)| {
        (right.need == Need::Always && is_missing(missing))
            .then(|| Some((*right, *missing.as_ref()?.first()?)))?
    });
    let mut why = None;
    if let Some((right, verb)) = first {
        let mut others = Vec::new();
        for other in candidates(user) {
            if other != *namespace && may(cluster, &other, right, verb).await == Some(true) {
                others.push(other);
            }
        }
        why = rights::misplaced(user, namespace, &bindings(cluster).await, &others);
    }
    let checks = found
        .iter()
        .map(|(right, missing)| match missing {
            Some(missing) => rights::check(right, missing, settings, namespace, why.as_deref()),
            None => Check::unknown(&format!("rights: {}", right.resource), "the API server does not say"),
        })
        .collect();
    // What is made is a ConfigMap and a Job; what comes of it is read of the pod and its log.
    let can_make = found
        .iter()
        .all(|(right, missing)| !matches!(right.need, Need::Always | Need::Logs) || !is_missing(missing));
    (checks, can_make)
}

/// Namespaces where rights may have been given by mistake.
fn candidates(user: &User) -> Vec<String> {
    let own = user.account().map(|(namespace, _)| namespace.to_owned());
    own.into_iter().chain(["default".to_owned()]).collect()
}

/// The RoleBindings that we may see: of all namespaces, or of ours.
async fn bindings(cluster: &Cluster) -> Vec<Binding> {
    let parameters = ListParams::default();
    let all: Api<RoleBinding> = cluster.everywhere();
    let list = match all.list(&parameters).await {
        Ok(list) => list.items,
        Err(_) => {
            cluster.api::<RoleBinding>().list(&parameters).await.map(|list| list.items).unwrap_or_default()
        }
    };
    list.into_iter()
        .map(|binding| Binding {
            namespace: binding.namespace().unwrap_or_default(),
            name: binding.name_any(),
            role: binding.role_ref.name.clone(),
            subjects: binding
                .subjects
                .unwrap_or_default()
                .into_iter()
                .map(|subject| (subject.kind, subject.name, subject.namespace))
                .collect(),
        })
        .collect()
}

async fn level(cluster: &Cluster, settings: &Settings) -> Check {
    const TITLE: &str = "Pod Security";
    let api: Api<Namespace> = cluster.everywhere();
    match cluster.patient(|| async { api.get(&cluster.namespace).await }).await {
        Ok(namespace) => {
            let level = namespace.labels().get(security::LABEL).map(String::as_str);
            let job = manifest(settings, &Value::Null);
            security::check(level, &job["spec"]["template"])
        }
        Err(error) if is_gone(&error) => Check::failed(
            TITLE,
            format!("there is no namespace {}", cluster.namespace),
            "make it, or name another one with --kubernetesNamespace",
        ),
        Err(_) => {
            Check::unknown(TITLE, "the leader may not read its namespace, and need not; a pod will show")
        }
    }
}

async fn secret(cluster: &Cluster, settings: &Settings) -> Check {
    let Some(name) = &settings.aws_secret else {
        let found = "TOIL_AWS_SECRET_NAME is not set: for a job store in S3 pods need a role of their own (IRSA, pod identity)";
        return Check::unknown("Secret for AWS", found);
    };
    match cluster.patient(|| async { cluster.api::<Secret>().get(name).await }).await {
        Ok(secret) => {
            let files: Vec<(String, String)> = secret
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(file, bytes)| (file, String::from_utf8_lossy(&bytes.0).into_owned()))
                .collect();
            secret::check(name, &cluster.namespace, &files)
        }
        Err(error) if is_gone(&error) => secret::missing(name, &cluster.namespace),
        Err(error) if is_refused(&error) => Check::unknown(
            &secret::title(name),
            "the leader may not read Secrets, and need not; a pod will show whether it opens the job store",
        ),
        Err(error) => Check::unknown(&secret::title(name), error.to_string()),
    }
}
