//! Which certificates are trusted: those that the usual variables name, else those of the system.

use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// Where distributions keep their certificates as one file.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files with the trusted certificates. Where there is none, Mozilla's are trusted.
pub fn certificate_files(environment: &Environment, cwd: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
        .into_iter()
        .filter_map(|name| Some(cwd.join(environment.known(name)?)))
        .collect();
    files.sort();
    files.dedup();
    if files.is_empty() {
        files.extend(SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file()));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_beat_the_system() {
        let with = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
            certificate_files(&Environment::new(variables), Path::new("/here"))
        };
        assert_eq!(with(&[("SSL_CERT_FILE", "ca.pem")]), [Path::new("/here/ca.pem")]);
        let both = [("SSL_CERT_FILE", "/b"), ("REQUESTS_CA_BUNDLE", "/a"), ("CURL_CA_BUNDLE", "/a")];
        assert_eq!(with(&both), [Path::new("/a"), Path::new("/b")]);
        assert!(
            with(&[("SSL_CERT_FILE", "")]).iter().all(|path| SYSTEM.contains(&path.to_str().unwrap_or("")))
        );
    }
}
