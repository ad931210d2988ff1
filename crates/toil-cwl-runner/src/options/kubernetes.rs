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
        .variable("TOIL_KUBERNETES_CONTEXT")
        .own(),
        Opt::value(&["--kubernetesNamespace"], "NAME", "The namespace (default: that of the context).")
            .variable("TOIL_KUBERNETES_NAMESPACE")
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
        Opt::bool(
            &["--kubernetesPodPerJob"],
            "Give each job a pod of its own (default: pods take one job after the other).",
        )
        .variable("TOIL_KUBERNETES_POD_PER_JOB")
        .own(),
        Opt::value(
            &["--kubernetesPodIdle"],
            "SECONDS",
            "How long a pod stays when there is no job for it (default: 10).",
        )
        .variable("TOIL_KUBERNETES_POD_IDLE")
        .own(),
        Opt::value(
            &["--kubernetesPodKeep"],
            "SECONDS",
            "How long pods wait for the next run of the same owner when theirs is over (default: 0).",
        )
        .variable("TOIL_KUBERNETES_POD_KEEP")
        .own(),
        Opt::value(
            &["--orphanTimeout"],
            "SECONDS",
            "Workers that begin so long after they were asked for do so only if a leader gives signs of life (default: 3600; 0: in any case).",
        )
        .own(),
        Opt::bool(&["--kubernetesPrivileged"], "Run worker pods privileged.")
            .variable("TOIL_KUBERNETES_PRIVILEGED"),
        Opt::value(&["--kubernetesPodSecurityContext"], "FILE", "The security context of worker pods.")
            .variable("TOIL_KUBERNETES_POD_SECURITY_CONTEXT"),
        Opt::value(&["--kubernetesSecurityContext"], "FILE", "The security context of worker containers.")
            .variable("TOIL_KUBERNETES_SECURITY_CONTEXT"),
        Opt::value(
            &["--kubernetesSeccompProfile"],
            "PROFILE",
            "Unconfined (default; tools need user namespaces), RuntimeDefault, or a profile of the nodes.",
        )
        .variable("TOIL_KUBERNETES_SECCOMP_PROFILE")
        .own(),
        Opt::value(
            &["--kubernetesAppArmorProfile"],
            "PROFILE",
            "Unconfined, RuntimeDefault, or a profile of the nodes (default: what nodes do by themselves).",
        )
        .variable("TOIL_KUBERNETES_APPARMOR_PROFILE")
        .own(),
        Opt::repeated(&["--kubernetesNodeSelector"], "KEY=VALUE", "Labels of the nodes for worker pods.")
            .variable("TOIL_KUBERNETES_NODE_SELECTOR")
            .own(),
        Opt::repeated(
            &["--kubernetesTolerations"],
            "TAINT",
            "Taints that worker pods bear: KEY[=VALUE][:EFFECT], or JSON or YAML.",
        )
        .variable("TOIL_KUBERNETES_TOLERATIONS")
        .own(),
        Opt::value(&["--kubernetesPriorityClass"], "NAME", "The priority class of worker pods.")
            .variable("TOIL_KUBERNETES_PRIORITY_CLASS")
            .own(),
        Opt::repeated(
            &["--kubernetesImagePullSecrets"],
            "NAME",
            "Secrets with credentials for the registry of the worker image.",
        )
        .variable("TOIL_KUBERNETES_IMAGE_PULL_SECRETS")
        .own(),
        Opt::repeated(
            &["--kubernetesEnvFromSecret"],
            "NAME",
            "Secrets whose keys become variables of the workers.",
        )
        .variable("TOIL_KUBERNETES_ENV_FROM_SECRET")
        .own(),
        Opt::repeated(
            &["--kubernetesVolume"],
            "SOURCE:DIR[:ro]",
            "What else worker pods see: a path of the nodes, pvc:NAME, secret:NAME or configMap:NAME.",
        )
        .variable("TOIL_KUBERNETES_VOLUME")
        .own(),
        Opt::repeated(&["--kubernetesJobLabels"], "KEY=VALUE", "Labels of Jobs and their pods.")
            .variable("TOIL_KUBERNETES_JOB_LABELS")
            .own(),
        Opt::value(&["--kubernetesQueueName"], "NAME", "The local queue of Kueue in which Jobs wait.")
            .variable("TOIL_KUBERNETES_QUEUE_NAME")
            .own(),
        Opt::value(
            &["--kubernetesImageDisk"],
            "SIZE",
            "Disk for the image of a tool, where pods keep images themselves (default: 4 Gi).",
        )
        .variable("TOIL_KUBERNETES_IMAGE_DISK")
        .own(),
        Opt::value(
            &["--kubernetesPodTemplate"],
            "FILE",
            "Any other fields of worker pods: a Pod, of which is merged what it has.",
        )
        .variable("TOIL_KUBERNETES_POD_TEMPLATE")
        .own(),
    ],
};
