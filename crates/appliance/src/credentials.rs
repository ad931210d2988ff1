//! Who one is for a registry, by the configuration that Docker, Podman and skopeo write.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::ApplianceError;
use crate::reference::Reference;

/// Credentials for one registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that a token service takes for others.
    Identity(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// The value of the header `Authorization`, where a password is known.
    pub fn basic(&self) -> Option<String> {
        match self {
            Self::Password { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            Self::Identity(_) => None,
        }
    }
}

/// Where credentials are looked for.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Configurations of Docker (`config.json`, `auth.json`), the first that knows the registry counts.
    pub files: Vec<PathBuf>,
    /// `PATH`, for programs that keep credentials.
    pub path: std::ffi::OsString,
}

/// What is asked of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Given(String, Option<String>),
    /// `docker-credential-NAME` knows, under this name of the registry.
    Helper(String, String),
}

/// Finds the credentials for a registry; none is no error.
///
/// # Errors
/// A configuration cannot be understood, or a program that keeps credentials does not run.
pub fn find(places: &Places, reference: &Reference) -> Result<Option<Credentials>, ApplianceError> {
    let failed = |words: String| ApplianceError::Credentials { registry: reference.registry.clone(), words };
    for file in &places.files {
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(format!("{}: {error}", file.display()))),
        };
        let configuration: Value = serde_json::from_slice(&text)
            .map_err(|error| failed(format!("{} is not JSON: {error}", file.display())))?;
        match look_up(&configuration, reference) {
            None => {}
            Some(Found::Given(auth, None)) => {
                let known = decode(&auth);
                return known
                    .map(Some)
                    .ok_or_else(|| failed(format!("{} has no user and password in 'auth'", file.display())));
            }
            Some(Found::Given(_, Some(token))) => return Ok(Some(Credentials::Identity(token))),
            Some(Found::Helper(helper, name)) => {
                if let Some(known) = ask(&helper, &name, places).map_err(failed)? {
                    return Ok(Some(known));
                }
            }
        }
    }
    Ok(None)
}

/// The names under which configurations keep a registry.
fn names(reference: &Reference) -> Vec<String> {
    let mut names = vec![reference.registry.clone()];
    if reference.host() == "registry-1.docker.io" {
        names.push("index.docker.io".to_owned());
    }
    names
}

fn look_up(configuration: &Value, reference: &Reference) -> Option<Found> {
    let names = names(reference);
    let host = |key: &str| {
        let key = key.split_once("://").map_or(key, |(_, rest)| rest);
        key.split('/').next().unwrap_or_default().to_owned()
    };
    let known = |map: &Value| -> Option<(String, Value)> {
        let map = map.as_object()?;
        let found = map.iter().find(|(key, _)| names.contains(&host(key)))?;
        Some((found.0.clone(), found.1.clone()))
    };
    if let Some((name, helper)) = known(&configuration["credHelpers"]) {
        return Some(Found::Helper(helper.as_str()?.to_owned(), name));
    }
    let entry = known(&configuration["auths"]);
    if let Some((_, entry)) = &entry {
        let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if let Some(token) = text("identitytoken") {
            return Some(Found::Given(String::new(), Some(token)));
        }
        if let Some(auth) = text("auth") {
            return Some(Found::Given(auth, None));
        }
    }
    let store = configuration["credsStore"].as_str()?;
    let default = || match reference.host() {
        "registry-1.docker.io" => "https://index.docker.io/v1/".to_owned(),
        _ => reference.registry.clone(),
    };
    Some(Found::Helper(store.to_owned(), entry.map_or_else(default, |(name, _)| name)))
}

fn decode(auth: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials::Password {
        user: user.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    })
}

/// Asks a program that keeps credentials; `None` where it has none for this registry.
fn ask(helper: &str, registry: &str, places: &Places) -> Result<Option<Credentials>, String> {
    let name = format!("docker-credential-{helper}");
    let program = which::which_in_global(&name, Some(&places.path)).ok().and_then(|mut found| found.next());
    let program = program.ok_or_else(|| format!("{name} is not installed"))?;
    let failed = |error: io::Error| format!("{name} does not run: {error}");
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read it says below what is wrong.
        _ = stdin.write_all(registry.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return if said.contains("not found") { Ok(None) } else { Err(format!("{name}: {}", said.trim())) };
    }
    let said: Value = serde_json::from_str(&said).map_err(|_| format!("{name} does not answer in JSON"))?;
    let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    Ok(Some(match text("Username").as_str() {
        "<token>" => Credentials::Identity(text("Secret")),
        user => Credentials::Password { user: user.to_owned(), password: text("Secret") },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_program::write_program;

    fn reference(word: &str) -> Reference {
        Reference::parse(word, "moil", "1").unwrap()
    }

    fn known(configuration: &str, word: &str) -> Option<Credentials> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, configuration).unwrap();
        let places = Places { files: vec![folder.path().join("none"), file], path: Default::default() };
        find(&places, &reference(word)).unwrap()
    }

    #[test]
    fn the_registry_s_entry_counts() {
        // user:pass:word
        let text =
            r#"{"auths": {"https://quay.io/v2/": {"auth": "dXNlcjpwYXNzOndvcmQ="}, "other:5000": {}}}"#;
        let user = Credentials::Password { user: "user".to_owned(), password: "pass:word".to_owned() };
        assert_eq!(known(text, "quay.io/me/moil"), Some(user));
        assert_eq!(known(text, "other:5000"), None);
        assert_eq!(known(text, "other:5001"), None);
        let token = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "", "identitytoken": "t"}}}"#;
        assert_eq!(known(token, "docker.io/me/moil"), Some(Credentials::Identity("t".to_owned())));
    }

    #[test]
    fn a_program_that_keeps_credentials_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker-credential-test");
        let script = "#!/bin/sh\nread name\n[ \"$name\" = quay.io ] || { echo credentials not found; exit 1; }\n\
                      echo '{\"ServerURL\": \"quay.io\", \"Username\": \"me\", \"Secret\": \"word\"}'\n";
        write_program(&program, script);
        let file = folder.path().join("config.json");
        fs::write(&file, r#"{"credsStore": "test"}"#).unwrap();
        let places = Places { files: vec![file], path: folder.path().into() };
        let me = Credentials::Password { user: "me".to_owned(), password: "word".to_owned() };
        assert_eq!(find(&places, &reference("quay.io/x")).unwrap(), Some(me));
        assert_eq!(find(&places, &reference("ghcr.io/x")).unwrap(), None);
    }

    #[test]
    fn faults_are_told_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let places = Places { files: vec![file.clone()], path: Default::default() };
        for (text, expected) in [
            ("{", "is not JSON"),
            (r#"{"auths": {"quay.io": {"auth": "%%"}}}"#, "has no user and password"),
            (r#"{"credHelpers": {"quay.io": "none"}}"#, "docker-credential-none is not installed"),
        ] {
            fs::write(&file, text).unwrap();
            let error = find(&places, &reference("quay.io/x")).unwrap_err();
            assert_eq!(error.to_string(), "cannot read credentials for quay.io");
            assert!(error.cause().unwrap().contains(expected), "{:?}", error.cause());
        }
        let user = Credentials::Password { user: "u".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{user:?}").contains("secret"));
    }
}
