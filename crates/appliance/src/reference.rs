//! Names of images in registries: `HOST[:PORT][/NAME][:TAG]`.

use std::fmt;

/// Where an image is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host and port of the registry, as people write it.
    pub registry: String,
    /// The name in it.
    pub name: String,
    /// The tag.
    pub tag: String,
}

/// Why a word names no place for an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Docker would take its own registry then.
    #[error("'{0}' names no registry; write HOST/NAME, such as docker.io/{0}")]
    NoRegistry(String),
    /// A digest cannot be pushed to.
    #[error("'{0}' names a digest; an image is put under a tag")]
    Digest(String),
    /// Registries refuse such a name or tag.
    #[error("'{0}' is not a name of an image; names have small letters, digits and . _ - /")]
    Malformed(String),
}

impl Reference {
    /// Reads a word; name and tag that it does not have are these.
    ///
    /// # Errors
    /// It names no registry, or what stands behind it cannot be a name.
    pub fn parse(word: &str, name: &str, tag: &str) -> Result<Self, ReferenceError> {
        let word = word.strip_prefix("docker://").unwrap_or(word).trim_end_matches('/');
        if word.contains('@') {
            return Err(ReferenceError::Digest(word.to_owned()));
        }
        let (registry, rest) = word.split_once('/').unwrap_or((word, ""));
        if !(registry.contains(['.', ':']) || registry == "localhost") {
            return Err(ReferenceError::NoRegistry(word.to_owned()));
        }
        let (given, tag) = match rest.rsplit_once(':') {
            Some((given, tag)) => (given, tag),
            None => (rest, tag),
        };
        let name = if given.is_empty() { name } else { given };
        let good = |text: &str, also: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        let in_name = name.split('/').all(|part| good(part, "._-")) && !name.contains(char::is_uppercase);
        if !in_name || !good(tag, "._-") || tag.len() > 128 || !good(registry, ".:-[]") {
            return Err(ReferenceError::Malformed(word.to_owned()));
        }
        Ok(Self { registry: registry.to_owned(), name: name.to_owned(), tag: tag.to_owned() })
    }

    /// The host that serves this registry.
    pub fn host(&self) -> &str {
        match self.registry.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        }
    }

    /// Whether the registry is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.registry,
        };
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.registry, self.name, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_filled_in() {
        let cases = [
            ("quay.io", "quay.io/moil:1"),
            ("quay.io/me/moil", "quay.io/me/moil:1"),
            ("localhost:5000", "localhost:5000/moil:1"),
            ("localhost/x:latest", "localhost/x:latest"),
            ("docker://10.0.0.1:5000/x/y:2.0", "10.0.0.1:5000/x/y:2.0"),
            ("[::1]:5000/x", "[::1]:5000/x:1"),
        ];
        for (word, expected) in cases {
            assert_eq!(Reference::parse(word, "moil", "1").unwrap().to_string(), expected, "{word}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let parse = |word| Reference::parse(word, "moil", "1").unwrap_err().to_string();
        assert_eq!(
            parse("me/moil"),
            "'me/moil' names no registry; write HOST/NAME, such as docker.io/me/moil"
        );
        assert!(parse("quay.io/x@sha256:00").contains("digest"));
        for word in ["quay.io/Me", "quay.io/x:", "quay.io/a//b", "quay.io/x:a b", "qu ay.io/x"] {
            assert!(parse(word).contains("not a name"), "{word}");
        }
    }

    #[test]
    fn loopback_registries_are_known() {
        for (word, expected) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000/x", true),
            ("[::1]:5000", true),
            ("10.88.0.1:5000", false),
            ("localhost.example.com", false),
        ] {
            assert_eq!(Reference::parse(word, "moil", "1").unwrap().is_loopback(), expected, "{word}");
        }
    }
}
