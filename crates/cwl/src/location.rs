//! Locations (URIs) of files, as the pure functions of a job need them.

/// The percent-encoded form of one name, with what Python's `quote` leaves bare.
pub fn encode_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Undoes percent-encoding; what is no escape, or would not be UTF-8, stays as it is.
pub fn decode(text: &str) -> String {
    fn hex(byte: Option<&u8>) -> Option<u8> {
        byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, hex(tail.first()), hex(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// The `file://` URI of an absolute path.
pub fn file_uri(path: &str) -> String {
    format!("file://{}", encode_name(path))
}

/// The path of a `file:` URI; `None` for any other location.
pub fn file_path(location: &str) -> Option<String> {
    let rest = location.strip_prefix("file:")?;
    let path = match rest.strip_prefix("//") {
        Some(authority) => authority.strip_prefix("localhost").unwrap_or(authority),
        None => rest,
    };
    path.starts_with('/').then(|| decode(path))
}

/// Whether a location is absolute: has a scheme.
pub fn is_absolute(location: &str) -> bool {
    location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// A location without query, fragment and trailing slash.
fn plain(location: &str) -> &str {
    let path = if location.starts_with("file:") || !location.contains("://") {
        location
    } else {
        location.split(['?', '#']).next().unwrap_or(location)
    };
    path.trim_end_matches('/')
}

/// The name that a location ends in, decoded.
pub fn basename(location: &str) -> String {
    let path = plain(location);
    match path.rsplit_once('/') {
        Some((_, name)) => decode(name),
        // `file:///` names nothing.
        None if path.ends_with(':') => String::new(),
        None => decode(path),
    }
}

/// The location of an entry of a directory. `name` may have several parts.
pub fn child(directory: &str, name: &str) -> String {
    format!("{}/{}", plain(directory), encode_name(name))
}

/// The location of a file beside another.
pub fn sibling(location: &str, name: &str) -> String {
    let path = plain(location);
    match path.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{}", encode_name(name)),
        None => encode_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_python_does() {
        for (name, encoded) in [
            ("item #1.txt", "item%20%231.txt"),
            ("A:Gln2Cys", "A%3AGln2Cys"),
            ("a~b_c-d.e", "a~b_c-d.e"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(encode_name(name), encoded);
            assert_eq!(decode(encoded), name);
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in ["100%", "%zz", "%4", "%ff", "a%"] {
            assert_eq!(decode(text), text);
        }
        assert_eq!(decode("%25%41"), "%A");
    }

    #[test]
    fn file_uris_become_paths() {
        assert_eq!(file_path("file:///a%20b/c").as_deref(), Some("/a b/c"));
        assert_eq!(file_path("file:/a").as_deref(), Some("/a"));
        assert_eq!(file_path("file://localhost/a").as_deref(), Some("/a"));
        assert_eq!(file_path("file://host/a"), None);
        assert_eq!(file_path("s3://bucket/a"), None);
        assert_eq!(file_uri("/a b"), "file:///a%20b");
    }

    #[test]
    fn siblings_and_children() {
        assert_eq!(sibling("file:///d/a.bam", "a.bam.bai"), "file:///d/a.bam.bai");
        assert_eq!(sibling("https://h/d/a.bam?x=/y", "a b"), "https://h/d/a%20b");
        assert_eq!(child("file:///d/", "x"), "file:///d/x");
        assert_eq!(basename("file:///d/a%20b/"), "a b");
        assert_eq!(basename("s3://b/k/n.txt"), "n.txt");
        assert_eq!(basename("n.txt"), "n.txt");
        assert_eq!(basename("file:///"), "");
    }

    #[test]
    fn a_colon_alone_is_no_scheme() {
        assert!(is_absolute("s3://x") && is_absolute("file:/x"));
        assert!(!is_absolute("a/b") && !is_absolute("1a:b") && !is_absolute("a b:c"));
    }
}
