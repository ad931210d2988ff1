//! The level of Pod Security of a namespace, against what our pods ask for.
//!
//! The rules are those of the Pod Security Standards, as far as a pod of ours can break them.

use serde_json::Value;

use super::Check;

/// The label of a namespace with the level that is enforced.
pub const LABEL: &str = "pod-security.kubernetes.io/enforce";

const TITLE: &str = "Pod Security";

/// Capabilities that the level baseline lets containers have.
const BASELINE_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What volumes may be at the level restricted.
const RESTRICTED_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What is told: `level` is that of the namespace, `pod` the template of our pods, with metadata and spec.
pub fn check(level: Option<&str>, pod: &Value) -> Check {
    let Some(level) = level.filter(|level| *level != "privileged") else {
        return Check::ok(TITLE, "the namespace takes any pod");
    };
    let (mut what, mut how): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for (rule, option) in violations(level == "restricted", pod) {
        what.push(rule);
        if !how.contains(&option) {
            how.push(option);
        }
    }
    if what.is_empty() {
        return Check::ok(TITLE, format!("level {level}, and pods keep to it"));
    }
    Check::failed(
        TITLE,
        format!("the namespace enforces the level {level}, and pods would have: {}", what.join("; ")),
        format!(
            "let the namespace be {LABEL}=privileged, or change {} (at these levels tools with images cannot run, unless \
             --kubernetesSeccompProfile names a profile of the nodes that lets them make user namespaces)",
            how.join(", ")
        ),
    )
}

/// What a level forbids, and the option that has to do with it.
fn violations(restricted: bool, pod: &Value) -> Vec<(String, &'static str)> {
    let spec = &pod["spec"];
    let mut found = Vec::new();
    let mut forbid = |is_so: bool, what: String, option| {
        if is_so {
            found.push((what, option));
        }
    };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        forbid(spec[field] == true, field.to_owned(), "--kubernetesPodTemplate");
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let name = volume["name"].as_str().unwrap_or_default();
        let option = match name {
            "work" => "--kubernetesHostPath",
            name if name.starts_with("volume-") => "--kubernetesVolume",
            _ => "--kubernetesPodTemplate",
        };
        let kinds = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        for kind in kinds.filter(|key| *key != "name") {
            let is_so = kind == "hostPath" || (restricted && !RESTRICTED_VOLUMES.contains(&kind));
            forbid(is_so, format!("the {kind} volume {name}"), option);
        }
    }
    let whole = &spec["securityContext"];
    let annotations = pod["metadata"]["annotations"].as_object();
    let containers = ["initContainers", "containers"];
    let containers = containers.into_iter().flat_map(|list| spec[list].as_array().into_iter().flatten());
    for container in containers {
        let name = container["name"].as_str().unwrap_or_default();
        // The one that opens a directory of the node to users.
        let context_option =
            if name == "share" { "--kubernetesHostPath" } else { "--kubernetesSecurityContext" };
        let own = &container["securityContext"];
        let either = |field: &str| if own[field].is_null() { &whole[field] } else { &own[field] };
        let of = |what: &str| format!("{what} in {name}");
        forbid(own["privileged"] == true, of("privileged"), "--kubernetesPrivileged");
        let seccomp = either("seccompProfile")["type"].as_str();
        forbid(
            seccomp == Some("Unconfined") || (restricted && seccomp.is_none()),
            of("no seccomp profile"),
            "--kubernetesSeccompProfile",
        );
        let beta = format!("container.apparmor.security.beta.kubernetes.io/{name}");
        let beta = annotations.and_then(|annotations| annotations.get(&beta));
        forbid(
            either("appArmorProfile")["type"] == "Unconfined"
                || beta.is_some_and(|profile| profile == "unconfined"),
            of("AppArmor unconfined"),
            "--kubernetesAppArmorProfile",
        );
        forbid(
            own["procMount"].as_str().is_some_and(|kind| kind != "Default"),
            of("procMount"),
            context_option,
        );
        let list = |field: &str| own["capabilities"][field].as_array().into_iter().flatten();
        let allowed = if restricted { &["NET_BIND_SERVICE"][..] } else { BASELINE_CAPABILITIES };
        for capability in list("add").filter_map(Value::as_str) {
            forbid(
                !allowed.contains(&capability),
                of(&format!("the capability {capability}")),
                context_option,
            );
        }
        let ports = container["ports"].as_array().into_iter().flatten();
        forbid(
            ports.into_iter().any(|port| port["hostPort"].is_u64()),
            of("a host port"),
            "--kubernetesPodTemplate",
        );
        if restricted {
            forbid(own["allowPrivilegeEscalation"] != false, of("allowPrivilegeEscalation"), context_option);
            forbid(
                !list("drop").any(|drop| drop == "ALL"),
                of("capabilities that are not dropped"),
                context_option,
            );
            let root = either("runAsNonRoot") != true || either("runAsUser") == 0;
            let option = if name == "share" { context_option } else { "--kubernetesPodSecurityContext" };
            forbid(root, of("no runAsNonRoot, or root"), option);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::manifest::{self, Order};
    use crate::settings::Settings;
    use moil_job::resources::Resources;
    use serde_json::json;

    fn pod(settings: &Settings) -> Value {
        let granted = Resources { cores: 1.0, ram_mib: 1, tmpdir_mib: 1, outdir_mib: 1, gpus: 0 };
        let order = Order {
            serves: None,
            word: "w",
            step: "s",
            granted: &granted,
            secrets: None,
            avoid: &[],
            inputs: 0,
            has_image: false,
            preemptible: None,
            late: None,
        };
        manifest::job(&order, settings, &Value::Null)["spec"]["template"].clone()
    }

    /// Settings, with the options that the levels baseline and restricted want changed.
    type Case = (Settings, &'static [&'static str], &'static [&'static str]);

    #[test]
    fn each_level_names_the_options_that_break_it() {
        let plain = Settings::new("o", "r", "s", "i", Vec::new());
        let tame = Settings {
            pod_security_context: Some(
                json!({"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}),
            ),
            ..plain.clone()
        };
        let add = json!({"capabilities": {"add": ["SYS_ADMIN"]}});
        let cases: [Case; 6] = [
            (
                plain.clone(),
                &["--kubernetesSeccompProfile"],
                &["--kubernetesSeccompProfile", "--kubernetesPodSecurityContext"],
            ),
            (tame.clone(), &[], &[]),
            (
                Settings { privileged: true, ..tame.clone() },
                &["--kubernetesPrivileged"],
                &["--kubernetesPrivileged", "--kubernetesSecurityContext"],
            ),
            (
                Settings { host_path: Some("/data".into()), ..tame.clone() },
                &["--kubernetesHostPath"],
                &["--kubernetesHostPath"],
            ),
            (
                Settings { apparmor: Some("Unconfined".into()), ..tame.clone() },
                &["--kubernetesAppArmorProfile"],
                &["--kubernetesAppArmorProfile"],
            ),
            (
                Settings { security_context: Some(add), ..tame },
                &["--kubernetesSecurityContext"],
                &["--kubernetesSecurityContext"],
            ),
        ];
        for (settings, baseline, restricted) in cases {
            let pod = pod(&settings);
            for (level, expected) in [("baseline", baseline), ("restricted", restricted)] {
                let mut options: Vec<&str> =
                    violations(level == "restricted", &pod).into_iter().map(|(_, option)| option).collect();
                options.dedup();
                assert_eq!(options, expected, "{level} {pod}");
                let found = check(Some(level), &pod);
                let verdict = if expected.is_empty() { Verdict::Ok } else { Verdict::Failed };
                assert_eq!(found.verdict, verdict, "{found:?}");
            }
            for level in [None, Some("privileged")] {
                assert_eq!(check(level, &pod).verdict, Verdict::Ok);
            }
        }
    }
}
