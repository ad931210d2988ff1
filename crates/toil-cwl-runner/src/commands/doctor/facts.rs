//! What was seen on a machine or in a pod, as lines with what to do.

use moil_kubernetes::doctor::Check;

/// Where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// On this machine.
    Here,
    /// In a pod.
    Pod,
}

/// What was seen. What went wrong is in the system's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The number of our user.
    pub user: u32,
    /// Where jobs work.
    pub work: String,
    /// Bytes that are free there, if we may write.
    pub free: Result<u64, String>,
    /// User namespaces can be made.
    pub namespaces: Result<(), String>,
    /// Mounts can be made in them.
    pub mounts: Result<(), String>,
    /// The mode of seccomp: 0 off, 2 a filter.
    pub seccomp: Option<u32>,
    /// The profile of AppArmor, or the context of SELinux.
    pub confined: Option<String>,
    /// Settings of the kernel on user namespaces that are there, with their values.
    pub kernel: Vec<(String, String)>,
    /// `/dev/fuse` can be opened.
    pub fuse: bool,
    /// `unsquashfs` is installed.
    pub unsquashfs: bool,
    /// Apptainer or Singularity, if one is installed.
    pub engine: Result<String, String>,
    /// It runs something.
    pub runs: Result<(), String>,
    /// The version of cgroups, the limit of memory in bytes, and whether it is told that it presses.
    pub memory: Option<(u8, Option<u64>, bool)>,
}

/// Bytes that images want at least.
const LEAST_FREE: u64 = 1 << 30;

const GIB: f64 = (1_u64 << 30) as f64;

/// The lines.
pub(super) fn checks(facts: &Facts, place: Where) -> Vec<Check> {
    let mut checks =
        vec![work(facts, place), namespaces(facts, place), mounts(facts, place), confinement(facts)];
    if place == Where::Pod {
        checks.extend([fuse(facts), apptainer(facts), memory(facts)]);
    }
    checks
}

/// What to do where the job store cannot be used.
pub(super) fn store_advice(place: Where) -> &'static str {
    match place {
        Where::Here => {
            "check the store's name, the credentials (AWS_PROFILE and the like) and AWS_ENDPOINT_URL"
        }
        Where::Pod => {
            "check the keys in the Secret of TOIL_AWS_SECRET_NAME, whether pods reach the server (AWS_ENDPOINT_URL must be an \
             address that they see too), and for a directory --kubernetesVolume and the pods' user"
        }
    }
}

fn work(facts: &Facts, place: Where) -> Check {
    const TITLE: &str = "work directory";
    let Facts { user, work, free, .. } = facts;
    match (free, place) {
        (Ok(free), _) => {
            let size = format!("{:.1} GiB are free in {work}", *free as f64 / GIB);
            match (*free >= LEAST_FREE, place) {
                (true, _) => Check::ok(TITLE, format!("{size}, and the user {user} may write")),
                (false, Where::Pod) => Check::failed(
                    TITLE,
                    size,
                    "make room on the node, or let --kubernetesHostPath name a directory on a larger disk",
                ),
                (false, Where::Here) => {
                    Check::failed(TITLE, size, "make room there, or choose another place with --workDir")
                }
            }
        }
        (Err(error), Where::Pod) => Check::failed(
            TITLE,
            format!("the user {user} cannot write to {work}: {error}"),
            "let the directory of --kubernetesHostPath belong to that user or be open to all (chmod 1777), let moil make one that \
             is not there, or choose the user with runAsUser and fsGroup in --kubernetesPodSecurityContext",
        ),
        (Err(error), Where::Here) => Check::failed(
            TITLE,
            format!("the user {user} cannot write to {work}: {error}"),
            "choose another place with --workDir",
        ),
    }
}

fn namespaces(facts: &Facts, place: Where) -> Check {
    const TITLE: &str = "user namespaces";
    let error = match &facts.namespaces {
        Ok(()) => return Check::ok(TITLE, "can be made"),
        Err(error) => error,
    };
    let kernel =
        |name: &str, value: &str| facts.kernel.iter().any(|(known, is)| known == name && is == value);
    let advice = if kernel("user.max_user_namespaces", "0") {
        "let the node have some: sysctl -w user.max_user_namespaces=15000"
    } else if kernel("kernel.unprivileged_userns_clone", "0") {
        "let users of the node make them: sysctl -w kernel.unprivileged_userns_clone=1"
    } else if facts.seccomp == Some(2) && place == Where::Pod {
        "seccomp forbids them: leave --kubernetesSeccompProfile out (Unconfined), or name a profile of the nodes that allows \
         unshare, clone with namespaces and mount; see also --kubernetesPodSecurityContext"
    } else if kernel("kernel.apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor of the node forbids them: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile that \
         allows userns in --kubernetesAppArmorProfile"
    } else {
        "let the node allow them to users; without them only tools without images run"
    };
    Check::failed(TITLE, format!("cannot be made: {error}"), advice)
}

fn mounts(facts: &Facts, place: Where) -> Check {
    const TITLE: &str = "mounts in them";
    match (&facts.mounts, place) {
        (Ok(()), _) => Check::ok(TITLE, "can be made"),
        // That was told.
        (Err(_), _) if facts.namespaces.is_err() => Check::unknown(TITLE, "there are no user namespaces"),
        (Err(error), Where::Pod) => Check::failed(
            TITLE,
            format!("cannot be made: {error}"),
            "AppArmor's usual profile forbids them: --kubernetesAppArmorProfile Unconfined; with SELinux set seLinuxOptions in \
             --kubernetesSecurityContext; on Ubuntu see also sysctl kernel.apparmor_restrict_unprivileged_userns",
        ),
        (Err(error), Where::Here) => Check::failed(
            TITLE,
            format!("cannot be made: {error}"),
            "AppArmor or SELinux forbids them: on Ubuntu, sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
}

fn confinement(facts: &Facts) -> Check {
    let seccomp = match facts.seccomp {
        Some(0) => "no seccomp filter".to_owned(),
        Some(2) => "a seccomp filter".to_owned(),
        Some(mode) => format!("seccomp mode {mode}"),
        None => "no word on seccomp".to_owned(),
    };
    let confined = match facts.confined.as_deref() {
        None | Some("") => "neither AppArmor nor SELinux".to_owned(),
        // Contexts have a user, a role and a type.
        Some(context) if context.matches(':').count() >= 2 => format!("SELinux context {context}"),
        Some("unconfined") => "AppArmor unconfined".to_owned(),
        Some(profile) => format!("AppArmor profile {profile}"),
    };
    Check::ok("confinement", format!("{seccomp}, {confined}"))
}

fn fuse(facts: &Facts) -> Check {
    const TITLE: &str = "FUSE";
    match (facts.fuse, facts.unsquashfs) {
        (true, _) => Check::ok(TITLE, "/dev/fuse can be used: images are mounted"),
        (false, true) => Check::ok(TITLE, "there is no /dev/fuse to use: images are unpacked"),
        (false, false) => Check::failed(
            TITLE,
            "there is no /dev/fuse to use, and no unsquashfs in the worker image",
            "make the worker image anew (moil appliance push) on a machine with squashfs-tools",
        ),
    }
}

fn apptainer(facts: &Facts) -> Check {
    const TITLE: &str = "Apptainer";
    match (&facts.engine, &facts.runs) {
        (Err(error), _) => Check::failed(
            TITLE,
            error,
            "make the worker image anew (moil appliance push) on a machine with Apptainer; tools without images run all the same",
        ),
        (Ok(engine), Ok(())) => Check::ok(TITLE, format!("{engine} runs tools")),
        // That was told.
        (Ok(engine), Err(_)) if facts.namespaces.is_err() || facts.mounts.is_err() => {
            Check::unknown(TITLE, format!("{engine} cannot run without user namespaces and mounts"))
        }
        (Ok(engine), Err(_)) if facts.free.is_err() => {
            Check::unknown(TITLE, format!("{engine} cannot be tried without a place to write"))
        }
        (Ok(engine), Err(error)) => Check::failed(
            TITLE,
            format!("{engine} does not run: {error}"),
            "its words say why; docs/containers.md says what it needs",
        ),
    }
}

fn memory(facts: &Facts) -> Check {
    const TITLE: &str = "memory";
    let Some((version, limit, pressure)) = facts.memory else {
        return Check::unknown(TITLE, "no cgroup is to be seen");
    };
    let limit = match limit {
        Some(bytes) => format!("limit {} MiB", bytes >> 20),
        None => "no limit".to_owned(),
    };
    let pressure = if pressure { "pressure is told" } else { "pressure is not told" };
    Check::ok(TITLE, format!("{limit}, cgroup v{version}, {pressure}"))
}

#[cfg(test)]
mod tests {
    use moil_kubernetes::doctor::Verdict;

    use super::*;

    fn well() -> Facts {
        Facts {
            user: 1000,
            work: "/var/lib/toil".into(),
            free: Ok(5 << 30),
            namespaces: Ok(()),
            mounts: Ok(()),
            seccomp: Some(0),
            confined: None,
            kernel: Vec::new(),
            fuse: false,
            unsquashfs: true,
            engine: Ok("Apptainer 1.4.5".into()),
            runs: Ok(()),
            memory: Some((2, Some(256 << 20), true)),
        }
    }

    fn refused<T>() -> Result<T, String> {
        Err("Operation not permitted".into())
    }

    #[test]
    fn where_all_is_well_nothing_is_to_be_done() {
        for place in [Where::Here, Where::Pod] {
            for check in checks(&well(), place) {
                assert_eq!((check.verdict, check.advice.as_deref()), (Verdict::Ok, None), "{check:?}");
            }
        }
    }

    #[test]
    fn each_fault_is_told_once_with_what_changes_it() {
        let kernel = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let no_namespaces = Facts { namespaces: refused(), mounts: refused(), runs: refused(), ..well() };
        let cases = [
            (Facts { free: refused(), runs: refused(), ..well() }, "work directory", "--kubernetesHostPath"),
            (Facts { free: Ok(5 << 20), ..well() }, "work directory", "make room on the node"),
            (
                Facts { seccomp: Some(2), ..no_namespaces.clone() },
                "user namespaces",
                "--kubernetesSeccompProfile",
            ),
            (
                Facts {
                    kernel: kernel("user.max_user_namespaces", "0"),
                    seccomp: Some(2),
                    ..no_namespaces.clone()
                },
                "user namespaces",
                "sysctl -w user.max_user_namespaces",
            ),
            (
                Facts { kernel: kernel("kernel.unprivileged_userns_clone", "0"), ..no_namespaces.clone() },
                "user namespaces",
                "sysctl -w kernel.unprivileged_userns_clone=1",
            ),
            (
                Facts {
                    kernel: kernel("kernel.apparmor_restrict_unprivileged_userns", "1"),
                    ..no_namespaces.clone()
                },
                "user namespaces",
                "kernel.apparmor_restrict_unprivileged_userns=0",
            ),
            (no_namespaces, "user namespaces", "let the node allow them"),
            (
                Facts { mounts: refused(), runs: refused(), ..well() },
                "mounts in them",
                "--kubernetesAppArmorProfile Unconfined",
            ),
            (Facts { unsquashfs: false, ..well() }, "FUSE", "squashfs-tools"),
            (Facts { engine: refused(), runs: refused(), ..well() }, "Apptainer", "moil appliance push"),
            (Facts { runs: refused(), ..well() }, "Apptainer", "docs/containers.md"),
        ];
        for (facts, what, advice) in cases {
            let mut failed = checks(&facts, Where::Pod);
            failed.retain(|check| check.verdict == Verdict::Failed);
            assert_eq!(failed.len(), 1, "{failed:?}");
            assert_eq!(failed[0].what, what);
            assert!(failed[0].advice.as_deref().is_some_and(|text| text.contains(advice)), "{failed:?}");
        }
    }

    #[test]
    fn what_confines_a_process_is_named() {
        for (seccomp, confined, expected) in [
            (Some(0), None, "no seccomp filter, neither AppArmor nor SELinux"),
            (Some(2), Some("cri-containerd.apparmor.d (enforce)"), "a seccomp filter, AppArmor profile cri-"),
            (Some(2), Some("unconfined"), "a seccomp filter, AppArmor unconfined"),
            (None, Some("system_u:system_r:container_t:s0:c1,c2"), "SELinux context system_u:"),
        ] {
            let facts = Facts { seccomp, confined: confined.map(str::to_owned), ..well() };
            let found = confinement(&facts).found;
            assert!(found.contains(expected), "{found}");
        }
    }
}
