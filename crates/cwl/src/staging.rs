//! Where the inputs of a job are put, and under which paths the tool sees them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Error;
use crate::location;
use crate::value::{Directory, File, Value, ValueMap};

/// How deep directories and secondary files may be nested.
const DEPTH_LIMIT: usize = 200;

/// Something to be put in place before the tool runs. Those that hold others come before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagingEntry {
    /// What is put there.
    pub source: StagingSource,
    /// The absolute path as the tool sees it, without `.`, `..` and doubled slashes.
    pub target: String,
    /// Whether the tool may change it. Then it is a copy, with all that is in it; otherwise a link or a
    /// read-only mount will do.
    pub writable: bool,
}

/// What is put somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StagingSource {
    /// The file or directory at a location.
    Location {
        /// An absolute URI.
        location: Arc<str>,
        /// Whether it is a directory.
        is_directory: bool,
    },
    /// A file with this text.
    Literal(Arc<str>),
    /// A new directory; what is in it comes as entries of their own.
    EmptyDirectory,
}

/// The inputs of a job with their paths.
#[derive(Clone, Debug, PartialEq)]
pub struct Staging {
    /// The input object, every File and Directory in it with its `path`, and with the `basename` that
    /// the path ends in.
    pub inputs: Value,
    /// What has to be put in place.
    pub entries: Vec<StagingEntry>,
}

/// Gives every File and Directory of an input object its path (CWL v1.2 §"File", `path`).
///
/// Each stands alone in a directory `root/0`, `root/1`, … in the order of the input object, with its
/// secondary files beside it, so that equal names never meet. Only the files of a list that lie in one
/// directory already stay in one: a directory for each of ten thousand files costs the disk more than the
/// job. A Directory with a location is one entry,
/// whatever its `listing`; a literal is built up entry by entry. The result depends on nothing but the
/// arguments.
///
/// # Errors
/// A File without location and contents, or a Directory without location and listing; a basename that is
/// no name of a file; two files that would need the same path.
pub fn stage_inputs(inputs: &Value, root: &str) -> Result<Staging, Error> {
    let mut stager = Stager::default();
    let mut groups = Groups { root: root.trim_end_matches('/'), next: 0, homes: HashMap::new() };
    let inputs = groups.place(inputs, &mut stager, false)?;
    Ok(Staging { inputs, entries: stager.entries })
}

struct Groups<'a> {
    root: &'a str,
    next: usize,
    /// Where the files of lists are put, by the directory that they come from.
    homes: HashMap<String, String>,
}

impl Groups<'_> {
    fn place(&mut self, value: &Value, stager: &mut Stager, in_list: bool) -> Result<Value, Error> {
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
            Value::List(items) => Value::list(
                items.iter().map(|item| self.place(item, stager, true)).collect::<Result<_, _>>()?,
            ),
            Value::Map(entries) => {
                let mut placed = ValueMap::with_capacity(entries.len());
                for (name, item) in entries.iter() {
                    placed.insert(Arc::clone(name), self.place(item, stager, false)?);
                }
                Value::map(placed)
            }
            Value::File(_) | Value::Directory(_) => {
                let directory = match home(value).filter(|_| in_list) {
                    Some(home) => match self.homes.get(home) {
                        Some(directory) => directory.clone(),
                        None => {
                            let directory = self.new_directory();
                            self.homes.insert(home.to_owned(), directory.clone());
                            directory
                        }
                    },
                    None => self.new_directory(),
                };
                stager.place(value, &directory, false)?
            }
        })
    }

    fn new_directory(&mut self) -> String {
        self.next += 1;
        format!("{}/{}", self.root, self.next - 1)
    }
}

/// The directory in which a File and all its secondary files lie under the very names that they are to have:
/// there, no two of them can be called the same. `None` for whatever else.
fn home(value: &Value) -> Option<&str> {
    let directory = |value: &'_ Value| -> Option<usize> {
        let Value::File(file) = value else { return None };
        let location = file.location.as_deref()?;
        let path = location::file_path(location)?;
        let (directory, name) = path.rsplit_once('/')?;
        let usual = location::file_uri(&path) == location && !directory.ends_with('/');
        (usual && file.basename.as_deref() == Some(name)).then(|| location.rfind('/'))?
    };
    let Value::File(file) = value else { return None };
    let home = file.location.as_deref()?.get(..directory(value)?)?;
    let beside = |value: &Value| {
        let Value::File(secondary) = value else { return false };
        let found = directory(value)
            .and_then(|end| secondary.location.as_deref().and_then(|location| location.get(..end)));
        found == Some(home) && secondary.secondary_files.is_empty()
    };
    file.secondary_files.iter().all(beside).then_some(home)
}

/// Puts files and directories somewhere, and notices when two want the same path.
#[derive(Default)]
pub(crate) struct Stager {
    pub(crate) entries: Vec<StagingEntry>,
    /// The entries by their targets, as indices.
    targets: HashMap<String, usize>,
    unnamed: usize,
    depth: usize,
}

impl Stager {
    /// Puts a File or Directory into `directory`, its secondary files beside it. Returns it with its
    /// paths.
    pub(crate) fn place(&mut self, value: &Value, directory: &str, writable: bool) -> Result<Value, Error> {
        if self.depth > DEPTH_LIMIT {
            return Err(invalid(format!(
                "directories or secondary files are nested more than {DEPTH_LIMIT} levels deep"
            )));
        }
        self.depth += 1;
        let placed = match value {
            Value::File(file) => self.file(file, directory, writable),
            Value::Directory(inner) => self.directory(inner, directory, writable),
            other => Err(invalid(format!(
                "{} stands where a File or Directory must be",
                crate::conform::describe(other)
            ))),
        };
        self.depth -= 1;
        placed
    }

    fn file(&mut self, file: &File, directory: &str, writable: bool) -> Result<Value, Error> {
        let basename = self.name(file.basename.as_ref(), file.location.as_deref())?;
        let target = join(directory, &basename)?;
        let source = match (&file.location, &file.contents) {
            (Some(location), _) => {
                StagingSource::Location { location: Arc::clone(location), is_directory: false }
            }
            (None, Some(contents)) => StagingSource::Literal(Arc::clone(contents)),
            (None, None) => {
                return Err(invalid(format!("the File {basename} has neither a location nor contents")));
            }
        };
        self.add(source, &target, writable)?;
        let mut secondary_files = Vec::with_capacity(file.secondary_files.len());
        for secondary in file.secondary_files.iter() {
            secondary_files.push(self.place(secondary, directory, writable)?);
        }
        Ok(Value::File(Arc::new(File {
            basename: Some(last_part(&target).into()),
            path: Some(target.into()),
            secondary_files: Arc::new(secondary_files),
            ..file.clone()
        })))
    }

    fn directory(&mut self, inner: &Directory, directory: &str, writable: bool) -> Result<Value, Error> {
        let basename = self.name(inner.basename.as_ref(), inner.location.as_deref())?;
        let target = join(directory, &basename)?;
        let listing = match (&inner.location, &inner.listing) {
            (Some(location), listing) => {
                let location = Arc::clone(location);
                self.add(StagingSource::Location { location, is_directory: true }, &target, writable)?;
                listing.as_ref().map(|listing| with_paths(listing, &target, 0)).transpose()?
            }
            (None, Some(listing)) => {
                self.add(StagingSource::EmptyDirectory, &target, writable)?;
                Some(
                    listing
                        .iter()
                        .map(|item| self.place(item, &target, writable))
                        .collect::<Result<_, _>>()?,
                )
            }
            (None, None) => {
                return Err(invalid(format!(
                    "the Directory {basename} has neither a location nor a listing"
                )));
            }
        };
        Ok(Value::Directory(Arc::new(Directory {
            basename: Some(last_part(&target).into()),
            path: Some(target.into()),
            listing: listing.map(Arc::new),
            ..inner.clone()
        })))
    }

    fn name(&mut self, basename: Option<&Arc<str>>, location: Option<&str>) -> Result<String, Error> {
        match (basename, location) {
            (Some(basename), _) => Ok(basename.to_string()),
            (None, Some(location)) => Ok(location::basename(location)),
            (None, None) => {
                self.unnamed += 1;
                Ok(format!("literal_{}", self.unnamed))
            }
        }
    }

    /// Adds an entry. The same thing at the same place counts once.
    fn add(&mut self, source: StagingSource, target: &str, writable: bool) -> Result<(), Error> {
        match self.targets.get(target).and_then(|index| self.entries.get_mut(*index)) {
            None => {
                self.targets.insert(target.to_owned(), self.entries.len());
                self.entries.push(StagingEntry { source, target: target.to_owned(), writable });
                Ok(())
            }
            Some(known) if known.source == source => {
                known.writable |= writable;
                Ok(())
            }
            Some(known) => {
                let (one, other) = (name_of(&known.source), name_of(&source));
                Err(invalid(format!(
                    "{one} and {other} cannot both be {target}: give one of them another basename"
                )))
            }
        }
    }
}

/// The paths of what is in a directory that is staged as one: it is there without being put there.
fn with_paths(listing: &[Value], directory: &str, depth: usize) -> Result<Vec<Value>, Error> {
    if depth > DEPTH_LIMIT {
        return Err(invalid(format!("directories are nested more than {DEPTH_LIMIT} levels deep")));
    }
    let path_of = |basename: Option<&Arc<str>>, location: Option<&str>| {
        let name = match (basename, location) {
            (Some(basename), _) => basename.to_string(),
            (None, location) => location::basename(location.unwrap_or_default()),
        };
        join(directory, &name)
    };
    let mut placed = Vec::with_capacity(listing.len());
    for item in listing {
        placed.push(match item {
            Value::File(file) => {
                let path = path_of(file.basename.as_ref(), file.location.as_deref())?;
                let secondary_files = Arc::new(with_paths(&file.secondary_files, directory, depth + 1)?);
                Value::File(Arc::new(File { path: Some(path.into()), secondary_files, ..(**file).clone() }))
            }
            Value::Directory(inner) => {
                let path = path_of(inner.basename.as_ref(), inner.location.as_deref())?;
                let listing = match &inner.listing {
                    None => None,
                    Some(listing) => Some(Arc::new(with_paths(listing, &path, depth + 1)?)),
                };
                Value::Directory(Arc::new(Directory {
                    path: Some(path.into()),
                    listing,
                    ..(**inner).clone()
                }))
            }
            other => other.clone(),
        });
    }
    Ok(placed)
}

/// The path of a name in a directory. A name may have several parts (a secondary file in a directory
/// beside its primary), but never leads out.
///
/// # Errors
/// The name is no name of a file.
pub(crate) fn join(directory: &str, name: &str) -> Result<String, Error> {
    let refused = |reason: &str| invalid(format!("{name:?} cannot be a basename: it {reason}"));
    if name.is_empty() {
        return Err(invalid("a basename cannot be empty".to_owned()));
    }
    if name.contains('\0') {
        return Err(refused("holds a NUL"));
    }
    if name.starts_with('/') {
        return Err(refused("is a path"));
    }
    let mut path = directory.trim_end_matches('/').to_owned();
    for part in name.split('/') {
        match part {
            ".." => return Err(refused("leads elsewhere")),
            "." | "" => return Err(refused("is not normal")),
            part => {
                path.push('/');
                path.push_str(part);
            }
        }
    }
    Ok(path)
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn name_of(source: &StagingSource) -> String {
    match source {
        StagingSource::Location { location, .. } => location.to_string(),
        StagingSource::Literal(_) => "a file literal".to_owned(),
        StagingSource::EmptyDirectory => "a directory literal".to_owned(),
    }
}

pub(crate) fn invalid(message: String) -> Error {
    Error::Invalid { place: None, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn staged(inputs: &str) -> Result<(Vec<String>, Value), String> {
        let inputs = json::parse(inputs).expect("json");
        let staging = stage_inputs(&inputs, "/stage").map_err(|e| e.to_string())?;
        let entries = staging.entries.iter().map(|entry| {
            assert!(!entry.writable);
            match &entry.source {
                StagingSource::Location { location, is_directory: false } => {
                    format!("{} <- {location}", entry.target)
                }
                StagingSource::Location { location, .. } => format!("{} <= {location}", entry.target),
                StagingSource::Literal(text) => format!("{} = {text:?}", entry.target),
                StagingSource::EmptyDirectory => format!("{}/", entry.target),
            }
        });
        Ok((entries.collect(), staging.inputs))
    }

    fn check(inputs: &str, entries: &[&str], paths: &[&str]) {
        let (staged, inputs) = staged(inputs).expect(inputs);
        assert_eq!(staged, entries, "{inputs:?}");
        let mut seen = Vec::new();
        inputs.visit_files(&mut |value| {
            seen.push(match value {
                Value::File(file) => file.path.clone().unwrap_or_default().to_string(),
                Value::Directory(directory) => directory.path.clone().unwrap_or_default().to_string() + "/",
                _ => String::new(),
            });
        });
        assert_eq!(seen, paths, "{inputs:?}");
    }

    #[test]
    fn equal_names_never_meet() {
        check(
            r#"{"a": {"class": "File", "location": "file:///x/out.txt", "basename": "out.txt"},
                "b": [{"class": "File", "location": "file:///y/out.txt", "basename": "out.txt"}, null, 3]}"#,
            &["/stage/0/out.txt <- file:///x/out.txt", "/stage/1/out.txt <- file:///y/out.txt"],
            &["/stage/0/out.txt", "/stage/1/out.txt"],
        );
    }

    #[test]
    fn files_of_a_list_stay_together_if_they_were() {
        let file = |location: &str, basename: &str, secondary: &str| {
            format!(
                r#"{{"class": "File", "location": "{location}", "basename": "{basename}", "secondaryFiles": [{secondary}]}}"#
            )
        };
        let check = |items: &[String], expected: &[&str]| {
            let (entries, _) = staged(&format!(r#"{{"l": [{}]}}"#, items.join(","))).expect("staged");
            let targets: Vec<&str> =
                entries.iter().map(|entry| entry.split_once(" <").map_or("", |(target, _)| target)).collect();
            assert_eq!(targets, expected);
        };
        let plain = |location: &str| file(location, location.rsplit('/').next().unwrap_or_default(), "");
        check(
            &[plain("file:///x/a"), plain("file:///y/a"), plain("file:///x/b"), plain("file:///x/a")],
            &["/stage/0/a", "/stage/1/a", "/stage/0/b"],
        );
        // Another name, a location written unusually, or that is no local file, could meet another.
        check(
            &[plain("file:///x/a"), file("file:///x/c", "a", ""), file("file:///x/%61", "a", "")],
            &["/stage/0/a", "/stage/1/a", "/stage/2/a"],
        );
        check(
            &[plain("file:///x//a"), plain("http://x/a"), plain("http://x/b")],
            &["/stage/0/a", "/stage/1/a", "/stage/2/b"],
        );
        check(
            &[file("file:///x/a", "a", &plain("file:///x/a.i")), plain("file:///x/a.i")],
            &["/stage/0/a", "/stage/0/a.i"],
        );
        check(
            &[file("file:///x/a", "a", &plain("file:///y/a.i")), plain("file:///x/a.i")],
            &["/stage/0/a", "/stage/0/a.i", "/stage/1/a.i"],
        );
    }

    #[test]
    fn secondary_files_lie_beside_their_primary_under_their_own_names() {
        check(
            r#"{"a": {"class": "File", "location": "file:///x/a.bam", "basename": "b.bam", "secondaryFiles": [
                {"class": "File", "location": "file:///y/z/a.bai", "basename": "b.bai"},
                {"class": "File", "location": "file:///y/z/a.idx", "basename": "sub/b.idx"},
                {"class": "Directory", "location": "file:///y/d", "basename": "b_dir"}]}}"#,
            &[
                "/stage/0/b.bam <- file:///x/a.bam",
                "/stage/0/b.bai <- file:///y/z/a.bai",
                "/stage/0/sub/b.idx <- file:///y/z/a.idx",
                "/stage/0/b_dir <= file:///y/d",
            ],
            &["/stage/0/b.bai", "/stage/0/sub/b.idx", "/stage/0/b_dir/", "/stage/0/b.bam"],
        );
    }

    #[test]
    fn directories_are_one_entry_and_literals_are_built_up() {
        check(
            r#"{"real": {"class": "Directory", "location": "file:///d", "basename": "d", "listing": [
                    {"class": "File", "location": "file:///d/f", "basename": "f"}]},
                "made": {"class": "Directory", "basename": "m", "listing": [
                    {"class": "File", "location": "file:///x/f", "basename": "g"},
                    {"class": "Directory", "basename": "n", "listing": [
                        {"class": "File", "basename": "t", "contents": "text"}]}]},
                "text": {"class": "File", "contents": "x"}}"#,
            &[
                "/stage/0/d <= file:///d",
                "/stage/1/m/",
                "/stage/1/m/g <- file:///x/f",
                "/stage/1/m/n/",
                "/stage/1/m/n/t = \"text\"",
                "/stage/2/literal_1 = \"x\"",
            ],
            &[
                "/stage/0/d/f",
                "/stage/0/d/",
                "/stage/1/m/g",
                "/stage/1/m/n/t",
                "/stage/1/m/n/",
                "/stage/1/m/",
                "/stage/2/literal_1",
            ],
        );
    }

    #[test]
    fn the_same_file_twice_in_one_place_counts_once() {
        check(
            r#"{"a": {"class": "File", "location": "file:///a", "basename": "a", "secondaryFiles": [
                {"class": "File", "location": "file:///b", "basename": "b"},
                {"class": "File", "location": "file:///b", "basename": "b"}]}}"#,
            &["/stage/0/a <- file:///a", "/stage/0/b <- file:///b"],
            &["/stage/0/b", "/stage/0/b", "/stage/0/a"],
        );
    }

    #[test]
    fn what_has_no_place_is_refused() {
        for (inputs, reason) in [
            (r#"{"class": "File", "location": "file:///a", "basename": ".."}"#, "leads elsewhere"),
            (r#"{"class": "File", "location": "file:///a", "basename": "../a"}"#, "leads elsewhere"),
            (r#"{"class": "File", "location": "file:///a", "basename": "a/../../b"}"#, "leads elsewhere"),
            (r#"{"class": "File", "location": "file:///a", "basename": "/etc/passwd"}"#, "is a path"),
            (r#"{"class": "File", "location": "file:///a", "basename": ""}"#, "empty"),
            (r#"{"class": "File", "location": "file:///a", "basename": "."}"#, "not normal"),
            (r#"{"class": "File", "location": "file:///a", "basename": "a//b"}"#, "not normal"),
            (r#"{"class": "File", "location": "file:///a", "basename": "a\u0000b"}"#, "NUL"),
            (r#"{"class": "File", "location": "file:///"}"#, "empty"),
            (
                r#"{"class": "Directory", "location": "file:///d", "basename": "d", "listing": [{"class": "File", "location": "file:///x", "basename": ".."}]}"#,
                "leads elsewhere",
            ),
            (r#"{"class": "File", "basename": "x"}"#, "neither"),
            (r#"{"class": "Directory", "basename": "x"}"#, "neither"),
            (
                r#"{"class": "File", "location": "file:///a", "basename": "a", "secondaryFiles": [
                    {"class": "File", "location": "file:///b/a", "basename": "a"}]}"#,
                "file:///a and file:///b/a cannot both be /stage/0/a",
            ),
        ] {
            let message = staged(inputs).expect_err(inputs);
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn directories_nested_too_deeply_are_refused() {
        let mut value = Value::Null;
        for _ in 0..300 {
            let listing = Some(Arc::new(vec![value].into_iter().filter(|v| !v.is_null()).collect()));
            value = Value::Directory(Arc::new(Directory {
                basename: Some("d".into()),
                listing,
                ..Directory::default()
            }));
        }
        let message = stage_inputs(&value, "/stage").expect_err("nested").to_string();
        assert!(message.contains("nested"), "{message}");
    }
}
