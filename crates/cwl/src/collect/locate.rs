//! Files and directories of an output object: what they are, and where.

use std::sync::Arc;

use moil_salad::source::Place;

use crate::error::Error;
use crate::finished::{Found, Resolver};
use crate::output_tree::Kind;
use crate::value::{Directory, File, Value, ValueMap};

/// How deep directories and values may be nested.
const DEPTH_LIMIT: usize = 200;

/// The most files that one output may have through links to directories: links can multiply without end.
const LINKED_LIMIT: usize = 1_000_000;

/// Finds the files of one output.
pub(super) struct Locator<'a> {
    resolver: &'a Resolver<'a>,
    place: &'a Place,
    name: &'a str,
}

/// Where a walk through directories stands.
struct Walk {
    deep: bool,
    /// The directories around, links followed.
    around: Vec<String>,
    /// Entries that were met below links.
    linked: usize,
    below_link: bool,
    met_links: bool,
}

impl<'a> Locator<'a> {
    /// `place` and `name` of the output are for messages.
    pub(super) fn new(resolver: &'a Resolver<'a>, place: &'a Place, name: &'a str) -> Self {
        Self { resolver, place, name }
    }

    pub(super) fn invalid(&self, message: impl std::fmt::Display) -> Error {
        Error::invalid(self.place, format!("output {}: {message}", self.name))
    }

    /// What is at a path, which must be something.
    pub(super) fn found(&self, path: &str) -> Result<Found, Error> {
        let path = self.resolver.absolute(path);
        self.explained(&path, self.resolver.resolve(&path))?.ok_or_else(|| self.nothing(&path))
    }

    fn nothing(&self, path: &str) -> Error {
        self.invalid(format!("{path} is not there, or is a link that leads nowhere"))
    }

    /// The File or Directory at a path, without what is in it.
    pub(super) fn value(&self, path: &str, found: Found) -> Value {
        let name = path.rsplit('/').next().unwrap_or_default();
        let (location, is_directory, size) = match found {
            Found::File { path, size } => (self.resolver.location_of(&path), false, size),
            Found::Directory { path } => (self.resolver.location_of(&path), true, 0),
            Found::Staged { location, stat } => (location, stat.is_directory, stat.size),
        };
        let (location, basename, path) = (Some(location.into()), Some(name.into()), Some(path.into()));
        if is_directory {
            Value::Directory(Arc::new(Directory { location, basename, path, ..Directory::default() }))
        } else {
            Value::File(Arc::new(File { location, basename, path, size: Some(size), ..File::default() }))
        }
    }

    /// The entries of a directory of the output directory.
    pub(super) fn listing(&self, path: &str, deep: bool) -> Result<Vec<Value>, Error> {
        self.walk(path, deep).map(|(listing, _)| listing)
    }

    /// The entries of a directory, and whether there are links among them.
    fn walk(&self, path: &str, deep: bool) -> Result<(Vec<Value>, bool), Error> {
        let Found::Directory { path: real } = self.found(path)? else { return Ok((Vec::new(), false)) };
        let mut walk = Walk { deep, around: Vec::new(), linked: 0, below_link: false, met_links: false };
        let listing = self.list(path, &real, &mut walk)?;
        Ok((listing, walk.met_links))
    }

    fn list(&self, path: &str, real: &str, walk: &mut Walk) -> Result<Vec<Value>, Error> {
        if walk.around.iter().any(|around| around == real) {
            return Err(self.invalid(format!("{path} is a link to a directory that holds it")));
        }
        if walk.around.len() >= DEPTH_LIMIT {
            return Err(self.invalid(format!("{path} is nested more than {DEPTH_LIMIT} levels deep")));
        }
        walk.around.push(real.to_owned());
        let mut listing = Vec::new();
        for entry in self.resolver.list(real)? {
            let path = format!("{path}/{}", entry.name);
            let inner = format!("{real}/{}", entry.name);
            let is_link = !matches!(entry.kind, Kind::File { .. } | Kind::Directory);
            walk.met_links |= is_link;
            let found = match entry.kind {
                Kind::File { size } => Found::File { path: inner, size },
                Kind::Directory => Found::Directory { path: inner },
                // Followed from where it really is: the way that led here may have been a link.
                Kind::Link { .. } | Kind::Input | Kind::Other => match self.resolver.resolve(&inner) {
                    Ok(found) => found.ok_or_else(|| self.nothing(&path))?,
                    Err(error) => return Err(self.invalid(error.explain(&inner)?)),
                },
            };
            if walk.below_link {
                walk.linked += 1;
                if walk.linked > LINKED_LIMIT {
                    return Err(
                        self.invalid(format!("links to directories lead to more than {LINKED_LIMIT} files"))
                    );
                }
            }
            let value = self.value(&path, found.clone());
            listing.push(match (value, found) {
                (Value::Directory(directory), Found::Directory { path: real }) if walk.deep => {
                    let below_link = walk.below_link;
                    walk.below_link |= is_link;
                    let listing = Some(Arc::new(self.list(&path, &real, walk)?));
                    walk.below_link = below_link;
                    Value::Directory(Arc::new(Directory { listing, ..(*directory).clone() }))
                }
                (value, _) => value,
            });
        }
        walk.around.pop();
        Ok(listing)
    }

    /// The path of a File as the tool saw it; `None` for a literal and for what is only known by its location.
    pub(super) fn path_of(&self, file: &File) -> Result<Option<String>, Error> {
        match (&file.path, &file.location) {
            (Some(path), _) => Ok(Some(self.resolver.absolute(path))),
            (None, Some(location)) => match self.resolver.resolve_location(location) {
                Ok((path, _)) => Ok(path),
                Err(error) => Err(self.invalid(error.explain(location)?)),
            },
            (None, None) => Ok(None),
        }
    }

    /// A File or Directory that an expression gave, if it is there; its class is what is there. Literals always are.
    pub(super) fn existing(&self, value: &Value) -> Result<Option<Value>, Error> {
        let (path, location, basename) = match value {
            Value::File(file) => (&file.path, &file.location, &file.basename),
            Value::Directory(directory) => (&directory.path, &directory.location, &directory.basename),
            other => return Ok(Some(other.clone())),
        };
        let Some((path, found)) = self.reference(path.as_deref(), location.as_deref())? else {
            return Ok(Some(value.clone()));
        };
        let Some(found) = found else { return Ok(None) };
        let shown = path.clone().or_else(|| location.as_deref().map(str::to_owned)).unwrap_or_default();
        Ok(Some(match self.value(&shown, found) {
            Value::File(file) => {
                let basename = basename.clone().or_else(|| file.basename.clone());
                Value::File(Arc::new(File { basename, path: path.map(Into::into), ..(*file).clone() }))
            }
            Value::Directory(directory) => {
                let basename = basename.clone().or_else(|| directory.basename.clone());
                Value::Directory(Arc::new(Directory {
                    basename,
                    path: path.map(Into::into),
                    ..(*directory).clone()
                }))
            }
            other => other,
        }))
    }

    /// What `path`, or else `location`, of a File or Directory means; `None` for a literal. With the path, if it is one of the tool.
    fn reference(
        &self,
        path: Option<&str>,
        location: Option<&str>,
    ) -> Result<Option<(Option<String>, Option<Found>)>, Error> {
        match (path, location) {
            (Some(path), _) => {
                let path = self.resolver.absolute(path);
                let found = self.explained(&path, self.resolver.resolve(&path))?;
                Ok(Some((Some(path), found)))
            }
            (None, Some(location)) => match self.resolver.resolve_location(location) {
                Ok(known) => Ok(Some(known)),
                Err(error) => Err(self.invalid(error.explain(location)?)),
            },
            (None, None) => Ok(None),
        }
    }

    /// A value as it goes out: every File and Directory in it found and located, directories of the output directory listed.
    pub(super) fn finish(&self, value: &Value) -> Result<Value, Error> {
        self.finish_at(value, 0)
    }

    fn finish_at(&self, value: &Value, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_LIMIT {
            return Err(self.invalid(format!("is nested more than {DEPTH_LIMIT} levels deep")));
        }
        let items = |items: &[Value]| {
            items.iter().map(|item| self.finish_at(item, depth + 1)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
            Value::List(list) => Value::list(items(list)?),
            Value::Map(entries) => {
                let mut finished = ValueMap::with_capacity(entries.len());
                for (name, item) in entries.iter() {
                    finished.insert(Arc::clone(name), self.finish_at(item, depth + 1)?);
                }
                Value::map(finished)
            }
            Value::File(file) => {
                let secondary_files = Arc::new(items(&file.secondary_files)?);
                self.file(&File { secondary_files, ..(**file).clone() })?
            }
            Value::Directory(directory) => match self.existing(value)? {
                Some(Value::Directory(found)) if found.location.is_some() => {
                    self.directory(directory, &found)?
                }
                Some(Value::Directory(literal)) => {
                    let Some(listing) = &literal.listing else {
                        return Err(self.invalid(format!(
                            "{} has neither path, location nor listing",
                            crate::conform::describe(value)
                        )));
                    };
                    let listing = Some(Arc::new(items(listing)?));
                    Value::Directory(Arc::new(Directory { listing, path: None, ..(*literal).clone() }))
                }
                Some(other) => other,
                None => return Err(self.absent(&directory.path, &directory.location)),
            },
        })
    }

    fn file(&self, file: &File) -> Result<Value, Error> {
        let value = Value::File(Arc::new(file.clone()));
        match self.existing(&value)? {
            Some(Value::File(found)) if found.location.is_some() => {
                // What a tool claims about its files is not believed; what is known of an input is.
                let same =
                    file.location.is_some() && found.location == file.location && !self.is_output(&found);
                Ok(Value::File(Arc::new(File {
                    checksum: file.checksum.clone().filter(|_| same),
                    secondary_files: Arc::clone(&file.secondary_files),
                    has_secondary_files: file.has_secondary_files,
                    format: file.format.clone(),
                    extra: Arc::clone(&file.extra),
                    ..(*found).clone()
                })))
            }
            Some(Value::File(literal)) if literal.contents.is_some() => Ok(Value::File(literal)),
            Some(Value::File(_)) => Err(self.invalid(format!(
                "{} has neither path, location nor contents",
                crate::conform::describe(&value)
            ))),
            Some(other) => Ok(other),
            None => Err(self.absent(&file.path, &file.location)),
        }
    }

    fn directory(&self, directory: &Directory, found: &Directory) -> Result<Value, Error> {
        let real = match found.path.as_deref().map(|path| self.resolver.resolve(path)) {
            Some(Ok(Some(Found::Directory { path }))) => Some(path),
            _ => None,
        };
        // Walked in any case, so that links that lead out are found. Without links the directory says
        // it all itself; a listing is kept only where it was asked for, or leads elsewhere.
        let listing = match (&real, &found.path) {
            (Some(_), Some(path)) => {
                let (listing, met_links) = self.walk(path, true)?;
                (met_links || directory.listing.is_some()).then(|| Arc::new(listing))
            }
            _ => None,
        };
        Ok(Value::Directory(Arc::new(Directory {
            listing,
            extra: Arc::clone(&directory.extra),
            ..found.clone()
        })))
    }

    fn is_output(&self, file: &File) -> bool {
        let found = file.path.as_deref().map(|path| self.resolver.resolve(path));
        matches!(found, Some(Ok(Some(Found::File { .. }))))
    }

    fn absent(&self, path: &Option<Arc<str>>, location: &Option<Arc<str>>) -> Error {
        self.nothing(path.as_deref().or(location.as_deref()).unwrap_or_default())
    }
}

/// Whether a file of this name is among others.
pub(super) fn holds(files: &[Value], file: &Value) -> bool {
    fn name(value: &Value) -> Option<&str> {
        match value {
            Value::File(file) => file.basename.as_deref(),
            Value::Directory(directory) => directory.basename.as_deref(),
            _ => None,
        }
    }
    files.iter().any(|known| name(known) == name(file))
}
