//! Outputs go to where they outlive the attempt: the last thing that is done for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::location;
use moil_cwl::value::{Directory, File, Value};
use moil_job::contents::Contents;
use moil_job::failure::{Failure, FailureKind};
use moil_job::spec::AttemptId;

use crate::cancel::Cancel;
use crate::files;
use crate::system::Result;

/// The output object with all that lies below `made` kept by `contents`, and at its new location. What is still here then
/// is handed to `left`, with where it was brought.
///
/// # Errors
/// What [`Contents::keep`] says; the attempt was cancelled.
pub(crate) fn keep(
    outputs: &Value,
    made: &Path,
    attempt: &AttemptId,
    contents: &dyn Contents,
    left: &dyn Fn(&str, &Path),
    cancel: &Cancel,
) -> Result<Value> {
    let mut places = Places::default();
    for path in outermost(outputs, made) {
        cancel.check()?;
        let location = contents.keep(attempt, &path).map_err(|error| {
            let message = format!("an output of {attempt} cannot be kept");
            Box::new(Failure::new(FailureKind::System, message).with_cause(error))
        })?;
        if contents.root().is_none() {
            left(&location, &path);
        }
        places.0.insert(path, location);
    }
    outputs.try_map_files(&mut |value| {
        Ok(match value {
            Value::File(file) => match places.of(file.location.as_deref()) {
                Some(location) => Value::File(Arc::new(File { location: Some(location), ..(*file).clone() })),
                None => Value::File(file),
            },
            Value::Directory(directory) => match places.of(directory.location.as_deref()) {
                Some(location) => {
                    Value::Directory(Arc::new(Directory { location: Some(location), ..(*directory).clone() }))
                }
                None => Value::Directory(directory),
            },
            other => other,
        })
    })
}

/// The files and directories below `made` that lie in no other one of them.
fn outermost(outputs: &Value, made: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = files::paths_of(outputs);
    paths.retain(|path| path.starts_with(made));
    // What lies in a directory comes right after it.
    paths.sort();
    let mut outermost: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !outermost.last().is_some_and(|last| path.starts_with(last)) {
            outermost.push(path);
        }
    }
    outermost
}

/// Where what was outermost went.
#[derive(Default)]
struct Places(BTreeMap<PathBuf, String>);

impl Places {
    fn of(&self, old: Option<&str>) -> Option<Arc<str>> {
        let path = files::path_of(old?).ok()?;
        let (outermost, new) = self.0.range(..=path.clone()).next_back()?;
        let rest = path.strip_prefix(outermost).ok()?;
        let mut location = new.clone();
        for name in rest {
            location = location::child(&location, name.to_str()?);
        }
        Some(location.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_job::contents::ContentsError;
    use moil_job::spec::JobId;
    use std::sync::Mutex;

    /// Gives everything a location of its own kind.
    #[derive(Default)]
    struct Numbered(Mutex<Vec<PathBuf>>);

    impl Contents for Numbered {
        fn keep(&self, _: &AttemptId, path: &Path) -> std::result::Result<String, ContentsError> {
            let mut kept = self.0.lock().expect("not poisoned");
            kept.push(path.to_owned());
            Ok(format!("s3://b/{}", kept.len()))
        }
    }

    fn file(path: &str) -> Value {
        let location = files::location_of(Path::new(path)).map(Into::into);
        Value::File(Arc::new(File { location, ..File::default() }))
    }

    fn directory(path: &str, listing: Vec<Value>) -> Value {
        let location = files::location_of(Path::new(path)).map(Into::into);
        Value::Directory(Arc::new(Directory {
            location,
            listing: Some(Arc::new(listing)),
            ..Directory::default()
        }))
    }

    fn locations(value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        value.visit_files(&mut |item| match item {
            Value::File(file) => found.extend(file.location.as_deref().map(str::to_owned)),
            Value::Directory(directory) => found.extend(directory.location.as_deref().map(str::to_owned)),
            _ => {}
        });
        found
    }

    #[test]
    fn each_outermost_thing_is_kept_once_and_what_is_in_it_follows() {
        let outputs = Value::list(vec![
            file("/work/a/out/d-2"),
            file("/work/a/out/d/x #1"),
            directory("/work/a/out/d", vec![file("/work/a/out/d/e/y")]),
            file("/work/a/out/d-2"),
            file("/data/input"),
        ]);
        let contents = Numbered::default();
        let attempt = AttemptId { job: JobId("a".into()), number: 1 };
        let left: Mutex<Vec<String>> = Mutex::default();
        let leave = |location: &str, path: &Path| {
            left.lock().expect("not poisoned").push(format!("{location} {}", path.display()));
        };
        let kept =
            keep(&outputs, Path::new("/work"), &attempt, &contents, &leave, &Cancel::new()).expect("kept");
        let left = left.into_inner().expect("not poisoned");
        assert_eq!(left, ["s3://b/1 /work/a/out/d", "s3://b/2 /work/a/out/d-2"]);
        let paths = contents.0.into_inner().expect("not poisoned");
        assert_eq!(paths, [PathBuf::from("/work/a/out/d"), PathBuf::from("/work/a/out/d-2")]);
        assert_eq!(
            locations(&kept),
            ["s3://b/2", "s3://b/1/x%20%231", "s3://b/1/e/y", "s3://b/1", "s3://b/2", "file:///data/input"]
        );
    }
}
