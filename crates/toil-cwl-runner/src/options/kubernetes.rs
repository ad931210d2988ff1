//! Kubernetes.

use super::{Group, Opt};

pub(super) const GROUP: Group = Group {
    title: "Kubernetes",
    options: &[
        Opt::value(&["--kubernetesOwner"], "NAME", "How the names of Jobs begin (default: the user's name).")
            .variable("TOIL_KUBERNETES_OWNER"),
        Opt::value(
            &["--kubernetesContext"],
            "NAME",
            "The context of the kubeconfig (default: its current one).",
        )
        .own(),
        Opt::value(&["--kubernetesNamespace"], "NAME", "The namespace (default: that of the context).").own(),
        Opt::value(
            &["--kubernetesSeccompProfile"],
            "PROFILE",
            "Unconfined (default; tools need user namespaces), RuntimeDefault, or a profile of the nodes.",
        )
        .own(),
        Opt::value(&["--kubernetesHostPath"], "PATH", "A directory of the nodes that their jobs share.")
            .variable("TOIL_KUBERNETES_HOST_PATH"),
        Opt::value(&["--kubernetesServiceAccount"], "NAME", "The service account of worker pods.")
            .variable("TOIL_KUBERNETES_SERVICE_ACCOUNT"),
        Opt::value(
            &["--kubernetesPodTimeout"],
            "SECONDS",
            "How long a pod may take to start (default: 120).",
        )
        .variable("TOIL_KUBERNETES_POD_TIMEOUT"),
        Opt::bool(&["--kubernetesPrivileged"], "Run worker pods privileged.")
            .variable("TOIL_KUBERNETES_PRIVILEGED"),
        Opt::value(&["--kubernetesPodSecurityContext"], "FILE", "The security context of worker pods.")
            .variable("TOIL_KUBERNETES_POD_SECURITY_CONTEXT"),
        Opt::value(&["--kubernetesSecurityContext"], "FILE", "The security context of worker containers.")
            .variable("TOIL_KUBERNETES_SECURITY_CONTEXT"),
    ],
};
