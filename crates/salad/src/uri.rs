//! URIs as documents use them: joining references, prefixes, and the parts of identifiers.

/// The document part and the fragment of a URI.
pub fn split_fragment(uri: &str) -> (&str, Option<&str>) {
    match uri.split_once('#') {
        Some((document, fragment)) => (document, Some(fragment)),
        None => (uri, None),
    }
}

/// Whether a reference has a scheme. One letter is no scheme, so that `C:x` stays a name.
pub fn is_absolute(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.len() > 1
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            // `colon:test.cwl` is a file name; schemes that are used here have a path or an authority.
            && (rest.starts_with('/') || matches!(scheme, "urn" | "data" | "arvwf" | "keep" | "_"))
    })
}

/// Resolves a reference against the URI of the document that it stands in (RFC 3986 §5.2, for the
/// references that documents hold).
pub fn join(base: &str, reference: &str) -> String {
    if is_absolute(reference) {
        return reference.to_owned();
    }
    let (document, _) = split_fragment(base);
    if reference.is_empty() {
        return document.to_owned();
    }
    if reference.starts_with('#') {
        return format!("{document}{reference}");
    }
    let (root, path) = split_root(document);
    let (reference, suffix) = match reference.find('#') {
        Some(at) => reference.split_at(at),
        None => (reference, ""),
    };
    let joined = if reference.starts_with("//") {
        let scheme = document.split_once("//").map_or("", |(scheme, _)| scheme);
        return format!("{scheme}{reference}{suffix}");
    } else if reference.starts_with('/') {
        reference.to_owned()
    } else {
        let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
        format!("{folder}{reference}")
    };
    format!("{root}{}{suffix}", without_dots(&joined))
}

/// `http://host` and `/path`.
fn split_root(document: &str) -> (&str, &str) {
    match document.find("://") {
        Some(at) => match document[at + 3..].find('/') {
            Some(slash) => document.split_at(at + 3 + slash),
            None => (document, ""),
        },
        None => ("", document),
    }
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                if parts.len() > 1 {
                    parts.pop();
                }
            }
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        parts.push("");
    }
    parts.join("/")
}

/// A path as a URI reference: what is not plain is percent-encoded, slashes stay.
pub fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The identifier of something called `name` inside what is called `scope`: `doc#wf` and `step`
/// give `doc#wf/step`.
pub fn child(scope: &str, name: &str) -> String {
    let separator = match split_fragment(scope).1 {
        None => "#",
        Some("") => "",
        Some(_) => "/",
    };
    format!("{scope}{separator}{name}")
}

/// The identifier with `levels` of its last parts taken off its fragment.
pub fn parent(id: &str, levels: usize) -> &str {
    let mut id = id;
    for _ in 0..levels {
        let (document, fragment) = split_fragment(id);
        id = match fragment.and_then(|fragment| fragment.rfind('/')) {
            Some(slash) => &id[..document.len() + 1 + slash],
            None => document,
        };
    }
    id
}

/// The last part of an identifier: what people call it.
pub fn short_name(id: &str) -> &str {
    let (document, fragment) = split_fragment(id);
    let part = fragment.filter(|fragment| !fragment.is_empty()).unwrap_or(document);
    part.rsplit('/').next().unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_joined() {
        let base = "file:///data/wf/main.cwl#main";
        for (reference, expected) in [
            ("tool.cwl", "file:///data/wf/tool.cwl"),
            ("../tool.cwl#x", "file:///data/tool.cwl#x"),
            ("./a/./b/../c.cwl", "file:///data/wf/a/c.cwl"),
            ("/abs/t.cwl", "file:///abs/t.cwl"),
            ("#other", "file:///data/wf/main.cwl#other"),
            ("", "file:///data/wf/main.cwl"),
            ("http://host/x.cwl", "http://host/x.cwl"),
            ("colon:test.cwl", "file:///data/wf/colon:test.cwl"),
            ("item %231.txt", "file:///data/wf/item %231.txt"),
            ("../../../../x", "file:///x"),
        ] {
            assert_eq!(join(base, reference), expected, "{reference:?}");
        }
        assert_eq!(join("http://host/a/b", "c"), "http://host/a/c");
        assert_eq!(join("http://host", "/c"), "http://host/c");
    }

    #[test]
    fn identifiers_have_parents_and_children() {
        assert_eq!(child("f.cwl", "main"), "f.cwl#main");
        assert_eq!(child("f.cwl#main", "step"), "f.cwl#main/step");
        assert_eq!(parent("f.cwl#main/step/in", 2), "f.cwl#main");
        assert_eq!(parent("f.cwl#step/in", 2), "f.cwl");
        assert_eq!(short_name("f.cwl#main/step"), "step");
        assert_eq!(short_name("file:///x/f.cwl"), "f.cwl");
    }
}
