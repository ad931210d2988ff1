//! What people write about pods on a command line: taken apart, and checked by the rules of Kubernetes before anything
//! runs. Every function gives what is wrong as words to follow the option's name.

use k8s_openapi::api::core::v1::Toleration;
use serde_json::{Value, json};

use crate::names;
use crate::settings::{Volume, VolumeSource};
use crate::template;

/// What a taint may do to a pod.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The name of an object: of a Secret, a priority class, a service account.
///
/// # Errors
/// It is none.
pub fn name(text: &str) -> Result<String, String> {
    match names::is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "'{text}' is no name in Kubernetes: these have lower-case letters, digits, hyphens and dots, and begin and end \
             with a letter or digit"
        )),
    }
}

/// Names of objects, separated by commas.
///
/// # Errors
/// One of them is none.
pub fn name_list(text: &str) -> Result<Vec<String>, String> {
    parts(text).map(name).collect()
}

/// Labels as `KEY=VALUE`, separated by commas.
///
/// # Errors
/// One of them has no value, or is against the rules.
pub fn labels(text: &str) -> Result<Vec<(String, String)>, String> {
    parts(text)
        .map(|part| {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("'{part}' is not KEY=VALUE"))?;
            key_is_right(key)?;
            value_is_right(value)?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Labels for Jobs and pods: those that moil sets itself cannot be had.
///
/// # Errors
/// One of them is moil's own, or against the rules.
pub fn job_labels(text: &str) -> Result<Vec<(String, String)>, String> {
    let labels = labels(text)?;
    match labels.iter().find(|(key, _)| names::is_own(key)) {
        Some((key, _)) => Err(format!("the label '{key}' is set by moil or by Kubernetes")),
        None => Ok(labels),
    }
}

/// The value of a label, such as the name of a queue.
///
/// # Errors
/// It is none.
pub fn label_value(text: &str) -> Result<String, String> {
    value_is_right(text)?;
    Ok(text.to_owned())
}

/// Tolerations as `KEY[=VALUE][:EFFECT]`, separated by commas; `*` stands for all keys.
///
/// # Errors
/// One of them is against the rules.
pub fn tolerations(text: &str) -> Result<Vec<Value>, String> {
    parts(text)
        .map(|part| {
            let (taint, effect) = match part.rsplit_once(':') {
                Some((taint, effect)) if EFFECTS.contains(&effect) => (taint, Some(effect)),
                Some((_, effect)) => {
                    return Err(format!("'{effect}' in '{part}' is none of {}", EFFECTS.join(", ")));
                }
                None => (part, None),
            };
            let mut toleration = match taint.split_once('=') {
                Some((key, value)) => {
                    key_is_right(key)?;
                    value_is_right(value)?;
                    json!({"key": key, "operator": "Equal", "value": value})
                }
                None if taint == "*" => json!({"operator": "Exists"}),
                None => {
                    key_is_right(taint)?;
                    json!({"key": taint, "operator": "Exists"})
                }
            };
            if let Some(effect) = effect {
                toleration["effect"] = effect.into();
            }
            Ok(toleration)
        })
        .collect()
}

/// Tolerations as an object of Kubernetes or a list of these.
///
/// # Errors
/// It is something else.
pub fn toleration_objects(value: Value) -> Result<Vec<Value>, String> {
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    list.into_iter()
        .map(|one| {
            let one = template::known_fields::<Toleration>("toleration", one)?;
            match one["effect"].as_str() {
                Some(effect) if !EFFECTS.contains(&effect) => {
                    Err(format!("the effect '{effect}' is none of {}", EFFECTS.join(", ")))
                }
                _ => Ok(one),
            }
        })
        .collect()
}

/// Volumes as `SOURCE:DIRECTORY[:ro]`, separated by commas.
///
/// # Errors
/// One of them is against the rules.
pub fn volumes(text: &str) -> Result<Vec<Volume>, String> {
    parts(text).map(volume).collect()
}

fn volume(text: &str) -> Result<Volume, String> {
    let wrong =
        |what: &str| format!("'{text}' {what}: it is written SOURCE:DIRECTORY[:ro], such as pvc:data:/data");
    let (rest, mode) = match text.rsplit_once(':') {
        Some((rest, mode @ ("ro" | "rw"))) => (rest, Some(mode)),
        _ => (text, None),
    };
    let (source, path) = rest.rsplit_once(':').ok_or_else(|| wrong("is no volume"))?;
    if !path.starts_with('/') || path == "/" || path.split('/').any(|part| part == "..") {
        return Err(wrong("has no absolute directory of the pod"));
    }
    let source = match source.split_once(':') {
        _ if source.starts_with('/') => VolumeSource::HostPath(source.to_owned()),
        Some(("hostPath", path)) if path.starts_with('/') => VolumeSource::HostPath(path.to_owned()),
        Some(("pvc", claim)) => VolumeSource::Claim(name(claim)?),
        Some(("secret", secret)) => VolumeSource::Secret(name(secret)?),
        Some(("configMap", map)) => VolumeSource::ConfigMap(name(map)?),
        _ => {
            return Err(wrong(
                "has an unknown source (known are an absolute path of the nodes, pvc:NAME, secret:NAME, configMap:NAME)",
            ));
        }
    };
    let always_read_only = matches!(source, VolumeSource::Secret(_) | VolumeSource::ConfigMap(_));
    if always_read_only && mode == Some("rw") {
        return Err(wrong("cannot be written to"));
    }
    let path = path.trim_end_matches('/').to_owned();
    Ok(Volume { source, path, read_only: always_read_only || mode == Some("ro") })
}

/// What stands between commas; of nothing, nothing.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn key_is_right(key: &str) -> Result<(), String> {
    match names::is_label_key(key) {
        true => Ok(()),
        false => Err(format!("'{key}' cannot be the key of a label or taint")),
    }
}

fn value_is_right(value: &str) -> Result<(), String> {
    match names::is_label_value(value) {
        true => Ok(()),
        false => Err(format!("'{value}' cannot be the value of a label or taint")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(labels(""), Ok(Vec::new()));
        assert_eq!(
            labels("disk=ssd, topology.kubernetes.io/zone=a_1.b,empty="),
            pairs(&[("disk", "ssd"), ("topology.kubernetes.io/zone", "a_1.b"), ("empty", "")])
        );
        assert_eq!(labels("disk"), Err("'disk' is not KEY=VALUE".to_owned()));
        for wrong in ["=x", "a b=x", "-a=x", "a/b/c=x", "A.b/c=x", "/c=x"] {
            assert!(labels(wrong).is_err_and(|what| what.contains("cannot be the key")), "{wrong}");
        }
        for wrong in ["a=b c", "a=-b", "a=b=c"] {
            assert!(labels(wrong).is_err_and(|what| what.contains("cannot be the value")), "{wrong}");
        }
    }

    #[test]
    fn labels_of_moil_and_kubernetes_cannot_be_given() {
        assert_eq!(job_labels("team=genomes"), pairs(&[("team", "genomes")]));
        for own in [
            "moil/run=x",
            "toil_run=x",
            "app.kubernetes.io/name=x",
            "job-name=x",
            "batch.kubernetes.io/job-name=x",
        ] {
            assert!(
                job_labels(own).is_err_and(|what| what.contains("is set by moil or by Kubernetes")),
                "{own}"
            );
        }
    }

    #[test]
    fn tolerations_have_a_short_form() {
        let check = |text: &str, expected: Value| assert_eq!(tolerations(text), Ok(vec![expected]), "{text}");
        check("gpu", json!({"key": "gpu", "operator": "Exists"}));
        check("gpu:NoSchedule", json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}));
        check(
            "example.com/team=a:NoExecute",
            json!({"key": "example.com/team", "operator": "Equal", "value": "a", "effect": "NoExecute"}),
        );
        check("team=", json!({"key": "team", "operator": "Equal", "value": ""}));
        check("*", json!({"operator": "Exists"}));
        check("*:NoSchedule", json!({"operator": "Exists", "effect": "NoSchedule"}));
        assert_eq!(tolerations("a,b").map(|list| list.len()), Ok(2));
        assert_eq!(
            tolerations("gpu:Never"),
            Err("'Never' in 'gpu:Never' is none of NoSchedule, PreferNoSchedule, NoExecute".to_owned())
        );
        assert!(tolerations("a b").is_err());
        assert!(tolerations(":NoSchedule").is_err());
    }

    #[test]
    fn tolerations_may_be_objects() {
        let one = json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60});
        assert_eq!(toleration_objects(one.clone()), Ok(vec![one.clone()]));
        assert_eq!(toleration_objects(json!([one, one])).map(|list| list.len()), Ok(2));
        assert_eq!(
            toleration_objects(json!({"keys": "gpu"})),
            Err("the toleration has a field that is not known: keys".to_owned())
        );
        assert!(toleration_objects(json!({"effect": "Never"})).is_err());
        assert!(toleration_objects(json!("gpu")).is_err());
    }

    #[test]
    fn volumes_have_a_source_and_a_directory() {
        let check = |text: &str, source: VolumeSource, path: &str, read_only: bool| {
            assert_eq!(
                volumes(text),
                Ok(vec![Volume { source, path: path.to_owned(), read_only }]),
                "{text}"
            );
        };
        check("/mnt/data:/data", VolumeSource::HostPath("/mnt/data".into()), "/data", false);
        check("hostPath:/mnt/data:/data:ro", VolumeSource::HostPath("/mnt/data".into()), "/data", true);
        check("pvc:data:/data/", VolumeSource::Claim("data".into()), "/data", false);
        check("pvc:data:/data:rw", VolumeSource::Claim("data".into()), "/data", false);
        check("secret:licence:/opt/licence", VolumeSource::Secret("licence".into()), "/opt/licence", true);
        check("configMap:ref.conf:/etc/ref", VolumeSource::ConfigMap("ref.conf".into()), "/etc/ref", true);
        assert_eq!(volumes("pvc:a:/a,pvc:b:/b").map(|list| list.len()), Ok(2));
        for wrong in [
            "/data",
            "pvc:data",
            "pvc:data:data",
            "pvc:data:/",
            "pvc:Data:/data",
            "nfs:data:/data",
            "data:/data",
            "secret:licence:/x:rw",
            "pvc:data:/data/../etc",
            "hostPath:data:/data",
        ] {
            assert!(volumes(wrong).is_err(), "{wrong}");
        }
    }
}
