//! Absolute URIs of documents and files, and paths in them.
//!
//! Names of files may hold anything (`item #1.txt`, `a%b`, `A:Gln2Cys`); in a URI such characters
//! are percent-encoded, and [`to_path`] gives the name back.

use std::fmt::Write as _;

/// Schemes that are taken for schemes without `//` behind them. Anything else before a colon may
/// be the beginning of a file name.
const SCHEMES: [&str; 12] =
    ["file", "http", "https", "ftp", "s3", "gs", "data", "urn", "mailto", "ssh", "toilfile", "keep"];

/// The scheme of a reference, if it has one. `A:Gln2Cys` has none: it is a file name.
pub fn scheme(reference: &str) -> Option<&str> {
    let (scheme, rest) = reference.split_once(':')?;
    let well_formed = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (well_formed && (rest.starts_with("//") || SCHEMES.contains(&scheme.to_ascii_lowercase().as_str())))
        .then_some(scheme)
}

/// Whether a reference stands by itself: it has a scheme, or is a blank node (`_:x`).
pub fn is_absolute(reference: &str) -> bool {
    reference.starts_with("_:") || scheme(reference).is_some()
}

/// Splits off the fragment: `a#b` is `("a", Some("b"))`.
pub fn split_fragment(uri: &str) -> (&str, Option<&str>) {
    match uri.split_once('#') {
        Some((base, fragment)) => (base, Some(fragment)),
        None => (uri, None),
    }
}

/// The part of a URI before its fragment.
pub fn without_fragment(uri: &str) -> &str {
    split_fragment(uri).0
}

/// The last part of an identifier: what is behind the last `/` of the fragment, or the last part
/// of the path where there is no fragment.
pub fn short_name(uri: &str) -> &str {
    let name = match split_fragment(uri) {
        (_, Some(fragment)) if !fragment.is_empty() => fragment,
        (base, _) => base,
    };
    name.rsplit('/').next().unwrap_or(name)
}

/// Resolves a reference against an absolute URI (RFC 3986 §5.2), except that `colon:name` is a
/// relative path unless `colon` is a known scheme.
pub fn join(base: &str, reference: &str) -> String {
    if is_absolute(reference) {
        return tidy(reference);
    }
    let base = without_fragment(base);
    if reference.is_empty() {
        return base.to_owned();
    }
    if let Some(fragment) = reference.strip_prefix('#') {
        return format!("{base}#{fragment}");
    }
    let (root, base_path) = split_root(base);
    let (path, fragment) = split_fragment(reference);
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut joined = if let Some(rest) = path.strip_prefix("//") {
        let scheme = root.split_once(':').map_or("file", |(scheme, _)| scheme);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        format!("{scheme}://{host}{}", remove_dots(&format!("/{}", encode_keeping(path))))
    } else if path.starts_with('/') {
        format!("{root}{}", remove_dots(&encode_keeping(path)))
    } else if path.is_empty() {
        format!("{root}{base_path}")
    } else {
        let directory = base_path.rfind('/').map_or("/", |end| &base_path[..=end]);
        format!("{root}{}", remove_dots(&format!("{directory}{}", encode_keeping(path))))
    };
    if let Some(query) = query {
        let _ = write!(joined, "?{query}");
    }
    if let Some(fragment) = fragment {
        let _ = write!(joined, "#{fragment}");
    }
    joined
}

/// An absolute reference with its path encoded; `file:/x` becomes `file:///x`.
fn tidy(reference: &str) -> String {
    if let Some(path) = reference.strip_prefix("file:")
        && !path.starts_with("//")
    {
        let (path, fragment) = split_fragment(path);
        let path = encode_keeping(path);
        let slash = if path.starts_with('/') { "" } else { "/" };
        return match fragment {
            Some(fragment) => format!("file://{slash}{path}#{fragment}"),
            None => format!("file://{slash}{path}"),
        };
    }
    if reference.chars().any(needs_encoding) { encode_keeping(reference) } else { reference.to_owned() }
}

/// `file:///a/b` is `("file://", "/a/b")`, `https://h/a` is `("https://h", "/a")`; without the query.
fn split_root(base: &str) -> (&str, &str) {
    let base = base.split_once('?').map_or(base, |(base, _)| base);
    let Some(start) = base.find("://").map(|at| at + 3) else {
        return match base.split_once(':') {
            Some((scheme, _)) => base.split_at(scheme.len() + 1),
            None => ("", base),
        };
    };
    let end = base[start..].find('/').map_or(base.len(), |at| start + at);
    base.split_at(end)
}

/// Takes `.` and `..` out of an absolute path (RFC 3986 §5.2.4).
fn remove_dots(path: &str) -> String {
    if !path.contains("/.") && !path.contains("//") {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    let mut ends_in_directory = false;
    for part in path.split('/').skip(1) {
        ends_in_directory = matches!(part, "." | ".." | "");
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let mut out = String::with_capacity(path.len());
    for part in &parts {
        out.push('/');
        out.push_str(part);
    }
    if ends_in_directory || out.is_empty() {
        out.push('/');
    }
    out
}

fn needs_encoding(c: char) -> bool {
    c <= ' ' || c == '\u{7f}' || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// Encodes what may never stand in a URI, and leaves `%XX` as it is.
fn encode_keeping(text: &str) -> String {
    encode(text, needs_encoding)
}

fn encode(text: &str, needs: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if needs(c) {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A path as a part of a URI: `#`, `%`, `?`, blanks and the like are encoded.
pub fn encode_path(path: &str) -> String {
    encode(path, |c| needs_encoding(c) || matches!(c, '#' | '%' | '?'))
}

/// The `file:` URI of an absolute path.
pub fn from_path(path: &str) -> String {
    format!("file://{}", encode_path(path))
}

/// The path that a `file:` URI (or a URI without scheme) names, without fragment and query;
/// `None` for other schemes, for other hosts and where the decoded name is not UTF-8.
pub fn to_path(uri: &str) -> Option<String> {
    let uri = without_fragment(uri);
    let path = match uri.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(authority) => {
                let host = &authority[..authority.find('/')?];
                (host.is_empty() || host == "localhost").then(|| &authority[host.len()..])?
            }
            None => rest,
        },
        None if scheme(uri).is_none() => uri,
        None => return None,
    };
    decode(path)
}

/// Decodes `%XX`. A `%` that no two hexadecimal digits follow stands for itself.
/// `None` where the result is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let hex =
        |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        if byte == b'%'
            && let (Some(high), Some(low)) = (hex(bytes.get(index + 1)), hex(bytes.get(index + 2)))
        {
            out.push(high * 16 + low);
            index += 3;
        } else {
            out.push(byte);
            index += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// The absolute URI of a `path` field: a path is taken literally, so `a#b` is a file of that
/// name; but where a URI was written (`file:///x`), it is taken as one.
pub fn join_path(base: &str, path: &str) -> String {
    if scheme(path).is_some() { join(base, path) } else { join(base, &encode_path(path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_joined() {
        let base = "file:///d/e/wf.cwl#main";
        for (reference, expected) in [
            ("tool.cwl", "file:///d/e/tool.cwl"),
            ("./tool.cwl", "file:///d/e/tool.cwl"),
            ("../tool.cwl#x", "file:///d/tool.cwl#x"),
            ("../../../tool.cwl", "file:///tool.cwl"),
            ("#other", "file:///d/e/wf.cwl#other"),
            ("", "file:///d/e/wf.cwl"),
            ("/abs/t.cwl", "file:///abs/t.cwl"),
            ("a b.txt", "file:///d/e/a%20b.txt"),
            ("item %231.txt", "file:///d/e/item%20%231.txt"),
            ("colon:test.cwl", "file:///d/e/colon:test.cwl"),
            ("A:Gln2Cys", "file:///d/e/A:Gln2Cys"),
            ("sub/", "file:///d/e/sub/"),
            (".", "file:///d/e/"),
            ("..", "file:///d/"),
            ("file:///x/y", "file:///x/y"),
            ("file:/x/y", "file:///x/y"),
            ("http://h/a?b#c", "http://h/a?b#c"),
            ("s3://bucket/key", "s3://bucket/key"),
            ("_:b0", "_:b0"),
            ("grüße.txt", "file:///d/e/grüße.txt"),
        ] {
            assert_eq!(join(base, reference), expected, "{reference:?}");
        }
        assert_eq!(join("http://host/a/b?q", "c"), "http://host/a/c");
        assert_eq!(join("http://host", "c"), "http://host/c");
        assert_eq!(join("https://host/a/b", "//other/x"), "https://other/x");
    }

    #[test]
    fn paths_and_uris_are_inverse() {
        for path in ["/a/item #1.txt", "/a/100%.txt", "/a/what?", "/a/colon:test", "/ü/€", "/a%20b", "/a\\b"]
        {
            assert_eq!(to_path(&from_path(path)).as_deref(), Some(path));
        }
        assert_eq!(to_path("file://localhost/x").as_deref(), Some("/x"));
        assert_eq!(to_path("file:///a%20b#frag").as_deref(), Some("/a b"));
        assert_eq!(to_path("file://elsewhere/x"), None);
        assert_eq!(to_path("http://h/x"), None);
        assert_eq!(to_path("file:///%ff"), None);
        assert_eq!(decode("100%"), Some("100%".to_owned()));
    }

    #[test]
    fn path_fields_are_literal() {
        assert_eq!(join_path("file:///d/wf.cwl", "a#b.txt"), "file:///d/a%23b.txt");
        assert_eq!(join_path("file:///d/wf.cwl", "/x/50%.txt"), "file:///x/50%25.txt");
        assert_eq!(join_path("file:///d/wf.cwl", "file:///x"), "file:///x");
    }

    #[test]
    fn short_names() {
        for (uri, expected) in
            [("file:///w#main/step/in", "in"), ("file:///w#x", "x"), ("file:///d/w.cwl", "w.cwl"), ("x", "x")]
        {
            assert_eq!(short_name(uri), expected);
        }
    }
}
