//! Files and directories that are not where their locations say, and where they are instead: inputs of another machine
//! that were brought to a job store, outputs that were moved out of a job store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::location;
use moil_job::identity::Local;
use moil_job::record::Imported;

/// Where files and directories of this machine are, if they are gone from their paths.
#[derive(Debug, Default)]
pub struct Elsewhere(BTreeMap<PathBuf, Place>);

#[derive(Debug)]
struct Place {
    location: Arc<str>,
    /// What a disk said of it when it was brought away.
    was: Option<Local>,
}

impl Elsewhere {
    /// Inputs that were brought to where workers elsewhere can have them.
    pub fn imported<'a>(files: impl IntoIterator<Item = &'a Imported>) -> Self {
        let place = |file: &Imported| Place { location: Arc::clone(&file.at), was: file.was.clone() };
        Self(files.into_iter().map(|file| (file.path.clone(), place(file))).collect())
    }

    /// The same, with files that were moved to other paths.
    #[must_use]
    pub fn with_moved(mut self, files: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Self {
        let place =
            |to: PathBuf| Some(Place { location: location::file_uri(to.to_str()?).into(), was: None });
        self.0.extend(files.into_iter().filter_map(|(from, to)| Some((from, place(to)?))));
        self
    }

    /// Whether nothing is elsewhere.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where that is which was at a path, or in a directory that was; `None` if it is there, or nobody knows.
    pub fn location(&self, path: &Path) -> Option<String> {
        let (outer, place) = self.around(path)?;
        let inside = path.strip_prefix(outer).ok()?;
        let location = inside.iter().try_fold(place.location.to_string(), |location, name| {
            Some(location::child(&location, name.to_str()?))
        })?;
        (!path.exists()).then_some(location)
    }

    /// What a disk said of it; of what lies in a directory nothing is known by itself.
    pub fn was(&self, path: &Path) -> Option<Local> {
        let was = self.0.get(path)?.was.as_ref()?;
        (!path.exists()).then(|| was.clone())
    }

    /// The names that are gone from a directory.
    pub fn gone_from<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a str> {
        let below = self.0.range(directory.to_owned()..).map(|(path, _)| path);
        let below = below.take_while(move |path| path.starts_with(directory));
        below
            .filter(move |path| path.parent() == Some(directory) && !path.exists())
            .filter_map(|path| path.file_name().and_then(|name| name.to_str()))
    }

    /// Whether anything below a directory is elsewhere.
    pub fn is_torn(&self, directory: &Path) -> bool {
        let below = self.0.range(directory.to_owned()..).map(|(path, _)| path);
        below.take_while(|path| path.starts_with(directory)).any(|path| !path.exists())
    }

    /// What is known of a path or of a directory around it.
    fn around(&self, path: &Path) -> Option<(&Path, &Place)> {
        path.ancestors()
            .find_map(|outer| self.0.get_key_value(outer))
            .map(|(outer, place)| (outer.as_path(), place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_nowhere_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("torn")).expect("it is made");
        for name in ["here", "torn/here"] {
            std::fs::write(path(name), "").expect("it is written");
        }
        let file = |size| Local::File { size, modified: 1, changed: None };
        let imported =
            |name: &str, at: &str, was| Imported { path: path(name), at: at.into(), was: Some(was) };
        let whole = Local::Directory("of all".into());
        let elsewhere = Elsewhere::imported(&[
            imported("here", "s3://b/here", file(1)),
            imported("gone", "s3://b/gone", file(2)),
            imported("whole", "s3://b/whole", whole.clone()),
            imported("torn/here", "s3://b/1", file(3)),
            imported("torn/gone", "s3://b/2", file(4)),
        ]);
        let location = |name: &str| elsewhere.location(&path(name));
        assert_eq!(location("here"), None);
        assert_eq!(location("gone").as_deref(), Some("s3://b/gone"));
        assert_eq!(location("whole/in side").as_deref(), Some("s3://b/whole/in%20side"));
        assert_eq!(location("unknown"), None);
        assert_eq!(elsewhere.was(&path("here")), None);
        assert_eq!(elsewhere.was(&path("gone")), Some(file(2)));
        assert_eq!(elsewhere.was(&path("whole")), Some(whole));
        assert_eq!(elsewhere.was(&path("whole/in side")), None);
        assert_eq!(elsewhere.gone_from(&path("torn")).collect::<Vec<_>>(), ["gone"]);
        assert!(elsewhere.is_torn(&path("torn")) && !elsewhere.is_torn(&path("here")));
    }
}
