//! The Secret with credentials for AWS, as `TOIL_AWS_SECRET_NAME` names it.

use super::Check;

/// How such a Secret is made.
fn how(name: &str, namespace: &str) -> String {
    format!(
        "make it anew: kubectl create secret generic {name} -n {namespace} --from-file credentials=$HOME/.aws/credentials"
    )
}

/// What is told of a Secret that is not there.
pub fn missing(name: &str, namespace: &str) -> Check {
    Check::failed(&title(name), format!("there is none in the namespace {namespace}"), how(name, namespace))
}

/// What a line on a Secret is called.
pub fn title(name: &str) -> String {
    format!("Secret {name}")
}

/// What is told of its contents: names of files with their texts.
pub fn check(name: &str, namespace: &str, files: &[(String, String)]) -> Check {
    let what = title(name);
    let fails = |found: String| Check::failed(&what, found, how(name, namespace));
    let Some((_, credentials)) = files.iter().find(|(file, _)| file == "credentials") else {
        let names: Vec<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
        return fails(match names[..] {
            [] => "it is empty; it must have the key credentials".to_owned(),
            _ => format!("it has no key credentials, only {}", names.join(", ")),
        });
    };
    let config = files.iter().find(|(file, _)| file == "config").map_or("", |(_, text)| text);
    let keys = profile(credentials, "default");
    let has = |key: &str| keys.iter().any(|known| known == key);
    // A profile may say how else it gets its keys.
    let by_config = ["role_arn", "credential_process", "sso_start_url", "sso_session"];
    if profile(config, "default").iter().any(|key| by_config.contains(&key.as_str())) {
        return Check::ok(&what, "its file config says where keys come from");
    }
    if keys.is_empty() {
        return fails(
            "its file credentials has no profile [default], which is the one that pods use".to_owned(),
        );
    }
    if !has("aws_access_key_id") || !has("aws_secret_access_key") {
        return fails("its profile [default] lacks aws_access_key_id or aws_secret_access_key".to_owned());
    }
    if has("aws_session_token") {
        let mut check = Check::failed(
            &what,
            "its keys are short-lived (aws_session_token): pods fail when they expire",
            "put keys of a user without MFA into it, or give the pods' service account a role (IRSA, pod identity) and leave \
             TOIL_AWS_SECRET_NAME out",
        );
        // A short run may be over before.
        check.verdict = super::Verdict::CannotTell;
        return check;
    }
    Check::ok(&what, "keys in the profile [default]")
}

/// The names of the values of a profile in a file of AWS; none if there is no such profile.
fn profile(text: &str, name: &str) -> Vec<String> {
    let mut inside = false;
    let mut keys = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let section = section.trim();
            inside = section.strip_prefix("profile ").unwrap_or(section).trim() == name;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, _)) = line.split_once('=')
        {
            keys.push(key.trim().to_ascii_lowercase());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn what_is_wrong_with_a_secret_is_told() {
        let good = "[other]\nx = 1\n[default]\naws_access_key_id = a\naws_secret_access_key=b\n";
        let short = format!("{good}aws_session_token = c\n");
        let cases: [(&[(&str, &str)], Verdict, &str); 9] = [
            (&[], Verdict::Failed, "it is empty"),
            (&[("creds", good)], Verdict::Failed, "it has no key credentials, only creds"),
            (&[("credentials", good)], Verdict::Ok, "keys in the profile [default]"),
            (&[("credentials", &short)], Verdict::CannotTell, "short-lived"),
            (&[("credentials", "[work]\naws_access_key_id = a\n")], Verdict::Failed, "no profile [default]"),
            (&[("credentials", "[default]\naws_access_key_id = a\n")], Verdict::Failed, "lacks"),
            (
                &[("credentials", "[default]\n#aws_access_key_id = a\naws_secret_access_key = b\n")],
                Verdict::Failed,
                "lacks",
            ),
            (&[("credentials", ""), ("config", "[default]\nrole_arn = x\n")], Verdict::Ok, "its file config"),
            (
                &[("credentials", ""), ("config", "[profile default]\nregion = x\n")],
                Verdict::Failed,
                "[default]",
            ),
        ];
        for (files, verdict, words) in cases {
            let files: Vec<(String, String)> =
                files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            let found = check("aws", "work", &files);
            assert_eq!(found.verdict, verdict, "{files:?}: {found:?}");
            assert!(found.found.contains(words), "{found:?}");
            assert_eq!(found.advice.is_some(), verdict != Verdict::Ok);
        }
    }
}
