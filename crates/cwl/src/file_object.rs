//! File and Directory objects as people write them become values that the rest can rely on
//! (CWL v1.2 §"File", §"Directory"): an absolute location or none, always a basename, no path.

use std::sync::Arc;

use sha1::{Digest, Sha1};

use crate::location;
use crate::value::{Directory, File, Value};

/// Schemes that need no `//` to be told from a file name with a colon in it.
const SCHEMES: [&str; 12] =
    ["file", "http", "https", "ftp", "data", "s3", "gs", "drs", "arcp", "keep", "toilfile", "urn"];

/// Completes every File and Directory of a value.
///
/// - `location` is a URI reference and `path` a plain path (or a URI), both relative to `base`, the
///   URI of the document that they stand in; the result has an absolute `location` and no `path`.
///   Where there is no base, only absolute ones will do.
/// - Literals (`contents` or `listing` alone, or a location `_:…`) keep having none. Those without
///   `basename` get a name made of what they hold, so that the same object is always the same.
/// - `basename` is taken from the location where it is not given; a literal's `size` is computed.
///
/// # Errors
/// What is wrong with which object, in a sentence.
pub fn normalise(value: &Value, base: Option<&str>) -> Result<Value, String> {
    value.try_map_files(&mut |object| match object {
        Value::File(file) => file_object(&file, base).map(|file| Value::File(Arc::new(file))),
        Value::Directory(directory) => {
            directory_object(&directory, base).map(|directory| Value::Directory(Arc::new(directory)))
        }
        other => Ok(other),
    })
}

fn file_object(file: &File, base: Option<&str>) -> Result<File, String> {
    let what = || format!("the File {}", name_of(&file.basename, &file.location, &file.path));
    let location =
        absolute(&file.location, &file.path, base).map_err(|reason| format!("{}: {reason}", what()))?;
    let mut completed = File { path: None, location: None, ..file.clone() };
    match location {
        Some(location) if location.ends_with('/') => {
            return Err(format!("{} has a location that ends in a slash, as only a Directory may", what()));
        }
        Some(location) => {
            completed.basename = Some(basename(&file.basename, &location, "File")?);
            completed.location = Some(location.into());
        }
        None => {
            let Some(contents) = &file.contents else {
                return Err(format!("{} has neither location, path nor contents", what()));
            };
            completed.size = Some(contents.len() as u64);
            completed.basename = match &file.basename {
                Some(name) if !name.is_empty() => Some(checked_name(name, "File")?),
                _ => Some(literal_name(contents)),
            };
        }
    }
    Ok(completed)
}

fn directory_object(directory: &Directory, base: Option<&str>) -> Result<Directory, String> {
    let what =
        || format!("the Directory {}", name_of(&directory.basename, &directory.location, &directory.path));
    let location = absolute(&directory.location, &directory.path, base)
        .map_err(|reason| format!("{}: {reason}", what()))?;
    let mut completed = Directory { path: None, location: None, ..directory.clone() };
    match location {
        Some(location) => {
            let trimmed = location.trim_end_matches('/');
            // `file:///` is all that is left of the root of a file system.
            let location = if trimmed.ends_with(':') { location.as_str() } else { trimmed };
            completed.basename = Some(basename(&directory.basename, location, "Directory")?);
            completed.location = Some(location.into());
        }
        None => {
            let Some(listing) = &directory.listing else {
                return Err(format!("{} has neither location, path nor listing", what()));
            };
            completed.basename = match &directory.basename {
                Some(name) if !name.is_empty() => Some(checked_name(name, "Directory")?),
                _ => Some(name_from(listing.iter().filter_map(object_name))),
            };
        }
    }
    Ok(completed)
}

fn name_of<'a>(
    basename: &'a Option<Arc<str>>,
    location: &'a Option<Arc<str>>,
    path: &'a Option<Arc<str>>,
) -> String {
    match location.as_deref().or(path.as_deref()).or(basename.as_deref()) {
        Some(name) => format!("{name:?}"),
        None => "without a name".to_owned(),
    }
}

fn object_name(value: &Value) -> Option<&str> {
    match value {
        Value::File(file) => file.basename.as_deref(),
        Value::Directory(directory) => directory.basename.as_deref(),
        _ => None,
    }
}

fn basename(given: &Option<Arc<str>>, location: &str, class: &str) -> Result<Arc<str>, String> {
    match given {
        Some(name) if !name.is_empty() => checked_name(name, class),
        _ => match location::basename(location).as_str() {
            "" => Err(format!("the {class} {location:?} needs a basename, since its location names none")),
            name => checked_name(name, class),
        },
    }
}

fn checked_name(name: &str, class: &str) -> Result<Arc<str>, String> {
    if name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(format!("a {class} cannot have the basename {name:?}"));
    }
    Ok(name.into())
}

/// The name of a file literal that was given none: a hash of its text.
pub fn literal_name(contents: &str) -> Arc<str> {
    name_from([contents])
}

/// A name for a literal that has none: the same whenever it holds the same.
fn name_from<'a>(parts: impl IntoIterator<Item = &'a str>) -> Arc<str> {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut name = String::with_capacity(40);
    for byte in hash.finalize() {
        name.push_str(&format!("{byte:02x}"));
    }
    name.into()
}

/// The absolute location of an object; `None` for a literal.
fn absolute(
    location: &Option<Arc<str>>,
    path: &Option<Arc<str>>,
    base: Option<&str>,
) -> Result<Option<String>, String> {
    match (location.as_deref(), path.as_deref()) {
        (Some(location), _) if location.starts_with("_:") => Ok(None),
        (Some(location), _) if !location.is_empty() => resolve(base, location).map(Some),
        (_, Some(path)) if !path.is_empty() => resolve_path(base, path).map(Some),
        (None, None) => Ok(None),
        _ => Err("an empty location names nothing".to_owned()),
    }
}

/// The absolute URI of a reference to a file. In `file:` URIs nothing but the path counts, so a bare
/// `#` or `?` is taken for a part of the name, and names come out encoded in one way only.
///
/// # Errors
/// No base for a relative reference; a reference from a remote document to a local file.
pub fn resolve(base: Option<&str>, reference: &str) -> Result<String, String> {
    if reference.contains('\0') {
        return Err("a location cannot hold a null character".to_owned());
    }
    let remote = base.is_some_and(|base| !base.starts_with("file:"));
    if has_scheme(reference) {
        return match reference.strip_prefix("file:") {
            Some(_) if remote => Err(format!("a remote document may not name the local file {reference:?}")),
            Some(rest) => local(rest),
            None => Ok(reference.to_owned()),
        };
    }
    let Some(base) = base else {
        if reference.starts_with('/') {
            return local(reference);
        }
        return Err(format!("{reference:?} is relative, and there is nothing that it could be relative to"));
    };
    match base.strip_prefix("file:") {
        Some(base) => local(&join_path(strip_authority(base), reference)),
        None => Ok(join_remote(base, reference)),
    }
}

/// The absolute URI of a plain path, or of a URI given as a path, as many do.
///
/// # Errors
/// See [`resolve`].
pub fn resolve_path(base: Option<&str>, path: &str) -> Result<String, String> {
    if has_scheme(path) { resolve(base, path) } else { resolve(base, &location::encode_name(path)) }
}

fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && (rest.starts_with("//") || SCHEMES.contains(&scheme))
    })
}

fn strip_authority(rest: &str) -> &str {
    match rest.strip_prefix("//") {
        Some(authority) => authority.strip_prefix("localhost").unwrap_or(authority),
        None => rest,
    }
}

/// The URI of what follows `file:`.
fn local(rest: &str) -> Result<String, String> {
    let path = strip_authority(rest);
    if !path.starts_with('/') {
        return Err(format!("\"file:{rest}\" is no file of this machine"));
    }
    let decoded = location::decode(path);
    // Names that are not UTF-8 cannot be decoded; they stay as they were written.
    let escaped = decoded == path && has_escape(path);
    let tidy = remove_dots(&decoded);
    Ok(if escaped { format!("file://{tidy}") } else { location::file_uri(&tidy) })
}

fn has_escape(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|w| matches!(w, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

fn join_path(base: &str, reference: &str) -> String {
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    let base = base.split(['#', '?']).next().unwrap_or(base);
    let directory = base.rfind('/').map_or("/", |slash| &base[..=slash]);
    format!("{directory}{reference}")
}

fn join_remote(base: &str, reference: &str) -> String {
    let base = base.split(['#', '?']).next().unwrap_or(base);
    let root_end = base.find("://").map_or(0, |at| at + 3);
    let path_start = base[root_end..].find('/').map_or(base.len(), |slash| root_end + slash);
    let (root, path) = base.split_at(path_start);
    let (path_part, rest) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
    format!("{root}{}{rest}", remove_dots(&join_path(path, path_part)))
}

fn remove_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let slash = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    const BASE: &str = "file:///jobs/a/job.yml";

    #[test]
    fn locations_are_made_absolute() {
        let cases = [
            ("x.txt", "file:///jobs/a/x.txt"),
            ("../x.txt", "file:///jobs/x.txt"),
            ("./b//x.txt", "file:///jobs/a/b/x.txt"),
            ("/x.txt", "file:///x.txt"),
            ("octothorpe/item %231.txt", "file:///jobs/a/octothorpe/item%20%231.txt"),
            ("item #1.txt", "file:///jobs/a/item%20%231.txt"),
            ("what?.txt", "file:///jobs/a/what%3F.txt"),
            ("A%3AGln2Cys", "file:///jobs/a/A%3AGln2Cys"),
            ("A:Gln2Cys", "file:///jobs/a/A%3AGln2Cys"),
            ("100%", "file:///jobs/a/100%25"),
            ("%FF.txt", "file:///jobs/a/%FF.txt"),
            ("file:/x", "file:///x"),
            ("file://localhost/x", "file:///x"),
            ("file:///a b", "file:///a%20b"),
            ("http://h/a%20b?c#d", "http://h/a%20b?c#d"),
            ("s3://bucket/key", "s3://bucket/key"),
            ("../../../../x", "file:///x"),
        ];
        for (reference, expected) in cases {
            assert_eq!(resolve(Some(BASE), reference).as_deref(), Ok(expected), "{reference}");
        }
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        let cases = [
            ("item #1.txt", "file:///jobs/a/item%20%231.txt"),
            ("item%20.txt", "file:///jobs/a/item%2520.txt"),
            ("A:Gln2Cys", "file:///jobs/a/A%3AGln2Cys"),
            ("/x/y", "file:///x/y"),
            ("file:///x/y", "file:///x/y"),
            ("https://h/x", "https://h/x"),
        ];
        for (path, expected) in cases {
            assert_eq!(resolve_path(Some(BASE), path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn without_a_base_only_absolute_ones_will_do() {
        assert_eq!(resolve(None, "/x y").as_deref(), Ok("file:///x%20y"));
        assert_eq!(resolve(None, "s3://b/k").as_deref(), Ok("s3://b/k"));
        assert!(resolve(None, "x").is_err_and(|m| m.contains("relative")));
    }

    #[test]
    fn remote_documents_name_remote_files() {
        let base = Some("https://h/jobs/job.yml?x=1");
        assert_eq!(resolve(base, "r/x.txt").as_deref(), Ok("https://h/jobs/r/x.txt"));
        assert_eq!(resolve(base, "/x.txt?v=2").as_deref(), Ok("https://h/x.txt?v=2"));
        assert_eq!(resolve(Some("https://h"), "x").as_deref(), Ok("https://h/x"));
        assert!(resolve(base, "file:///etc/passwd").is_err_and(|m| m.contains("remote")));
    }

    /// What an object becomes, as JSON; the fields that follow from others left out.
    fn outcome(text: &str) -> Result<String, String> {
        let value = normalise(&json::parse(text).expect(text), Some(BASE))?;
        Ok(match &value {
            Value::File(file) => format!(
                "{} {} {:?}",
                file.location.as_deref().unwrap_or("-"),
                file.basename.as_deref().unwrap_or("-"),
                file.size
            ),
            Value::Directory(directory) => format!(
                "{} {}",
                directory.location.as_deref().unwrap_or("-"),
                directory.basename.as_deref().unwrap_or("-")
            ),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn objects_are_completed() {
        let cases = [
            (r#"{"class": "File", "path": "d/x.txt"}"#, Ok("file:///jobs/a/d/x.txt x.txt None")),
            (
                r#"{"class": "File", "location": "d/x%201", "path": "/y"}"#,
                Ok("file:///jobs/a/d/x%201 x 1 None"),
            ),
            (r#"{"class": "File", "location": "x", "basename": "y"}"#, Ok("file:///jobs/a/x y None")),
            (r#"{"class": "File", "location": "x", "basename": ""}"#, Ok("file:///jobs/a/x x None")),
            (r#"{"class": "File", "contents": "é", "basename": "y"}"#, Ok("- y Some(2)")),
            (
                r#"{"class": "File", "contents": ""}"#,
                Ok("- 5ba93c9db0cff93f52b521d7420e43f6eda2784f Some(0)"),
            ),
            (r#"{"class": "File", "location": "_:1", "contents": "a", "basename": "y"}"#, Ok("- y Some(1)")),
            (r#"{"class": "Directory", "location": "d/"}"#, Ok("file:///jobs/a/d d")),
            (r#"{"class": "Directory", "listing": [], "basename": "d"}"#, Ok("- d")),
            (
                r#"{"class": "File", "location": "https://h/x.txt?sig=1"}"#,
                Ok("https://h/x.txt?sig=1 x.txt None"),
            ),
            (r#"{"class": "File"}"#, Err("neither location, path nor contents")),
            (r#"{"class": "Directory", "basename": "d"}"#, Err("neither location, path nor listing")),
            (r#"{"class": "File", "location": "d/"}"#, Err("ends in a slash")),
            (r#"{"class": "File", "location": "x", "basename": "../y"}"#, Err("cannot have the basename")),
            (r#"{"class": "File", "location": "%2e%2e"}"#, Ok("file:///jobs jobs None")),
            (r#"{"class": "File", "location": "https://h"}"#, Ok("https://h h None")),
            (r#"{"class": "File", "location": "x\u0000"}"#, Err("null character")),
            (r#"{"class": "File", "location": ""}"#, Err("empty location")),
        ];
        for (text, expected) in cases {
            match (outcome(text), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
                (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn nested_objects_are_completed_too() {
        let text = r#"[{"class": "File", "path": "a", "secondaryFiles": [{"class": "File", "path": "a.i"}]},
            {"r": {"class": "Directory", "basename": "d", "listing": [{"class": "File", "contents": "x"}]}}]"#;
        let value = normalise(&json::parse(text).expect(text), Some(BASE)).expect("normalised");
        let mut names = Vec::new();
        value.visit_files(&mut |object| names.push(object_name(object).unwrap_or("").to_owned()));
        assert_eq!(names, ["a.i", "a", &name_from(["x"]), "d"]);
    }
}
