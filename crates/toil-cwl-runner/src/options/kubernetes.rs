//! Kubernetes.

use super::{Group, Opt};

const TOPIC: &str = "Kubernetes";

pub(super) const GROUP: Group = Group {
    title: "Kubernetes",
    options: &[
        Opt::value(&["--kubernetesOwner"], "NAME", "How the names of Jobs begin (default: the user's name).")
            .variable("TOIL_KUBERNETES_OWNER")
            .not_yet(TOPIC),
        Opt::value(&["--kubernetesHostPath"], "PATH", "A directory of the nodes that their jobs share.")
            .variable("TOIL_KUBERNETES_HOST_PATH")
            .not_yet(TOPIC),
        Opt::value(&["--kubernetesServiceAccount"], "NAME", "The service account of worker pods.")
            .variable("TOIL_KUBERNETES_SERVICE_ACCOUNT")
            .not_yet(TOPIC),
        Opt::value(
            &["--kubernetesPodTimeout"],
            "SECONDS",
            "How long a pod may take to start (default: 120).",
        )
        .variable("TOIL_KUBERNETES_POD_TIMEOUT")
        .not_yet(TOPIC),
        Opt::bool(&["--kubernetesPrivileged"], "Run worker pods privileged.")
            .variable("TOIL_KUBERNETES_PRIVILEGED")
            .not_yet(TOPIC),
        Opt::value(&["--kubernetesPodSecurityContext"], "FILE", "The security context of worker pods.")
            .variable("TOIL_KUBERNETES_POD_SECURITY_CONTEXT")
            .not_yet(TOPIC),
        Opt::value(&["--kubernetesSecurityContext"], "FILE", "The security context of worker containers.")
            .variable("TOIL_KUBERNETES_SECURITY_CONTEXT")
            .not_yet(TOPIC),
    ],
};
