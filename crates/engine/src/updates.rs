//! Files that tools changed in place, and that lie somewhere else since.
//!
//! Values that were made before have the old locations. They are led to the new ones when they are used next: as sources
//! of a step, in a loop, and as outputs of the run.

use std::convert::Infallible;
use std::sync::Arc;

use moil_cwl::value::{Directory, File, Value};
use moil_job::update::Update;

/// What has a new version, in the order in which it got that.
#[derive(Debug, Default)]
pub(crate) struct Updates(Vec<Update>);

impl Updates {
    /// Takes note of what an attempt changed.
    pub(crate) fn learn(&mut self, updates: &[Update]) {
        self.0.extend_from_slice(updates);
    }

    /// Leads values to the newest versions of their files.
    pub(crate) fn follow<'a>(&self, values: impl Iterator<Item = &'a mut Value>) {
        if !self.0.is_empty() {
            values.for_each(|value| *value = self.followed(value));
        }
    }

    /// A value with the newest versions of its files. What is known of an old version is left out.
    pub(crate) fn followed(&self, value: &Value) -> Value {
        let Ok(value) = value.try_map_files::<Infallible>(&mut |item| {
            Ok(match item {
                Value::File(file) => match self.newest(file.location.as_ref()) {
                    Some((location, last)) => Value::File(Arc::new(File {
                        size: last.size,
                        // Where no checksums are wanted there are none.
                        checksum: file.checksum.as_ref().and(last.checksum.clone()),
                        location: Some(location),
                        contents: None,
                        ..(*file).clone()
                    })),
                    None => Value::File(file),
                },
                Value::Directory(directory) => match self.newest(directory.location.as_ref()) {
                    Some((location, _)) => Value::Directory(Arc::new(Directory {
                        location: Some(location),
                        listing: None,
                        ..(*directory).clone()
                    })),
                    None => Value::Directory(directory),
                },
                other => other,
            })
        });
        value
    }

    fn newest(&self, location: Option<&Arc<str>>) -> Option<(Arc<str>, &Update)> {
        let first = location?;
        let mut newest = None;
        for update in &self.0 {
            let now = newest.as_ref().map_or(first, |(location, _)| location);
            if let Some(location) = update.follow(now) {
                newest = Some((location, update));
            }
        }
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(from: &str, to: &str, size: Option<u64>) -> Update {
        Update { from: from.into(), to: to.into(), size, checksum: None }
    }

    fn file(location: &str) -> Value {
        let (size, checksum) = (Some(1), Some("sha1$old".into()));
        Value::File(Arc::new(File { location: Some(location.into()), size, checksum, ..File::default() }))
    }

    #[test]
    fn values_with_old_locations_are_led_to_the_newest_version() {
        let mut updates = Updates::default();
        updates
            .learn(&[update("s3://b/1/x", "s3://b/2/x", Some(2)), update("s3://b/1/d", "s3://b/2/d", None)]);
        updates.learn(&[update("s3://b/2/x", "s3://b/3/x", Some(3))]);
        let directory = |location: &str, listing| {
            Value::Directory(Arc::new(Directory {
                location: Some(location.into()),
                listing,
                ..Directory::default()
            }))
        };
        let listing = Some(Arc::new(vec![file("s3://b/1/d/y")]));
        let mut value = Value::list(vec![
            file("s3://b/1/x"),
            directory("s3://b/1/d", listing),
            file("s3://b/1/d/y"),
            file("s3://b/1/z"),
        ]);
        updates.follow([&mut value].into_iter());
        let (mut locations, mut known) = (Vec::new(), Vec::new());
        value.visit_files(&mut |item| match item {
            Value::File(file) => {
                locations.extend(file.location.as_deref().map(str::to_owned));
                known.push((file.size, file.checksum.is_some()));
            }
            Value::Directory(directory) => locations.extend(directory.location.as_deref().map(str::to_owned)),
            _ => {}
        });
        assert_eq!(locations, ["s3://b/3/x", "s3://b/2/d", "s3://b/2/d/y", "s3://b/1/z"]);
        assert_eq!(known, [(Some(3), false), (None, false), (Some(1), true)]);
    }
}
