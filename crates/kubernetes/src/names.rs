//! Names and labels, within the rules of Kubernetes (RFC 1123 labels: 63 lower-case letters, digits and hyphens).

use sha2::{Digest, Sha256};

/// The longest name of a Job: it becomes a label of its pods.
const LONGEST: usize = 63;

/// How much of an owner's name is kept where a name becomes too long.
const OWNER_LENGTH: usize = 20;

/// The label with the run.
pub const RUN: &str = "moil/run";

/// The label with the owner.
pub const OWNER: &str = "moil/owner";

/// The label that Toil's tools look for, with the run as well.
pub const TOIL_RUN: &str = "toil_run";

/// The label that Kueue looks for on Jobs.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// The annotation with the word of the attempt.
pub const ATTEMPT: &str = "moil/attempt";

/// The label of Jobs whose pods take more than one job: what these are like.
pub const LIKE: &str = "moil/like";

/// The label of a Job whose pod waits for another run.
pub const KEPT: &str = "moil/kept";

/// The annotation with what the jobs of such a pod may use together; see [`crate::room::Room`].
pub const ROOM: &str = "moil/room";

/// The annotation with the pod of such a Job.
pub const KEPT_POD: &str = "moil/pod";

/// The annotation with the beginning of its wait, in seconds since 1970.
pub const KEPT_SINCE: &str = "moil/since";

/// The annotation with the end of its wait, in seconds since 1970.
pub const KEPT_UNTIL: &str = "moil/until";

/// The annotation with the hash of what a Job was made from.
pub const DIGEST: &str = "moil/digest";

/// The name of an attempt's Job: `OWNER-toil-STEP-HASH`. The hash covers the run and the attempt's word, which has the
/// leader's term, the job's position and the number of the try: no two attempts have one name.
pub fn job(owner: &str, run: &str, word: &str, step: &str) -> String {
    let hash = &hex(&Sha256::digest(format!("{run}/{word}").as_bytes()))[..12];
    let owner = self::owner(owner);
    let mut name = format!("{owner}-toil-{}", slug(step));
    name.truncate(LONGEST - hash.len() - 1);
    format!("{}-{hash}", name.trim_end_matches('-'))
}

/// An owner as a part of names and paths.
pub fn owner(owner: &str) -> String {
    let mut owner = slug(owner);
    owner.truncate(OWNER_LENGTH);
    match owner.trim_end_matches('-') {
        "" => "moil".to_owned(),
        owner => owner.to_owned(),
    }
}

/// What the words of pods begin with that take more than one attempt.
const PODS: &str = "pods/";

/// The word of a pod that takes more than one attempt: its place among those of the leader of a term.
pub fn pod_word(term: &str, number: u64) -> String {
    format!("{PODS}{term}.{number}")
}

/// Whether a word is that of a pod that takes more than one attempt.
pub fn is_pod_word(word: &str) -> bool {
    word.starts_with(PODS)
}

/// The name of what belongs to a whole run.
pub fn of_run(owner: &str, run: &str) -> String {
    job(owner, run, "", "run")
}

/// A text as the value of a label: what is not allowed becomes a hyphen; may be empty.
pub fn label(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let text: String = text.chars().map(safe).take(LONGEST).collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Whether a text can be the name of an object (RFC 1123 subdomain).
pub fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Whether a text can be the key of a label or taint: a name, perhaps with a domain and `/` before it.
pub fn is_label_key(key: &str) -> bool {
    let name = match key.split_once('/') {
        Some((domain, name)) if is_name(domain) => name,
        Some(_) => return false,
        None => key,
    };
    !name.is_empty() && is_label_value(name)
}

/// Whether a text can be the value of a label or taint.
pub fn is_label_value(value: &str) -> bool {
    label(value) == value
}

/// Whether a label or annotation is set by moil, or by Kubernetes for its Jobs.
pub fn is_own(key: &str) -> bool {
    let domain = key.split_once('/').map(|(domain, _)| domain);
    matches!(domain, Some("moil" | "batch.kubernetes.io"))
        || [
            "app.kubernetes.io/name",
            "app.kubernetes.io/managed-by",
            TOIL_RUN,
            "job-name",
            "controller-uid",
            QUEUE,
        ]
        .contains(&key)
}

/// A text as a part of a name; may be empty.
fn slug(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mut slug = String::new();
    for c in text.chars().map(safe) {
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    slug.trim_matches('-').to_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_within_the_rules_and_keep_the_owner_in_front() {
        let long = "x".repeat(200);
        let cases = [
            ("demo-user", "align", "demo-user-toil-align-"),
            ("Ada.Lovelace", "call/align_3", "ada-lovelace-toil-call-align-3-"),
            ("1001", "step", "1001-toil-step-"),
            ("", "", "moil-toil-"),
            ("é", "ü", "moil-toil-"),
            (&long, &long, "xxxxxxxxxxxxxxxxxxxx-toil-xxx"),
            ("a--b", "_x_", "a-b-toil-x-"),
        ];
        for (owner, step, beginning) in cases {
            let name = job(owner, "run", "1-ab/align.1", step);
            assert!(name.starts_with(beginning), "{name}");
            assert!(name.len() <= LONGEST, "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
            assert!(!name.starts_with('-') && !name.ends_with('-') && !name.contains("--"), "{name}");
        }
    }

    #[test]
    fn no_two_attempts_have_one_name() {
        let words = ["1-ab/a.1", "1-ab/a.2", "2-ab/a.1", "1-ab/b.1"];
        let names: HashSet<String> = words.iter().map(|word| job("o", "r", word, "a")).collect();
        assert_eq!(names.len(), words.len());
        assert_ne!(job("o", "r", "1-ab/a.1", "a"), job("o", "s", "1-ab/a.1", "a"));
    }

    #[test]
    fn labels_keep_what_they_may() {
        assert_eq!(label("call[3]/align"), "call-3--align");
        assert_eq!(label("-_."), "");
        assert_eq!(label(&"x".repeat(99)).len(), LONGEST);
    }
}
