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

/// Keeps the outputs of an attempt.
pub(crate) struct Keeping<'a> {
    /// What lies below this directory is kept.
    pub made: &'a Path,
    /// Whose outputs they are.
    pub attempt: &'a AttemptId,
    /// Where they go.
    pub contents: &'a dyn Contents,
    /// Is handed what is still here then, with where it was brought.
    pub left: &'a dyn Fn(&str, &Path),
}

impl Keeping<'_> {
    /// The output object with all that was made kept, and at its new location. What is in `there` is kept already.
    ///
    /// # Errors
    /// What [`Contents::keep`] says; the attempt was cancelled.
    pub(crate) fn keep(
        &self,
        outputs: &Value,
        mut there: Vec<(PathBuf, String)>,
        cancel: &Cancel,
    ) -> Result<Value> {
        let mut paths = outermost(outputs, self.made);
        paths.retain(|path| !there.iter().any(|(there, _)| path.starts_with(there)));
        // What lies in a directory that is an output goes with that.
        there.retain(|(there, _)| !paths.iter().any(|path| there.starts_with(path)));
        let mut places = Places::default();
        for path in paths {
            cancel.check()?;
            let location = self.contents.keep(self.attempt, &path).map_err(|error| {
                let message = format!("an output of {} cannot be kept", self.attempt);
                Box::new(Failure::new(FailureKind::System, message).with_cause(error))
            })?;
            if self.contents.root().is_none() {
                (self.left)(&location, &path);
            }
            places.0.insert(path, location);
        }
        for (path, location) in there {
            (self.left)(&location, &path);
            places.0.insert(path, location);
        }
        places.follow(outputs)
    }
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
    /// The output object with the new locations.
    fn follow(&self, outputs: &Value) -> Result<Value> {
        outputs.try_map_files(&mut |value| {
            Ok(match value {
                Value::File(file) => match self.of(file.location.as_deref()) {
                    Some(location) => {
                        Value::File(Arc::new(File { location: Some(location), ..(*file).clone() }))
                    }
                    None => Value::File(file),
                },
                Value::Directory(directory) => match self.of(directory.location.as_deref()) {
                    Some(location) => Value::Directory(Arc::new(Directory {
                        location: Some(location),
                        ..(*directory).clone()
                    })),
                    None => Value::Directory(directory),
                },
                other => other,
            })
        })
    }

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
        let keeping =
            Keeping { made: Path::new("/work"), attempt: &attempt, contents: &contents, left: &leave };
        let kept = keeping.keep(&outputs, Vec::new(), &Cancel::new()).expect("kept");
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
