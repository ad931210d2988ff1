//! Where the outputs go at the end: names are given in a pure function, then
//! files are moved, copied and written.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::files::Files;
use moil_cwl::location;
use moil_cwl::value::{Directory, File, Value, split_extension};
use moil_job::failure::{Failure, FailureKind};
use moil_job::moved::Moved;

pub mod undo;
mod whole;

/// One thing to do at the place of the outputs. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a directory, with those above it.
    MakeDirectory(PathBuf),
    /// Bring a file to its place.
    Bring {
        /// Where it is.
        from: PathBuf,
        /// Where it is wanted.
        to: PathBuf,
        /// Whether it may be moved: it is the run's own, and nobody else wants it.
        may_move: bool,
    },
    /// Bring a file that is not on this machine to its place: only where that is no local directory.
    Copy {
        /// Where it is.
        location: Arc<str>,
        /// Where it is wanted.
        to: PathBuf,
    },
    /// Write a literal.
    Write {
        /// The file.
        to: PathBuf,
        /// Its content.
        text: Arc<str>,
    },
}

/// How outputs are exported.
#[derive(Clone, Debug)]
pub struct Export {
    /// `--outdir`, absolute. Where outputs go to a server, `/` stands for the place there.
    pub outdir: PathBuf,
    /// The location of the place on a server, such as `s3://bucket/prefix`. `None`: the outputs stay on this machine.
    pub url: Option<String>,
    /// The run's own directory: what is below may be moved. `None` where everything is to be copied.
    pub own: Option<PathBuf>,
}

/// Gives every output its place, and changes nothing: names that are taken twice get a number
/// (`a.txt`, `a_2.txt`), one file under several outputs is brought once. Directories of which only
/// the location is known are listed by `files`.
///
/// # Errors
/// A name that would lead out of the output directory; for a local directory, a location that is not a local file.
pub fn plan(outputs: &Value, export: &Export, files: &dyn Files) -> Result<(Value, Vec<Action>), Failure> {
    let mut planner = Planner {
        export,
        files,
        taken: HashSet::new(),
        numbers: HashMap::new(),
        placed: HashMap::new(),
        actions: Vec::new(),
    };
    let value = planner.value(outputs, &export.outdir)?;
    let mut actions = planner.actions;
    let mut uses: HashMap<PathBuf, usize> = HashMap::new();
    for action in &actions {
        if let Action::Bring { from, .. } = action {
            *uses.entry(from.clone()).or_default() += 1;
        }
    }
    // Whoever comes last may take the file away.
    for action in &mut actions {
        if let Action::Bring { from, may_move, .. } = action
            && let Some(left) = uses.get_mut(from)
        {
            *left -= 1;
            *may_move &= *left == 0;
        }
    }
    Ok((value, actions))
}

/// What is asked before each action: whether the run is still this leader's.
pub type Ours<'a> = dyn Fn() -> Result<(), Failure> + Sync + 'a;

/// Makes the output directory, and does what [`plan`] decided. Files are made writable for their owner where they come
/// from a job store, which protects what it keeps: then `kept` are the moves that were recorded, and who is asked whether
/// the run has another leader.
///
/// # Errors
/// What the system refused, with the path; the run is another leader's.
pub fn act(actions: &[Action], outdir: &Path, kept: Option<(&[Moved], &Ours<'_>)>) -> Result<(), Failure> {
    let (moves, ours): (&[Moved], &Ours<'_>) = kept.unwrap_or((&[], &|| Ok(())));
    ours()?;
    let whole = !outdir.exists() && whole::take(actions, outdir);
    if !whole {
        one_by_one(actions, outdir, moves, ours)?;
    }
    if kept.is_some() {
        for action in actions {
            if let Action::Bring { to, .. } = action {
                release(to).map_err(|error| failed(to, error))?;
            }
        }
    }
    Ok(())
}

fn release(path: &Path) -> io::Result<()> {
    let mut permissions = fs::symlink_metadata(path)?.permissions();
    if permissions.mode() & 0o200 == 0 {
        permissions.set_mode(permissions.mode() | 0o200);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::new(FailureKind::System, format!("cannot write the output {}", path.display())).with_cause(error)
}

fn one_by_one(actions: &[Action], outdir: &Path, moves: &[Moved], ours: &Ours<'_>) -> Result<(), Failure> {
    fs::create_dir_all(outdir).map_err(|error| {
        let message = format!("cannot make the output directory {}", outdir.display());
        Failure::new(FailureKind::System, message).with_cause(error)
    })?;
    for action in actions {
        ours()?;
        let (path, result) = match action {
            Action::MakeDirectory(path) => (path, fs::create_dir_all(path)),
            Action::Bring { from, to, may_move } => {
                let brought = bring(from, to, *may_move);
                // A leader that slept in its export, and woke up when this one had taken over, may have moved it.
                let is_there = brought.is_err() && undo::moved(moves, from, to).is_some();
                (to, if is_there { Ok(()) } else { brought })
            }
            Action::Copy { location, .. } => return Err(not_local(location)),
            Action::Write { to, text } => (to, replace(to).and_then(|()| fs::write(to, text.as_bytes()))),
        };
        result.map_err(|error| failed(path, error))?;
    }
    Ok(())
}

struct Planner<'a> {
    export: &'a Export,
    files: &'a dyn Files,
    taken: HashSet<PathBuf>,
    /// By the path that was wanted, the number to be tried next: without it, many files of one name would
    /// cost the square of their number.
    numbers: HashMap<PathBuf, usize>,
    /// Where a source was already brought to, by the directory and name it was wanted under.
    placed: HashMap<(String, PathBuf), PathBuf>,
    actions: Vec<Action>,
}

impl Planner<'_> {
    fn value(&mut self, value: &Value, directory: &Path) -> Result<Value, Failure> {
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
            Value::List(items) => Value::list(self.items(items, directory)?),
            Value::Map(entries) => {
                let mut mapped = moil_cwl::value::ValueMap::with_capacity(entries.len());
                for (name, item) in entries.iter() {
                    mapped.insert(Arc::clone(name), self.value(item, directory)?);
                }
                Value::map(mapped)
            }
            Value::File(file) => Value::File(Arc::new(self.file(file, directory)?)),
            Value::Directory(found) => Value::Directory(Arc::new(self.directory(found, directory)?)),
        })
    }

    fn items(&mut self, items: &[Value], directory: &Path) -> Result<Vec<Value>, Failure> {
        items.iter().map(|item| self.value(item, directory)).collect()
    }

    fn file(&mut self, file: &File, directory: &Path) -> Result<File, Failure> {
        let to = match (&file.location, &file.contents) {
            (Some(location), _) if location::file_path(location).is_some() => {
                let from = local_path(location)?;
                let name = name_of(file.basename.as_deref(), Some(location), "file")?;
                self.place(location, from, &name, directory)
            }
            (Some(location), _) if self.export.url.is_some() && has_scheme(location) => {
                let name = name_of(file.basename.as_deref(), Some(location), "file")?;
                self.place_remote(location, &name, directory)
            }
            (_, Some(text)) => {
                let name = name_of(file.basename.as_deref(), None, "file")?;
                let to = self.free_name(directory, &name);
                self.actions.push(Action::Write { to: to.clone(), text: Arc::clone(text) });
                to
            }
            (Some(location), None) => return Err(not_local(location)),
            (None, None) => {
                return Err(Failure::new(
                    FailureKind::BadOutput,
                    "an output File has neither a location nor contents",
                ));
            }
        };
        let secondary_files = Arc::new(self.items(&file.secondary_files, directory)?);
        Ok(File {
            location: Some(self.location(&to)?.into()),
            basename: file_name(&to),
            secondary_files,
            path: None,
            contents: file.contents.clone().filter(|_| file.location.is_some()),
            ..file.clone()
        })
    }

    fn directory(&mut self, found: &Directory, directory: &Path) -> Result<Directory, Failure> {
        let name = name_of(found.basename.as_deref(), found.location.as_deref(), "directory")?;
        let key = found.location.as_ref().map(|location| (location.to_string(), directory.join(&name)));
        let items = match (&found.location, &found.listing) {
            (_, Some(listing)) => listing.to_vec(),
            (Some(location), None) => self.entries(location)?,
            (None, None) => Vec::new(),
        };
        let to = match key.as_ref().and_then(|key| self.placed.get(key)) {
            Some(placed) => placed.clone(),
            None => {
                let to = self.free_name(directory, &name);
                self.actions.push(Action::MakeDirectory(to.clone()));
                self.placed.extend(key.map(|key| (key, to.clone())));
                to
            }
        };
        let listing = Some(Arc::new(self.items(&items, &to)?));
        Ok(Directory {
            location: Some(self.location(&to)?.into()),
            basename: file_name(&to),
            listing,
            path: None,
            extra: Arc::clone(&found.extra),
        })
    }

    fn entries(&self, location: &str) -> Result<Vec<Value>, Failure> {
        let entries = self.files.list(location)?;
        Ok(entries
            .into_iter()
            .map(|entry| {
                let (location, basename) = (Some(entry.location.into()), Some(entry.name.into()));
                if entry.stat.is_directory {
                    Value::Directory(Arc::new(Directory { location, basename, ..Directory::default() }))
                } else {
                    let size = Some(entry.stat.size);
                    Value::File(Arc::new(File { location, basename, size, ..File::default() }))
                }
            })
            .collect())
    }

    /// The place of a source, brought there unless it already was under the same name.
    fn place(&mut self, location: &str, from: PathBuf, name: &str, directory: &Path) -> PathBuf {
        let key = (location.to_owned(), directory.join(name));
        if let Some(placed) = self.placed.get(&key) {
            return placed.clone();
        }
        let to = self.free_name(directory, name);
        let may_move = self.export.own.as_ref().is_some_and(|own| from.starts_with(own));
        self.actions.push(Action::Bring { from, to: to.clone(), may_move });
        self.placed.insert(key, to.clone());
        to
    }

    /// The same for a source that is not on this machine.
    fn place_remote(&mut self, location: &Arc<str>, name: &str, directory: &Path) -> PathBuf {
        let key = (location.to_string(), directory.join(name));
        if let Some(placed) = self.placed.get(&key) {
            return placed.clone();
        }
        let to = self.free_name(directory, name);
        self.actions.push(Action::Copy { location: Arc::clone(location), to: to.clone() });
        self.placed.insert(key, to.clone());
        to
    }

    /// What a place is called in the output object.
    fn location(&self, to: &Path) -> Result<String, Failure> {
        let Some(url) = &self.export.url else { return uri(to) };
        // Names are text, since they come from the output object.
        let below = to.strip_prefix(&self.export.outdir).unwrap_or(to).to_string_lossy();
        let names: Vec<String> = below.split('/').map(location::encode_name).collect();
        Ok(format!("{url}/{}", names.join("/")))
    }

    fn free_name(&mut self, directory: &Path, name: &str) -> PathBuf {
        let wanted = directory.join(name);
        if self.taken.insert(wanted.clone()) {
            return wanted;
        }
        let (root, extension) = split_extension(name);
        let number = self.numbers.entry(wanted).or_insert(2);
        loop {
            let path = directory.join(format!("{root}_{number}{extension}"));
            *number += 1;
            if self.taken.insert(path.clone()) {
                return path;
            }
        }
    }
}

fn name_of(basename: Option<&str>, location: Option<&str>, fallback: &str) -> Result<String, Failure> {
    let name = match (basename, location) {
        (Some(name), _) => name.to_owned(),
        (None, Some(location)) => location::basename(location),
        (None, None) => fallback.to_owned(),
    };
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Failure::new(
            FailureKind::BadOutput,
            format!("an output is called {name:?}, which is no name for a file"),
        ));
    }
    Ok(name)
}

fn local_path(location: &str) -> Result<PathBuf, Failure> {
    location::file_path(location).map(PathBuf::from).ok_or_else(|| not_local(location))
}

fn not_local(location: &str) -> Failure {
    Failure::new(FailureKind::BadOutput, format!("the output {location} is not a local file"))
}

fn uri(path: &Path) -> Result<String, Failure> {
    path.to_str().map(location::file_uri).ok_or_else(|| {
        Failure::new(
            FailureKind::System,
            format!("the output directory's name is not UTF-8: {}", path.display()),
        )
    })
}

/// Whether a location is that of a server: literals have names such as `_:uuid`.
fn has_scheme(location: &str) -> bool {
    location.contains("://")
}

fn file_name(path: &Path) -> Option<Arc<str>> {
    path.file_name().and_then(|name| name.to_str()).map(Arc::from)
}

/// Moves where it may, across filesystems by copying; links are followed, never brought.
fn bring(from: &Path, to: &Path, may_move: bool) -> io::Result<()> {
    if from == to {
        return Ok(());
    }
    let metadata = fs::symlink_metadata(from)?;
    if may_move && !metadata.is_symlink() {
        match fs::rename(from, to) {
            Ok(()) => return Ok(()),
            // Another filesystem, or something of another kind is in the way: copy.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
    }
    copy(from, to)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    // To a name of its own first: a reader never sees half a file, a read-only file is replaced, and two runs
    // that write into one directory do not write into one file.
    let partial = to.with_file_name(format!(".moil-part-{}", std::process::id()));
    let copied = fs::copy(from, &partial).and_then(|_| match fs::rename(&partial, to) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            fs::remove_dir(to)?;
            fs::rename(&partial, to)
        }
        other => other,
    });
    if copied.is_err() {
        // Most often the disk is full: half a file only takes up more of it.
        _ = fs::remove_file(&partial);
    }
    copied
}

/// Makes way for a new file: removes a link or file of that name, never a directory with something in it.
fn replace(to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(to) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(to),
        Ok(_) => fs::remove_file(to),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(location: &str, basename: &str) -> Value {
        Value::File(Arc::new(File {
            location: Some(location.into()),
            basename: Some(basename.into()),
            ..File::default()
        }))
    }

    struct NoDirectories;

    impl Files for NoDirectories {
        fn stat(&self, _: &str) -> Result<Option<moil_cwl::files::Stat>, moil_cwl::error::Error> {
            Ok(None)
        }

        fn read_prefix(&self, _: &str, _: u64) -> Result<Vec<u8>, moil_cwl::error::Error> {
            Ok(Vec::new())
        }

        fn list(&self, _: &str) -> Result<Vec<moil_cwl::files::Entry>, moil_cwl::error::Error> {
            Ok(Vec::new())
        }
    }

    fn export() -> Export {
        Export { outdir: "/out".into(), url: None, own: Some("/run".into()) }
    }

    #[test]
    fn places_in_a_bucket_are_named_by_its_url_and_what_is_there_is_not_fetched() {
        let export = Export { outdir: "/".into(), url: Some("s3://b/a prefix".into()), own: None };
        let kept = "s3://store/run-1/files/1/x/a.txt";
        let outputs = Value::list(vec![
            file("file:///run/1/a.txt", "a.txt"),
            file(kept, "a.txt"),
            Value::Directory(Arc::new(Directory {
                basename: Some("d".into()),
                listing: Some(Arc::new(vec![file(kept, "b #1.txt"), file("_:1", "none")])),
                ..Directory::default()
            })),
        ]);
        assert!(plan(&outputs, &export, &NoDirectories).is_err(), "a literal without contents");
        let outputs = Value::list(outputs.as_list().expect("a list")[..2].to_vec());
        let (value, actions) = plan(&outputs, &export, &NoDirectories).expect("a plan");
        let mut locations = Vec::new();
        value.visit_files(&mut |item| {
            if let Value::File(file) = item {
                locations.extend(file.location.as_deref().map(str::to_owned));
            }
        });
        assert_eq!(locations, ["s3://b/a prefix/a.txt", "s3://b/a prefix/a_2.txt"]);
        assert_eq!(
            actions,
            [
                Action::Bring { from: "/run/1/a.txt".into(), to: "/a.txt".into(), may_move: false },
                Action::Copy { location: kept.into(), to: "/a_2.txt".into() },
            ]
        );
    }

    fn brought(outputs: Value) -> Vec<(String, String, bool)> {
        let (_, actions) = plan(&outputs, &export(), &NoDirectories).expect("a plan");
        let mut brought = Vec::new();
        for action in actions {
            if let Action::Bring { from, to, may_move } = action {
                brought.push((from.display().to_string(), to.display().to_string(), may_move));
            }
        }
        brought
    }

    #[test]
    fn names_that_collide_get_numbers() {
        let outputs = Value::list(vec![
            file("file:///run/1/a.txt", "a.txt"),
            file("file:///run/2/a.txt", "a.txt"),
            file("file:///run/3/a.txt", "a.txt"),
        ]);
        let targets: Vec<String> = brought(outputs).into_iter().map(|(_, to, _)| to).collect();
        assert_eq!(targets, ["/out/a.txt", "/out/a_2.txt", "/out/a_3.txt"]);
    }

    #[test]
    fn a_number_that_is_a_name_already_is_passed_over() {
        let names = ["a", "a_2", "a", "a_2", "a"].iter().zip(1..);
        let outputs = names.map(|(name, n)| file(&format!("file:///run/{n}/{name}"), name)).collect();
        let targets: Vec<String> = brought(Value::list(outputs)).into_iter().map(|(_, to, _)| to).collect();
        assert_eq!(targets, ["/out/a", "/out/a_2", "/out/a_3", "/out/a_2_2", "/out/a_4"]);
    }

    #[test]
    fn one_file_under_two_outputs_is_brought_once() {
        let outputs = Value::list(vec![file("file:///run/1/a", "a"), file("file:///run/1/a", "a")]);
        assert_eq!(brought(outputs), [("/run/1/a".into(), "/out/a".into(), true)]);
    }

    #[test]
    fn one_file_under_two_names_is_copied_then_moved() {
        let outputs = Value::list(vec![file("file:///run/1/a", "a"), file("file:///run/1/a", "b")]);
        let moves: Vec<bool> = brought(outputs).into_iter().map(|(_, _, may_move)| may_move).collect();
        assert_eq!(moves, [false, true]);
    }

    #[test]
    fn inputs_of_the_user_are_never_moved() {
        assert_eq!(brought(file("file:///data/a", "a")), [("/data/a".into(), "/out/a".into(), false)]);
    }

    #[test]
    fn a_name_that_leads_out_is_refused() {
        for name in ["..", "../x", "a/b", "", "."] {
            assert!(plan(&file("file:///run/a", name), &export(), &NoDirectories).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_copy_that_fails_leaves_nothing_and_a_directory_with_something_in_it_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        fs::write(path("from"), "new").expect("it is written");
        fs::create_dir_all(path("out/full/kept")).expect("it is made");
        fs::create_dir_all(path("out/empty")).expect("it is made");
        assert!(bring(&path("from"), &path("out/full"), false).is_err());
        assert!(bring(&path("from"), &path("out/empty"), false).is_ok());
        assert!(bring(&path("gone"), &path("out/x"), false).is_err());
        let mut names: Vec<_> = fs::read_dir(path("out"))
            .expect("it is read")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["empty", "full"]);
        assert!(path("out/full/kept").exists() && path("out/empty").is_file());
    }

    #[test]
    fn literals_are_written() {
        let literal = Value::File(Arc::new(File {
            basename: Some("x.txt".into()),
            contents: Some("hello".into()),
            ..File::default()
        }));
        let (_, actions) = plan(&literal, &export(), &NoDirectories).expect("a plan");
        assert_eq!(actions, [Action::Write { to: "/out/x.txt".into(), text: "hello".into() }]);
    }
}
