//! What a leader must be allowed to do, as examples/kubernetes/leader-role.yaml has it.

use super::{Check, Verdict};
use crate::settings::Settings;

/// What a right is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No run goes without it.
    Always,
    /// Messages say less without it.
    Messages,
    /// `--realTimeLogging` needs it, and so does what looks around in a pod.
    Logs,
    /// Workflows with `cwltool:Secrets` need it.
    Secrets,
    /// Pods that take more than one job need it.
    Sharing,
    /// Pods that wait for the next run need it.
    Keeping,
}

/// Rights to one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, with `/` and a subresource, if it is one of these.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What for.
    pub need: Need,
}

/// All of them.
pub const RIGHTS: &[Right] = &[
    Right {
        group: "batch",
        resource: "jobs",
        verbs: &["create", "get", "list", "watch", "delete"],
        need: Need::Always,
    },
    Right { group: "", resource: "pods", verbs: &["get", "list", "watch"], need: Need::Always },
    Right { group: "", resource: "pods/attach", verbs: &["create", "get"], need: Need::Sharing },
    Right { group: "", resource: "pods/log", verbs: &["get"], need: Need::Logs },
    Right { group: "", resource: "events", verbs: &["list", "watch"], need: Need::Messages },
    Right {
        group: "",
        resource: "configmaps",
        verbs: &["create", "get", "list", "delete"],
        need: Need::Always,
    },
    Right { group: "", resource: "secrets", verbs: &["create", "delete"], need: Need::Secrets },
    Right { group: "batch", resource: "jobs", verbs: &["patch"], need: Need::Keeping },
    Right { group: "", resource: "pods", verbs: &["patch"], need: Need::Keeping },
];

/// Who asks: what the server calls us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name, such as `system:serviceaccount:NAMESPACE:NAME`; empty if it is not known.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl User {
    /// Namespace and name of a service account.
    pub fn account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// A RoleBinding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it gives.
    pub role: String,
    /// To whom: kind, name, and the namespace of a service account.
    pub subjects: Vec<(String, String, Option<String>)>,
}

impl Binding {
    fn is_for(&self, user: &User) -> bool {
        self.subjects.iter().any(|(kind, name, namespace)| match kind.as_str() {
            "User" => *name == user.name,
            "Group" => user.groups.contains(name),
            _ => user.account().is_some_and(|(space, account)| {
                account == name && namespace.as_deref().unwrap_or(&self.namespace) == space
            }),
        })
    }
}

/// Why rights may be missing in a namespace: bindings that were meant, as it seems, and do not reach so far. `others` are
/// namespaces where there are these rights.
pub fn misplaced(user: &User, namespace: &str, bindings: &[Binding], others: &[String]) -> Option<String> {
    // Those of a namespace name accounts of their own namespace most often, and not always the one that is meant.
    if let Some((space, account)) = user.account() {
        let here = bindings.iter().filter(|binding| binding.namespace == namespace && !binding.is_for(user));
        let near = here.flat_map(|binding| binding.subjects.iter().map(move |subject| (binding, subject)));
        for (binding, (kind, name, other)) in near {
            if kind == "ServiceAccount" && name == account && other.as_deref() != Some(space) {
                let other = other.as_deref().unwrap_or(namespace);
                return Some(format!(
                    "the RoleBinding {} names the service account {account} of the namespace {other}, not that of {space}",
                    binding.name
                ));
            }
        }
    }
    let elsewhere = |binding: &&Binding| {
        binding.namespace != namespace
            && binding.is_for(user)
            && (others.is_empty() || others.contains(&binding.namespace))
    };
    if let Some(binding) = bindings.iter().find(elsewhere) {
        return Some(format!(
            "the RoleBinding {} gives the role {} in the namespace {}, and a binding reaches no further than its namespace",
            binding.name, binding.role, binding.namespace
        ));
    }
    others.first().map(|other| {
        format!("the rights are there in the namespace {other}: a RoleBinding reaches no further than its namespace")
    })
}

/// What is told of one kind of object: which verbs are missing. `why` is what [`misplaced`] found.
pub fn check(
    right: &Right,
    missing: &[&str],
    settings: &Settings,
    namespace: &str,
    why: Option<&str>,
) -> Check {
    let what = match right.need {
        Need::Keeping => format!("rights: {}, for the next run", right.resource),
        _ => format!("rights: {}", right.resource),
    };
    if missing.is_empty() {
        return Check::ok(&what, right.verbs.join(", "));
    }
    let list = missing.join(", ");
    let (verdict, note) = match right.need {
        Need::Always => (Verdict::Failed, ""),
        Need::Logs if settings.live_logs => (Verdict::Failed, ""),
        Need::Logs => (Verdict::CannotTell, "; --realTimeLogging needs it, and so does doctor in a pod"),
        Need::Messages => (Verdict::CannotTell, "; messages on pods that do not start say less"),
        Need::Sharing if settings.pod_per_job => (Verdict::Ok, "; --kubernetesPodPerJob needs none of it"),
        Need::Sharing => (Verdict::CannotTell, "; each job has a pod of its own then"),
        Need::Keeping if settings.pod_keep.is_zero() => (Verdict::Ok, "; only --kubernetesPodKeep needs it"),
        Need::Keeping => (Verdict::Failed, "; --kubernetesPodKeep needs it"),
        Need::Secrets => (Verdict::CannotTell, "; workflows with cwltool:Secrets need it"),
    };
    let apply = format!(
        "in the namespace {namespace}, apply examples/kubernetes/leader-role.yaml, and name who leads in its RoleBinding"
    );
    Check {
        advice: Some(match why {
            Some(why) => format!("{why}; {apply}"),
            None => apply,
        }),
        ..Check::new(&what, verdict, format!("not allowed: {list}{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(namespace: &str, subject: (&str, &str, Option<&str>)) -> Binding {
        let (kind, name, space) = subject;
        Binding {
            namespace: namespace.into(),
            name: "moil-leader".into(),
            role: "moil-leader".into(),
            subjects: vec![(kind.into(), name.into(), space.map(str::to_owned))],
        }
    }

    #[test]
    fn bindings_in_the_wrong_namespace_are_found() {
        let account = User { name: "system:serviceaccount:work:leader".into(), groups: Vec::new() };
        let ada = User { name: "ada".into(), groups: vec!["genomes".into()] };
        let user = |space| binding(space, ("User", "ada", None));
        let leader = |space, of| binding(space, ("ServiceAccount", "leader", of));
        let cases: [(&User, Vec<Binding>, &[&str], Option<&str>); 9] = [
            (&ada, vec![], &[], None),
            (&ada, vec![user("work")], &[], None),
            (&ada, vec![user("other")], &[], Some("gives the role moil-leader in the namespace other, ")),
            (&ada, vec![binding("other", ("Group", "genomes", None))], &[], Some("in the namespace other")),
            (&ada, vec![binding("other", ("User", "bob", None))], &[], None),
            // One that gives something else is none.
            (&ada, vec![user("third")], &["other"], Some("the rights are there in the namespace other")),
            (&account, vec![leader("other", Some("work"))], &[], Some("in the namespace other")),
            (
                &account,
                vec![leader("work", Some("default"))],
                &[],
                Some("names the service account leader of the namespace default, not that of work"),
            ),
            (&account, vec![leader("work", Some("work"))], &[], None),
        ];
        for (user, bindings, others, expected) in cases {
            let others: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
            let found = misplaced(user, "work", &bindings, &others);
            match expected {
                None => assert_eq!(found, None, "{bindings:?}"),
                Some(words) => {
                    assert!(found.as_deref().is_some_and(|found| found.contains(words)), "{found:?}")
                }
            }
        }
    }

    #[test]
    fn rights_that_some_runs_need_are_told_and_fail_nothing() {
        let plain = Settings::new("o", "r", "s", "i", Vec::new());
        let live = Settings { live_logs: true, ..plain.clone() };
        for (resource, settings, expected) in [
            ("jobs", &plain, Verdict::Failed),
            ("configmaps", &plain, Verdict::Failed),
            ("pods/log", &plain, Verdict::CannotTell),
            ("pods/log", &live, Verdict::Failed),
            ("pods/attach", &plain, Verdict::CannotTell),
            ("events", &plain, Verdict::CannotTell),
            ("secrets", &plain, Verdict::CannotTell),
        ] {
            let right = RIGHTS.iter().find(|right| right.resource == resource).expect("it is there");
            let found = check(right, right.verbs, settings, "work", None);
            assert_eq!(found.verdict, expected, "{resource}");
            assert!(found.advice.is_some_and(|advice| advice.contains("leader-role.yaml")));
            let found = check(right, &[], settings, "work", None);
            assert_eq!((found.verdict, found.advice), (Verdict::Ok, None));
        }
    }
}
