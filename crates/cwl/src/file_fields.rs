//! Files and directories as mappings: what an expression, a JSON text and a document see of them
//! (CWL v1.2 §"File", §"Directory").

use std::sync::Arc;

use crate::number::Number;
use crate::value::{Directory, File, Value, ValueMap};

/// The fields of a file or directory as expressions see them, with the derived ones (`nameroot`,
/// `nameext`, `dirname`). Fields that are not set are absent, not null. `None` for other values.
pub fn expression_fields(value: &Value) -> Option<Vec<(&str, Value)>> {
    match value {
        Value::File(file) => Some(file_fields(file, true)),
        Value::Directory(directory) => Some(directory_fields(directory)),
        _ => None,
    }
}

/// The fields of a file or directory as the output object has them. `path` is that of a local
/// location. `None` for other values.
pub fn output_fields(value: &Value) -> Option<Vec<(&str, Value)>> {
    let (mut fields, location) = match value {
        Value::File(file) => (file_fields(file, false), &file.location),
        Value::Directory(directory) => (directory_fields(directory), &directory.location),
        _ => return None,
    };
    if !fields.iter().any(|(name, _)| *name == "path")
        && let Some(path) = location.as_deref().and_then(local_path)
    {
        fields.push(("path", path.into()));
    }
    Some(fields)
}

fn file_fields(file: &File, with_dirname: bool) -> Vec<(&str, Value)> {
    let text = |text: &Option<Arc<str>>| text.clone().map(Value::String);
    let dirname = file.path.as_deref().filter(|_| with_dirname).map(dirname);
    let has_secondary_files = file.has_secondary_files || !file.secondary_files.is_empty();
    let secondary_files = has_secondary_files.then(|| Arc::clone(&file.secondary_files));
    let known = [
        ("class", Some("File".into())),
        ("location", text(&file.location)),
        ("basename", text(&file.basename)),
        ("nameroot", file.nameroot().map(Value::from)),
        ("nameext", file.nameext().map(Value::from)),
        ("path", text(&file.path)),
        ("dirname", dirname.map(Value::from)),
        ("checksum", text(&file.checksum)),
        ("size", file.size.map(size)),
        ("format", text(&file.format)),
        ("contents", text(&file.contents)),
        ("secondaryFiles", secondary_files.map(Value::List)),
    ];
    with_extra(known, &file.extra)
}

fn directory_fields(directory: &Directory) -> Vec<(&str, Value)> {
    let text = |text: &Option<Arc<str>>| text.clone().map(Value::String);
    let known = [
        ("class", Some("Directory".into())),
        ("location", text(&directory.location)),
        ("basename", text(&directory.basename)),
        ("path", text(&directory.path)),
        ("listing", directory.listing.clone().map(Value::List)),
    ];
    with_extra(known, &directory.extra)
}

fn with_extra<'a, const N: usize>(
    known: [(&'static str, Option<Value>); N],
    extra: &'a ValueMap,
) -> Vec<(&'a str, Value)> {
    known
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .chain(extra.iter().map(|(name, value)| (&**name, value.clone())))
        .collect()
}

fn size(size: u64) -> Value {
    match i64::try_from(size) {
        Ok(size) => Value::from(size),
        Err(_) => Value::Number(Number::Big(size.to_string().into())),
    }
}

/// The part of a path before its last slash, as Python's `os.path.split` gives it.
fn dirname(path: &str) -> &str {
    match path.rfind('/') {
        None => "",
        Some(slash) => match path[..slash].trim_end_matches('/') {
            "" => &path[..=slash],
            directory => directory,
        },
    }
}

/// The path of a `file://` location, if it is one and its name is UTF-8.
fn local_path(location: &str) -> Option<String> {
    let encoded = location.strip_prefix("file://")?;
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let decoded = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The value that a mapping stands for: a file or directory if its `class` says so, else itself.
/// `nameroot`, `nameext` and `dirname` of a file are dropped, since they follow from the others.
///
/// # Errors
/// A known field has a value of another type; the text names the field.
pub fn from_fields(mut fields: ValueMap) -> Result<Value, String> {
    match fields.get("class").and_then(Value::as_str) {
        Some("File") => {
            let secondary_files = take_files(&mut fields, "secondaryFiles")?;
            let mut file = File {
                location: take_text(&mut fields, "location")?,
                basename: take_text(&mut fields, "basename")?,
                checksum: take_text(&mut fields, "checksum")?,
                size: take_size(&mut fields)?,
                has_secondary_files: secondary_files.is_some(),
                secondary_files: secondary_files.unwrap_or_default(),
                format: take_text(&mut fields, "format")?,
                contents: take_text(&mut fields, "contents")?,
                path: take_text(&mut fields, "path")?,
                extra: Arc::default(),
            };
            fields.retain(|name, _| !matches!(&**name, "class" | "nameroot" | "nameext" | "dirname"));
            file.extra = Arc::new(fields);
            Ok(Value::File(Arc::new(file)))
        }
        Some("Directory") => {
            let mut directory = Directory {
                location: take_text(&mut fields, "location")?,
                basename: take_text(&mut fields, "basename")?,
                listing: take_files(&mut fields, "listing")?,
                path: take_text(&mut fields, "path")?,
                extra: Arc::default(),
            };
            fields.retain(|name, _| !matches!(&**name, "class" | "nameroot" | "nameext" | "dirname"));
            directory.extra = Arc::new(fields);
            Ok(Value::Directory(Arc::new(directory)))
        }
        _ => Ok(Value::map(fields)),
    }
}

fn take_text(fields: &mut ValueMap, name: &str) -> Result<Option<Arc<str>>, String> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(format!("`{name}` of {} must be a string, not {}", class(fields), describe(&other)))
        }
    }
}

fn take_size(fields: &mut ValueMap) -> Result<Option<u64>, String> {
    let wrong = |value: &Value| format!("`size` of a File must be a whole number, not {}", describe(value));
    match fields.shift_remove("size") {
        None | Some(Value::Null) => Ok(None),
        Some(value @ Value::Number(_)) => match &value {
            Value::Number(number) => {
                let size = number.as_i64().and_then(|size| u64::try_from(size).ok());
                size.map(Some).ok_or_else(|| wrong(&value))
            }
            _ => Err(wrong(&value)),
        },
        Some(other) => Err(wrong(&other)),
    }
}

fn take_files(fields: &mut ValueMap, name: &str) -> Result<Option<Arc<Vec<Value>>>, String> {
    let wrong = |fields: &ValueMap, value: &Value| {
        let class = class(fields);
        format!("`{name}` of {class} must be a list of File and Directory objects, not {}", describe(value))
    };
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::List(items)) => {
            match items.iter().find(|item| !matches!(item, Value::File(_) | Value::Directory(_))) {
                None => Ok(Some(items)),
                Some(item) => Err(wrong(fields, item)),
            }
        }
        Some(other) => Err(wrong(fields, &other)),
    }
}

fn class(fields: &ValueMap) -> &'static str {
    match fields.get("class").and_then(Value::as_str) {
        Some("Directory") => "a Directory",
        _ => "a File",
    }
}

/// What a value is, for messages: `the string "x"`, `a list`.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 60 => format!("the string {text:?}"),
        Value::String(text) => format!("the string {:?}…", text.chars().take(60).collect::<String>()),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        Value::File(_) => "a File".to_owned(),
        Value::Directory(_) => "a Directory".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn derived_fields_come_from_basename_and_path() {
        let file = json::parse(
            r#"{"class": "File", "path": "/a/b/x.tar.gz", "basename": "x.tar.gz", "nameroot": "lie"}"#,
        )
        .expect("a file");
        let fields = expression_fields(&file).expect("a file");
        let get = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        assert_eq!(get("nameroot"), Some("x.tar".into()));
        assert_eq!(get("nameext"), Some(".gz".into()));
        assert_eq!(get("dirname"), Some("/a/b".into()));
        assert_eq!(get("size"), None);
        assert_eq!(get("secondaryFiles"), None);
    }

    #[test]
    fn dirname_is_pythons() {
        for (path, expected) in
            [("/a", "/"), ("/a/b", "/a"), ("a", ""), ("//a", "//"), ("/a//b", "/a"), ("a/b/", "a/b")]
        {
            assert_eq!(dirname(path), expected, "{path}");
        }
    }

    #[test]
    fn the_path_of_an_output_is_that_of_its_location() {
        let cases = [
            ("file:///o/item%20%231.txt", Some("/o/item #1.txt")),
            ("file:///o/100%", Some("/o/100%")),
            ("file:///o/%+1", Some("/o/%+1")),
            ("file:///o/%ff", None),
            ("s3://b/x", None),
        ];
        for (location, expected) in cases {
            assert_eq!(local_path(location).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn unknown_fields_are_kept_and_known_ones_checked() {
        let file = json::parse(r#"{"class": "File", "location": "x", "streamable": false, "size": null}"#)
            .expect("a file");
        let Value::File(file) = file else { panic!("not a file") };
        assert_eq!(file.extra.get("streamable"), Some(&Value::Bool(false)));
        assert_eq!(file.size, None);
        for (text, message) in [
            (
                r#"{"class": "File", "location": 5}"#,
                "`location` of a File must be a string, not the number 5",
            ),
            (
                r#"{"class": "File", "size": -1}"#,
                "`size` of a File must be a whole number, not the number -1",
            ),
            (
                r#"{"class": "Directory", "listing": ["x"]}"#,
                "`listing` of a Directory must be a list of File and Directory objects, not the string \"x\"",
            ),
        ] {
            let error = json::parse(text).expect_err(text);
            assert!(error.contains(message), "{error}");
        }
    }
}
