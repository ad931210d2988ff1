//! Templates of pods: fields that people set beside or in the place of ours, by the rules of strategic merge patches.

use k8s_openapi::api::core::v1::{PodSecurityContext, PodTemplateSpec, SecurityContext};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::manifest::{CONTAINER, SECRETS_VOLUME};
use crate::names;

/// Fields of the worker's container that moil sets itself, and how people set them.
const CONTAINER_FIELDS: &[(&str, &str)] = &[
    ("command", "the image's entry point is run as it is"),
    ("args", "moil tells the worker what to do"),
    ("image", "it is named by TOIL_APPLIANCE_SELF"),
];

/// Fields of a pod's metadata that can be set.
const METADATA: &[&str] = &["labels", "annotations"];

/// How two lists become one.
enum Lists {
    /// What has the same key is one thing, whose fields are merged.
    Merged(&'static str),
    /// What has the same key takes the place of ours: it can be of another kind.
    Replaced(&'static str),
    /// Both.
    Joined,
    /// The template's counts.
    Whole,
}

fn lists(field: &str) -> Lists {
    match field {
        "containers" | "initContainers" => Lists::Merged("name"),
        "volumes" | "env" | "imagePullSecrets" => Lists::Replaced("name"),
        "volumeMounts" => Lists::Replaced("mountPath"),
        "tolerations" | "envFrom" => Lists::Joined,
        _ => Lists::Whole,
    }
}

/// Objects in which one field says which of the others there may be.
const UNIONS: &[&str] = &["seccompProfile", "appArmorProfile"];

/// Sees that a document is a template that can be used: a pod, or its `metadata` and `spec`. Gives these two.
///
/// # Errors
/// What is wrong, as words to follow the file's name.
pub fn check(document: Value) -> Result<Value, String> {
    let Value::Object(mut document) = document else { return Err("it is no mapping".to_owned()) };
    document.retain(|_, value| !value.is_null());
    if let Some(kind) = document.remove("kind").filter(|kind| kind != "Pod") {
        return Err(format!("its kind is {kind}; a template is a Pod, or its metadata and spec alone"));
    }
    document.remove("apiVersion");
    if document.contains_key("status") {
        return Err("the status of a pod is not set by people".to_owned());
    }
    let mut template = Value::Object(document);
    quantities(&mut template);
    metadata(&template)?;
    spec(&template)?;
    // Without it, it would be no pod; ours are added later.
    let mut whole = template.clone();
    if whole["spec"]["containers"].is_null() {
        whole["spec"]["containers"] = json!([]);
    }
    known_fields::<PodTemplateSpec>("template", without_nulls(whole))?;
    Ok(template)
}

/// Sees that an object is a security context of pods.
///
/// # Errors
/// As [`known_fields`].
pub fn pod_security_context(object: Value) -> Result<Value, String> {
    known_fields::<PodSecurityContext>("security context", object)
}

/// Sees that an object is a security context of containers.
///
/// # Errors
/// As [`known_fields`].
pub fn security_context(object: Value) -> Result<Value, String> {
    known_fields::<SecurityContext>("security context", object)
}

/// Sees that an object has only fields that Kubernetes knows, and gives it back.
///
/// # Errors
/// It has others, or values of other kinds. `what` it is stands in the words.
pub fn known_fields<K: DeserializeOwned + Serialize>(what: &str, object: Value) -> Result<Value, String> {
    let read: K =
        serde_json::from_value(object.clone()).map_err(|error| format!("the {what} is wrong: {error}"))?;
    let written = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    match lost(&object, &written) {
        None => Ok(object),
        Some(path) => {
            Err(format!("the {what} has a field that is not known: {}", path.trim_start_matches('.')))
        }
    }
}

/// Where something is that did not come back from the types of Kubernetes.
fn lost(given: &Value, written: &Value) -> Option<String> {
    match (given, written) {
        (Value::Object(given), Value::Object(written)) => given.iter().find_map(|(key, value)| {
            let inside = match written.get(key) {
                Some(written) => lost(value, written)?,
                None => String::new(),
            };
            Some(format!(".{key}{inside}"))
        }),
        (Value::Array(given), Value::Array(written)) => given
            .iter()
            .zip(written)
            .enumerate()
            .find_map(|(at, (given, written))| Some(format!("[{at}]{}", lost(given, written)?))),
        _ => None,
    }
}

/// `cpu: 2` is written as a number and meant as a quantity.
fn quantities(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match value {
            Value::Object(amounts) if ["limits", "requests"].contains(&name.as_str()) => {
                for amount in amounts.values_mut().filter(|amount| amount.is_number()) {
                    *amount = amount.to_string().into();
                }
            }
            Value::Number(number) if name == "sizeLimit" => *value = number.to_string().into(),
            value => quantities(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(quantities),
        _ => {}
    }
}

fn metadata(template: &Value) -> Result<(), String> {
    let Some(metadata) = template["metadata"].as_object() else { return Ok(()) };
    for (field, value) in metadata.iter().filter(|(_, value)| !value.is_null()) {
        if !METADATA.contains(&field.as_str()) {
            return Err(format!("metadata.{field} cannot be set; {} can", METADATA.join(" and ")));
        }
        for key in value.as_object().into_iter().flat_map(Map::keys) {
            if names::is_own(key) {
                return Err(format!("metadata.{field} has '{key}', which is set by moil or by Kubernetes"));
            }
        }
    }
    Ok(())
}

fn spec(template: &Value) -> Result<(), String> {
    let Some(spec) = template["spec"].as_object() else { return Ok(()) };
    if spec.get("restartPolicy").is_some_and(|policy| policy != "Never") {
        return Err("spec.restartPolicy can only be Never: moil tries again by itself".to_owned());
    }
    let items = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
    if let Some(null) =
        ["containers", "volumes"].into_iter().find(|field| spec.get(*field) == Some(&Value::Null))
    {
        return Err(format!("spec.{null} cannot be taken away"));
    }
    for container in items("containers") {
        match container["name"].as_str() {
            Some(CONTAINER) => {}
            Some(other) => {
                return Err(format!(
                    "it has the container '{other}', but pods have only '{CONTAINER}'; what runs beside it is an init \
                     container with restartPolicy: Always"
                ));
            }
            None => return Err(format!("a container has no name; that of the worker is '{CONTAINER}'")),
        }
        for (field, why) in CONTAINER_FIELDS {
            if container.get(*field).is_some() {
                return Err(format!("{field} of the container '{CONTAINER}' cannot be set: {why}"));
            }
        }
        for field in ["env", "volumeMounts"] {
            if container.get(field) == Some(&Value::Null) {
                return Err(format!("{field} of the container '{CONTAINER}' cannot be taken away"));
            }
        }
    }
    if items("initContainers").any(|container| container["name"] == CONTAINER) {
        return Err(format!("an init container cannot be called '{CONTAINER}'"));
    }
    if items("volumes").any(|volume| volume["name"] == SECRETS_VOLUME) {
        return Err(format!("the volume '{SECRETS_VOLUME}' is moil's own: it holds the secrets of a job"));
    }
    Ok(())
}

/// Merges a template that was checked into a pod's `metadata` and `spec`. A null takes a field away.
pub fn merge(pod: &mut Value, template: &Value) {
    merge_field(pod, template, "");
}

fn merge_field(ours: &mut Value, theirs: &Value, name: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) if !UNIONS.contains(&name) => {
            for (key, value) in theirs {
                if value.is_null() {
                    ours.remove(key);
                } else {
                    merge_field(ours.entry(key).or_insert(Value::Null), value, key);
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => merge_lists(ours, theirs, name),
        (ours, theirs) => *ours = without_nulls(theirs.clone()),
    }
}

fn merge_lists(ours: &mut Vec<Value>, theirs: &[Value], name: &str) {
    let lists = lists(name);
    if matches!(lists, Lists::Whole) {
        ours.clear();
    }
    for item in theirs {
        let same = match lists {
            Lists::Merged(key) | Lists::Replaced(key) => ours.iter_mut().find(|old| old[key] == item[key]),
            Lists::Joined => ours.iter_mut().find(|old| *old == item),
            Lists::Whole => None,
        };
        match (same, &lists) {
            (Some(old), Lists::Merged(_)) => merge_field(old, item, ""),
            (Some(old), _) => *old = without_nulls(item.clone()),
            (None, _) => ours.push(without_nulls(item.clone())),
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"labels": {"moil/run": "r"}, "annotations": {"moil/attempt": "w"}},
            "spec": {
                "restartPolicy": "Never",
                "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "p"}},
                "tolerations": [{"key": "a"}],
                "containers": [{
                    "name": "worker",
                    "args": ["moil"],
                    "env": [{"name": "HOME", "value": "/var/lib/toil"}],
                    "resources": {"limits": {"memory": "1Gi"}},
                    "volumeMounts": [{"name": "work", "mountPath": "/var/lib/toil"}],
                }],
                "volumes": [{"name": "work", "emptyDir": {}}],
            },
        })
    }

    /// The pod after a template, at a place.
    fn merged(template: Value, place: &str) -> Value {
        let mut pod = pod();
        merge(&mut pod, &check(template).unwrap_or_else(|error| panic!("{error}")));
        pod.pointer(place).cloned().unwrap_or(Value::Null)
    }

    #[test]
    fn templates_are_merged_by_the_keys_of_lists() {
        let worker = |fields: Value| {
            let mut container = json!({"name": "worker"});
            merge(&mut container, &fields);
            json!({"spec": {"containers": [container]}})
        };
        let cases = [
            // Maps are merged, values replaced, nulls take away.
            (
                json!({"metadata": {"labels": {"team": "a"}}}),
                "/metadata/labels",
                json!({"moil/run": "r", "team": "a"}),
            ),
            (
                json!({"kind": "Pod", "apiVersion": "v1", "spec": {"hostNetwork": true}}),
                "/spec/hostNetwork",
                json!(true),
            ),
            (json!({"spec": {"tolerations": null}}), "/spec/tolerations", Value::Null),
            (json!({"spec": {"securityContext": null}}), "/spec/securityContext", Value::Null),
            (json!({"metadata": null, "spec": null}), "/spec/restartPolicy", json!("Never")),
            // One kind of profile in the place of another.
            (
                json!({"spec": {"securityContext": {"fsGroup": 7, "seccompProfile": {"type": "Unconfined"}}}}),
                "/spec/securityContext",
                json!({"fsGroup": 7, "seccompProfile": {"type": "Unconfined"}}),
            ),
            // The worker's container is found by its name.
            (
                worker(json!({"resources": {"limits": {"cpu": 2}}})),
                "/spec/containers/0/resources/limits",
                json!({"memory": "1Gi", "cpu": "2"}),
            ),
            (worker(json!({"tty": true})), "/spec/containers/0/args", json!(["moil"])),
            (
                worker(json!({"env": [{"name": "A", "value": "1"}, {"name": "HOME", "value": "/h"}]})),
                "/spec/containers/0/env",
                json!([{"name": "HOME", "value": "/h"}, {"name": "A", "value": "1"}]),
            ),
            (
                worker(json!({"volumeMounts": [{"name": "more", "mountPath": "/more"}]})),
                "/spec/containers/0/volumeMounts",
                json!([{"name": "work", "mountPath": "/var/lib/toil"}, {"name": "more", "mountPath": "/more"}]),
            ),
            // A volume is of one kind only.
            (
                json!({"spec": {"volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "b", "emptyDir": {"sizeLimit": 5}}]}}),
                "/spec/volumes",
                json!([{"name": "work", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "b", "emptyDir": {"sizeLimit": "5"}}]),
            ),
            (
                json!({"spec": {"tolerations": [{"key": "b"}, {"key": "a"}]}}),
                "/spec/tolerations",
                json!([{"key": "a"}, {"key": "b"}]),
            ),
            (
                json!({"spec": {"initContainers": [{"name": "warm", "image": "i"}]}}),
                "/spec/initContainers",
                json!([{"name": "warm", "image": "i"}]),
            ),
            // All other lists are one value.
            (
                json!({"spec": {"securityContext": {"supplementalGroups": [1, 2]}}}),
                "/spec/securityContext/supplementalGroups",
                json!([1, 2]),
            ),
        ];
        for (template, place, expected) in cases {
            assert_eq!(merged(template.clone(), place), expected, "{template} {place}");
        }
    }

    #[test]
    fn what_moil_needs_itself_cannot_be_set() {
        let worker =
            |field: &str, value: Value| json!({"spec": {"containers": [{"name": "worker", field: value}]}});
        let cases = [
            (json!([]), "it is no mapping"),
            (
                json!({"kind": "Job"}),
                "its kind is \"Job\"; a template is a Pod, or its metadata and spec alone",
            ),
            (json!({"status": {}}), "the status of a pod is not set by people"),
            (json!({"metadata": {"name": "x"}}), "metadata.name cannot be set; labels and annotations can"),
            (
                json!({"metadata": {"annotations": {"moil/attempt": "x"}}}),
                "metadata.annotations has 'moil/attempt', which is set by moil or by Kubernetes",
            ),
            (
                json!({"metadata": {"labels": {"job-name": null}}}),
                "metadata.labels has 'job-name', which is set by moil or by Kubernetes",
            ),
            (
                json!({"spec": {"restartPolicy": "OnFailure"}}),
                "spec.restartPolicy can only be Never: moil tries again by itself",
            ),
            (
                worker("command", json!(["sh"])),
                "command of the container 'worker' cannot be set: the image's entry point is run as it is",
            ),
            (
                worker("args", Value::Null),
                "args of the container 'worker' cannot be set: moil tells the worker what to do",
            ),
            (
                worker("image", json!("i")),
                "image of the container 'worker' cannot be set: it is named by TOIL_APPLIANCE_SELF",
            ),
            (worker("env", Value::Null), "env of the container 'worker' cannot be taken away"),
            (
                json!({"spec": {"containers": [{"name": "proxy"}]}}),
                "it has the container 'proxy', but pods have only 'worker'; what runs beside it is an init container with \
                 restartPolicy: Always",
            ),
            (
                json!({"spec": {"containers": [{}]}}),
                "a container has no name; that of the worker is 'worker'",
            ),
            (json!({"spec": {"containers": null}}), "spec.containers cannot be taken away"),
            (
                json!({"spec": {"volumes": [{"name": "job"}]}}),
                "the volume 'job' is moil's own: it holds the secrets of a job",
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(check(template.clone()), Err(expected.to_owned()), "{template}");
        }
    }

    #[test]
    fn fields_that_kubernetes_does_not_know_are_told() {
        let cases = [
            (json!({"speck": {}}), "the template has a field that is not known: speck"),
            (
                json!({"spec": {"nodeSelektor": {}}}),
                "the template has a field that is not known: spec.nodeSelektor",
            ),
            (
                json!({"spec": {"containers": [{"name": "worker", "resources": {"limit": {}}}]}}),
                "the template has a field that is not known: spec.containers[0].resources.limit",
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(check(template.clone()), Err(expected.to_owned()), "{template}");
        }
        let wrong = check(json!({"spec": {"hostNetwork": "yes"}})).expect_err("it is wrong");
        assert!(wrong.starts_with("the template is wrong: "), "{wrong}");
    }
}
