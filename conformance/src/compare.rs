//! Output objects compared by cwltest's rules, its oddities included: what it lets pass, passes.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use moil_salad::node::{Kind, Map, Node};
use sha1::{Digest, Sha1};

use crate::number;

/// Why two output objects differ.
#[derive(Debug)]
pub struct Mismatch {
    /// The way to the part that differs, innermost step last.
    pub at: Vec<String>,
    /// What was expected and what came.
    pub reason: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at.join("."))?;
        }
        f.write_str(&self.reason)
    }
}

impl Mismatch {
    fn new(reason: impl Into<String>) -> Self {
        Self { at: Vec::new(), reason: reason.into() }
    }

    fn under(mut self, step: impl Into<String>) -> Self {
        self.at.insert(0, step.into());
        self
    }
}

/// Compares what a test expects with the output object of a runner.
/// Files are looked at on disk; relative paths start at `base`.
///
/// # Errors
/// The first difference.
pub fn compare(expected: &Node, actual: &Node, base: &Path) -> Result<(), Mismatch> {
    Comparison { base }.values(Some(expected), Some(actual))
}

struct Comparison<'a> {
    base: &'a Path,
}

impl Comparison<'_> {
    fn values(&self, expected: Option<&Node>, actual: Option<&Node>) -> Result<(), Mismatch> {
        let actual = actual.filter(|node| !node.is_null());
        let Some(expected) = expected.filter(|node| !node.is_null()) else {
            return match actual {
                None => Ok(()),
                Some(actual) => Err(Mismatch::new(format!("expected nothing, got {}", actual.describe()))),
            };
        };
        if expected.as_str() == Some("Any") {
            return Ok(());
        }
        let Some(actual) = actual else {
            return Err(Mismatch::new(format!("expected {}, got nothing", expected.describe())));
        };
        let equal = match (&expected.kind, &actual.kind) {
            (Kind::Map(expected), Kind::Map(actual)) => {
                return match expected.get("class").and_then(Node::as_str) {
                    Some("File") => self.file(expected, actual),
                    Some("Directory") => self.directory(expected, actual),
                    _ => self.records(expected, actual),
                };
            }
            (Kind::List(expected), Kind::List(actual)) => return self.lists(expected, actual),
            (Kind::String(expected), Kind::String(actual)) => expected == actual,
            (expected, actual) => number::equal(expected, actual),
        };
        if equal {
            return Ok(());
        }
        Err(Mismatch::new(format!("expected {}, got {}", expected.describe(), actual.describe())))
    }

    fn lists(&self, expected: &[Node], actual: &[Node]) -> Result<(), Mismatch> {
        if expected.len() != actual.len() {
            return Err(Mismatch::new(format!("expected {} items, got {}", expected.len(), actual.len())));
        }
        for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
            self.values(Some(expected), Some(actual)).map_err(|fault| fault.under(index.to_string()))?;
        }
        Ok(())
    }

    fn records(&self, expected: &Map, actual: &Map) -> Result<(), Mismatch> {
        for entry in &expected.entries {
            self.values(Some(&entry.value), actual.get(&entry.key)).map_err(|f| f.under(&entry.key))?;
        }
        let extra = actual.entries.iter().find(|e| expected.entry(&e.key).is_none() && !e.value.is_null());
        match extra {
            Some(entry) => Err(Mismatch::new(format!("unexpected key {:?}", entry.key))),
            None => Ok(()),
        }
    }

    fn directory(&self, expected: &Map, actual: &Map) -> Result<(), Mismatch> {
        if actual.get("class").and_then(Node::as_str) != Some("Directory") {
            return Err(Mismatch::new("expected a Directory"));
        }
        let listing = actual.get("listing").ok_or_else(|| Mismatch::new("a Directory without listing"))?;
        // cwltest cannot compare a Directory whose content the test does not give.
        let wanted = expected
            .get("listing")
            .and_then(Node::as_list)
            .ok_or_else(|| Mismatch::new("the test gives no listing for a Directory"))?;
        for item in wanted {
            let found = listing.as_list().unwrap_or_default();
            if !found.iter().any(|found| self.values(Some(item), Some(found)).is_ok()) {
                let name = item.get("basename").or_else(|| item.get("location")).or_else(|| item.get("path"));
                let name = name.and_then(Node::as_str).unwrap_or("an entry");
                return Err(Mismatch::new(format!("{name:?} is not in the listing as expected")));
            }
        }
        self.file(expected, actual)
    }

    /// Everything that Files and Directories have in common, and the content of Files.
    fn file(&self, expected: &Map, actual: &Map) -> Result<(), Mismatch> {
        let is_file = actual.get("class").and_then(Node::as_str) == Some("File");
        self.location(expected, actual)?;
        if let Some(contents) = expected.get("contents") {
            let path = text(actual, "path")?;
            let found = fs::read_to_string(self.base.join(path)).map_err(|e| unreadable(path, &e))?;
            // Python reads with universal newlines.
            let found = found.replace("\r\n", "\n").replace('\r', "\n");
            if contents.as_str() != Some(&found) {
                return Err(Mismatch::new(format!("expected {}, got {found:?}", contents.describe()))
                    .under("contents"));
            }
        }
        if is_file {
            self.content(expected, actual)?;
        }
        for entry in &expected.entries {
            if !matches!(
                entry.key.as_str(),
                "path" | "location" | "listing" | "contents" | "checksum" | "size"
            ) {
                self.values(Some(&entry.value), actual.get(&entry.key)).map_err(|f| f.under(&entry.key))?;
            }
        }
        Ok(())
    }

    fn location(&self, expected: &Map, actual: &Map) -> Result<(), Mismatch> {
        let Some(wanted) = expected.get("path").or_else(|| expected.get("location")) else { return Ok(()) };
        let is_directory = actual.get("class").and_then(Node::as_str) == Some("Directory");
        let place = whereabouts(actual)?;
        let place = if is_directory { place.trim_end_matches('/') } else { place };
        let path = self.on_disk(place);
        if !(if is_directory { path.is_dir() } else { path.is_file() }) {
            return Err(Mismatch::new(format!("{place} does not exist")).under("location"));
        }
        let wanted =
            wanted.as_str().ok_or_else(|| Mismatch::new("the test gives a location that is no string"))?;
        let ends = place.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'));
        if wanted == "Any" || ends || (!place.contains('/') && place == wanted) {
            return Ok(());
        }
        Err(Mismatch::new(format!("{place} does not end in /{wanted}")).under("location"))
    }

    /// Checksum and size: as on disk, and as declared where they are declared.
    fn content(&self, expected: &Map, actual: &Map) -> Result<(), Mismatch> {
        text(actual, "location")?;
        let place = whereabouts(actual)?;
        let (checksum, size) = sha1_and_size(&self.on_disk(place)).map_err(|e| unreadable(place, &e))?;
        let size = Kind::Int(size.to_string());
        for (whose, declared) in [("the runner said", actual), ("expected", expected)] {
            if let Some(said) = declared.get("checksum")
                && said.as_str() != Some(&checksum)
            {
                let reason = format!("{whose} {}, on disk it is {checksum}", said.describe());
                return Err(Mismatch::new(reason).under("checksum"));
            }
            if let Some(said) = declared.get("size")
                && !number::equal(&said.kind, &size)
            {
                let on_disk = Node { place: said.place.clone(), kind: size };
                let reason = format!("{whose} {}, on disk it is {}", said.describe(), on_disk.describe());
                return Err(Mismatch::new(reason).under("size"));
            }
        }
        Ok(())
    }

    fn on_disk(&self, place: &str) -> PathBuf {
        let Some(rest) = place.strip_prefix("file://") else { return self.base.join(place) };
        let path = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or(rest);
        let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let mut bytes = percent_decoded(path);
        if !fragment.is_empty() {
            bytes.push(b'#');
            bytes.extend(percent_decoded(fragment));
        }
        use std::os::unix::ffi::OsStringExt;
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    }
}

/// `path` where there is one, else `location`.
fn whereabouts(actual: &Map) -> Result<&str, Mismatch> {
    if actual.get("path").is_some() { text(actual, "path") } else { text(actual, "location") }
}

fn text<'a>(map: &'a Map, key: &str) -> Result<&'a str, Mismatch> {
    map.get(key).and_then(Node::as_str).ok_or_else(|| Mismatch::new(format!("no {key} in the output")))
}

fn unreadable(place: &str, error: &std::io::Error) -> Mismatch {
    Mismatch::new(format!("cannot read {place}: {error}"))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%') {
            Some(code) => {
                decoded.push(code);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

fn sha1_and_size(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = fs::File::open(path)?;
    let (mut hash, mut size, mut buffer) = (Sha1::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        size += count as u64;
        hash.update(buffer.get(..count).unwrap_or_default());
    }
    let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((format!("sha1${digits}"), size))
}

#[cfg(test)]
mod tests;
